"""What may be written where a model is named."""

MODEL = "mixed, dogs, a model folder, a .safetensors file or a Hub id"

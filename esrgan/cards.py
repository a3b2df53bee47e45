"""The model card that goes with weights: what they are, what made them, how to use them, what they cannot do."""

from dataclasses import asdict

from huggingface_hub import ModelCard, ModelCardData

from .evaluation import PROTOCOL
from .recipes import Esrgan

STAGES = {
    "psnr": "trained for exact pixels (L1 loss): the highest PSNR, a soft look",
    "gan": "trained against a discriminator: crisper texture, at some cost in PSNR",
}
RECIPES = {
    "esrgan": "the two stages of [ESRGAN](https://arxiv.org/abs/1809.00219)",
    "paper": "the recipe of [Super-Resolution Analysis of Animal Images Based on ESRGAN Model]"
    "(https://doi.org/10.5220/0012804200003885)",
}

TEMPLATE = """---
{metadata}
---
# {title}

An ESRGAN generator (RRDBNet, {num_blocks} blocks) that enlarges photos by 4, {stage}.

```python
from PIL import Image

from esrgan import Generator, Upscaler

generator = Generator.from_pretrained("{source}")
Upscaler(generator)(Image.open("photo.jpg").convert("RGB")).save("photo_x4.png")
```

The tensors have BasicSR's names, so `model.safetensors` also opens in spandrel, chaiNNer and ComfyUI.

## Training

{steps} steps{start} on {photos} photos (`{data}`), by {recipe}{validation}.

{settings}

## Limits

Trained on photos shrunk by bicubic interpolation, without noise or compression: on a photo that was blurred, compressed
or sharpened otherwise it also enlarges those defects. Detail that the small photo does not have is guessed; do not use
the result as evidence of what was there.
"""


def model_card(
    recipe: Esrgan,
    stage: str,
    steps: int,
    data: str,
    photos: str,
    psnr_y: float | None,
    bicubic: float | None,
    init_from: str | None,
) -> ModelCard:
    """Describe a generator.

    Args:
        recipe: what trained it.
        stage: `psnr` or `gan`.
        steps: how many there were, over both stages.
        data: name of the training data.
        photos: how many there were, in words or digits.
        psnr_y: mean validation PSNR-Y in dB, if it was measured.
        bicubic: bicubic's on the same photos.
        init_from: the weights that the training started from; None for a random start.
    """
    metadata = ModelCardData(
        license="apache-2.0",
        library_name="esrgan",
        pipeline_tag="image-to-image",
        tags=["super-resolution", "esrgan", "animals"],
    )
    validation = ""
    if psnr_y is not None and bicubic is not None:
        validation = f".\n\nPSNR-Y on the validation photos: {psnr_y:.2f} dB, bicubic {bicubic:.2f} dB. {PROTOCOL[:-1]}"
    settings = (f"| {name} | {value} |" for name, value in asdict(recipe).items())
    return ModelCard(
        TEMPLATE.format(
            metadata=metadata.to_yaml(),
            title=f"ESRGAN x4, {data}",
            num_blocks=recipe.num_blocks,
            stage=STAGES[stage],
            source="path/to/this/folder",
            steps=steps,
            start=f", starting from the weights `{init_from}`," if init_from else "",
            photos=photos,
            data=data,
            recipe=RECIPES[type(recipe).__name__.lower()],
            validation=validation,
            settings="\n".join(["| setting | value |", "|---|---|", *settings]),
        ),
        ignore_metadata_errors=False,
    )

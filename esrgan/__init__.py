"""ESRGAN x4 for animal photos: generators, training, measurement."""

from .generator import Generator
from .images import ImageError
from .upscaler import Upscaler
from .weights import WeightsError

__version__ = "0.1.0"
__all__ = ["Generator", "ImageError", "Upscaler", "WeightsError"]

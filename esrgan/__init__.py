"""ESRGAN x4 for animal photos: generators, training, measurement."""

from .generator import Generator, WeightsError
from .images import ImageError
from .upscaler import Upscaler

__version__ = "0.1.0"
__all__ = ["Generator", "ImageError", "Upscaler", "WeightsError"]

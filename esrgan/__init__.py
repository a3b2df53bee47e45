"""ESRGAN x4 for animal photos: generators, training, measurement."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import EsrganError, ImageError, WeightsError
    from .images.bounded import read_image
    from .inference.upscaler import Upscaler
    from .models.generator import Generator

__version__ = "0.1.0"
__all__ = ["EsrganError", "Generator", "ImageError", "Upscaler", "WeightsError", "read_image"]

_PLACES = {
    "Generator": ".models.generator",
    "Upscaler": ".inference.upscaler",
    "read_image": ".images.bounded",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for, and PyTorch with it, no earlier than then."""
    if name in __all__:
        return getattr(import_module(_PLACES.get(name, ".errors"), __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Hugging Face's ZeroGPU, which lends a GPU to one call of a function; elsewhere nothing changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

try:
    import spaces  # before anything touches CUDA
except ImportError:
    spaces = None

BASE_SECONDS = 15
SECONDS_PER_MEGAPIXEL = 10
MOST_SECONDS = 120

Function = TypeVar("Function", bound=Callable[..., Any])


def on_gpu(function: Function) -> Function:
    """Have a GPU while this function runs, or this generator: in a process of its own, which leaves nothing behind.

    By the first argument, photos as a path or several or as an image, the time is asked for.
    """
    # A checkout's folder `spaces/` can be imported too, as an empty package.
    lend = getattr(spaces, "GPU", None)
    return lend(duration=duration)(function) if lend else function


def duration(photos: Path | list[Path] | Image.Image, *_: Any) -> int:
    """How many seconds the GPU is asked for: by the photos' pixels, both models and measuring included."""
    megapixels = sum(_megapixels(photo) for photo in (photos if isinstance(photos, list) else [photos]))
    return min(MOST_SECONDS, round(BASE_SECONDS + SECONDS_PER_MEGAPIXEL * megapixels))


def _megapixels(photo: Path | Image.Image) -> float:
    if isinstance(photo, Image.Image):
        return photo.width * photo.height / 1e6
    try:
        with Image.open(photo) as image:
            return _megapixels(image)
    except (OSError, Image.DecompressionBombError):
        return 0.0  # the function will say what is wrong with it

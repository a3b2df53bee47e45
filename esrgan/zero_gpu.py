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
    """Have a GPU while this event listener runs, whose first argument is an upload or a list of them, unprocessed."""
    # A checkout's folder `spaces/` can be imported too, as an empty package.
    lend = getattr(spaces, "GPU", None)
    return lend(duration=duration)(function) if lend else function


def duration(photos: Any, *_: Any, **__: Any) -> int:
    """How many seconds the GPU is asked for: by the photos' pixels, both models and measuring included."""
    uploads = photos if isinstance(photos, list) else [photos]
    megapixels = sum(_megapixels(upload["path"]) for upload in uploads if upload and upload.get("path"))
    return min(MOST_SECONDS, round(BASE_SECONDS + SECONDS_PER_MEGAPIXEL * megapixels))


def _megapixels(path: str | Path) -> float:
    try:
        with Image.open(path) as image:
            return image.width * image.height / 1e6
    except (OSError, Image.DecompressionBombError):
        return 0.0  # the function will say what is wrong with it

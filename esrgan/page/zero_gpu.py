"""Hugging Face's ZeroGPU, which lends a GPU to one call of a function; elsewhere nothing changes."""

from collections.abc import Callable
from typing import Any, TypeVar

from .limits import PACE

try:
    import spaces  # before anything touches CUDA
except ImportError:
    spaces = None

BASE_SECONDS = 15
MOST_SECONDS = 120

Function = TypeVar("Function", bound=Callable[..., Any])


def on_gpu(function: Function, pixels: Callable[..., int]) -> Function:
    """Have a GPU while this function runs, or this generator: in a process of its own, which leaves nothing behind.

    Args:
        function: what runs.
        pixels: how many pixels it enlarges when it is called with the same arguments, by which the time is asked for.
    """
    # A checkout's folder `spaces/` can be imported too, as an empty package.
    lend = getattr(spaces, "GPU", None)
    return lend(duration=lambda *arguments: duration(pixels(*arguments)))(function) if lend else function


def duration(pixels: int) -> int:
    """How many seconds the GPU is asked for, to enlarge so many pixels in all ways and to measure."""
    return min(MOST_SECONDS, round(BASE_SECONDS + PACE * pixels))

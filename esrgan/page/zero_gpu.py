"""Hugging Face's ZeroGPU, which lends a GPU to one call of a function; elsewhere nothing changes."""

import os
from collections.abc import Callable, Iterator
from functools import cache, wraps
from inspect import isgeneratorfunction
from typing import Any, TypeVar

from .failures import refusing
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
    if not lend:
        return function
    return lend(duration=lambda *arguments: duration(pixels(*arguments)))(with_sentences(function))


def is_lent() -> bool:
    """Whether GPUs are lent here; the package alone is on every Space."""
    return hasattr(spaces, "GPU") and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


@cache  # a process is kept for each function that is lent
def with_sentences(function: Function) -> Function:
    """The same function, or generator, which says in a failure why it ends: of other errors only the kind gets back."""

    @wraps(function)
    def steps(*arguments: Any) -> Iterator[Any]:
        with refusing():
            yield from function(*arguments)

    @wraps(function)
    def result(*arguments: Any) -> Any:
        with refusing():
            return function(*arguments)

    return steps if isgeneratorfunction(function) else result  # type: ignore[return-value]


def duration(pixels: int) -> int:
    """How many seconds the GPU is asked for, to enlarge so many pixels in all ways and to measure."""
    return min(MOST_SECONDS, round(BASE_SECONDS + PACE * pixels))

"""What goes wrong, as the page shows it and as programs are told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import gradio as gr

from ..errors import EsrganError

DELETED = "Photos and results are deleted after an hour; choose the photo again."


def failure(sentence: str) -> gr.Error:
    """What the API answers with; the page shows it where the result would be, not in a corner where it fades."""
    return gr.Error(sentence, visible=False, print_exception=False)


def telling(steps: Callable[..., Iterator[Any]], say: Callable[[str], Any]) -> Callable[..., Iterator[Any]]:
    """The same steps, which end with what `say` makes of the sentence where they would fail."""

    @wraps(steps)
    def told(*values: Any) -> Iterator[Any]:
        try:
            yield from steps(*values)
        except gr.Error as error:
            yield say(error.message)

    return told


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with a photo or a model, or a file that is there no more, becomes a failure."""
    try:
        yield
    except FileNotFoundError as error:
        raise failure(DELETED) from error
    except EsrganError as error:
        raise failure(str(error)) from error

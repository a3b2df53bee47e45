"""What goes wrong, as the page shows it and as programs are told."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from ..errors import EsrganError

DELETED = "Photos and results are deleted after an hour; choose the photo again."


def failure(sentence: str) -> gr.Error:
    """What the page shows in its corner, and the API answers with."""
    return gr.Error(sentence, duration=30, print_exception=False)


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with a photo or a model, or a file that is there no more, becomes a failure."""
    try:
        yield
    except FileNotFoundError as error:
        raise failure(DELETED) from error
    except EsrganError as error:
        raise failure(str(error)) from error

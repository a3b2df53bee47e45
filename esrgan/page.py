"""What the tabs of the page share: files that Gradio serves, refusals, and how events run."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from .images import ImageError
from .studio import Studio
from .weights import WeightsError

DETAIL_HINT = "0: the most exact pixels, a little soft. 1: the crispest fur, partly invented."
STOPPED = "## Stopped\nNothing is running any more."
MODELS: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "models"}
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}

Answer = tuple[Any, ...]


def add_controls(studio: Studio, title: str, detail: float) -> tuple[gr.Slider, gr.Button, gr.Button]:
    """The dial of detail, where it stands at first; the button that starts a job; the one that stops it."""
    dial = gr.Slider(0, 1, detail, step=0.05, label="Detail", info=DETAIL_HINT, visible=studio.has_dial)
    with gr.Row():
        return dial, gr.Button(title, variant="primary", min_width=120), gr.Button("Stop", min_width=80, scale=0)


def make_folder() -> Path:
    """A new one where Gradio serves files from and deletes them in time."""
    cache = Path(get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache))


def failure(sentence: str) -> gr.Error:
    """What the page shows in its corner, and the API answers with."""
    return gr.Error(sentence, duration=30, print_exception=False)


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with a photo or a model becomes a failure."""
    try:
        yield
    except (ImageError, WeightsError) as error:
        raise failure(str(error)) from error


def unless_stopped(words: str) -> str:
    """JavaScript from a verdict to these words.

    A job that was stopped fails too, which the page may hear of after it has said that it is stopped.
    """
    return f"told => told === {json.dumps(STOPPED)} ? told : {json.dumps(words)}"


def check_detail(detail: object) -> None:
    """Refuse what the API may send and the slider never does."""
    if not (isinstance(detail, int | float) and 0 <= detail <= 1):
        raise failure(f"Detail {detail!r}: must be a number from 0 to 1.")

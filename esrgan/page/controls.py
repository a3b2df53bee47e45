"""What the tabs of the page share: what a visitor wants, refusals, and how events run."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import gradio as gr

from .failures import failure
from .jobs import Studio

DETAIL_HINT = "0: the most exact pixels, a little soft. 1: the crispest fur, partly invented."
STOPPED = "## Stopped\nNothing is running any more."
FAILED = "## No result\nThe message in the corner says why."
MODELS: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "models"}
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
PROMPT: dict[str, Any] = {**PRIVATE, "concurrency_limit": None}
QUIET: dict[str, Any] = {**PRIVATE, "queue": False}  # without a queue failures are not shown

Answer = tuple[Any, ...]


class Visit:
    """What one visitor wants of a tab.

    Attributes:
        job: the one that was asked for last, by its inputs; None before the first and once it is stopped.
        words: what the page says until that job answers.
    """

    def __init__(self) -> None:
        self.job: Hashable = None
        self.words = ""

    def ask(self, job: Hashable, words: str) -> str:
        """Want this job, or none, from now on."""
        self.job, self.words = job, words
        return words

    def follow(self, job: Hashable, answers: Iterable[Answer], nothing: Callable[[str], Answer]) -> Iterator[Answer]:
        """The job's answers for as long as it is wanted, and then `nothing` but the words there are by then.

        Gradio repeats what a generator yielded last, so that must not be from a job that is over.
        """
        for answer in answers:
            if self.job != job:
                yield nothing(self.words)
                return
            yield answer


def add_controls(studio: Studio, title: str, detail: float) -> tuple[gr.Slider, gr.Button, gr.Button]:
    """The dial of detail, where it stands at first; the button that starts a job; the one that stops it."""
    dial = gr.Slider(0, 1, detail, step=0.05, label="Detail", info=DETAIL_HINT, visible=studio.has_dial)
    with gr.Row():
        return dial, gr.Button(title, variant="primary", min_width=120), gr.Button("Stop", min_width=80, scale=0)


def check_detail(detail: object) -> None:
    """Refuse what the API may send and the slider never does."""
    if not (isinstance(detail, int | float) and 0 <= detail <= 1):
        raise failure(f"Detail {detail!r}: must be a number from 0 to 1.")

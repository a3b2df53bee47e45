"""What the tabs of the page share: what a visitor wants, the controls, and how a job is asked for, run and stopped."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from .failures import DELETED, failure
from .jobs import Step, Studio
from .wording import WORKING

DETAIL_HINT = "Left: true to the photo, a little soft. Right: crisp fur, partly invented."
STOPPED = "## Stopped\nNothing is running any more. What was finished stays."
FAILED = "## No result\n"
UNFIT = f"{FAILED}{DELETED} If that does not help, load the page again."
BROKEN = f"{FAILED}Something went wrong on the server. Try again, or with another photo."
IN_TURN: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "models"}
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
PROMPT: dict[str, Any] = {**PRIVATE, "concurrency_limit": None}
QUIET: dict[str, Any] = {**PRIVATE, "queue": False}  # without a queue failures are not shown
SCROLL = """(...inputs) => {
    const shown = [...document.querySelectorAll(".result")].find(element => element.offsetParent)
    shown?.scrollIntoView({behavior: "smooth", block: "nearest"})
    return inputs
}"""

Answer = tuple[Any, ...]


class Visit:
    """What one visitor wants of a tab.

    Attributes:
        job: the values of the inputs of the job that was asked for last; None before the first and once it is stopped.
        photo: what it was about, even if it was stopped; None once it is removed.
        words: what the page says until that job answers.
        turn: how often a job was asked for or stopped.
    """

    def __init__(self) -> None:
        self.job: Answer | None = None
        self.photo: Any = None
        self.words = ""
        self.turn = 0

    def ask(self, job: Answer | None, words: str) -> str:
        """Want this job, or none, from now on."""
        self.job, self.words, self.turn = job, words, self.turn + 1
        self.photo = job[0] if job else self.photo
        return words

    def beside(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Steps of something beside the job, until a job is asked for or stopped."""
        turn = self.turn
        for step in steps:
            if self.turn != turn:
                break
            yield step

    def follow(self, answers: Callable[..., Iterator[Answer]], nothing: Callable[[str], Answer]) -> Iterator[Answer]:
        """The answers to the job for as long as it is wanted, and then `nothing` but the words there are by then.

        What goes wrong with it is told in such words too. Gradio repeats what a generator yielded last, so that must
        not be from a job that is over.
        """
        job = self.job
        try:
            for answer in answers(*job) if job else ():
                if self.job != job:
                    break
                yield answer
        except gr.Error as error:
            if self.job == job:
                yield nothing(FAILED + error.message)
                return
        if self.job != job or not job:
            yield nothing(self.words)


@dataclass(frozen=True)
class Work:
    """The job of a tab.

    Attributes:
        inputs: what it is asked by.
        answers: from their values to what goes into `outputs`, again and again.
        outputs: where the answers go.
        nothing: an answer that says so much and no more.
        verdict: the one of `outputs` that says how far the job is, and how it ended.
        begins: what goes where when a job begins, by the values of its inputs.
        stays: what of that stays as it is while the same photo is worked on anew.
    """

    inputs: Sequence[Component]
    answers: Callable[..., Iterator[Answer]]
    outputs: Sequence[Component]
    nothing: Callable[[str], Answer]
    verdict: gr.Markdown
    begins: dict[Any, Callable[..., Any]]
    stays: Sequence[Any] = ()

    def expose(
        self,
        function: Callable[..., Any],
        outputs: Sequence[Component],
        description: str,
        more: Sequence[Component] = (),
    ) -> None:
        """Offer it to programs, by a function of the same inputs and `more`, whose name is the endpoint's."""
        gr.State().change(  # which never happens
            function,
            [*self.inputs, *more],
            list(outputs),
            api_name=function.__name__,
            api_description=description,
            preprocess=False,  # Gradio would open the file itself and stop at a damaged one with a traceback
            **IN_TURN,
        )

    def wire(
        self, triggers: Mapping[Callable[..., Any], str | None], stops: Iterable[Callable[..., Any]], visit: gr.State
    ) -> list[Any]:
        """Begin the job at each trigger, after some JavaScript if there is any; show its answers; stop it.

        Returns:
            For each trigger the event to which can be added what happens once the job has succeeded.
        """

        def begin(*values: Any) -> Answer:
            *job, visit = values
            stays = self.stays if visit.photo == job[0] else ()
            begun = (gr.skip() if place in stays else make(*job) for place, make in self.begins.items())
            return visit.ask(tuple(job), WORKING), *begun

        def run(visit: Visit) -> Iterator[Answer]:
            yield from visit.follow(self.answers, self.nothing)

        def halt(told: str, visit: Visit) -> Any:
            visit.turn += 1
            return self.nothing(visit.ask(None, STOPPED)) if told.startswith(WORKING) else gr.skip()

        outputs = list(self.outputs)
        shown = {"show_progress": "minimal", "show_progress_on": self.verdict}
        for stop in stops:
            stop(halt, [self.verdict, visit], outputs, **QUIET)
        ends = []
        for trigger, js in triggers.items():
            begun = trigger(
                begin, [*self.inputs, visit], [self.verdict, *self.begins], js=js, preprocess=False, **PROMPT
            )
            done = begun.success(
                run, visit, outputs, api_visibility="private", trigger_mode="always_last", **shown, **IN_TURN
            )
            begun.failure(lambda: self.nothing(UNFIT), None, outputs, **QUIET)
            done.failure(lambda: self.nothing(BROKEN), None, outputs, **QUIET)
            ends.append(done)
        return ends


def add_controls(studio: Studio, title: str, detail: float) -> tuple[gr.Slider, gr.Button, gr.Button]:
    """The dial of detail, where it stands at first; the button that starts a job; the one that stops it."""
    dial = gr.Slider(0, 1, detail, step=0.05, label="Detail", info=DETAIL_HINT, visible=studio.has_dial(damaged=False))
    with gr.Row():
        return dial, gr.Button(title, variant="primary", min_width=120), gr.Button("Stop", min_width=80, scale=0)


def is_detail(detail: object) -> bool:
    """Whether the dial can stand there; in its field anything may be typed."""
    return isinstance(detail, int | float) and 0 <= detail <= 1


def check_detail(detail: object) -> None:
    """Refuse a place where the dial cannot stand."""
    if not is_detail(detail):
        raise failure(f"Detail {detail!r}: must be a number from 0 to 1.")

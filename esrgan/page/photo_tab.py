"""A tab of the page where one photo goes in, and figures and pictures come out, step by step."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from ..errors import ImageError
from ..images.reading import EXAMPLES, find_images
from ..images.resize import SCALE
from .controls import (
    FAILED,
    IN_TURN,
    PRIVATE,
    PROMPT,
    QUIET,
    SCROLL,
    Answer,
    Visit,
    Work,
    add_controls,
    check_detail,
    is_detail,
)
from .failures import DELETED, failure, refusing, telling
from .inputs import check
from .jobs import Figures, Step, Studio
from .keepsakes import KINDS, Told, around, make
from .limits import seen_part
from .listeners import heard
from .results import Paths, Recent, Result
from .stage import address, data_url, focus_of, make_stage, opening, stage_value
from .uploads import let_in, make_folder
from .wording import DOUBT, MAPS, NUMBERS, add_notes, explained, picture_labels, tell_doubt, tell_progress
from .zero_gpu import on_gpu

DETAIL = 0.75  # where most of the texture is there, and PSNR still above bicubic's
CLOSE = 96  # pixels a side of the closer look on a card
PEEKED = 400_000  # pixels of a result, at most, that are shown anew while the dial is moved

WAITING = "## Your result appears here\nClick an animal, or drop a photo of your own."
SHOWN_FIRST = """## A small photo, and what a model makes of it
Drag the handle. Then click an animal, or drop a photo of your own."""

DOWNLOAD = """address => {
    if (!address) return [address]
    const link = document.createElement("a")
    link.href = address
    link.download = address.split("/").pop()
    link.click()
    return [address]
}"""

Photo = dict[str, Any] | None

SEEN = """(result, seen, ...rest) => {
    const stage = [...document.querySelectorAll(".stage")].find(stage => stage.offsetParent)
    return [result, stage?.dataset.seen ?? "", ...rest]
}"""


class PhotoTab(ABC):
    """A tab of one photo: made inside a page's blocks, it adds itself to them.

    Args:
        studio: whose models are asked.
        kept: what the browser keeps of the visit.
        work: the steps of the job, by the photo's path, the detail and the values of the settings.
        endpoint: the job for programs, which ask for it by the name of this function.
        saved: the pictures that can be saved, by their names.
        shown: all that are shown.

    Attributes:
        title: of the tab and its button; in lower case, its address.
        hint: what happens, for the visitor.
        description: what the endpoint does and answers, for programs.
        new_photo: JavaScript from the inputs of the job to those it begins with where another photo was chosen.
    """

    title: str
    hint: str
    description: str
    new_photo = SCROLL

    def __init__(
        self,
        studio: Studio,
        kept: gr.BrowserState,
        work: Callable[..., Iterator[Step]],
        endpoint: Callable[..., Iterator[Answer]],
        *,
        saved: Sequence[str],
        shown: Collection[str],
    ) -> None:
        self.studio = studio
        self.kept = kept
        self.work = work
        self.savable = saved
        self.labels = {name: text for name, text in picture_labels(studio.ways).items() if name in shown}
        self.recent = Recent()
        self.question = on_gpu(studio.doubt, lambda small, *_: 2 * small.width * small.height)
        self.look_closer = on_gpu(studio.peek, studio.peeked_pixels)
        with gr.Tab(self.title) as self.tab:
            gr.Markdown(self.hint)
            with gr.Row():
                with gr.Column(scale=2, min_width=280):
                    self._add_inputs()
                with gr.Column(scale=3, min_width=280, elem_classes="result"):
                    self._add_outputs()
        self.result = gr.State(Result())
        self._wire_job(endpoint)
        self._wire_pictures()

    @staticmethod
    @abstractmethod
    def tell(figures: Figures) -> tuple[str, str]:
        """The figures as a verdict and a table."""

    @abstractmethod
    def add_settings(self) -> list[Component]:
        """What else than the photo and the detail the job is asked by."""

    def add_formats(self) -> list[Component]:
        """The choice of a format in which files are saved, where there is one."""
        return []

    def _add_inputs(self) -> None:
        self.photo = gr.Image(
            label="Your photo",
            type="filepath",
            image_mode=None,
            format="png",
            sources=["upload", "webcam"],  # what is pasted, page.js takes wherever the visitor is
            height=260,
            alt_text="Your photo",
            elem_classes="drop",
        )
        self.settings = self.add_settings()
        self.detail, self.button, self.stop = add_controls(self.studio, self.title, DETAIL)
        self.examples = gr.Examples(
            [str(path) for path in find_images(EXAMPLES)], self.photo, label="Or click an animal"
        )
        self.chosen_anew = (self.photo.upload, self.examples.load_input_event.then)

    def _add_outputs(self) -> None:
        first = opening(self.labels) if "original" in self.labels else None
        self.verdict = gr.Markdown(SHOWN_FIRST if first else WAITING, label="Verdict", elem_classes="verdict")
        self.stage = make_stage(first)
        with gr.Column(visible=False) as self.saving:
            with gr.Row():
                self.downloads = [
                    gr.DownloadButton(f"Save {name}", size="sm", min_width=120, visible=False) for name in self.savable
                ]
            self.formats = self.add_formats()
            self.save_told = gr.Markdown(elem_classes="footnote")
        with gr.Column(visible=False) as self.details:
            with gr.Row():
                self.ask_doubt = gr.Button("Show what is guessed", size="sm", min_width=180, scale=0)
            self.doubt_told = gr.Markdown(elem_classes="footnote")
            if "map" in self.labels:
                gr.Markdown(MAPS, elem_classes="footnote")
            self.rows = gr.Markdown(elem_classes="figures")
            gr.Markdown(explained("What these numbers mean", NUMBERS), elem_classes="footnote")
            with gr.Row():
                self.keepsakes = {kind: gr.Button(f"Save {kind}", size="sm", min_width=120) for kind in KINDS}
            self.keepsake = gr.Textbox(visible=False)
            self.seen = gr.Textbox(visible=False)
            with gr.Accordion("All figures", open=False):
                self.figures = gr.JSON(label="Figures", show_label=False)

    def _wire_job(self, endpoint: Callable[..., Iterator[Answer]]) -> None:
        inputs = [self.photo, self.detail, *self.settings]
        self.outputs = [self.figures, self.verdict, self.result]
        begins: dict[Any, Callable[..., Any]] = {
            self.stage: lambda *_: None,
            self.details: lambda *_: gr.Column(visible=False),
            self.doubt_told: lambda *_: "",
            self.result: lambda *_: Result(),
            self.kept: self.keep,
        }
        work = Work(
            inputs,
            self.answers,
            self.outputs,
            self.nothing,
            self.verdict,
            begins,
            [self.stage, self.details, self.doubt_told, self.result],
        )
        work.expose(endpoint, [self.figures, *self.downloads, self.verdict], self.description, self.formats)
        visit = gr.State(Visit())
        self.photo.clear(self.forget, visit, self.kept, **QUIET)
        settings = inputs[1:]
        moves = [
            self.detail.release,
            *(setting.input for setting in self.settings if not isinstance(setting, gr.Textbox)),
        ]
        adopted = gr.State(0)
        self.tab.select(
            self.adopt,
            [self.kept, adopted, visit, *settings],
            [adopted, *inputs],
            js=self._if_open(),
            preprocess=False,
            **PROMPT,  # without a queue `adopted` would not be seen to change
        )
        triggers = {
            self.button.click: SCROLL,
            **{
                move(self.require, [visit, *settings], None, preprocess=False, **QUIET).success: SCROLL
                for move in moves
            },
            **dict.fromkeys(self.chosen_anew, self.new_photo),
            adopted.change: None,
        }
        self._wire_doubt(visit)
        shown = [self.rows, self.doubt_told, self.stage, self.details]
        stops = [self.stop.click, self.photo.clear]
        for done in work.wire(triggers, stops, visit):
            shows = done.success(self.show, [self.result, visit], shown, trigger_mode="always_last", **PROMPT)
            self._tell_gone(shows)
        for stop in stops:
            self._tell_gone(stop(self.show_finished, [self.result, visit], self.stage, **PROMPT))

    def _wire_doubt(self, visit: gr.State) -> None:
        self.ask_doubt.click(
            telling(self.add_doubt, lambda sentence: (sentence, gr.skip())),
            [self.result, visit],
            [self.doubt_told, self.result],
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=self.doubt_told,
            **IN_TURN,
        ).failure(lambda: "", None, self.doubt_told, **QUIET)

    def _wire_pictures(self) -> None:
        self._tell_gone(self.result.change(self.show_stage, self.result, self.stage, **PROMPT))
        for kind, button in self.keepsakes.items():
            make_it = partial(self.make_keepsake, kind)
            made = button.click(make_it, [self.result, self.seen], self.keepsake, js=SEEN, **PROMPT)
            # With a function, as Gradio answers a call of an event that has none with a traceback.
            made.success(lambda address: None, self.keepsake, None, js=DOWNLOAD, **QUIET)
            self._tell_gone(made)
        changes = [self.result.change]
        for setting in self.formats:
            encoding = setting.input(
                lambda: [gr.DownloadButton(interactive=False) for _ in self.downloads], None, self.downloads, **QUIET
            )
            changes.append(encoding.then)
        for changed in changes:
            changed(self.offer, [self.result, *self.formats], [*self.downloads, self.save_told, self.saving], **PROMPT)
        self._tell_gone(
            self.detail.input(
                self.peek,
                [self.result, self.seen, self.detail],
                self.stage,
                js=SEEN,
                preprocess=False,
                trigger_mode="always_last",
                concurrency_id="peek",
                **PRIVATE,
            )
        )

    def _tell_gone(self, event: Any) -> None:
        """Have it said that the pictures are deleted, where an event fails that needs no more than them."""
        event.failure(
            lambda: (None, FAILED + DELETED, Result(), gr.Column(visible=False)),
            None,
            [*self.outputs, self.details],
            **QUIET,
        )

    def told(self, answers: Iterator[Answer], save_as: str = "PNG") -> Iterator[Answer]:
        """Answers for programs: with the files that are saved in place of the result, which MCP tools cannot have."""
        for figures, words, result in answers:
            with refusing():
                files = self.saved(result, save_as) if figures else {}
            yield figures, *(files.get(name) for name in self.savable), words

    def nothing(self, words: str) -> Answer:
        """An answer without figures; what is finished stays."""
        return None, words, gr.skip()

    def answers(self, photo: Photo, detail: float, *settings: Any) -> Iterator[Answer]:
        """What the tab shows of each step."""
        if not photo:
            raise failure("Choose a photo first, or click an animal.")
        check_detail(detail)
        path = Path(photo["path"])
        with refusing():
            key = (path.stem, sha256(path.read_bytes()).hexdigest(), f"{detail:g}", *map(str, settings))
            result = self.recent.recall(key)
            if not result:
                awaited = tuple(self.labels.keys() - {"doubt"} - (self.studio.models.keys() - self.chosen(settings)))
                started = time.monotonic()
                result = Result(folder=make_folder(), stem=path.stem, detail=detail, awaited=awaited)
                for step in heard(self.work(path, detail, *settings)):
                    before, result = result, result.add(step)
                    if result.paths and not before.paths:
                        result = self.recent.with_doubt(result)
                    new = result if result.paths.keys() != before.paths.keys() else gr.skip()
                    # Not gr.skip() for all, after which Gradio keeps a component for good with each answer.
                    yield None, tell_progress(step, time.monotonic() - started), new
                self.recent.keep(key, result)
        figures = result.figures or {}
        yield figures, add_notes(self.tell(figures)[0], result.notes), result

    def chosen(self, settings: Sequence[Any]) -> set[str]:
        """The models that are asked for by the values of the settings."""
        return {*self.studio.models}

    def saved(self, result: Result, save_as: str = "PNG") -> Paths:
        """The files of the pictures that there are so far, by the pictures' names: PNG, as they are shown."""
        return {name: result.paths[name] for name in self.savable if name in result.paths}

    def offer(self, result: Result, save_as: str = "PNG") -> Answer:
        """The buttons that save what there is so far; why there are none."""
        files, told = {}, ""
        try:
            with refusing():
                files = self.saved(result, save_as)
        except gr.Error as error:
            told = error.message
        buttons = (
            gr.DownloadButton(value=files.get(name), visible=name in files, interactive=True) for name in self.savable
        )
        return *buttons, told, gr.Column(visible=bool(result.paths))

    def _if_open(self) -> str:
        """JavaScript that keeps `adopt` from what it would take if another tab is the one of the address.

        Gradio opens the first tab before the one of the address.
        """
        addresses = ["", f"#{self.title.lower()}"]
        return f"(kept, ...rest) => [{addresses}.includes(location.hash) ? kept : null, ...rest]"

    def forget(self, visit: Visit) -> dict[str, Any]:
        """Keep nothing of a photo that is removed."""
        visit.photo = None
        return self.keep()

    def keep(self, *job: Any) -> dict[str, Any]:
        """What the browser keeps of a job, for the other tab and for when the page is loaded again."""
        return {"tab": self.title, "job": job}

    async def adopt(self, kept: Any, times: int, visit: Visit, *settings: Any) -> Any:
        """The photo that the visitor chose last, unless it is here or gone, and how it was asked for if that was here.

        Returns:
            One time more, which begins the job; the photo; the settings.
        """
        match kept:
            case {"tab": title, "job": [{"path": str(name)}, *others]}:
                with suppress(ImageError):
                    path = let_in(name)
                    if not visit.photo or Path(visit.photo["path"]) != path:
                        with suppress(ValueError, gr.Error):  # such as a model that the page has no more
                            if title == self.title:
                                pairs = zip([self.detail, *self.settings], others, strict=True)
                                settings = tuple([await check(component, value) for component, value in pairs])
                        return times + 1, str(path), *settings
        return gr.skip()

    def require(self, visit: Visit, *settings: Any) -> None:
        """The dial may be moved before there is a photo, and is said to be when the Tab key passes it."""
        if not visit.photo or visit.job == (visit.photo, *settings):
            raise gr.Error(visible=False, print_exception=False)

    def show(self, result: Result, visit: Visit) -> Any:
        """What belongs to a finished job; of one that was stopped, the pictures that there are."""
        if result.figures is None:
            return gr.skip(), gr.skip(), self.show_finished(result, visit), gr.Column(visible=False)
        table = "\n\n".join([*self._tell_detail(result), self.tell(result.figures)[1]])
        told = DOUBT if "doubt" in result.paths else ""
        return table, told, gr.skip(), gr.Column(visible=True)  # the stage follows the result by itself

    def _tell_detail(self, result: Result) -> list[str]:
        """Where the slider stood, if that made a difference."""
        return [f"With detail at {result.detail:g}:"] if self.studio.has_dial(damaged=result.damaged) else []

    def show_finished(self, result: Result, visit: Visit) -> Any:
        """The pictures there are, when no more will come: unless a job goes on, which shows its own."""
        shown = None if visit.job else self.show_stage(result._replace(awaited=()))
        return gr.skip() if visit.job else shown  # another may have begun meanwhile

    def show_stage(self, result: Result) -> dict[str, Any] | None:
        """The pictures there are, and which are still to come."""
        labels = {name: text for name, text in self.labels.items() if name in result.paths or name in result.awaited}
        pictures = {name: result.paths[name] for name in labels if name in result.paths}
        if not pictures:
            return None
        if not all(Path(path).exists() for path in pictures.values()):
            raise failure(DELETED)
        with refusing(), Image.open(result.first) as image:
            focus = focus_of(image)
        right = "doubt" if "doubt" in pictures else [way for way in self.studio.ways if way in labels][-1]
        return stage_value(pictures, labels, focus=focus, left="bicubic", right=right)

    def add_doubt(self, result: Result, visit: Visit) -> Iterator[Answer]:
        """Where the models disagree, as one more picture of a finished job."""
        if result.figures is None or "doubt" in result.paths:
            yield gr.skip(), gr.skip()
            return
        yield tell_doubt(0), gr.skip()
        found = result
        with refusing(), Image.open(result.paths["small"]) as image:
            for step in visit.beside(heard(self.question(image.convert("RGB"), result.damaged))):
                found = result.add(step)
                yield tell_doubt(step.done), gr.skip()
        if "doubt" not in found.paths:
            yield "", gr.skip()
            return
        found = result._replace(paths=found.paths)
        self.recent.keep_doubt(found)
        yield DOUBT, found

    def make_keepsake(self, kind: str, result: Result, seen: str) -> str | None:
        """The address of what can be taken away, made on demand, with a closer look at the middle of what is seen."""
        if result.figures is None or not seen:
            return None
        told, table = self.tell(result.figures)
        headline, sentence = told.removeprefix("## ").split("\n", 1)
        maps = [DOUBT] * ("doubt" in result.paths) + [MAPS] * ("map" in result.paths)
        rows = "\n\n".join([*maps, *self._tell_detail(result), table, *result.notes])
        words = Told(headline, sentence, rows, self.labels, result.figures)
        ways = [way for way in self.studio.ways if way in result.paths]
        with refusing():
            with Image.open(result.first) as image:
                left, top, right, bottom = seen_part(seen, image.size, image.width * image.height)
                centre = (left + right) // 2 // SCALE * SCALE, (top + bottom) // 2 // SCALE * SCALE
                box = around(centre, image.size, (CLOSE, CLOSE))
            return address(make(kind, result, ways, box, words))

    def peek(self, result: Result, seen: str, detail: float) -> Any:
        """What is seen of the models' results at another detail, at once; the whole photo follows.

        Raises:
            gr.Error: the photo is deleted. Whatever else goes wrong is told by the job that follows.
        """
        if not is_detail(detail) or "small" not in result.paths or not seen:
            return gr.skip()
        try:
            with Image.open(result.paths["small"]) as small:
                box = seen_part(seen, (SCALE * small.width, SCALE * small.height), PEEKED)
                pictures = self.look_closer(small.convert("RGB"), box, detail, result.damaged, [*result.paths])
        except FileNotFoundError as error:
            raise failure(DELETED) from error
        except Exception:
            return gr.skip()
        urls = {way: data_url(picture) for way, picture in pictures.items()}
        return (self.show_stage(result) or {}) | {"patch": {"box": list(box), "urls": urls}}

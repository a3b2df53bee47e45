"""A tab of the page where one photo goes in, and figures and pictures come out, step by step."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from .models import label
from .photo_notes import CLEAN, DAMAGED, MEASURE
from .results import Paths, Recent, Result
from .saving import ENDINGS, save
from .stage import address, data_url, focus_of, make_stage, opening, stage_value
from .uploads import let_in, make_folder
from .wording import (
    DOUBT,
    MAPS,
    NUMBERS,
    add_notes,
    explained,
    picture_labels,
    tell_doubt,
    tell_progress,
)
from .zero_gpu import on_gpu

CLOSE = 96  # pixels a side of the closer look on a card
PEEKED = 400_000  # pixels of a result, at most, that are shown anew while the dial is moved

WAITING = "## Your result appears here\nClick an animal, or drop a photo of your own."
SHOWN_FIRST = """## A small photo, and what a model makes of it
Drag the handle. Then click an animal, or drop a photo of your own."""
PART_HINT = "Which part of a large photo: left, top, right, bottom in pixels. Empty: all of it, or as much as is quick."
NEW_PHOTO = (
    f"(photo, detail, part, condition, halve, ...rest) => ({SCROLL})(photo, detail, '', condition, false, ...rest)"
)
CONDITIONS = [("Find out", MEASURE), ("Clean", CLEAN), ("Noisy or compressed", DAMAGED)]
HALVE_HINT = "For a photo that was enlarged before, and shows no more than half its pixels would."
WAYS_TO_SHRINK = [("Cleanly", "bicubic"), ("As a camera does", "camera"), ("As the web does", "web")]

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


@dataclass(frozen=True)
class Job:
    """What a tab does with one photo.

    Attributes:
        title: of the tab and its button; in lower case, of the endpoint.
        hint: what happens, for the visitor.
        description: what the endpoint does and answers, for programs.
        work: the steps.
        pixels: how many pixels are enlarged, by the same arguments.
        tell: the figures as a verdict and a table.
        saved: the pictures that can be saved, by their names.
        shown: all that are shown.
        detail: where the dial stands at first.
        has_parts: whether a part of the photo can be asked for, and whether its condition be told.
    """

    title: str
    hint: str
    description: str
    work: Callable[..., Iterator[Step]]
    pixels: Callable[..., int]
    tell: Callable[[Figures], tuple[str, str]]
    saved: tuple[str, ...]
    shown: tuple[str, ...]
    detail: float
    has_parts: bool = False


class PhotoTab:
    """The tab of a job: made inside a page's blocks, it adds itself to them."""

    def __init__(self, studio: Studio, job: Job, kept: gr.BrowserState) -> None:
        self.studio = studio
        self.job = job
        self.kept = kept
        self.labels = {name: text for name, text in picture_labels(studio.ways).items() if name in job.shown}
        self.recent = Recent()
        self.work = on_gpu(job.work, job.pixels)
        self.question = on_gpu(studio.doubt, lambda small, *_: 2 * small.width * small.height)
        self.look_closer = on_gpu(studio.peek, studio.peeked_pixels)
        with gr.Tab(job.title) as self.tab:
            gr.Markdown(job.hint)
            with gr.Row():
                with gr.Column(scale=2, min_width=280):
                    self._add_inputs()
                with gr.Column(scale=3, min_width=280, elem_classes="result"):
                    self._add_outputs()
        self.result = gr.State(Result())
        self._wire_job()
        self._wire_pictures()

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
        choices = [(label(name), name) for name in self.studio.models]
        self.settings: list[Component] = (
            [
                gr.Textbox("", label="Part", info=PART_HINT, placeholder="0, 0, 400, 300", max_lines=1),
                gr.Radio(CONDITIONS, value=MEASURE, label="Condition"),
                gr.Checkbox(False, label="Halve it first", info=HALVE_HINT),
                gr.CheckboxGroup(choices, value=[*self.studio.models], label="Models"),
            ]
            if self.job.has_parts
            else [gr.Radio(WAYS_TO_SHRINK, value="bicubic", label="How it is shrunk")]
        )
        self.detail, self.button, self.stop = add_controls(self.studio, self.job.title, self.job.detail)
        self.examples = gr.Examples(
            [str(path) for path in find_images(EXAMPLES)], self.photo, label="Or click an animal"
        )

    def _add_outputs(self) -> None:
        first = opening(self.labels) if "original" in self.labels else None
        self.verdict = gr.Markdown(SHOWN_FIRST if first else WAITING, label="Verdict", elem_classes="verdict")
        self.stage = make_stage(first)
        with gr.Column(visible=False) as self.saving:
            with gr.Row():
                self.downloads = [
                    gr.DownloadButton(f"Save {name}", size="sm", min_width=120, visible=False)
                    for name in self.job.saved
                ]
            self.save_as = gr.Radio([*ENDINGS], value="PNG", label="Save as", visible=self.job.has_parts)
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

    def _wire_job(self) -> None:
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
        more = [self.save_as] if self.job.has_parts else []
        work.expose(self._endpoint(), [self.figures, *self.downloads, self.verdict], self.job.description, more)
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
        new = NEW_PHOTO if self.job.has_parts else SCROLL
        triggers = {
            self.button.click: SCROLL,
            **{
                move(self.require, [visit, *settings], None, preprocess=False, **QUIET).success: SCROLL
                for move in moves
            },
            self.photo.upload: new,
            self.examples.load_input_event.then: new,
            adopted.change: None,
        }
        if self.job.has_parts:
            part, _, halve, _ = self.settings
            for chosen in (self.photo.upload, self.examples.load_input_event.then):
                chosen(lambda: ("", False), None, [part, halve], **QUIET)
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
        encoding = self.save_as.input(
            lambda: [gr.DownloadButton(interactive=False) for _ in self.downloads], None, self.downloads, **QUIET
        )
        for changed in (self.result.change, encoding.then):
            changed(self.offer, [self.result, self.save_as], [*self.downloads, self.save_told, self.saving], **PROMPT)
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

    def _endpoint(self) -> Callable[..., Iterator[Answer]]:
        """For programs: MCP tools can have no state among their outputs."""

        def compare(photo: Photo, detail: float, degradation: str = "bicubic") -> Iterator[Answer]:
            """For programs.

            Args:
                photo: Address of the photo, or the photo itself as a data URL (data:image/jpeg;base64,…).
                detail: From 0, the most exact pixels, to 1, the crispest texture.
                degradation: How the photo is shrunk: bicubic; camera, with blur, noise and JPEG; web, with JPEG.
            """
            yield from self._told(self.answers(photo, detail, degradation), "PNG")

        def upscale(
            photo: Photo,
            detail: float,
            part: str = "",
            condition: str = MEASURE,
            halve: bool = False,
            models: Sequence[str] = (),
            save_as: str = "PNG",
        ) -> Iterator[Answer]:
            """For programs.

            Args:
                photo: Address of the photo, or the photo itself as a data URL (data:image/jpeg;base64,…).
                detail: From 0, the most exact pixels, to 1, the crispest texture.
                part: Left, top, right, bottom in pixels; empty for all that does not take long, or the middle.
                condition: Of the photo: clean, damaged (by noise or JPEG), or measure to have it found out.
                halve: Whether to halve the photo first, as it was enlarged before.
                models: Which ones enlarge it; all by default.
                save_as: PNG, without loss, with the photo's bits and transparency; JPEG or WebP.
            """
            yield from self._told(self.answers(photo, detail, part, condition, halve, models), save_as)

        return upscale if self.job.has_parts else compare

    def _told(self, answers: Iterator[Answer], save_as: str) -> Iterator[Answer]:
        """The answers with the files that are saved in place of the result."""
        for figures, words, result in answers:
            with refusing():
                files = self.saved(result, save_as) if figures else {}
            yield figures, *(files.get(name) for name in self.job.saved), words

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
        yield figures, add_notes(self.job.tell(figures)[0], result.notes), result

    def chosen(self, settings: Sequence[Any]) -> set[str]:
        """The models that are asked for by the values of the settings."""
        return set(settings[-1]) if self.job.has_parts else {*self.studio.models}

    def saved(self, result: Result, save_as: str) -> Paths:
        """The files of the pictures that there are so far, by the pictures' names; errors as of `save`."""
        shown = {name: result.paths[name] for name in self.job.saved if name in result.paths}
        if not self.job.has_parts:
            return shown
        how = {name: model.weights(result.detail, damaged=result.damaged) for name, model in self.studio.models.items()}
        return save(shown, result.files, result.stem, how, save_as)

    def offer(self, result: Result, save_as: str) -> Answer:
        """The buttons that save what there is so far; why there are none."""
        files, told = {}, ""
        try:
            with refusing():
                files = self.saved(result, save_as)
        except gr.Error as error:
            told = error.message
        buttons = (
            gr.DownloadButton(value=files.get(name), visible=name in files, interactive=True) for name in self.job.saved
        )
        return *buttons, told, gr.Column(visible=bool(result.paths))

    def _if_open(self) -> str:
        """JavaScript that keeps `adopt` from what it would take if another tab is the one of the address.

        Gradio opens the first tab before the one of the address.
        """
        addresses = ["", f"#{self.job.title.lower()}"]
        return f"(kept, ...rest) => [{addresses}.includes(location.hash) ? kept : null, ...rest]"

    def forget(self, visit: Visit) -> dict[str, Any]:
        """Keep nothing of a photo that is removed."""
        visit.photo = None
        return self.keep()

    def keep(self, *job: Any) -> dict[str, Any]:
        """What the browser keeps of a job, for the other tab and for when the page is loaded again."""
        return {"tab": self.job.title, "job": job}

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
                            if title == self.job.title:
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
        table = self.job.tell(result.figures)[1]
        if self.studio.has_dial:
            table = f"With detail at {result.detail:g}:\n\n{table}"
        told = DOUBT if "doubt" in result.paths else ""
        return table, told, gr.skip(), gr.Column(visible=True)  # the stage follows the result by itself

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
        told, table = self.job.tell(result.figures)
        headline, sentence = told.removeprefix("## ").split("\n", 1)
        maps = [DOUBT] * ("doubt" in result.paths) + [MAPS] * ("map" in result.paths)
        rows = "\n\n".join([*maps, f"With detail at {result.detail:g}:", table, *result.notes])
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

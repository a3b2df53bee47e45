"""A tab of the page where one photo goes in, and figures and pictures come out, step by step."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from ..evaluation.plots import hardest_crop
from ..evaluation.study import finite
from ..images.reading import EXAMPLES, write_image
from ..images.resize import SCALE
from .controls import (
    FAILED,
    MODELS,
    PRIVATE,
    PROMPT,
    QUIET,
    STOPPED,
    Answer,
    Visit,
    add_controls,
    check_detail,
)
from .failures import DELETED, failure, refusing
from .jobs import Box, Figures, Step, Studio
from .listeners import heard
from .uploads import make_folder
from .wording import WORKING, label, tell_maps, tell_progress
from .zero_gpu import on_gpu

CACHED_RESULTS = 32
CLOSE = 96

WAITING = "## Your result appears here\nClick an animal, or drop a photo of your own."
SCROLL = """(...inputs) => {
    const shown = [...document.querySelectorAll(".result")].find(element => element.offsetParent)
    shown?.scrollIntoView({behavior: "smooth", block: "nearest"})
    return inputs
}"""

Photo = dict[str, Any] | None
Paths = dict[str, str]
Crops = list[tuple[Image.Image, str]]


@dataclass(frozen=True)
class Job:
    """What a tab does with one photo.

    Attributes:
        title: of the tab and its button; in lower case, of the endpoint.
        hint: what happens, for the visitor.
        description: what the endpoint does and answers, for programs.
        work: the steps.
        tell: the figures as a verdict and a table.
        ways: the pictures that are shown and saved.
        maps: those that are shown only.
        detail: where the dial stands at first.
    """

    title: str
    hint: str
    description: str
    work: Callable[[Path, float], Iterator[Step]]
    tell: Callable[[Figures], tuple[str, str]]
    ways: tuple[str, ...]
    maps: tuple[str, ...]
    detail: float


class Result(NamedTuple):
    """What a job has given so far: pictures by their way; with the last, the figures and the detail that was asked."""

    paths: Paths
    figures: Figures | None = None
    detail: float = 0


def asked(photo: Photo, detail: float) -> tuple[str | None, float]:
    """A job by its inputs, as the page sends them."""
    return (photo["path"] if photo else None), detail


def show_pair(result: Result, left: str, right: str) -> tuple[str, str] | None:
    """The two pictures for the slider; while they are still to come, the best there are."""
    if not (paths := result.paths):
        return None
    shown = [paths.get(side) or paths[[way for way in paths if way != "small"][-1]] for side in (left, right)]
    if not all(Path(path).exists() for path in shown):
        raise failure(DELETED)
    return shown[0], shown[1]


def around(centre: Sequence[int], size: tuple[int, int]) -> Box:
    """The square of `CLOSE` pixels around a place, moved inside the picture and to multiples of 4."""
    left, top = (
        max(0, min(place - CLOSE // 2, side - CLOSE)) // SCALE * SCALE for place, side in zip(centre, size, strict=True)
    )
    return left, top, min(left + CLOSE, size[0]), min(top + CLOSE, size[1])


def triple(crop: Image.Image) -> Image.Image:
    """Each pixel as 3 x 3, to be seen as it is."""
    return crop.resize((3 * crop.width, 3 * crop.height), Image.Resampling.NEAREST)


def close_up(paths: Paths, box: Box) -> Crops:
    """What all ways make of a part of the photo."""
    found = []
    for way, path in paths.items():
        if way not in ("small", "map") and not way.startswith("error_"):
            with refusing(), Image.open(path) as image:
                found.append((triple(image.crop(box)), label(way)))
    return found


def add_photo_tab(studio: Studio, job: Job) -> None:
    """A tab where a photo goes in, and figures and pictures come out."""
    with gr.Tab(job.title):
        gr.Markdown(job.hint)
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                photo = gr.Image(
                    label="Your photo",
                    type="filepath",
                    image_mode=None,
                    format="png",
                    height=260,
                    alt_text="Your photo",
                )
                detail, button, stop = add_controls(studio, job.title, job.detail)
                examples = gr.Examples(sorted(map(str, EXAMPLES.glob("*.png"))), photo, label="Or click an animal")
            with gr.Column(scale=3, min_width=280, elem_classes="result"):
                verdict = gr.Markdown(WAITING)
                slider = gr.ImageSlider(
                    label="Before and after", show_label=False, format="png", interactive=False, buttons=["fullscreen"]
                )
                with gr.Column(visible=False) as details:
                    choices = [(label(way), way) for way in (*job.ways, *job.maps)]
                    with gr.Row():
                        left = gr.Dropdown(choices, value="bicubic", label="Left", filterable=False, min_width=120)
                        right = gr.Dropdown(choices, value="dogs", label="Right", filterable=False, min_width=120)
                    legend = gr.Markdown(tell_maps(()), elem_classes="footnote", visible=bool(job.maps))
                    rows = gr.Markdown(elem_classes="figures")
                    with gr.Row():
                        target = gr.Image(
                            label="Click where to look closer",
                            interactive=False,
                            format="png",
                            buttons=[],
                            min_width=240,
                            alt_text="Your photo, to be clicked on",
                        )
                        closer = gr.Gallery(
                            label="Closer",
                            columns=2,
                            height=360,
                            format="png",
                            interactive=False,
                            buttons=[],
                            min_width=240,
                        )
                    with gr.Row():
                        downloads = [gr.DownloadButton(f"Save {way}", size="sm", min_width=120) for way in job.ways]
                    with gr.Accordion("All figures", open=False):
                        figures = gr.JSON(label="Figures", show_label=False)
    visit = gr.State(Visit())
    result = gr.State(Result({}))
    box = gr.State(None)
    cached: OrderedDict[tuple[str, ...], tuple[Figures, Paths]] = OrderedDict()
    work = on_gpu(job.work)
    look_closer = on_gpu(studio.peek)

    def answers(photo: Photo, detail: float) -> Iterator[Answer]:
        if not photo or not photo["path"]:
            raise failure("Choose a photo first, or click an animal.")
        check_detail(detail)
        path = Path(photo["path"])
        with refusing():
            key = (path.stem, sha256(path.read_bytes()).hexdigest(), f"{detail:g}")
            found, saved = cached.get(key, ({}, {}))
            if saved and all(Path(file).exists() for file in saved.values()):
                for file in saved.values():
                    Path(file).touch()  # to be kept from now on
            else:
                started, folder, saved = time.monotonic(), make_folder(), {}
                for step in heard(work(path, detail)):
                    new = [way for way in step.pictures if way not in saved]
                    for way in new:
                        saved[way] = str(folder / f"{path.stem}-{way}.png")
                        write_image(step.pictures[way], Path(saved[way]))
                    progress = tell_progress(step, time.monotonic() - started)
                    # Not gr.skip(), after which Gradio keeps a component for good with each answer.
                    yield None, *[None] * len(job.ways), progress, Result(dict(saved)) if new else gr.skip()
                found = finite(step.figures)
                cached[key] = found, saved
                if len(cached) > CACHED_RESULTS:
                    cached.popitem(last=False)
        yield found, *(saved[way] for way in job.ways), job.tell(found)[0], Result(saved, found, detail)

    def answer(photo: Photo, detail: float) -> Iterator[Answer]:
        """For programs: MCP tools can have no state among their outputs.

        Args:
            photo: Address of the photo, or the photo itself as a data URL (data:image/jpeg;base64,…).
            detail: From 0, the most exact pixels, to 1, the crispest texture.
        """
        for *step, _ in answers(photo, detail):
            yield tuple(step)

    answer.__name__ = job.title.lower()  # what MCP calls the tool

    def nothing(words: str) -> Answer:
        return None, *[None] * len(job.ways), words, Result({})

    def run(photo: Photo, detail: float, visit: Visit) -> Iterator[Answer]:
        yield from visit.follow(asked(photo, detail), answers(photo, detail), nothing)

    def show(result: Result, box: Box | None, left: str, right: str) -> Any:
        if result.figures is None:
            return gr.skip()
        target = result.paths.get("original", result.paths["bicubic"])
        if box is None:
            with refusing(), Image.open(target) as image:
                hardest = hardest_crop(image.convert("RGB"), CLOSE)
                box = around([(hardest[i] + hardest[i + 2]) // 2 for i in (0, 1)], image.size)
        table = job.tell(result.figures)[1]
        if studio.has_dial:
            table = f"With detail at {result.detail:g}:\n\n{table}"
        pair = show_pair(result, left, right)
        return table, pair, gr.Column(visible=True), target, box, close_up(result.paths, box)

    def clear() -> Answer:
        return None, gr.Column(visible=False), Result({})

    def begin(photo: Photo, detail: float, visit: Visit) -> Answer:
        return visit.ask(asked(photo, detail), WORKING), *clear()

    def halt(told: str, visit: Visit) -> Any:
        return (visit.ask(None, STOPPED), *clear()) if told.startswith(WORKING) else gr.skip()

    def require(photo: Photo, detail: float, visit: Visit) -> None:
        """The dial may be moved before there is a photo, and is said to be when the Tab key passes it."""
        if not photo or visit.job == asked(photo, detail):
            raise gr.Error(visible=False, print_exception=False)

    def look(result: Result, event: gr.SelectData) -> Any:
        if "bicubic" not in result.paths:
            return gr.skip()
        with refusing(), Image.open(result.paths["bicubic"]) as image:
            box = around(event.index, image.size)
        return box, close_up(result.paths, box)

    def peek(result: Result, box: Box | None, detail: float) -> Crops:
        """The models' crops at another detail, at once; the whole photo follows."""
        check_detail(detail)
        if box is None or "small" not in result.paths:
            return []
        with refusing(), Image.open(result.paths["small"]) as small:
            new = look_closer(small.convert("RGB"), box, detail)
        shown = close_up(result.paths, box)
        return [(triple(new[name.lower()]) if name.lower() in new else crop, name) for crop, name in shown]

    begun_outputs = [verdict, slider, details, result]
    # Not preprocessed: Gradio would open the file itself and stop at a damaged one with a traceback.
    gr.State().change(  # which never happens
        answer,
        [photo, detail],
        [figures, *downloads, verdict],
        api_name=job.title.lower(),
        api_description=job.description,
        preprocess=False,
        **MODELS,
    )
    asks = [photo, detail, visit]
    photo.change(lambda: None, None, box, **QUIET)
    moved = detail.release(require, asks, None, preprocess=False, **QUIET)
    for trigger in (button.click, photo.upload, moved.success, examples.load_input_event.then):
        begun = trigger(begin, asks, begun_outputs, js=SCROLL, preprocess=False, **PROMPT)
        done = begun.success(
            run,
            asks,
            [figures, *downloads, verdict, result],
            api_visibility="private",
            preprocess=False,
            show_progress="minimal",
            show_progress_on=verdict,
            trigger_mode="always_last",
            **MODELS,
        )
        done.success(show, [result, box, left, right], [rows, slider, details, target, box, closer], **QUIET)
        for event in (begun, done):
            event.failure(lambda: (FAILED, *clear()), None, begun_outputs, **QUIET)
    stop.click(halt, [verdict, visit], begun_outputs, **QUIET)
    gr.on([left.input, right.input, result.change], show_pair, [result, left, right], slider, **PROMPT)
    gr.on([left.input, right.input], lambda *ways: tell_maps(ways), [left, right], legend, **QUIET)
    target.select(look, result, [box, closer], **PROMPT)
    detail.input(
        peek,
        [result, box, detail],
        closer,
        trigger_mode="always_last",
        concurrency_id="peek",
        **PRIVATE,
    )

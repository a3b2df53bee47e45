"""A tab of the page where one photo goes in, and figures and pictures come out, step by step."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from .evaluation import finite
from .figures import hardest_crop
from .generator import SCALE
from .images import EXAMPLES, write_image
from .page import (
    MODELS,
    QUIET,
    STOPPED,
    Answer,
    add_controls,
    check_detail,
    failure,
    make_folder,
    refusing,
    unless_stopped,
)
from .studio import Box, Figures, Step, Studio
from .wording import label, tell_maps, tell_progress
from .zero_gpu import on_gpu

CACHED_RESULTS = 32
CLOSE = 96

WAITING = "## Your result appears here\nClick an animal, or drop a photo of your own."
WORKING = "## Working on it …"
FAILED = "## No result\nTry another photo."
SCROLL = """() => {
    const shown = [...document.querySelectorAll(".result")].find(element => element.offsetParent)
    shown?.scrollIntoView({behavior: "smooth", block: "nearest"})
    return []
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


def show_pair(paths: Paths, left: str, right: str) -> tuple[str, str] | None:
    """The two pictures for the slider; while they are still to come, the best there are."""
    if not paths:
        return None
    shown = [paths.get(side) or paths[[way for way in paths if way != "small"][-1]] for side in (left, right)]
    if not all(Path(path).exists() for path in shown):
        raise failure("The pictures were deleted after an hour; start again.")
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


def close_up(paths: Paths, box: Box | None) -> Crops:
    """What all ways make of a part of the photo."""
    if box is None or not all(Path(path).exists() for path in paths.values()):
        return []
    found = []
    for way, path in paths.items():
        if way not in ("small", "map") and not way.startswith("error_"):
            with Image.open(path) as image:
                found.append((triple(image.crop(box)), label(way)))
    return found


def add_photo_tab(studio: Studio, job: Job, made: set[str]) -> None:
    """A tab where a photo goes in, and figures and pictures come out; the files it writes are added to `made`."""
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
    paths = gr.State({})
    box = gr.State(None)
    cached: OrderedDict[tuple[str, ...], tuple[Figures, Paths]] = OrderedDict()

    @on_gpu
    def run(photo: Photo, detail: float) -> Iterator[Answer]:
        if not photo or not photo["path"]:
            raise failure("Choose a photo first, or click an animal.")
        check_detail(detail)
        path = Path(photo["path"])
        key = (path.stem, sha256(path.read_bytes()).hexdigest(), f"{detail:g}")
        result, saved = cached.get(key, ({}, {}))
        if not saved or not all(Path(file).exists() for file in saved.values()):
            started, folder, saved = time.monotonic(), make_folder(), {}
            with refusing():
                for step in job.work(path, detail):
                    new = [way for way in step.pictures if way not in saved]
                    for way in new:
                        saved[way] = str(folder / f"{path.stem}-{way}.png")
                        write_image(step.pictures[way], Path(saved[way]))
                    made.update(saved.values())
                    progress = tell_progress(step, time.monotonic() - started)
                    # Not gr.skip(), after which Gradio keeps a component for good with each answer.
                    yield None, *[None] * len(job.ways), progress, dict(saved) if new else gr.skip()
            result = finite(step.figures)
            cached[key] = result, saved
            if len(cached) > CACHED_RESULTS:
                cached.popitem(last=False)
        yield result, *(saved[way] for way in job.ways), job.tell(result)[0], saved

    def answer(photo: Photo, detail: float) -> Iterator[Answer]:
        """For programs: MCP tools can have no state among their outputs.

        Args:
            photo: Address of the photo, or the photo itself as a data URL (data:image/jpeg;base64,…).
            detail: From 0, the most exact pixels, to 1, the crispest texture.
        """
        for *step, _ in run(photo, detail):
            yield tuple(step)

    answer.__name__ = job.title.lower()  # what MCP calls the tool

    def show(figures: Figures, paths: Paths, left: str, right: str) -> Answer:
        target = "original" if "original" in paths else "bicubic"
        with Image.open(paths[target]) as image:
            hardest = hardest_crop(image.convert("RGB"), CLOSE)
            box = around([(hardest[i] + hardest[i + 2]) // 2 for i in (0, 1)], image.size)
        table, pair = job.tell(figures)[1], show_pair(paths, left, right)
        return table, pair, gr.Column(visible=True), paths[target], box, close_up(paths, box)

    def clear() -> Answer:
        return None, gr.Column(visible=False), {}

    def hide(words: str) -> Callable[[], Answer]:
        return lambda: (words, *clear())

    def require(photo: Photo) -> None:
        """The dial may be moved, or passed by the Tab key, before there is a photo."""
        if not photo:
            raise gr.Error(visible=False, print_exception=False)

    def look(paths: Paths, event: gr.SelectData) -> Answer:
        with Image.open(paths["bicubic"]) as image:
            box = around(event.index, image.size)
        return box, close_up(paths, box)

    def peek(paths: Paths, box: Box | None, detail: float) -> Crops:
        """The models' crops at another detail, at once; the whole photo follows."""
        check_detail(detail)
        if not (shown := close_up(paths, box)) or box is None:
            return []
        with refusing(), Image.open(paths["small"]) as small:
            new = studio.peek(small.convert("RGB"), box, detail)
        return [(triple(new[name.lower()]) if name.lower() in new else crop, name) for crop, name in shown]

    begun_outputs = [verdict, slider, details, paths]
    jobs = []
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
    moved = detail.release(require, photo, None, preprocess=False, **QUIET)
    for trigger in (button.click, photo.upload, moved.success, examples.load_input_event.then):
        begun = trigger(hide(WORKING), None, begun_outputs, js=SCROLL, **QUIET)
        done = begun.then(
            run,
            [photo, detail],
            [figures, *downloads, verdict, paths],
            api_visibility="private",
            preprocess=False,
            show_progress="minimal",
            show_progress_on=verdict,
            trigger_mode="always_last",
            **MODELS,
        )
        done.success(show, [figures, paths, left, right], [rows, slider, details, target, box, closer], **QUIET)
        done.failure(None, verdict, verdict, js=unless_stopped(FAILED), **QUIET)
        done.failure(clear, None, begun_outputs[1:], **QUIET)
        jobs.append(done)
    # Then, not at once: what is under way may still arrive while the jobs are being cancelled.
    stop.click(None, cancels=jobs, **QUIET).then(hide(STOPPED), None, begun_outputs, **QUIET)
    gr.on([left.input, right.input, paths.change], show_pair, [paths, left, right], slider, **QUIET)
    gr.on([left.input, right.input], lambda *ways: tell_maps(ways), [left, right], legend, **QUIET)
    target.select(look, paths, [box, closer], **QUIET)
    detail.input(
        peek,
        [paths, box, detail],
        closer,
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="always_last",
        **MODELS,
    )

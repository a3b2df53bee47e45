"""The tab of the page where many photos go in: a verdict with its interval, a chart, a gallery and a zip come out."""

import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ..evaluation.plots import draw_differences
from ..evaluation.study import LEAST_PHOTOS, Evaluation, Scores
from ..images.reading import EXAMPLES, MAX_PIXELS, find_images, write_image
from .controls import QUIET, SCROLL, Answer, Visit, Work, add_controls, check_detail
from .failures import failure, refusing
from .jobs import Step, Studio
from .limits import MAX_MEGABYTES, MOST_PHOTOS
from .listeners import heard
from .uploads import make_folder
from .wording import INTERVAL, NUMBERS, explained, tell_batch, tell_progress
from .zero_gpu import on_gpu

HINT = explained(
    f"Which model does better on your photos? Drop {LEAST_PHOTOS} to {MOST_PHOTOS} of them.",
    f"""On a single photo one model may win by chance; over many it shows which is better. Fewer than {LEAST_PHOTOS}
give figures, but no verdict. Each may have {MAX_MEGABYTES} MB and {MAX_PIXELS / 1e6:g} megapixels.""",
)
EXAMPLE = f"Or just try it: a verdict takes {LEAST_PHOTOS}"
WAITING = "## Your result appears here\nDrop some photos."
DESCRIPTION = f"""Compare the models on up to {MOST_PHOTOS} photos. Answers the verdict in words, a chart of the
differences of PSNR photo by photo, each photo by the Dogs model, a zip of all pictures with the metrics of each photo
as CSV, and the tables."""

Photos = list[dict[str, Any]] | None


class Collected:
    """What the photos of a batch have given so far, in a folder and its zip."""

    def __init__(self, ways: tuple[str, ...]) -> None:
        self.folder = make_folder()
        self.archive = self.folder / "sharper-animals.zip"
        self.names: list[str] = []
        self.shown: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self.scores: dict[str, list[Scores]] = {way: [] for way in ways}

    def add(self, photo: Path, step: Step, zipped: zipfile.ZipFile) -> None:
        """Take what a photo's last step has."""
        if step.problem:
            self.problems.append(step.problem)
        if not step.figures:
            return
        name = f"{len(self.names) + len(self.problems) + 1:02d}-{photo.stem}"
        for way, picture in step.results.items():
            self.scores[way].append(step.figures[way])
            if way != "bicubic":
                path = self.folder / f"{name}-{way}.png"
                write_image(picture, path)
                zipped.write(path, path.name)
        self.names.append(name)
        self.shown.append((str(self.folder / f"{name}-dogs.png"), name))

    def finish(self, zipped: zipfile.ZipFile) -> tuple[Evaluation, Path]:
        """The figures over all photos, and a chart of them."""
        evaluation = Evaluation(self.names, self.scores, [("mixed", "dogs")])
        chart = self.folder / "differences.png"
        draw_differences(evaluation, chart)
        zipped.write(chart, chart.name)
        zipped.writestr("scores.csv", evaluation.csv())
        return evaluation, chart


class BatchTab:
    """The tab: made inside a page's blocks, it adds itself to them."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        # A GPU is lent for a photo at a time: what is finished stays when it is not lent any longer.
        self.work = partial(studio.batch, compare=on_gpu(studio.compare, studio.compared_pixels))
        with gr.Tab("Batch"):
            gr.Markdown(HINT)
            with gr.Row():
                with gr.Column(scale=2, min_width=280):
                    self.photos = gr.File(label="Your photos", file_count="multiple", height=260, elem_classes="drop")
                    self.detail, self.button, self.stop = add_controls(studio, "Compare all", 0)
                    bundled = [str(path) for path in find_images(EXAMPLES)]
                    name = f"The {len(bundled)} animals of this page"
                    gr.Examples([[bundled]], self.photos, label=EXAMPLE, example_labels=[name])
                with gr.Column(scale=3, min_width=280, elem_classes="result"):
                    self._add_outputs()
        self._wire()

    def _add_outputs(self) -> None:
        self.verdict = gr.Markdown(WAITING, label="Verdict", elem_classes="verdict")
        self.so_far = gr.Gallery(label="Dogs, so far", columns=3, format="png", interactive=False, visible=False)
        with gr.Column(visible=False) as self.details:
            self.chart = gr.Image(
                label="Photo by photo",
                format="png",
                interactive=False,
                buttons=["download", "fullscreen"],
                alt_text="Chart",
            )
            self.gallery = gr.Gallery(label="Dogs", columns=3, format="png", interactive=False)
            self.archive = gr.DownloadButton("Save all pictures and figures (zip)")
            self.tables = gr.Markdown(label="Tables", elem_classes="figures")
            gr.Markdown(explained("What these numbers mean", f"{INTERVAL}\n\n{NUMBERS}"), elem_classes="footnote")
        self.finished = gr.State([])

    def _wire(self) -> None:
        told = [self.verdict, self.chart, self.gallery, self.archive, self.tables]
        begins = {self.details: lambda *_: gr.Column(visible=False), self.finished: lambda *_: []}
        work = Work(
            [self.photos, self.detail],
            self.answers,
            [*told, self.details, self.finished],
            self.nothing,
            self.verdict,
            begins,
        )
        work.expose(self._endpoint(), told, DESCRIPTION)
        for done in work.wire({self.button.click: SCROLL}, [self.stop.click, self.photos.clear], gr.State(Visit())):
            done.success(self.describe, self.verdict, self.chart, **QUIET)
        self.finished.change(lambda shown: gr.Gallery(shown, visible=bool(shown)), self.finished, self.so_far, **QUIET)

    @staticmethod
    def describe(told: str) -> gr.Image:
        """The chart in words, for who does not see it: the verdict's sentence below its headline."""
        return gr.Image(alt_text="".join(told.splitlines()[1:2]))

    def _endpoint(self) -> Any:
        def batch(photos: Photos, detail: float) -> Iterator[Answer]:
            yield from (answer[:-2] for answer in self.answers(photos, detail))

        batch._mcp_type = "none"  # type: ignore[attr-defined]  # Gradio's MCP tools take no lists of files
        return batch

    def nothing(self, words: str, shown: Any = None) -> Answer:
        """An answer without results; what is finished goes on being shown if nothing else is."""
        return words, None, None, None, None, gr.Column(visible=False), gr.skip() if shown is None else shown

    def answers(self, photos: Photos, detail: float) -> Iterator[Answer]:
        """What the tab shows of each step."""
        check_detail(detail)
        paths = [Path(photo["path"]) for photo in photos or []]
        if not 0 < len(paths) <= MOST_PHOTOS:
            raise failure(f"{len(paths)} photos: choose 1 to {MOST_PHOTOS}.")
        started, found = time.monotonic(), Collected(self.studio.ways)
        with refusing(), zipfile.ZipFile(found.archive, "w") as zipped:
            for photo, step in heard(self.work(paths, detail)):
                found.add(photo, step, zipped)
                yield self.nothing(tell_progress(step, time.monotonic() - started), list(found.shown))
            if not found.names:
                raise failure(" ".join(found.problems[:3]))
            evaluation, chart = found.finish(zipped)
        told, rows = tell_batch(evaluation, found.problems)
        yield told, str(chart), found.shown, str(found.archive), rows, gr.Column(visible=True), []

"""The tab of the page where many photos go in: a verdict with its interval, a chart, a gallery and a zip come out."""

import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ..evaluation.plots import draw_differences
from ..evaluation.study import Evaluation, Scores
from ..images.reading import write_image
from .controls import FAILED, MODELS, PROMPT, QUIET, STOPPED, Answer, Visit, add_controls, check_detail
from .failures import failure, refusing
from .jobs import Studio
from .listeners import heard
from .uploads import make_folder
from .wording import WORKING, tell_batch, tell_progress
from .zero_gpu import on_gpu

MOST_PHOTOS = 50
HINT = f"The research question, on your own photos: does the specialist win? Up to {MOST_PHOTOS} photos."
WAITING = "## Your result appears here\nDrop some photos."
DESCRIPTION = f"""Compare the models on up to {MOST_PHOTOS} photos. Answers the verdict in words, a chart of the
differences of PSNR photo by photo, each photo by the Dogs model, a zip of all pictures with the metrics of each photo
as CSV, and the tables."""

Photos = list[dict[str, Any]] | None


def asked(photos: Photos, detail: float) -> tuple[tuple[str, ...], float]:
    """A job by its inputs, as the page sends them."""
    return tuple(photo["path"] for photo in photos or []), detail


def add_batch_tab(studio: Studio) -> None:
    """Add it to the page."""
    with gr.Tab("Batch"):
        gr.Markdown(HINT)
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                photos = gr.File(label="Your photos", file_count="multiple", height=260)
                detail, button, stop = add_controls(studio, "Compare all", 0)
            with gr.Column(scale=3, min_width=280, elem_classes="result"):
                verdict = gr.Markdown(WAITING)
                so_far = gr.Gallery(label="Dogs, so far", columns=3, format="png", interactive=False, visible=False)
                with gr.Column(visible=False) as details:
                    chart = gr.Image(
                        label="Photo by photo",
                        format="png",
                        interactive=False,
                        buttons=["download", "fullscreen"],
                        alt_text="Chart",
                    )
                    gallery = gr.Gallery(label="Dogs", columns=3, format="png", interactive=False)
                    archive = gr.DownloadButton("Save all pictures and figures (zip)")
                    tables = gr.Markdown(elem_classes="figures")
    finished = gr.State([])
    visit = gr.State(Visit())
    work = on_gpu(studio.batch)

    def unfinished(words: str, shown: Any) -> Answer:
        return words, None, None, None, None, gr.Column(visible=False), shown

    def answers(photos: Photos, detail: float) -> Iterator[Answer]:
        check_detail(detail)
        paths = [Path(photo["path"]) for photo in photos or [] if photo["path"]]
        if not 0 < len(paths) <= MOST_PHOTOS:
            raise failure(f"{len(paths)} photos: choose 1 to {MOST_PHOTOS}.")
        started, folder = time.monotonic(), make_folder()
        chart_file, zip_file = folder / "differences.png", folder / "sharper-animals.zip"
        names: list[str] = []
        shown: list[tuple[str, str]] = []
        problems: list[str] = []
        scores: dict[str, list[Scores]] = {way: [] for way in ("bicubic", *studio.models)}
        with refusing(), zipfile.ZipFile(zip_file, "w") as zipped:
            for photo, step in heard(work(paths, detail)):
                if step.problem:
                    problems.append(step.problem)
                if step.figures:
                    names.append(f"{len(names) + len(problems) + 1:02d}-{photo.stem}")
                    for way in studio.models:
                        path = folder / f"{names[-1]}-{way}.png"
                        write_image(step.pictures[way], path)
                        zipped.write(path, path.name)
                    shown.append((str(folder / f"{names[-1]}-dogs.png"), names[-1]))
                    for way, found in scores.items():
                        found.append(step.figures[way])
                yield unfinished(tell_progress(step, time.monotonic() - started), list(shown))
            if not names:
                raise failure(" ".join(problems[:3]))
            evaluation = Evaluation(names, scores, [("mixed", "dogs")])
            draw_differences(evaluation, chart_file)
            zipped.write(chart_file, chart_file.name)
            zipped.writestr("scores.csv", evaluation.csv())
        told, rows = tell_batch(evaluation, problems)
        yield told, str(chart_file), shown, str(zip_file), rows, gr.Column(visible=True), []

    def batch(photos: Photos, detail: float) -> Iterator[Answer]:
        for *step, _, _ in answers(photos, detail):
            yield tuple(step)

    batch._mcp_type = "none"  # type: ignore[attr-defined]  # Gradio's MCP tools take no lists of files

    def run(photos: Photos, detail: float, visit: Visit) -> Iterator[Answer]:
        # What is finished goes on being shown when a job is stopped; before a new one it was hidden.
        yield from visit.follow(asked(photos, detail), answers(photos, detail), partial(unfinished, shown=gr.skip()))

    def begin(photos: Photos, detail: float, visit: Visit) -> Answer:
        return visit.ask(asked(photos, detail), WORKING), gr.Column(visible=False), []

    def halt(told: str, visit: Visit) -> Any:
        return visit.ask(None, STOPPED) if told.startswith(WORKING) else gr.skip()

    gr.State().change(  # which never happens
        batch,
        [photos, detail],
        [verdict, chart, gallery, archive, tables],
        api_name="batch",
        api_description=DESCRIPTION,
        preprocess=False,
        **MODELS,
    )
    asks = [photos, detail, visit]
    begun = button.click(begin, asks, [verdict, details, finished], preprocess=False, **PROMPT)
    done = begun.success(
        run,
        asks,
        [verdict, chart, gallery, archive, tables, details, finished],
        api_visibility="private",
        preprocess=False,
        show_progress="minimal",
        show_progress_on=verdict,
        trigger_mode="always_last",
        **MODELS,
    )
    done.success(lambda told: gr.Image(alt_text=told.splitlines()[1]), verdict, chart, **QUIET)
    for event in (begun, done):
        event.failure(lambda: FAILED, None, verdict, **QUIET)
    finished.change(lambda shown: gr.Gallery(shown, visible=bool(shown)), finished, so_far, **QUIET)
    stop.click(halt, [verdict, visit], verdict, **QUIET)

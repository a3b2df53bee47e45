"""The page: compare two upscalers on a photo, or enlarge one.

python app.py [--port 7860] [--mixed SOURCE] [--dogs SOURCE]
"""

import argparse
import logging
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from esrgan import ImageError, WeightsError
from esrgan.evaluation import PROTOCOL
from esrgan.figures import draw_differences
from esrgan.images import write_image
from esrgan.studio import COMPARE_PIXELS, UPSCALE_PIXELS, WAYS, Figures, Pictures, Report, Studio, load_models
from esrgan.wording import tell_batch, tell_comparison, tell_upscale
from esrgan.zero_gpu import on_gpu

MAX_FILE_SIZE = "30mb"
KEPT_SECONDS = 3600
BATCH_PHOTOS = 50
QUEUE_LENGTH = 32

EXAMPLES = Path(__file__).parent / "esrgan" / "examples"
INTRO = """# Sharper animals
Two AI models enlarge animal photos 4 times. *Mixed* learned from many kinds of animals, *Dogs* from dogs alone.
Which one does better on your photo?"""
COMPARE_HINT = "Your photo is shrunk to a quarter of its width and height, and each model has to bring it back."
UPSCALE_HINT = "Your photo becomes 4 times as wide and as high, by each model."
BATCH_HINT = f"The research question, on your own photos: does the specialist win? Up to {BATCH_PHOTOS} photos."
DETAIL_HINT = "0: the most exact pixels, a little soft. 1: the crispest fur, partly invented."
MAP_LEGEND = "*Map: who is closer* colours your photo blue where Dogs came closer to it, orange where Mixed did."
WAITING = "## Your result appears here\nClick an animal, or drop a photo of your own."
WORKING = "## Working on it …"
FAILED = "## No result\nTry another photo."
ABOUT = f"""
**PSNR** says how close a picture comes to the original: how far its pixels are off on average, in decibels (dB). More
is better. One dB more is a fifth less squared error; less than 0.1 dB nobody sees. PSNR-Y looks at brightness alone, as
research papers do, PSNR-RGB at the colours too. **SSIM** compares structure; 1 is identical. **LPIPS**, where it is
shown, asks a network that knows photos how different two pictures look; less is better. **Bicubic** is enlargement
without AI: the mark to beat.

**Consistency** (*Upscale*): shrunk back, a result should be your photo again. A high number says that the model left
alone what your photo shows. Whether the detail it added is true, no number can say.

**How it is measured.** {PROTOCOL} Pictures are PNG throughout, without loss.

**Do not rely on added detail.** It is a guess, and proves nothing about an individual animal, an injury or a disease.
The models learned from a small stand-in for the photo collection of the research paper behind them.
"""
FOOTER = f"""PSNR-Y: 8-bit BT.601 luma, peak 255, 4 pixels shaved off each side, shrunk by Pillow's bicubic. \
Limits: {COMPARE_PIXELS / 1e6:g} megapixels to compare, {UPSCALE_PIXELS / 1e6:g} to upscale, {MAX_FILE_SIZE[:-2]} MB \
a file. Photos and results are deleted after an hour. Code and models: Apache 2.0. Examples: public domain or CC0."""

THEME = gr.themes.Default(primary_hue="emerald", neutral_hue="stone", font=["system-ui", "sans-serif"]).set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
)
SCROLL = """() => {
    const shown = [...document.querySelectorAll(".result")].find(element => element.offsetParent)
    shown?.scrollIntoView({behavior: "smooth", block: "nearest"})
    return []
}"""
CSS = """
.figures table {width: 100%; border: 0 !important; font-variant-numeric: tabular-nums}
.figures table tr {border: 0 !important}
.figures table :is(th, td) {border-width: 0 0 1px !important; border-color: var(--border-color-primary) !important;
    padding: 6px 8px !important; text-align: right; overflow-wrap: normal}
.figures table :is(th, td):first-child {text-align: left; padding-left: 0 !important}
.figures td + td {white-space: nowrap}
.footnote p {font-size: 0.9em}
"""

Work = Callable[[Path, float, Report], tuple[Figures, Pictures]]

logger = logging.getLogger("esrgan")


def make_folder() -> Path:
    """A new one where Gradio serves files from and deletes them in time."""
    cache = Path(get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache))


def save(pictures: Pictures, stem: str) -> dict[str, str]:
    """Write PNGs for the page to show; their paths."""
    folder = make_folder()
    paths = {way: folder / f"{stem}-{way}.png" for way in pictures}
    for way, picture in pictures.items():
        write_image(picture, paths[way])
    return {way: str(path) for way, path in paths.items()}


def failure(sentence: str) -> gr.Error:
    """What the page shows in its corner, and the API answers with."""
    return gr.Error(sentence, duration=30, print_exception=False)


def check_detail(detail: object) -> None:
    """Refuse what the API may send and the slider never does."""
    if not (isinstance(detail, int | float) and 0 <= detail <= 1):
        raise failure(f"Detail {detail!r}: must be a number from 0 to 1.")


def show_pair(paths: Mapping[str, str], left: str, right: str) -> tuple[str, str]:
    """The two pictures for the slider."""
    if not all(Path(paths[side]).exists() for side in (left, right)):
        raise failure("The pictures were deleted after an hour; start again.")
    return paths[left], paths[right]


def add_tab(
    title: str,
    hint: str,
    work: Work,
    tell: Callable[[Figures], tuple[str, str]],
    ways: Sequence[str],
    detail_at_first: float,
    has_dial: bool,
) -> None:
    """A tab where a photo goes in and figures and pictures come out; `title` names its endpoint too."""
    with gr.Tab(title):
        gr.Markdown(hint)
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
                detail = gr.Slider(0, 1, detail_at_first, step=0.05, label="Detail", info=DETAIL_HINT, visible=has_dial)
                button = gr.Button(title, variant="primary")
                examples = gr.Examples(sorted(map(str, EXAMPLES.glob("*.png"))), photo, label="Or click an animal")
            with gr.Column(scale=3, min_width=280, elem_classes="result"):
                verdict = gr.Markdown(WAITING)
                slider = gr.ImageSlider(
                    label="Before and after", show_label=False, format="png", interactive=False, buttons=["fullscreen"]
                )
                with gr.Column(visible=False) as details:
                    choices = [(WAYS[way], way) for way in ways]
                    with gr.Row():
                        left = gr.Dropdown(choices, value="bicubic", label="Left", filterable=False, min_width=120)
                        right = gr.Dropdown(choices, value="dogs", label="Right", filterable=False, min_width=120)
                    if "map" in ways:
                        gr.Markdown(MAP_LEGEND, elem_classes="footnote")
                    rows = gr.Markdown(elem_classes="figures")
                    with gr.Row():
                        downloads = [gr.DownloadButton(f"Save {way}", size="sm", min_width=120) for way in ways]
                    with gr.Accordion("All figures", open=False):
                        figures = gr.JSON(label="Figures", show_label=False)
    paths = gr.State({})

    @on_gpu
    def run(
        photo: dict[str, Any] | None,
        detail: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        if not photo or not photo["path"]:
            raise failure("Choose a photo first, or click an animal.")
        check_detail(detail)
        path = Path(photo["path"])
        try:
            result, pictures = work(path, detail, lambda done, text: progress(done, desc=text))
        except ImageError as error:
            raise failure(str(error)) from error
        saved = save(pictures, path.stem)
        return result, *saved.values(), saved

    def show(figures: Figures, paths: dict[str, str], left: str, right: str) -> tuple[Any, ...]:
        return *tell(figures), show_pair(paths, left, right), gr.Column(visible=True)

    def hide(words: str) -> Callable[[], tuple[Any, ...]]:
        return lambda: (words, None, gr.Column(visible=False))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    for trigger, visibility in (
        (button.click, "public"),
        (photo.upload, "private"),
        (detail.release, "private"),
        (examples.load_input_event.then, "private"),
    ):
        # Not preprocessed: Gradio would open the file itself and stop at a damaged one with a traceback.
        begun = trigger(hide(WORKING), None, [verdict, slider, details], js=SCROLL, **quiet)
        done = begun.then(
            run,
            [photo, detail],
            [figures, *downloads, paths],
            api_name=title.lower() if visibility == "public" else None,
            api_description=" ".join((work.__doc__ or "").split()),
            api_visibility=visibility,
            concurrency_limit=1,
            concurrency_id="models",
            preprocess=False,
            show_progress_on=slider,
            trigger_mode="always_last",
        )
        done.success(show, [figures, paths, left, right], [verdict, rows, slider, details], **quiet)
        done.failure(hide(FAILED), None, [verdict, slider, details], **quiet)
    gr.on([left.input, right.input], show_pair, [paths, left, right], slider, **quiet)


def add_batch_tab(studio: Studio, has_dial: bool) -> None:
    """A tab where many photos go in; a verdict with its interval, a chart, a gallery and a zip come out."""
    with gr.Tab("Batch"):
        gr.Markdown(BATCH_HINT)
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                photos = gr.File(label="Your photos", file_count="multiple", height=260)
                detail = gr.Slider(0, 1, 0, step=0.05, label="Detail", info=DETAIL_HINT, visible=has_dial)
                button = gr.Button("Compare all", variant="primary")
            with gr.Column(scale=3, min_width=280, elem_classes="result"):
                verdict = gr.Markdown("## Your result appears here\nDrop some photos.")
                with gr.Column(visible=False) as details:
                    chart = gr.Image(label="Photo by photo", format="png", interactive=False, alt_text="Chart")
                    gallery = gr.Gallery(label="Dogs", columns=3, format="png", interactive=False)
                    archive = gr.DownloadButton("Save all pictures and figures (zip)")
                    tables = gr.Markdown(elem_classes="figures")

    @on_gpu
    def batch(
        photos: list[dict[str, Any]] | None,
        detail: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        """Compare on many photos: PSNR, SSIM and the paired difference with its interval; a zip of PNGs and a CSV."""
        check_detail(detail)
        paths = [Path(photo["path"]) for photo in photos or [] if photo["path"]]
        if not 0 < len(paths) <= BATCH_PHOTOS:
            raise failure(f"{len(paths)} photos: choose 1 to {BATCH_PHOTOS}.")
        folder = make_folder()
        shown: list[tuple[str, str]] = []
        with zipfile.ZipFile(folder / "sharper-animals.zip", "w") as zipped:

            def keep(name: str, pictures: Pictures) -> None:
                for way in ("mixed", "dogs"):
                    path = folder / f"{name}-{way}.png"
                    write_image(pictures[way], path)
                    zipped.write(path, path.name)
                shown.append((str(path), name))

            try:
                evaluation, problems = studio.batch(paths, detail, keep, lambda done, text: progress(done, desc=text))
            except ImageError as error:
                raise failure(str(error)) from error
            draw_differences(evaluation, folder / "differences.png")
            zipped.write(folder / "differences.png", "differences.png")
            zipped.writestr("scores.csv", evaluation.csv())
        told, rows = tell_batch(evaluation, problems)
        results = (str(folder / "differences.png"), shown, str(folder / "sharper-animals.zip"), rows)
        return told, *results, gr.Column(visible=True)

    button.click(
        batch,
        [photos, detail],
        [verdict, chart, gallery, archive, tables, details],
        api_name="batch",
        concurrency_limit=1,
        concurrency_id="models",
        preprocess=False,
        show_progress_on=verdict,
    )


def build(studio: Studio, notes: Sequence[str] = ()) -> gr.Blocks:
    """The page; `notes` are shown on top."""
    with gr.Blocks(title="Sharper animals", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(INTRO)
        for note in notes:
            gr.Markdown(f"⚠️ {note}", elem_classes="note")
        has_dial = any(model.has_dial for model in studio.models.values())
        add_tab("Compare", COMPARE_HINT, studio.compare, tell_comparison, list(WAYS), 0, has_dial)
        results = [way for way in WAYS if way not in ("original", "map")]
        add_tab("Upscale", UPSCALE_HINT, studio.upscale, tell_upscale, results, 0.5, has_dial)
        add_batch_tab(studio, has_dial)
        with gr.Accordion("About the numbers and the models", open=False):
            gr.Markdown(ABOUT)
        gr.Markdown(FOOTER, elem_classes="footnote")
    return page.queue(max_size=QUEUE_LENGTH)


def main(arguments: list[str] | None = None) -> int:
    """Load the models and serve the page until stopped; the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = "model folder, .safetensors file, Hub id or bundled name (default: %(default)s)"
    for name in ("mixed", "dogs"):
        parser.add_argument(
            f"--{name}", metavar="SOURCE", default=os.environ.get(f"ESRGAN_{name.upper()}", name), help=source
        )
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=os.environ.get("GRADIO_SERVER_PORT", "7860"))
    options = parser.parse_args(arguments)
    try:
        models, notes = load_models({name: getattr(options, name) for name in ("mixed", "dogs")})
    except WeightsError as error:
        logger.error("%s", error)
        return 1
    for note in notes:
        logger.warning("%s", note)
    try:
        build(Studio(models), notes).launch(
            server_name=options.host,
            server_port=options.port,
            max_file_size=MAX_FILE_SIZE,
            allowed_paths=[str(EXAMPLES)],
            footer_links=["api", "settings"],
            run_history=False,
            enable_monitoring=False,
            theme=THEME,
            css=CSS,
        )
    except OSError:
        logger.error("%s:%d cannot be served on; choose another with --port.", options.host, options.port)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

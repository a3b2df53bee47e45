"""The page: compare two upscalers on a photo, or enlarge one.

python app.py [--port 7860] [--mixed SOURCE] [--dogs SOURCE]
"""

import argparse
import logging
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from esrgan import Generator, ImageError, Upscaler, WeightsError, metrics
from esrgan.evaluation import PROTOCOL, bicubic
from esrgan.generator import SCALE
from esrgan.images import crop_to_multiple, read_image, shrink, write_image

COMPARE_PIXELS = 4_000_000
UPSCALE_PIXELS = 1_000_000
MAX_FILE_SIZE = "30mb"
SMALLEST_SIDE = -(-metrics.SMALLEST // SCALE) * SCALE
KEPT_SECONDS = 3600
QUEUE_LENGTH = 32

EXAMPLES = Path(__file__).parent / "esrgan" / "examples"
WAYS = {"original": "Original", "bicubic": "Bicubic", "mixed": "Mixed", "dogs": "Dogs"}
COLUMNS = {"psnr_y": "PSNR-Y, dB", "psnr_rgb": "PSNR-RGB, dB", "ssim_y": "SSIM"}
SIZES = {1.0: "a large difference", 0.3: "a clear difference", 0.1: "a small difference", 0.0: "too little to see"}
AGREEMENTS = {40.0: "look the same", 32.0: "differ in fine detail only", -math.inf: "differ visibly"}

INTRO = """# Sharper animals
Two AI models enlarge animal photos 4 times. *Mixed* learned from many kinds of animals, *Dogs* from dogs alone.
Which one does better on your photo?"""
COMPARE_HINT = "Your photo is shrunk to a quarter of its width and height, and each model has to bring it back."
UPSCALE_HINT = "Your photo becomes 4 times as wide and as high, by each model."
WAITING = "## Your result appears here\nClick an animal, or drop a photo of your own."
WORKING = "## Working on it …"
FAILED = "## No result\nTry another photo."
ABOUT = f"""
**PSNR** says how close a picture comes to the original: how far its pixels are off on average, in decibels (dB). More
is better. One dB more is a fifth less squared error; less than 0.1 dB nobody sees. PSNR-Y looks at brightness alone, as
research papers do, PSNR-RGB at the colours too. **SSIM** compares structure; 1 is identical. **Bicubic** is enlargement
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

Report = Callable[[float, str], None]
Figures = dict[str, Any]
Pictures = dict[str, Image.Image]
Work = Callable[[Path, Report], tuple[Figures, Pictures]]

logger = logging.getLogger("esrgan")


class Studio:
    """What can be done with a photo, by bicubic and by each of `models`, which include `mixed` and `dogs`."""

    def __init__(self, models: Mapping[str, Upscaler]) -> None:
        self.models = models

    def compare(self, path: Path, report: Report) -> tuple[Figures, Pictures]:
        """Shrink a photo by 4, bring it back in every way, and measure each result against it.

        Returns:
            `psnr_y` and `psnr_rgb` in dB and `ssim_y` in -1..1, for each way and for `dogs_minus_mixed`; the pictures.
        """
        truth = crop_to_multiple(read_photo(path, COMPARE_PIXELS), SCALE)
        results = self._enlarge(shrink(truth, SCALE), report)
        report(1, "measuring")
        figures = {way: metrics.compare(result, truth) for way, result in results.items()}
        figures["dogs_minus_mixed"] = {key: figures["dogs"][key] - figures["mixed"][key] for key in COLUMNS}
        return finite(figures), {"original": truth, **results}

    def upscale(self, path: Path, report: Report) -> tuple[Figures, Pictures]:
        """Enlarge a photo by 4 in every way.

        Returns:
            `consistency`: how close each result, shrunk back, is to the photo; `mixed_against_dogs`: how close the
            results are to one another (metrics as in `compare`); the pictures.
        """
        photo = read_photo(path, UPSCALE_PIXELS)
        results = self._enlarge(photo, report)
        report(1, "measuring")
        consistency = {way: metrics.compare(shrink(result, SCALE), photo) for way, result in results.items()}
        agreement = metrics.compare(results["mixed"], results["dogs"])
        return finite({"consistency": consistency, "mixed_against_dogs": agreement}), results

    def _enlarge(self, image: Image.Image, report: Report) -> Pictures:
        results = {"bicubic": bicubic(image)}
        for i, (name, upscaler) in enumerate(self.models.items()):
            report(i / len(self.models), f"{WAYS[name]}: first tile")
            for done, count, pixels in upscaler.stream(image):
                report((i + done / count) / len(self.models), f"{WAYS[name]}: {done} of {count} tiles")
                if done == count:
                    results[name] = Image.fromarray(pixels)
        return results


def read_photo(path: Path, max_pixels: int) -> Image.Image:
    """The photo, large enough to be measured.

    Raises:
        ImageError: it cannot be read, or is too large or too small.
    """
    photo = read_image(path, path.name, max_pixels)
    if min(photo.size) < SMALLEST_SIDE:
        raise ImageError(
            f"{path.name}: {photo.width} x {photo.height} pixels are too few; "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE} is the least."
        )
    return photo


def finite(figures: Any) -> Any:
    """The same with None for what JSON cannot hold: an infinite PSNR, and the difference of two."""
    if isinstance(figures, dict):
        return {key: finite(value) for key, value in figures.items()}
    return figures if math.isfinite(figures) else None


def save(pictures: Pictures, stem: str) -> dict[str, str]:
    """Write PNGs where Gradio serves files from and deletes them in time; their paths."""
    cache = Path(get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=cache))
    paths = {way: folder / f"{stem}-{way}.png" for way in pictures}
    for way, picture in pictures.items():
        write_image(picture, paths[way])
    return {way: str(path) for way, path in paths.items()}


def rank(value: float | None) -> float:
    """To sort by: None, a perfect match, comes first."""
    return math.inf if value is None else value


def spell(key: str, value: float | None, sign: str = "") -> str:
    """A value as the page shows it; `sign` is "+" for a difference."""
    if value is None:
        return "undefined" if sign else "identical"
    digits = 4 if key == "ssim_y" else 2
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def table(figures: Mapping[str, Figures], difference: Figures | None = None) -> str:
    """Markdown: a row for each way, the best of each column in bold, then the difference."""
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    best = {key: spell(key, max((row[key] for row in figures.values()), key=rank)) for key in COLUMNS}
    for way, row in figures.items():
        cells = (spell(key, row[key]) for key in COLUMNS)
        marked = (f"**{cell}**" if cell == winner else cell for cell, winner in zip(cells, best.values(), strict=True))
        lines.append(f"| {WAYS[way]} | {' | '.join(marked)} |")
    if difference:
        lines.append(f"| Dogs minus mixed | {' | '.join(spell(key, difference[key], '+') for key in COLUMNS)} |")
    return "\n".join(lines)


def tell_comparison(figures: Figures) -> tuple[str, str]:
    """Which model won, in words; the table."""
    plain, mixed, dogs = (rank(figures[way]["psnr_y"]) for way in ("bicubic", "mixed", "dogs"))
    difference = 0.0 if mixed == dogs else dogs - mixed
    headline = "A draw"
    if abs(difference) >= 0.005:
        margin = f" by {abs(difference):.2f} dB" if math.isfinite(difference) else ""
        headline = f"The {'Dogs' if difference > 0 else 'Mixed'} model wins{margin}"
    size = next(words for least, words in SIZES.items() if abs(difference) >= least)
    above = [way for way, value in (("Mixed", mixed), ("Dogs", dogs)) if value > plain]
    who = ("Neither comes", f"Only {''.join(above)} comes", "Both come")[len(above)]
    signed = spell("psnr_y", figures["dogs_minus_mixed"]["psnr_y"], "+")
    return (
        f"## {headline}\nDogs minus mixed: **{signed} dB**, {size}. "
        f"{who} closer to your photo than plain enlargement (bicubic).",
        table({way: figures[way] for way in WAYS if way in figures}, figures["dogs_minus_mixed"]),
    )


def tell_upscale(figures: Figures) -> tuple[str, str]:
    """How far the models agree, in words; the table of consistency."""
    agreement = figures["mixed_against_dogs"]["psnr_y"]
    words = next(words for least, words in AGREEMENTS.items() if rank(agreement) >= least)
    between = "identical" if agreement is None else f"PSNR-Y {agreement:.2f} dB"
    return (
        f"## The two results {words}\nMixed against dogs: **{between}**. Which one is truer cannot be measured here: "
        "nobody has a larger original.",
        f"Each result, shrunk back, against your photo:\n\n{table(figures['consistency'])}",
    )


def failure(sentence: str) -> gr.Error:
    """What the page shows in its corner, and the API answers with."""
    return gr.Error(sentence, duration=30, print_exception=False)


def show_pair(paths: Mapping[str, str], left: str, right: str) -> tuple[str, str]:
    """The two pictures for the slider."""
    if not all(Path(paths[side]).exists() for side in (left, right)):
        raise failure("The pictures were deleted after an hour; start again.")
    return paths[left], paths[right]


def add_tab(title: str, hint: str, work: Work, tell: Callable[[Figures], tuple[str, str]], ways: Sequence[str]) -> None:
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
                    rows = gr.Markdown(elem_classes="figures")
                    with gr.Row():
                        downloads = [gr.DownloadButton(f"Download {way}", size="sm", min_width=120) for way in ways]
                    with gr.Accordion("All figures", open=False):
                        figures = gr.JSON(label="Figures", show_label=False)
    paths = gr.State({})

    def run(photo: dict[str, Any] | None, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        if not photo or not photo["path"]:
            raise failure("Choose a photo first, or click an animal.")
        path = Path(photo["path"])
        try:
            result, pictures = work(path, lambda done, text: progress(done, desc=text))
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
        (examples.load_input_event.then, "private"),
    ):
        # Not preprocessed: Gradio would open the file itself and stop at a damaged one with a traceback.
        begun = trigger(hide(WORKING), None, [verdict, slider, details], js=SCROLL, **quiet)
        done = begun.then(
            run,
            photo,
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


def build(studio: Studio) -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="Sharper animals", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(INTRO)
        add_tab("Compare", COMPARE_HINT, studio.compare, tell_comparison, list(WAYS))
        add_tab("Upscale", UPSCALE_HINT, studio.upscale, tell_upscale, [way for way in WAYS if way != "original"])
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
        models = {name: Upscaler(Generator.from_pretrained(getattr(options, name))) for name in ("mixed", "dogs")}
    except WeightsError as error:
        logger.error("%s", error)
        return 1
    try:
        build(Studio(models)).launch(
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

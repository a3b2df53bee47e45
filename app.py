"""The page: compare two upscalers on a photo, or enlarge one.

python app.py [--port 7860] [--mixed SOURCE] [--dogs SOURCE] [--model cats=SOURCE]
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread

import gradio as gr

from esrgan import EsrganError
from esrgan.commands import AddModel, is_model_name
from esrgan.errors import FileError
from esrgan.evaluation.study import PROTOCOL
from esrgan.files import read_table
from esrgan.images.reading import EXAMPLES, MAX_PIXELS, find_images
from esrgan.models.source import MODEL
from esrgan.page import zero_gpu
from esrgan.page.batch_tab import BatchTab
from esrgan.page.blind_tab import BlindTab
from esrgan.page.compare_tab import CompareTab
from esrgan.page.inputs import Page
from esrgan.page.jobs import Studio
from esrgan.page.limits import MAX_MEGABYTES, PROMPT_SECONDS
from esrgan.page.models import load_models
from esrgan.page.photo_tab import DETAIL
from esrgan.page.stage import OPENING
from esrgan.page.study_tab import add_study_tab
from esrgan.page.uploads import claim_folder, keep_clean
from esrgan.page.upscale_tab import UpscaleTab
from esrgan.page.wording import NUMBERS

HERE = Path(__file__).parent
KEPT_SECONDS = 3600
QUEUE_LENGTH = 500  # of all that is asked for, what takes no time included
KEPT_VISITS = 500  # of those that came last, at a fifth of a megabyte each

INTRO = """# Sharper animals
Two AI models enlarge animal photos 4 times. *Mixed* learned from many kinds of animals, *Dogs* from dogs alone.
Which one does better on your photo?"""
ABOUT = f"""{NUMBERS}

**Consistency** (*Upscale*): shrunk back, a result should be your photo again. A high number says that the model left
alone what your photo shows. Whether the detail it added is true, no number can say.

**How it is measured.** {PROTOCOL} Pictures are PNG throughout, without loss.

**Do not rely on added detail.** It is a guess, and proves nothing about an individual animal, an injury or a disease.
The models learned from a small stand-in for the photo collection of the research paper behind them.
"""
FOOTER = f"""Of a photo that would take longer than {PROMPT_SECONDS} seconds, a smaller copy is compared, and the \
middle upscaled; the result says so. Limits: {MAX_PIXELS / 1e6:g} megapixels and {MAX_MEGABYTES} MB a file. \
Photos and results are deleted after an hour. Code and models: Apache 2.0. Examples: public domain or CC0."""

THEME = gr.themes.Default(primary_hue="emerald", neutral_hue="stone", font=["system-ui", "sans-serif"]).set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
    color_accent="*primary_700",
    body_text_color_subdued="*neutral_600",
    link_text_color_dark="*secondary_400",
)

STYLE = files("esrgan.page") / "page.css"
SCRIPT = files("esrgan.page") / "page.js"
FAVICON = files("esrgan.page") / "favicon.svg"

logger = logging.getLogger("esrgan")


def build(studio: Studio, notes: Sequence[str] = ()) -> gr.Blocks:
    """The page; `notes` are shown on top."""
    gr.set_static_paths([EXAMPLES, OPENING])
    with Page(title="Sharper animals", analytics_enabled=False) as page:
        gr.Markdown(INTRO)
        for note in notes:
            gr.Markdown(f"⚠️ {note}", elem_classes="note")
        kept = gr.BrowserState(storage_key="sharper-animals", secret="sharper-animals")
        compare = CompareTab(studio, kept)
        UpscaleTab(studio, kept)
        BatchTab(studio)
        BlindTab(studio, DETAIL, compare.result)
        add_study_tab()
        with gr.Accordion("About the numbers and the models", open=False):
            gr.Markdown(ABOUT)
        gr.Markdown(FOOTER, elem_classes="footnote")
    return page.queue(max_size=QUEUE_LENGTH)


def given_models() -> dict[str, str]:
    """The models that the page has by default: those of `models.json` here, which `esrgan deploy-space` writes, or of
    the environment, which wins; `./` is this folder.

    Raises:
        FileError: that file is damaged.
    """
    listed, models = HERE / "models.json", {"mixed": "mixed", "dogs": "dogs"}
    if listed.is_file():
        try:
            given = read_table(listed)
            for name, source in given.items():
                if name not in models and not is_model_name(name):
                    raise ValueError(f"{name!r:.60} cannot be the name of a model")
                if not isinstance(source, str) or not source:
                    raise ValueError(f"{name}: {source!r:.60} names no model")
        except (OSError, ValueError) as error:
            raise FileError(
                f"{listed}: not a list of models ({error}); write one by `esrgan deploy-space --dry-run`, or remove it."
            ) from error
        models |= given
    wanted = {name: os.environ.get(f"ESRGAN_{name.upper()}", source) for name, source in models.items()}
    return {name: str(HERE / source) if source.startswith("./") else source for name, source in wanted.items()}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options; all models among them as `models`.

    Raises:
        EsrganError: the list of models is damaged, or a package is not there that they need.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = given_models()
    for name in ("mixed", "dogs"):
        parser.add_argument(
            f"--{name}", metavar="SOURCE", default=given.pop(name), help=f"{MODEL} (default: %(default)s)"
        )
    parser.add_argument(
        "--model", action=AddModel, default={}, metavar="NAME=SOURCE", help="one more model; repeatable"
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        default=os.environ.get("GRADIO_MCP_SERVER", "").lower() in ("1", "true"),
        help="offer the page's endpoints to AI assistants as MCP tools; or set GRADIO_MCP_SERVER=1",
    )
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        help="to listen on; 0.0.0.0 lets other machines in (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, default=os.environ.get("GRADIO_SERVER_PORT", "7860"), help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    if options.mcp and not find_spec("mcp"):
        raise EsrganError("--mcp: the package for it is not installed; pip install 'gradio[mcp]'.")
    options.models = {"mixed": options.mixed, "dogs": options.dogs, **given, **options.model}
    return options


def main(arguments: list[str] | None = None) -> int:
    """Load the models and serve the page until stopped; the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        options = parse(arguments)
        models, notes = load_models(options.models)
        folder = claim_folder()
    except EsrganError as error:
        logger.error("%s", error)
        return 1
    for note in notes:
        logger.warning("%s", note)
    studio = Studio(models)
    page = build(studio, notes)
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            max_file_size=f"{MAX_MEGABYTES}mb",
            footer_links=["api", "settings"],
            mcp_server=options.mcp,
            run_history=False,
            ssr_mode=False,  # which a Space would turn on, and which has a link preview of its own
            enable_monitoring=False,
            state_session_capacity=KEPT_VISITS,
            theme=THEME,
            css=STYLE.read_text(encoding="utf-8"),
            favicon_path=str(FAVICON),
            js=SCRIPT.read_text(encoding="utf-8"),
            prevent_thread_lock=True,
        )
    except (OSError, OverflowError):
        logger.error("%s:%d cannot be served on; choose another --host or --port.", options.host, options.port)
        return 1
    stop = Event()
    Thread(target=keep_clean, args=[page, folder, KEPT_SECONDS, stop], daemon=True).start()
    if not zero_gpu.is_lent():  # to visitors alone
        Thread(target=studio.warm_up, args=[find_images(EXAMPLES)[0]], daemon=True).start()
    page.block_thread()
    stop.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())

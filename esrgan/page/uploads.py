"""The folder from which the page serves uploads and results, and from which they are deleted after a time."""

import os
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

ROUND_SECONDS = 60


def claim_folder() -> None:
    """Have a folder of this page's own, as Gradio's is shared by all its applications on the machine."""
    parent = os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()
    os.environ["GRADIO_TEMP_DIR"] = str(Path(parent) / "sharper-animals")


def make_folder() -> Path:
    """A new folder inside it."""
    served = Path(get_upload_folder())
    served.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=served))


def keep_clean(page: gr.Blocks, seconds: float) -> None:
    """Delete what was uploaded or made longer ago, in this run or an earlier one, again and again; never returns.

    In place of Gradio's `delete_cache`, which misses the files of generators and ends with the first race.
    """
    folder = Path(get_upload_folder())
    while True:
        kept = {path for block in page.blocks.values() for path in block.keep_in_cache.copy()}
        delete_old(folder, kept, seconds)
        for noted in page.temp_file_sets:  # for `delete_cache`, and without end
            noted.clear()
        time.sleep(min(ROUND_SECONDS, seconds))


def delete_old(folder: Path, kept: Collection[str], seconds: float) -> None:
    """Delete the files in a folder that came there longer ago and are not `kept`, and folders empty for as long."""
    limit = time.time() - seconds
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            with suppress(OSError):
                if (path := Path(root, name)).stat().st_ctime < limit and str(path) not in kept:
                    path.unlink()
        with suppress(OSError):  # not empty
            if Path(root) != folder and Path(root).stat().st_mtime < limit:
                Path(root).rmdir()

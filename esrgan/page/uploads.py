"""The folder from which the page serves uploads and results: what is let in from it, and when it is deleted."""

import getpass
import logging
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from threading import Event

import gradio as gr
from gradio import mcp
from gradio.utils import get_upload_folder

from ..errors import FileError, ImageError
from ..images.reading import EXAMPLES

logger = logging.getLogger(__name__)

NAME = "sharper-animals"
MARK = ".made-by-sharper-animals"
ROUND_SECONDS = 60


def claim_folder() -> Path:
    """Have uploads and results in a folder that this program made for this user; where that name is taken, in another.

    It lies in `GRADIO_TEMP_DIR` or the system's folder for temporary files.

    Raises:
        FileError: none can be made there.
    """
    parent = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()).absolute()
    folder = parent / f"{NAME}-{os.getuid() if hasattr(os, 'getuid') else getpass.getuser()}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not is_own(folder):
                taken, folder = folder, Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir=parent))
                logger.warning("%s: was not made by this program for this user; %s is used.", taken, folder)
        (folder / MARK).touch()
    except OSError as error:
        raise FileError(
            f"{parent}: no folder for photos can be made there ({error.strerror}); set GRADIO_TEMP_DIR to another."
        ) from error
    os.environ["GRADIO_TEMP_DIR"] = mcp.DEFAULT_TEMP_DIR = str(folder)
    return folder


def is_own(folder: Path) -> bool:
    """Whether this program made the folder, for this user alone; a link to one is none."""
    try:
        made, mark = folder.lstat(), (folder / MARK).lstat()
    except OSError:
        return False
    private = not hasattr(os, "getuid") or (made.st_uid == mark.st_uid == os.getuid() and not made.st_mode & 0o077)
    return private and stat.S_ISDIR(made.st_mode) and stat.S_ISREG(mark.st_mode)


def make_folder() -> Path:
    """A new folder inside the one that is served, of a name that nobody can guess."""
    folder = Path(get_upload_folder(), secrets.token_hex(16))
    folder.mkdir(parents=True)
    return folder


def let_in(path: str) -> Path:
    """The file that a visitor names, if it was uploaded or comes with the page.

    Raises:
        ImageError: it is anywhere else, not a regular file, or not there; the message does not tell which.
    """
    folders = (os.path.realpath(folder) for folder in (get_upload_folder(), EXAMPLES))
    with suppress(ValueError, OSError):  # of names that no file can have
        real = Path(os.path.realpath(path))
        if any(real.is_relative_to(folder) for folder in folders) and real.is_file():
            return without_dot(real)
    raise ImageError(
        f"{Path(path).name}: not among the photos here, which are deleted after an hour; choose the photo again."
    )


def without_dot(path: Path) -> Path:
    """The file by a name that Gradio serves wherever the program runs: by none that begins with a dot."""
    if not path.name.startswith("."):
        return path
    plain = make_folder() / (path.name.lstrip(".") or "photo")
    os.link(path, plain)
    return plain


def keep_clean(page: gr.Blocks, folder: Path, seconds: float, stop: Event) -> None:
    """Delete what was uploaded or made longer ago, in this run or an earlier one, again and again until `stop` is set.

    In place of Gradio's `delete_cache`, which misses the files of generators and ends with the first race.
    """
    while is_own(folder):
        kept = {path for block in page.blocks.values() for path in block.keep_in_cache.copy()}
        delete_old(folder, kept, seconds)
        for noted in page.temp_file_sets:  # for `delete_cache`, and without end
            noted.clear()
        if stop.wait(min(ROUND_SECONDS, seconds)):
            return
    logger.warning("%s: is no folder that this program made for this user; nothing is deleted there.", folder)


def delete_old(folder: Path, kept: Collection[str], seconds: float) -> None:
    """Delete the files in a folder that came there longer ago and are not `kept`, and folders empty for as long."""
    limit = time.time() - seconds
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            with suppress(OSError):
                path = Path(root, name)
                if path.lstat().st_ctime < limit and str(path) not in kept and name != MARK:
                    path.unlink()
        with suppress(OSError):  # not empty
            if Path(root) != folder and Path(root).stat().st_mtime < limit:
                Path(root).rmdir()

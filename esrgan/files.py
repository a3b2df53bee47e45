"""Files and folders written to a temporary name and renamed, so that a reader or a crash never meets half of one;
and tables read that a person may have edited.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from .errors import FileError


def read_table(path: Path) -> dict[str, Any]:
    """What a JSON file says that holds one object.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it holds anything else; the message says what, without the file's name.
    """
    text = path.read_text(encoding="utf-8-sig")  # editors put a mark there
    if not text.strip():
        raise ValueError("it is empty")
    try:
        table = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(table, dict):
        raise ValueError("it must hold a table, {…}")
    return table


def temporary_name(path: Path) -> Path:
    """A name in the same folder that nothing has, of 37 bytes however long the name of `path` is."""
    return path.with_name(f".{uuid4().hex}.tmp")


def check_file(path: Path) -> None:
    """Refuse a place where `replacing` could not write a file; for before the work that the file is about.

    Raises:
        FileError: there is something else than a file, or nothing can be written there.
    """
    if path.is_dir():
        raise FileError(f"{path}: a folder of this name is there; move it, or give another name.")
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: is not a file that can be replaced; give another name.")
    _check_parent(path)


def check_folder(path: Path, mark: str | None = None) -> None:
    """Refuse a place where `replacing_folder` could not write a folder; arguments as there.

    Raises:
        FileError: there is something else than an empty folder or one with the mark, or nothing can be written there.
    """
    if path.exists() and not path.is_dir():
        raise FileError(f"{path}: is there already; give a new folder.")
    if path.is_dir() and any(path.iterdir()) and not (mark and (path / mark).is_file()):
        raise FileError(f"{path}: is there already; give a new folder.")
    _check_parent(path)


def _check_parent(path: Path) -> None:
    parent = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not parent.is_dir():
        raise FileError(f"{path}: {parent} is no folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise FileError(f"{path}: nothing may be written to {parent}; give another folder.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success that file takes the place of `path`, else it is removed.

    Raises:
        FileError: as for `check_file`.
    """
    check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, mark: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside; on success it takes the place of `path`, else it is removed.

    Args:
        path: where the folder goes.
        mark: the file by which a folder that this program wrote is known; without it, only an empty one is replaced.

    Raises:
        FileError: as for `check_folder`.
    """
    check_folder(path, mark)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        move_folder(temporary, path, mark)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_folder(temporary: Path, path: Path, mark: str | None = None) -> None:
    """Put a complete folder in the place of `path`; what was there is moved aside, and removed once the new one stands.

    Raises:
        FileError: as for `check_folder`.
    """
    check_folder(path, mark)
    if not path.exists():
        temporary.rename(path)
        return
    old = temporary_name(path)
    path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)

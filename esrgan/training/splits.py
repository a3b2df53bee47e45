"""The splits of a data set, by the names that people give them."""

from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "validation": ("validation", "val", "valid", "dev"),
}
SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


def choose_split(splits: Iterable[str], wanted: str, source: str) -> str:
    """The split that is wanted, or the only one if its name does not say that it is for something else.

    Raises:
        DataError: there is no such split.
    """
    names = list(splits)
    if wanted in names:
        return wanted
    if len(names) == 1 and names[0] not in ("test", "validation"):
        return names[0]
    raise DataError(f"{source}: no split {wanted}; there are {', '.join(names)} (--dataset_split).")


def split_of(folder: Path, root: Path) -> str | None:
    """The split that a folder is named after, or one above it."""
    parts = folder.relative_to(root).parts
    return next((SPLIT_OF[part.casefold()] for part in parts if part.casefold() in SPLIT_OF), None)

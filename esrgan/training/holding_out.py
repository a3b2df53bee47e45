"""Photos set aside from those to train on, to measure on."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from ..errors import DataError, ImageError
from ..files import replacing_folder
from ..images.reading import EXTENSIONS
from .datasets import find_photo, make_pair, read_content

logger = logging.getLogger(__name__)

MARK = "metadata.csv"  # as an imagefolder has it: which file is which photo


def split_rows(
    rows: datasets.Dataset, part: float, seed: int, species: Sequence[str]
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Two parts of a data set that have no row in common: what is left to train on, and what is held out.

    Args:
        rows: the data set.
        part: how much is held out, between 0 and 1; at least one row is.
        seed: decides which.
        species: of each row; every species gives its share, to within one photo.
    """
    shuffled = np.random.default_rng((seed, 3)).permutation(len(rows)).tolist()
    by_species = sorted(shuffled, key=species.__getitem__)
    count = max(1, round(part * len(rows)))
    held = [by_species[(2 * index + 1) * len(rows) // (2 * count)] for index in range(count)]
    return rows.select(sorted(set(shuffled) - set(held))), rows.select(held)


def write_photos(rows: datasets.Dataset, folder: Path, min_side: int) -> None:
    """Write a data set's photos as they are, numbered, with a table of where they came from.

    Args:
        rows: rows with an undecoded `image` column ({"path", "bytes"}).
        folder: where to; what an earlier call left there goes.
        min_side: photos with a shorter side are left out, as are those that cannot be read.

    Raises:
        DataError: none is usable.
        FileError: something else is there.
    """
    table: list[dict[str, Any]] = []
    with replacing_folder(folder, MARK) as temporary:
        for number, row in enumerate(rows):
            place, name = find_photo(row, number)
            try:
                content = read_content(place, name)
                make_pair(content, name, min_side)
            except ImageError as error:
                logger.warning("skipped: %s", error)
                continue
            suffix = Path(name.partition("::")[0]).suffix.lower()
            file = f"{number:05d}{suffix if suffix in EXTENSIONS else '.jpg'}"
            (temporary / file).write_bytes(content)
            table.append({"file_name": file, "photo": name})
        if not table:
            raise DataError("--validation_split: none of the photos that it holds out can be used; hold out more.")
        with (temporary / MARK).open("w", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    logger.info("%d photos held out, to measure on: %s", len(table), folder)

"""Photos of a data set: decoded, and each paired with its quarter."""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import psutil
from huggingface_hub.errors import HTTPError
from PIL import Image
from tqdm.auto import tqdm

from ..errors import DataError, ImageError
from ..images.bounded import read_cropped
from ..images.resize import SCALE, shrink
from .duplicates import difference_hash

logger = logging.getLogger(__name__)

MIN_PHOTOS = 2


@dataclass(frozen=True)
class Pair:
    """A photo and its quarter, the photo shrunk once as a whole.

    Attributes:
        low: uint8 (H, W, 3).
        high: uint8 (4H, 4W, 3).
    """

    low: np.ndarray
    high: np.ndarray


def find_photo(row: dict[str, Any], number: int) -> tuple[str | bytes, str]:
    """Where the photo of a row is, or its file's content, as `read_content` takes it; and what to call it in messages.

    Args:
        row: with an undecoded `image` column ({"path", "bytes"}).
        number: of the row, for a photo without a name.
    """
    image = row["image"]
    return image["bytes"] or image["path"] or b"", str(image["path"] or f"photo {number}")


def make_pair(content: bytes, name: str, min_side: int) -> Pair:
    """Decode a photo and shrink it by the protocol.

    Args:
        content: its file's.
        name: what to call it in messages.
        min_side: the least width and height, pixels.

    Raises:
        ImageError: it cannot be decoded, or is too small.
    """
    truth = read_cropped(content, SCALE, name)
    if min(truth.size) < min_side:
        raise ImageError(f"{name}: {truth.width} x {truth.height} pixels are too few for crops of {min_side}.")
    return Pair(np.asarray(shrink(truth, SCALE)), np.asarray(truth))


def read_content(content: str | bytes, name: str) -> bytes:
    """The content of a photo's file.

    Args:
        content: that already, a path, or an address as `datasets` writes them (`hf://…`,
            `zip://inside.jpg::outside.zip`).
        name: what to call it in messages.

    Raises:
        ImageError: it cannot be read.
        DataError: the connection broke off.
    """
    if isinstance(content, bytes):
        return content
    try:
        if "://" not in content:
            return Path(content).read_bytes()
        with fsspec.open(content) as file:
            return bytes(file.read())
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(f"{name}: cannot be read ({error}).") from error
    except HTTPError as error:  # a photo that is left out for it would make another set of the photos
        raise DataError(f"{name}: cannot be fetched ({error}); try again, or resume.") from error


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """As many of the paths, evenly spread, so that of folders of several species none is taken alone."""
    count = min(count, len(paths))
    return [paths[index * len(paths) // count] for index in range(count)]


class Photos:
    """Pairs of a data set's photos, kept in memory as far as they fit.

    Args:
        rows: rows with an undecoded `image` column ({"path", "bytes"}).
        min_side: photos with a shorter side are left out.
        memory: bytes that decoded photos may take; by default half of what is free, shared among processes.
        workers: processes that read from it beside this one, and get a copy of their own where they are not forked.

    Attributes:
        names: what each is called in messages.
        hashes: by which near-duplicates are known.
        fingerprint: SHA-256, in hexadecimal, of what the usable photos' files hold, in their order.

    Raises:
        DataError: fewer than two usable photos.
    """

    def __init__(
        self, rows: Iterable[dict[str, Any]], min_side: int, memory: int | None = None, workers: int = 0
    ) -> None:
        if memory is None:
            copies = 1 if get_start_method() == "fork" else 1 + workers
            processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
            memory = psutil.virtual_memory().available // (2 * copies * processes)
        self.places: list[str | bytes] = []
        self.pairs: list[Pair | None] = []
        self.names: list[str] = []
        self.hashes: list[np.ndarray] = []
        skipped: list[str] = []
        digest = hashlib.sha256()
        for row in tqdm(rows, desc="reading photos", unit="photo", leave=False):
            place, name = find_photo(row, len(self.pairs) + len(skipped))
            try:
                content = read_content(place, name)
                pair = make_pair(content, name, min_side)
            except ImageError as error:
                skipped.append(str(error))
                continue
            digest.update(hashlib.sha256(content).digest())
            self.names.append(name)
            self.hashes.append(difference_hash(Image.fromarray(pair.low)))
            memory -= pair.low.nbytes + pair.high.nbytes
            self.places.append(b"" if memory > 0 else place)
            self.pairs.append(pair if memory > 0 else None)
        self.fingerprint = digest.hexdigest()
        if skipped:
            logger.warning("%d skipped:\n  %s", len(skipped), "\n  ".join(skipped))
        if len(self) < MIN_PHOTOS:
            usable = f"{len(self)} usable photo{'' if len(self) == 1 else 's'}"
            raise DataError(f"{usable} ({len(skipped)} skipped): a training needs at least {MIN_PHOTOS}.")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        name = self.names[index]
        return self.pairs[index] or make_pair(read_content(self.places[index], name), name, min_side=1)


class Stream:
    """Pairs of a data set that is too large for the disk, read again from its source in each epoch.

    Args:
        rows: rows with an undecoded `image` column, shuffled through a buffer and in another order in each epoch.
        min_side: photos with a shorter side are left out.
    """

    def __init__(self, rows: datasets.IterableDataset, min_side: int) -> None:
        self.rows = rows
        self.min_side = min_side

    def epoch(self, number: int) -> Iterator[Pair]:
        """All usable photos once; those that are not are named in the log, once.

        Raises:
            DataError: not one is usable.
        """
        self.rows.set_epoch(number)
        usable = 0
        for index, row in enumerate(self.rows):
            place, name = find_photo(row, index)
            try:
                pair = make_pair(read_content(place, name), name, self.min_side)
            except ImageError as error:
                if number == 0:
                    logger.warning("skipped: %s", error)
                continue
            usable += 1
            yield pair
        if not usable:
            raise DataError("the stream has no usable photo.")

"""Data sets of photos: finding, filtering, decoding, and pairing each photo with its quarter."""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import psutil
from tqdm.auto import tqdm

from ..errors import DataError, ImageError
from ..images.bounded import read_cropped
from ..images.resize import SCALE, shrink

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


def make_pair(content: str | bytes, name: str, min_side: int) -> Pair:
    """Decode a photo and shrink it by the protocol.

    Args:
        content: a path, an address as `datasets` writes them (`hf://…`, `zip://inside.jpg::outside.zip`), or encoded.
        name: what to call it in messages.
        min_side: the least width and height, pixels.

    Raises:
        ImageError: it cannot be read, or is too small.
    """
    if isinstance(content, str) and "://" in content:
        try:
            with fsspec.open(content) as file:
                content = file.read()
        except (OSError, ValueError, KeyError) as error:
            raise ImageError(f"{name}: cannot be read ({error}).") from error
    truth = read_cropped(content, SCALE, name)
    if min(truth.size) < min_side:
        raise ImageError(f"{name}: {truth.width} x {truth.height} pixels are too few for crops of {min_side}.")
    return Pair(np.asarray(shrink(truth, SCALE)), np.asarray(truth))


class Photos:
    """Pairs of a data set's photos, kept in memory as far as they fit.

    Args:
        rows: rows with an undecoded `image` column ({"path", "bytes"}).
        min_side: photos with a shorter side are left out.
        memory: bytes that decoded photos may take; by default half of what is free, shared among processes.

    Raises:
        DataError: fewer than two usable photos.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], min_side: int, memory: int | None = None) -> None:
        if memory is None:
            memory = psutil.virtual_memory().available // (2 * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        self.contents: list[str | bytes] = []
        self.pairs: list[Pair | None] = []
        skipped: list[str] = []
        for row in tqdm(rows, desc="reading photos", unit="photo", leave=False):
            content: str | bytes = row["image"]["bytes"] or row["image"]["path"]
            name = str(row["image"]["path"] or f"photo {len(self.pairs) + len(skipped)}")
            try:
                pair = make_pair(content, name, min_side)
            except ImageError as error:
                skipped.append(str(error))
                continue
            memory -= pair.low.nbytes + pair.high.nbytes
            self.contents.append(b"" if memory > 0 else content)
            self.pairs.append(pair if memory > 0 else None)
        if skipped:
            logger.warning("%d photos skipped:\n  %s", len(skipped), "\n  ".join(skipped))
        if len(self) < MIN_PHOTOS:
            raise DataError(
                f"{len(self)} usable photos ({len(skipped)} skipped): a training needs at least {MIN_PHOTOS}."
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index] or make_pair(self.contents[index], f"photo {index}", min_side=1)


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
            name = str(row["image"]["path"] or f"photo {index}")
            try:
                pair = make_pair(row["image"]["bytes"] or row["image"]["path"], name, self.min_side)
            except ImageError as error:
                if number == 0:
                    logger.warning("skipped: %s", error)
                continue
            usable += 1
            yield pair
        if not usable:
            raise DataError("the stream has no usable photo.")


def load_rows(
    source: str,
    *,
    is_hub_id: bool = False,
    split: str = "train",
    species: str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    streaming: bool = False,
) -> datasets.Dataset | datasets.IterableDataset:
    """Rows of a data set, with images left undecoded.

    Args:
        source: a folder (flat, `<species>/*.jpg`, or imagefolder with metadata), or a Hub id.
        is_hub_id: which of the two.
        split: the split to take, where there are several.
        species: keep only rows whose `species` column or folder name is this.
        max_samples: pick that many at random.
        seed: decides the pick, and the order of a stream.
        streaming: read as one goes instead of downloading all first; for `Stream`.

    Raises:
        DataError: nothing there, or no such split or species.
    """
    try:
        if is_hub_id:
            splits = datasets.load_dataset(source, streaming=streaming)
        else:
            if not Path(source).is_dir():
                raise DataError(f"{source}: no such folder.")
            splits = datasets.load_dataset(
                "imagefolder", data_dir=str(Path(source).resolve()), data_files=_data_files(source), streaming=streaming
            )
    except (FileNotFoundError, ValueError, datasets.exceptions.DatasetNotFoundError) as error:
        raise DataError(f"{source}: no images found ({str(error).splitlines()[0]}).") from error
    if split not in splits and len(splits) > 1:
        raise DataError(f"{source}: no split {split}; there are {', '.join(splits)}.")
    rows = splits[split] if split in splits else next(iter(splits.values()))
    if rows.features is None or "image" not in rows.features:
        raise DataError(f"{source}: no column 'image' among {', '.join(rows.features or ['none'])}.")
    rows = rows.cast_column("image", datasets.Image(decode=False))
    if species:
        rows = _only(rows, species, source)
    if isinstance(rows, datasets.IterableDataset):
        rows = rows.shuffle(seed=seed, buffer_size=1000)
        if not max_samples:
            return rows
        return datasets.Dataset.from_list(list(rows.take(max_samples)), features=rows.features)  # else each epoch's own
    if max_samples and max_samples < len(rows):
        chosen = np.random.default_rng(seed).permutation(len(rows))[:max_samples]
        rows = rows.select(sorted(chosen))
    return rows


def _data_files(source: str) -> dict[str, str] | None:
    """All files as one split, unless folders are named after splits; `datasets` would go by file names too."""
    folders = {path.name.casefold() for path in Path(source).iterdir() if path.is_dir()}
    return None if folders & {"train", "test", "validation", "val"} else {"train": "**"}


def _folder(path: str | None, source: str) -> str:
    """Name of the folder that a photo lies in, below the source."""
    folder = Path((path or "").split("::")[0].removeprefix("zip://")).parent
    return "" if folder == Path(source).resolve() else folder.name


def _only(
    rows: datasets.Dataset | datasets.IterableDataset, species: str, source: str
) -> datasets.Dataset | datasets.IterableDataset:
    column = next((name for name in ("species", "label") if name in rows.features), None)
    if column is None:  # `datasets` labels by folder only where all photos lie equally deep and have no metadata
        column = "species"
        features = datasets.Features({**rows.features, column: datasets.Value("string")})
        rows = rows.map(
            lambda image: {"species": _folder(image["path"], source)}, input_columns="image", features=features
        )
    feature = rows.features[column]
    wanted = species.casefold()
    if isinstance(feature, datasets.ClassLabel):
        wanted_labels = {index for index, name in enumerate(feature.names) if name.casefold() == wanted}
        kept = rows.filter(lambda label: label in wanted_labels, input_columns=column)
        known: Iterable[str] = feature.names
    else:
        kept = rows.filter(lambda name: str(name).casefold() == wanted, input_columns=column)
        known = sorted({name for name in rows[column] if name}) if isinstance(rows, datasets.Dataset) else []
    if isinstance(rows, datasets.Dataset) and not known:
        raise DataError(f"{source}: nothing says which photo shows a {species}; a species column or folders would.")
    if isinstance(kept, datasets.Dataset) and not len(kept):
        raise DataError(f"{source}: no {species}; there are {', '.join(list(known)[:20])}.")
    return kept

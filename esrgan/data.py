"""Photos to paired crops. What a step sees is a function of (seed, sample number): that makes a resume exact."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from .generator import SCALE
from .images import ImageError, crop_to_multiple, read_image, shrink
from .recipes import Esrgan

logger = logging.getLogger(__name__)

MIN_PHOTOS = 2


class DataError(ValueError):
    """A data set that cannot be trained on; the message says why."""


@dataclass(frozen=True)
class Pair:
    """A photo and its quarter, the photo shrunk once as a whole.

    Attributes:
        low: uint8 (H, W, 3).
        high: uint8 (4H, 4W, 3).
    """

    low: np.ndarray
    high: np.ndarray


def make_pair(content: str | Path | bytes, name: str) -> Pair:
    """Decode a photo and shrink it by the protocol."""
    truth = crop_to_multiple(read_image(content, name), SCALE)
    return Pair(np.asarray(shrink(truth, SCALE)), np.asarray(truth))


class Photos:
    """Pairs of a data set's photos, kept in memory as far as they fit.

    Args:
        rows: rows with an undecoded `image` column ({"path", "bytes"}).
        min_side: photos with a shorter side are left out.
        memory: bytes that decoded photos may take; by default half of what is free.

    Raises:
        DataError: fewer than two usable photos.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], min_side: int, memory: int | None = None) -> None:
        memory = psutil.virtual_memory().available // 2 if memory is None else memory
        self.contents: list[str | bytes] = []
        self.pairs: list[Pair | None] = []
        skipped: list[str] = []
        for row in tqdm(rows, desc="reading photos", unit="photo", leave=False):
            content: str | bytes = row["image"]["bytes"] or row["image"]["path"]
            name = str(row["image"]["path"] or f"photo {len(self.pairs) + len(skipped)}")
            try:
                pair = make_pair(content, name)
            except ImageError as error:
                skipped.append(str(error))
                continue
            if min(pair.high.shape[:2]) < min_side:
                skipped.append(f"{name}: {pair.high.shape[1]} x {pair.high.shape[0]} pixels, crops need {min_side}.")
                continue
            memory -= pair.low.nbytes + pair.high.nbytes
            self.contents.append(content)
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
        return self.pairs[index] or make_pair(self.contents[index], f"photo {index}")


def load_rows(
    source: str,
    *,
    is_hub_id: bool = False,
    split: str = "train",
    species: str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
) -> datasets.Dataset:
    """Rows of a data set, with images left undecoded.

    Args:
        source: a folder (flat, `<species>/*.jpg`, or imagefolder with metadata), or a Hub id.
        is_hub_id: which of the two.
        split: the split to take, where there are several.
        species: keep only rows whose `species` column or folder name is this.
        max_samples: pick that many at random.
        seed: decides the pick.

    Raises:
        DataError: nothing there, or no such split or species.
    """
    try:
        if is_hub_id:
            splits = datasets.load_dataset(source)
        else:
            if not Path(source).is_dir():
                raise DataError(f"{source}: no such folder.")
            splits = datasets.load_dataset("imagefolder", data_dir=str(Path(source).resolve()))
    except (
        FileNotFoundError,
        datasets.exceptions.DatasetNotFoundError,
        datasets.exceptions.DataFilesNotFoundError,
    ) as error:
        raise DataError(f"{source}: no images found ({str(error).splitlines()[0]}).") from error
    if split not in splits and len(splits) > 1:
        raise DataError(f"{source}: no split {split}; there are {', '.join(splits)}.")
    rows = splits.get(split) or next(iter(splits.values()))
    if "image" not in rows.column_names:
        raise DataError(f"{source}: no column 'image' among {', '.join(rows.column_names)}.")
    if species:
        rows = _only(rows, species, source)
    rows = rows.cast_column("image", datasets.Image(decode=False))
    if max_samples and max_samples < len(rows):
        chosen = np.random.default_rng(seed).permutation(len(rows))[:max_samples]
        rows = rows.select(sorted(chosen))
    return rows


def _only(rows: datasets.Dataset, species: str, source: str) -> datasets.Dataset:
    column = next((name for name in ("species", "label") if name in rows.column_names), None)
    if column is None:
        raise DataError(
            f"{source}: nothing says which photo shows a {species}; a species column or a folder for each would."
        )
    feature = rows.features[column]
    names = rows[column] if not isinstance(feature, datasets.ClassLabel) else [feature.int2str(i) for i in rows[column]]
    kept = [i for i, name in enumerate(names) if str(name).casefold() == species.casefold()]
    if not kept:
        raise DataError(f"{source}: no {species}; there are {', '.join(sorted(set(map(str, names)))[:20])}.")
    return rows.select(kept)


class PairedCrops(Dataset[dict[str, Tensor]]):
    """Sample number i of a training, for any i: photo, crop and augmentation are drawn from (seed, i) alone.

    Every photo is seen once before any is seen again.

    Yields:
        `low`: uint8 (3, crop/4, crop/4); `high`: uint8 (3, crop, crop), the same place in the photo; `mix`: a float
        uniform in 0..1, where the gradient penalty of this sample is taken.
    """

    def __init__(self, photos: Photos, recipe: Esrgan) -> None:
        self.photos = photos
        self.recipe = recipe

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        recipe = self.recipe
        epoch, place = divmod(number, len(self.photos))
        order = np.random.default_rng((recipe.seed, 0, epoch)).permutation(len(self.photos))
        pair = self.photos[int(order[place])]
        rng = np.random.default_rng((recipe.seed, 1, number))
        side = recipe.crop_size // SCALE
        top, left = (int(rng.integers(length - side + 1)) for length in pair.low.shape[:2])
        low = pair.low[top : top + side, left : left + side]
        high = pair.high[SCALE * top : SCALE * (top + side), SCALE * left : SCALE * (left + side)]
        if rng.random() < recipe.horizontal_flip:
            low, high = low[:, ::-1], high[:, ::-1]
        if rng.random() < recipe.rotation:
            low, high = np.rot90(low), np.rot90(high)
        return {
            "low": torch.from_numpy(low.transpose(2, 0, 1).copy()),
            "high": torch.from_numpy(high.transpose(2, 0, 1).copy()),
            "mix": torch.tensor(rng.random(), dtype=torch.float32),
        }

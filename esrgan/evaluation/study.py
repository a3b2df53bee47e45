"""Ways to upscale, side by side over a set of photos, by the protocol of `esrgan.evaluation.metrics`."""

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..errors import ImageError
from ..images.bounded import read_cropped
from ..images.degradation import DEGRADATIONS, degrade, seed_of
from ..images.resize import SCALE, enlarge
from .metrics import METRICS, SHAVE, SMALLEST, SMALLEST_FOR_LPIPS, compare
from .tables import table

LEAST_PHOTOS = 6  # for an interval that means something


def protocol(degradation: str) -> str:
    """How it is measured, in words, where the small photos are made by one of `DEGRADATIONS`."""
    return (
        f"Truth: 8-bit RGB, cropped to a multiple of 4. Input: {DEGRADATIONS[degradation].meaning}. Output: clamped "
        "and rounded to 8 bit. PSNR-Y and SSIM-Y: BT.601 luma in 16..235; peak 255; 4 px shaved off each side. "
        "LPIPS: AlexNet, version 0.1, whole RGB picture; lower is better."
    )


PROTOCOL = protocol("bicubic")

Method = Callable[[Image.Image], Image.Image]
Scores = dict[str, float]


def bicubic(image: Image.Image) -> Image.Image:
    """Pillow's bicubic x4: the row that every table begins with."""
    return enlarge(image, SCALE)


def read_truth(path: Path) -> Image.Image:
    """The ground truth of a photo.

    Raises:
        ImageError: it cannot be read, is too small to be measured, or is of one colour: that is brought back exactly by
            any way, and an infinite PSNR has no part in a mean.
    """
    truth = read_cropped(path, SCALE)
    if min(truth.size) < SMALLEST:
        raise ImageError(f"{path}: {truth.width} x {truth.height} pixels are too few to be measured.")
    if not np.ptp(np.asarray(truth)[SHAVE:-SHAVE, SHAVE:-SHAVE], axis=(0, 1)).any():
        raise ImageError(f"{path}: all of one colour, which tells nothing of how it is enlarged; take it out.")
    return truth


def read_mask(path: Path, truth: Image.Image) -> np.ndarray:
    """Where the animal is: what is lighter than middle grey in a picture of the photo's size.

    Returns:
        Bool, of the truth's shape (H, W).

    Raises:
        ImageError: it cannot be read, is of another size, shows the animal everywhere or nowhere, or a part of one
            colour, as `read_truth` has it.
    """
    picture = read_cropped(path, SCALE)
    if picture.size != truth.size:
        sizes = [f"{width} x {height}" for width, height in (picture.size, truth.size)]
        raise ImageError(f"{path}: the mask has {sizes[0]} pixels, the photo {sizes[1]}.")
    mask = np.asarray(picture.convert("L")) >= 128
    inner = mask[SHAVE:-SHAVE, SHAVE:-SHAVE]
    if inner.all() or not inner.any():
        raise ImageError(f"{path}: all of one colour; an animal should be white and its background black.")
    pixels = np.asarray(truth)[SHAVE:-SHAVE, SHAVE:-SHAVE]
    for name, part in (("animal", inner), ("background", ~inner)):
        if not np.ptp(pixels[part], axis=0).any():
            raise ImageError(
                f"{path}: the photo's {name} is all of one colour, which tells nothing of how it is enlarged; take "
                "the photo out."
            )
    return mask


def measure(
    method: Method, truth: Image.Image, mask: np.ndarray | None = None, degradation: str = "bicubic", name: str = ""
) -> Scores:
    """Make the truth small, bring it back by `method`, and measure the result against it.

    Args:
        method: enlarges by 4.
        truth: RGB, sides multiples of 4.
        mask: as in `compare`.
        degradation: one of `DEGRADATIONS`.
        name: the photo's, which decides what is random in it.
    """
    small, truth = degrade(truth, degradation, seed_of(name))
    return compare(method(small), truth, mask)


def shared_metrics(scores: Iterable[Scores]) -> list[str]:
    """The metrics that all photos have; LPIPS is not everywhere at hand."""
    common = set.intersection(*(set(score) for score in scores))
    return [metric for metric in METRICS if metric in common]


def mean_scores(method: Method, paths: Iterable[Path], degradation: str = "bicubic") -> Scores:
    """Mean of each metric over photos."""
    progress = tqdm(paths, desc="measuring", unit="photo", leave=False)
    scores = [measure(method, read_truth(path), None, degradation, path.name) for path in progress]
    return {name: fmean(score[name] for score in scores) for name in shared_metrics(scores)}


@dataclass(frozen=True)
class Difference:
    """A paired difference over photos: its mean, its bootstrap interval, and on how many photos it is a gain."""

    mean: float
    low: float
    high: float
    wins: int


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, lower_is_better: bool = False, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Mean of b - a with its 95 % percentile bootstrap interval; photos are what is resampled.

    Args:
        a: one value per photo.
        b: the other way's values for the same photos.
        lower_is_better: what counts as a win of b.
        resamples: how many bootstrap samples.
        seed: decides them.
    """
    differences = np.asarray(b, float) - np.asarray(a, float)
    drawn = np.random.default_rng(seed).integers(len(differences), size=(resamples, len(differences)))
    with np.errstate(invalid="ignore"):  # an infinite PSNR, of a perfect result
        low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    wins = int(((differences < 0) if lower_is_better else (differences > 0)).sum())
    return Difference(float(differences.mean()), float(low), float(high), wins)


@dataclass(frozen=True)
class Evaluation:
    """Scores of several ways to upscale the same photos.

    Attributes:
        photos: names of the photos, below a folder that they share.
        scores: for each way, one dictionary of metrics a photo.
        pairs: the ways (a, b) whose differences b - a are of interest.
        degradation: by which the small photos were made.
    """

    photos: list[str]
    scores: dict[str, list[Scores]]
    pairs: list[tuple[str, str]] = field(default_factory=list)
    degradation: str = "bicubic"

    @property
    def metrics(self) -> list[str]:
        """The metrics that every photo has in every way."""
        return shared_metrics(score for scores in self.scores.values() for score in scores)

    def values(self, way: str, metric: str) -> list[float]:
        """One metric of one way, photo by photo."""
        return [score[metric] for score in self.scores[way]]

    def mean(self, way: str) -> Scores:
        """Mean of each metric over the photos."""
        return {metric: fmean(self.values(way, metric)) for metric in self.metrics}

    def difference(self, a: str, b: str) -> dict[str, Difference]:
        """b - a, for each metric."""
        return {
            metric: paired_difference(
                self.values(a, metric), self.values(b, metric), lower_is_better=METRICS[metric].best is min
            )
            for metric in self.metrics
        }

    def markdown(self) -> str:
        """The table, the differences with their intervals, and the protocol."""
        head = [f"{len(self.photos)} photos", *(METRICS[metric].label for metric in self.metrics)]
        means = [[way, *(METRICS[m].spell(v) for m, v in self.mean(way).items())] for way in self.scores]
        parts = [table(head, means)]
        for a, b in self.pairs:
            rows = []
            for name, d in self.difference(a, b).items():
                mean, low, high = (METRICS[name].spell(value, "+") for value in (d.mean, d.low, d.high))
                interval = f"{low} to {high}" if len(self.photos) >= LEAST_PHOTOS else "too few photos"
                rows.append([METRICS[name].label, mean, interval, f"{d.wins} of {len(self.photos)}"])
            parts.append(table([f"{b} minus {a}", "mean", "95 % interval", f"{b} better"], rows))
        if "lpips" not in self.metrics:
            parts.append(f"LPIPS is left out, as a photo has a side under {SMALLEST_FOR_LPIPS} pixels.")
        return "\n\n".join([*parts, protocol(self.degradation)])

    def csv(self) -> str:
        """A line for each photo, a column for each metric of each way."""
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(["photo", *(f"{way}_{metric}" for way in self.scores for metric in self.metrics)])
        for i, name in enumerate(self.photos):
            writer.writerow([name, *(self.scores[way][i][metric] for way in self.scores for metric in self.metrics)])
        return file.getvalue()

    def json(self) -> dict[str, Any]:
        """Everything: means, differences, and the scores of each photo; what is not finite becomes None."""
        return finite(
            {
                "protocol": protocol(self.degradation),
                "mean": {way: self.mean(way) for way in self.scores},
                "difference": {
                    f"{b}_minus_{a}": {metric: vars(d) for metric, d in self.difference(a, b).items()}
                    for a, b in self.pairs
                },
                "photos": {
                    name: {way: self.scores[way][i] for way in self.scores} for i, name in enumerate(self.photos)
                },
            }
        )


def evaluate(
    methods: Mapping[str, Method],
    paths: Sequence[Path],
    pairs: Sequence[tuple[str, str]] = (),
    masks: Path | None = None,
    degradation: str = "bicubic",
    root: Path | None = None,
) -> Evaluation:
    """Measure every way on every photo.

    Args:
        methods: the ways, by name.
        paths: the photos.
        pairs: as in `Evaluation`.
        masks: folder with a PNG for each photo, of its name and size, white on the animal.
        degradation: as in `measure`.
        root: the folder below which photos have their names, by default the one that they share.

    Raises:
        ImageError: a photo or a mask cannot be used.
    """
    scores: dict[str, list[Scores]] = {way: [] for way in methods}
    root = root or Path(os.path.commonpath([path.parent for path in paths]))
    names = [path.relative_to(root) for path in paths]
    found = []
    for path, name in zip(paths, names, strict=True):  # all of them, before hours are spent on the first ones
        truth = read_truth(path)
        found.append(read_mask(masks / name.with_suffix(".png"), truth) if masks else None)
    for path, mask in zip(tqdm(paths, desc="measuring", unit="photo"), found, strict=True):
        truth = read_truth(path)
        for way, method in methods.items():
            scores[way].append(measure(method, truth, mask, degradation, path.name))
    return Evaluation([name.as_posix() for name in names], scores, list(pairs), degradation)


def finite(figures: Any) -> Any:
    """The same with None for what JSON cannot hold: an infinite PSNR, and the difference of two."""
    if isinstance(figures, dict):
        return {key: finite(value) for key, value in figures.items()}
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures

"""Ways to upscale, side by side over a set of photos, by the protocol of `esrgan.metrics`."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from .generator import SCALE
from .images import ImageError, enlarge, read_cropped, shrink
from .metrics import METRICS, SMALLEST, compare

PROTOCOL = (
    "Truth: 8-bit RGB, cropped to a multiple of 4. Input: Pillow bicubic by 1/4. Output: clamped and rounded to 8 bit. "
    "PSNR-Y and SSIM-Y: BT.601 luma in 16..235; peak 255; 4 px shaved off each side."
)

Method = Callable[[Image.Image], Image.Image]
Scores = dict[str, float]


def bicubic(image: Image.Image) -> Image.Image:
    """Pillow's bicubic x4: the row that every table begins with."""
    return enlarge(image, SCALE)


def read_truth(path: Path) -> Image.Image:
    """The ground truth of a photo.

    Raises:
        ImageError: it cannot be read, or is too small to be measured.
    """
    truth = read_cropped(path, SCALE)
    if min(truth.size) < SMALLEST:
        raise ImageError(f"{path}: {truth.width} x {truth.height} pixels are too few to be measured.")
    return truth


def measure(method: Method, truth: Image.Image) -> Scores:
    """Shrink the truth by 4, bring it back by `method`, and measure the result against it."""
    return compare(method(shrink(truth, SCALE)), truth)


def mean_scores(method: Method, paths: Iterable[Path]) -> Scores:
    """Mean of each metric over photos."""
    scores = [measure(method, read_truth(path)) for path in tqdm(paths, desc="measuring", unit="photo", leave=False)]
    return {name: fmean(score[name] for score in scores) for name in METRICS}


@dataclass(frozen=True)
class Difference:
    """A paired difference over photos: its mean, its bootstrap interval, and on how many photos it is above 0."""

    mean: float
    low: float
    high: float
    wins: int


def paired_difference(a: Sequence[float], b: Sequence[float], *, resamples: int = 10_000, seed: int = 0) -> Difference:
    """Mean of b - a with its 95 % percentile bootstrap interval; photos are what is resampled.

    Args:
        a: one value per photo.
        b: the other way's values for the same photos.
        resamples: how many bootstrap samples.
        seed: decides them.
    """
    differences = np.asarray(b, float) - np.asarray(a, float)
    drawn = np.random.default_rng(seed).integers(len(differences), size=(resamples, len(differences)))
    with np.errstate(invalid="ignore"):  # an infinite PSNR, of a perfect result
        low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    return Difference(float(differences.mean()), float(low), float(high), int((differences > 0).sum()))


@dataclass(frozen=True)
class Evaluation:
    """Scores of several ways to upscale the same photos.

    Attributes:
        photos: names of the photos, below the folder that they share.
        scores: for each way, one dictionary of metrics a photo.
    """

    photos: list[str]
    scores: dict[str, list[Scores]]

    def values(self, way: str, metric: str) -> list[float]:
        """One metric of one way, photo by photo."""
        return [score[metric] for score in self.scores[way]]

    def mean(self, way: str) -> Scores:
        """Mean of each metric over the photos."""
        return {metric: fmean(self.values(way, metric)) for metric in METRICS}

    def difference(self, a: str, b: str) -> dict[str, Difference]:
        """b - a, for each metric."""
        return {metric: paired_difference(self.values(a, metric), self.values(b, metric)) for metric in METRICS}

    def markdown(self) -> str:
        """The table, the difference of the last two ways with its interval, and the protocol."""
        lines = [
            f"| {len(self.photos)} photos | {' | '.join(METRICS.values())} |",
            "|---" * (len(METRICS) + 1) + "|",
            *(f"| {way} | {' | '.join(_format(m, v) for m, v in self.mean(way).items())} |" for way in self.scores),
        ]
        if len(self.scores) > 2:
            a, b = list(self.scores)[-2:]
            lines += ["", f"| {b} minus {a} | mean | 95 % interval | {b} ahead |", "|---|---|---|---|"]
            lines += [
                f"| {METRICS[metric]} | {_format(metric, d.mean, '+')} | {_format(metric, d.low, '+')} to "
                f"{_format(metric, d.high, '+')} | {d.wins} of {len(self.photos)} |"
                for metric, d in self.difference(a, b).items()
            ]
        return "\n".join([*lines, "", PROTOCOL])

    def json(self) -> dict[str, Any]:
        """Everything: means, differences, and the scores of each photo; what is not finite becomes None."""
        ways = list(self.scores)
        differences = {}
        if len(ways) > 2:
            a, b = ways[-2:]
            differences = {f"{b}_minus_{a}": {metric: vars(d) for metric, d in self.difference(a, b).items()}}
        return finite(
            {
                "protocol": PROTOCOL,
                "mean": {way: self.mean(way) for way in ways},
                "difference": differences,
                "photos": {name: {way: self.scores[way][i] for way in ways} for i, name in enumerate(self.photos)},
            }
        )


def evaluate(methods: Mapping[str, Method], paths: Sequence[Path]) -> Evaluation:
    """Measure every way on every photo."""
    scores: dict[str, list[Scores]] = {way: [] for way in methods}
    for path in tqdm(paths, desc="measuring", unit="photo"):
        truth = read_truth(path)
        for way, method in methods.items():
            scores[way].append(measure(method, truth))
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return Evaluation([path.relative_to(root).as_posix() for path in paths], scores)


def _format(metric: str, value: float, sign: str = "") -> str:
    return f"{value:{sign}.{4 if metric.startswith('ssim') else 2}f}"


def finite(figures: Any) -> Any:
    """The same with None for what JSON cannot hold: an infinite PSNR, and the difference of two."""
    if isinstance(figures, dict):
        return {key: finite(value) for key, value in figures.items()}
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures

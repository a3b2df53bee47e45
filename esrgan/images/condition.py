"""In what condition a photo is: how much noise it has, whether JPEG left its blocks, whether it was enlarged before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Chosen on the training photos: see docs/results.md for how often each is right on others.
NOISY = 2.5  # standard deviation, of 255
BLOCKY = 0.04
BADLY_COMPRESSED = 75  # JPEG quality
ENLARGED = 0.01

BLOCK = 8  # pixels a side, of JPEG
FLAT = 6  # pixels a side of what noise is looked for in
FLATTEST = 2  # per cent of those that are taken for flat
DARKEST, LIGHTEST = 8, 247  # outside, noise is cut off
TILE = 64  # pixels a side of what a spectrum is taken of
FINE, COARSE = (0.3, 0.45), (0.1, 0.2)  # cycles a pixel
STANDARD = (16, 11, 10, 16, 24, 40, 51, 61)  # the first row of JPEG's own luma table, ITU-T T.81 table K.1


@dataclass(frozen=True)
class Condition:
    """What was measured of a photo.

    Attributes:
        noise: standard deviation of its luma where it is flattest, of 255.
        blockiness: by how much luma steps at JPEG's blocks are above those elsewhere, as a part of the latter.
        fine_detail: power of the finest detail as a part of that of coarse detail; None below 64 pixels a side.
        jpeg_quality: what its file was written with, 1 to 100; None if that is not known.
    """

    noise: float
    blockiness: float
    fine_detail: float | None = None
    jpeg_quality: int | None = None

    @property
    def damage(self) -> str | None:
        """What is wrong with the photo beside being small, in words; None if nothing is."""
        if self.jpeg_quality is not None and self.jpeg_quality < BADLY_COMPRESSED:
            return f"JPEG of quality {self.jpeg_quality}"
        if self.blockiness > BLOCKY:
            return "blocks of JPEG"
        if self.noise > NOISY:
            return f"noise of {self.noise:.1f} levels of 255"
        return None

    @property
    def is_enlarged(self) -> bool:
        """Whether half its pixels a side would hold all that it shows."""
        return self.fine_detail is not None and self.fine_detail < ENLARGED


def measure_condition(photo: Image.Image, jpeg_quality: int | None = None) -> Condition:
    """Measure a photo.

    Args:
        photo: RGB, as it is to be enlarged.
        jpeg_quality: as of `quality_of`.
    """
    luma = np.asarray(photo.convert("L"), np.float32)
    return Condition(noise_level(luma), blockiness(luma), fine_detail(luma), jpeg_quality)


def noise_level(luma: np.ndarray) -> float:
    """Standard deviation of the noise, of 255, by Immerkaer's mask (CVIU 64, 1996), which is blind to slopes.

    It is taken of the flattest squares of 6 pixels, as texture is no noise, and a little below the truth therefore.

    Args:
        luma: 0..255, shape (H, W).
    """
    centre, around = luma[1:-1, 1:-1], luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    corners = luma[:-2, :-2] + luma[:-2, 2:] + luma[2:, :-2] + luma[2:, 2:]
    rough = squares((4 * centre - 2 * around + corners) / 6, FLAT)
    light = squares(centre, FLAT).mean(1)
    rough = rough[(light > DARKEST) & (light < LIGHTEST)]
    return float(np.percentile(np.sqrt(np.square(rough).mean(1)), FLATTEST)) if len(rough) else 0.0


def squares(values: np.ndarray, side: int) -> np.ndarray:
    """Cut into squares, what is left over at the right and the bottom being dropped: shape (count, side * side)."""
    rows, columns = (length // side for length in values.shape)
    cut = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.swapaxes(1, 2).reshape(rows * columns, side * side)


def blockiness(luma: np.ndarray) -> float:
    """By how much the steps between JPEG's blocks, wherever they begin, are above all others; about 0 without any.

    Of the eight places where blocks can begin the one of the largest steps is taken, less what chance makes of eight.

    Args:
        luma: 0..255, shape (H, W).
    """
    return float(np.mean([_blockiness_across(values) for values in (luma, luma.T)]))


def _blockiness_across(luma: np.ndarray) -> float:
    if luma.shape[1] < 2 * BLOCK:
        return 0.0
    bends = np.minimum(np.abs(luma[:, :-3] - 3 * luma[:, 1:-2] + 3 * luma[:, 2:-1] - luma[:, 3:]), 40).mean(0)
    places = [bends[start::BLOCK] for start in range(BLOCK)]
    means = np.array([place.mean() for place in places])
    chance = np.sqrt(np.mean([place.var() / len(place) for place in places]))
    top = int(means.argmax())
    elsewhere = np.mean([means[(top + step) % BLOCK] for step in (2, 4, 6)])  # as enlargement has a period of 2
    return (means[top] - elsewhere - 1.42 * chance) / elsewhere if elsewhere else 0.0  # 1.42: of the largest of 8


def fine_detail(luma: np.ndarray) -> float | None:
    """Power at 0.3 to 0.45 cycles a pixel as a part of that at 0.1 to 0.2, where one direction has the more of it.

    A photo as cameras make it has some hundredths; one that was enlarged has next to nothing.

    Args:
        luma: 0..255, shape (H, W).
    """
    if min(luma.shape) < TILE:
        return None
    tiles = squares(luma, TILE).reshape(-1, TILE, TILE)
    window = np.hanning(TILE)
    tiles = (tiles - tiles.mean((1, 2), keepdims=True)) * np.outer(window, window)
    power = np.square(np.abs(np.fft.rfft2(tiles))).mean(0)
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE))
    fine, coarse = (power[(frequency > low) & (frequency < high)].mean() for low, high in (FINE, COARSE))
    return float(fine / coarse) if coarse else None


def quality_of(table: Sequence[int]) -> int:
    """The quality, 1 to 100, as libjpeg counts it, that such a table for luma comes nearest to.

    Args:
        table: 64 quantisation steps in the order of rows.
    """
    percent = 100 * sum(table[: len(STANDARD)]) / sum(STANDARD)
    return max(1, min(100, round((200 - percent) / 2 if percent <= 100 else 5000 / percent)))

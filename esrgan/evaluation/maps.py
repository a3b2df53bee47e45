"""Where in a photo a result is wrong, where one is closer to the truth than another, and where results disagree."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

from .metrics import luma

BLOCK = 8
BLUE = np.array([0x1F, 0x77, 0xB4], np.float64)
ORANGE = np.array([0xFF, 0x7F, 0x0E], np.float64)
COLOURS = matplotlib.colormaps["inferno"]  # perceptually uniform, and for colour-blind people too
ERROR_END = 32  # levels of brightness, where the scale of colours ends
DOUBT_END = 10  # the same; a result is off by about three times the spread, so that both maps look alike


def block_means(values: np.ndarray) -> np.ndarray:
    """Averages over blocks of 8 x 8 pixels, of those that there are at the right and lower edge.

    Args:
        values: shape (H, W).

    Returns:
        Shape (ceil(H / 8), ceil(W / 8)).
    """
    rows, columns = (np.arange(0, side, BLOCK) for side in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, 0), columns, 1)
    heights, widths = (np.diff([*starts, side]) for starts, side in zip((rows, columns), values.shape, strict=True))
    return sums / np.outer(heights, widths)


def spread(blocks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Each block as its pixels again: shape (H, W, ...)."""
    return blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[: shape[0], : shape[1]]


def local_error(result: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root mean square error of luma in blocks of 8 x 8 pixels.

    Args:
        result: 8-bit RGB, shape (H, W, 3).
        truth: the same.

    Returns:
        Shape (ceil(H / 8), ceil(W / 8)), levels of 255.
    """
    return np.sqrt(block_means(np.square(luma(result) - luma(truth))))


def draw_error(result: Image.Image, truth: Image.Image) -> Image.Image:
    """The local error in colours: black where there is none, pale yellow from 32 levels on.

    The scale is the same for all photos, so that results, models and photos can be compared.
    """
    pixels = np.asarray(truth)
    return paint(local_error(np.asarray(result), pixels) / ERROR_END, pixels.shape)


def local_doubt(results: Sequence[np.ndarray]) -> np.ndarray:
    """How far results of one photo disagree: the standard deviation of their luma, quadratic mean of 8 x 8 pixels.

    Args:
        results: 8-bit RGB, each of shape (H, W, 3).

    Returns:
        Shape (ceil(H / 8), ceil(W / 8)), levels of 255.
    """
    return np.sqrt(block_means(np.var([luma(result) for result in results], axis=0)))


def draw_doubt(results: Sequence[np.ndarray]) -> Image.Image:
    """The disagreement in the colours of the error: black where there is none, pale yellow from 10 levels on.

    The scale is the same for all photos. Agreement proves nothing: what all have learned alike, all may have wrong.
    """
    return paint(local_doubt(results) / DOUBT_END, results[0].shape)


def paint(blocks: np.ndarray, shape: tuple[int, ...]) -> Image.Image:
    """Blocks of values in 0..1 in colours, as a picture of this shape (H, W, ...)."""
    return Image.fromarray(spread(COLOURS(blocks, bytes=True)[..., :3], shape))


def colour_scale() -> str:
    """The scale of colours from left to right, as CSS."""
    stops = (matplotlib.colors.to_hex(COLOURS(step / 8)) for step in range(9))
    return f"linear-gradient(to right, {', '.join(stops)})"


def local_gain(a: np.ndarray, b: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How much less squared error of luma `b` has than `a`, averaged over blocks of 8 x 8 pixels.

    Args:
        a: 8-bit RGB, shape (H, W, 3).
        b: the same.
        truth: the same.

    Returns:
        Shape (ceil(H / 8), ceil(W / 8)); above 0 where `b` is closer, below 0 where `a` is.
    """
    target = luma(truth)
    return block_means(np.square(luma(a) - target) - np.square(luma(b) - target))


def draw_winner(a: Image.Image, b: Image.Image, truth: Image.Image) -> Image.Image:
    """The photo in grey, under blue where `b` is closer to the truth and orange where `a` is.

    The stronger the colour, the larger the difference of the squared errors; the scale ends at the photo's 98th
    percentile. Blue and orange are told apart by colour-blind people too.
    """
    pixels = np.asarray(truth)
    gain = local_gain(np.asarray(a), np.asarray(b), pixels)
    scale = np.quantile(np.abs(gain), 0.98)
    strength = np.sqrt(np.clip(np.abs(gain) / scale, 0, 1)) if scale else np.zeros_like(gain)
    colour = np.where(gain[..., None] > 0, BLUE, ORANGE)
    grey = np.repeat((luma(pixels) * 0.6 + 70)[..., None], 3, 2)
    weight = 0.85 * spread(strength, grey.shape)[..., None]
    return Image.fromarray(np.round(grey + weight * (spread(colour, grey.shape) - grey)).astype(np.uint8))

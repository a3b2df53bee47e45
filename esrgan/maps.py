"""Where in a photo one result is closer to the truth than another."""

import numpy as np
from PIL import Image

from .metrics import luma

BLOCK = 8
BLUE = np.array([0x1F, 0x77, 0xB4], np.float64)
ORANGE = np.array([0xFF, 0x7F, 0x0E], np.float64)


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
    gain = np.square(luma(a) - target) - np.square(luma(b) - target)
    rows, columns = (np.arange(0, side, BLOCK) for side in gain.shape)
    sums = np.add.reduceat(np.add.reduceat(gain, rows, 0), columns, 1)
    heights, widths = (np.diff([*starts, side]) for starts, side in zip((rows, columns), gain.shape, strict=True))
    return sums / np.outer(heights, widths)


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

    def spread(blocks: np.ndarray) -> np.ndarray:
        return blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[: grey.shape[0], : grey.shape[1]]

    weight = 0.85 * spread(strength)[..., None]
    return Image.fromarray(np.round(grey + weight * (spread(colour) - grey)).astype(np.uint8))

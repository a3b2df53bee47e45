"""The one place where a result is measured against the truth, for training, evaluation, model cards and the page.

Protocol: 8-bit RGB on both sides; `psnr_y` and `ssim_y` on the luma of BT.601 (16..235, MATLAB's rgb2ycbcr), `psnr_rgb`
on all channels, peak 255, 4 pixels shaved off each side; `lpips` (Zhang et al., arXiv:1801.03924; AlexNet, version 0.1)
on the whole RGB picture of 35 pixels a side at least; with a mask, `psnr_y` of the animal and of the rest, too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from .lpips import load_lpips

SHAVE = 4
SMALLEST = 11 + 2 * SHAVE
SMALLEST_FOR_LPIPS = 35  # AlexNet's last pooling needs that much


@dataclass(frozen=True)
class Metric:
    """How a metric is shown: its name with the unit, the digits worth giving, and which of two values is better."""

    label: str
    digits: int
    best: Callable[[Sequence[float]], float]

    def spell(self, value: float, sign: str = "") -> str:
        """A value as text; `sign` is "+" for a difference, and nothing is said of the sign of one that rounds to 0."""
        rounded = round(value, self.digits) + 0.0
        return f"{rounded:{sign if rounded else ''}.{self.digits}f}"


METRICS = {
    "psnr_y": Metric("PSNR-Y (dB)", 2, max),
    "psnr_rgb": Metric("PSNR-RGB (dB)", 2, max),
    "ssim_y": Metric("SSIM-Y", 4, max),
    "lpips": Metric("LPIPS", 3, min),
    "psnr_y_animal": Metric("PSNR-Y, animal (dB)", 2, max),
    "psnr_y_background": Metric("PSNR-Y, background (dB)", 2, max),
}


def psnr(result: np.ndarray, truth: np.ndarray, *, peak: float) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal arrays.

    Args:
        result: values in 0..peak, any shape.
        truth: the same shape.
        peak: the largest possible value: 255 for 8 bit, 1 for floats in 0..1. It is never guessed: 255 with values in
            0..1 would add 48.13 dB.

    Raises:
        ValueError: shapes differ, a value lies outside 0..peak, or 8-bit arrays come with another peak than 255.
    """
    if result.shape != truth.shape:
        raise ValueError(f"shapes differ: {result.shape} and {truth.shape}")
    for array in (result, truth):
        if array.dtype == np.uint8 and peak != 255:
            raise ValueError(f"8-bit values have the peak 255, not {peak:g}")
        if not (array.min() >= 0 and array.max() <= peak):  # nor NaN
            raise ValueError(f"values in {array.min():g}..{array.max():g} do not fit the range 0..{peak:g}")
    error = np.mean(np.square(result.astype(np.float64) - truth.astype(np.float64)))
    return math.inf if error == 0 else float(10 * np.log10(peak**2 / error))


def luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601 luma in 16..235, unrounded, of 8-bit RGB (H, W, 3)."""
    return 16 + rgb.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def ssim(result: np.ndarray, truth: np.ndarray, *, peak: float) -> float:
    """Structural similarity of two planes (Wang et al., 2004, IEEE TIP 13(4), equation 13): 1 for equal ones.

    By hand, as torchmetrics also averages windows that reach over the border, into a reflection: 0.8162 on a photo for
    which the formula gives 0.8108.

    Args:
        result: shape (H, W), values in 0..peak; the mean is over all windows of 11 x 11 that lie inside.
        truth: the same shape.
        peak: the largest possible value.
    """
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()

    def blur(x: np.ndarray) -> np.ndarray:
        x = sum(weight * x[i : len(x) - 10 + i] for i, weight in enumerate(weights))
        return sum(weight * x[:, i : x.shape[1] - 10 + i] for i, weight in enumerate(weights))

    a, b = blur(result), blur(truth)
    variances = blur(result**2) - a**2 + blur(truth**2) - b**2
    covariance = blur(result * truth) - a * b
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    return float(np.mean((2 * a * b + c1) * (2 * covariance + c2) / ((a**2 + b**2 + c1) * (variances + c2))))


def lpips(result: Image.Image, truth: Image.Image) -> float | None:
    """Learned perceptual distance of two RGB pictures of one size: 0 for equal ones, about 0.4 for a blurred one.

    Returns:
        None for a side under 35 pixels.
    """
    if min(truth.size) < SMALLEST_FOR_LPIPS:
        return None
    with torch.inference_mode():
        a, b = (torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255 for image in (result, truth))
        return load_lpips()(a, b).item()


def compare(result: Image.Image, truth: Image.Image, mask: np.ndarray | None = None) -> dict[str, float]:
    """Measure an 8-bit RGB result against the truth of the same size.

    Args:
        result: what was made.
        truth: what it should be.
        mask: bool of shape (H, W), true on the animal, which is then also measured apart from its background; each
            needs a pixel that is not shaved off.

    Returns:
        `psnr_y` and `psnr_rgb` in dB (infinite where equal), `ssim_y` in -1..1, and `lpips` where no side is under 35
        pixels; with a mask also `psnr_y_animal` and `psnr_y_background`.

    Raises:
        ValueError: sizes differ, not RGB, or a side is under 19 pixels (SSIM's window of 11, 4 shaved off each side).
    """
    if (result.size, result.mode, truth.mode) != (truth.size, "RGB", "RGB"):
        raise ValueError(
            f"cannot compare {result.mode} {result.size} with {truth.mode} {truth.size}; both must be RGB of one size"
        )
    if min(truth.size) < SMALLEST:
        raise ValueError(
            f"{truth.width} x {truth.height} pixels: too small to be measured, {SMALLEST} x {SMALLEST} are needed"
        )
    a, b = (np.asarray(image)[SHAVE:-SHAVE, SHAVE:-SHAVE] for image in (result, truth))
    luma_a, luma_b = luma(a), luma(b)
    distance = lpips(result, truth)
    parts = {}
    if mask is not None:
        inner = mask[SHAVE:-SHAVE, SHAVE:-SHAVE]
        parts = {"psnr_y_animal": inner, "psnr_y_background": ~inner}
    return {
        "psnr_y": psnr(luma_a, luma_b, peak=255),
        "psnr_rgb": psnr(a, b, peak=255),
        "ssim_y": ssim(luma_a, luma_b, peak=255),
        **({} if distance is None else {"lpips": distance}),
        **{name: psnr(luma_a[part], luma_b[part], peak=255) for name, part in parts.items()},
    }

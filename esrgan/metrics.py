"""The one place where a result is measured against the truth, for training, evaluation, model cards and the page.

Protocol: 8-bit RGB on both sides; `psnr_y` and `ssim_y` on the luma of BT.601 (16..235, MATLAB's rgb2ycbcr), `psnr_rgb`
on all channels, peak 255, 4 pixels shaved off each side.
"""

import math

import numpy as np
import torch
from PIL import Image

from . import compat  # noqa: F401  torchmetrics imports torchvision

from torchmetrics.functional.image import structural_similarity_index_measure  # isort: skip

SHAVE = 4
METRICS = {"psnr_y": "PSNR-Y (dB)", "psnr_rgb": "PSNR-RGB (dB)", "ssim_y": "SSIM-Y"}
SMALLEST = 11 + 2 * SHAVE


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


def compare(result: Image.Image, truth: Image.Image) -> dict[str, float]:
    """Measure an 8-bit RGB result against the truth of the same size.

    Returns:
        `psnr_y` and `psnr_rgb` in dB (infinite where equal), `ssim_y` in -1..1.

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
    planes = (torch.from_numpy(plane).float()[None, None] for plane in (luma_a, luma_b))
    ssim = structural_similarity_index_measure(*planes, data_range=255.0)
    return {"psnr_y": psnr(luma_a, luma_b, peak=255), "psnr_rgb": psnr(a, b, peak=255), "ssim_y": float(ssim)}

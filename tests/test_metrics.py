"""The one protocol of every number, against values worked by hand and a second implementation."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, PHOTOS
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from esrgan.compat import torchvision
from esrgan.evaluation.metrics import compare, lpips, luma, psnr
from esrgan.evaluation.study import bicubic, read_truth
from esrgan.images.resize import shrink

PHOTO = Image.open(EXAMPLES / "dog_german_shepherd.png").convert("RGB").crop((200, 60, 264, 108))


def test_a_constant_difference_of_1_in_255_has_48_13_db() -> None:
    a = np.full((5, 7, 3), 100, np.uint8)
    assert psnr(a + 1, a, peak=255) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(a, a + 1, peak=255) == psnr(a + 1, a, peak=255)


def test_psnr_by_hand() -> None:
    truth = np.array([[0, 0, 0, 0]], np.uint8)
    result = np.array([[0, 0, 0, 16]], np.uint8)  # the mean square is 64: 10 log10(65025 / 64)
    assert psnr(result, truth, peak=255) == pytest.approx(10 * math.log10(65025 / 64), abs=1e-12)
    assert psnr(np.array([0.5]), np.array([0.25]), peak=1) == pytest.approx(12.0412, abs=1e-4)


@given(st.floats(0.01, 0.9), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_psnr_does_not_depend_on_the_unit(distance: float, seed: int) -> None:
    a = np.random.default_rng(seed).uniform(0, 1 - distance, (4, 4))
    unit = psnr(a + distance, a, peak=1)
    assert unit == pytest.approx(-20 * math.log10(distance))
    assert psnr(255 * (a + distance), 255 * a, peak=255) == pytest.approx(unit)


def test_8_bit_differences_do_not_wrap() -> None:
    black, white = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert psnr(black, white, peak=255) == psnr(white, black, peak=255) == 0


@pytest.mark.parametrize(
    ("values", "peak", "told"),
    [
        (np.zeros((2, 2), np.uint8), 1, "8-bit values have the peak 255, not 1"),
        (np.array([[0.0, 1.5]]), 1, r"values in 0..1\.5 do not fit the range 0\.\.1"),
        (np.array([[-0.1, 0.5]]), 1, r"values in -0\.1"),
        (np.array([[0.0, 256.0]]), 255, "do not fit the range"),
        (np.array([[0.0, math.nan]]), 1, "do not fit the range"),
    ],
)
def test_a_range_that_does_not_fit_is_refused(values: np.ndarray, peak: float, told: str) -> None:
    fitting = np.zeros(values.shape, values.dtype)
    for a, b in ((values, fitting), (fitting, values)):
        with pytest.raises(ValueError, match=told):
            psnr(a, b, peak=peak)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        psnr(np.zeros((2, 2)), np.zeros((2, 1)), peak=1)


def test_luma_goes_from_16_to_235() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]], np.uint8)
    assert luma(colours)[0] == pytest.approx([16, 235, 81.481, 144.553, 40.966, 16 + 219 * 128 / 255], abs=1e-9)


def test_identical_photos_score_infinity_and_1() -> None:
    scores = compare(PHOTO, PHOTO)
    assert scores.pop("lpips", 0) == 0
    assert scores == {"psnr_y": math.inf, "psnr_rgb": math.inf, "ssim_y": pytest.approx(1)}


def test_exactly_4_pixels_are_shaved_off_each_side() -> None:
    truth = np.asarray(PHOTO)
    for row, column in ((3, 20), (-4, 20), (20, 3), (20, -4)):
        result = truth.copy()
        result[row, column] ^= 0x80
        assert compare(Image.fromarray(result), PHOTO)["psnr_rgb"] == math.inf
    for row, column in ((4, 20), (-5, 20), (20, 4), (20, -5)):
        result = truth.copy()
        result[row, column] ^= 0x80
        inner = (truth.shape[0] - 8) * (truth.shape[1] - 8)
        expected = 10 * math.log10(255**2 * inner / 128**2)
        assert compare(Image.fromarray(result), PHOTO)["psnr_rgb"] == pytest.approx(expected)


def test_a_grey_difference_of_1_in_luma() -> None:
    """219/255 of the step in RGB, so 1.3220 dB more."""
    a, b = (Image.new("RGB", (20, 20), (value,) * 3) for value in (90, 91))
    scores = compare(a, b)
    assert scores["psnr_rgb"] == pytest.approx(48.1308, abs=1e-4)
    assert scores["psnr_y"] == pytest.approx(48.1308 + 1.3220, abs=1e-4)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, written down from the paper: each 11x11 window inside the image, weighted by a Gaussian."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    x, y = (np.lib.stride_tricks.sliding_window_view(array, (11, 11)) for array in (a, b))

    def mean(windows: np.ndarray) -> np.ndarray:
        return (windows * weights).sum(axis=(2, 3))

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


@pytest.mark.parametrize("degrade", ["bicubic", "noise", "unrelated"])
def test_ssim_agrees_with_a_second_implementation(degrade: str) -> None:
    truth = np.asarray(PHOTO)
    rng = np.random.default_rng(0)
    result = {
        "bicubic": lambda: np.asarray(PHOTO.resize((16, 12), Image.Resampling.BICUBIC).resize((64, 48))),
        "noise": lambda: (truth + rng.normal(0, 25, truth.shape)).clip(0, 255).astype(np.uint8),
        "unrelated": lambda: rng.integers(0, 256, truth.shape, np.uint8),
    }[degrade]()
    expected = ssim(luma(result)[4:-4, 4:-4], luma(truth)[4:-4, 4:-4])
    assert compare(Image.fromarray(result), PHOTO)["ssim_y"] == pytest.approx(expected, abs=1e-6)
    assert expected < 0.95


def test_the_smallest_photo_is_19_by_19() -> None:
    small = PHOTO.crop((0, 0, 19, 19))
    assert compare(small, small)["ssim_y"] == pytest.approx(1)
    with pytest.raises(ValueError, match="18 x 19 pixels: too small to be measured"):
        compare(small.crop((0, 0, 18, 19)), small.crop((0, 0, 18, 19)))


def test_sizes_and_modes_that_differ_are_refused() -> None:
    for result, truth in (
        (PHOTO.crop((0, 0, 40, 48)), PHOTO),
        (PHOTO.convert("L"), PHOTO),
        (PHOTO, PHOTO.convert("L")),
    ):
        with pytest.raises(ValueError, match="cannot compare"):
            compare(result, truth)


@pytest.mark.parametrize("path", sorted(PHOTOS.glob("*.png")), ids=lambda path: path.stem)
def test_bicubic_has_the_psnr_y_of_the_formula(path: Path) -> None:
    """rgb2ycbcr's luma, 4 pixels shaved off, peak 255, written down once more."""
    truth = Image.open(path).convert("RGB")
    small = truth.resize((truth.width // 4, truth.height // 4), Image.Resampling.BICUBIC)
    result = small.resize(truth.size, Image.Resampling.BICUBIC)
    weights = np.array([65.481, 128.553, 24.966]) / 255
    a, b = (np.asarray(image, float)[4:-4, 4:-4] @ weights + 16 for image in (result, truth))
    expected = 10 * math.log10(255**2 / np.square(a - b).mean())
    assert compare(bicubic(shrink(read_truth(path), 4)), read_truth(path))["psnr_y"] == pytest.approx(expected)


@pytest.fixture
def alexnet() -> None:
    weights = torchvision.models.AlexNet_Weights.IMAGENET1K_V1
    if not Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name).is_file():
        pytest.skip("needs torchvision's AlexNet weights, in ../shared/torch_home or downloaded")


@pytest.mark.parametrize("size", [(35, 40), (64, 99), (200, 150)])
def test_lpips_is_torchmetrics_over_the_whole_picture(alexnet: None, size: tuple[int, int]) -> None:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    truth = PHOTO.resize(size)
    blurred = truth.resize((9, 10)).resize(size)
    a, b = (torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255 for image in (blurred, truth))
    theirs = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)(a, b).item()
    assert lpips(blurred, truth) == compare(blurred, truth)["lpips"] == pytest.approx(theirs, abs=1e-6)
    assert theirs > 0.1


def test_lpips_prefers_a_small_shift_of_light_to_a_blur_that_psnr_prefers() -> None:
    blurred, lighter = bicubic(shrink(PHOTO, 4)), Image.fromarray(np.array(PHOTO) // 2 + 127)
    assert compare(blurred, PHOTO)["psnr_rgb"] > compare(lighter, PHOTO)["psnr_rgb"]
    assert compare(blurred, PHOTO)["lpips"] > compare(lighter, PHOTO)["lpips"]


def test_lpips_leaves_out_what_is_too_small_for_its_network() -> None:
    small = PHOTO.crop((0, 0, 35, 40))
    assert lpips(small, small) == 0
    assert lpips(small.crop((0, 0, 34, 40)), small.crop((0, 0, 34, 40))) is None


def test_a_fresh_offline_machine_has_lpips(tmp_path: Path) -> None:
    code = (
        "from PIL import Image; from esrgan.evaluation.metrics import compare\n"
        "photo = Image.new('RGB', (64, 64)); print(sorted(compare(photo, photo)))"
    )
    environment = {**os.environ, "TORCH_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lpips', 'psnr_rgb', 'psnr_y', 'ssim_y']"
    assert not list(tmp_path.iterdir())


def test_a_mask_measures_the_animal_apart_from_its_background() -> None:
    truth = Image.new("RGB", (40, 40), (100, 100, 100))
    mask = np.zeros((40, 40), bool)
    mask[10:20, 8:28] = True
    pixels = np.array(truth)
    pixels[mask] += 10  # luma is 219/255 of a grey difference
    pixels[~mask] += 2
    pixels[:4] = 255  # shaved off
    scores = compare(Image.fromarray(pixels), truth, mask)
    assert scores["psnr_y_animal"] == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)))
    assert scores["psnr_y_background"] == pytest.approx(20 * math.log10(255 / (2 * 219 / 255)))
    errors = [(10 * 219 / 255) ** 2, (2 * 219 / 255) ** 2]
    mean = (200 * errors[0] + (32 * 32 - 200) * errors[1]) / 32**2
    assert scores["psnr_y"] == pytest.approx(10 * math.log10(255**2 / mean))

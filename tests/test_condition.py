"""What is measured of a photo: known noise, known blocks, known enlargement, and clean photos left alone."""

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import BUNDLED, EXAMPLES
from PIL import Image

from esrgan.images.condition import (
    ENLARGED,
    STANDARD,
    Condition,
    blockiness,
    fine_detail,
    measure_condition,
    noise_level,
    quality_of,
)
from esrgan.images.degradation import WEB_QUALITY, compress
from esrgan.images.photo import Photo
from esrgan.images.resize import enlarge

PHOTOS = sorted(EXAMPLES.glob("*.png"))


def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def jpeg(photo: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.mark.parametrize("sigma", [3, 8, 15])
def test_noise_is_measured_a_little_below_the_truth(sigma: int) -> None:
    noisy = np.full((240, 320), 128.0) + np.random.default_rng(0).normal(0, sigma, (240, 320))
    assert 0.6 * sigma < noise_level(noisy) < sigma


def test_slopes_and_white_are_no_noise() -> None:
    slope = np.add.outer(np.linspace(20, 200, 96), np.linspace(0, 40, 128))
    assert noise_level(slope) < 1e-9
    assert noise_level(np.full((40, 40), 255.0)) == 0
    assert noise_level(np.zeros((3, 3))) == 0


@pytest.mark.parametrize("start", [0, 3, 7])
def test_blocks_are_found_wherever_they_begin(start: int) -> None:
    grey = np.random.default_rng(1).normal(128, 1, (160, 160))
    stepped = grey + 12 * ((np.arange(160)[None] - start) // 8 % 2)
    assert blockiness(stepped) > 0.5
    assert blockiness(grey) < 0.04


def test_the_quality_of_a_file_is_read_from_its_table() -> None:
    assert quality_of([*STANDARD, *[0] * 56]) == 50
    for quality in (20, 60, 75, 90, 95):
        assert Photo.open(jpeg(opened(PHOTOS[0]), quality), "a.jpg").jpeg_quality == pytest.approx(quality, abs=1)
    assert Photo.open(PHOTOS[0]).jpeg_quality is None


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.jpg")), ids=lambda path: path.stem)
def test_the_bundled_photos_are_large_and_clean(path: Path) -> None:
    photo = Photo.open(path)
    assert max(photo.rgb().size) >= 1000
    condition = photo.condition()
    assert condition.damage is None
    assert not condition.is_enlarged


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_photos_as_they_are_and_as_they_are_damaged(path: Path) -> None:
    photo = opened(path)
    clean = measure_condition(photo)
    assert clean.damage is None
    assert not clean.is_enlarged
    assert measure_condition(compress(photo, WEB_QUALITY, subsampled=True, shift=(3, 5))).damage == "blocks of JPEG"
    noisy = np.asarray(photo) + np.random.default_rng(0).normal(0, 12, (*photo.size[::-1], 1))
    damage = measure_condition(Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8))).damage
    assert damage
    assert damage.startswith("noise of")
    enlarged = measure_condition(enlarge(photo, 2))
    assert enlarged.is_enlarged
    assert enlarged.damage is None


def test_a_badly_compressed_file_is_damaged_whatever_it_looks_like() -> None:
    assert Condition(0, 0, jpeg_quality=74).damage == "JPEG of quality 74"
    assert Condition(0, 0, jpeg_quality=75).damage is None


def test_a_wave_that_half_the_pixels_hold_is_told_from_one_that_they_do_not() -> None:
    across = np.arange(256)
    coarse, fine = (np.tile(np.cos(2 * np.pi * frequency * across), (256, 1)) for frequency in (0.15, 0.375))
    assert fine_detail(100 * coarse) == pytest.approx(0, abs=1e-6)
    both = fine_detail(100 * coarse + 20 * fine)
    assert both
    assert both > ENLARGED
    assert fine_detail(coarse[:63, :63]) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_halved_photo_has_half_the_pixels_and_the_same_colours(dtype: type) -> None:
    peak = np.iinfo(dtype).max
    colour = np.full((9, 13, 3), (peak, 0, peak // 2), dtype)
    half = Photo(colour, alpha=np.full((9, 13), peak // 3, dtype), jpeg_quality=50).halved()
    assert half.colour.dtype == dtype
    assert np.array_equal(half.colour, colour[:4, :6])
    assert half.alpha is not None
    assert np.array_equal(half.alpha, np.full((4, 6), peak // 3, dtype))
    assert half.jpeg_quality is None


def test_of_a_large_photo_the_middle_is_measured() -> None:
    noisy = np.full((1400, 1300, 3), 128, np.uint8)
    noisy[188:1212, 138:1162] += np.random.default_rng(0).integers(0, 21, (1024, 1024, 1), np.uint8)
    middle = Photo(noisy[188:1212, 138:1162]).condition()
    assert Photo(noisy).condition() == middle
    assert middle.noise > 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_part_of_a_halved_photo_is_the_part_of_all_of_it(dtype: type) -> None:
    rng = np.random.default_rng(0)
    for width, height in [(64, 48), (2, 4), (61, 35), (3, 3), (1, 5)]:
        pixels = rng.integers(0, np.iinfo(dtype).max + 1, (height, width, 4)).astype(dtype)
        photo = Photo(pixels[..., :3], alpha=pixels[..., 3])
        whole = photo.halved()
        right, bottom = whole.colour.shape[1], whole.colour.shape[0]
        for box in [(0, 0, right, bottom), (right // 3, bottom // 2, right, bottom), (0, 0, right // 2 + 1, 1)]:
            part, expected = photo.halved(box), whole.cropped(box)
            most = 0 if width % 2 == height % 2 == 0 else 1  # where the places of pixels are no whole numbers
            np.testing.assert_allclose(part.colour.astype(int), expected.colour.astype(int), rtol=0, atol=most)
            np.testing.assert_allclose(part.alpha.astype(int), expected.alpha.astype(int), rtol=0, atol=most)

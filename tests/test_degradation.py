"""Small photos as cameras and the web make them: repeatable, of the right kind, and named by the table."""

import json
import math
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from PIL import Image

from esrgan.__main__ import main
from esrgan.evaluation.study import PROTOCOL, bicubic, evaluate
from esrgan.images import degradation
from esrgan.images.degradation import (
    DEGRADATIONS,
    add_noise,
    blur,
    compress,
    degrade,
    gaussian_kernel,
    seed_of,
)
from esrgan.images.resize import shrink
from esrgan.training.crops import cut
from esrgan.training.datasets import Pair
from esrgan.training.recipes import Esrgan

CAT = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 40, 228, 136))


def pixels(photo: Image.Image) -> np.ndarray:
    return np.asarray(photo, int)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_seed_decides_everything_and_nothing_else_does(name: str) -> None:
    for seed in range(20):
        first, second = degrade(CAT, name, (seed,)), degrade(CAT, name, (seed,))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert (first[0].size, first[1].size) == ((32, 24), CAT.size)
    alike = np.array_equal(degrade(CAT, name, (1,))[0], degrade(CAT, name, (2,))[0])
    assert alike == (name != "camera")


def test_bicubic_is_the_protocol_and_web_is_that_as_jpeg() -> None:
    small, truth = degrade(CAT, "bicubic", (0,))
    assert np.array_equal(small, shrink(CAT, 4))
    assert truth is CAT
    assert np.array_equal(degrade(CAT, "web", (0,))[0], compress(shrink(CAT, 4), 60, subsampled=True))


def test_a_kernel_has_the_widths_and_direction_that_it_is_made_of() -> None:
    kernel = gaussian_kernel((2.0, 1.0), math.pi / 2)  # the wide axis turned from x to y
    y, x = np.mgrid[-6:7, -6:7]
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert (kernel * y**2).sum() == pytest.approx(4, rel=0.05)
    assert (kernel * x**2).sum() == pytest.approx(1, rel=0.01)
    assert abs((kernel * x * y).sum()) < 1e-5


def test_blurring_a_point_shows_the_kernel_where_the_point_was_and_leaves_flat_areas_alone() -> None:
    point = Image.new("RGB", (31, 21))
    point.putpixel((20, 8), (255, 255, 255))
    kernel = gaussian_kernel((1.5, 0.8), 0.4)
    expected = np.zeros((21, 31))
    expected[2:15, 14:27] = 255 * kernel
    assert np.abs(pixels(blur(point, kernel))[..., 0] - expected).max() <= 0.5 + 1e-3
    flat = Image.new("RGB", (31, 21), (9, 99, 199))
    assert np.array_equal(blur(flat, kernel), flat)


def test_noise_is_as_strong_as_its_range_says(monkeypatch) -> None:
    grey = Image.new("RGB", (200, 200), (64, 64, 64))
    monkeypatch.setattr(degradation, "NOISE", (8.0, 8.0))
    monkeypatch.setattr(degradation, "SHOT", (1.0, 1.0))
    for poisson, expected in ((0, 8.0), (1, 8.0)):
        monkeypatch.setattr(degradation, "POISSON", poisson)
        for same in (0, 1):
            monkeypatch.setattr(degradation, "GREY_NOISE", same)
            noise = pixels(add_noise(grey, np.random.default_rng(3))) - 64
            assert noise.std() == pytest.approx(expected, rel=0.03)
            assert abs(noise.mean()) < 0.15
            assert (np.ptp(noise, axis=2).max() == 0) == bool(same)


def test_a_shifted_jpeg_has_its_blocks_where_it_says() -> None:
    photo = shrink(CAT, 1)
    shifted = pixels(compress(photo, 10, subsampled=False, shift=(3, 5)))
    columns = np.abs(np.diff(shifted, axis=1)).mean(axis=(0, 2))
    rows = np.abs(np.diff(shifted, axis=0)).mean(axis=(1, 2))
    # Blocks begin at columns 5, 13, ... and rows 3, 11, ...: the step before each is the largest of its eight.
    assert np.argmax([columns[phase::8].mean() for phase in range(8)]) == 4
    assert np.argmax([rows[phase::8].mean() for phase in range(8)]) == 2


def test_infrared_comes_as_often_as_said_and_its_truth_is_grey() -> None:
    patch = CAT.crop((0, 0, 32, 32))
    grey = [np.ptp(pixels(degrade(patch, "camera", (seed,))[1]), axis=2).max() == 0 for seed in range(600)]
    assert 0.06 < fmean(grey) < 0.14


def test_a_crop_is_a_function_of_seed_and_number_and_keeps_what_bicubic_sees() -> None:
    high = np.asarray(CAT)
    pair, recipe = Pair(np.asarray(shrink(CAT, 4)), high), Esrgan(crop_size=64, degradation="camera")
    clean = replace(recipe, degradation="bicubic")
    for number in range(12):
        sample, again, plain = cut(pair, recipe, number), cut(pair, recipe, number), cut(pair, clean, number)
        assert all(torch.equal(sample[key], again[key]) for key in sample)
        assert sample["low"].shape == (3, 16, 16)
        assert torch.equal(sample["mix"], plain["mix"])
        grey = (sample["high"] == sample["high"][:1]).all()
        assert grey or torch.equal(sample["high"], plain["high"])
    other = replace(recipe, seed=1)
    assert not torch.equal(cut(pair, other, 0)["low"], cut(pair, recipe, 0)["low"])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_as_many_crops_are_shrunk_cleanly_as_the_recipe_says(share: float) -> None:
    pair = Pair(np.asarray(shrink(CAT, 4)), np.asarray(CAT))
    recipe = Esrgan(crop_size=32, degradation="camera", clean_crops=share)
    clean = replace(recipe, degradation="bicubic")
    same = [torch.equal(cut(pair, recipe, number)["low"], cut(pair, clean, number)["low"]) for number in range(400)]
    assert abs(fmean(same) - share) <= 0.06 * (0 < share < 1)  # of 400 draws three standard deviations


def test_a_photo_is_degraded_the_same_whichever_stand_beside_it() -> None:
    paths = [EXAMPLES / "cat_chelsea.png", EXAMPLES / "polar_bear.png"]
    both = evaluate({"bicubic": bicubic}, paths, degradation="camera")
    alone = evaluate({"bicubic": bicubic}, paths[1:], degradation="camera")
    assert both.scores["bicubic"][1] == alone.scores["bicubic"][0]
    assert "degraded as by a camera" in both.markdown()
    assert "degraded" not in PROTOCOL


def test_evaluate_writes_what_the_generators_get(tmp_path, capsys) -> None:
    (tmp_path / "photos/cats").mkdir(parents=True)
    CAT.save(tmp_path / "photos/dog.png")
    CAT.save(tmp_path / "photos/cats/cat.png")
    command = ["evaluate", "--data", str(tmp_path / "photos"), "--degradation", "camera", "--models", "dogs:psnr"]
    folders = ["--save_inputs", str(tmp_path / "small"), "--output", str(tmp_path / "study")]
    assert main([*command, *folders]) == 0
    assert "degraded as by a camera" in capsys.readouterr().out
    assert "degraded as by a camera" in json.loads((tmp_path / "study/scores.json").read_text())["protocol"]
    written = Image.open(tmp_path / "small/cats/cat.png.png")
    assert np.array_equal(written, degrade(CAT, "camera", seed_of("cat.png"))[0])
    assert (tmp_path / "small/dog.png.png").is_file()

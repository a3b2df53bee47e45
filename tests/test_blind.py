"""The blind test: what is shown, what is counted, and what an answer may give away."""

import csv
import io
import math
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from app_server import tiny_models
from PIL import Image

from esrgan.evaluation.metrics import compare
from esrgan.images.resize import shrink
from esrgan.page.blind import MODELS, BlindTest, Photo, Round, by_chance, choose_parts, hardest_parts, rounds
from esrgan.page.jobs import Studio
from esrgan.page.models import Model
from esrgan.page.wording import captions, tell_blind

BOX = (0, 0, 64, 64)


def noise(width: int, height: int) -> Photo:
    truth = Image.effect_noise((width, height), 60).convert("RGB")
    return Photo("noise", truth, shrink(truth, 4))


def scored(mixed: tuple[float, ...], dogs: tuple[float, ...]) -> Round:
    scores = {
        model: dict(zip(("psnr_y", "lpips"), values, strict=False))
        for model, values in zip(MODELS, (mixed, dogs), strict=True)
    }
    return Round("cat", BOX, {}, scores)


def test_each_metric_has_a_model_that_it_finds_closer_or_none() -> None:
    assert scored((30, 0.2), (31, 0.3)).closer("psnr_y") == "dogs"
    assert scored((30, 0.2), (31, 0.3)).closer("lpips") == "mixed"
    assert scored((math.inf, 0), (math.inf, 0)).closer("psnr_y") is None
    assert scored((30,), (31,)).closer("lpips") is None


def test_answers_are_counted_by_the_model_that_lay_on_that_side() -> None:
    parts = (scored((30, 0.2), (31, 0.3)), scored((30, 0.2), (31, 0.2)), scored((32, 0.2), (31, 0.3)))
    test = BlindTest(5, parts, ("mixed", "dogs", "dogs"))
    choices = [1, 0, 0]
    chosen = test.chosen(choices)
    assert chosen == ["dogs", "dogs", "dogs"]
    assert test.agreement(chosen, "psnr_y") == (2, 3)
    assert test.agreement(chosen, "lpips") == (0, 2)
    told = tell_blind(test, choices)
    assert told.startswith("## You preferred Dogs in 3 of 3 rounds\n")
    assert "with **PSNR-Y** in 2 of 3 and with **LPIPS** in 0 of 2 rounds" in told
    assert "in 25 % of such tests, so this proves nothing yet" in told
    equal = BlindTest(5, (scored((30, 0.2), (30, 0.2)),) * 3, ("mixed", "dogs", "dogs"))
    assert "\nTossing a coin" in tell_blind(equal, choices)  # where there is nothing to agree with
    assert captions(test, choices)[0] == [
        "Mixed\nPSNR-Y 30.00\nLPIPS 0.200 ✓",
        "The photo",
        "Dogs, your choice\nPSNR-Y 31.00 ✓\nLPIPS 0.300",
    ]
    row = next(csv.DictReader(io.StringIO(test.csv(choices))))
    assert (row["seed"], row["first"], row["second"], row["chosen"]) == ("5", "mixed", "dogs", "dogs")
    assert (row["mixed_psnr_y"], row["dogs_lpips"], row["right"]) == ("30", "0.3", "64")


@pytest.mark.parametrize(("count", "most", "chance"), [(10, 5, 1), (10, 7, 352 / 1024), (10, 10, 2 / 1024), (1, 1, 1)])
def test_a_coin(count: int, most: int, chance: float) -> None:
    assert by_chance(count, most) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("size", "count", "side"), [((640, 260), 10, 128), ((512, 300), 10, 96), ((128, 100), 2, 64), ((40, 20), 1, 20)]
)
def test_parts_lie_beside_one_another_in_the_photo_and_on_the_small_ones_grid(
    size: tuple[int, int], count: int, side: int
) -> None:
    boxes = hardest_parts(noise(*size), 10)
    assert len(boxes) == count
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert min(right - left, bottom - top) == side
        assert (left % 4, top % 4) == (0, 0)
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_the_hardest_part_comes_first() -> None:
    pixels = np.full((128, 192, 3), 90, np.uint8)
    pixels[64:, 128:] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    truth = Image.fromarray(pixels)
    assert hardest_parts(Photo("photo", truth, shrink(truth, 4)), 6)[0] == (128, 64, 192, 128)


def test_rounds_are_of_all_photos_in_an_order_that_the_seed_decides(tmp_path: Path) -> None:
    photos = [noise(160, 128) for _ in range(5)]
    parts = choose_parts(photos, random.Random(1))
    assert [box for _, box in parts] == [box for _, box in choose_parts(photos, random.Random(1))]
    assert [photo for photo, _ in parts] != [photo for photo, _ in choose_parts(photos, random.Random(2))]
    assert sorted(id(photo) for photo, _ in parts) == sorted(2 * [id(photo) for photo in photos])

    studio = Studio({name: Model(path) for name, path in tiny_models(tmp_path).items()})
    (photo, box), *_ = parts
    made = next(rounds(studio, parts, 0.5))
    dogs = studio.models["dogs"].at(0.5)(photo.small).crop(box)
    assert np.array_equal(np.asarray(made.pictures["dogs"]), np.asarray(dogs))
    assert made.scores["dogs"] == compare(dogs, photo.truth.crop(box))

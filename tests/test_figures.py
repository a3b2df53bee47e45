"""The pictures of an evaluation, by their pixels."""

from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, PHOTOS
from PIL import Image

from esrgan.evaluation.plots import CROP, draw_differences, draw_plate, hardest_crop
from esrgan.evaluation.study import bicubic, evaluate, read_truth
from esrgan.images.resize import shrink

BLUE, ORANGE = (31, 119, 180), (255, 127, 14)


def test_the_hardest_crop_holds_the_detail_and_stays_inside() -> None:
    photo = np.full((200, 300, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    photo[150:190, 240:290] = rng.integers(0, 256, (40, 50, 3))
    left, top, right, bottom = hardest_crop(Image.fromarray(photo))
    assert (right - left, bottom - top) == (CROP, CROP)
    assert 0 <= left <= 240 < 290 <= right <= 300
    assert 0 <= top <= 150 < 190 <= bottom <= 200
    assert hardest_crop(Image.fromarray(photo[:40, :60])) == (0, 0, 60, 40)


def test_a_plate_shows_the_pixels_of_each_way_and_the_truth(tmp_path: Path) -> None:
    paths = [EXAMPLES / "cat_chelsea.png", EXAMPLES / "polar_bear.png"]
    draw_plate({"bicubic": bicubic}, paths, tmp_path / "plate.png")
    plate = np.asarray(Image.open(tmp_path / "plate.png"))
    for path, top in zip(paths, (24, 24 + 2 * CROP + 6), strict=True):
        truth = read_truth(path)
        box = hardest_crop(truth)
        for result, left in ((bicubic(shrink(truth, 4)), 0), (truth, 2 * CROP + 6)):
            shown = plate[top : top + 2 * CROP : 2, left : left + 2 * CROP : 2]
            assert np.array_equal(shown, np.asarray(result.crop(box)))
    assert plate[:24].min() == 0, "the names of the ways"


def test_the_figure_of_differences_shows_losses_and_gains_in_a_panel_for_each_pair(tmp_path: Path) -> None:
    def blocks(image: Image.Image) -> Image.Image:
        return image.resize((4 * image.width, 4 * image.height), Image.Resampling.NEAREST)

    pairs = [("bicubic", "blocks"), ("blocks", "bicubic")]
    table = evaluate({"bicubic": bicubic, "blocks": blocks}, sorted(PHOTOS.glob("*.png")), pairs)
    assert table.difference(*pairs[1])["psnr_y"].wins == 5, "what the colours below say"
    draw_differences(table, tmp_path / "differences.png")
    drawn = np.asarray(Image.open(tmp_path / "differences.png").convert("RGB"))
    losses, gains = np.hsplit(drawn, 2)
    assert (area(losses, ORANGE) > 1000, area(losses, BLUE)) == (True, 0)
    assert (area(gains, BLUE) > 1000, area(gains, ORANGE)) == (True, 0)
    assert area(gains, BLUE) == pytest.approx(area(losses, ORANGE), rel=0.05)


def area(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour."""
    return int((picture == colour).all(axis=2).sum())

"""The pictures of an evaluation, by their pixels."""

from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, PHOTOS
from matplotlib.figure import Figure
from PIL import Image

from esrgan.evaluation.plots import CROP, FONT, draw_differences, draw_plate, fitted, hardest_crop
from esrgan.evaluation.study import Evaluation, bicubic, evaluate, read_truth
from esrgan.images.resize import shrink
from esrgan.training.history import History

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


def test_the_headings_of_a_plate_do_not_overlap() -> None:
    long = "me/esrgan-x4-animals-of-the-savannah@v1.2:psnr"
    shown = fitted(long, 2 * CROP)
    assert FONT.getlength(shown) <= 2 * CROP < FONT.getlength(long)
    before, after = shown.split("…")
    assert long.startswith(before)
    assert long.endswith(after)
    assert len(before) - len(after) in (0, 1)
    assert fitted("dogs:psnr", 2 * CROP) == "dogs:psnr"


def test_the_title_over_a_panel_stays_within_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (f"me/esrgan-x4-animals-of-the-{place}@v1.2:psnr" for place in ("savannah", "mountains"))
    table = Evaluation(["1", "2"], {way: [{"psnr_y": 1.0}, {"psnr_y": 2.0}] for way in (a, b)}, [(a, b), (b, a)])
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    draw_differences(table, tmp_path / "differences.png")
    (figure,) = figures
    figure.draw_without_rendering()
    left, right = (axes.title.get_window_extent() for axes in figure.axes)
    assert left.x1 < right.x0
    assert left.x0 >= 0
    assert right.x1 <= figure.bbox.x1


def test_curves_show_every_term_and_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    savefig = Figure.savefig

    def save(figure: Figure, *arguments: object, **more: object) -> None:
        drawn.append(figure)
        savefig(figure, *arguments, **more)

    monkeypatch.setattr(Figure, "savefig", save)
    history = History(
        tmp_path, [{"stage": "psnr", "step": step, "pixel": 0.1, "learning_rate": 1e-4} for step in (1, 2)]
    )
    history.write()
    losses = {"pixel": 0.1, "perceptual": 5.0, "generator": 5.1, "discriminator": 0.7}
    history.add({"stage": "gan", "step": 1, **losses, "validation_psnr_y": 29.0, "validation_lpips": 0.2})
    history.write()
    shown = [
        {
            axes.get_title(): {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
            for axes in figure.axes
        }
        for figure in drawn
    ]
    assert shown[0] == {"L1 stage: pixel loss": {"L1": [[1, 0.1], [2, 0.1]]}}
    assert list(shown[1]) == [
        "L1 stage: pixel loss",
        "G and D loss",
        "terms of the losses",
        "validation PSNR-Y, dB",
        "validation LPIPS",
    ]
    assert shown[1]["terms of the losses"] == {"pixel": [[1, 0.1]], "perceptual": [[1, 5.0]]}
    assert shown[1]["validation LPIPS"] == {"generator": [[3, 0.2]]}

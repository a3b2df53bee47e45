"""The numbers of a table: paired, with an interval, and the same as the one metric function gives."""

import json

import numpy as np
import pytest
from conftest import EXAMPLES
from PIL import Image

from esrgan.errors import ImageError
from esrgan.evaluation.study import Evaluation, bicubic, evaluate, measure, paired_difference, read_mask, read_truth
from esrgan.images.reading import write_image


def test_a_constant_difference_has_an_interval_of_no_width() -> None:
    d = paired_difference([28.0, 31.0, 25.0], [28.5, 31.5, 25.5])
    assert (d.mean, d.low, d.high, d.wins) == (0.5, 0.5, 0.5, 3)


def test_the_interval_is_that_of_the_normal_approximation_for_many_photos() -> None:
    differences = np.random.default_rng(5).normal(0.2, 1.0, 400)
    d = paired_difference(np.zeros(400), differences)
    half_width = 1.96 * differences.std() / 20
    assert d.mean == pytest.approx(differences.mean())
    assert (d.low, d.high) == pytest.approx((d.mean - half_width, d.mean + half_width), abs=0.01)
    assert d.wins == (differences > 0).sum()


def test_pairing_takes_out_what_photos_have_in_common() -> None:
    rng = np.random.default_rng(1)
    easy_or_hard = rng.normal(30, 5, 50)
    gain = rng.normal(0.1, 0.05, 50)
    d = paired_difference(easy_or_hard, easy_or_hard + gain)
    assert d.low > 0.05


def test_a_table_holds_what_measuring_each_photo_gives() -> None:
    paths = [EXAMPLES / "cat_chelsea.png", EXAMPLES / "polar_bear.png"]
    table = evaluate({"bicubic": bicubic, "again": bicubic}, paths)
    expected = [measure(bicubic, read_truth(path)) for path in paths]
    assert table.scores["bicubic"] == table.scores["again"] == expected
    assert table.mean("bicubic")["psnr_y"] == pytest.approx((expected[0]["psnr_y"] + expected[1]["psnr_y"]) / 2)
    assert f"| bicubic | {table.mean('bicubic')['psnr_y']:.2f} |" in table.markdown()


def test_the_json_of_a_perfect_result_is_valid_json() -> None:
    perfect = {"psnr_y": float("inf"), "psnr_rgb": float("inf"), "ssim_y": 1.0}
    good = {"psnr_y": 30.0, "psnr_rgb": 29.0, "ssim_y": 0.8}
    table = Evaluation(["a.png"], {"bicubic": [good], "mixed": [good], "dogs": [perfect]}, [("mixed", "dogs")])
    content = json.loads(json.dumps(table.json(), allow_nan=False))
    assert content["mean"]["dogs"]["psnr_y"] is None
    assert content["difference"]["dogs_minus_mixed"]["ssim_y"]["mean"] == pytest.approx(0.2)
    assert content["photos"]["a.png"]["mixed"] == good


def test_of_lpips_less_is_better_and_what_not_every_photo_has_is_left_out() -> None:
    blurred, sharp = {"psnr_y": 30.0, "lpips": 0.4}, {"psnr_y": 29.0, "lpips": 0.1}
    table = Evaluation(["a.png", "b.png"], {"a": [blurred, blurred], "b": [sharp, sharp]}, [("a", "b")])
    assert {metric: d.wins for metric, d in table.difference("a", "b").items()} == {"psnr_y": 0, "lpips": 2}
    assert "| LPIPS | -0.300 | too few photos | 2 of 2 |" in table.markdown()
    table.scores["a"][0].pop("lpips")
    assert table.metrics == ["psnr_y"]


def test_a_photo_too_small_to_be_measured_is_named(tmp_path) -> None:
    write_image(Image.new("RGB", (18, 40)), tmp_path / "tiny.png")
    with pytest.raises(ImageError, match=r"tiny\.png: 16 x 40"):
        read_truth(tmp_path / "tiny.png")


def test_a_photo_of_one_colour_is_named_before_its_infinite_psnr_spoils_a_mean(tmp_path) -> None:
    plain = Image.new("RGB", (64, 48), "teal")
    plain.putpixel((2, 2), (0, 0, 0))  # on the edge, which is not measured
    write_image(plain, tmp_path / "plain.png")
    with pytest.raises(ImageError, match=r"plain\.png: all of one colour"):
        read_truth(tmp_path / "plain.png")


def test_the_animal_is_measured_apart_where_masks_are_given(tmp_path) -> None:
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((0, 0, 97, 83))
    (tmp_path / "photos/cats").mkdir(parents=True)
    for name in ("photos/a.png", "photos/cats/b.png"):
        write_image(photo, tmp_path / name)
        mask = Image.new("L", photo.size)
        mask.paste(255, (20, 20, 60, 60))
        (tmp_path / "masks" / name[7:]).parent.mkdir(parents=True, exist_ok=True)
        write_image(mask, tmp_path / "masks" / name[7:])
    paths = [tmp_path / "photos/a.png", tmp_path / "photos/cats/b.png"]
    table = evaluate({"bicubic": bicubic, "again": bicubic}, paths, [("bicubic", "again")], tmp_path / "masks")
    inside = np.zeros((80, 96), bool)
    inside[20:60, 20:60] = True
    assert table.scores["bicubic"][1] == measure(bicubic, read_truth(paths[1]), inside)
    assert "| PSNR-Y, animal (dB) | PSNR-Y, background (dB) |" in table.markdown()
    alone = evaluate({"bicubic": bicubic}, paths[1:], masks=tmp_path / "masks", root=tmp_path / "photos")
    assert (alone.photos, alone.scores["bicubic"]) == (["cats/b.png"], table.scores["bicubic"][1:])


@pytest.mark.parametrize(
    ("size", "colour", "said"),
    [
        ((64, 64), "black", "all of one colour"),
        ((64, 64), "white", "all of one colour"),
        ((64, 60), "black", "the mask has 64 x 60"),
    ],
)
def test_a_mask_that_tells_nothing_is_refused_by_name(size, colour, said, tmp_path) -> None:
    write_image(Image.new("L", size, colour), tmp_path / "dog.png")
    with pytest.raises(ImageError, match=rf"dog\.png: .*{said}"):
        read_mask(tmp_path / "dog.png", Image.new("RGB", (64, 64)))


@pytest.mark.parametrize(("shift", "part"), [(0, "animal"), (32, "background")])
def test_a_part_of_one_colour_is_named_before_its_infinite_psnr_spoils_a_mean(shift, part, tmp_path) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    write_image(mask, tmp_path / "dog.png")
    photo = Image.new("RGB", (64, 64), "white")
    photo.paste(Image.effect_noise((32, 64), 90).convert("RGB"), (32 - shift, 0))
    with pytest.raises(ImageError, match=rf"dog\.png: the photo's {part} is all of one colour"):
        read_mask(tmp_path / "dog.png", photo)


def test_a_bad_photo_is_named_before_the_others_are_measured(tmp_path) -> None:
    write_image(Image.effect_noise((64, 64), 90).convert("RGB"), tmp_path / "a.png")
    write_image(Image.new("RGB", (64, 64)), tmp_path / "b.png")
    measured = []
    with pytest.raises(ImageError, match=r"b\.png: all of one colour"):
        evaluate({"bicubic": lambda image: measured.append(image) or bicubic(image)}, sorted(tmp_path.iterdir()))
    assert not measured


def test_what_a_few_photos_cannot_tell_is_not_told() -> None:
    scores = {"psnr_y": 30.0, "psnr_rgb": 29.0, "ssim_y": 0.8}
    for count, interval in ((5, "too few photos"), (6, "+1.00 to +1.00")):
        ways = {"a": [scores] * count, "b": [{**scores, "psnr_y": 31.0}] * count}
        table = Evaluation([str(i) for i in range(count)], ways, [("a", "b")]).markdown()
        assert f"| PSNR-Y (dB) | +1.00 | {interval} | {count} of {count} |" in table
        assert "LPIPS is left out, as a photo has a side under 35 pixels." in table

"""How large a photo may be, what is done with one that is larger, and what a photo keeps on its way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from app_server import tiny_models
from conftest import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from esrgan import Generator, ImageError
from esrgan.images.exif import from_bytes
from esrgan.images.photo import Photo
from esrgan.page.jobs import Step, Studio
from esrgan.page.limits import PROMPT_PIXELS, Limits, choose_part, fitting, middle, read_part, seen_part
from esrgan.page.models import Model
from esrgan.page.results import Result

SIDES = st.integers(1, 10_000)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio({name: Model(path) for name, path in tiny_models(tmp_path).items()})


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which 10 000 pixels are enlarged at once without a question, and 20 000 at all."""
    monkeypatch.setattr(Limits, "prompt", 10_000)
    monkeypatch.setattr(Limits, "most", 20_000)


def last(steps) -> Step:
    *_, step = steps
    return step


@given(SIDES, SIDES, st.integers(1, 10**7))
def test_a_middle_fits_lies_inside_and_has_the_photos_shape(width: int, height: int, pixels: int) -> None:
    left, top, right, bottom = middle((width, height), pixels)
    size = right - left, bottom - top
    assert size == fitting((width, height), pixels)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert size == (width, height) if width * height <= pixels else min(size) == 1 or size[0] * size[1] <= pixels
    assert abs(left - (width - right)) <= 1
    assert abs(top - (height - bottom)) <= 1


def test_the_limit_follows_the_machine_and_never_falls_below_4_megapixels_to_compare() -> None:
    limits = Limits()
    assert limits.prompt <= 1_000_000  # 30 s at the pace that is assumed
    limits.learn(10, 1000)
    assert not limits.is_measured  # too little to tell
    limits.learn(100_000, 1000)
    assert limits.pace == 0.01
    assert limits.prompt == PROMPT_PIXELS // 100_000 * 100_000 == limits.most
    limits.learn(10_000_000, 1)
    assert limits.prompt > 1_000_000 or limits.most == limits.prompt  # the memory decides


def test_no_result_is_larger_than_what_pillow_opens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits()
    limits.learn(10_000_000, 1)
    monkeypatch.setattr("esrgan.page.limits.free_memory", lambda _: 2**50)
    assert limits.most == 10_000_000
    assert 16 * limits.most < 2 * Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    "part", ["1, 2, 3", "a", "0, 0, 0, 5", "5, 0, 4, 5", "0, 0, 101, 5", "-1, 0, 5, 5", "1.5, 0, 5, 5"]
)
def test_what_is_no_part_of_the_photo_is_refused(part: str) -> None:
    with pytest.raises(ImageError, match=r"^Part .*\.$"):
        read_part(part, (100, 50))


def test_parts_are_as_asked_for_or_all_or_the_middle(slow: None) -> None:
    limits = Limits()
    assert choose_part("", (100, 100), limits) == (0, 0, 100, 100)
    assert choose_part(" ", (200, 200), limits) == (50, 50, 150, 150)
    assert choose_part("0,0, 100 ,200", (200, 200), limits) == (0, 0, 100, 200)
    with pytest.raises(ImageError, match=r"200 x 200 pixels are more than the 0\.02 megapixels"):
        choose_part("0, 0, 200, 200", (200, 200), limits)


def test_what_is_seen_is_moved_out_to_fours_and_cut_to_its_middle() -> None:
    assert seen_part("5, 6, 30, 33", (40, 40), 10_000) == (4, 4, 32, 36)
    assert seen_part("0, 0, 40, 40", (40, 40), 400) == (8, 8, 32, 32)  # 20 x 20 from 10
    with pytest.raises(ImageError, match="does not lie in the photo"):
        seen_part("0, 0, 41, 40", (40, 40), 400)


def test_a_phones_photo_is_made_smaller_to_compare_and_cut_to_upscale(
    studio: Studio, slow: None, tmp_path: Path
) -> None:
    file = tmp_path / "phone.jpg"
    Image.open(EXAMPLES / "cat_chelsea.png").resize((1200, 900)).save(file)
    compared = last(studio.compare(file, 0))
    assert compared.truth.size == (460, 344)  # 16 x 10 000 pixels are 461 x 346
    assert compared.notes == ("Your photo of 1200 x 900 pixels was made smaller first, 461 x 346 pixels.",)
    upscaled = last(studio.upscale(file, 0))
    assert upscaled.source.size == (115, 86)
    enlarged_before, note = upscaled.notes
    assert "enlarged before" in enlarged_before
    assert "the part 542, 407, 657, 493 of your photo of 1200 x 900 pixels" in note
    assert studio.upscaled_pixels(file, 0, "0, 0, 60, 40") == 60 * 40
    part = last(studio.upscale(file, 0, "0, 0, 60, 40"))
    assert part.source.size == (60, 40)
    with Image.open(file) as image:
        assert np.array_equal(np.asarray(part.source), np.asarray(image.crop((0, 0, 60, 40))))
    assert part.results["dogs"].size == (240, 160)


def test_a_part_of_a_photo_on_its_side_counts_as_it_is_shown(studio: Studio, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (400, 300)).save(tmp_path / "turned.jpg", exif=exif)
    assert studio.upscaled_pixels(tmp_path / "turned.jpg", 0, "0, 200, 300, 400") == 300 * 200
    assert last(studio.upscale(tmp_path / "turned.jpg", 0, "0, 200, 300, 400")).source.size == (300, 200)


def test_transparency_and_16_bits_are_told_of_and_kept_in_what_is_saved(studio: Studio, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 65536, (32, 40, 3), np.uint16)
    alpha = np.zeros((32, 40), np.uint16)
    alpha[:, 20:] = 65535
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    told = from_bytes(exif.tobytes())
    Photo(pixels, alpha, exif=told).save(tmp_path / "deep.png")
    step = last(studio.upscale(tmp_path / "deep.png", 0))
    assert any("transparent" in note for note in step.notes)
    assert any("16 bits" in note for note in step.notes)
    kept = step.exact["dogs"]
    assert (kept.bits, kept.alpha.shape, kept.colour.shape) == (16, (128, 160), (128, 160, 3))
    assert kept.alpha[:, :64].max() == 0
    file = Path(Result(folder=tmp_path, stem="photo").add(step).files["dogs"])
    saved = Photo.open(file)
    assert (saved.bits, saved.alpha.tolist()) == (16, kept.alpha.tolist())
    assert Photo.open(tmp_path / "deep.png").exif.main
    assert not saved.exif.main  # nor what else of the photo nobody has asked to be passed on
    assert np.asarray(step.results["dogs"])[:, :64].min() == 255  # over white
    Image.fromarray((pixels >> 8).astype(np.uint8)).save(tmp_path / "plain.png")
    plain = last(studio.upscale(tmp_path / "plain.png", 0))
    assert not plain.notes
    assert not plain.exact


@pytest.mark.parametrize("blocks", [1, 12])
def test_a_closer_look_shows_what_the_whole_will(blocks: int, tmp_path: Path) -> None:
    torch.manual_seed(blocks)
    Generator(num_blocks=blocks, num_features=8, growth_channels=4).save_pretrained(tmp_path / "model")
    model = Model(tmp_path / "model")
    small = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 50, 320, 250))
    box = (392, 352, 488, 448)
    peeked = Studio({"dogs": model}).peek(small, box, 0)["dogs"]
    whole = model.at(0)(small).crop(box)
    assert np.abs(np.asarray(peeked).astype(int) - np.asarray(whole)).max() <= 1


def test_pictures_of_the_same_pixels_in_another_shape_are_another_photo(tmp_path: Path) -> None:
    abouts = set()
    for name, size in (("wide", (80, 40)), ("tall", (40, 80))):
        Image.new("RGB", size, "white").save(tmp_path / f"{name}.png")
        abouts.add(Result({"small": str(tmp_path / f"{name}.png")}).about)
    assert len(abouts) == 2

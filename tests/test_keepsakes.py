"""What is taken away: the card, the film and the page."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrgan.page.keepsakes import PAUSE, Told, around, captions, draw_card, film, make, make_page
from esrgan.page.results import Result

COMPARED = {"mixed": {"psnr_y": 30.0, "lpips": 0.2}, "dogs": {"psnr_y": None, "lpips": 0.0}}
LABELS = {"original": "Original", "bicubic": "Bicubic", "dogs": "Dogs"}
TOLD = Told("Dogs < Mixed", "By **0.5 dB**.", "| a | b |\n|---|---|\n| 1 | **2** |", LABELS, COMPARED)


def plain(width: int, height: int, *names: str) -> dict[str, Image.Image]:
    return {name: Image.new("RGB", (width, height), (40 * i, 90, 60)) for i, name in enumerate(names)}


@pytest.mark.parametrize(
    ("centre", "box"), [((50, 30), (30, 20, 70, 40)), ((0, 0), (0, 0, 40, 20)), ((99, 59), (60, 40, 100, 60))]
)
def test_a_part_lies_in_the_picture(centre: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    assert around(centre, (100, 60), (40, 20)) == box
    assert around(centre, (100, 60), (400, 200)) == (0, 0, 100, 60)


def test_the_numbers_of_a_way() -> None:
    assert captions(COMPARED, "mixed") == "PSNR-Y 30.00 dB, LPIPS 0.200"
    assert captions({"consistency": COMPARED}, "mixed") == "Shrunk back: PSNR-Y 30.00 dB"
    assert captions(COMPARED, "dogs") == "PSNR-Y identical, LPIPS 0.000"
    assert captions(COMPARED, "original") == ""


@pytest.mark.parametrize("size", [(40, 20), (96, 400), (1200, 300)])
def test_the_card_shows_the_part_in_every_way(size: tuple[int, int]) -> None:
    pictures = plain(*size, *LABELS)
    box = (0, 0, min(96, size[0]), min(96, size[1]))
    card = draw_card(pictures, Image.new("RGB", (10, 5)), box, TOLD)
    assert card.width == 1200
    colours = {colour for _, colour in card.getcolors(card.width * card.height)}
    assert {(40 * i, 90, 60) for i in range(3)} <= colours


def test_the_film_goes_from_one_picture_to_the_other_and_back() -> None:
    left, right = (Image.new("RGB", (200, 100), colour) for colour in ("red", "blue"))
    frames = film(left, right, ("Bicubic", "Dogs"))
    shares = [np.mean(np.asarray(frame)[50:, :, 0] == 255) for frame, _ in frames]
    middle = len(frames) // 2
    assert (shares[0], shares[middle]) == (1, 0)
    assert shares[:middle] == sorted(shares[:middle], reverse=True)
    assert shares[middle:] == sorted(shares[middle:])
    assert [turn for turn, (_, seen) in enumerate(frames) if seen == PAUSE] == [0, middle]


@pytest.mark.parametrize(("size", "shown"), [((80, 40), (80, 40)), ((4000, 1000), (2828, 707))])
def test_the_page_has_its_pictures_inside_and_a_part_of_large_ones(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    html = make_page(plain(*size, *LABELS), "dogs", TOLD)
    value = json.loads(re.search(r"props = \{value: (.*)\}, watch", html)[1])
    assert value["size"] == [*shown]
    assert [layer["label"] for layer in value["layers"]] == [*LABELS.values()]
    for layer in value["layers"]:
        with Image.open(io.BytesIO(base64.b64decode(layer["url"].partition(",")[2]))) as image:
            assert image.size == shown
    assert "<td><strong>2</strong></td>" in html
    assert "<title>Dogs &lt; Mixed</title>" in html
    assert ("part of pictures of 4000 x 1000" in html) == (size != shown)
    assert not re.search(r"https?://", html)


def test_who_looks_at_another_part_of_the_same_result_gets_a_card_of_his_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    names = {"small": (20, 10), "original": (80, 40), "bicubic": (80, 40), "dogs": (80, 40)}
    paths = {name: str(tmp_path / f"cat-{name}.png") for name in names}
    for seed, (name, size) in enumerate(names.items()):
        Image.effect_noise(size, 20 * (seed + 1)).save(paths[name])
    result = Result(paths, stem="cat")
    cards = [make("card", result, ["bicubic", "dogs"], box, TOLD) for box in ((0, 0, 16, 16), (40, 16, 56, 32))]
    assert {card.name for card in cards} == {"cat-card.png"}
    assert len({card.read_bytes() for card in cards}) == 2

"""What the stage is given, and where it looks first."""

from pathlib import Path

import numpy as np
import pytest
from conftest import BUNDLED
from PIL import Image

from esrgan.page.stage import focus_of, stage_value


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, str]:
    """Two pictures, one four times as wide and as high as the other."""
    for name, side in (("original", 20), ("dogs", 80)):
        Image.new("RGB", (side, side // 2)).save(tmp_path / f"{name}.png")
    return {name: str(tmp_path / f"{name}.png") for name in ("original", "dogs")}


def test_what_is_not_computed_yet_is_shown_by_the_left_one(pictures: dict[str, str]) -> None:
    labels = {"original": "Original", "mixed": "Mixed", "dogs": "Dogs"}
    value = stage_value(pictures, labels, focus=(3, 4), left="dogs", right="mixed")
    assert value["size"] == [80, 40]
    assert [(layer["name"], layer["pending"]) for layer in value["layers"]] == [
        ("original", False),
        ("mixed", True),
        ("dogs", False),
    ]
    assert value["layers"][1]["url"] == value["layers"][2]["url"] == f"gradio_api/file={pictures['dogs']}"


def test_it_looks_at_texture_near_the_middle() -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((640, 960, 3), 128, np.uint8)
    pixels[240:400, 340:480] = rng.integers(0, 256, (160, 140, 3))  # left of the middle
    pixels[:160, :160] = rng.integers(0, 256, (160, 160, 3))  # a corner
    x, y = focus_of(Image.fromarray(pixels))
    assert 320 <= x <= 480
    assert 160 <= y <= 480


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (159, 161), (1000, 3)])
def test_any_size_has_such_a_place(size: tuple[int, int]) -> None:
    x, y = focus_of(Image.new("RGB", size))
    assert 0 <= x < size[0]
    assert 0 <= y < size[1]


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.jpg")), ids=lambda path: path.stem)
def test_of_the_examples_it_looks_at_the_animal(path: Path) -> None:
    with Image.open(path) as image:
        x, y = focus_of(image)
        width, height = image.size
    assert 0.2 <= x / width <= 0.8
    assert 0.1 <= y / height <= 0.9

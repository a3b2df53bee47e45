"""How long a job takes, told before it begins."""

from pathlib import Path

import pytest
from app_server import tiny_models
from PIL import Image

from esrgan.page.jobs import Model, Step, Studio, blend_amount
from esrgan.page.wording import tell_progress


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio({name: Model(path) for name, path in tiny_models(tmp_path).items()})


def noise(path: Path, width: int, height: int) -> Path:
    Image.effect_noise((width, height), 60).save(path)
    return path


def test_what_a_job_takes_follows_from_the_one_before(studio: Studio, tmp_path: Path) -> None:
    square, wide = noise(tmp_path / "square.png", 256, 256), noise(tmp_path / "wide.png", 512, 256)
    (tmp_path / "text.png").write_text("This is not a photo.")
    stopped = studio.compare(square, 0)
    assert [next(stopped).seconds for _ in range(3)] == [None] * 3
    stopped.close()
    assert not studio.limits.is_measured

    studio.warm_up(square)
    assert studio.limits.is_measured
    pace = studio.limits.pace
    assert next(studio.compare(wide, 0)).seconds == pytest.approx(pace * 128 * 64)
    assert next(studio.upscale(square, 0)).seconds == pytest.approx(pace * 256 * 256)
    list(studio.compare(noise(tmp_path / "tiny.png", 40, 40), 0))
    assert studio.limits.pace == pace

    steps = list(studio.batch([square, tmp_path / "text.png", wide], 0))
    assert steps[0][1].seconds == pytest.approx(pace * (64 * 64 + 128 * 64))
    assert steps[-1][1].seconds != steps[0][1].seconds
    done = [step.done for _, step in steps]
    assert done == sorted(done)
    assert max(step.done for path, step in steps if path == square) == pytest.approx(1 / 3)
    assert done[-1] == 1


@pytest.mark.parametrize(
    ("done", "expected", "after", "told"),
    [
        (0, None, 3, ""),
        (0, 40.0, 3, ", about 37 s left"),
        (0.04, 600.0, 30, ", about 10 min left"),
        (0, 2.0, 5, ", about 1 s left"),
        (0.25, 600.0, 20, ", about 60 s left"),
        (1, 40.0, 3, ""),
    ],
)
def test_the_time_left_is_told_by_earlier_jobs_and_then_by_this_one(
    done: float, expected: float | None, after: float, told: str
) -> None:
    assert tell_progress(Step(done, "Tile", seconds=expected), after) == f"## Working on it …\nTile{told}"


def test_the_dial_goes_in_steps_for_the_eye() -> None:
    assert [blend_amount(detail) for detail in (0, 0.25, 0.5, 0.75, 1)] == [0, 0.5, 0.67, 0.8, 1]
    assert blend_amount(0.875) == pytest.approx(0.9)  # halfway between 0.8 and 1

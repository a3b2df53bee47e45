"""What the page's jobs do: how long they take, told before they begin, and which weights a photo is given to."""

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from app_server import tiny_models
from conftest import BUNDLED, EXAMPLES
from PIL import Image

from esrgan import Generator, WeightsError
from esrgan.evaluation.metrics import compare
from esrgan.images.bounded import open_photo
from esrgan.images.degradation import degrade, seed_of
from esrgan.images.photo import Photo
from esrgan.images.resize import enlarge
from esrgan.page import jobs
from esrgan.page.controls import Visit
from esrgan.page.jobs import Step, Studio
from esrgan.page.models import Model, blend_amount
from esrgan.page.results import Recent, Result
from esrgan.page.saving import save
from esrgan.page.upscale_tab import UpscaleTab
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

    steps = list(studio.batch([square, tmp_path / "text.png", wide], 0, studio.compare))
    expected = [step.seconds for _, step in steps[3:]]  # after a look at each
    assert expected[0] == pytest.approx(pace * (64 * 64 + 128 * 64))
    assert expected[-1] != expected[0]
    done = [step.done for _, step in steps]
    assert done == sorted(done)
    assert max(step.done for path, step in steps if path == square) == pytest.approx(1 / 3)
    assert done[-1] == 1


def test_a_batch_can_be_stopped_before_any_photo_is_read(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(jobs, "decode", lambda name, *_: read.append(name) or (64, 64))
    steps = studio.batch([Path("a.png"), Path("b.png")], 0, studio.compare)
    seen = [(next(steps)[1].text, [*read]) for _ in range(2)]
    assert seen == [("Photo 1 of 2, a.png. Looking", []), ("Photo 2 of 2, b.png. Looking", ["a.png"])]


@pytest.mark.parametrize("job", ["compare", "upscale"])
def test_how_long_a_file_takes_to_read_does_not_count(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    now = 0.0

    def read(*arguments: Any) -> Photo:
        nonlocal now
        now += 1000
        return open_photo(*arguments)

    monkeypatch.setattr(jobs, "open_photo", read)
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now)
    list(getattr(studio, job)(noise(tmp_path / "photo.png", 256, 256), 0))
    assert studio.limits.is_measured
    assert studio.limits.pace == 0


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


@pytest.fixture
def repairing(tmp_path: Path) -> Studio:
    """Two models, of which dogs alone has a camera stage."""
    folders = tiny_models(tmp_path)
    generator = Generator.from_pretrained(folders["dogs"])
    generator.save_pretrained(folders["dogs"], psnr=generator, camera=Generator(1, 8, 4))
    return Studio({name: Model(path) for name, path in folders.items()})


def upscaled(studio: Studio, photo: Image.Image, path: Path, **options: Any) -> Step:
    photo.save(path, **({"quality": 40} if path.suffix == ".jpg" else {}))
    *_, last = studio.upscale(path, 1, **options)
    return last


def test_a_damaged_photo_goes_to_the_camera_stage_and_the_notes_say_why(repairing: Studio, tmp_path: Path) -> None:
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 228, 156))
    clean, camera = repairing.models["dogs"].at(1), repairing.models["dogs"].camera
    assert camera
    web = upscaled(repairing, photo, tmp_path / "web.jpg")
    shown = Image.open(tmp_path / "web.jpg")
    assert np.array_equal(web.results["dogs"], camera(shown))
    assert np.array_equal(web.results["mixed"], repairing.models["mixed"].at(1)(shown))
    assert web.notes == (
        "It has JPEG of quality 40.",
        "The weights for damaged photos are at work, which the slider does not change. Mixed has none of them.",
    )
    box = (64, 32, 160, 128)
    peeked = repairing.peek(shown, box, 1, damaged=True)["dogs"]
    assert np.abs(np.subtract(peeked, web.results["dogs"].crop(box), dtype=int)).max() <= 1

    png = upscaled(repairing, photo, tmp_path / "clean.png")
    assert np.array_equal(png.results["dogs"], clean(photo))
    assert png.notes == ("It looks clean: no blocks of JPEG, no noise.",)
    told = upscaled(repairing, photo, tmp_path / "told.jpg", condition="clean")
    assert np.array_equal(told.results["dogs"], clean(Image.open(tmp_path / "told.jpg")))
    assert np.array_equal(
        upscaled(repairing, photo, tmp_path / "told.png", condition="damaged").results["dogs"], camera(photo)
    )


def test_of_the_models_that_are_asked_for_alone_it_is_told_which_weights_are_at_work(
    repairing: Studio, tmp_path: Path
) -> None:
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 228, 156))
    dogs = upscaled(repairing, photo, tmp_path / "photo.jpg", names=["dogs"])
    assert dogs.damaged
    assert dogs.notes[-1] == "The weights for damaged photos are at work, which the slider does not change."
    names = {name: model.weights(0.75, damaged=dogs.damaged) for name, model in repairing.models.items()}
    assert names == {"mixed": "detail0.75", "dogs": "camera"}
    mixed = upscaled(repairing, photo, tmp_path / "photo.jpg", names=["mixed"])
    assert (mixed.damaged, mixed.notes) == (False, ())
    dogs_alone = Studio({"dogs": repairing.models["dogs"]})
    assert [dogs_alone.has_dial(damaged=damaged) for damaged in (False, True)] == [True, False]
    assert repairing.has_dial(damaged=True)  # by Mixed, which has no weights for damaged photos
    asked = upscaled(repairing, photo, tmp_path / "photo.jpg", names=["mixed"], condition="damaged")
    assert (asked.damaged, asked.notes) == (
        False,
        ("There are no weights for damaged photos; the usual ones are at work.",),
    )


def test_doubt_asks_both_ends_of_a_dial_where_it_changes_anything(repairing: Studio) -> None:
    small = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 132, 92))
    mixed = ["Mixed at detail 0", "Mixed at detail 1"]
    assert [step.text for step in repairing.doubt(small)] == [*mixed, "Dogs at detail 0", "Dogs at detail 1", "done"]
    assert [step.text for step in repairing.doubt(small, damaged=True)] == [*mixed, "Dogs at detail 1", "done"]


def test_a_photo_that_was_enlarged_before_is_halved_if_asked_for(repairing: Studio, tmp_path: Path) -> None:
    photo = enlarge(Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 228, 156)), 2)
    assert "enlarged before" in upscaled(repairing, photo, tmp_path / "as it is.png").notes[-1]
    halved = upscaled(repairing, photo, tmp_path / "halved.png", halve=True)
    assert halved.notes[-1] == "It was halved first."
    assert halved.results["dogs"].size == (512, 384)
    assert repairing.upscaled_pixels(tmp_path / "halved.png", 1, "", "measure", True) == 128 * 96


def test_a_comparison_may_shrink_as_a_camera_does(repairing: Studio) -> None:
    path = EXAMPLES / "cat_chelsea.png"
    *_, last = repairing.compare(path, 1, "web")
    small, truth = degrade(Image.open(path).convert("RGB"), "web", seed_of(path.name))
    assert last.source
    assert np.array_equal(last.source, small)
    camera = repairing.models["dogs"].camera
    assert camera
    assert np.array_equal(last.results["dogs"], camera(small))
    assert last.figures
    assert last.figures["dogs"] == compare(camera(small), truth)


@pytest.fixture
def tab(studio: Studio) -> UpscaleTab:
    with gr.Blocks():
        return UpscaleTab(studio, gr.BrowserState())


@pytest.mark.parametrize(
    ("others", "settings"),
    [
        ([0.25, "0, 0, 8, 8", "clean", True, ["dogs"]], (0.25, "0, 0, 8, 8", "clean", True, ["dogs"])),
        ([0.25, "", "clean", True, ["dogs", "cats"]], (0.5, "", "measure", False, ["mixed"])),  # a model of before
        ([0.25, "", "fine", True, ["dogs"]], (0.5, "", "measure", False, ["mixed"])),
        ([0.25], (0.5, "", "measure", False, ["mixed"])),
    ],
)
def test_a_photo_is_taken_up_again_as_it_was_asked_for_unless_the_page_has_no_such_setting(
    tab: UpscaleTab, others: list, settings: tuple
) -> None:
    kept = {"tab": "Upscale", "job": [{"path": str(BUNDLED / "dog.jpg")}, *others]}
    taken = asyncio.run(tab.adopt(kept, 0, Visit(), 0.5, "", "measure", False, ["mixed"]))
    assert taken == (1, str(BUNDLED / "dog.jpg"), *settings)


@pytest.mark.parametrize("problem", [WeightsError("not finite"), MemoryError(), RuntimeError()])
def test_a_look_ahead_that_fails_leaves_all_as_it_is_unless_the_photo_is_deleted(
    tab: UpscaleTab, tmp_path: Path, problem: Exception
) -> None:
    def look(*_: Any) -> None:
        raise problem

    Image.new("RGB", (20, 20)).save(tmp_path / "cat-small.png")
    result = Result({"small": str(tmp_path / "cat-small.png")})
    assert tab.peek(result, "0, 0, 81, 80", 0.5) == gr.skip()  # seen of another photo
    tab.look_closer = look
    assert tab.peek(result, "0, 0, 80, 80", 0.5) == gr.skip()
    (tmp_path / "cat-small.png").unlink()
    with pytest.raises(gr.Error, match="are deleted after an hour"):
        tab.peek(result, "0, 0, 80, 80", 0.5)


def test_what_is_deleted_while_it_is_asked_for_again_does_not_come_back_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("small", "dogs", "doubt")
    paths = {name: tmp_path / f"cat-{name}.png" for name in names}
    for path in paths.values():
        Image.effect_noise((20, 20), 60).save(path)
    result, recent = Result({name: str(path) for name, path in paths.items()}, stem="cat"), Recent()
    recent.keep(("cat",), result)
    recent.keep_doubt(result)
    plain = result._replace(paths={name: result.paths[name] for name in ("small", "dogs")})
    saved = Path(save({"dogs": str(paths["dogs"])}, {}, "cat", {}, "PNG")["dogs"])
    content = saved.read_bytes()
    assert recent.recall(("cat",)) == recent.with_doubt(plain) == result

    monkeypatch.setattr(Path, "exists", lambda _: True)  # as it was when it was looked for
    for path in (saved, paths["doubt"]):
        path.unlink()
    assert recent.with_doubt(plain) == plain
    assert recent.recall(("cat",)) is None
    assert not paths["doubt"].is_file()
    save({"dogs": str(paths["dogs"])}, {}, "cat", {}, "PNG")
    assert saved.read_bytes() == content

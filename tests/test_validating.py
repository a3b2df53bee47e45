"""Photos held out of a training, and what trackers are shown of it."""

import csv
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import datasets
import pytest
from conftest import Train
from kill_and_resume import contents, differences, make_photos
from PIL import Image

from esrgan.training.holding_out import split_rows
from esrgan.training.tracking import dashboard, track_plate

STEPS = ("--psnr_steps=2", "--gan_steps=0", "--checkpointing_steps=1", "--validation_steps=1")


def test_every_species_gives_its_share_of_the_photos_held_out() -> None:
    species = ["cat"] * 50 + ["dog"] * 30 + ["newt"] * 20
    rows = datasets.Dataset.from_dict({"number": range(100)})
    left, held = split_rows(rows, 0.1, 7, species)
    assert Counter(species[number] for number in held["number"]) == {"cat": 5, "dog": 3, "newt": 2}
    assert sorted([*left["number"], *held["number"]]) == list(range(100))
    assert list(left["number"]) == sorted(left["number"])
    assert split_rows(rows, 0.1, 7, species)[1]["number"][:] == held["number"][:]
    assert split_rows(rows, 0.1, 8, species)[1]["number"][:] != held["number"][:]
    assert len(split_rows(rows, 0.001, 7, species)[1]) == 1


def test_photos_held_out_are_measured_on_never_trained_on_and_the_same_when_resumed(
    tmp_path: Path, train_here: Train
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, photos = tmp_path / "run", tmp_path / "photos"
    for kind in ("cat", "dog"):
        make_photos(photos / kind, 5)
    (photos / "cat" / "empty.png").write_bytes(b"")
    more = (*STEPS, "--validation_split=0.2", "--report_to=tensorboard")
    assert train_here(run, *more, data=photos) == (0, "")
    record = json.loads((run / "recipe.json").read_text())
    with (run / "validation" / "metadata.csv").open(encoding="utf-8") as file:
        held = [(run / "validation" / row["file_name"], Path(row["photo"])) for row in csv.DictReader(file)]
    assert {original.parent.name for _, original in held} == {"cat", "dog"}
    assert all(copy.read_bytes() == original.read_bytes() for copy, original in held)
    assert record["validation_photos"] == len(held) == 2
    assert record["photos"] + len(held) == 10
    curves = EventAccumulator(str(next((run / "esrgan").glob("events*"))))
    curves.Reload()
    assert [image.step for image in curves.Images("plate")] == [1, 2]
    with Image.open(run / "plate.png") as plate:
        assert (curves.Images("plate")[0].width, curves.Images("plate")[0].height) == plate.size

    before = contents(run)
    status, said = train_here(run, *more, "--data_seed=5", "--resume_from_checkpoint=latest", data=photos)
    assert status == 1
    assert "data_seed None, not 5" in said
    assert train_here(run, *more, "--resume_from_checkpoint=latest", data=photos) == (0, "")
    assert not differences(before, contents(run))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--validation_split=1"], "--validation_split 1: must be between 0 and 1"),
        (["--validation_split=0.1", "--validation_data_dir=photos"], "not with --validation_data_dir or --streaming"),
        (["--validation_split=0.1", "--streaming"], "not with --validation_data_dir or --streaming"),
    ],
)
def test_what_cannot_be_held_out_is_refused_at_once(
    more: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import train

    with pytest.raises(SystemExit):
        train.parse([f"--output_dir={tmp_path}", "--train_data_dir=photos", *more])
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "url", "address"),
    [
        ("trackio", "me/curves", "https://huggingface.co/spaces/me/curves"),
        ("trackio", None, None),
        ("wandb", "https://wandb.ai/me/esrgan/runs/1", "https://wandb.ai/me/esrgan/runs/1"),
    ],
)
def test_a_tracker_is_given_the_plate_and_says_where_its_page_is(
    name: str, url: str | None, address: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio = ModuleType("trackio")
    trackio.Image = lambda path: ("image", path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    logged = []
    tracker = SimpleNamespace(
        name=name,
        tracker=SimpleNamespace(url=url),
        log=lambda values, step: logged.append((values["plate"], step)),
        log_images=lambda values, step: logged.append((values["plate"].shape, step)),
    )
    accelerator = SimpleNamespace(trackers=[tracker])
    plate = tmp_path / "plate.png"
    Image.new("RGB", (8, 6)).save(plate)
    track_plate(accelerator, plate, 30)  # type: ignore[arg-type]
    assert logged == [(("image", plate) if name == "trackio" else (1, 6, 8, 3), 30)]
    assert dashboard(accelerator) == address  # type: ignore[arg-type]

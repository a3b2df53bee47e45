"""`esrgan study`: trainings shared, stopped, gone on with, and reported."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from kill_and_resume import TINY, environment, make_photos
from PIL import Image

from esrgan import Generator
from esrgan.__main__ import main
from esrgan.commands import study

TRAINING = [*(f"--{name}={value}" for name, value in TINY.items()), "--gan_steps=0", "--checkpointing_steps=2"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two sets and two test sets, as options."""
    root = tmp_path_factory.mktemp("photos")
    for name, count in (("mixed", 4), ("dogs", 5), ("test_dogs", 10), ("test_others", 3)):
        make_photos(root / name, count)
    named = [f"--test=dogs={root / 'test_dogs'}", f"--test=others={root / 'test_others'}"]
    return [f"--mixed={root / 'mixed'}", f"--dogs={root / 'dogs'}", *named]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the trainings that were run; each leaves a generator of random weights."""
    names: list[str] = []

    def train(photos: Path, seed: int, folder: Path, settings: list[str]) -> None:
        names.append(folder.name)
        Generator(1, 8, 4).save_pretrained(folder / "psnr")

    monkeypatch.setattr(study, "train", train)
    return names


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_measures_every_training_on_every_test_set_and_reports(
    folders: list[str], trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *folders, "--seeds=2", f"--output={tmp_path}"]) == 0
    assert trained == ["mixed-seed0", "dogs-seed0", "mixed-seed1", "dogs-seed1"]
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == report
    assert "## L1 stage" in report
    assert "| dogs: 10 photos, 2 seeds | PSNR-Y (dB) |" in report
    assert "| dogs minus mixed, on others | mean | 95 % interval | between seeds | how sure |" in report
    assert "no verdict from 3 photos" in report
    stage = read(tmp_path / "report.json")["psnr"]
    photos = stage["results"]["dogs"]["1"]["others"]
    assert list(photos) == ["0.png", "1.png", "2.png"]
    assert photos == read(tmp_path / "dogs-seed1" / "scores.json")["psnr"]["others"]
    gains = [
        sum(stage["results"][name][seed]["dogs"][f"{i}.png"]["psnr_y"] for i in range(10) for seed in "01") / 20
        for name in ("dogs", "mixed")
    ]
    assert stage["answers"]["dogs minus mixed, on dogs"]["psnr_y"]["mean"] == pytest.approx(gains[0] - gains[1])
    with Image.open(tmp_path / "report.png") as figure:
        figure.load()


def test_what_is_there_is_not_made_again_and_more_seeds_are_added(
    folders: list[str], trained: list[str], tmp_path: Path
) -> None:
    command = ["study", *folders, f"--output={tmp_path}"]
    assert main([*command, "--seeds=1"]) == 0
    scores = (tmp_path / "mixed-seed0" / "scores.json").read_bytes()
    assert "one training each" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert main([*command, "--seeds=2"]) == 0
    assert trained == ["mixed-seed0", "dogs-seed0", "mixed-seed1", "dogs-seed1"]
    assert (tmp_path / "mixed-seed0" / "scores.json").read_bytes() == scores
    assert "one training each" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_processes_share_the_trainings_and_the_last_one_reports(
    folders: list[str], trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in (("1", ["dogs-seed0", "dogs-seed1"]), ("0", ["mixed-seed0", "mixed-seed1"])):
        monkeypatch.setenv("RANK", rank)
        assert not (tmp_path / "report.md").exists()
        assert main(["study", *folders, "--seeds=2", f"--output={tmp_path}"]) == 0
        assert trained == expected
        trained.clear()
    assert (tmp_path / "report.md").exists()


def test_each_process_of_a_machine_trains_and_measures_on_a_gpu_of_its_own(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def train(photos: Path, seed: int, folder: Path, settings: list[str]) -> None:
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        Generator(1, 8, 4).save_pretrained(folder / "psnr")

    monkeypatch.setattr(study, "train", train)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "4,6"}.items():
        monkeypatch.setenv(name, value)
    assert main(["study", *folders, "--seeds=1", f"--output={tmp_path}"]) == 0
    assert seen == ["6"]
    assert [study.gpu_of(rank, None) for rank in range(2)] == ["0", "1"]
    assert [study.gpu_of(rank, "3,5") for rank in range(3)] == ["3", "5", "3"]
    assert study.gpu_of(1, "") == "", "they are hidden on purpose"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("--psnr_steps=9", "is of a study with other options for train.py"),
        ("--set=cats={dogs}", "is of a study with other sets"),
        ("--test=cats={dogs}", "is of a study with other tests"),
        ("--set=dogs={dogs}", "each name once"),
        ("--seed=7", "--seed is given to each training by the study itself"),
    ],
)
def test_another_study_in_the_same_folder_is_refused(
    folders: list[str],
    trained: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: str,
    said: str,
) -> None:
    command = ["study", *folders, "--seeds=1", f"--output={tmp_path}"]
    assert main(command) == 0
    before = (tmp_path / "report.json").read_bytes()
    assert main([*command, change.format(dogs=folders[1].partition("=")[2])]) == 1
    assert said in caplog.messages[-1]
    assert (tmp_path / "report.json").read_bytes() == before


@pytest.mark.parametrize("name", ["study.json", "bicubic/scores.json", "dogs-seed0/scores.json"])
def test_what_a_study_kept_and_was_broken_since_is_named_in_one_sentence(
    folders: list[str], trained: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    command = ["study", *folders, "--seeds=1", f"--output={tmp_path}"]
    assert main(command) == 0
    path = tmp_path / name
    whole = path.read_text(encoding="utf-8")
    broken = ["", whole[:-30], "[1]", '{"psnr": 1}', "{}", "\xff", "[" * 100_000]
    if name != "study.json":
        stage = next(iter(read(path)))
        broken += [
            json.dumps({stage: {"dogs": read(path)[stage]["dogs"]}}),
            json.dumps({stage: {test: {} for test in ("dogs", "others")}}),
            re.sub(r"-?\d+\.\d+", '"1"', whole),
            re.sub(r"-?\d+\.\d+", "null", whole),
        ]
    for content in broken:
        path.write_text(content, encoding="latin-1")
        assert main(command) == 1
        assert caplog.messages[-1].startswith(f"{path}: "), content[:99]
        assert "\n" not in caplog.messages[-1]


@pytest.mark.slow
def test_killed_and_run_again_it_ends_as_one_that_was_not(folders: list[str], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = ["study", *folders, "--seeds=1", *TRAINING, "--psnr_steps=12"]
    assert main([*command, f"--output={whole}"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "esrgan", *command, f"--output={cut}"],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    while not list(cut.glob("mixed-seed0/checkpoints/psnr-*")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 130
    assert not (cut / "mixed-seed0" / "scores.json").exists()
    assert main([*command, f"--output={cut}"]) == 0
    for name in ("report.json", "mixed-seed0/psnr/model.safetensors", "dogs-seed0/psnr/model.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_training_that_fails_ends_it_in_one_sentence(
    folders: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["study", *folders, f"--output={tmp_path}", "--no_such_option=1"]) == 1
    assert caplog.messages[-1] == (
        f"{tmp_path / 'mixed-seed0'}: this training ended with status 2, as said above; run the study again."
    )


def test_an_option_that_was_mistyped_is_mended_in_the_same_folder(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["study", *folders, "--seeds=1", f"--output={tmp_path}"]
    assert main([*command, "--psnr_stepz=5"]) == 1
    monkeypatch.setattr(study, "train", lambda _, __, folder, ___: Generator(1, 8, 4).save_pretrained(folder / "psnr"))
    assert main([*command, "--psnr_steps=5"]) == 0
    assert read(tmp_path / "study.json")["options for train.py"] == ["--psnr_steps=5"]


def test_no_set_is_called_as_the_row_of_bicubic(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["study", *folders, "--set=bicubic=x", "--output=x"])
    assert "digits and underscores other than bicubic" in capsys.readouterr().err


def test_options_of_no_command_are_refused_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--data=x", "--psnr_steps=9"])
    assert "unrecognized arguments: --psnr_steps=9" in capsys.readouterr().err

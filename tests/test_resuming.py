"""What a resumed run goes on from: refused where it is another run or damaged, and recorded as it ran."""

import itertools
import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from accelerate import Accelerator
from conftest import ROOT, Train, averaged
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from kill_and_resume import contents, differences, environment, make_photos
from PIL import Image
from safetensors.torch import load_file

from esrgan import Generator
from esrgan.errors import TrainingError
from esrgan.training import accelerator, time_limit, trainer
from esrgan.training.accelerator import make_accelerator
from esrgan.training.checkpoints import Checkpoints, Progress, read
from esrgan.training.history import read_rows
from esrgan.training.recipes import Esrgan
from esrgan.training.time_limit import fitting_steps, parse_duration
from esrgan.training.trainer import rate_factor
from esrgan.training.validation import Validation

STEPS = ("--psnr_steps=6", "--gan_steps=0", "--checkpointing_steps=2", "--species=cat")
TILL_NINE = ("--psnr_steps=9", "--gan_steps=0", "--psnr_learning_rate=0")
LATEST = "--resume_from_checkpoint=latest"
FILES = ("progress.json", "recipe.json", "history.csv")


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two kinds, and some to validate on."""
    folder = tmp_path_factory.mktemp("here") / "animals"
    for kind in ("cat", "dog"):
        make_photos(folder / "photos" / kind, 5)
    make_photos(folder / "validation", 2)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run is, once a test has needed it."""
    return tmp_path_factory.mktemp("made") / "run"


@pytest.fixture
def run(animals: Path, made: Path, tmp_path: Path, train_here: Train) -> Path:
    """A copy of a finished run of six steps on the cats, with three checkpoints."""
    if not made.exists():
        validation = f"--validation_data_dir={animals / 'validation'}"
        assert train_here(made, *STEPS, validation, data=animals / "photos") == (0, "")
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def resume(animals: Path, run: Path, train_here: Train) -> Callable[..., tuple[int, str]]:
    """Go on with the run, as it was begun but for what is given."""

    def resume_run(*more: str, data: Path = animals / "photos") -> tuple[int, str]:
        validation = f"--validation_data_dir={animals / 'validation'}"
        return train_here(run, *STEPS, validation, LATEST, *more, data=data)

    return resume_run


def go_back(run: Path, step: int) -> None:
    """Remove the checkpoints after a step, as if the run had been stopped there."""
    for path in (run / "checkpoints").iterdir():
        if int(path.name.removeprefix("psnr-")) > step:
            shutil.rmtree(path)


def segments(run: Path) -> list[dict]:
    return json.loads((run / "recipe.json").read_text())["segments"]


def test_other_photos_are_refused_and_the_same_elsewhere_are_not(
    animals: Path, run: Path, resume: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    go_back(run, 4)
    before = contents(run)
    moved = shutil.copytree(animals, tmp_path / "there" / "beasts") / "photos"
    changed = shutil.copytree(animals, tmp_path / "other" / "animals") / "photos"
    Image.linear_gradient("L").resize((72, 56)).save(changed / "cat" / "1.png")
    others = f"--validation_data_dir={changed / 'cat'}"
    for more, data, told in (
        (["--species=dog"], moved, "species cat, not dog"),
        ([], changed, "photos_fingerprint"),
        (["--max_train_samples=3"], moved, "photos 5, not 3"),
        ([others], moved, "validation_photos 2, not 5"),
        ([others, "--max_validation_samples=2"], moved, "settings: validation_fingerprint"),
    ):
        status, said = resume(*more, data=data)
        assert status == 1
        assert told in said
        assert "the run to resume had other settings" in said
        assert "\n" not in said
    assert not differences(before, contents(run))
    assert resume(data=moved) == (0, "")
    assert read_rows(run / "history.csv")[-1]["step"] == 6


def spoil(run: Path, name: str, content: str | bytes | None) -> Path:
    path = run / "checkpoints" / "psnr-000006" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


PROGRESS = {"stage": "psnr", "step": 6, "best": 1.0, "best_step": 6}
GARBAGE = (None, "", "garbage", b"\xff\xfe\x00", "[" * 100_000, "{}", "3")
DAMAGED: list[tuple[str, str | bytes | None]] = [
    *(
        (name, content)
        for name in FILES
        for content in (None, "", "garbage", b"\xff\xfe\x00", "[" * 100_000, "{}", "3")
    ),
    *(
        ("progress.json", json.dumps({**PROGRESS, key: value}))
        for key, values in {
            "stage": [5, None, "end", ["psnr"], "../psnr", "gan"],
            "step": [-6, 10**30, "6", "²", True, 6.0, None, [6], 4],
            "best": ["1", None, [], float("nan"), True],
            "best_step": [-1, 1.5, "2", None],
            "more": [1],
        }.items()
        for value in values
    ),
    ("progress.json", f'{{"stage": "psnr", "step": {"9" * 5000}, "best": 1}}'),
    *(
        ("recipe.json", json.dumps({"psnr_steps": 6, "segments": value}))
        for value in (None, 3, "x", {}, [3], [[]], [{"stage": "psnr"}])
    ),
    *(
        ("recipe.json", json.dumps({"segments": [], "fitted_stages": [], "extensions": value}))
        for value in (None, 3, [], {"psnr": 3}, {"psnr": ["x"]}, {"psnr": [-1]})
    ),
    ("history.csv", "stage,step\npsnr,6,7,8\n"),
    ("history.csv", "stage,step\npsnr,²\n"),
    ("history.csv", "stage,step\npsnr,4\n"),
]


def test_damage_is_one_sentence_that_offers_an_older_checkpoint(run: Path) -> None:
    checkpoints = Checkpoints(run, 3)
    newest, older = (run / "checkpoints" / f"psnr-00000{step}" for step in (6, 4))
    kept = {name: (newest / name).read_bytes() for name in FILES}
    for name, content in DAMAGED:
        path = spoil(run, name, content)
        if name == "progress.json" and content is None:
            assert checkpoints.all()[-1] == older, "without it there is no checkpoint"
        with pytest.raises(TrainingError, match=f"--resume_from_checkpoint {re.escape(str(older))}\\.$") as error:
            checkpoints.find(str(newest))
        told = str(error.value)
        assert told.startswith(f"{newest}: not a checkpoint folder of this program, or damaged ("), (name, content)
        assert "\n" not in told
        assert len(told) < 500 + 3 * len(str(run))
        path.write_bytes(kept[name])
    assert checkpoints.find(str(newest)) == read(newest)


@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(name=st.sampled_from(FILES), data=st.data())
def test_any_change_of_a_checkpoints_files_is_told_or_leaves_the_steps_as_they_are(
    run: Path, name: str, data: st.DataObject
) -> None:
    path = run / "checkpoints" / "psnr-000006" / name
    kept = path.read_bytes()
    begin = data.draw(st.integers(0, len(kept)))
    end = data.draw(st.integers(begin, min(len(kept), begin + 20)))
    path.write_bytes(kept[:begin] + data.draw(st.binary(max_size=8)) + kept[end:])
    try:
        found = Checkpoints(run, 3).find("latest")
    except TrainingError:
        pass
    else:
        assert found
        assert (found.progress.stage, found.progress.step) == ("psnr", 6)
    finally:
        path.write_bytes(kept)


def test_names_that_no_checkpoint_has_are_passed_over(run: Path) -> None:
    folder = run / "checkpoints"
    for name in ("psnr-²", "psnr-7", "psnr--00009", "gan-", "psnr-000008"):
        shutil.copytree(folder / "psnr-000006", folder / name)
    shutil.rmtree(folder / "psnr-000008")
    checkpoints = Checkpoints(run, 3)
    found = checkpoints.find("latest")
    assert found
    assert found.progress.folder_name == "psnr-000006"
    assert checkpoints.find("psnr-000004") == read(folder / "psnr-000004")
    with pytest.raises(TrainingError, match=r"progress\.json is of psnr step 6"):
        checkpoints.find(str(folder / "psnr-²"))


def test_a_damaged_state_is_told_and_the_one_that_is_offered_ends_the_same(
    run: Path, resume: Callable[..., tuple[int, str]]
) -> None:
    whole = contents(run)
    for name in ("model.safetensors", "optimizer.bin", "custom_checkpoint_0.pkl"):
        path = run / "checkpoints" / "psnr-000006" / name
        kept = path.read_bytes()
        for damaged in (kept[: len(kept) // 2], b""):
            path.write_bytes(damaged)
            status, said = resume()
            assert status == 1
            assert "psnr-000006: not a checkpoint folder of this program, or damaged (" in said
            assert "\n" not in said
        path.write_bytes(kept)
    _, offered = said.removesuffix(".").split("--resume_from_checkpoint ")
    assert offered == str(run / "checkpoints" / "psnr-000004")
    assert resume(f"--resume_from_checkpoint={offered}") == (0, "")
    assert not differences(whole, contents(run))


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(
    run: Path, resume: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    go_back(run, 4)
    path = run / "checkpoints" / "psnr-000004" / "custom_checkpoint_0.pkl"
    torch.save({"n_averaged": Touch(tmp_path / "touched")}, path)
    status, said = resume()
    assert status == 1
    assert "psnr-000004: not a checkpoint folder of this program, or damaged (" in said
    assert not (tmp_path / "touched").exists()


@dataclass
class Touch:
    """Unpickled, it makes a file."""

    path: Path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_finished_run_stays_as_it_was_recorded(
    run: Path, resume: Callable[..., tuple[int, str]], caplog: pytest.LogCaptureFixture
) -> None:
    before, card = contents(run), (run / "psnr" / "README.md").read_text()
    with caplog.at_level(logging.INFO, "esrgan"):
        assert resume("--psnr_learning_rate=0.1", "--dataloader_num_workers=1") == (0, "")
    assert "psnr-000006: all steps are done already, nothing is left to do" in caplog.text
    assert not differences(before, contents(run))
    assert (run / "psnr" / "README.md").read_text() == card


def test_each_part_of_a_run_is_recorded_as_it_ran(run: Path, resume: Callable[..., tuple[int, str]]) -> None:
    (first,) = segments(run)
    assert (first["stage"], first["step"], first["psnr_learning_rate"]) == ("psnr", 0, 4e-4)
    assert (first["processes"], first["gradient_accumulation_steps"], first["mixed_precision"]) == (1, 1, "no")
    assert re.search(r"esrgan \S+, torch 2\S+, accelerate 1\S+, Python 3", first["versions"])
    go_back(run, 4)
    assert resume("--psnr_learning_rate=1e-4", "--mixed_precision=bf16") == (0, "")
    expected = [first, {**first, "step": 4, "psnr_learning_rate": 1e-4, "mixed_precision": "bf16"}]
    assert segments(run) == segments(run / "psnr") == expected
    rows = [line.split(" | ") for line in (run / "psnr" / "README.md").read_text().splitlines() if "torch 2" in line]
    assert [row[:3] + row[5:6] for row in rows] == [
        ["| psnr 0", "0.0004", "3", "float32"],
        ["| psnr 4", "0.0001", "3", "bfloat16"],
    ]
    assert resume(f"--resume_from_checkpoint={run / 'checkpoints' / 'psnr-000004'}") == (0, "")
    assert segments(run) == [first], "what was run after the checkpoint is no longer so"


def test_a_step_begins_with_its_first_batch_whatever_number_of_them_one_had_before(
    tmp_path: Path, train_here: Train
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    more = ("--psnr_steps=4", "--gan_steps=0", "--checkpointing_steps=2", "--gradient_accumulation_steps=2")
    assert train_here(whole, *more) == (0, "")
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints" / "psnr-000004")
    path = cut / "checkpoints" / "psnr-000002" / "random_states_0.pkl"
    torch.save({**torch.load(path, weights_only=False), "step": 3}, path)  # as of processes that took more at once
    assert train_here(cut, *more, LATEST) == (0, "")
    assert not differences(contents(whole), contents(cut))


def test_a_run_goes_on_in_float16_that_began_in_another_precision(
    run: Path, resume: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithScaler(Accelerator):
        """What fp16 is on a GPU, as far as checkpoints are concerned."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    go_back(run, 4)
    monkeypatch.setattr(accelerator, "Accelerator", WithScaler)
    assert resume() == (0, "")
    path = run / "checkpoints" / "psnr-000006" / "scaler.pt"
    assert torch.load(path)["scale"] == 4
    torch.save({**torch.load(path), "scale": 2.0}, path)
    assert resume("--psnr_steps=7") == (0, "")
    assert torch.load(run / "checkpoints" / "psnr-000007" / "scaler.pt")["scale"] == 2


def test_what_runs_is_said_at_the_start(
    run: Path, resume: Callable[..., tuple[int, str]], caplog: pytest.LogCaptureFixture
) -> None:
    go_back(run, 4)
    with caplog.at_level(logging.INFO, "esrgan"):
        assert resume() == (0, "")
    (told,) = [record.getMessage() for record in caplog.records if "batch size" in record.getMessage()]
    assert re.fullmatch(
        r"5 photos of animals/photos, 2 to validate on\n.+ CPU, 1 threads, 1 process, float32\n"
        r"batch size 3 = 3 a process x 1 process x 1 accumulated\n6 psnr steps, [\d,]+ parameters",
        told,
    )


def test_a_checkpoint_from_elsewhere_leaves_no_later_one_behind(
    run: Path, resume: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    saved = shutil.copytree(run / "checkpoints" / "psnr-000002", tmp_path / "saved" / "psnr-000002")
    assert resume(f"--resume_from_checkpoint={saved}", "--checkpointing_steps=3", "--psnr_learning_rate=1e-5") == (
        0,
        "",
    )
    kept = [read(path) for path in Checkpoints(run, 3).all()]
    assert [checkpoint.progress.step for checkpoint in kept] == [2, 3, 6]
    assert kept[-1].record.segments[-1].psnr_learning_rate == 1e-5


def test_a_checkpoint_of_another_run_does_not_take_the_place_of_this_one(
    animals: Path, run: Path, resume: Callable[..., tuple[int, str]], train_here: Train, tmp_path: Path
) -> None:
    assert train_here(tmp_path / "other", *STEPS, "--seed=1", data=animals / "photos") == (0, "")
    before = contents(run)
    other = tmp_path / "other" / "checkpoints" / "psnr-000002"
    status, said = resume(f"--resume_from_checkpoint={other}")
    assert status == 1
    assert f"{other}: of another run than the one in {run}, which would be lost" in said
    assert not differences(before, contents(run))


def test_a_progress_is_called_by_its_step() -> None:
    assert Progress("gan", 12, 0.0).folder_name == "gan-000012"


def test_the_precision_that_accelerate_is_told_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from esrgan.training import accelerator\n"
        "accelerator.has_fast_bf16 = lambda device: True\n"
        "print('precision', accelerator.make_accelerator(None, '.').mixed_precision)\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nmixed_precision: 'no'\nuse_cpu: true\n"
    )
    for more in (["--mixed_precision", "no"], ["--config_file", str(config)]):
        command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", *more, str(script)]
        told = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment() | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "precision no" in told.stdout, told.stderr
    monkeypatch.setattr(accelerator, "has_fast_bf16", lambda _: True)
    from accelerate.state import AcceleratorState, GradientState, PartialState

    for configured, expected in ((None, "bf16"), ("no", "no")):
        for state in (AcceleratorState, GradientState, PartialState):
            state._shared_state.clear()
        if configured:
            monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", configured)
        assert make_accelerator(None, tmp_path).mixed_precision == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("12m", 720), ("1h30m", 5400), ("90s", 90), ("45", 45), ("2h", 7200), ("1h5s", 3605)]
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "soon", "-5m", "1.5h", "m", "5m3h", "²s", "9" * 50])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time such as 12m"):
        parse_duration(text)


def test_the_steps_that_fit_by_hand() -> None:
    assert fitting_steps(10, 2.0, 100.0, 0.0, 50) == 10 + 47  # 95 s at 2 s
    assert fitting_steps(10, 2.0, 100.0, 10.0, 5) == 10 + 21  # 85 s, as the last measurement takes 10, at 2 + 10 / 5
    assert fitting_steps(10, 2.0, -3.0, 0.0, 50) == 10


def test_a_time_limit_sets_the_schedule_of_both_stages_and_a_resume_keeps_it(
    vgg: None, tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [0.0]

    def tick() -> float:
        clock[0] += 1
        return clock[0]

    monkeypatch.setattr(time_limit, "running_seconds", tick)  # a second for each step
    monkeypatch.setattr(trainer, "running_seconds", tick)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = ("--time_limit=50s", "--psnr_steps=1000", "--gan_steps=1000", "--checkpointing_steps=1000")
    with caplog.at_level(logging.INFO, "esrgan"):
        assert train_here(whole, *options) == (0, "")
    record = json.loads((whole / "recipe.json").read_text())
    assert record["fitted_stages"] == ["psnr", "gan"]
    # Of the 25 s of each stage 12 are left after 12 steps and a look at the clock: 0.95 * 12 = 11.4.
    assert (record["psnr_steps"], record["gan_steps"]) == (23, 23)
    rows = read_rows(whole / "history.csv")
    assert [(row["stage"], row["step"]) for row in rows] == [
        (stage, i + 1) for stage in ("psnr", "gan") for i in range(23)
    ]
    assert "1 s a step: the psnr stage gets 23 steps, to end within 50s" in caplog.text
    assert rows[-1]["learning_rate"] < 0.02 * 1e-4, "the schedule ends where the stage does"
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints" / "gan-000023")
    clock[0] = 10_000.0
    assert train_here(cut, *options, LATEST) == (0, "")
    assert not differences(contents(whole), contents(cut))


@pytest.mark.parametrize(
    ("every", "measured_at"),
    [(500, [12, 22]), (4, [4, 8, 12, 16, 20])],  # (0.95 * 12 - 1) / (1 + 1 / 500) = 10.4, and / (1 + 1 / 4) = 8.3
)
def test_a_time_limit_leaves_time_for_measurements(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch, every: int, measured_at: list[int]
) -> None:
    def measure(validation: Validation, _: Generator) -> dict[str, float]:
        validation.seconds = 1.0
        return {"psnr_y": 30.0}

    clock = itertools.count(1.0)
    monkeypatch.setattr(time_limit, "running_seconds", lambda: next(clock))
    monkeypatch.setattr(trainer, "running_seconds", lambda: next(clock))
    monkeypatch.setattr(Validation, "measure", measure)
    photos = make_photos(tmp_path / "measured", 1)
    more = ("--time_limit=25s", "--psnr_steps=1000", "--gan_steps=0", "--checkpointing_steps=1000")
    more += (f"--validation_data_dir={photos}", f"--validation_steps={every}")
    assert train_here(tmp_path / "run", *more) == (0, "")
    rows = read_rows(tmp_path / "run" / "history.csv")
    assert [row["step"] for row in rows if "validation_psnr_y" in row] == measured_at
    assert rows[-1]["step"] == measured_at[-1]


def test_a_finished_run_is_extended_by_steps_with_a_schedule_of_their_own_and_by_a_stage(
    vgg: None, run: Path, resume: Callable[..., tuple[int, str]]
) -> None:
    status, said = resume("--psnr_steps=5")
    assert status == 1
    assert "psnr_steps 6, not 5" in said
    go_back(run, 4)
    status, said = resume("--psnr_steps=9")
    assert status == 1
    assert "psnr_steps 6, not 9" in said, "it was not finished"
    assert resume() == (0, "")
    assert resume("--psnr_steps=9") == (0, "")
    rates = [row["learning_rate"] for row in read_rows(run / "history.csv")]
    recipe = Esrgan(lr_warmup_steps=0)
    expected = [rate_factor(step, recipe, steps) for steps in (6, 3) for step in range(steps)]
    assert rates == pytest.approx([4e-4 * factor for factor in expected])
    assert resume("--psnr_steps=9", "--gan_steps=1") == (0, "")
    assert [(row["stage"], row["step"]) for row in read_rows(run / "history.csv")][-2:] == [("psnr", 9), ("gan", 1)]
    record = json.loads((run / "recipe.json").read_text())
    assert (record["psnr_steps"], record["gan_steps"], record["extensions"]) == (9, 1, {"psnr": [6]})
    assert [(segment["stage"], segment["step"]) for segment in record["segments"]] == [("psnr", 0)]
    status, said = resume("--psnr_steps=12", "--gan_steps=1")
    assert status == 1
    assert "psnr_steps 9, not 12" in said


def test_the_second_stage_and_the_folder_have_the_best_weights_of_the_first(
    vgg: None, animals: Path, tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([30.0, 32.0, 31.0, 29.0])
    monkeypatch.setattr("esrgan.training.validation.mean_scores", lambda *_: {"psnr_y": next(values, 20.0)})
    validation = f"--validation_data_dir={animals / 'validation'}"
    more = ("--psnr_steps=3", "--gan_steps=1", "--psnr_learning_rate=0.01", "--learning_rate=0", "--validation_steps=1")
    assert train_here(tmp_path, *more, validation, "--ema_decay=0") == (0, "")
    best, kept, start = (load_file(tmp_path / name / "model.safetensors") for name in ("psnr-best", "psnr", "gan"))
    assert not differences(best, kept)
    assert not differences(best, start), "the second stage did not move"
    last = averaged(tmp_path / "checkpoints" / "psnr-000003")
    assert any((last[name] - best[name]).abs().max() > 1e-3 for name in best)
    assert json.loads((tmp_path / "psnr" / "recipe.json").read_text())["step"] == 1, "bicubic took the first value"
    for name, steps in (("psnr", 1), ("gan", 2)):
        assert f"\n{steps} steps on" in (tmp_path / name / "README.md").read_text()


def test_a_stage_that_gets_no_better_ends_early(
    animals: Path, tmp_path: Path, train_here: Train, caplog: pytest.LogCaptureFixture
) -> None:
    validation = f"--validation_data_dir={animals / 'validation'}"
    more = (*TILL_NINE, "--validation_steps=1", validation)
    with caplog.at_level(logging.INFO, "esrgan"):
        assert train_here(tmp_path, *more, "--early_stopping_patience=2") == (0, "")
        assert [row["step"] for row in read_rows(tmp_path / "history.csv")] == [1, 2, 3]
        assert "psnr step 3: no better since step 1, so the stage ends" in caplog.text
        assert train_here(tmp_path, *more, "--early_stopping_patience=2", LATEST) == (0, "")
        assert "nothing is left to do" in caplog.text
        assert train_here(tmp_path, *more, "--early_stopping_patience=4", LATEST) == (0, "")
        assert [row["step"] for row in read_rows(tmp_path / "history.csv")] == [1, 2, 3, 4, 5]
        more = ("--early_stopping_patience=5", "--validation_steps=3", LATEST)
        assert train_here(tmp_path, *TILL_NINE, validation, *more) == (0, "")
    assert read_rows(tmp_path / "history.csv")[-1]["step"] == 6, "it is measurements that count"


def test_a_stage_that_ended_early_can_be_followed_by_another(
    vgg: None, animals: Path, tmp_path: Path, train_here: Train
) -> None:
    more = (f"--validation_data_dir={animals / 'validation'}", "--validation_steps=1", "--early_stopping_patience=2")
    assert train_here(tmp_path, *TILL_NINE, *more) == (0, "")
    assert train_here(tmp_path, *TILL_NINE, *more, "--gan_steps=1", LATEST) == (0, "")
    assert [(row["stage"], row["step"]) for row in read_rows(tmp_path / "history.csv")][-2:] == [
        ("psnr", 3),
        ("gan", 1),
    ]


def test_a_best_that_is_of_steps_taken_back_is_forgotten(run: Path, resume: Callable[..., tuple[int, str]]) -> None:
    go_back(run, 4)
    path = run / "checkpoints" / "psnr-000004" / "progress.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "best": 99.0, "best_step": 2}))
    assert resume() == (0, "")
    assert read(run / "checkpoints" / "psnr-000006").progress.best_step == 6


def test_settings_that_cannot_act_are_named(
    tmp_path: Path, train_here: Train, caplog: pytest.LogCaptureFixture
) -> None:
    Generator(num_blocks=1, num_features=8, growth_channels=4).save_pretrained(tmp_path / "given")
    more = (
        "--psnr_steps=1",
        "--gan_steps=0",
        f"--init_from={tmp_path / 'given'}",
        "--num_blocks=3",
        "--lr_warmup_steps=5",
    )
    assert train_here(tmp_path / "run", *more) == (0, "")
    assert f"--num_blocks 3: of no effect, as {tmp_path / 'given'} has 1" in caplog.text
    assert "--lr_warmup_steps 5: the psnr stage of 1 steps ends before it" in caplog.text
    assert "num_features" not in caplog.text

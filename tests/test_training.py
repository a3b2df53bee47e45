"""Trainings from end to end: interrupted, resumed, spread over processes, and told to do what they cannot."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from conftest import EXAMPLES, ROOT, Train, averaged
from hub_server import Fault, Hub
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError, Response
from kill_and_resume import (
    arguments,
    contents,
    differences,
    environment,
    follow,
    kill_and_resume,
    run,
    start,
)
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from esrgan import Generator, Upscaler
from esrgan.errors import DataError
from esrgan.evaluation.study import read_truth
from esrgan.hub.publish import gather, publish
from esrgan.hub.state import gather_state
from esrgan.images.resize import shrink
from esrgan.training import stages
from esrgan.training.averaging import Average
from esrgan.training.checkpoints import Checkpoints, order
from esrgan.training.crops import to_floats
from esrgan.training.history import HISTORY, read_rows
from esrgan.training.recipes import Esrgan
from esrgan.training.records import RECORD
from esrgan.training.trainer import rate_factor

BOTH = ("--psnr_steps=7", "--gan_steps=4", "--checkpointing_steps=3")
PSNR = ("--psnr_steps=4", "--gan_steps=0", "--checkpointing_steps=2")


@pytest.fixture(scope="session")
def undisturbed(photos: Path, vgg: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both stages that nothing happened to."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    run(photos, output, *BOTH)
    return output


def checkpoints(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "checkpoints").iterdir())


def losses(output: Path) -> list[dict[str, Any]]:
    return read_rows(output / HISTORY)


def test_a_run_leaves_both_generators_with_recipe_history_and_curves(undisturbed: Path) -> None:
    recipe = json.loads((undisturbed / "recipe.json").read_text())
    assert (recipe["recipe"], recipe["psnr_steps"], recipe["gan_steps"], recipe["seed"]) == ("esrgan", 7, 4, 0)
    rows = list(csv.DictReader((undisturbed / "history.csv").open()))
    assert [(row["stage"], row["step"]) for row in rows] == [
        *(("psnr", str(i)) for i in range(1, 8)),
        *(("gan", str(i)) for i in range(1, 5)),
    ]
    assert all(float(row[name]) for row in rows for name in ("pixel", "learning_rate"))
    assert all(float(row[name]) for row in rows[7:] for name in ("perceptual", "generator", "discriminator"))
    with Image.open(undisturbed / "curves.png") as curves:
        assert curves.size[0] > 1000
    for name, last in (("psnr", "psnr-000007"), ("gan", "gan-000004")):
        expected = averaged(undisturbed / "checkpoints" / last)
        kept = Generator.from_pretrained(undisturbed / name).state_dict()
        assert kept.keys() == expected.keys()
        assert all(torch.allclose(kept[key], expected[key], rtol=1e-3, atol=1e-7) for key in expected), name
        assert (undisturbed / name / "README.md").is_file()
    before = Generator.from_pretrained(undisturbed / "gan", stage="psnr").state_dict()
    expected = Generator.from_pretrained(undisturbed / "psnr").state_dict()
    assert all(torch.equal(before[key], expected[key]) for key in expected)


def test_the_second_stage_starts_from_the_averaged_weights_of_the_first(undisturbed: Path) -> None:
    start, end = (averaged(undisturbed / "checkpoints" / name) for name in ("psnr-000007", "gan-000004"))
    raw = load_file(undisturbed / "checkpoints" / "gan-000004" / "model.safetensors")
    rates = sum(row["learning_rate"] for row in losses(undisturbed) if row["stage"] == "gan")
    for key, tensor in raw.items():  # with betas 0.9 and 0.99, Adam moves a weight by hardly more than its rate a step
        assert (tensor - start[key]).abs().max() < 2 * rates, key
    assert any(not torch.equal(end[key], raw[key]) for key in raw)
    assert any(not torch.equal(start[key], raw[key]) for key in raw)


def test_killed_in_both_stages_and_resumed_is_bit_equal(photos: Path, undisturbed: Path, tmp_path: Path) -> None:
    kill_and_resume(photos, tmp_path, undisturbed, [("psnr", 4), ("gan", 1)], 0, *BOTH)


def test_interrupted_it_saves_and_says_how_to_go_on(photos: Path, tmp_path: Path, train_here: Train) -> None:
    options = ("--psnr_steps=40", "--gan_steps=0", "--checkpointing_steps=1000")
    process = start(photos, tmp_path, *options)
    told = follow(process, "psnr", 5)
    process.send_signal(signal.SIGINT)
    told += follow(process)
    assert process.wait() == 130
    (saved,) = checkpoints(tmp_path)
    step = int(saved.removeprefix("psnr-"))
    assert 5 <= step < 40
    assert told.strip().splitlines()[-1].startswith(f"stopped after step {step} of the psnr stage, and saved; ")
    assert "--resume_from_checkpoint latest" in told
    assert "Traceback" not in told
    assert train_here(tmp_path, *options, "--resume_from_checkpoint=latest")[0] == 0
    assert [row["step"] for row in losses(tmp_path)] == list(range(1, 41))


def test_resuming_amid_an_epoch_is_bit_equal_for_a_stream_and_with_workers(tmp_path: Path, train_here: Train) -> None:
    for name, more in (("stream", "--streaming"), ("workers", "--dataloader_num_workers=1")):
        whole, resumed = tmp_path / name / "whole", tmp_path / name / "resumed"
        assert train_here(whole, *PSNR, more)[0] == 0
        shutil.copytree(whole, resumed)
        shutil.rmtree(resumed / "checkpoints" / "psnr-000004")
        shutil.rmtree(resumed / "psnr")
        assert train_here(resumed, *PSNR, more, "--resume_from_checkpoint=latest")[0] == 0
        assert not differences(contents(whole), contents(resumed)), name


def test_every_further_term_is_trained_with_and_resumed_bit_by_bit(
    tmp_path: Path, train_here: Train, vgg: None
) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    further = (
        "--psnr_steps=1",
        "--gan_steps=2",
        "--checkpointing_steps=1",
        "--adversarial=rpgan",
        "--zero_penalty_weight=1",
        "--perceptual_layers=shallow",
        "--artifact_weight=1",
        "--autoencoded_weight=1",
        "--augmentation=color,cutout",
        "--discriminator_input=high-bands",
    )
    assert train_here(whole, *further)[0] == 0
    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoints" / "gan-000002")
    shutil.rmtree(resumed / "gan")
    assert train_here(resumed, *further, "--resume_from_checkpoint=latest")[0] == 0
    assert not differences(contents(whole), contents(resumed))
    history = (whole / "history.csv").read_text(encoding="utf-8").splitlines()
    assert {"artifact", "autoencoded", "penalty"} <= set(history[0].split(","))


def test_a_half_written_checkpoint_is_never_picked(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train_here(whole, *PSNR)[0] == 0
    save_state = Accelerator.save_state

    def killed(accelerator: Accelerator, folder: str) -> None:
        save_state(accelerator, folder)
        if "000004" in folder:
            (Path(folder) / "optimizer.bin").write_bytes(b"half")
            raise SystemExit("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(Accelerator, "save_state", killed)
        with pytest.raises(SystemExit):
            train_here(cut, *PSNR)
    assert checkpoints(cut) == [".psnr-000004.tmp", "psnr-000002"]
    assert train_here(cut, *PSNR, "--resume_from_checkpoint=latest")[0] == 0
    assert checkpoints(cut) == ["psnr-000002", "psnr-000004"]
    assert not differences(contents(whole), contents(cut))


def test_a_half_removed_checkpoint_is_never_picked(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train_here(whole, *PSNR)[0] == 0
    shutil.copytree(whole, cut)

    def killed(path: Path, *_: object, **__: object) -> None:
        if Path(path).name == ".psnr-000004.tmp" and Path(path).exists():
            (Path(path) / "optimizer.bin").unlink()
            raise SystemExit("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(SystemExit):
            train_here(cut, *PSNR, f"--resume_from_checkpoint={cut / 'checkpoints' / 'psnr-000002'}")
    assert train_here(cut, *PSNR, "--resume_from_checkpoint=latest") == (0, "")
    assert not differences(contents(whole), contents(cut))


def test_as_many_checkpoints_are_kept_as_asked_for(tmp_path: Path, train_here: Train) -> None:
    more = ("--psnr_steps=11", "--gan_steps=0", "--checkpointing_steps=2", "--checkpoints_total_limit=2")
    assert train_here(tmp_path, *more)[0] == 0
    assert checkpoints(tmp_path) == ["psnr-000010", "psnr-000011"]


def test_a_new_run_is_not_mixed_with_an_old_one(tmp_path: Path, train_here: Train) -> None:
    assert train_here(tmp_path, *PSNR)[0] == 0
    before = contents(tmp_path)
    status, said = train_here(tmp_path, *PSNR, "--seed=1")
    assert status == 1
    assert "holds a run already; go on with --resume_from_checkpoint latest, or give another --output_dir" in said
    assert not differences(before, contents(tmp_path))
    shutil.rmtree(tmp_path / "checkpoints")
    left = contents(tmp_path)
    for more in ((), ("--resume_from_checkpoint=latest",)):
        status, said = train_here(tmp_path, *PSNR, "--seed=1", *more)
        assert status == 1
        assert f"{tmp_path / 'psnr'}: the weights of a run without checkpoints, which a new one would replace" in said
    assert not differences(left, contents(tmp_path))
    shutil.rmtree(tmp_path / "psnr")
    assert train_here(tmp_path, *PSNR, "--seed=1")[0] == 0
    assert [row["step"] for row in losses(tmp_path)] == [1, 2, 3, 4]
    assert len(differences(before, contents(tmp_path))) > 10


def test_a_loss_that_is_not_finite_stops_with_what_to_do(tmp_path: Path, train_here: Train) -> None:
    more = ("--psnr_steps=8", "--gan_steps=0", "--checkpointing_steps=2", "--logging_steps=1")
    first = tmp_path / "first"
    assert train_here(first, *more)[0] == 0
    shutil.rmtree(first / "checkpoints" / "psnr-000008")
    shutil.rmtree(first / "checkpoints" / "psnr-000006")
    before = contents(first / "checkpoints")
    status, said = train_here(first, *more, "--psnr_learning_rate=1e30", "--resume_from_checkpoint=latest")
    assert status == 1
    assert "psnr stage, step 6: the losses are no longer finite (pixel" in said
    assert said.endswith("The last checkpoint is intact: resume from it with a smaller --psnr_learning_rate.")
    assert "\n" not in said
    _, said = train_here(tmp_path / "second", *more, "--psnr_learning_rate=1e30", "--checkpointing_steps=8")
    assert said.endswith("Begin again with a smaller --psnr_learning_rate.")
    assert checkpoints(first) == ["psnr-000004"]
    assert not differences(before, contents(first / "checkpoints"))


def test_the_advice_after_a_loss_that_is_not_finite_can_be_followed(tmp_path: Path, train_here: Train) -> None:
    more = ("--psnr_steps=4", "--gan_steps=0", "--checkpointing_steps=2")
    assert train_here(tmp_path, *more, "--psnr_learning_rate=1e-3")[0] == 0
    shutil.rmtree(tmp_path / "checkpoints" / "psnr-000004")
    resume = "--resume_from_checkpoint=latest"
    assert train_here(tmp_path, *more, "--psnr_learning_rate=1e-4", resume) == (0, "")
    assert losses(tmp_path)[-1]["learning_rate"] < 1e-4


def test_resuming_with_another_recipe_is_an_error(tmp_path: Path, train_here: Train) -> None:
    assert train_here(tmp_path, *PSNR)[0] == 0
    before = contents(tmp_path)
    status, said = train_here(tmp_path, *PSNR, "--seed=5", "--train_batch_size=2", "--resume_from_checkpoint=latest")
    assert status == 1
    assert "train_batch_size 3, not 2" in said
    assert "seed 0, not 5" in said
    assert not differences(before, contents(tmp_path))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--resume_from_checkpoint=nowhere"], "nowhere: not a checkpoint folder"),
        (["--init_from=unicorns"], "unicorns: no such model"),
        (["--init_from=dogs@psnr"], "a stage is written after a colon now: dogs:psnr."),
        (["--max_train_samples=1"], "1 usable photo "),
        (["--validation_data_dir=nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, train_here: Train, more: list[str], told: str) -> None:
    status, said = train_here(tmp_path / "out", *PSNR, *more)
    assert status == 1
    assert said.startswith("train.py: ")
    assert told in said
    assert "\n" not in said


@pytest.mark.parametrize("part", [".", "runs/mine"])
def test_a_run_among_the_photos_is_refused(tmp_path: Path, train_here: Train, part: str) -> None:
    with pytest.raises(SystemExit) as error:
        train_here(tmp_path / part, *PSNR, data=tmp_path)
    assert error.value.code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "train.py: stopped"),
        (torch.OutOfMemoryError("CUDA"), 1, "train.py: out of memory; give a smaller --train_batch_size"),
        (RuntimeError("GET was unable to find an engine to execute this computation"), 1, "train.py: out of memory;"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), 1, "train.py: out of memory;"),
        (HTTPError("timed out"), 1, "train.py: timed out"),
        (SafetensorError("No space left on device"), 1, "train.py: No space left on device"),
        (
            DataError(
                "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
                '  File "a.py"\nesrgan.errors.DataError: the stream has no usable photo.\n'
            ),
            1,
            "train.py: the stream has no usable photo.",
        ),
    ],
)
def test_what_ends_a_run_is_one_sentence(
    tmp_path: Path,
    train_here: Train,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    told: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("train.load_photos", fail)
    ended, said = train_here(tmp_path / "out", *PSNR)
    assert ended == status
    assert said.startswith(told)
    assert "\n" not in said


@pytest.mark.parametrize("option", ["--init_from", "--validation_data_dir"])
def test_what_is_not_there_is_told_before_photos_are_read(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr("train.Photos", lambda *_, **__: pytest.fail("photos were read"))
    status, said = train_here(tmp_path / "out", *PSNR, f"{option}={tmp_path / 'none.pth'}")
    assert status == 1
    assert said.startswith(f"train.py: {tmp_path / 'none.pth'}: no such file")


def test_photos_that_cannot_be_read_make_no_repository(
    online: Hub, tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.Uploads", lambda *_, **__: pytest.fail("an upload was begun"))
    more = ("--push_to_hub", "--hub_model_id=me/dogs")
    assert train_here(tmp_path / "out", *PSNR, *more, data=tmp_path / "none")[0] == 1


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_nothing(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_: Accelerator, folder: str) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Accelerator, "save_state", fill)
    status, said = train_here(tmp_path, *PSNR)
    assert (status, "No space left on device" in said) == (1, True)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_missing_an_empty_and_no_folder_end_with_status_1(tmp_path: Path, train_here: Train) -> None:
    told = f"train.py: {tmp_path / 'file' / RECORD}: {tmp_path / 'file'} is no folder."
    (tmp_path / "file").touch()
    assert train_here(tmp_path / "file", *PSNR, data=tmp_path / "none") == (1, told)
    told = f"train.py: {tmp_path / 'none'}: no such folder."
    assert train_here(tmp_path / "out", *PSNR, data=tmp_path / "none") == (1, told)
    (tmp_path / "empty").mkdir()
    status, said = train_here(tmp_path / "out", *PSNR, data=tmp_path / "empty")
    assert status == 1
    assert said.startswith(f"train.py: {tmp_path / 'empty'}: no images")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--crop_size=40", "--gan_steps=1"],
        ["--crop_size=30"],
        ["--adversarial=lsgan"],
        ["--lr_scheduler=linear"],
        ["--adversarial=wgan-gp"],
        ["--train_batch_size=-1"],
        ["--train_batch_size=0"],
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_anything_is_done(
    tmp_path: Path, train_here: Train, wrong: list[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        train_here(tmp_path / "out", "--psnr_steps=1", "--gan_steps=0", *wrong)
    assert error.value.code == 2
    assert not (tmp_path / "out").exists()


def test_the_best_validation_is_kept(tmp_path: Path, train_here: Train) -> None:
    validation = tmp_path / "validation"
    validation.mkdir()
    Image.open(EXAMPLES / "kitten_wool.png").crop((100, 100, 164, 148)).save(validation / "kitten.png")
    more = ("--psnr_learning_rate=0.01", f"--validation_data_dir={validation}", "--validation_steps=1")
    assert train_here(tmp_path / "run", *PSNR, *more)[0] == 0
    rows = losses(tmp_path / "run")
    assert len({row["bicubic_psnr_y"] for row in rows}) == 1
    values = [row["validation_psnr_y"] for row in rows]
    assert len(set(values)) == 4
    truth = read_truth(validation / "kitten.png")
    expected = Upscaler(Generator.from_pretrained(tmp_path / "run" / "psnr"), dtype=torch.float32)(shrink(truth, 4))
    with Image.open(tmp_path / "run" / "plate.png") as plate:
        shown = np.asarray(plate.crop((2 * 96 + 6, 24, 2 * 96 + 6 + 128, 24 + 96)))[::2, ::2].astype(int)
    assert np.abs(shown - np.asarray(expected)).max() <= 3, "the second column is the generator, in half precision"
    progress = json.loads((tmp_path / "run" / "checkpoints" / "psnr-000004" / "progress.json").read_text())
    assert (progress["best"], progress["best_step"]) == (max(values), values.index(max(values)) + 1)


def test_fine_tuning_starts_from_the_given_weights(tmp_path: Path, train_here: Train) -> None:
    torch.manual_seed(7)
    given = Generator(num_blocks=2, num_features=8, growth_channels=4)
    given.save_pretrained(tmp_path / "given")
    more = ("--psnr_steps=1", "--gan_steps=0", "--psnr_learning_rate=1e-6", f"--init_from={tmp_path / 'given'}")
    assert train_here(tmp_path / "run", *more)[0] == 0
    tuned = Generator.from_pretrained(tmp_path / "run" / "psnr")
    assert tuned.config == given.config
    for key, tensor in given.state_dict().items():
        assert torch.allclose(tuned.state_dict()[key], tensor, atol=1e-3), key
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["num_blocks"] == 2


def test_accumulated_batches_follow_the_loss_path_of_a_large_one(tmp_path: Path, train_here: Train) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert train_here(one, *PSNR, "--train_batch_size=8")[0] == 0
    assert train_here(two, *PSNR, "--train_batch_size=4", "--gradient_accumulation_steps=2")[0] == 0
    assert_same_path(one, two)
    assert_same_gradients(one, two)


def assert_same_path(one: Path, two: Path) -> None:
    """The rounding of another order of additions apart, both histories are the same."""
    rows = losses(one)
    assert len(rows) == len(losses(two)) > 0
    for a, b in zip(rows, losses(two), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            value = a[name] if name == "stage" else pytest.approx(a[name], rel=1e-4, abs=2e-6)
            assert b[name] == value, (a["stage"], a["step"], name)
    assert len({row["pixel"] for row in rows}) == len(rows)


def assert_same_gradients(one: Path, two: Path) -> None:
    """Adam hides how large a gradient is; its running mean of them does not. A sum for a mean would be off by 2."""
    names = [path.relative_to(one) for path in sorted(one.glob("checkpoints/*/optimizer*.bin"))]
    assert names
    for name in names:
        states = (torch.load(run / name, weights_only=True)["state"].values() for run in (one, two))
        a, b = (torch.cat([state["exp_avg"].flatten() for state in run]) for run in states)
        assert (a - b).norm() < 0.1 * a.norm(), name


@pytest.mark.parametrize(
    "more",
    [
        ("--psnr_steps=2", "--gan_steps=3"),
        ("--psnr_steps=0", "--gan_steps=2", "--adversarial=wgan-gp", "--gradient_penalty_weight=10"),
    ],
    ids=["psnr and ragan", "wgan-gp"],
)
def test_two_processes_follow_the_loss_path_of_one(
    photos: Path, tmp_path: Path, vgg: None, train_here: Train, more: tuple[str, ...]
) -> None:
    # High enough for a gradient that is off to show in the next losses. Batch normalisation over 8 values and Adam's
    # division by tiny gradients make noise of rounding: at 1e-3 a batch in another order is 2 % off after 3 steps.
    more += ("--psnr_learning_rate=1e-3", "--learning_rate=1e-4", "--discriminator_learning_rate=2e-6")
    one, two = tmp_path / "one", tmp_path / "two"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "train.py"]
    command = [*launch, *arguments(photos, two, *more, "--train_batch_size=4")]
    finished = subprocess.run(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, check=False)
    assert finished.returncode == 0, finished.stderr.decode()[-3000:]
    assert list(two.glob("checkpoints/gan-*/random_states_1.pkl")), "there was one process only"
    assert train_here(one, *more, "--train_batch_size=8")[0] == 0
    assert_same_path(one, two)
    assert_same_gradients(one, two)


def test_two_machines_share_a_run_its_precision_its_best_and_its_end(photos: Path, tmp_path: Path) -> None:
    """Only the first measures, and knows of itself what is best and when to end."""
    more = (f"--validation_data_dir={photos}", "--max_validation_samples=1", "--validation_steps=1")
    more += ("--psnr_steps=99", "--gan_steps=0", "--psnr_learning_rate=0", "--early_stopping_patience=12")
    more += ("--time_limit=1h",)
    command = [option for option in arguments(photos, tmp_path / "run", *more) if "mixed_precision" not in option]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    launch += ["--master_addr=127.0.0.1", f"--master_port={port}"]
    nodes = [
        subprocess.Popen(
            [*launch, f"--node_rank={rank}", "train.py", *command], cwd=ROOT, env=environment(), stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    for node in nodes:
        told = node.communicate(timeout=300)[1]
        assert node.returncode == 0, told.decode()[-3000:]
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["effective_batch_size"] == 6
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["fitted_stages"] == ["psnr"]
    assert checkpoints(tmp_path / "run")[-1] == "psnr-000013"
    assert list((tmp_path / "run").glob("checkpoints/psnr-*/random_states_1.pkl"))


def test_a_second_stage_goes_on_in_another_folder_once_the_first_is_there(
    undisturbed: Path, tmp_path: Path, train_here: Train
) -> None:
    more = (*BOTH, f"--resume_from_checkpoint={undisturbed / 'checkpoints' / 'gan-000003'}")
    status, said = train_here(tmp_path, *more)
    assert status == 1
    assert f"set out from the weights in {tmp_path / 'psnr'}, which are not there; copy the folder psnr" in said
    assert not (tmp_path / RECORD).exists()
    shutil.copytree(undisturbed / "psnr", tmp_path / "psnr")
    assert train_here(tmp_path, *more) == (0, "")
    assert_same_path(undisturbed, tmp_path)


def test_another_machine_goes_on_from_the_hub(
    online: Hub, undisturbed: Path, tmp_path: Path, train_here: Train
) -> None:
    killed, other = shutil.copytree(undisturbed, tmp_path / "killed"), tmp_path / "other"
    shutil.rmtree(killed / "checkpoints" / "gan-000004")
    publish({**gather(killed), **gather_state(killed)}, "me/dogs")
    more = ("--push_to_hub", "--hub_model_id=me/dogs", "--hub_strategy=checkpoint", "--resume_from_checkpoint=latest")
    assert train_here(other, *BOTH, *more) == (0, "")
    assert checkpoints(other) == ["gan-000003", "gan-000004"]
    assert_same_path(undisturbed, other)
    fetched = load_file(other / "checkpoints" / "gan-000003" / "model.safetensors")
    assert not differences(fetched, load_file(killed / "checkpoints" / "gan-000003" / "model.safetensors"))
    there = {name.split("/")[2] for name in online["me/dogs"].commits[-1].files if "/checkpoints/" in name}
    assert there == {"gan-000004"}
    assert train_here(tmp_path / "new", *PSNR, "--push_to_hub", "--hub_model_id=me/new", more[-1]) == (0, "")
    online.faults = [Fault("GET /api/models/me/dogs", times=99)]
    status, said = train_here(tmp_path / "third", *BOTH, *more)
    assert status == 1
    assert said.startswith("train.py: me/dogs: the Hub answers with an error (503)")


def test_where_start_weights_are_is_not_published_and_another_machine_has_them_elsewhere(
    online: Hub, tmp_path: Path, train_here: Train
) -> None:
    given = [tmp_path / name for name in ("mine", "theirs")]
    for folder in given:
        Generator(num_blocks=1, num_features=8, growth_channels=4).save_pretrained(folder)
    run, other = tmp_path / "run", tmp_path / "other"
    assert train_here(run, *PSNR, f"--init_from={given[0]}") == (0, "")
    shutil.rmtree(run / "checkpoints" / "psnr-000004")
    state = gather_state(run)
    assert not [name for name, content in state.items() if str(tmp_path).encode() in content]
    publish({**gather(run), **state}, "me/dogs")
    more = ("--push_to_hub", "--hub_model_id=me/dogs", "--resume_from_checkpoint=latest")
    status, said = train_here(other, *PSNR, *more)
    assert status == 1
    assert "init_from weights of its owner, not None" in said
    assert train_here(other, *PSNR, *more, f"--init_from={given[1]}") == (0, "")
    assert_same_path(run, other)
    assert json.loads((other / RECORD).read_text())["init_from"] == str(given[1])


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [(RepositoryNotFoundError, 401, "none that your token may see"), (GatedRepoError, 403, "it is gated")],
)
def test_a_run_whose_state_may_be_hidden_does_not_begin_anew(
    tmp_path: Path,
    train_here: Train,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[RepositoryNotFoundError],
    status: int,
    told: str,
) -> None:
    def hide(*_: Any, **__: Any) -> None:
        response = Response(status)
        response.request = SimpleNamespace(headers={})  # type: ignore[assignment]
        raise kind("Repository Not Found", response=response)

    monkeypatch.setattr(HfApi, "model_info", hide)
    more = ("--push_to_hub", "--hub_model_id=me/dogs", "--resume_from_checkpoint=latest")
    ended, said = train_here(tmp_path / "run", *PSNR, *more)
    assert ended == 1
    assert told in said
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_float16_is_refused_where_it_would_be_float32(tmp_path: Path, train_here: Train) -> None:
    told = "train.py: fp16 needs a GPU; on a CPU use bf16 or no (--mixed_precision)."
    assert train_here(tmp_path, *PSNR, "--mixed_precision=fp16") == (1, told)


class BlockingCopies(TorchDispatchMode):
    """Names what copies from one device to another and waits until it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        devices = {x.device for x in (*args, result) if isinstance(x, torch.Tensor)}
        if func is torch.ops.aten._to_copy.default and len(devices) > 1 and not kwargs.get("non_blocking"):
            self.found.append(str(func))
        return result


def test_a_step_never_waits_for_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device has no values: whoever asks it for one fails where a GPU would be waited for."""
    device = torch.device("meta")
    judge = torch.nn.Conv2d(3, 4, 3).requires_grad_(False)
    monkeypatch.setattr(judge, "forward", lambda a, b: (a - b).square().mean())
    monkeypatch.setattr(Accelerator, "device", device)
    monkeypatch.setattr(stages, "perceptual_loss", lambda _: judge)
    monkeypatch.setattr(stages, "_adam", lambda model, rate: torch.optim.SGD(model.parameters(), rate))  # fused: GPUs'
    recipe = Esrgan(
        crop_size=32,
        gradient_penalty_weight=1,
        zero_penalty_weight=1,
        artifact_weight=1,
        autoencoded_weight=1,
        augmentation="color,cutout",
        discriminator_input="high-bands",
    )
    generator = Generator(num_blocks=1, num_features=8, growth_channels=4).to(device)
    averaged = Average(generator, recipe.ema_decay)
    low, high = (torch.zeros(2, 3, side, side, dtype=torch.uint8) for side in (8, 32))
    for make_stage in stages.STAGES:
        stage = make_stage(Accelerator(cpu=True), recipe, generator, averaged)
        for _ in range(2):  # in the first, constants go to the device
            with BlockingCopies() as copies:
                stage.step(*to_floats({"low": low, "high": high, "mix": torch.rand(2)}, device))
                averaged.update(generator)
        assert not copies.found


def test_a_compiled_stage_has_the_losses_and_names_of_another(
    undisturbed: Path, tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))  # inductor takes minutes
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    for after, more in (("psnr-000007", ["--compile"]), ("gan-000003", [])):
        for checkpoint in Checkpoints(tmp_path, 3).all():
            if order(checkpoint) > order(tmp_path / after):
                shutil.rmtree(checkpoint)
        assert train_here(tmp_path, *BOTH, "--resume_from_checkpoint=latest", *more) == (0, "")
        assert_same_path(undisturbed, tmp_path)
        expected, got = contents(undisturbed), contents(tmp_path)
        assert expected.keys() == got.keys()
        tensors = [name for name in got if isinstance(got[name], dict)]
        assert all(expected[name].keys() == got[name].keys() for name in tensors)
    segments = json.loads((tmp_path / "recipe.json").read_text())["segments"]
    assert [segment["versions"].endswith(", compiled") for segment in segments] == [False, True, False]


def test_the_average_by_hand() -> None:
    """The first step copies; then the old average keeps 2/11, 3/12, 4/13, … of itself, at most the recipe's decay."""
    network = torch.nn.Linear(1, 1, bias=False)
    mean = Average(network, 0.24)
    expected = None
    for value, decay in ((3.0, 0), (5.0, 2 / 11), (-4.0, 0.24), (7.0, 0.24)):
        network.weight.data.fill_(value)
        mean.update(network)
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert mean.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_without_a_decay_the_last_weights_are_kept(tmp_path: Path, train_here: Train) -> None:
    assert train_here(tmp_path, *PSNR, "--ema_decay=0")[0] == 0
    raw = load_file(tmp_path / "checkpoints" / "psnr-000004" / "model.safetensors")
    assert not differences(averaged(tmp_path / "checkpoints" / "psnr-000004"), raw)


def test_the_rate_rises_then_falls_to_a_hundredth() -> None:
    recipe = Esrgan(lr_warmup_steps=3)
    factors = [rate_factor(step, recipe, 100) for step in range(101)]
    assert factors[:3] == pytest.approx([0.25, 0.5, 0.75], rel=0.01)
    assert factors[50] == pytest.approx(0.505)
    assert factors[100] == pytest.approx(0.01)
    assert factors[3:] == sorted(factors[3:], reverse=True)
    constant = Esrgan(lr_warmup_steps=0, lr_scheduler="constant")
    assert {rate_factor(step, constant, 100) for step in range(101)} == {1}


def test_this_process_trains_on_one_cpu_thread() -> None:
    """What the comparisons above rest on."""
    assert os.environ["ACCELERATE_USE_CPU"] == "1"
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])

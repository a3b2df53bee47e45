"""The recipes say what the paper says, every number has a source, and the command line reaches each."""

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest

import train
from esrgan.training.datasets import spread
from esrgan.training.options import Options
from esrgan.training.recipes import PROBABILITIES, RECIPES, Esrgan, Paper
from esrgan.training.records import RECORD, Record, describe


def test_the_paper_recipe_is_the_papers() -> None:
    paper = Paper()
    assert (paper.psnr_steps, paper.gan_steps, paper.train_batch_size) == (0, 2000, 8)
    assert (paper.learning_rate, paper.discriminator_learning_rate) == (1e-4, 1e-4)
    assert (paper.perceptual_weight, paper.adversarial_weight, paper.pixel_weight) == (1.0, 5e-3, 1e-2)
    assert (paper.gradient_penalty_weight, paper.dataloader_num_workers, paper.adversarial) == (10.0, 4, "ragan")
    assert (paper.horizontal_flip, paper.rotation) == (0.5, 0.5)


@pytest.mark.parametrize("recipe", RECIPES.values())
def test_every_number_names_its_source(recipe) -> None:
    for field in dataclasses.fields(recipe):
        assert field.metadata["source"].strip(), field.name


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_can_be_set_from_the_command_line(name) -> None:
    start = ["--recipe", name, "--train_data_dir", "photos", "--output_dir", "out"]
    assert train.parse(start)[1] == RECIPES[name]()
    for field in dataclasses.fields(RECIPES[name]):
        choices = field.metadata["choices"]
        value = choices[-1] if choices else 64 if field.name == "crop_size" else field.default + 1
        value = 0.25 if field.name in PROBABILITIES else value
        more = ["--gradient_penalty_weight", "3"] if value == "wgan-gp" else []
        _, recipe = train.parse([*start, f"--{field.name}", str(value), *more])
        assert getattr(recipe, field.name) == value


def test_every_option_can_be_set_from_the_command_line() -> None:
    needed = ["--dataset_name=me/photos", "--output_dir=out", "--validation_data_dir=measured"]
    needed += ["--push_to_hub", "--hub_model_id=me/model"]
    kinds = get_type_hints(Options)
    for field in dataclasses.fields(Options):
        if field.name in ("train_data_dir", "dataset_name", "push_to_hub", "validation_split"):
            continue
        choices = field.metadata["choices"]
        values = {bool: True, int: 7, str: "me/some", Path: Path("there")}
        kind = next((kind for kind in get_args(kinds[field.name]) if kind in values), kinds[field.name])
        value = "12m" if field.name == "time_limit" else choices[-1] if choices else values[kind]
        argument = f"--{field.name}" if value is True else f"--{field.name}={value}"
        options, _ = train.parse([*needed, argument])
        assert getattr(options, field.name) == value
        assert options == dataclasses.replace(train.parse(needed)[0], **{field.name: value}), field.name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--output_dir=out"], "give one of --train_data_dir and --dataset_name"),
        (["--output_dir=out", "--train_data_dir=a", "--dataset_name=b"], "give one of --train_data_dir and"),
        (["--train_data_dir=a"], "required: --output_dir"),
        (["--output_dir=out", "--train_data_dir=a", "--logging_steps=0"], "--logging_steps 0: must be at least 1"),
        (["--output_dir=out", "--train_data_dir=a", "--max_train_samples=x"], "invalid int value: 'x'"),
    ],
)
def test_options_that_cannot_be_had_are_refused_in_a_sentence(
    wrong: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train.parse(wrong)
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_size": 100}, "multiple of 32"),
        ({"adversarial": "hinge"}, "choose from ragan, wgan-gp"),
        ({"adversarial": "wgan-gp"}, "gradient_penalty_weight"),
        ({"learning_rate": -1.0}, "must be a number from 0 on"),
        ({"learning_rate": math.nan}, "must be a number from 0 on"),
        ({"pixel_weight": math.inf}, "must be a number from 0 on"),
        ({"rotation": 1.5}, "must be from 0 to 1"),
        ({"seed": 2**32 - 1}, "must be from 0 to 4294967294"),  # the second stage's is one more
        ({"num_blocks": 101}, "must be from 1 to 100"),  # what could not be loaded again
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Esrgan(**changes)


START = ["--train_data_dir=photos", "--output_dir=out"]


def test_a_file_gives_options_and_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "recipe: paper\npsnr_steps: 7\nlearning_rate: 2e-5\nmixed_precision: no\nstreaming: true\npush_to_hub: false\n"
        "species: null\nadversarial: wgan-gp\nseed: 4\n"
    )
    options, recipe = train.parse([*START, "--config", str(path), "--seed=5"])
    assert recipe == Paper(psnr_steps=7, learning_rate=2e-5, adversarial="wgan-gp", seed=5)
    assert options == dataclasses.replace(train.parse(START)[0], mixed_precision="no", streaming=True)
    path.write_text("train_data_dir: other\noutput_dir: there\n")
    assert train.parse([f"--config={path}"])[0].output_dir == Path("there")


def test_what_a_run_records_gives_the_same_options_again(tmp_path: Path) -> None:
    options, recipe = train.parse([*START, "--species=cat", "--crop_size=64", "--num_blocks=2", "--data_seed=0"])
    accelerator = SimpleNamespace(num_processes=1, gradient_accumulation_steps=1)
    photos = SimpleNamespace()
    path = tmp_path / RECORD
    Record(describe(recipe, options, photos, [], accelerator)).save(path, step=3)  # type: ignore[arg-type]
    assert train.parse([*START, f"--config={path}"]) == (options, recipe)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("crop_sise: 3", "crop_sise is no option"),
        ("- a\n- b", "must be a table of options"),
        ("", "must be a table of options"),
        ("{", "cannot be read"),
        ("crop_size: [3, 4]", "crop_size must have one value"),
        ("streaming: perhaps", "streaming must be true or false"),
        ("crop_size: many", "invalid int value: 'many'"),
        ("logging_steps: 0", "--logging_steps 0: must be at least 1"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_of_options_that_is_wrong_is_refused_in_a_sentence(
    tmp_path: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(SystemExit):
        train.parse([*START, f"--config={path}"])
    assert message in capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(SystemExit):
        train.parse([*START, f"--config={path}.not"])
    assert "cannot be read" in capsys.readouterr().err


def test_a_few_validation_photos_are_spread_over_all() -> None:
    paths = [Path(f"{kind}/{index}") for kind in ("cat", "dog", "fox") for index in range(10)]
    assert [path.parent.name for path in spread(paths, 3)] == ["cat", "dog", "fox"]
    assert spread(paths, 30) == spread(paths, 99) == paths
    assert len(set(spread(paths, 16))) == 16
    assert spread([], 3) == []

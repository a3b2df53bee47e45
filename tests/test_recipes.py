"""The recipes say what the paper says, every number has a source, and the command line reaches each."""

import dataclasses
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import train
from esrgan.training.options import Options
from esrgan.training.recipes import RECIPES, Esrgan, Paper


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
        more = ["--gradient_penalty_weight", "3"] if value == "wgan-gp" else []
        _, recipe = train.parse([*start, f"--{field.name}", str(value), *more])
        assert getattr(recipe, field.name) == value


def test_every_option_can_be_set_from_the_command_line() -> None:
    needed = ["--dataset_name=me/photos", "--output_dir=out", "--validation_data_dir=measured"]
    kinds = get_type_hints(Options)
    for field in dataclasses.fields(Options):
        if field.name in ("train_data_dir", "dataset_name", "push_to_hub"):
            continue
        choices = field.metadata["choices"]
        values = {bool: True, int: 7, str: "some", Path: Path("there")}
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
        ({"learning_rate": -1.0}, "must not be negative"),
        ({"num_blocks": 101}, "must be from 1 to 100"),  # what could not be loaded again
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Esrgan(**changes)

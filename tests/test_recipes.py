"""The recipes say what the paper says, every number has a source, and the command line reaches each."""

import dataclasses

import pytest

import train
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_size": 100}, "multiple of 32"),
        ({"adversarial": "hinge"}, "choose from ragan, wgan-gp"),
        ({"adversarial": "wgan-gp"}, "gradient_penalty_weight"),
        ({"learning_rate": -1.0}, "must not be negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Esrgan(**changes)

"""The recipes say what the paper says, every number has a source, and the command line reaches each."""

import dataclasses
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

import train
from esrgan.__main__ import parse as parse_command
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


README = (ROOT / "README.md").read_text()


def test_the_readmes_python_compiles() -> None:
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(snippets) >= 2
    for snippet in snippets:
        compile(snippet, "README.md", "exec")


def test_the_readmes_commands_parse() -> None:
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ").splitlines()
    commands = [line for line in lines if " -m esrgan " in line or " train.py " in line]
    assert len(commands) >= 3
    for line in commands:
        words = shlex.split(line)
        if "train.py" in words:
            train.parse(words[words.index("train.py") + 1 :])
        else:
            parse_command(words[words.index("esrgan") + 1 :])


def test_the_readmes_options_exist() -> None:
    known = train.build_parser("esrgan").format_help()
    commands = ("upscale", "evaluate", "publish", "deploy-space", "convert", "export")
    for program in (["app.py"], ["tests/benchmarks/upscale.py"], *(["-m", "esrgan", command] for command in commands)):
        arguments = [sys.executable, *program, "--help"]
        known += subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in set(re.findall(r"(?<![\w-])--[a-z_]+", README)):
        assert option in known, option

"""Options from a file: YAML, or JSON as `recipe.json` has it."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from ..errors import TrainingError
from .options import Options
from .recipes import RECIPES
from .records import RECORDED

NOTHING = ("", "~", "null")
FLAGS = {field.name for field in fields(Options) if field.default is False}


def read_config(path: Path) -> list[str]:
    """The arguments of a command line that say what a file says.

    Args:
        path: of a table of options without their dashes; what `recipe.json` records beside them is passed over.

    Raises:
        TrainingError: it cannot be read, is no such table, or names what is no option.
    """
    try:
        # As text: YAML would make False of mixed_precision's no.
        table = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise TrainingError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}).") from error
    if not isinstance(table, Mapping):
        raise TrainingError(f"{path}: must be a table of options, such as psnr_steps: 1000.")
    return [argument for name, value in table.items() for argument in _arguments(path, name, value)]


def _arguments(path: Path, name: Any, value: Any) -> list[str]:
    recipes = {field.name for recipe in RECIPES.values() for field in fields(recipe)}
    if name in RECORDED:
        return []
    if name not in recipes | {field.name for field in fields(Options)} | {"recipe"}:
        raise TrainingError(f"{path}: {str(name)[:40]} is no option; see train.py --help.")
    if not isinstance(value, str):
        raise TrainingError(f"{path}: {name} must have one value.")
    if name in FLAGS:
        if value.lower() not in ("true", "false"):
            raise TrainingError(f"{path}: {name} must be true or false.")
        return [f"--{name}"] if value.lower() == "true" else []
    return [] if value.lower() in NOTHING else [f"--{name}={value}"]


def add_config(parser: argparse.ArgumentParser) -> None:
    """Let a command line name such a file."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="more options, YAML or a run's recipe.json; those given here win"
    )

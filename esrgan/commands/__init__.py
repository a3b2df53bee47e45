"""The commands, one a module: `add` is quick, `run` imports what it takes to do the work."""

import argparse
import math
import re
from typing import Any

TOKEN = "The token is that of `hf auth login`, or HF_TOKEN."
RESERVED = ("original", "small", "bicubic", "mixed", "dogs", "map", "doubt", "consistency")  # of the page itself


class AddModel(argparse.Action):
    """`--model NAME=SOURCE`, repeatable: one more model of the page, into a dict."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, text: Any, *_: Any) -> None:
        """Take one in."""
        name, _, source = text.partition("=")
        models = getattr(namespace, self.dest)
        if not source or not is_model_name(name):
            raise argparse.ArgumentError(
                self,
                f"{text}: must be NAME=SOURCE, with a name of small letters and digits, and none of "
                f"{', '.join(RESERVED)}",
            )
        if name in models:
            raise argparse.ArgumentError(self, f"{text}: there is a model called {name} already; give another name")
        setattr(namespace, self.dest, {**models, name: source})


def is_model_name(name: str) -> bool:
    """Whether the page can have a further model of this name."""
    return bool(re.fullmatch("[a-z][a-z0-9]*", name)) and name not in RESERVED


def at_least_one(text: str, most: float = math.inf) -> int:
    """A whole number from 1 on, or to `most`."""
    if not text.isdecimal() or not 1 <= int(text) <= most:
        end = "on" if most == math.inf else f"to {most}"
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 1 {end}")
    return int(text)

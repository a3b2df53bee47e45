"""Weight files: safetensors only, and every key accounted for."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import WeightsError

Model = TypeVar("Model", bound=nn.Module)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, as float32."""
    try:
        return {key: tensor.float() for key, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}).") from error


def read_config(path: Path, known: Collection[str]) -> dict[str, int]:
    """The arguments that a network was made with: positive integers, under names among `known`.

    Raises:
        WeightsError: it is anything else.
    """
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable as JSON ({error}).") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path}: holds no table of settings.")
    for name, value in config.items():
        if name not in known or type(value) is not int or value < 1:
            raise WeightsError(
                f"{path}: {name} = {value!r} is not a setting of this network, which has {', '.join(known)}, "
                "positive integers."
            )
    return config


def load_strictly(model: Model, state: Mapping[str, Tensor], path: Path) -> Model:
    """Fill a network, every key accounted for; `path` is for the message only.

    Returns:
        The network, in evaluation mode.

    Raises:
        WeightsError: keys are missing, unexpected or of another shape; the message names the first of each.
    """
    expected = model.state_dict()
    problems = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [key for key in state if key not in expected],
        "of another shape": [
            f"{key} (file {tuple(state[key].shape)}, model {tuple(tensor.shape)})"
            for key, tensor in expected.items()
            if key in state and state[key].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        told = (
            f"{len(keys)} {kind}: {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}"
            for kind, keys in problems.items()
            if keys
        )
        raise WeightsError(f"{path} does not fit the network; {'; '.join(told)}.")
    model.load_state_dict(state)
    return model.eval()

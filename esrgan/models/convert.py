"""Published ESRGAN and Real-ESRGAN weights, under any of the key names they come with, to a `Generator`."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from .generator import Generator
from .source import exists, parse
from .weights import read_weights

# The first ESRGAN release numbered the layers of one nn.Sequential; its repository later named them.
FIRST_RELEASE = {0: "conv_first", 3: "conv_up1", 6: "conv_up2", 8: "conv_hr", 10: "conv_last"}
LATER_NAMES = {"trunk_conv": "conv_body", "upconv1": "conv_up1", "upconv2": "conv_up2", "HRconv": "conv_hr"}


def basicsr_key(key: str) -> str:
    """The name that BasicSR gives the tensor of this name."""
    block = re.fullmatch(r"(?:model\.1\.sub|RRDB_trunk)\.(\d+)\.RDB(\d)\.conv(\d)(?:\.0)?\.(weight|bias)", key)
    if block:
        return "body.{}.rdb{}.conv{}.{}".format(*block.groups())
    first = re.fullmatch(r"model\.(\d+)\.(weight|bias)", key)
    if first and int(first[1]) in FIRST_RELEASE:
        return f"{FIRST_RELEASE[int(first[1])]}.{first[2]}"
    trunk = re.fullmatch(r"model\.1\.sub\.\d+\.(weight|bias)", key)
    if trunk:
        return f"conv_body.{trunk[1]}"
    name, _, kind = key.rpartition(".")
    return f"{LATER_NAMES.get(name, name)}.{kind}"


def read_checkpoint(path: Path) -> Generator:
    """Load a published `.pth` or `.safetensors` file; only tensors are unpickled, never code.

    Raises:
        WeightsError: not such a file, or of another network.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file.")
    try:
        is_safe = path.suffix == ".safetensors"
        content: Any = read_weights(path) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: not a file of tensors alone, so it is not opened.") from error
    for nested in ("params_ema", "params"):
        if isinstance(content, dict) and nested in content:
            content = content[nested]
            break
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in content.items()
    ):
        raise WeightsError(f"{path}: holds no table of tensors.")
    return Generator.from_state({basicsr_key(key): tensor.float() for key, tensor in content.items()}, path)


def load(name: str | Path) -> Generator:
    """The generator of this name, `SOURCE[@REVISION][:STAGE]`; published weights of any key names among them.

    Raises:
        WeightsError: as for `Generator.from_pretrained` and `read_checkpoint`.
    """
    source = parse(name)
    path = Path(source.place)
    if source.stage is None and exists(path) and path.is_file():
        return read_checkpoint(path)
    return Generator.from_pretrained(name)

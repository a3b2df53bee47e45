"""Weight files: safetensors, a config that asks for no more than there can be, and every key accounted for."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import WeightsError
from ..files import read_table

Model = TypeVar("Model", bound=nn.Module)

LARGEST_CONFIG = 65_536  # bytes
LARGEST_HEADER = 100_000_000  # bytes, as safetensors has it
LFS_POINTER = b"version https://git-lfs"
PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WEB_PAGE = (b"<!doctype", b"<html", b"<?xml")
ARCHIVE = b"PK\3\4"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, as they are there.

    Raises:
        WeightsError: it is anything else.
    """
    try:
        return load_file(path)
    except Exception as error:  # whatever a damaged header makes the library raise
        reason = describe(path) or f"says {shorten(str(error))}"
        raise WeightsError(f"{path}: not a readable safetensors file; it {reason}.") from error


def describe(path: Path) -> str | None:
    """What a file is that could not be read as weights, if that shows: a clause."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
            length = int.from_bytes(head[:8], "little")  # of a safetensors file's header
            file.seek(8)
            header = file.read(length) if head[8:9] == b"{" and length <= LARGEST_HEADER else b""
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not head:
        return "is empty; download it again"
    if head.startswith(LFS_POINTER):
        return "is a Git LFS pointer that stands for the file; run `git lfs pull`, or download the file itself"
    if head.lstrip().lower().startswith(WEB_PAGE):
        return "is a web page and no weights; download the file itself"
    ends = re.findall(rb'"data_offsets":\[\d+,(\d{1,18})\]', header)
    is_cut = bool(header) and 8 + length + max(map(int, ends), default=0) > size
    is_cut |= head.startswith(ARCHIVE) and not zipfile.is_zipfile(path)
    return "is cut off; download it again" if is_cut else None


def read_config(path: Path, largest: Mapping[str, int]) -> dict[str, int]:
    """The arguments that a network was made with.

    Args:
        path: a JSON file.
        largest: what they may be, by their names.

    Raises:
        WeightsError: it is anything else.
    """
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise WeightsError(f"{path}: too large for a table of {len(largest)} settings.")
        config = read_table(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: {describe(path) or f'is no table of settings ({error})'}.") from error
    check_config(config, largest, path)
    return config


def check_config(config: Mapping[str, int], largest: Mapping[str, int], path: Path) -> None:
    """Refuse arguments that are not positive integers or too large; `path` is for the message.

    Raises:
        WeightsError: one of them is.
    """
    for name, value in config.items():
        if name not in largest or type(value) is not int or not 1 <= value <= largest[name]:
            known = ", ".join(f"{name} from 1 to {most}" for name, most in largest.items())
            raise WeightsError(
                f"{path}: {shorten(name)} = {shorten(value)} is not a setting of this network, which has {known}."
            )


def load_strictly(model: Model, state: Mapping[str, Tensor], path: Path) -> Model:
    """Fill a network with copies of tensors in float32, every key accounted for; it may be on the device `meta`.

    Args:
        model: the network.
        state: floating-point numbers; they are touched only once all fit.
        path: for the message only.

    Returns:
        The network, in evaluation mode.

    Raises:
        WeightsError: keys are missing, unexpected, of another shape, of other numbers or not finite; the message
            names the first of each.
    """
    expected = model.state_dict()
    shared = expected.keys() & state.keys()
    problems = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [key for key in state if key not in expected],
        "of another shape": [
            f"{key} (file {tuple(state[key].shape)}, model {tuple(tensor.shape)})"
            for key, tensor in expected.items()
            if key in shared and state[key].shape != tensor.shape
        ],
        "of other numbers": [
            f"{key} ({state[key].dtype})" for key in expected if key in shared and not _is_plain(state[key])
        ],
    }
    if any(problems.values()):
        told = (
            f"{len(keys)} {kind}: {', '.join(map(shorten, keys[:3]))}{', …' if len(keys) > 3 else ''}"
            for kind, keys in problems.items()
            if keys
        )
        raise WeightsError(f"{path} does not fit the network; {'; '.join(told)}.")
    copies = {
        key: tensor.to("cpu", torch.float32, copy=True, memory_format=torch.contiguous_format)
        for key, tensor in state.items()
    }
    if damaged := [key for key, tensor in copies.items() if not tensor.isfinite().all()]:
        raise WeightsError(f"{path}: damaged, as {shorten(damaged[0])} holds what is no finite number.")
    model.load_state_dict(copies, assign=True)
    return model.eval()


def stored(tensor: Tensor) -> Tensor:
    """What files hold of a tensor, in the precision that `Generator.save_pretrained` names."""
    exact = tensor.detach().to("cpu", torch.float32).contiguous()
    half = exact.half()
    return half if exact.ndim > 1 and half.isfinite().all() else exact


def _is_plain(tensor: Tensor) -> bool:
    return tensor.dtype in PRECISIONS and tensor.layout == torch.strided and not tensor.is_meta


def shorten(value: object) -> str:
    """Something of a file for a message: on one line, and not endless."""
    text = value if isinstance(value, str) else repr(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 80 else f"{text[:80]}…"

"""Published ESRGAN and Real-ESRGAN weights, under any of the key names they come with, to a `Generator`."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from .generator import Generator
from .source import exists, parse
from .weights import ARCHIVE, describe, read_weights

EXTENSIONS = (".pth", ".safetensors")
# The first ESRGAN release numbered the layers of one nn.Sequential; its repository later named them.
LATER_NAMES = {"trunk_conv": "conv_body", "upconv1": "conv_up1", "upconv2": "conv_up2", "HRconv": "conv_hr"}
LATER_NAMES |= {"upconv3": "conv_up3"}
BODY = r"(?:body|RRDB_trunk|model\.1\.sub)"
FIRST_BLOCK = re.compile(rf"(.*?){BODY}\.0\.(?:rdb|RDB)1\.conv1\.(?:0\.)?weight", re.DOTALL)


def basicsr_names(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names that BasicSR gives them."""
    numbers = sorted({int(match[1]) for key in table if (match := re.fullmatch(r"model\.(\d{1,2})\.weight", key))})
    ups = [f"conv_up{i + 1}" for i in range(len(numbers) - 3)]
    numbered = dict(zip(numbers, ["conv_first", *ups, "conv_hr", "conv_last"], strict=False))

    def rename(key: str) -> str:
        name, dot, kind = key.rpartition(".")
        if block := re.fullmatch(rf"{BODY}\.(\d+)\.(?:rdb|RDB)(\d)\.conv(\d)(?:\.0)?", name):
            return "body.{}.rdb{}.conv{}.{}".format(*block.groups(), kind)
        if re.fullmatch(r"model\.1\.sub\.\d+", name):
            return f"conv_body.{kind}"
        if (number := re.fullmatch(r"model\.(\d{1,2})", name)) and int(number[1]) in numbered:
            return f"{numbered[int(number[1])]}.{kind}"
        return f"{LATER_NAMES.get(name, name)}{dot}{kind}"

    return {rename(key): tensor for key, tensor in table.items()}


def find_generator(content: Any) -> dict[str, Tensor] | None:
    """The table of an RRDBNet's tensors in what a training program saved, an average of weights first.

    Args:
        content: tables in tables, under whatever names, with other things beside them.

    Returns:
        The tensors without the prefix that their names share (`module.`, `netG.`, …); those that are without it, which
        belong to other networks, are left out. None if there is no such table.
    """
    found: list[tuple[bool, str, dict[str, Tensor]]] = []
    pending, seen = [(content, False)], set()
    for table, is_average in pending:
        if not isinstance(table, Mapping) or id(table) in seen:
            continue
        seen.add(id(table))
        pending += [(value, is_average or _is_average(key)) for key, value in table.items()]
        tensors = {key: value for key, value in table.items() if isinstance(key, str) and isinstance(value, Tensor)}
        prefixes = [match[1] for key in tensors if (match := FIRST_BLOCK.fullmatch(key))]
        found += [(is_average or _is_average(prefix), prefix, tensors) for prefix in prefixes]
    if not found:
        return None
    _, prefix, tensors = max(found, key=lambda entry: entry[0])  # the first of equals
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _is_average(name: object) -> bool:
    return "ema" in re.split(r"[^a-z]+", str(name)[:80].lower())


def read_checkpoint(path: Path) -> Generator:
    """Load a published `.pth` or `.safetensors` file; only tensors are unpickled, never code.

    Raises:
        WeightsError: not such a file, or of another network.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: {'is a folder; give a file in it' if path.is_dir() else 'no such file'}.")
    table = find_generator(read_weights(path) if path.suffix.lower() == ".safetensors" else read_pickle(path))
    if table is None:
        raise WeightsError(
            f"{path}: holds no table of tensors of this architecture; not an RRDBNet under any names that one is "
            "published with (conv_first, body.0.rdb1.conv1, …)."
        )
    if sum(tensor.numel() * tensor.element_size() for tensor in table.values()) > path.stat().st_size:
        raise WeightsError(f"{path}: its tensors claim to be larger than the file, so it is not opened.")
    state = basicsr_names(table)
    if len(state) < len(table):
        raise WeightsError(f"{path}: two tensors have the names of one layer.")
    return Generator.from_state(state, path)


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote, if that is tensors, numbers, words and tables of such.

    An archive is mapped into memory, where no tensor can reach beyond the file.

    Raises:
        WeightsError: it is anything else.
    """
    try:
        with path.open("rb") as file:
            is_archive = file.read(len(ARCHIVE)) == ARCHIVE
        if not is_archive or not _is_packed(path):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except Exception as error:  # whatever a damaged pickle makes its reader raise
        is_cut = isinstance(error, EOFError) or "unexpected EOF" in str(error)
        reason = describe(path) or ("is cut off; download it again" if is_cut else None)
        raise WeightsError(f"{path}: {reason or 'not a file of tensors alone, so it is not opened'}.") from error
    raise WeightsError(f"{path}: is a packed archive, which torch.save does not write, so it is not opened.")


def _is_packed(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())


def load(name: str | Path) -> Generator:
    """The generator of this name, `SOURCE[@REVISION][:STAGE]`; published weights of any key names among them.

    Raises:
        WeightsError: as for `Generator.from_pretrained` and `read_checkpoint`.
    """
    source = parse(name)
    path = Path(source.place)
    is_file = path.is_file() if exists(path) else path.suffix.lower() in EXTENSIONS
    if source.stage is None and is_file:
        return read_checkpoint(path)
    return Generator.from_pretrained(name)

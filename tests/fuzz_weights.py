"""Weight files damaged in every way that comes to mind, each given to a command: none may end in more than a sentence.

    python tests/fuzz_weights.py [--count 900] [--seed 0]

tells how many were refused in one sentence and how many were taken, and what the worst of them took of time and memory;
it ends with 1 at a traceback or a speech, and at once where one takes more than 20 seconds. Files that are alone go to
`esrgan convert`, those of a model folder to `esrgan upscale`.
"""

import argparse
import faulthandler
import io
import json
import logging
import random
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from PIL import Image

from esrgan import Generator
from esrgan.__main__ import main as command

SECONDS = 20
FOLDER = ("config.json", "model.safetensors")
DAMAGE = ("flip", "cut", "zero", "swap", "grow", "text")
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I8", "U8", "BOOL", "F8_E4M3", "F4", "C64", "X", "", 3, None)
NUMBERS = (0, 1, -1, 3, 4, 8, 12, 101, 2**31, 2**63, 10**30, 0.5, True, None, "8", [], {}, "9" * 5000)
ODD = (3, None, "x", [], {}, {"conv_first.weight": 3}, torch.zeros(()), torch.zeros(0), torch.zeros(1, 1, 1, 1))


def sound_files(folder: Path) -> dict[str, bytes]:
    """One generator in every form that weights come in, by the names of the files."""
    generator = Generator(1, 8, 4)
    generator.save_pretrained(folder)
    torch.save({"params_ema": generator.state_dict(), "epoch": 3}, folder / "zip.pth")
    torch.save(generator.state_dict(), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def damaged(content: bytes, how: str, draw: Callable[[int], int]) -> bytes:
    """The content of a file, damaged in one of the ways of `DAMAGE`; `draw(n)` is a number below n."""
    at, length = draw(len(content)), 1 + draw(min(64, len(content)))
    before, part, after = content[:at], content[at : at + length], content[at + length :]
    other = draw(len(content))
    return {
        "flip": before + bytes(byte ^ 1 << draw(8) for byte in part) + after,
        "cut": before,
        "zero": before + bytes(len(part)) + after,
        "swap": before + content[other : other + length] + after,
        "grow": before + part * 9 + after,
        "text": before + b"9" * len(part) + after,
    }[how]


def with_odd_header(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file whose header says something else of one tensor."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    name = rng.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    what = rng.choice(["dtype", "shape", "data_offsets", "name", "digits", "twice", "gone", "scalar"])
    if what == "dtype":
        entry["dtype"] = rng.choice(DTYPES)
    elif what in ("shape", "data_offsets"):
        entry[what] = [rng.choice(NUMBERS) for _ in range(rng.randrange(6))]
    elif what == "scalar":
        header[name] = rng.choice(NUMBERS)
    elif what != "gone":
        header[{"name": "x", "digits": f"body.{'9' * 5000}.rdb1.conv1.weight", "twice": f"{name} "}[what]] = entry
    if what in ("gone", "name", "digits"):
        header.pop(name)
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + content[8 + length :]


def odd_tensor(tensor: torch.Tensor, rng: random.Random) -> Any:
    """Something in a tensor's place."""
    return rng.choice(
        [
            lambda: rng.choice(ODD),
            lambda: torch.zeros(1).expand(tensor.shape),
            lambda: torch.zeros(1).expand(10**4, 10**4, 10**3, 3),
            lambda: tensor.to(
                rng.choice([torch.int64, torch.complex64, torch.bool, torch.float8_e4m3fn, torch.float64])
            ),
            lambda: tensor.to_sparse(),
            lambda: torch.empty(tensor.shape, device="meta"),
            lambda: tensor.flip(0).transpose(0, -1),
            lambda: tensor * float("nan"),
            lambda: torch.zeros(tensor.numel() + 9)[9:].view(tensor.shape),
        ]
    )()


def with_odd_tensor(rng: random.Random) -> bytes:
    """A `.pth` file with something else in one tensor's place, under odd wrappers."""
    state: dict[Any, Any] = dict(Generator(1, 8, 4).state_dict())
    name = rng.choice(list(state))
    state[name] = odd_tensor(state[name], rng)
    if rng.random() < 0.3:
        state[rng.choice([3, ("a",), "9" * 5000, "\n", "", name.upper()])] = rng.choice(ODD)
    content: Any = state
    for _ in range(rng.randrange(3)):
        content = rng.choice([{"params": content}, {3: content}, [content], {"params": content, "params_ema": 3}])
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=rng.random() < 0.7)
    return file.getvalue()


def with_odd_entry(content: bytes, rng: random.Random) -> bytes:
    """An archive that is sound as such, one of whose entries is damaged, missing or packed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        names = old.namelist()
        chosen = rng.choice([names[0], names[0], *names])  # the pickle comes first
        how = rng.choice([*DAMAGE, *DAMAGE, "packed", "gone"])
        for name in names:
            entry = old.read(name)
            if name == chosen and how == "gone":
                continue
            if name == chosen and how in DAMAGE:
                entry = damaged(entry, how, rng.randrange) if entry else b"x"
            packed = zipfile.ZIP_DEFLATED if name == chosen and how == "packed" else zipfile.ZIP_STORED
            new.writestr(name, entry, packed)
    return file.getvalue()


def odd_config(rng: random.Random) -> bytes:
    """A config that asks for something else."""
    names = ["num_blocks", "num_features", "growth_channels", "9" * 5000]
    config = {name: rng.choice(NUMBERS) for name in rng.sample(names, rng.randrange(1, 4))}
    return json.dumps(rng.choice([config, config, [config], 3, "x"])).encode()


def make(number: int, sound: dict[str, bytes], rng: random.Random) -> tuple[str, bytes]:
    """The damaged file of this number: its name and its content."""
    name = ("config.json", "model.safetensors", "zip.pth", "legacy.pth", "alone.safetensors")[number % 5]
    content = sound["model.safetensors" if name == "alone.safetensors" else name]
    odd = {
        "config.json": lambda: odd_config(rng),
        "model.safetensors": lambda: with_odd_header(content, rng),
        "alone.safetensors": lambda: with_odd_header(content, rng),
        "zip.pth": lambda: with_odd_entry(content, rng),
        "legacy.pth": lambda: with_odd_tensor(rng),
    }[name]
    if rng.random() < 0.5:
        return name, odd()
    ends = rng.random() < 0.5  # headers lie there
    return name, damaged(content, rng.choice(DAMAGE), lambda below: rng.randrange(min(below, 4000) if ends else below))


class Sentences(logging.Handler):
    """What is said, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def peak_memory() -> int:
    """The most that this process has had since the last time that this was asked, bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def run(count: int, seed: int, folder: Path) -> int:
    """Give each file to a command, and tell the worst; the number of tracebacks and speeches."""
    said = Sentences()
    logging.getLogger().addHandler(said)
    sound = sound_files(folder)
    Image.linear_gradient("L").convert("RGB").crop((0, 0, 8, 8)).save(folder / "photo.png")
    alone = ["convert", "FILE", str(folder / "converted")]
    whole = ["upscale", str(folder / "photo.png"), "-o", str(folder / "out.png"), "--overwrite", "--model", str(folder)]
    outcomes: Counter[str] = Counter()
    slowest, largest = (0.0, -1), (0, -1)
    for name in FOLDER:  # what is loaded at first is no file's doing
        (folder / name).write_bytes(sound[name])
    command(whole)
    command([str(folder / "zip.pth") if word == "FILE" else word for word in alone])
    peak_memory()
    before = peak_memory()
    for number in range(count):
        name, content = make(number, sound, random.Random(f"{seed} {number}"))
        for other in FOLDER:
            (folder / other).write_bytes(sound[other])
        (folder / name).write_bytes(content)
        words = whole if name in FOLDER else [str(folder / name) if word == "FILE" else word for word in alone]
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
        begin = time.perf_counter()
        try:
            outcome = "taken" if command(words) == 0 else "refused"
            if "\n" in said.last or len(said.last) > 1000:
                outcome = "speech"
                sys.stdout.write(f"number {number}, {name}:\n{said.last}\n")
        except Exception:
            outcome = "traceback"
            sys.stdout.write(f"number {number}, {name}:\n{traceback.format_exc()}\n")
        slowest = max(slowest, (time.perf_counter() - begin, number))
        faulthandler.cancel_dump_traceback_later()
        largest = max(largest, (peak_memory() - before, number))
        outcomes[outcome] += 1
    logging.getLogger().removeHandler(said)
    told = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in ("refused", "taken", "traceback", "speech"))
    sys.stdout.write(
        f"{count} files, seed {seed}: {told}; slowest {slowest[0]:.2f} s (number {slowest[1]}); "
        f"peak {largest[0] / 2**20:.0f} MiB above the {before / 2**20:.0f} of a sound one (number {largest[1]})\n"
    )
    return outcomes["traceback"] + outcomes["speech"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return min(1, run(options.count, options.seed, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())

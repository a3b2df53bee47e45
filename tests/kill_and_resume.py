"""Kill a training with SIGKILL at random moments, resume it each time, and compare its end with an undisturbed run's.

    python tests/kill_and_resume.py --kills 20

Weights, optimisers, averages and history have to be equal bit by bit. Further options go to train.py.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "tests" / "examples"
TINY = {
    "num_blocks": 1,
    "num_features": 8,
    "growth_channels": 4,
    "crop_size": 32,
    "train_batch_size": 3,
    "lr_warmup_steps": 0,
    "dataloader_num_workers": 0,
    "mixed_precision": "no",
    "logging_steps": 1,
    "checkpoints_total_limit": 3,
}


def arguments(photos: Path, output: Path, *more: str) -> list[str]:
    """What train.py is given; later options win."""
    tiny = [f"--{name}={value}" for name, value in TINY.items()]
    return [f"--train_data_dir={photos}", f"--output_dir={output}", *tiny, *more]


def make_photos(folder: Path, count: int = 10) -> Path:
    """Small photos, cut from the example animals. Ten make an epoch of three steps and a third."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.png"))]
    for index in range(count):
        left = 40 * (index // len(sources)) + 60
        sources[index % len(sources)].crop((left, 60, left + 72, 116)).save(folder / f"{index}.png")
    return folder


def environment() -> dict[str, str]:
    """On the CPU, one thread: what a second run has to repeat bit by bit."""
    shared = ROOT.parent / "shared" / "torch_home"
    here = {"TORCH_HOME": str(shared)} if shared.is_dir() else {}
    return here | os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "0"}


def start(photos: Path, output: Path, *more: str) -> subprocess.Popen[bytes]:
    """A tiny training in a process of its own."""
    command = [sys.executable, "train.py", *arguments(photos, output, *more)]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE)


def follow(process: subprocess.Popen[bytes], stage: str = "", step: int = 0) -> str:
    """Read what a training prints until that step of that stage is done, or until it ends."""
    told = b""
    assert process.stderr
    while chunk := os.read(process.stderr.fileno(), 65536):
        told += chunk
        done = [(name.decode(), int(number)) for name, number in re.findall(rb"(\w+) stage: .*?\| (\d+)/", told)]
        if stage and any(name == stage and number >= step for name, number in done):
            break
    return told.decode(errors="replace")


def run(photos: Path, output: Path, *more: str) -> str:
    """A tiny training from beginning to end; what it prints."""
    process = start(photos, output, *more)
    told = follow(process)
    if process.wait():
        raise RuntimeError(f"train.py ended with {process.returncode}:\n{told}")
    return told


def differences(a: Any, b: Any, name: str = "") -> list[str]:
    """Where two nested structures of tensors differ in as much as a bit."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [found for key in a for found in differences(a[key], b[key], f"{name}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [found for i, pair in enumerate(zip(a, b, strict=True)) for found in differences(*pair, f"{name}/{i}")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [name]
    return [] if type(a) is type(b) and a == b else [name]


def contents(output: Path) -> dict[str, Any]:
    """All that a finished training leaves behind, but the states of random number generators and the picture."""
    found: dict[str, Any] = {}
    for path in sorted(output.rglob("*")):
        name = str(path.relative_to(output))
        if path.suffix == ".safetensors":
            found[name] = load_file(path)
        elif path.suffix == ".bin" or path.name.startswith("custom_checkpoint"):
            found[name] = torch.load(path, map_location="cpu", weights_only=True)
        elif path.suffix in (".csv", ".json"):
            found[name] = path.read_text()
    return found


def kill_and_resume(
    photos: Path, killed: Path, undisturbed: Path, moments: list[tuple[str, int]], seed: int, *more: str
) -> None:
    """Train in `killed`, killed right after each of these steps, or while the next one or a checkpoint is under way.

    Args:
        photos: what to learn from.
        killed: gets the training.
        undisturbed: a finished training with the same photos and options.
        moments: stage and step of each kill, in order.
        seed: decides the fractions of a second.
        *more: options of both trainings.

    Raises:
        AssertionError: a difference.
    """
    rng = random.Random(seed)
    for stage, step in moments:
        process = start(photos, killed, *more, "--resume_from_checkpoint", "latest")
        told = follow(process, stage, step)
        time.sleep(rng.choice((0, rng.uniform(0, 0.5))))
        process.kill()
        told += follow(process)
        assert process.wait() == -9, f"it ended before {stage} step {step}:\n{told}"
        resumed = re.search(r"resumed from \S*/(\S+)", told)
        left = sorted(path.name for path in (killed / "checkpoints").glob("*") if (killed / "checkpoints").is_dir())
        print(  # noqa: T201
            f"from {resumed[1] if resumed else 'the beginning'}, killed at {stage} step {step} or soon after; left: "
            f"{', '.join(left) or 'nothing'}",
            flush=True,
        )
    run(photos, killed, *more, "--resume_from_checkpoint", "latest")
    expected, got = contents(undisturbed), contents(killed)
    assert expected.keys() == got.keys(), sorted(expected.keys() ^ got.keys())
    found = differences(expected, got)
    assert not found, f"{len(found)} differ: {found[:20]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--psnr_steps", type=int, default=40)
    parser.add_argument("--gan_steps", type=int, default=20)
    options, more = parser.parse_known_args()
    more += ["--checkpointing_steps", "4"]
    more += ["--psnr_steps", str(options.psnr_steps), "--gan_steps", str(options.gan_steps)]
    steps = [("psnr", i) for i in range(1, options.psnr_steps)] + [("gan", i) for i in range(1, options.gan_steps - 2)]
    chosen = sorted(random.Random(options.seed).sample(range(len(steps)), options.kills))
    with tempfile.TemporaryDirectory(prefix="kill-and-resume-") as name:
        folder = Path(name)
        photos, undisturbed, killed = make_photos(folder / "photos"), folder / "undisturbed", folder / "killed"
        print(f"seed {options.seed}; first an undisturbed run", flush=True)  # noqa: T201
        run(photos, undisturbed, *more)
        kill_and_resume(photos, killed, undisturbed, [steps[i] for i in chosen], options.seed, *more)
        print(f"{options.kills} kills; equal bit by bit: {', '.join(contents(killed))}")  # noqa: T201


if __name__ == "__main__":
    main()

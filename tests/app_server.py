"""The application as its users start it, with models so small that it answers at once."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from conftest import ROOT

from esrgan import Generator
from esrgan.page.models import Model

START_SECONDS = 180


class Server(NamedTuple):
    """A running application: where it listens, what it has written so far, and its models in this process."""

    url: str
    log: Path
    folder: Path
    models: dict[str, Model]


def tiny_models(folder: Path) -> dict[str, Path]:
    """Two random generators of two stages each, saved."""
    folders = {name: folder / name for name in ("mixed", "dogs")}
    for seed, path in enumerate(folders.values()):
        torch.manual_seed(seed)
        psnr, gan = (Generator(num_blocks=1, num_features=8, growth_channels=4) for _ in range(2))
        gan.save_pretrained(path, psnr=psnr)
    return folders


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(
    script: Path, folder: Path, environment: dict[str, str], *options: str, python: str = sys.executable
) -> Iterator[str]:
    """The address of an application that is started in `folder`, where its `log` goes, until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, script, "--port", str(port), *options],
            cwd=folder,
            env=environment | {"GRADIO_TEMP_DIR": str(folder / "served")},
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/config", timeout=10).close()
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "the application did not start"
                time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The application with tiny models, started away from the repository's root, until the block ends."""
    sources = tiny_models(folder)
    options = (f"--{name}={path}" for name, path in sources.items())
    with running(ROOT / "app.py", folder, dict(os.environ), *options) as url:
        models = {name: Model(path) for name, path in sources.items()}
        yield Server(url, folder / "log", folder, models)

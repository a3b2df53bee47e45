"""What the tests share: where things are, and an environment of their own."""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from app_server import Server
    from hub_server import Hub
    from torch import Tensor

    from esrgan import Generator

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
EXAMPLES = ROOT / "tests" / "examples"  # small photos, whole
BUNDLED = ROOT / "esrgan" / "examples"  # those of the page
PHOTOS = ROOT / "tests" / "photos"  # parts of the examples, as an imagefolder with a metadata.csv

SLOW_FIXTURES = {"browser", "server", "train_here", "undisturbed", "vgg"}
OPENVINO = ("test_int8.py", "test_openvino.py")

# Read when torch, datasets and accelerate are imported, and by the processes that tests start.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="esrgan-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ACCELERATE_USE_CPU"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a second thread costs networks this small more than it brings
if (SHARED / "torch_home").is_dir():
    os.environ["TORCH_HOME"] = str(SHARED / "torch_home")
sys.path.insert(0, str(ROOT))


def as_saved(generator: "Generator") -> "dict[str, Tensor]":
    """Its tensors as a model folder gives them back: weights as half precision has them, biases as they are."""
    state = generator.state_dict()
    return {key: tensor.half().float() if tensor.ndim > 1 else tensor for key, tensor in state.items()}


def averaged(checkpoint: Path) -> "dict[str, Tensor]":
    """The averaged weights that a training's checkpoint has."""
    import torch

    state = torch.load(checkpoint / "custom_checkpoint_0.pkl", weights_only=True)
    return {key.removeprefix("module."): tensor for key, tensor in state.items() if key != "n_averaged"}


def printed(script: str) -> str:
    """What a Python process of its own prints; `peak()` there is the most memory it has had, bytes."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc: getrusage counts the process that has started this one too")
    peak = """
def peak():
    return 1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", peak + script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pytest_unconfigure() -> None:
    import shutil

    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use, and put OpenVINO's last.

    Its threads stay in the process, where PyTorch then no longer computes bit by bit; files are given to processes in
    this order.
    """
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if "browser" in used:
            item.add_marker("browser")
        if used & SLOW_FIXTURES or item.path.name in OPENVINO:
            item.add_marker("slow")
    items.sort(key=lambda item: item.path.name in OPENVINO)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data and weights beside the repository, which not everyone has."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared")
    return SHARED


Train = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small photos to train on."""
    from kill_and_resume import make_photos

    return make_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture
def train_here(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Train]:
    """Call train.main() in this process: the exit status, and what it says at the end."""
    from accelerate.state import AcceleratorState, GradientState, PartialState
    from kill_and_resume import arguments

    import train

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def train_in_process(output: Path, *more: str, data: Path = photos) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments(data, output, *more)])
        capsys.readouterr()
        for state in (AcceleratorState, GradientState, PartialState):
            state._shared_state.clear()
        status = train.main()
        said = capsys.readouterr().err
        return status, said[said.rfind("\ntrain.py: ") + 1 :].strip() if status else ""

    yield train_in_process
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="session")
def vgg() -> None:
    """The VGG19 of the perceptual loss, from `TORCH_HOME` or torch's own cache."""
    home = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch"))
    if not list((home / "hub" / "checkpoints").glob("vgg19-dcbb9e9d.pth")):
        pytest.skip("needs torchvision's VGG19 weights, in ../shared/torch_home or downloaded")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Server]":
    """The page with tiny models."""
    from app_server import serving

    with serving(tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture
def hub(tmp_path: Path) -> "Iterator[Hub]":
    """A Hub of our own."""
    from hub_server import Hub

    with Hub(tmp_path) as served:
        yield served


@pytest.fixture
def online(hub: "Hub", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Hub":
    """The same, asked by this process's clients: as `me`, with an empty cache, without Xet."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", "hf_of_me")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    return hub

"""The package as it is installed: a wheel, in an environment of its own, away from the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from conftest import EXAMPLES, ROOT
from PIL import Image

from esrgan import Generator, Upscaler

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path) -> str:
    """What a command prints, run without the repository in reach."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "esrgan", folder / "source" / "esrgan", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, folder / "source", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    files = (path.relative_to(ROOT) for path in (ROOT / "esrgan").rglob("*") if path.is_file())
    expected = {path.as_posix() for path in files if path.parent.name != "__pycache__"}
    names = set(ZipFile(wheel).namelist())
    assert expected - names == set()
    assert {"esrgan/py.typed", "esrgan/pretrained/dogs/model.psnr.safetensors"} <= names


def test_installed_elsewhere_it_upscales_as_the_library_does(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment", cwd=tmp_path)
    python = tmp_path / "environment" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel, cwd=tmp_path)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    assert packages / "esrgan" / "__init__.py" == Path(
        run(python, "-c", "import esrgan; print(esrgan.__file__)", cwd=tmp_path).strip()
    )

    photo = Image.open(EXAMPLES / "dog_german_shepherd.png").convert("RGB").crop((200, 80, 296, 152))
    photo.save(tmp_path / "dog.png")
    expected = Upscaler(Generator.from_pretrained("dogs"))(photo)
    for name, program in (("script", [python.with_name("esrgan")]), ("module", [python, "-m", "esrgan"])):
        target = tmp_path / f"{name}.png"
        run(*program, "upscale", tmp_path / "dog.png", "-o", target, "--model", "dogs", cwd=tmp_path)
        assert np.array_equal(np.asarray(Image.open(target)), np.asarray(expected)), name

"""README, docs and cards hold against the code: snippets compile, commands parse, options and links exist."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import train
from esrgan.__main__ import parse as parse_command

CARDS = sorted((ROOT / "esrgan" / "pretrained").glob("*/README.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), *CARDS]
MOST_WORDS = 840  # tables apart
COMMANDS = ("upscale", "evaluate", "publish", "deploy-space", "convert", "export", "study")

HF, ACCELERATE = (Path(sys.executable).with_name(name) for name in ("hf", "accelerate"))

each_text = pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(" ".join(line for line in lines if not line.startswith("|")).split()) <= MOST_WORDS


@each_text
def test_python_compiles_and_names_what_there_is(path: Path) -> None:
    for snippet in blocks(path, "python"):
        compile(snippet, path.name, "exec")
        for line in re.findall(r"^(?:from|import) .+$", snippet, re.MULTILINE):
            module = line.split()[1].partition(".")[0]
            if module in sys.stdlib_module_names | {"PIL", "esrgan"}:
                exec(line, {})
            else:
                pytest.importorskip(module)


@each_text
def test_commands_parse(path: Path) -> None:
    for line in "\n".join(blocks(path, "bash")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "train.py" in words:
            train.parse(words[words.index("train.py") + 1 :])
        elif "esrgan" in words[:4]:
            parse_command(words[words.index("esrgan") + 1 :])
        elif line.startswith("python app.py"):
            assert (ROOT / "app.py").is_file()


def test_enough_commands_are_shown_to_be_worth_the_test() -> None:
    text = "\n".join("\n".join(blocks(path, "bash")) for path in TEXTS)
    assert all(f"esrgan {command} " in text for command in COMMANDS)
    assert text.count("train.py ") >= 4


@pytest.fixture(scope="module")
def known() -> str:
    """The help of every program."""
    programs = [["app.py"], ["train.py"], ["tests/benchmarks/upscale.py"], ["docs/write.py"]]
    programs += [["-m", "esrgan", command] for command in COMMANDS]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    commands = [[sys.executable, *program, "--help"] for program in programs] + [
        [HF, "jobs", "run", "--help"],
        [HF, "jobs", "uv", "run", "--help"],
        [ACCELERATE, "launch", "--help"],
    ]
    return "".join(subprocess.check_output(line, cwd=ROOT, env=environment, text=True) for line in commands)


@each_text
def test_options_exist(path: Path, known: str) -> None:
    text = path.read_text(encoding="utf-8")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+", text))
    assert [option for option in sorted(options) if not re.search(rf"{option}(?![\w-])", known)] == []


@each_text
def test_links_and_pictures_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if not target.startswith(("http:", "https:")):
            file, _, section = target.partition("#")
            found = path.parent / file if file else path
            assert found.exists(), target
            if section:
                headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
                assert section in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}

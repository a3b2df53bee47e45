"""What holds for the repository as a whole."""

import re
import warnings

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def named(toml: str) -> dict[str, list[str]]:
    """The versions of Python and the dependencies that it names; Python 3.10 has no tomllib."""
    (python,) = re.findall(r'^requires-python = "(.+)"$', toml, re.MULTILINE)
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", toml, re.MULTILINE | re.DOTALL)
    return {"python": [python], "dependencies": re.findall(r'"(.+?)"', block)}


def test_the_head_of_the_training_script_asks_for_what_the_project_does() -> None:
    script = (ROOT / "train.py").read_text(encoding="utf-8")
    (head,) = re.findall(r"^# /// script\n((?:#.*\n)+?)# ///$", script, re.MULTILINE)
    assert named(re.sub("^# ?", "", head, flags=re.MULTILINE)) == named(PROJECT)


@pytest.mark.parametrize("module", ["esrgan", "esrgan.images.reading", "app", "train"])
def test_a_deprecation_in_our_own_code_is_an_error(module: str) -> None:
    with pytest.raises(DeprecationWarning, match="old"):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)


def test_a_deprecation_in_anothers_code_is_not() -> None:
    warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module="appdirs")


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_dependency_is_pinned_once_to_a_version_in_its_range(python: str) -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pins = [pin for pin in pins if not pin.marker or pin.marker.evaluate({"python_version": python})]
    ranges = {wanted.name: wanted.specifier for wanted in map(Requirement, named(PROJECT)["dependencies"])}
    assert sorted(pin.name for pin in pins) == sorted(ranges)
    for pin in pins:
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert exact.version in ranges[pin.name]

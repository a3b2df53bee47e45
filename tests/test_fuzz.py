"""A few of the files of `fuzz.py`, as the command line takes them."""

from pathlib import Path

from fuzz import by_command, files, fuzz


def test_damaged_and_hostile_files_are_upscaled_or_refused_in_a_sentence(tmp_path: Path) -> None:
    outcomes, faults, _ = fuzz(by_command(tmp_path), tmp_path, seed=1, count=40)
    assert faults == []
    assert outcomes.total() == 40
    assert min(outcomes["upscaled"], outcomes["refused"]) >= 5


def test_the_seed_decides_the_files() -> None:
    assert list(files(3, 20)) == list(files(3, 20))
    assert list(files(3, 20)) != list(files(4, 20))

"""What may take the place of what: nothing that this program did not write is ever removed."""

import os
from pathlib import Path

import pytest
from conftest import EXAMPLES

from esrgan.__main__ import main
from esrgan.errors import FileError
from esrgan.files import check_file, replacing, replacing_folder


def keepsake(folder: Path) -> Path:
    """A folder with something in it that must stay."""
    folder.mkdir(parents=True)
    (folder / "keep.txt").write_text("mine", encoding="utf-8")
    return folder / "keep.txt"


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["export", "--onnx", "{}"], "exports"),
        (["upscale", str(EXAMPLES / "cat_chelsea.png"), "-o", "out", "--overwrite"], "out/cat_chelsea.png"),
        (["upscale", str(EXAMPLES / "cat_chelsea.png"), "-o", "out"], "out/cat_chelsea.png"),
        (["evaluate", "--data", str(EXAMPLES), "--output", "out"], "out/table.md"),
        (["evaluate", "--data", str(EXAMPLES), "--output", "out"], "out/plate.png"),
    ],
)
def test_a_folder_in_the_place_of_a_file_stays_and_nothing_is_computed(
    arguments, place, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("esrgan.inference.upscaler.Upscaler.stream", None)
    monkeypatch.setattr("esrgan.inference.onnx.torch.onnx.export", None)
    kept = keepsake(tmp_path / place)
    assert main([argument.format(place) for argument in arguments]) == 1
    assert f"{place}: a folder of this name is there; move it, or give another name." in caplog.text
    assert "Traceback" not in caplog.text
    assert kept.read_text(encoding="utf-8") == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_a_folder_that_comes_amid_the_writing_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="out"), replacing(tmp_path / "out") as temporary:
        kept = [temporary.touch(), keepsake(tmp_path / "out")][1]
    assert list(tmp_path.iterdir()) == [kept.parent]
    assert kept.is_file()


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match=r"pipe: is not a file that can be replaced"), replacing(tmp_path / "pipe"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"below: .*file is no folder"):
        check_file(tmp_path / "file" / "deep" / "below")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_an_unwritable_folder_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.geteuid() == 0:  # who may write anywhere
        monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path).name == "locked"))
    with pytest.raises(FileError, match=r"photo\.png: nothing may be written to .*locked; give another folder"):
        check_file(tmp_path / "locked" / "new" / "photo.png")


def test_a_folder_replaces_an_empty_one_or_one_with_its_mark(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    kept = keepsake(target)
    with pytest.raises(FileError, match="is there already; give a new folder"), replacing_folder(target, "mark.json"):
        pass
    assert kept.is_file()
    (target / "mark.json").touch()
    with replacing_folder(target, "mark.json") as temporary:
        (temporary / "new").touch()
        assert kept.is_file()
    assert [path.name for path in target.iterdir()] == ["new"]
    (target / "new").unlink()
    with replacing_folder(target) as temporary:
        (temporary / "newer").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["folder", "folder/newer"]


def test_a_failure_leaves_the_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mark").touch()
    with pytest.raises(FileNotFoundError), replacing_folder(tmp_path / "folder", "mark") as temporary:
        (temporary / "half" / "missing").touch()
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["folder", "mark"]


@pytest.mark.parametrize("name", ["a" * 251 + ".png", "ä" * 125 + "b.png", "ü" * 120 + ".jpeg"])
def test_names_as_long_as_a_file_system_takes_them(name: str, tmp_path: Path) -> None:
    assert 245 <= len(name.encode()) <= 255
    with replacing(tmp_path / name) as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / name).read_bytes() == b"new"
    with replacing_folder(tmp_path / "folder" / name) as temporary:
        pass
    assert (tmp_path / "folder" / name).is_dir()

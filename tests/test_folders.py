"""Folders as people have them: hidden, double, odd and locked files, and a report that leaves nothing unsaid."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from PIL import Image

from esrgan import Generator, ImageError, Upscaler
from esrgan.__main__ import main
from esrgan.errors import FileError
from esrgan.images.reading import find_images, search_folder
from esrgan.images.resize import enlarge
from esrgan.inference.folder import find_targets

PHOTO = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 124, 76))


def encoded(format_: str, image: Image.Image = PHOTO, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


JPEG, PNG = encoded("JPEG"), encoded("PNG")
SOUND = {
    **{f"sound.{end}": encoded(name) for end, name in {"png": "PNG", "gif": "GIF", "bmp": "BMP"}.items()},
    **{f"photo.{end}": JPEG for end in ("jpg", "jpeg", "jfif", "jpe")},
    "scan.tif": encoded("TIFF"),
    "web.webp": encoded("WEBP"),
    "wrong name.png": JPEG,
    "umlaut ä ö.jpg": JPEG,
    "n" * 240 + ".png": PNG,
    "two.jpg": JPEG,
    "two.png": PNG,
    "grey.png": encoded("PNG", PHOTO.convert("L")),
    "bilevel.png": encoded("PNG", PHOTO.convert("1")),
    "palette.png": encoded("PNG", PHOTO.quantize(8)),
    "clear.png": encoded("PNG", PHOTO.convert("RGBA")),
    "cmyk.jpg": encoded("JPEG", PHOTO.convert("CMYK")),
    "deep.png": encoded("PNG", Image.fromarray(np.full((8, 8), 40_000, np.uint16))),
    "moving.gif": encoded("GIF", save_all=True, append_images=[PHOTO.rotate(90)]),
    "dot.in.name.png": PNG,
    "CAPITAL.JPG": JPEG,
    "below/photo.png": PNG,
}
BAD = {
    "empty.png": b"",
    "text.jpg": b"not a photo",
    "page.jpg": b"<!doctype html><title>404</title>",
    "cut.jpg": JPEG[:300],
    "cut-too.png": PNG[:200],
    "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "float.tif": encoded("TIFF", Image.new("F", (8, 8))),
    "header.gif": b"GIF89a",
}
NO_PHOTOS = ("notes.txt", "film.mov", "Thumbs.db", "table.csv", ".hidden.jpg", "._photo.jpg", ".DS_Store", "raw.cr2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Generator(1, 4, 2).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def locked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder below that may not be read; the tests may run as a user who may read everything."""
    (folder / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path) == folder / "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return folder / "locked"


def test_what_is_hidden_is_no_photo(folder: Path) -> None:
    (folder / ".thumbnails").mkdir()
    for name in ("dog.jpg", "._dog.jpg", ".thumbnails/dog.jpg", "notes.txt", "film.mov", "dog.jfif", "dog.JPE"):
        PHOTO.save(folder / name, "JPEG")
    assert [path.name for path in find_images(folder)] == ["dog.JPE", "dog.jfif", "dog.jpg"]
    assert search_folder(folder).left_out == "2 other files (film.mov, notes.txt) and 2 hidden"


def test_photos_that_differ_by_extension_alone_both_get_a_result(folder: Path) -> None:
    for name in ("IMG_1.jpg", "IMG_1.png", "IMG_2.png"):
        PHOTO.save(folder / name)
    found = find_targets([folder, folder / "IMG_2.png"], Path("out"))
    assert [target.name for _, target in found.pairs] == ["IMG_1.jpg.png", "IMG_1.png.png", "IMG_2.png"]
    assert found.notes == [
        f"{folder / 'IMG_1.jpg'}: becomes IMG_1.jpg.png, as IMG_1.png is there too",
        f"{folder / 'IMG_1.png'}: becomes IMG_1.png.png, as IMG_1.jpg is there too",
    ]


def test_a_disk_that_takes_upper_for_lower_case_loses_nothing(tmp_path: Path) -> None:
    """There `img.PNG` and `img.png` are one file, as two names of one file are here."""
    Image.new("RGB", (8, 8)).save(tmp_path / "img.PNG")
    os.link(tmp_path / "img.PNG", tmp_path / "img.png")
    with pytest.raises(ImageError, match=r"img\.png: is a photo itself, and would be lost"):
        find_targets([tmp_path / "img.PNG"], tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "IMG.jpg")
    targets = find_targets([tmp_path / "img.PNG", tmp_path / "IMG.jpg"], tmp_path / "out")
    assert [target.name for _, target in targets.pairs] == ["img.PNG.png", "IMG.jpg.png"]


def test_a_photo_given_twice_or_by_a_link_is_done_once(folder: Path) -> None:
    PHOTO.save(folder / "dog.png")
    (folder / "again.png").symlink_to(folder / "dog.png")
    found = find_targets([folder / "dog.png", folder, folder / "dog.png"], Path("out"))
    assert [path for path, _ in found.pairs] == [folder / "dog.png"]


def test_a_loop_of_links_is_a_sentence(folder: Path, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "loop.png").symlink_to(folder / "loop.png")
    assert main(["upscale", str(folder / "loop.png"), "-o", str(folder / "out"), "--model", str(model)]) == 1
    assert "loop.png: " in caplog.text
    assert "Traceback" not in caplog.text
    with pytest.raises(ImageError, match="no such file or folder"):
        find_images(folder / "loop.png")


def test_where_nothing_can_be_written_is_said_before_any_computing(folder: Path) -> None:
    PHOTO.save(folder / "dog.png")
    (folder / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(FileError, match=r"file is no folder"):
        find_targets([folder / "dog.png"], folder / "file" / "out")
    (folder / "out" / "dog.png").mkdir(parents=True)
    with pytest.raises(FileError, match=r"dog\.png: a folder of this name is there"):
        find_targets([folder / "dog.png"], folder / "out")


def test_a_locked_folder_is_named_and_counts_as_a_failure(
    folder: Path, locked: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PHOTO.save(folder / "dog.png")
    assert main(["upscale", str(folder), "-o", str(tmp_path / "out"), "--model", str(model)]) == 1
    assert (tmp_path / "out" / "dog.png").is_file()
    assert f"{locked}: this folder may not be read by this user; change its permissions." in caplog.messages
    with pytest.raises(ImageError, match="locked: this folder may not be read"):
        find_images(folder)


def test_no_permission_is_no_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from esrgan.images.photo import Photo

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    PHOTO.save(folder / "dog.png")
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError, match=r"dog\.png: may not be read by this user; change its permissions\."):
        Photo.open(folder / "dog.png")


def test_a_folder_of_forty_odd_files_and_its_report(
    folder: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, content in {**SOUND, **BAD, **dict.fromkeys(NO_PHOTOS, b"else")}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 40
    assert main(["upscale", str(folder), "-o", str(tmp_path / "out"), "--model", str(model)]) == 1
    results = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(results) == len(SOUND)
    for path in results:
        with Image.open(path) as image:
            assert min(image.size) >= 32
    report = "\n".join(caplog.messages)
    assert f"{len(SOUND)} photos upscaled by 4 to {tmp_path / 'out'}" in report
    assert "left out 5 other files (Thumbs.db, film.mov, notes.txt, …) and 3 hidden" in report
    assert "two.jpg: becomes two.jpg.png, as two.png is there too" in report
    for name in BAD:
        assert f"{folder / name}: " in report
    assert "Traceback" not in report


@pytest.fixture
def model_with_camera(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    clean, camera = Generator(1, 4, 2), Generator(1, 4, 2)
    clean.save_pretrained(tmp_path / "staged", camera=camera)
    return tmp_path / "staged"


def test_auto_gives_damaged_photos_to_the_camera_stage_and_says_why(
    folder: Path, model_with_camera: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 228, 156))
    photo.save(folder / "clean.png")
    photo.save(folder / "web.jpg", quality=40)
    out = folder.parent / "out"
    with caplog.at_level("INFO"):
        status = main(["upscale", str(folder), "-o", str(out), "--model", str(model_with_camera), "--stage", "auto"])
    assert status == 0
    assert "clean.png: clean; usual stage" in caplog.text
    assert "web.jpg: JPEG of quality 40; camera stage" in caplog.text
    for name, stage in (("clean.png", "gan"), ("web.jpg", "camera")):
        expected = Upscaler(Generator.from_pretrained(model_with_camera, stage=stage))(Image.open(folder / name))
        result = Image.open(out / Path(name).with_suffix(".png"))
        assert np.array_equal(result, expected)
        named = f"model staged{':camera' * (stage == 'camera')}, enlarged 4 times"
        assert named.encode() in result.info["xmp"], "by its name, not by the path to it"


def test_a_stage_may_be_given_apart_from_the_model(folder: Path, model_with_camera: Path) -> None:
    PHOTO.save(folder / "a.png")
    for spelt in (["--model", f"{model_with_camera}:camera"], ["--model", str(model_with_camera), "--stage", "camera"]):
        assert main(["upscale", str(folder / "a.png"), "-o", str(folder / "out"), "--overwrite", *spelt]) == 0
        expected = Upscaler(Generator.from_pretrained(model_with_camera, stage="camera"))(PHOTO)
        assert np.array_equal(Image.open(folder / "out" / "a.png"), expected)


def test_a_photo_that_was_enlarged_before_is_halved_if_asked_for(
    folder: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 228, 156))
    photo.save(folder / "plain.png")
    enlarge(photo, 2).save(folder / "large.png")
    out = folder.parent / "out"
    with caplog.at_level("INFO"):
        assert main(["upscale", str(folder), "-o", str(out), "--model", str(model), "--halve"]) == 0
    assert "large.png: was enlarged before; halved first" in caplog.text
    assert "plain.png" not in caplog.text
    assert Image.open(out / "plain.png").size == Image.open(out / "large.png").size == (512, 384)


def test_an_animation_is_neither_halved_nor_advised_to_be(
    tmp_path: Path, model_with_camera: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 60, 228, 156))
    large = enlarge(photo, 2)
    large.save(tmp_path / "moving.png", save_all=True, append_images=[large.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    chosen = ["--model", str(model_with_camera), "--stage", "auto", "--halve", "--all_frames"]
    with caplog.at_level("INFO"):
        assert main(["upscale", str(tmp_path / "moving.png"), "-o", str(tmp_path / "out.png"), *chosen]) == 0
    assert "enlarged before" not in caplog.text
    assert "the first is used" not in caplog.text
    with Image.open(tmp_path / "out.png") as result:
        assert (result.n_frames, result.size) == (2, (1024, 768))


def test_what_is_no_stage_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["upscale", str(folder), "-o", "out", "--stage", "best"])
    assert "best: must be auto, psnr, gan, camera or a number from 0 to 1" in capsys.readouterr().err

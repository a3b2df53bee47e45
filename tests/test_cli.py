"""`python -m esrgan` on good files and bad ones, in processes of its own where that matters."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, ROOT
from PIL import Image

from esrgan import Generator, Upscaler
from esrgan.__main__ import main
from esrgan.evaluation.study import measure, read_truth
from esrgan.inference.folder import find_targets


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "esrgan", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Generator(1, 8, 4).save_pretrained(folder)
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB")
    photo.crop((100, 60, 160, 100)).save(folder / "cat.png")
    photo.crop((200, 60, 240, 100)).save(folder / "more" / "eye.jpg", quality=95)
    return folder


def test_upscaling_a_folder_keeps_its_structure_and_equals_the_library(photos, model, tmp_path) -> None:
    done = run("upscale", photos, "-o", tmp_path / "out", "--model", model)
    assert done.returncode == 0, done.stderr
    found = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert found == [Path("cat.png"), Path("more/eye.png")]
    expected = Upscaler(Generator.from_pretrained(model))(Image.open(photos / "cat.png"))
    assert np.array_equal(Image.open(tmp_path / "out" / "cat.png"), expected)


def test_one_bad_file_is_named_and_does_not_stop_the_rest(photos, model, tmp_path) -> None:
    (photos / "broken.jpg").write_text("this is no photo")
    done = run("upscale", photos, photos / "gone.png", "-o", tmp_path / "out", "--model", model)
    assert done.returncode == 1
    assert "broken.jpg: not an image" in done.stderr
    assert "gone.png: no such file" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "cat.png").is_file()


def test_what_is_there_is_skipped_and_upscaled_again_when_asked(photos, model, caplog) -> None:
    out = photos / "out"  # below the folder that is read: its results are no photos to upscale
    command = ["upscale", str(photos), "-o", str(out), "--model", str(model)]
    assert main(command) == 0
    (out / "cat.png").write_text("mine")
    (out / "more" / "eye.png").unlink()
    caplog.clear()
    assert main(command) == 0
    assert f"1 photo upscaled by 4 to {out}" in caplog.messages
    assert any(message.startswith("1 skipped, as they are there already") for message in caplog.messages)
    assert (out / "cat.png").read_text() == "mine"
    assert (out / "more" / "eye.png").is_file()
    assert main([*command, "--overwrite"]) == 0
    assert f"2 photos upscaled by 4 to {out}" in caplog.messages
    assert Image.open(out / "cat.png").size == (240, 160)
    assert len([path for path in out.rglob("*") if path.is_file()]) == 2


def test_results_may_go_above_the_folder_that_is_read(photos) -> None:
    assert find_targets([photos], photos.parent).pairs == [
        (photos / "cat.png", photos.parent / "cat.png"),
        (photos / "more" / "eye.jpg", photos.parent / "more" / "eye.png"),
    ]


def test_format_quality_and_what_is_kept_are_options(photos, model, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    Image.open(photos / "cat.png").convert("L").save(photos / "cat.png", exif=exif)
    options = ["--format", "jpeg", "--quality", "60", "--tile", "40", "--overlap", "4"]
    assert main(["upscale", str(photos), "-o", str(tmp_path / "out"), "--model", str(model), *options]) == 0
    with Image.open(tmp_path / "out" / "cat.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (160, 240))
        assert dict(image.getexif()) == {0x010F: "Maker"}
        Image.new("L", (8, 8)).save(tmp_path / "sixty.jpg", quality=60)
        with Image.open(tmp_path / "sixty.jpg") as sixty:
            assert image.quantization == sixty.quantization
    options = ["--bits", "16", "--no_exif", "--ensemble"]
    one = ["upscale", str(photos / "cat.png"), "-o", str(tmp_path / "cat.png"), "--model", str(model)]
    assert main([*one, *options]) == 0
    with Image.open(tmp_path / "cat.png") as image:
        assert image.mode == "I;16"
        assert not image.getexif()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tile", "32"], "tile 32: must be larger than twice the overlap of 16"),
        (["--tile", "0"], "tile 0: must be larger than twice the overlap of 16"),
        (["--overlap", "-1"], "overlap -1: must be 0 or more"),
    ],
)
def test_a_tile_of_overlap_alone_is_refused(options, said, caplog) -> None:
    assert main(["upscale", "x.png", "-o", "out", *options]) == 2
    assert caplog.messages[-1] == said


@pytest.mark.parametrize("quality", ["0", "101", "-1", "x"])
def test_a_quality_is_from_1_to_100(quality, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["upscale", "x.png", "-o", "out", f"--quality={quality}"])
    assert capsys.readouterr().err.endswith(f"{quality}: must be a whole number from 1 to 100\n")


def test_stopped_it_says_so_and_leaves_nothing_half_written(model, tmp_path) -> None:
    frame = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB")
    frame.save(tmp_path / "moving.png", save_all=True, append_images=[frame.rotate(i) for i in range(1, 100)])
    (tmp_path / "out").mkdir()
    command = ["upscale", tmp_path / "moving.png", "-o", tmp_path / "out" / "moving.png", "--all_frames"]
    process = subprocess.Popen(
        [sys.executable, "-m", "esrgan", *command, "--model", model], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not list((tmp_path / "out").iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("stopped; what was finished is kept")
    assert "Traceback" not in said
    assert not list((tmp_path / "out").iterdir())


def test_two_processes_share_the_photos_and_a_bad_one_stops_neither(photos, model, tmp_path) -> None:
    photo = Image.open(photos / "cat.png")
    for i in range(4):
        photo.save(photos / f"a{i}.png")
    (photos / "aa.png").write_text("this is no photo")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "esrgan", "upscale"]
    done = subprocess.run(
        [*command, str(photos), "-o", str(tmp_path / "out"), "--model", str(model)],
        cwd=ROOT,
        env=os.environ | {"MASTER_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert done.stderr.count("6 photos upscaled by 4") == 1
    assert "by 2 processes" in done.stderr
    assert done.stderr.count("aa.png: not an image") == 1
    found = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"a0.png", "a1.png", "a2.png", "a3.png", "cat.png", "eye.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upscale", "EMPTY", "-o", "out"], "no images in this folder"),
        (["upscale", "PHOTO", "PHOTO2", "-o", "one.png"], "a file name serves for one photo only"),
        (["upscale", "PHOTO", "-o", "out", "--model", "nonesuch"], "nonesuch: no such model"),
        (["upscale", "PHOTO", "-o", "one.png", "--format", "webp"], "its extension says the format"),
        (["upscale", "PHOTO", "-o", "PHOTO", "--overwrite"], "is a photo itself, and would be lost"),
        (["upscale", "PHOTOS", "-o", "PHOTOS"], "is read from, and results would be read the next time"),
        (["upscale", "PHOTO", "-o", "out", "--quality", "50"], "PNG is lossless"),
        (["convert", "MISSING", "out"], "missing: no such file."),
        (["convert", "EMPTY", "out"], "empty: is a folder; give a file in it."),
        (["convert", "PHOTO", "PHOTOS"], "is there already; give a new folder."),
        (["upscale", "PHOTO", "-o", "out", "--model", "nonesuch.pth"], "nonesuch.pth: no such file."),
        (["convert", "PHOTO", "out"], "not a file of tensors alone"),
        (["export", "--onnx", "one.onnx", "--model", "nonesuch"], "nonesuch: no such model"),
        (["evaluate", "--data", "EMPTY"], "no images in this folder"),
        (["evaluate", "--data", "MISSING"], "no such file or folder"),
        (["evaluate", "--data", "PHOTO", "--save_inputs", "PHOTO"], "cat.png is no folder."),
        (["evaluate", "--data", "PHOTOS", "--output", "PHOTOS"], "where all pictures are measured; give another."),
        (["evaluate", "--data", "PHOTOS", "--save_inputs", "INSIDE"], "where all pictures are measured; give another."),
        (["evaluate", "--data", "PHOTO", "--models", "a|b=mixed"], "'a|b': no table can have this name"),
        (["evaluate", "--data", "PHOTO", "--models", "a\nb=mixed"], r"'a\nb': no table can have this name"),
        (["evaluate", "--data", "PHOTO", "--models", "EMPTY"], "no config.json in this folder"),
        (["evaluate", "--data", "PHOTO", "--difference", "mixed", "cats"], "--difference cats: not among --models"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_a_status(arguments, message, photos, tmp_path, caplog) -> None:
    (tmp_path / "empty").mkdir()
    names = {
        "EMPTY": tmp_path / "empty",
        "MISSING": tmp_path / "missing",
        "PHOTO": photos / "cat.png",
        "PHOTOS": photos,
        "INSIDE": photos / "new",
        "PHOTO2": photos / "more" / "eye.jpg",
        "out": tmp_path / "out",
        "one.png": tmp_path / "one.png",
    }
    assert main([str(names.get(argument, argument)) for argument in arguments]) == 1
    assert message in caplog.messages[-1]
    assert "\n" not in caplog.messages[-1]


@pytest.mark.parametrize("option", ["evaluate --data=x --max_samples", "study --test=a=x --output=x --seeds"])
@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_a_count_is_a_whole_number_from_1_on(option, count, capsys) -> None:
    with pytest.raises(SystemExit):
        main(f"{option}={count}".split())
    assert f"{count}: must be a whole number from 1 on" in capsys.readouterr().err


def test_evaluate_prints_the_table_and_writes_the_figures(photos, model, tmp_path) -> None:
    done = run("evaluate", "--data", photos, "--models", model, model, "--output", tmp_path / "study")
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "study" / "scores.json").read_text())
    assert (tmp_path / "study" / "table.md").read_text() == done.stdout
    assert Image.open(tmp_path / "study" / "differences.png").width > 400
    upscaler = Upscaler(Generator.from_pretrained(model))
    expected = measure(upscaler, read_truth(photos / "cat.png"))["psnr_y"]
    assert content["photos"]["cat.png"][str(model)]["psnr_y"] == pytest.approx(expected, abs=1e-9)
    assert done.stdout.startswith("| 2 photos | PSNR-Y (dB)")
    assert "| bicubic |" in done.stdout


def test_a_locale_without_letters_loses_nothing(photos, model, tmp_path) -> None:
    folder = tmp_path / "modèles …"
    model.rename(folder)
    (photos / "cat.png").rename(photos / "Ñandú.png")
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    commands = [
        ["evaluate", "--data", photos, "--models", f"größe={folder}", folder, "--output", tmp_path / "study"],
        ["upscale", photos, "-o", tmp_path / "out", "--model", folder],
    ]
    said = []
    for command in commands:
        line = [sys.executable, "-m", "esrgan", *map(str, command)]
        done = subprocess.run(line, cwd=ROOT, env=ascii_only, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode()
        said.append(done.stdout.decode("ascii"))
    folder.rename(model)
    assert "| gr\\xf6\\xdfe | " in said[0]
    assert "| größe | " in (tmp_path / "study" / "table.md").read_text(encoding="utf-8")
    scores = json.loads((tmp_path / "study" / "scores.json").read_text(encoding="utf-8"))
    assert list(scores["mean"]) == ["bicubic", "größe", str(folder)]
    assert (tmp_path / "out" / "Ñandú.png").is_file()
    assert f"model {folder.name}, ".encode() in (tmp_path / "out" / "Ñandú.png").read_bytes()


def test_evaluate_measures_stages_and_what_lies_between_them(photos, tmp_path) -> None:
    torch.manual_seed(0)
    gan, psnr, folder = Generator(1, 8, 4), Generator(1, 8, 4), tmp_path / "both"
    gan.save_pretrained(folder, psnr=psnr)
    models = [f"{folder}:psnr", f"{folder}:0.5", f"{folder}:gan", folder]
    pair = ["--difference", f"{folder}:psnr", f"{folder}:gan"]
    done = run("evaluate", "--data", photos / "cat.png", "--models", *models, *pair, "--output", tmp_path / "study")
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "study" / "scores.json").read_text())
    assert list(content["difference"]) == [f"{folder}:gan_minus_{folder}:psnr"]
    truth = read_truth(photos / "cat.png")
    for model, stage in zip(models, ("psnr", 0.5, "gan", None), strict=True):
        expected = measure(Upscaler(Generator.from_pretrained(folder, stage=stage)), truth)["psnr_y"]
        assert content["mean"][str(model)]["psnr_y"] == pytest.approx(expected, abs=1e-9), model
    assert content["mean"][f"{folder}:psnr"] != content["mean"][f"{folder}:gan"] == content["mean"][str(folder)]

"""The application through its API, as another program uses it."""

import io
import os
import random
import re
import runpy
import socket
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch
from app_server import Server, running, tiny_models
from conftest import EXAMPLES, ROOT
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from test_images import SOUND, damage

import app
from esrgan import Generator, Upscaler
from esrgan.evaluation.maps import draw_winner
from esrgan.evaluation.metrics import compare
from esrgan.evaluation.study import bicubic, evaluate, finite, measure, read_truth
from esrgan.images.bounded import read_image
from esrgan.images.resize import shrink
from esrgan.models.layout import BUNDLED
from esrgan.page.controls import Visit
from esrgan.page.jobs import Figures, Studio
from esrgan.page.models import Model
from esrgan.page.study_tab import PICTURES
from esrgan.page.uploads import MARK, claim_folder, delete_old, keep_clean
from esrgan.page.wording import tell_comparison


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server.url, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo whose sides are no multiples of 4."""
    path = tmp_path / "cat.png"
    Image.open(EXAMPLES / "cat_chelsea.png").crop((150, 80, 225, 143)).save(path)
    return path


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def test_compare_answers_what_the_library_says(server: Server, client: Client, photo: Path) -> None:
    figures, *files, verdict = client.predict(handle_file(photo), 0.25, api_name="/compare")

    truth = read_truth(photo)
    methods = {"bicubic": bicubic, **{name: model.at(0.25) for name, model in server.models.items()}}
    expected = {way: measure(method, truth) for way, method in methods.items()}
    expected["dogs_minus_mixed"] = {key: expected["dogs"][key] - expected["mixed"][key] for key in expected["dogs"]}
    assert figures.keys() == expected.keys()
    for way, values in expected.items():
        assert figures[way] == pytest.approx(values, abs=1e-6), way
    assert figures["mixed"] != figures["dogs"]

    assert verdict == tell_comparison(figures)[0]

    ways = ("original", "bicubic", "mixed", "dogs", "map")
    assert [Path(file).name for file in files] == [f"cat-{way}.png" for way in ways]
    pictures = [truth, *(method(shrink(truth, 4)) for method in methods.values())]
    pictures.append(draw_winner(*pictures[2:], truth))
    for file, picture in zip(files, pictures, strict=True):
        assert np.array_equal(pixels(file), np.asarray(picture)), file


def test_upscale_answers_what_the_library_says(server: Server, client: Client, photo: Path) -> None:
    figures, *files, verdict = client.predict(handle_file(photo), api_name="/upscale")

    image = read_image(photo)
    methods = {"bicubic": bicubic, **{name: model.at(app.DETAIL) for name, model in server.models.items()}}
    results = {way: method(image) for way, method in methods.items()}
    assert figures.keys() == {"consistency", "mixed_against_dogs"}
    assert figures["consistency"].keys() == results.keys()
    for way, result in results.items():
        assert figures["consistency"][way] == pytest.approx(compare(shrink(result, 4), image), abs=1e-6), way
    assert verdict.startswith("## The two results")
    assert figures["mixed_against_dogs"] == pytest.approx(compare(results["mixed"], results["dogs"]), abs=1e-6)
    names = ["cat-bicubic-x4.png", *(f"cat-{name}-x4-detail0.75.png" for name in server.models)]
    for file, result, name in zip(files, results.values(), names, strict=True):
        assert np.array_equal(pixels(file), np.asarray(result)), file
        assert Path(file).name == name


def test_one_model_upscales_alone_and_its_result_is_saved_as_asked(client: Client, photo: Path) -> None:
    asked = {"models": ["dogs"], "save_as": "WebP", "api_name": "/upscale"}
    figures, _, mixed, dogs, verdict = client.predict(handle_file(photo), 0.5, **asked)
    assert mixed is None
    assert Path(dogs).name == "cat-dogs-x4-detail0.5.webp"
    with Image.open(dogs) as image:
        assert (image.format, image.size) == ("WEBP", (300, 252))
    assert list(figures) == ["consistency"]
    assert list(figures["consistency"]) == ["bicubic", "dogs"]
    assert verdict.startswith("## Enlarged by Dogs")


def test_detail_blends_the_two_stages_and_is_a_number_from_0_to_1(server: Server, client: Client, photo: Path) -> None:
    image = read_image(photo)
    for detail, stage in ((0, "psnr"), (1, "gan")):
        dogs = client.predict(handle_file(photo), detail, api_name="/upscale")[-2]
        generator = Generator.from_pretrained(server.folder / "dogs", stage=stage)
        assert np.array_equal(pixels(dogs), np.asarray(Upscaler(generator)(image))), stage
    for detail in (1.01, -0.5, "much", None):
        with pytest.raises(AppError, match="must be a number from 0 to 1"):
            client.predict(handle_file(photo), detail, api_name="/upscale")


def test_api_is_three_endpoints_that_need_photos_only(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    inputs = {
        "/compare": ["photo", "detail", "degradation"],
        "/upscale": ["photo", "detail", "part", "condition", "halve", "models", "save_as"],
        "/batch": ["photos", "detail"],
    }
    returns = {"/compare": 7, "/upscale": 5, "/batch": 5}
    assert endpoints.keys() == inputs.keys()
    for name, endpoint in endpoints.items():
        assert [parameter["parameter_name"] for parameter in endpoint["parameters"]] == inputs[name]
        assert not endpoint["parameters"][0]["parameter_has_default"]
        assert all(parameter["parameter_has_default"] for parameter in endpoint["parameters"][1:])
        assert len(endpoint["returns"]) == returns[name]
        told = (
            ("PSNR", "chart", "zip", "CSV") if name == "/batch" else ("psnr_y", "psnr_rgb", "ssim_y", "lpips", "Detail")
        )
        assert [word for word in told if word not in endpoint["description"]] == []


def test_a_batch_answers_what_the_library_says_and_names_what_was_left_out(
    server: Server, client: Client, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "bear.png"
    Image.open(EXAMPLES / "polar_bear.png").crop((100, 100, 164, 148)).save(other)
    broken = bad_file("truncated", tmp_path)
    verdict, chart, gallery, archive, tables = client.predict(
        [handle_file(path) for path in (photo, broken, other)], api_name="/batch"
    )
    assert verdict.startswith("## Too few photos to tell")
    assert "Dogs minus mixed over 2 photos" in verdict
    assert "truncated.jpg: the image is damaged" in verdict
    methods = {"bicubic": bicubic, **{name: model.at(0) for name, model in server.models.items()}}
    assert tables == evaluate(methods, [photo, other], [("mixed", "dogs")]).markdown()
    with Image.open(chart) as image:
        assert image.width > 500
    expected = [methods["dogs"](shrink(read_truth(path), 4)) for path in (photo, other)]
    for item, picture in zip(gallery, expected, strict=True):
        assert np.array_equal(pixels(item["image"]), np.asarray(picture))
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.testzip() is None
        assert {"01-cat-dogs.png", "01-cat-mixed.png", "03-bear-dogs.png", "scores.csv"} <= set(zipped.namelist())
    plain = tmp_path / "plain.png"
    Image.new("RGB", (40, 40), (90, 120, 60)).save(plain)
    for files, told in (
        ([], "0 photos: choose 1 to 50"),
        ([handle_file(broken), handle_file(plain)], "truncated.jpg: .* plain.png: too plain to compare"),
    ):
        with pytest.raises(AppError, match=told):
            client.predict(files, api_name="/batch")


def test_the_same_photo_again_is_answered_from_what_is_kept(client: Client, photo: Path) -> None:
    first, again = (client.predict(handle_file(photo), 0.35, api_name="/compare") for _ in range(2))
    other = client.predict(handle_file(photo), 0.4, api_name="/compare")
    assert first[0] == again[0] != other[0]
    assert [pixels(a).tobytes() for a in first[1:-1]] == [pixels(b).tobytes() for b in again[1:-1]]


def test_a_job_says_at_once_how_long_it_takes(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "noise.png"
    Image.effect_noise((256, 256), 60).save(file)
    client.predict(handle_file(file), api_name="/compare")  # at the latest now the speed is known
    for endpoint, place, words in (
        ("/compare", -1, "Mixed: first tile, about "),
        ("/upscale", -1, "Mixed: first tile, about "),
        ("/batch", 0, "Photo 1 of 1, noise.png. Mixed: first tile, about "),
    ):
        job = client.submit([handle_file(file)] if endpoint == "/batch" else handle_file(file), 0.15, api_name=endpoint)
        job.result()
        looked_at = endpoint == "/batch"  # each photo, before the first is worked on
        assert words in job.outputs()[int(looked_at)][place]


def test_weights_of_no_use_are_told_in_one_sentence(tmp_path: Path, photo: Path) -> None:
    sources = tiny_models(tmp_path)
    generator = Generator.from_pretrained(sources["dogs"])
    with torch.no_grad():
        next(generator.parameters()).fill_(1e38)
    generator.save_pretrained(sources["dogs"])
    options = [f"--{name}={path}" for name, path in sources.items()]
    with running(ROOT / "app.py", tmp_path, dict(os.environ), *options) as url:
        client = Client(url, verbose=False, download_files=False)
        for endpoint, upload in (("/compare", handle_file(photo)), ("/batch", [handle_file(photo)])):
            with pytest.raises(AppError, match="output is not finite; these are no weights"):
                client.predict(upload, 1, api_name=endpoint)
    assert "Traceback" not in (tmp_path / "log").read_text()


def unusual_files(folder: Path) -> dict[str, Path]:
    """Photos that a careless page would alter before the library reads them."""
    paths = {name: folder / name for name in ("grey16.png", "rotated.jpg", "transparent.png", "palette.gif")}
    ramp = np.linspace(0, 65535, 40 * 24).reshape(24, 40).astype(np.uint16)
    Image.fromarray(ramp).save(paths["grey16.png"])
    image = Image.open(EXAMPLES / "cat_chelsea.png").crop((150, 80, 198, 104))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(paths["rotated.jpg"], exif=exif)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(paths["transparent.png"])
    image.convert("RGB").quantize(16).save(paths["palette.gif"])
    return paths


def test_uploads_reach_the_library_unaltered(client: Client, tmp_path: Path) -> None:
    for name, path in unusual_files(tmp_path).items():
        original = client.predict(handle_file(path), api_name="/compare")[1]
        assert np.array_equal(pixels(original), np.asarray(read_image(path))), name
    assert pixels(client.predict(handle_file(tmp_path / "rotated.jpg"), api_name="/compare")[1]).shape == (48, 24, 3)
    grey = pixels(client.predict(handle_file(tmp_path / "grey16.png"), api_name="/compare")[1])
    assert (grey.min(), grey.max()) == (0, 255)
    assert 120 < grey.mean() < 135


def test_a_perfect_result_is_null_in_json(server: Server, client: Client, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (90, 120, 60)).save(tmp_path / "plain.png")
    figures, *_ = client.predict(handle_file(tmp_path / "plain.png"), api_name="/compare")
    assert figures["bicubic"].pop("lpips", 0) == 0
    assert figures["bicubic"] == {"psnr_y": None, "psnr_rgb": None, "ssim_y": pytest.approx(1)}
    *_, again = Studio(server.models).compare(tmp_path / "plain.png", app.DETAIL)
    assert finite(again.figures)["dogs"] == figures["dogs"]
    assert "identical" in tell_comparison(figures)[1]


def bad_file(kind: str, folder: Path) -> Path | None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    encoded = io.BytesIO()
    Image.open(EXAMPLES / "cat_chelsea.png").save(encoded, "JPEG")
    noise = Image.effect_noise((100, 21), 40)
    tiny, thin = io.BytesIO(), io.BytesIO()
    noise.crop((0, 0, 1, 1)).save(tiny, "PNG")
    noise.crop((0, 0, 100, 19)).save(thin, "PNG")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    name, content = {
        "text": ("text.jpg", b"This is not a photo."),
        "truncated": ("truncated.jpg", encoded.getvalue()[:9000]),
        "empty": ("empty.png", b""),
        "1x1": ("1x1.png", tiny.getvalue()),
        "thin": ("thin.png", thin.getvalue()),
        "bomb": ("bomb.png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")),
        "svg": ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="50" height="50"/></svg>'),
    }[kind]
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("endpoint", ["/compare", "/upscale"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("text", "not an image"),
        ("truncated", "damaged"),
        ("empty", "not an image"),
        ("1x1", "1 x 1 pixels are too few"),
        ("thin", "100 x 19 pixels are too few"),
        ("bomb", "megapixels"),
        ("svg", "not an image"),
        ("nothing", "Choose a photo"),
    ],
)
def test_a_bad_photo_gets_one_sentence(
    server: Server, client: Client, tmp_path: Path, endpoint: str, kind: str, told: str
) -> None:
    path = None if kind == "nothing" else bad_file(kind, tmp_path)
    with pytest.raises(AppError) as caught:
        client.predict(path and handle_file(path), api_name=endpoint)
    sentence = str(caught.value)
    assert told in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "/" not in sentence
    assert path is None or sentence.startswith(f"{path.name}: ")
    assert "Traceback" not in server.log.read_text()


def test_it_goes_on_serving_after_bad_photos(server: Server, client: Client, photo: Path, tmp_path: Path) -> None:
    for kind in ("truncated", "bomb"):
        with pytest.raises(AppError):
            client.predict(handle_file(bad_file(kind, tmp_path)), api_name="/compare")
        assert client.predict(handle_file(photo), api_name="/compare")[0]["bicubic"]["psnr_y"] > 20
    assert "Traceback" not in server.log.read_text()


def test_200_damaged_photos_leave_it_serving(server: Server, client: Client, photo: Path, tmp_path: Path) -> None:
    kinds = list(SOUND)
    compared = left_out = 0
    for turn in range(4):
        paths = []
        for i in range(50):
            kind = kinds[i % len(kinds)]
            paths.append(tmp_path / f"{turn}-{i}.{'../' * (i % 3 == 0)}{kind}".replace("/", "_"))
            paths[-1].write_bytes(damage(SOUND[kind], random.Random(50 * turn + i)))
        verdict, *_, tables = client.predict([handle_file(path) for path in paths], api_name="/batch")
        compared += int(re.search(r"over (\d+) photo", verdict)[1])
        left_out += verdict.count("\n- ")
        assert "Traceback" not in verdict + tables
    assert compared + left_out == 200
    assert min(compared, left_out) > 0
    assert client.predict(handle_file(photo), api_name="/compare")[0]["bicubic"]["psnr_y"] > 20
    assert "Traceback" not in server.log.read_text()


def test_who_goes_while_sending_a_photo_leaves_no_traceback(server: Server, client: Client, photo: Path) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    for size in (100, 10_000_000):
        with socket.create_connection((host, int(port))) as visitor:
            visitor.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: page\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                b"Content-Length: %d\r\n\r\n--b\r\nContent-Disposition: form-data; name=files; filename=a.png\r\n\r\n"
                % size
            )
    assert client.predict(handle_file(photo), api_name="/upscale")[0]
    assert "Traceback" not in server.log.read_text()


def test_a_model_that_is_missing_is_one_sentence_and_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "nowhere"
    monkeypatch.setattr(sys, "argv", ["app.py", f"--mixed={source}"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    assert caught.value.code == 1
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [f"{source}: no such model"]
    assert capfd.readouterr().out == ""


def test_a_further_model_is_a_column_of_its_own(tmp_path: Path, photo: Path) -> None:
    sources = tiny_models(tmp_path)
    options = [f"--{name}={path}" for name, path in sources.items()]
    with running(ROOT / "app.py", tmp_path, dict(os.environ), *options, f"--model=cats={sources['dogs']}") as url:
        client = Client(url, verbose=False, download_files=tmp_path / "downloads")
        figures, *files, _ = client.predict(handle_file(photo), api_name="/compare")
    assert list(figures) == ["bicubic", "mixed", "dogs", "cats", "dogs_minus_mixed"]
    assert figures["cats"] == figures["dogs"]
    assert [Path(file).name for file in files][-2:] == ["cat-cats.png", "cat-map.png"]
    assert "| Cats |" in tell_comparison(figures)[1]


def test_a_port_in_use_is_one_sentence_and_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    sources = (f"--{name}={path}" for name, path in tiny_models(tmp_path).items())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert app.main(["--port", str(port), *sources]) == 1
    assert [record.getMessage() for record in caplog.records if record.name == "esrgan"] == [
        f"127.0.0.1:{port} cannot be served on; choose another --host or --port."
    ]


def test_a_port_that_no_machine_has_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    sources = (f"--{name}={path}" for name, path in tiny_models(tmp_path).items())
    assert app.main(["--port", "70000", *sources]) == 1
    assert "127.0.0.1:70000 cannot be served on; choose another" in caplog.text


def test_photos_and_results_are_deleted_in_time_and_examples_are_kept(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    folder = claim_folder()
    (folder / "of an earlier run").mkdir()
    (folder / "of an earlier run" / "cat.png").write_bytes(b"photo")
    page = app.build(Studio({name: Model(path) for name, path in tiny_models(tmp_path).items()}))
    _, url, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)

    def served() -> set[str]:
        return {path.name for path in folder.rglob("*") if path.is_file()} - {MARK}

    stop = Event()
    cleaning = Thread(target=keep_clean, args=[page, folder, 3, stop])
    try:
        client = Client(url, verbose=False, download_files=False)
        client.predict(handle_file(photo), api_name="/compare")
        names = ("", "-original", "-bicubic", "-mixed", "-dogs")
        assert served() >= {f"cat{name}.png" for name in names}
        cleaning.start()
        deadline = time.monotonic() + 60
        while served() != {*PICTURES} or any(not any(path.iterdir()) for path in folder.iterdir() if path.is_dir()):
            assert time.monotonic() < deadline, served() - {*PICTURES}
            time.sleep(0.5)
        assert not any(page.temp_file_sets)
        others = tmp_path / "of another application" / "photo.png"
        others.parent.mkdir()
        others.write_bytes(b"photo")
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(others.parent))
        time.sleep(7)  # two rounds
        assert others.exists()
    finally:
        stop.set()
        if cleaning.ident:
            cleaning.join()
        page.close(verbose=False)


def test_what_was_used_again_is_kept_longer(tmp_path: Path) -> None:
    for name in ("old.png", "kept.png", "used.png"):
        (tmp_path / name).write_bytes(b"photo")
    time.sleep(0.6)
    (tmp_path / "used.png").touch()
    delete_old(tmp_path, {str(tmp_path / "kept.png")}, 0.5)
    assert {path.name for path in tmp_path.iterdir()} == {"kept.png", "used.png"}


def test_a_job_that_is_no_longer_wanted_ends_with_what_the_page_says_by_then() -> None:
    def answers(job: str) -> Iterator[tuple[str]]:
        for number in (1, 2, 3):
            made.append(f"{job} {number}")
            yield (made[-1],)

    def nothing(words: str) -> tuple[str]:
        return (words,)

    made: list[str] = []
    visit = Visit()
    assert [*visit.follow(answers, nothing)] == [("",)]
    assert visit.ask(("a",), "working") == "working"
    assert [*visit.follow(answers, nothing)] == [("a 1",), ("a 2",), ("a 3",)]
    for job, words in ((("b",), "working on b"), (None, "stopped")):
        visit.ask(("a",), "working")
        made.clear()
        following = visit.follow(answers, nothing)
        assert next(following) == ("a 1",)
        visit.ask(job, words)
        assert [*following] == [(words,)]
        assert made == ["a 1", "a 2"]


def test_what_runs_beside_a_job_ends_when_another_is_asked_for() -> None:
    visit = Visit()
    visit.ask(("a",), "working")
    steps = visit.beside(iter("123"))
    assert next(steps) == "1"
    visit.ask(("a",), "working")
    assert [*steps] == []
    assert [*visit.beside(iter("123"))] == ["1", "2", "3"]


def test_a_visit_takes_no_more_memory_with_each_answer(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    page = app.build(Studio({name: Model(path) for name, path in tiny_models(tmp_path).items()}))
    _, url, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    try:
        client = Client(url, verbose=False, download_files=False)
        kept = []
        for detail in (0.1, 0.2, 0.3):
            for endpoint in ("/compare", "/upscale"):
                client.predict(handle_file(photo), detail, api_name=endpoint)
            client.predict([handle_file(photo)], detail, api_name="/batch")
            kept.append(len(page.state_holder[client.session_hash].blocks_config.blocks))
        assert kept == kept[:1] * 3
    finally:
        page.close(verbose=False)


def comparison(mixed: float | None, dogs: float | None, difference: float | None) -> Figures:
    keys = ("psnr_y", "psnr_rgb", "ssim_y")
    values = {"bicubic": 30.0, "mixed": mixed, "dogs": dogs, "dogs_minus_mixed": difference}
    return {way: dict.fromkeys(keys, value) for way, value in values.items()}


@pytest.mark.parametrize(
    ("mixed", "dogs", "difference", "headline", "words"),
    [
        (
            31.0,
            31.5,
            0.5,
            "The Dogs model wins by 0.50 dB",
            "\nDogs comes **0.50 dB** closer to your photo than Mixed, a clear difference. Both come",
        ),
        (
            31.25,
            29.5,
            -1.75,
            "The Mixed model wins by 1.75 dB",
            "\nMixed comes **1.75 dB** closer to your photo than Dogs, a large difference. Only Mixed comes",
        ),
        (
            29.0,
            29.09,
            0.09,
            "No visible difference\n",
            "\nDogs comes **0.09 dB** closer to your photo than Mixed, too little to see. Neither comes",
        ),
        (29.003, 29.0, -0.003, "No visible difference\n", "\nDogs and Mixed come equally close to your photo."),
        (
            None,
            None,
            None,
            "No visible difference\n",
            "\nMixed and Dogs gave your photo back without any error. Both come",
        ),
        (31.0, None, None, "The Dogs model wins\n", "\nDogs gave your photo back without any error. Both come"),
    ],
)
def test_the_winner_is_told_in_words(
    mixed: float | None, dogs: float | None, difference: float | None, headline: str, words: str
) -> None:
    verdict, table = tell_comparison(comparison(mixed, dogs, difference))
    assert verdict.startswith(f"## {headline}")
    assert words in verdict
    assert table.count("\n") == 5


@pytest.mark.parametrize(
    ("difference", "texture", "headline"),
    [
        (0.02, -0.03, "The Dogs model has the truer texture"),
        (0.02, 0.03, "The Mixed model has the truer texture"),
        (0.02, 0.009, "No visible difference"),
        (-0.5, -0.03, "The Mixed model wins by 0.50 dB"),
    ],
)
def test_where_psnr_shows_nothing_lpips_speaks_of_texture(difference: float, texture: float, headline: str) -> None:
    figures = comparison(31.0, 31.0 + difference, difference)
    for way, values in figures.items():
        values["lpips"] = texture if way == "dogs_minus_mixed" else 0.2
    assert tell_comparison(figures)[0].startswith(f"## {headline}\n")


def test_the_table_marks_every_best_value_as_it_is_shown() -> None:
    _, table = tell_comparison(comparison(31.001, 31.002, 0.001))
    rows = {line.split("|")[1].strip(): line for line in table.splitlines()}
    assert rows["Mixed"] == "| Mixed | **31.00** | **31.00** | 31.0010 |"
    assert rows["Dogs"] == "| Dogs | **31.00** | **31.00** | **31.0020** |"
    assert rows["Dogs minus mixed"] == "| Dogs minus mixed | 0.00 | 0.00 | +0.0010 |"


@pytest.mark.skipif(not {"mixed", "dogs"} <= BUNDLED.keys(), reason="the weights of mixed and dogs are not there")
def test_the_bundled_models_beat_bicubic_on_a_dog(tmp_path: Path) -> None:
    path = tmp_path / "dog.png"
    Image.open(EXAMPLES / "dog_german_shepherd.png").crop((128, 64, 384, 256)).save(path)
    studio = Studio({name: Model(name) for name in ("mixed", "dogs")})
    *_, last = studio.compare(path, 0)
    figures, pictures = last.figures, last.pictures
    assert min(figures["mixed"]["psnr_y"], figures["dogs"]["psnr_y"]) > figures["bicubic"]["psnr_y"]
    assert pictures.pop("small").size == (64, 48)
    assert {picture.size for picture in pictures.values()} == {(256, 192)}

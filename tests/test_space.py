"""The page with models of the Hub, and on a Space."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from app_server import running, tiny_models
from conftest import EXAMPLES, ROOT
from gradio_client import Client, handle_file
from hub_server import Fault, Hub
from huggingface_hub import SpaceCard, constants
from PIL import Image

import app
from esrgan.__main__ import main
from esrgan.errors import WeightsError
from esrgan.evaluation.study import measure, read_truth
from esrgan.models.generator import Generator
from esrgan.models.layout import BUNDLED
from esrgan.page import zero_gpu
from esrgan.page.blind import Photo
from esrgan.page.jobs import Studio
from esrgan.page.models import Model, load_models

SOURCES = {"mixed": "me/mixed", "dogs": "me/dogs"}
DEPLOY = ["deploy-space", "me/animals", "--mixed", "me/mixed", "--dogs", "me/dogs"]


@pytest.fixture
def published(online: Hub, tmp_path: Path) -> Hub:
    """A Hub with both models, `dogs` for its owner alone."""
    for name, folder in tiny_models(tmp_path / "models").items():
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        online.add(SOURCES[name], files, private=name == "dogs")
    return online


@pytest.mark.skipif({"mixed", "dogs"} - BUNDLED.keys() != set(), reason="needs the bundled weights")
def test_without_hub_and_cache_the_bundled_models_serve_and_the_page_says_so(
    published: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_models(SOURCES)[1] == []
    published.faults = [Fault("HEAD .*", 520, times=1000)]  # 503 would be asked for again for half a minute
    assert load_models(SOURCES)[1] == []  # they are in the cache
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    models, notes = load_models(SOURCES | {"mixed": "mixed"})
    assert models["dogs"].gan.config == Generator.from_pretrained("dogs").config
    assert [note.split(" (520)")[0] for note in notes] == [
        "Dogs is the model that comes with this page, not the one asked for. "
        "me/dogs: not to be had from the Hub; the Hub answers with an error"
    ]
    told = [str(component["props"].get("value")) for component in app.build(Studio(models), notes).config["components"]]
    assert sum(notes[0] in text for text in told) == 1


def test_only_a_hub_that_is_not_reached_is_made_up_for(published: Hub, tmp_path: Path) -> None:
    for source, told in (
        ("me/cats", "no such repository"),
        ("me/do--gs", "a Hub id is spelt owner/name"),
        (str(tmp_path / "no"), "no such model"),
    ):
        with pytest.raises(WeightsError, match=told):
            load_models(SOURCES | {"dogs": source})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b'{"mixed": "me/mi', "Unterminated string"),
        (b'["mixed"]', "it must hold a table"),
        (b'{"mixed": "\xff"}', "can't decode"),
        (b'{"a":' * 100_000, "it is nested too deep"),
        (b'{"mixed": {"place": "me/mixed"}}', "mixed: {'place': 'me/mixed'} names no model"),
        (b'{"dogs": ""}', "dogs: '' names no model"),
        (b'{"My cats": "me/cats"}', "'My cats' cannot be the name of a model"),
    ],
)
def test_a_broken_list_of_models_is_one_sentence_and_status_1(
    content: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listed = tmp_path / "models.json"
    listed.write_bytes(content)
    monkeypatch.setattr(app, "HERE", tmp_path)
    assert app.main([]) == 1
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"{listed}: not a list of models (")
    assert told in said
    assert said.endswith("or remove it.")


def test_a_list_of_models_may_be_saved_by_any_editor_and_leave_out_bundled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.json").write_text('{"cats": "./models/cats"}', encoding="utf-8-sig")
    monkeypatch.setattr(app, "HERE", tmp_path)
    assert app.given_models() == {"mixed": "mixed", "dogs": "dogs", "cats": str(tmp_path / "models" / "cats")}
    monkeypatch.setenv("ESRGAN_DOGS", "./models/dogs")
    monkeypatch.setenv("ESRGAN_CATS", "me/cats")
    assert app.given_models() == {"mixed": "mixed", "dogs": str(tmp_path / "models" / "dogs"), "cats": "me/cats"}


def test_one_stage_in_the_cache_is_enough_to_start(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    Generator.from_pretrained("me/dogs")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = Model("me/dogs")
    assert not model.has_dial


def test_a_space_gets_page_models_and_requirements(published: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(DEPLOY) == 0
    assert capsys.readouterr().out == f"{published.url}/spaces/me/animals\n"
    space = published["spaces/me/animals"]
    commits = {name: published[source].commits[-1].oid for name, source in SOURCES.items()}
    assert space.variables == {
        "ESRGAN_MIXED": f"me/mixed@{commits['mixed']}",
        "ESRGAN_DOGS": f"me/dogs@{commits['dogs']}",
    }
    files = space.commits[-1].files
    card = SpaceCard((files["README.md"].content or b"").decode()).data.to_dict()
    pinned = {line.partition("==")[0]: line.partition("==")[2] for line in (ROOT / "requirements.txt").open()}
    assert (card["sdk"], card["sdk_version"], card["app_file"]) == ("gradio", pinned["gradio"].strip(), "app.py")
    assert card["models"] == ["me/mixed", "me/dogs"]
    assert card["preload_from_hub"] == [  # the private one cannot be
        f"me/mixed config.json,model.psnr.safetensors,model.safetensors {commits['mixed']}"
    ]
    assert not [path for path in files if "__pycache__" in path or path.startswith(("tests/", "spaces/"))]

    assert space.hardware == "cpu-basic"

    space.commit("old", files | {"esrgan/old.py": published.keep("esrgan/old.py", b"")})
    assert main([*DEPLOY, "--zero-gpu"]) == 0
    assert space.hardware == "zero-a10g"
    last = space.commits[-1]
    assert last.changed == {"esrgan/old.py", "requirements.txt"}
    required = (last.files["requirements.txt"].content or b"").decode().splitlines()
    (torch,) = [line for line in required if line.startswith("torch==")]
    assert (2, 8) <= tuple(map(int, torch.removeprefix("torch==").split(".")[:2])) <= (2, 11)
    assert any(line.startswith("spaces") for line in required)


def test_a_space_keeps_a_gpu_that_was_rented_and_leaves_zero_gpu(published: Hub) -> None:
    assert main(DEPLOY) == 0
    space = published["spaces/me/animals"]
    for before, after in (("t4-small", "t4-small"), ("zero-a10g", "cpu-basic")):
        space.hardware = before
        assert main(DEPLOY) == 0
        assert space.hardware == after


def test_a_public_space_is_not_taken_for_a_private_one(published: Hub, caplog: pytest.LogCaptureFixture) -> None:
    published.add("me/animals", {"README.md": b""}, kind="spaces")
    assert main([*DEPLOY, "--private"]) == 1
    assert "me/animals: is public already" in caplog.records[-1].getMessage()
    space = published["spaces/me/animals"]
    assert (len(space.commits), space.variables) == (1, {})


def test_a_space_gets_further_models(published: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mixed"
    assert main([*DEPLOY, "--model", "cats=me/dogs:0.5", "--model", f"bears={folder}", "--model", "more=mixed"]) == 0
    space, commit = published["spaces/me/animals"], published["me/dogs"].commits[-1].oid
    further = {"cats": f"me/dogs@{commit}:0.5", "bears": "./models/bears", "more": "mixed"}
    files = space.commits[-1].files
    listed = json.loads((files["models.json"].content or b"").decode())
    assert {name: listed[name] for name in further} == further
    assert space.variables == {f"ESRGAN_{name.upper()}": source for name, source in listed.items()}
    assert {path for path in files if path.startswith("models/")} == {
        f"models/bears/{path.name}" for path in folder.iterdir()
    }


@pytest.mark.parametrize(
    "program", [app.main, lambda options: main([*DEPLOY, *options])], ids=["app.py", "deploy-space"]
)
@pytest.mark.parametrize("text", ["cats", "cats=", "=x", "Cats=x", "dogs=x", "map=x", "consistency=x", "a cat=x"])
def test_a_further_model_needs_a_name_and_a_source(
    program: Callable[[list[str]], int], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program(["--model", text])
    assert "must be NAME=SOURCE" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        program(["--model", "cats=x", "--model", "cats=y"])
    assert "a model called cats already" in capsys.readouterr().err


def test_a_space_keeps_the_revision_and_the_stage_that_are_named(published: Hub) -> None:
    first = published["me/dogs"].commits[-1]
    published["me/dogs"].commit("later", first.files | {"more": published.keep("more", b"")})
    assert main([*DEPLOY[:-1], f"me/dogs@{first.oid}:0.5"]) == 0
    assert published["spaces/me/animals"].variables["ESRGAN_DOGS"] == f"me/dogs@{first.oid}:0.5"


def test_what_a_space_cannot_be_made_of_is_one_sentence(
    published: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published.add("me/empty", {"README.md": b""})
    (tmp_path / "full" / "precious").mkdir(parents=True)
    for command, told in (
        ([*DEPLOY[:-1], "me/cats"], "me/cats: there is no such repository"),
        ([*DEPLOY[:-1], "me/empty"], "me/empty: no config.json and no model.safetensors there; publish a model"),
        ([*DEPLOY[:-1], "me/dogs@psnr"], "a stage is written after a colon now: me/dogs:psnr."),
        ([*DEPLOY, "--model", "cats=nowhere"], "nowhere: no such model"),
        (["deploy-space", "you/animals", *DEPLOY[2:]], "you/animals: the token may not do that"),
        ([*DEPLOY, "--dry-run", str(tmp_path / "full")], "is there already; give a new folder"),
    ):
        assert main(command) == 1
        assert told in caplog.records[-1].getMessage()
    assert (tmp_path / "full" / "precious").is_dir()
    assert ("spaces", "me/animals") not in published.repositories


def test_a_dry_run_takes_the_bundled_models_and_says_what_it_wrote(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "space"
    assert main(["deploy-space", "me/animals", "--dry-run", str(folder)]) == 0
    assert json.loads((folder / "models.json").read_text()) == {"mixed": "mixed", "dogs": "dogs"}
    assert str(folder / "app.py") in caplog.messages[-1]


ANEW = pytest.mark.skipif("CI" not in os.environ, reason="installs all packages anew; set CI=1 to have it done")


@pytest.mark.parametrize("anew", [False, pytest.param(True, marks=ANEW)], ids=["this environment", "a new one"])
def test_the_bundle_alone_serves_the_models_of_the_hub(published: Hub, tmp_path: Path, anew: bool) -> None:
    bundle = tmp_path / "bundle"
    further = ["--model", f"cats={tmp_path / 'models' / 'dogs'}:psnr"]
    assert main([*DEPLOY, *further, "--dry-run", str(bundle)]) == 0
    assert not published.repositories.keys() & {("spaces", "me/animals")}
    # What is bundled cannot be what answers.
    shutil.rmtree(bundle / "esrgan" / "pretrained")
    environment = published.environment(tmp_path / "home") | {"PYTHONPATH": str(bundle)}
    python = sys.executable
    if anew:
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
        python = str(tmp_path / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", bundle / "requirements.txt"], check=True)
    Image.open(EXAMPLES / "cat_chelsea.png").crop((150, 80, 214, 128)).save(tmp_path / "cat.png")
    with running(bundle / "app.py", bundle, environment, python=python) as url:
        client = Client(url, verbose=False, download_files=tmp_path / "downloads")
        figures, *files = client.predict(handle_file(tmp_path / "cat.png"), 1, api_name="/compare")
    truth = read_truth(tmp_path / "cat.png")
    for name, place in (("mixed", "mixed"), ("dogs", "dogs"), ("cats", "dogs:psnr")):
        upscaler = Model(f"{tmp_path / 'models' / place}").at(1)
        assert figures[name] == pytest.approx(measure(upscaler, truth), abs=1e-6), name
    assert np.array_equal(np.asarray(Image.open(files[0])), np.asarray(truth))
    assert "Traceback" not in (bundle / "log").read_text()


@pytest.mark.skipif(hasattr(zero_gpu.spaces, "GPU"), reason="the package spaces is installed")
def test_the_folder_spaces_alone_lends_no_gpu() -> None:
    code = "import spaces, esrgan.page.zero_gpu as z; assert not hasattr(spaces, 'GPU'); assert z.on_gpu(id, id) is id"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_gpu_is_asked_for_by_the_pixels(tmp_path: Path) -> None:
    def saved(name: str, width: int, height: int) -> Path:
        Image.new("L", (width, height)).save(tmp_path / name)
        return tmp_path / name

    small, large = saved("small.png", 100, 100), saved("large.png", 2000, 1500)
    studio = Studio({})
    assert zero_gpu.duration(studio.compared_pixels(small)) == 15
    assert zero_gpu.duration(studio.compared_pixels(large)) == 15 + 6  # 3 megapixels, shrunk by 4 before
    assert zero_gpu.duration(studio.upscaled_pixels(small, 0.5)) == 15
    assert zero_gpu.duration(studio.upscaled_pixels(large, 0.5, "500, 0, 1500, 1000")) == 15 + 30
    assert zero_gpu.duration(50 * studio.compared_pixels(large)) == 120
    (tmp_path / "text.png").write_text("no photo")
    for nothing in (tmp_path / "missing.png", tmp_path / "text.png"):
        assert studio.compared_pixels(nothing) == studio.upscaled_pixels(nothing, 0.5) == 0


def test_a_part_asks_for_a_gpu_by_its_own_pixels_before_they_are_enlarged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Callable[..., int]] = {}

    def lend(*, duration: Callable[..., int]) -> Callable[[Callable], Callable]:
        def note(function: Callable) -> Callable:
            function = inspect.unwrap(function)
            asked[getattr(function, "func", function).__name__] = duration
            return function

        return note

    monkeypatch.setattr(zero_gpu, "spaces", SimpleNamespace(GPU=lend))
    app.build(Studio({name: Model(path) for name, path in tiny_models(tmp_path).items()}))
    small, box = Image.new("RGB", (1000, 800)), (400, 0, 1600, 1600)
    assert asked["doubt"](small) == 15 + 48  # in twice as many ways as usual
    assert asked["peek"](small, box, 0.5) == 15 + 4  # 0.12 megapixels
    parts = [(Photo("cat", small, small), (0, 0, 128, 128))] * 12
    assert asked["rounds"](parts, 0.5) == 15  # 0.012 megapixels
    assert asked["rounds"](20 * parts, 0.5) == 15 + 7


def test_what_is_refused_where_a_gpu_is_lent_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves a process of ZeroGPU is a failure of Gradio, or of anything else no more than its kind."""
    monkeypatch.setattr(zero_gpu, "spaces", SimpleNamespace(GPU=lambda **_: lambda function: function))
    (tmp_path / "text.png").write_text("no photo")
    studio = Studio({name: Model(path) for name, path in tiny_models(tmp_path).items()})
    compare = zero_gpu.on_gpu(studio.compare, studio.compared_pixels)
    with pytest.raises(gr.Error, match=r"text\.png: not an image that can be read"):
        list(compare(tmp_path / "text.png", 0))
    steps = [step for _, step in studio.batch([tmp_path / "text.png", EXAMPLES / "cat_chelsea.png"], 0, compare)]
    (problem,) = [step.problem for step in steps if step.problem]
    assert problem.startswith("text.png: not an image that can be read")
    assert steps[-1].figures


@pytest.mark.parametrize(("said", "lent"), [("1", True), ("true", True), ("0", False), (None, False)])
def test_a_space_lends_gpus_only_where_it_says_so(
    monkeypatch: pytest.MonkeyPatch, said: str | None, lent: bool
) -> None:
    monkeypatch.setattr(zero_gpu, "spaces", SimpleNamespace(GPU=lambda **_: None))
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    if said:
        monkeypatch.setenv("SPACES_ZERO_GPU", said)
    assert zero_gpu.is_lent() == lent

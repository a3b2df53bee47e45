"""The one grammar in which models are named, `SOURCE[@REVISION][:STAGE]`."""

import json
from pathlib import Path

import pytest
import torch
from conftest import EXAMPLES
from hub_server import Hub
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import app
from esrgan import Generator, WeightsError
from esrgan.__main__ import main
from esrgan.models.convert import load
from esrgan.models.source import Source, is_hub_id, parse, split_label
from esrgan.page.models import Model


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A folder with the weights of both stages."""
    torch.manual_seed(0)
    Generator(1, 8, 4).save_pretrained(tmp_path / "both", psnr=Generator(1, 8, 4))
    return tmp_path / "both"


def same(one: Generator, other: Generator) -> bool:
    return all(torch.equal(one.state_dict()[key], tensor) for key, tensor in other.state_dict().items())


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("dogs", Source("dogs")),
        ("dogs:psnr", Source("dogs", None, "psnr")),
        ("dogs:0.25", Source("dogs", None, 0.25)),
        ("me/x", Source("me/x")),
        ("me/x:1", Source("me/x", None, 1.0)),
        ("me/x@v1.2", Source("me/x", "v1.2")),
        ("me/x@refs/pr/3:gan", Source("me/x", "refs/pr/3", "gan")),
        ("me/x@2:0.5", Source("me/x", "2", 0.5)),
        ("no/such/folder:psnr", Source("no/such/folder", None, "psnr")),
        (r"C:\models\dogs", Source(r"C:\models\dogs")),
        (r"C:\models\dogs:gan", Source(r"C:\models\dogs", None, "gan")),
        ("runs@home/mine/gan", Source("runs@home/mine/gan")),
        ("", Source("")),
    ],
)
def test_a_name_is_taken_apart(name: str, source: Source) -> None:
    assert parse(name) == source


@given(
    st.from_regex(r"[a-z0-9_]{1,9}/[a-z0-9_]{1,9}", fullmatch=True),
    st.none() | st.from_regex(r"v[a-z0-9./]{0,9}", fullmatch=True),
    st.none() | st.sampled_from(["psnr", "gan"]) | st.floats(0, 1),
)
def test_what_is_spelled_is_read_back(place: str, revision: str | None, stage: str | float | None) -> None:
    source = Source(place, revision, stage)
    assert parse(str(source)) == source


@given(st.text(max_size=30) | st.text(alphabet="a/@:.01=\0", max_size=12) | st.text("/a", min_size=5000, max_size=6000))
def test_any_text_is_a_name_or_one_sentence(text: str) -> None:
    try:
        place = parse(text).place
    except WeightsError as error:
        place = str(error).partition(": ")[0]
    assert text.startswith(place)
    assert split_label(text)[1] in text
    assert not is_hub_id(text) or "/" in text


@pytest.mark.parametrize("stage", ["best", "1.5", "-0.1", "nan", "", "psnr "])
def test_a_stage_that_is_none_is_refused(stage: str) -> None:
    with pytest.raises(WeightsError, match="must be psnr, gan, camera or a number from 0 to 1"):
        load(f"dogs:{stage}")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("dogs@psnr", "dogs:psnr"),
        ("me/x@gan", "me/x:gan"),
        ("me/x@1", "me/x:1"),
        ("me/x@main@0.5", "me/x@main:0.5"),
        ("runs/mine@0.25", "runs/mine:0.25"),
    ],
)
def test_the_former_way_to_name_a_stage_tells_the_new_one(name: str, told: str) -> None:
    for take in (load, Generator.from_pretrained, Model):
        with pytest.raises(WeightsError, match=rf"a stage is written after a colon now: {told}\.$"):
            take(name)


def test_the_name_may_hold_the_stage(both: Path) -> None:
    for stage in ("psnr", "gan", 0.5):
        expected = Generator.from_pretrained(both, stage=stage)
        assert same(Generator.from_pretrained(f"{both}:{stage}"), expected)
        assert same(load(f"{both}:{stage}"), expected)
    assert same(Generator.from_pretrained(f"{both}:gan", stage="psnr"), Generator.from_pretrained(both, stage="psnr"))


def test_a_path_that_exists_is_taken_as_it_is(both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = both.rename(tmp_path / "a=b@v1:0.5")
    assert same(load(odd.name), Generator.from_pretrained(odd, stage="gan"))
    assert same(load(f"{odd.name}:psnr"), Generator.from_pretrained(odd, stage="psnr"))
    assert split_label(odd.name) == (odd.name, odd.name)


def test_a_file_has_no_stages(both: Path) -> None:
    with pytest.raises(WeightsError, match="one file has no stages"):
        load(f"{both / 'model.safetensors'}:psnr")


def test_a_model_of_the_page_named_with_its_stage_has_no_dial(both: Path) -> None:
    model = Model(f"{both}:0.5")
    assert not model.has_dial
    assert same(model.gan, Generator.from_pretrained(both, stage=0.5))
    assert Model(both).has_dial


def test_a_revision_and_a_stage_of_the_hub(online: Hub, both: Path) -> None:
    first = online.add("me/x", {path.name: path.read_bytes() for path in both.iterdir()})
    torch.manual_seed(1)
    Generator(1, 8, 4).save_pretrained(both, psnr=Generator(1, 8, 4))
    online.add("me/x", {path.name: path.read_bytes() for path in both.iterdir()})
    earlier = load(f"me/x@{first.oid}:psnr")
    assert same(load("me/x:psnr"), Generator.from_pretrained(both, stage="psnr"))
    assert not same(earlier, load("me/x:psnr"))
    assert same(earlier, Generator.from_pretrained("me/x:gan", revision=first.oid, stage="psnr"))


def test_evaluate_calls_a_model_by_its_name(both: Path, tmp_path: Path) -> None:
    Image.open(EXAMPLES / "cat_chelsea.png").crop((100, 60, 148, 100)).save(tmp_path / "cat.png")
    command = ["evaluate", "--data", str(tmp_path / "cat.png"), "--output", str(tmp_path / "study")]
    models = [f"exact={both}:psnr", f"crisp={both}:gan"]
    assert main([*command, "--models", *models, "--difference", "exact", "crisp"]) == 0
    scores = json.loads((tmp_path / "study" / "scores.json").read_text(encoding="utf-8"))
    assert list(scores["mean"]) == ["bicubic", "exact", "crisp"]
    assert list(scores["difference"]) == ["crisp_minus_exact"]
    assert scores["mean"]["exact"] != scores["mean"]["crisp"]


@pytest.mark.parametrize("models", [["a=dogs", "a=mixed"], ["bicubic=dogs"]])
def test_two_models_of_one_name_are_refused(models: list[str], caplog: pytest.LogCaptureFixture) -> None:
    assert main(["evaluate", "--data", str(EXAMPLES), "--models", *models]) == 1
    assert caplog.messages[-1].endswith("is the name of another; give it one of its own.")


@pytest.mark.parametrize("command", ["upscale", "evaluate", "export", "app"])
def test_every_command_takes_the_same_names(
    command: str, both: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former, photo = f"{both}@psnr", str(EXAMPLES / "cat_chelsea.png")
    runs = {
        "upscale": lambda: main(["upscale", photo, "-o", str(tmp_path / "out"), "--model", former]),
        "evaluate": lambda: main(["evaluate", "--data", photo, "--models", f"exact={former}"]),
        "export": lambda: main(["export", "--onnx", str(tmp_path / "x.onnx"), "--model", former]),
        "app": lambda: app.main(["--model", f"exact={former}"]),
    }
    assert runs[command]() == 1
    assert f"{both}:psnr." in caplog.messages[-1]

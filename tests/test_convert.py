"""Published weights, under each of the key names they come with; and the way to ONNX."""

import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, printed
from fuzz_weights import DAMAGE, damaged, run, sound_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from esrgan import Generator, Upscaler, WeightsError
from esrgan.__main__ import main
from esrgan.errors import BackendError
from esrgan.inference.onnx import export_onnx
from esrgan.models.convert import find_generator, load

TOP = {"conv_first": 0, "conv_up1": 3, "conv_up2": 6, "conv_hr": 8, "conv_last": 10}
LATER = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}


def first_release_name(key: str) -> str:
    name, kind = key.rsplit(".", 1)
    if name in TOP:
        return f"model.{TOP[name]}.{kind}"
    if name == "conv_body":
        return f"model.1.sub.2.{kind}"
    return re.sub(r"body\.(\d+)\.rdb(\d)\.(conv\d)", r"model.1.sub.\1.RDB\2.\3.0", name) + f".{kind}"


def later_name(key: str) -> str:
    name, kind = key.rsplit(".", 1)
    return re.sub(r"body\.(\d+)\.rdb(\d)", r"RRDB_trunk.\1.RDB\2", LATER.get(name, name)) + f".{kind}"


@pytest.mark.parametrize("rename", [first_release_name, later_name, str], ids=["first release", "later", "BasicSR"])
@pytest.mark.parametrize("nested", [None, "params", "params_ema"])
def test_a_published_file_gives_the_same_output(rename, nested, tmp_path) -> None:
    torch.manual_seed(0)
    generator = Generator(2, 8, 4).eval()
    state = {rename(key): tensor for key, tensor in generator.state_dict().items()}
    torch.save({nested: state} if nested else state, tmp_path / "published.pth")
    x = torch.rand(1, 3, 9, 7)
    assert torch.equal(load(tmp_path / "published.pth")(x), generator(x))


@pytest.mark.parametrize("rename", [first_release_name, later_name, str], ids=["first release", "later", "BasicSR"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".SafeTensors"])
def test_convert_writes_a_folder_that_from_pretrained_takes(rename, suffix, tmp_path) -> None:
    torch.manual_seed(0)
    generator = Generator(2, 8, 4).half().float().eval()  # a folder holds half precision
    state = {rename(key): tensor for key, tensor in generator.state_dict().items()}
    path = tmp_path / f"published{suffix}"
    save_file(state, path) if suffix.lower() == ".safetensors" else torch.save(state, path)
    assert main(["convert", str(path), str(tmp_path / "folder")]) == 0
    x = torch.rand(1, 3, 9, 7)
    assert torch.equal(Generator.from_pretrained(tmp_path / "folder")(x), generator(x))


def test_convert_leaves_a_model_that_is_there_as_it_is(tmp_path, caplog) -> None:
    model = Generator(1, 8, 4)
    model.save_pretrained(tmp_path / "model", psnr=model, camera=model)
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    assert main(["convert", str(tmp_path / "model" / "model.psnr.safetensors"), str(tmp_path / "model")]) == 1
    assert caplog.messages[-1] == f"{tmp_path / 'model'}: is there already; give a new folder."
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


@pytest.mark.parametrize("prefix", ["", "module.", "netG.", "generator.", "_orig_mod.", "module._orig_mod.", "model."])
@pytest.mark.parametrize(
    "wrappers", [[], ["state_dict"], ["model"], ["net"], ["model_state_dict"], ["params-ema"], ["model", "params_ema"]]
)
@pytest.mark.parametrize("rename", [first_release_name, later_name, str], ids=["first release", "later", "BasicSR"])
def test_wrappers_prefixes_and_what_lies_beside(wrappers, prefix, rename, tmp_path) -> None:
    torch.manual_seed(0)
    generator = Generator(1, 8, 4).eval()
    content = {prefix + rename(key): tensor for key, tensor in generator.state_dict().items()}
    if prefix:
        content["netD.conv.weight"] = torch.zeros(8, 3, 3, 3)
    for wrapper in wrappers:
        content = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.zeros(())}}}, wrapper: content, "note": "x"}
    torch.save(content, tmp_path / "training.pth")
    x = torch.rand(1, 3, 5, 4)
    assert torch.equal(load(tmp_path / "training.pth")(x), generator(x))


@pytest.mark.parametrize(
    ("plain", "averaged"), [("params", "params_ema"), ("params", "params-ema"), ("net", "ema"), ("netG.", "model_ema.")]
)
def test_averaged_weights_come_first(plain, averaged, tmp_path) -> None:
    last, average = (Generator(1, 8, 4).state_dict() for _ in range(2))
    content = {plain: last, averaged: average}
    if plain.endswith("."):
        content = {prefix + key: tensor for prefix, state in content.items() for key, tensor in state.items()}
    torch.save(content, tmp_path / "both.pth")
    found = load(tmp_path / "both.pth").state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in average.items())


def rescaled(scale: int, naming: str) -> dict[str, torch.Tensor]:
    """Tensors of a network for another scale, under the names that it comes with."""
    state = Generator(1, 8, 4).state_dict()
    if naming == "BasicSR":  # shuffles pixels into channels, and then enlarges by 4
        state["conv_first.weight"] = torch.zeros(8, 3 * (4 // scale) ** 2, 3, 3)
        return state
    ups = {1: 0, 2: 1, 8: 3}[scale]
    top = ["conv_first", *(f"conv_up{i + 1}" for i in range(ups)), "conv_hr", "conv_last"]
    state |= {f"conv_up3.{kind}": state[f"conv_up2.{kind}"] for kind in ("weight", "bias")}
    state = {key: tensor for key, tensor in state.items() if key.split(".")[0] in {*top, "body", "conv_body"}}
    numbers = [0, *(3 * (i + 1) for i in range(ups)), 2 + 3 * ups, 4 + 3 * ups]
    if naming == "later":
        return {later_name(key).replace("conv_up3", "upconv3"): tensor for key, tensor in state.items()}
    numbered = {name: f"model.{number}" for name, number in zip(top, numbers, strict=True)}
    return {
        f"{numbered[key.split('.')[0]]}.{key.split('.')[1]}"
        if key.split(".")[0] in numbered
        else first_release_name(key): t
        for key, t in state.items()
    }


@pytest.mark.parametrize(
    ("scale", "naming"),
    [(scale, "BasicSR") for scale in (1, 2)] + [(scale, name) for scale in (1, 2, 8) for name in ("first", "later")],
)
def test_convert_refuses_a_network_for_another_scale(scale, naming, tmp_path, caplog) -> None:
    torch.save({"params_ema": rescaled(scale, naming)}, tmp_path / "other.pth")
    assert main(["convert", str(tmp_path / "other.pth"), str(tmp_path / "folder")]) == 1
    assert caplog.messages[-1].endswith(f"other.pth: a x{scale} network; this library enlarges by 4.")
    assert not (tmp_path / "folder").exists()


def test_published_weights_stay_within_a_level_when_converted(shared, tmp_path) -> None:
    published = shared / "weights" / "realesrgan-x4plus_rrdbnet_fp16.safetensors"
    assert main(["convert", str(published), str(tmp_path / "x4plus")]) == 0
    before, after = load(published), Generator.from_pretrained(tmp_path / "x4plus")
    assert (tmp_path / "x4plus" / "model.safetensors").stat().st_size < 1.01 * published.stat().st_size
    photo = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((150, 80, 174, 96))
    one, other = (np.asarray(Upscaler(model, dtype=torch.float32)(photo)).astype(int) for model in (before, after))
    assert np.abs(one - other).max() <= 1


def test_onnx_gives_the_same_for_any_size(tmp_path, caplog) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason="needs the extra onnx")
    import onnxruntime

    torch.manual_seed(0)
    generator = Generator(1, 8, 4).half().float().eval()
    generator.save_pretrained(tmp_path / "model")
    path = tmp_path / "model.onnx"
    assert main(["export", "--onnx", str(path), "--model", str(tmp_path / "model")]) == 0
    session = onnxruntime.InferenceSession(path)
    for height, width in ((1, 1), (5, 64), (33, 20)):
        x = torch.rand(1, 3, height, width)
        (y,) = session.run(["upscaled"], {"image": x.numpy()})
        assert y.shape == (1, 3, 4 * height, 4 * width)
        assert torch.allclose(torch.from_numpy(y), generator(x), atol=1e-5)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "model", path]


def test_onnx_that_gives_no_numbers_is_not_written(tmp_path) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason="needs the extra onnx")
    generator = Generator(1, 8, 4).half()
    with torch.no_grad():
        generator.conv_last.bias[0] = float("nan")
    with pytest.raises(BackendError, match="differs from PyTorch by nan; nothing is written"):
        export_onnx(generator, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    assert generator.conv_first.weight.dtype == torch.float16, "it is the caller's"


def test_without_the_packages_onnx_is_one_sentence(tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    Generator(1, 8, 4).save_pretrained(tmp_path / "model")
    assert main(["export", "--onnx", str(tmp_path / "x.onnx"), "--model", str(tmp_path / "model")]) == 1
    assert caplog.messages[-1] == "ONNX needs the package onnxruntime; pip install onnx onnxruntime onnxscript."


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Evil(), "not a file of tensors alone"),
        ({"weights": 3}, "no table of tensors"),
        ({"params": torch.zeros(3)}, "no table of tensors of this architecture"),
        (torch.zeros(3), "no table of tensors"),
        ({"conv1.weight": torch.zeros(1)}, "not an RRDBNet"),
        ({"body.0.rdb1.conv1.weight": torch.zeros(())}, "not this architecture"),
    ],
)
def test_anything_else_is_refused_with_the_reason(content, reason, tmp_path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=rf"other\.pth: .*{reason}"):
        load(tmp_path / "other.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".zip.pth"])
@pytest.mark.parametrize("kind", ["empty", "pointer", "page", "cut", "nearly whole"])
def test_what_was_downloaded_instead_is_named(suffix, kind, tmp_path, caplog) -> None:
    path, state = tmp_path / f"weights{suffix}", Generator(1, 8, 4).state_dict()
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == ".zip.pth")
    whole = path.read_bytes()
    content, reason = {
        "empty": (b"", "is empty; download it again"),
        "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        "page": (b"\n<!DOCTYPE html><html>Not found</html>", "is a web page"),
        "cut": (whole[:5000], "is cut off; download it again"),
        "nearly whole": (whole[:-1], "is cut off; download it again"),
    }[kind]
    path.write_bytes(content)
    assert main(["convert", str(path), str(tmp_path / "folder")]) == 1
    assert str(path) in caplog.messages[-1]
    assert reason in caplog.messages[-1]


def test_an_archive_that_is_packed_is_not_opened(tmp_path) -> None:
    torch.save({"params": Generator(1, 8, 4).state_dict(), "more": torch.zeros(10_000_000)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "packed.pth", "w") as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)
    load(tmp_path / "plain.pth")
    assert (tmp_path / "packed.pth").stat().st_size < 200_000
    with pytest.raises(WeightsError, match=r"packed\.pth: is a packed archive"):
        load(tmp_path / "packed.pth")


def test_tensors_build_nothing_larger_than_their_file(tmp_path) -> None:
    with torch.device("meta"):
        wide = Generator(1, 4000, 4000).state_dict()
    torch.save({key: torch.zeros(1).expand(tensor.shape) for key, tensor in wide.items()}, tmp_path / "expanded.pth")
    one = torch.zeros(4000 * 4000 * 9)
    torch.save(
        {key: one[: t.numel()].view(t.shape) for key, t in wide.items() if t.numel() <= len(one)},
        tmp_path / "shared.pth",
    )
    state = Generator(1, 8, 4).state_dict()
    save_file(state | {"body.999999999.rdb1.conv1.weight": torch.zeros(1)}, tmp_path / "named.safetensors")
    save_file(state | {f"body.{'9' * 5000}.rdb1.conv1.weight": torch.zeros(1)}, tmp_path / "digits.safetensors")
    hundred = {f"body.{i}.rdb1.conv1.weight": torch.zeros(4, 8, 3, 3) for i in range(101)}
    save_file(state | hundred, tmp_path / "blocks.safetensors")
    said = printed(f"""
from pathlib import Path
from esrgan import WeightsError
from esrgan.models.convert import find_generator, load
before = peak()
for name in ("expanded.pth", "shared.pth", "named.safetensors", "digits.safetensors", "blocks.safetensors"):
    try:
        load(Path({str(tmp_path)!r}, name))
    except WeightsError as error:
        print(str(error).partition(name)[2])
print((peak() - before) // 2**20)
""").splitlines()
    assert said[:2] == [": its tensors claim to be larger than the file, so it is not opened."] * 2
    assert "1 unexpected: body.999999999.rdb1.conv1.weight" in said[2]
    assert "1 unexpected: body.99999" in said[3]
    assert said[4].startswith(": num_blocks = 101 is not a setting of this network")
    assert int(said[5]) < 100  # MiB


@pytest.mark.parametrize(
    "make",
    [
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to(torch.float8_e4m3fn),
        lambda tensor: tensor.bool(),
    ],
)
def test_a_tensor_of_other_numbers_is_refused(make, tmp_path) -> None:
    state = Generator(1, 8, 4).state_dict()
    torch.save(state | {"conv_hr.weight": make(state["conv_hr.weight"])}, tmp_path / "odd.pth")
    with pytest.raises(
        WeightsError, match=r"odd\.pth does not fit the network; 1 of other numbers: conv_hr\.weight \("
    ):
        load(tmp_path / "odd.pth")


def test_two_names_of_one_layer_are_refused(tmp_path) -> None:
    state = Generator(1, 8, 4).state_dict()
    torch.save(state | {"trunk_conv.bias": torch.zeros(8)}, tmp_path / "twice.pth")
    with pytest.raises(WeightsError, match=r"twice\.pth: two tensors have the names of one layer"):
        load(tmp_path / "twice.pth")


def test_tables_that_hold_themselves_end(tmp_path) -> None:
    content: dict = {"a": 1}
    for i in range(3000):
        content = {"a": content, "b": content, i: content}
    content["self"] = content
    assert find_generator(content) is None
    assert find_generator({"params": 3}) is None


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, bytes]:
    return sound_files(tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "zip.pth", "legacy.pth"])
@given(how=st.sampled_from(DAMAGE), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_damaged_is_one_sentence(name, how, data, sound, tmp_path) -> None:
    (tmp_path / "config.json").write_bytes(sound["config.json"])
    (tmp_path / "model.safetensors").write_bytes(sound["model.safetensors"])
    header = 4000 if how == "flip" else len(sound[name])  # where damage is more than other numbers
    draw = lambda below: data.draw(st.integers(0, min(below, header) - 1))  # noqa: E731
    (tmp_path / name).write_bytes(damaged(sound[name], how, draw))
    try:
        load(tmp_path / name if name.endswith(".pth") else tmp_path)
        told = str(tmp_path)  # what happens to be sound
    except WeightsError as error:
        told = str(error)
    assert str(tmp_path) in told
    assert "\n" not in told


def test_no_damaged_file_ends_a_command_in_a_traceback(tmp_path, capsys) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs /proc to tell the memory")
    assert run(60, 0, tmp_path) == 0, capsys.readouterr().out

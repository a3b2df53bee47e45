"""Published weights, under each of the key names they come with; and the way to ONNX."""

import re
import sys

import pytest
import torch
from safetensors.torch import save_file

from esrgan import Generator, WeightsError
from esrgan.__main__ import main
from esrgan.models.convert import load

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
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_convert_writes_a_folder_that_from_pretrained_takes(rename, suffix, tmp_path) -> None:
    torch.manual_seed(0)
    generator = Generator(2, 8, 4).half().float().eval()  # a folder holds half precision
    state = {rename(key): tensor for key, tensor in generator.state_dict().items()}
    path = tmp_path / f"published{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    assert main(["convert", str(path), str(tmp_path / "folder")]) == 0
    x = torch.rand(1, 3, 9, 7)
    assert torch.equal(Generator.from_pretrained(tmp_path / "folder")(x), generator(x))


def test_convert_refuses_a_network_for_another_scale(tmp_path, caplog) -> None:
    state = Generator(1, 8, 4).state_dict()
    state["conv_first.weight"] = torch.zeros(8, 12, 3, 3)  # as in Real-ESRGAN's x2
    torch.save({"params_ema": state}, tmp_path / "x2.pth")
    assert main(["convert", str(tmp_path / "x2.pth"), str(tmp_path / "folder")]) == 1
    assert "conv_first.weight (file (8, 12, 3, 3), model (8, 3, 3, 3))" in caplog.text
    assert not (tmp_path / "folder").exists()


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


def test_without_the_packages_onnx_is_one_sentence(tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    Generator(1, 8, 4).save_pretrained(tmp_path / "model")
    assert main(["export", "--onnx", str(tmp_path / "x.onnx"), "--model", str(tmp_path / "model")]) == 1
    assert caplog.messages[-1] == "ONNX needs the package onnxruntime; pip install 'esrgan-animals[onnx]'."


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Evil(), "not a file of tensors alone"),
        ({"weights": 3}, "no table of tensors"),
        ({"conv1.weight": torch.zeros(1)}, "not an RRDBNet"),
    ],
)
def test_anything_else_is_refused_with_the_reason(content, reason, tmp_path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=rf"other\.pth: .*{reason}"):
        load(tmp_path / "other.pth")


def test_a_cut_file_is_refused(tmp_path) -> None:
    torch.save(Generator(1, 8, 4).state_dict(), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"cut\.pth"):
        load(tmp_path / "cut.pth")

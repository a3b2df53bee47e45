"""Published weights, under each of the key names they come with."""

import re

import pytest
import torch

from esrgan import Generator, WeightsError
from esrgan.convert import read_any

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
    assert torch.equal(read_any(tmp_path / "published.pth")(x), generator(x))


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
        read_any(tmp_path / "other.pth")


def test_a_cut_file_is_refused(tmp_path) -> None:
    torch.save(Generator(1, 8, 4).state_dict(), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"cut\.pth"):
        read_any(tmp_path / "cut.pth")

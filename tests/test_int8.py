"""8-bit integers: what rounding costs, that OpenVINO really computes with them, and what the weights' scales matter."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from PIL import Image
from test_upscaler import PHOTO, lively

from esrgan import Generator, Upscaler, WeightsError
from esrgan.__main__ import main
from esrgan.evaluation.metrics import psnr
from esrgan.evaluation.study import measure
from esrgan.inference.device import has_fast_int8
from esrgan.inference.int8 import find_peaks, quantise, read_examples
from esrgan.inference.openvino import OpenVINOUpscaler


@pytest.fixture(scope="module")
def upscaler() -> OpenVINOUpscaler:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    if not has_fast_int8():
        pytest.skip("needs a CPU with fast 8-bit integers")
    return OpenVINOUpscaler(lively(), int8=True, tile=40, overlap=4)


@torch.no_grad()
def decibels(generator: Generator) -> float:
    x = torch.from_numpy(np.array(PHOTO)).permute(2, 0, 1)[None].float() / 255
    rounded = quantise(generator, [x])(x)
    assert not torch.equal(rounded, generator(x))
    return psnr(rounded.clamp(0, 1).numpy(), generator(x).clamp(0, 1).numpy(), peak=1)


def test_peaks_are_those_of_what_a_block_concatenates() -> None:
    generator = lively()
    block = generator.body[0].rdb1
    photos = [torch.rand(1, 3, 9, 8), torch.rand(1, 3, 7, 11)]
    trunks = [generator.conv_first(photo) for photo in photos]
    first = [torch.nn.functional.leaky_relu(block.conv1(trunk), 0.2) for trunk in trunks]
    peaks = find_peaks(generator, photos)
    assert [len(peak) for peak in peaks] == [8 + 4 * 4] * 3
    expected = [max(float(x[:, channel].abs().max()) for x in trunks) for channel in range(8)]
    expected += [max(float(x[:, channel].abs().max()) for x in first) for channel in range(4)]
    assert peaks[0][:12].tolist() == pytest.approx(expected)


def test_channels_of_uneven_size_cost_little() -> None:
    plain = lively()
    uneven = deepcopy(plain)
    factors = torch.logspace(-1, 1, 4)
    for rrdb in uneven.body:
        for block in rrdb.children():
            block.conv1.weight *= factors[:, None, None, None]
            block.conv1.bias *= factors
            for conv in (block.conv2, block.conv3, block.conv4, block.conv5):
                conv.weight[:, 8:12] /= factors[:, None, None]
    x = torch.rand(1, 3, 20, 20)
    assert torch.allclose(uneven(x), plain(x), atol=1e-4)
    assert decibels(plain) > 50
    assert decibels(uneven) == pytest.approx(decibels(plain), abs=2), "10 dB, were the channels left as they are"


def test_the_original_is_left_as_it_was() -> None:
    generator = lively()
    before = deepcopy(generator.state_dict())
    quantise(generator, read_examples())
    assert all(torch.equal(tensor, before[key]) for key, tensor in generator.state_dict().items())


def test_weights_that_are_not_finite_are_an_error() -> None:
    generator = lively()
    generator.body[0].rdb2.conv3.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(WeightsError, match="not finite"):
        quantise(generator, read_examples())


def test_openvino_computes_a_photo_with_integers(upscaler) -> None:
    result = np.asarray(upscaler(PHOTO))
    exact = np.asarray(Upscaler(lively(), device="cpu", dtype=torch.float32, tile=40, overlap=4)(PHOTO))
    assert psnr(result, exact, peak=255) > 35
    layers = [node.get_rt_info() for node in upscaler.generator.compiled(1, 3, 40, 40).get_runtime_model().get_ops()]
    kinds = [info["runtimePrecision"].astype(str) for info in layers if info["layerType"].astype(str) == "Convolution"]
    assert len(kinds) == 3 * 5 + 6
    assert sum(kind in ("u8", "i8") for kind in kinds) == 3 * 5


def test_a_bundled_model_loses_less_than_a_tenth_of_a_decibel(upscaler) -> None:
    truth = Image.open(EXAMPLES / "dog_german_shepherd.png").convert("RGB").crop((0, 0, 256, 192))
    generator = Generator.from_pretrained("dogs")
    exact = measure(Upscaler(generator, device="cpu", dtype=torch.float32), truth)
    rounded = measure(OpenVINOUpscaler(generator, int8=True), truth)
    assert abs(rounded["psnr_y"] - exact["psnr_y"]) < 0.1


def test_the_command_gives_what_the_library_gives(upscaler, tmp_path) -> None:
    lively().half().save_pretrained(tmp_path / "model")
    PHOTO.save(tmp_path / "photo.png")
    command = ["upscale", str(tmp_path / "photo.png"), "-o", str(tmp_path / "out.png"), "--backend", "openvino-int8"]
    assert main([*command, "--model", str(tmp_path / "model")]) == 0
    expected = OpenVINOUpscaler(Generator.from_pretrained(tmp_path / "model"), int8=True)(PHOTO)
    assert np.array_equal(Image.open(tmp_path / "out.png"), expected)


def test_a_cpu_without_them_is_one_sentence(tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    lively().save_pretrained(tmp_path / "model")
    photo = str(EXAMPLES / "cat_chelsea.png")
    command = ["upscale", photo, "-o", str(tmp_path / "out"), "--model", str(tmp_path / "model")]
    assert main([*command, "--backend", "openvino-int8"]) == 1
    assert caplog.messages[-1].startswith("This CPU has no fast 8-bit integers")
    assert not (tmp_path / "out").exists()

"""The extra `openvino`: the same photos as PyTorch makes, to the same contract."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, ROOT
from PIL import Image
from test_upscaler import PHOTO, lively, repeater

from esrgan import Generator, Upscaler, WeightsError
from esrgan.__main__ import main
from esrgan.evaluation.metrics import psnr
from esrgan.inference.openvino import OpenVINOUpscaler


@pytest.fixture(scope="module")
def upscaler() -> OpenVINOUpscaler:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    return OpenVINOUpscaler(lively(), tile=40, overlap=4)


def python(code: str) -> str:
    path = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
    done = subprocess.run([sys.executable, "-c", path + code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_photo_of_several_tiles_is_as_by_torch(upscaler, ensemble) -> None:
    options = {"tile": 40, "overlap": 4, "ensemble": ensemble}
    ours = OpenVINOUpscaler(lively(), **options) if ensemble else upscaler
    theirs, exact = (Upscaler(lively(), device="cpu", dtype=dtype, **options) for dtype in (ours.dtype, torch.float32))
    result = np.asarray(ours(PHOTO))
    assert result.std() > 20
    assert psnr(result, np.asarray(theirs(PHOTO)), peak=255) > 40
    assert psnr(result, np.asarray(exact(PHOTO)), peak=255) > 40


def test_8_bits_are_by_openvino_and_16_by_torch_in_float32(upscaler) -> None:
    calls: dict[str, int] = {"fast": 0, "exact": 0}
    hooks = [
        upscaler.generator.register_forward_hook(lambda *_: calls.update(fast=calls["fast"] + 1)),
        upscaler.exact.register_forward_hook(lambda *_: calls.update(exact=calls["exact"] + 1)),
    ]
    for done, _, _ in upscaler.stream(PHOTO):
        if done == 2:
            break
    assert calls == {"fast": 2, "exact": 0}, "a stream that is left computes no further tile"
    *_, (_, _, result) = upscaler.stream(np.asarray(PHOTO), bits=16)
    assert calls == {"fast": 2, "exact": 6}
    *_, (_, _, expected) = Upscaler(lively(), device="cpu", tile=40, overlap=4).stream(np.asarray(PHOTO), bits=16)
    assert np.array_equal(result, expected)
    for hook in hooks:
        hook.remove()


def test_it_takes_no_more_threads_than_torch(upscaler) -> None:
    compiled = upscaler.generator.compiled(1, 3, 40, 40)
    assert compiled.get_property("INFERENCE_NUM_THREADS") == torch.get_num_threads()
    assert compiled.get_property("NUM_STREAMS") == 1


def test_weights_that_are_not_finite_are_an_error(upscaler) -> None:
    generator = repeater()
    generator.conv_hr.bias[0] = torch.nan
    with pytest.raises(WeightsError, match="not finite"):
        OpenVINOUpscaler(generator)(PHOTO)


def test_without_memory_for_a_tile_it_is_halved_and_what_was_compiled_is_let_go(upscaler) -> None:
    ours = OpenVINOUpscaler(repeater(), tile=200, overlap=4)
    core, compiled, kept = ours.generator.core, ours.generator.compiled, []

    class LittleMemory:
        def compile_model(self, model, *arguments):
            kept.append(compiled.cache_info().currsize)
            if max(model.input(0).shape) > 60:
                raise RuntimeError("Exception from src/inference/src/cpp/core.cpp:117: std::bad_alloc")
            return core.compile_model(model, *arguments)

    ours.generator.core = LittleMemory()
    ours(PHOTO.crop((0, 0, 20, 20)))
    photo = PHOTO.crop((0, 0, 150, 40))
    result = np.asarray(ours(photo), np.int16)
    assert ours.tile <= 60
    assert kept[:3] == [0, 1, 0]
    assert np.abs(result - np.asarray(photo, np.int16).repeat(4, 0).repeat(4, 1)).max() <= 1


def test_the_command_gives_what_the_library_gives(upscaler, tmp_path) -> None:
    lively().half().save_pretrained(tmp_path / "model")
    PHOTO.save(tmp_path / "photo.png")
    command = ["upscale", str(tmp_path / "photo.png"), "-o", str(tmp_path / "out.png"), "--backend", "openvino"]
    assert main([*command, "--model", str(tmp_path / "model")]) == 0
    expected = OpenVINOUpscaler(Generator.from_pretrained(tmp_path / "model"))(PHOTO)
    assert np.array_equal(Image.open(tmp_path / "out.png"), expected)


def test_a_signal_is_handled_when_upscalers_have_gone(upscaler) -> None:
    code = """
import gc, os, signal
from test_openvino import PHOTO, OpenVINOUpscaler, lively
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
first, second = (OpenVINOUpscaler(lively(), tile=40, overlap=4) for _ in range(2))
first(PHOTO), second(PHOTO)
del first
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""
    assert python(code) == "handled\n"


def test_openvino_is_imported_when_asked_for_and_reports_nothing_to_its_maker(upscaler) -> None:
    code = """
import esrgan.inference.openvino
print("openvino" in sys.modules)
esrgan.inference.openvino.OpenVINOUpscaler(esrgan.Generator(1, 8, 4))
print("openvino" in sys.modules, sys.modules["openvino_telemetry"])
"""
    assert python(code).split() == ["False", "True", "None"]


def test_without_the_package_it_is_one_sentence(tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    Generator(1, 8, 4).save_pretrained(tmp_path / "model")
    photo = str(EXAMPLES / "cat_chelsea.png")
    command = ["upscale", photo, "-o", str(tmp_path / "out"), "--model", str(tmp_path / "model")]
    assert main([*command, "--backend", "openvino"]) == 1
    assert caplog.messages[-1] == "OpenVINO is not installed; pip install openvino."
    assert not (tmp_path / "out").exists()

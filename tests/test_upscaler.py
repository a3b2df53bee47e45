"""Tiles that fit together, in any size and precision."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import psutil
import pytest
import torch
from conftest import EXAMPLES, printed
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from esrgan import Generator, Upscaler, WeightsError
from esrgan.errors import BackendError
from esrgan.evaluation.metrics import psnr
from esrgan.inference.device import free_memory, has_fast_bf16
from esrgan.inference.upscaler import best_tile, bytes_per_pixel, split, windows

PHOTO = Image.open(EXAMPLES / "raccoon_face.png").convert("RGB").crop((150, 100, 240, 170))
REACH = 20  # of one block, low-resolution pixels: 17 convolutions of 3x3, then 4 at finer scales


def repeater() -> Generator:
    """A generator whose output is known for any input: each pixel becomes 4x4 equal ones."""
    generator = Generator(num_blocks=1, num_features=3, growth_channels=1).eval().requires_grad_(False)
    for parameter in generator.parameters():
        parameter.zero_()
    for conv in (generator.conv_first, generator.conv_up1, generator.conv_up2, generator.conv_hr, generator.conv_last):
        for channel in range(3):
            conv.weight[channel, channel, 1, 1] = 1
    return generator


def lively() -> Generator:
    """A random generator that looks as far as it can, with output that fills 0..1."""
    torch.manual_seed(0)
    generator = Generator(num_blocks=1, num_features=8, growth_channels=4).eval().requires_grad_(False)
    for module in generator.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    y = generator(torch.rand(1, 3, 40, 40))
    generator.conv_last.weight /= 5 * y.std()
    generator.conv_last.bias.fill_(0.5)
    return generator


def whole(generator: Generator, image: Image.Image) -> np.ndarray:
    x = torch.from_numpy(np.array(image).transpose(2, 0, 1))[None].float() / 255
    return (generator(x).clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).numpy()


@given(st.data(), st.integers(1, 3000), st.integers(0, 40))
@settings(deadline=None)
def test_windows_cover_each_pixel_once_with_context(data: st.DataObject, length: int, overlap: int) -> None:
    tile = data.draw(st.integers(2 * overlap + 1, 2 * overlap + 300))
    found = windows(length, tile, overlap)
    assert [*range(length)] == [i for window in found for i in range(window.keep_start, window.keep_stop)]
    assert {window.stop - window.start for window in found} == {min(tile, length)}
    assert found[0].start == 0
    assert found[-1].stop == length
    for a, b in pairwise(found):
        assert a.stop - a.keep_stop >= overlap
        assert b.keep_start - b.start >= overlap
        assert a.start < b.start
    if length > tile:
        assert len(found) == -(-(length - 2 * overlap) // (tile - 2 * overlap)), "more windows than are needed"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 4), st.integers(10, 24))
@settings(max_examples=25, deadline=None)
def test_a_photo_of_any_size_becomes_4_times_as_large(width: int, height: int, overlap: int, more: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    upscaler = Upscaler(repeater(), device="cpu", dtype=torch.float32, tile=2 * overlap + more, overlap=overlap)
    assert np.array_equal(np.asarray(upscaler(Image.fromarray(pixels))), pixels.repeat(4, 0).repeat(4, 1))


def test_tiles_with_enough_overlap_equal_the_whole() -> None:
    generator = lively()
    expected = whole(generator, PHOTO).astype(int)
    assert expected.std() > 20
    tiled = Upscaler(generator, device="cpu", dtype=torch.float32, tile=2 * REACH + 12, overlap=REACH)
    assert len(list(tiled.stream(PHOTO))) > 4
    difference = np.abs(np.asarray(tiled(PHOTO), int) - expected)
    assert difference.max() <= 1  # a value at .5 may round either way
    assert (difference > 0).mean() < 1e-3
    short = Upscaler(generator, device="cpu", dtype=torch.float32, tile=45, overlap=0)
    assert np.abs(np.asarray(short(PHOTO), int) - expected).max() > 3, "this network would not show a seam"


def test_a_stream_counts_its_tiles_and_fills_one_array() -> None:
    upscaler = Upscaler(repeater(), device="cpu", dtype=torch.float32, tile=40, overlap=4)
    expected = np.asarray(PHOTO).repeat(4, 0).repeat(4, 1)
    arrays, filled = [], []
    for count, (done, total, result) in enumerate(upscaler.stream(PHOTO), 1):
        assert (done, total) == (count, 6)
        arrays.append(result)
        filled.append(int((result == expected).all(-1).sum()))
    assert count == 6
    assert all(array is arrays[0] for array in arrays)
    assert filled == sorted(set(filled))
    assert filled[-1] == 360 * 280


def test_a_stream_that_is_left_computes_no_further_tile() -> None:
    upscaler = Upscaler(repeater(), device="cpu", dtype=torch.float32, tile=40, overlap=4)
    calls: list[int] = []
    upscaler.generator.register_forward_hook(lambda *_: calls.append(1))
    for done, _, _ in upscaler.stream(PHOTO):
        if done == 2:
            break
    assert len(calls) == 2
    assert upscaler(PHOTO).size == (360, 280)
    assert len(calls) == 8


def test_bfloat16_is_close_to_float32() -> None:
    full, half = (
        np.asarray(Upscaler(lively(), device="cpu", dtype=dtype)(PHOTO)) for dtype in (torch.float32, torch.bfloat16)
    )
    assert 35 < psnr(half, full, peak=255) < 100  # not equal: the precision that is asked for is the one in use


def test_the_original_generator_is_left_as_it_was() -> None:
    generator = lively().train()
    before = {key: tensor.clone() for key, tensor in generator.state_dict().items()}
    upscaler = Upscaler(generator, device="cpu", dtype=torch.bfloat16)
    upscaler(PHOTO.crop((0, 0, 8, 8)))
    assert generator.training
    for key, tensor in generator.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[key])
    reference = np.asarray(upscaler(PHOTO))
    for parameter in generator.parameters():
        parameter.zero_()
    assert np.array_equal(np.asarray(upscaler(PHOTO)), reference), "it goes on training, the upscaler does not"


def test_a_photo_that_is_not_rgb_is_refused() -> None:
    upscaler = Upscaler(repeater(), device="cpu", dtype=torch.float32)
    with pytest.raises(ValueError, match="mode is RGBA"):
        upscaler(PHOTO.convert("RGBA"))


def test_a_tile_of_overlap_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="tile 32: must be larger than twice the overlap of 16"):
        Upscaler(repeater(), tile=32, overlap=16)


def outline(features: int, growth: int = 32) -> Generator:
    """A network of which no weight takes memory."""
    with torch.device("meta"):
        return Generator(1, features, growth)


def test_memory_of_a_pixel_by_hand() -> None:
    assert bytes_per_pixel(outline(64, 32)) == 4 * (3 * 64) * 16, "conv_hr's input, output and activation"
    held, joined, result = 64 + 64 + 64, (64 + 3 * 512) + 512, 64 + 4 * 512
    assert bytes_per_pixel(outline(64, 512)) == 4 * (held + joined + result), "the last concatenation"


@pytest.mark.parametrize(("features", "growth", "tile"), [(64, 32, 160), (16, 128, 256)])
def test_a_tile_takes_as_much_memory_as_is_counted_on(features: int, growth: int, tile: int) -> None:
    script = f"""
import numpy as np
import torch
from esrgan import Generator, Upscaler

def peak_after(side):
    *_, _ = upscaler.stream(np.zeros((side, side, 3), np.uint8))
    return peak()

upscaler = Upscaler(Generator(1, {features}, {growth}), device="cpu", dtype=torch.float32, tile={tile})
before = peak_after(16)
print(peak_after({tile}) - before)
"""
    counted = tile**2 * bytes_per_pixel(outline(features, growth))
    assert 0.7 < int(printed(script)) / counted < 1.6, "of it, and at most twice that is free"


def test_a_deep_network_has_more_context(monkeypatch) -> None:
    monkeypatch.setattr("esrgan.inference.upscaler.free_memory", lambda device: 2**34)
    shallow, deep = (Upscaler(Generator(blocks, 4, 2), device="cpu") for blocks in (6, 23))
    assert (shallow.overlap, shallow.tile) == (16, 192)
    assert (deep.overlap, deep.tile) == (80, 320)


def test_a_tile_is_as_large_as_half_of_the_free_memory_or_the_caches_hold() -> None:
    cpu = torch.device("cpu")
    assert best_tile(outline(8), cpu, overlap=16) == 192
    wide = outline(20_000)  # 3.84 MB a pixel
    half = psutil.virtual_memory().available / 2
    assert best_tile(wide, cpu, overlap=0) == pytest.approx((half / 3.84e6) ** 0.5, rel=0.15)
    assert best_tile(outline(10**8, 1), cpu, overlap=16) == 33, "of which 32 are overlap"
    assert best_tile(outline(8), cpu, overlap=100) == 400
    assert Upscaler(repeater(), device="cpu").tile == 192


@pytest.mark.skipif(torch.accelerator.is_available(), reason="asks for an accelerator that is not there")
def test_a_device_that_does_not_say_what_is_free_has_the_memory_of_the_cpu() -> None:
    available = psutil.virtual_memory().available
    assert free_memory(torch.device("mps")) == pytest.approx(available, rel=0.2)
    assert best_tile(outline(8), torch.device("mps"), overlap=16) == 1024


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_memory_that_torch_keeps_for_later_counts_as_free() -> None:
    cuda = torch.device("cuda")
    torch.cuda.empty_cache()
    before = free_memory(cuda)
    held = torch.empty(2**28, device=cuda)
    assert before - free_memory(cuda) == pytest.approx(2**30, rel=0.1)
    del held
    assert free_memory(cuda) == pytest.approx(before, abs=2**27)


@given(st.data(), st.integers(1, 800), st.integers(0, 20))
@settings(deadline=None)
def test_split_windows_keep_what_the_whole_one_kept_with_its_context(data, length: int, overlap: int) -> None:
    tile = data.draw(st.integers(4 * overlap + 4, 4 * overlap + 200))
    half = data.draw(st.integers(2 * overlap + 1, max(tile // 2, 2 * overlap + 1)))
    parents = windows(length, tile, overlap)
    pieces = [piece for window in parents for piece in split(window, half, overlap)]
    assert [*range(length)] == [i for piece in pieces for i in range(piece.keep_start, piece.keep_stop)]
    for piece in pieces:
        assert 0 <= piece.start <= piece.keep_start < piece.keep_stop <= piece.stop <= length
        assert piece.stop - piece.start <= half
        assert piece.start == 0 or piece.keep_start - piece.start >= overlap
        assert piece.stop == length or piece.stop - piece.keep_stop >= overlap


def test_without_memory_for_a_tile_it_is_halved_and_what_is_done_stays() -> None:
    """From the third tile on a real allocation fails for whatever is larger than 30."""
    upscaler = Upscaler(repeater(), device="cpu", dtype=torch.float32, tile=50, overlap=4)
    sizes: list[int] = []

    def fill_memory(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        sizes.append(max(inputs[0].shape))
        if len(sizes) > 2 and sizes[-1] > 30:
            torch.empty(2**50)

    upscaler.generator.register_forward_pre_hook(fill_memory)
    counts = [(done, total) for done, total, _ in upscaler.stream(PHOTO)]
    assert sizes[:3] == [50, 50, 50]
    assert set(sizes[3:]) == {25}
    assert [done for done, _ in counts] == [*range(1, len(sizes))]
    assert counts[1] == (2, 4)
    assert {total for _, total in counts[2:]} == {len(sizes) - 1}
    assert np.array_equal(np.asarray(upscaler(PHOTO)), np.asarray(PHOTO).repeat(4, 0).repeat(4, 1))
    assert max(sizes[3:]) == 25, "later photos begin with the size that fits"


def test_without_memory_for_the_smallest_tile_it_ends() -> None:
    upscaler = Upscaler(repeater(), device="cpu", dtype=torch.float32, tile=50, overlap=8)
    upscaler.generator.register_forward_pre_hook(lambda *_: torch.empty(2**50))
    with pytest.raises(MemoryError, match="no memory for a tile of 24 pixels; lower the overlap"):
        upscaler(PHOTO)
    assert upscaler.tile == 25, "of which 16 are overlap: the next half would keep nothing"


def test_any_other_failure_is_not_taken_for_a_lack_of_memory() -> None:
    upscaler = Upscaler(repeater(), device="cpu", dtype=torch.float32, tile=50, overlap=8)

    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    upscaler.generator.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="something else"):
        upscaler(PHOTO)
    assert upscaler.tile == 50


def test_a_tile_that_overflows_is_computed_in_float32() -> None:
    generator = repeater()
    generator.conv_first.weight *= 1000
    generator.conv_up1.weight *= 1000  # a pixel of 17 or more is beyond the 65504 of half precision now
    generator.conv_hr.weight /= 1000
    generator.conv_last.weight /= 1000
    pixels = np.full((20, 20, 3), 2, np.uint8)
    pixels[:, 12:] = 200
    upscaler = Upscaler(generator, device="cpu", dtype=torch.float16, tile=12, overlap=1)
    calls: list[int] = []
    upscaler.exact.register_forward_hook(lambda *_: calls.append(1))
    result = np.asarray(upscaler(Image.fromarray(pixels)), int)
    assert np.abs(result - pixels.repeat(4, 0).repeat(4, 1)).max() <= 1
    assert len(calls) == 2, "two of the four tiles have the bright part in them"


def test_weights_that_are_not_finite_are_an_error() -> None:
    generator = repeater()
    generator.conv_hr.bias[0] = torch.nan
    with pytest.raises(WeightsError, match="not finite"):
        Upscaler(generator, device="cpu")(PHOTO)


def test_16_bits_go_in_and_out_exactly_whatever_the_precision() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (9, 11, 3), np.uint16)
    *_, (_, _, result) = Upscaler(repeater(), device="cpu", dtype=torch.bfloat16).stream(pixels, bits=16)
    assert result.dtype == np.uint16
    assert np.array_equal(result, pixels.repeat(4, 0).repeat(4, 1))
    *_, (_, _, result) = Upscaler(repeater(), device="cpu", dtype=torch.float32).stream(pixels)
    assert np.array_equal(result, np.rint(pixels / 257).astype(np.uint8).repeat(4, 0).repeat(4, 1))


def test_an_ensemble_averages_over_all_ways_to_turn_and_mirror() -> None:
    generator = lively()
    image = PHOTO.crop((0, 0, 24, 17))
    outputs = []
    for turns in range(4):
        for mirror in (False, True):
            pixels = np.rot90(np.asarray(image)[:, ::-1] if mirror else np.asarray(image), turns)
            x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
            y = np.rot90(generator(x)[0].permute(1, 2, 0).numpy(), -turns)
            outputs.append(y[:, ::-1] if mirror else y)
    expected = np.rint(np.mean(outputs, 0).clip(0, 1) * 255)
    result = np.asarray(Upscaler(generator, device="cpu", dtype=torch.float32, ensemble=True)(image), float)
    assert np.abs(result - expected).max() <= 1
    assert np.abs(outputs[0].clip(0, 1) * 255 - expected).max() > 20


@pytest.mark.parametrize(
    ("capabilities", "bf16_seconds", "fast"),
    [({"avx512_bf16": True}, 0.5, True), ({"avx512_bf16": True}, 2, False), ({"avx2": True}, 0.5, False)],
)
def test_bf16_is_taken_where_it_is_native_and_faster(
    capabilities: dict[str, bool], bf16_seconds: float, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {torch.bfloat16: bf16_seconds, torch.float32: 1.0}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    monkeypatch.setattr("esrgan.inference.device._convolution_seconds", seconds.get)
    assert has_fast_bf16.__wrapped__(torch.device("cpu")) is fast


def test_what_is_compiled_once_serves_tiles_of_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    upscaler, plain = (Upscaler(lively(), device="cpu", tile=100, overlap=4, compiled=it) for it in (True, False))
    for size in ((180, 140), (100, 100), (90, 120)):
        photo = PHOTO.resize(size)
        assert np.array_equal(np.asarray(upscaler(photo)), np.asarray(plain(photo)))
    assert len(graphs) == 1


def test_a_machine_that_cannot_compile_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        raise RuntimeError("no working C++ compiler")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with pytest.raises(BackendError, match=r"^torch\.compile does not work here.*no working C\+\+ compiler"):
        Upscaler(lively(), device="cpu", compiled=True)

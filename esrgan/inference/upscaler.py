"""A photo through a generator, tile by tile, in the precision the machine is fast in."""

import math
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..errors import BackendError, WeightsError
from ..images.resize import SCALE
from ..models.generator import Generator
from .device import best_device, fastest_dtype, free_memory

CPU_TILE, ACCELERATOR_TILE = 192, 1024  # the largest; a CPU's caches do not hold more, an accelerator wastes little
SHALLOW = 8  # blocks at most
OUT_OF_MEMORY = (  # what PyTorch says of it where it has no exception of its own, and OpenVINO
    "can't alloc",
    "not enough memory",
    "out of memory",
    "Invalid buffer size",
    "Failed to allocate",
    "std::bad_alloc",
    "STATUS_ALLOC_FAILED",  # cuDNN and cuBLAS, as the next two
    "unable to find an engine",
    "valid cuDNN algorithm",
)
FIRST = (96, 80)  # what is compiled for equal sides, or for a small tile as CPUs compute it, serves no other


class Window(NamedTuple):
    """One tile along one axis: what is read, and the part of it that is kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def windows(length: int, tile: int, overlap: int) -> list[Window]:
    """Cover 0..length with windows of equal size that share at least twice `overlap`, cut in its middle."""
    if length <= tile:
        return [Window(0, length, 0, length)]
    count = -(-(length - 2 * overlap) // (tile - 2 * overlap))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    cuts = [0, *((a + tile + b) // 2 for a, b in pairwise(starts)), length]
    return [Window(start, start + tile, *keep) for start, keep in zip(starts, pairwise(cuts), strict=True)]


def split(window: Window, tile: int, overlap: int) -> list[Window]:
    """Cover what a window keeps with smaller ones, each with as much context as the window has or `overlap`."""
    pieces = []
    for piece in windows(window.stop - window.start, tile, overlap):
        start, stop, *kept = (window.start + place for place in piece)
        keep_start, keep_stop = (min(max(place, window.keep_start), window.keep_stop) for place in kept)
        if keep_start < keep_stop:
            pieces.append(Window(start, stop, keep_start, keep_stop))
    return pieces


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the CPU's allocator, had no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(said in str(error) for said in OUT_OF_MEMORY)


def bytes_per_pixel(generator: Generator) -> int:
    """Memory that float32 takes at its peak, for each low-resolution pixel.

    A dense block's last concatenation holds its input, the RRDB's and the trunk's (3F), what it joins (F + 3G, G) and
    the result (F + 4G). The convolution before the last holds its input, output and activation (3F), at 16 pixels each.
    """
    features, growth = generator.config["num_features"], generator.config["growth_channels"]
    return 4 * max(5 * features + 8 * growth, 3 * 16 * features)


def best_tile(generator: Generator, device: torch.device, overlap: int) -> int:
    """The largest side of a tile that fits half of the free memory, or the least that is more than overlap.

    On a CPU it is not larger than 192, or than what makes a quarter of a tile the part that is kept.
    """
    fitting = math.isqrt(free_memory(device) // 2 // bytes_per_pixel(generator))
    largest = max(CPU_TILE, 4 * overlap) if device.type == "cpu" else ACCELERATOR_TILE
    return max(2 * overlap + 1, min(fitting, largest))


def best_overlap(generator: Generator) -> int:
    """The overlap with which no pixel differs by a level of 8 bits from a photo computed whole.

    By measurement (`tests/benchmarks/upscale.py`): with 6 blocks 8 is enough; Real-ESRGAN's 23 look much further.
    """
    return 16 if generator.config["num_blocks"] <= SHALLOW else 80


class Upscaler:
    """Upscale photos of any size by 4: `Upscaler(generator)(image)`.

    A photo and its result stay in the CPU's memory, where a result takes 3 bytes a pixel (6 with 16 bits). Where a tile
    does not fit into the device's, tiles are halved, for later photos too.

    Args:
        generator: the network; a copy of it is kept, so that the original may go on training.
        device: where it runs; by default an accelerator if there is one.
        dtype: its precision; by default the one that is fast on the device. Results of 16 bits, and tiles that overflow
            in that precision, are computed in float32.
        tile: largest side of a tile, low-resolution pixels; by default what fits half of the free memory in float32, up
            to 192 on a CPU (or 4 times the overlap) and 1024 on an accelerator.
        overlap: pixels at a tile's inner edges that are computed for context only and cut off; by default 16, and 80 of
            a network of more than 8 blocks.
        ensemble: whether to average over the 8 ways to turn and mirror a photo (EDSR, arXiv:1707.02921, section 3.4),
            which takes 8 times as long and undoes the crispness of adversarial weights.
        compiled: whether `torch.compile` joins its operations, once for tiles of every size, which takes a minute. It
            is for 8-bit results of many photos on a GPU; a CPU becomes slower by it.

    Raises:
        BackendError: `torch.compile` does not work on this machine.
        ValueError: the overlap is negative, or a tile not larger than twice its overlap.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        ensemble: bool = False,
        compiled: bool = False,
    ) -> None:
        overlap = best_overlap(generator) if overlap is None else overlap
        if overlap < 0:
            raise ValueError(f"overlap {overlap}: must be 0 or more")
        if tile is not None and tile <= 2 * overlap:
            raise ValueError(f"tile {tile}: must be larger than twice the overlap of {overlap}")
        self.device = torch.device(device) if device else best_device()
        self.dtype = dtype or fastest_dtype(self.device)
        self.tile = tile or best_tile(generator, self.device, overlap)
        self.overlap = overlap
        self.ensemble = ensemble
        self.exact = self._copy(generator, torch.float32)
        self.generator: nn.Module = self.exact if self.dtype == torch.float32 else self._copy(generator, self.dtype)
        if compiled:
            self._compile()

    def _copy(self, generator: Generator, dtype: torch.dtype) -> Generator:
        return deepcopy(generator).eval().to(self.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _compile(self) -> None:
        self.generator.compile(dynamic=True)
        try:
            self(Image.new("RGB", FIRST))
        except RuntimeError as error:
            reason = " ".join(str(error).split("\n")[:2])
            raise BackendError(f"torch.compile does not work here; do without it. It says: {reason}") from error

    def __call__(self, image: Image.Image) -> Image.Image:
        """The 8-bit RGB photo (W, H), upscaled to (4W, 4H): clamped and rounded."""
        *_, (_, _, result) = self.stream(image)
        return Image.fromarray(result)

    def stream(self, image: Image.Image | np.ndarray, bits: int = 8) -> Iterator[tuple[int, int, np.ndarray]]:
        """Upscale tile by tile; stop iterating to cancel.

        Args:
            image: an 8-bit RGB photo, or uint8 or uint16 of shape (H, W, 3).
            bits: 8 or 16, of the result.

        Yields:
            How many tiles are done, how many there are, and the result so far: uint8 or uint16 RGB (4H, 4W, 3), always
            the same array.

        Raises:
            ValueError: the photo is not RGB.
            WeightsError: the result is not finite.
            MemoryError: not even a tile of little more than the overlap fits into memory.
        """
        if isinstance(image, Image.Image) and image.mode != "RGB":
            raise ValueError(f"the photo's mode is {image.mode}; convert it to RGB first")
        pixels = np.asarray(image)
        height, width = pixels.shape[:2]
        result = np.zeros((SCALE * height, SCALE * width, 3), np.uint16 if bits == 16 else np.uint8)
        left = list(product(windows(height, self.tile, self.overlap), windows(width, self.tile, self.overlap)))
        done = 0
        while left:
            row, column = left[0]
            tile = self._run(pixels[row.start : row.stop, column.start : column.stop], bits)
            if tile is None:
                left = [
                    piece
                    for row, column in left
                    for piece in product(split(row, self.tile, self.overlap), split(column, self.tile, self.overlap))
                ]
                continue
            result[
                SCALE * row.keep_start : SCALE * row.keep_stop, SCALE * column.keep_start : SCALE * column.keep_stop
            ] = tile[
                SCALE * (row.keep_start - row.start) : SCALE * (row.keep_stop - row.start),
                SCALE * (column.keep_start - column.start) : SCALE * (column.keep_stop - column.start),
            ]
            done += 1
            del left[0]
            yield done, done + len(left), result

    def _run(self, tile: np.ndarray, bits: int) -> np.ndarray | None:
        """The tile, upscaled; None if it did not fit into memory, after which `self.tile` is smaller."""
        try:
            return self._compute(tile, bits)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            half = max(tile.shape[:2]) // 2
            if half <= 2 * self.overlap:
                raise MemoryError(f"no memory for a tile of {2 * half} pixels; lower the overlap.") from error
        self.tile = half
        if self.device.type != "cpu":
            with suppress(RuntimeError):  # of Apple's GPUs, which torch 2.11 has no such function for
                torch.accelerator.empty_cache()
        return None

    @torch.inference_mode()
    def _compute(self, tile: np.ndarray, bits: int) -> np.ndarray:
        x = torch.from_numpy(tile.transpose(2, 0, 1).astype(np.float32)) / float(np.iinfo(tile.dtype).max)
        x = x.to(self.device)[None]
        y = self._forward(self.generator if bits == 8 else self.exact, x)
        if not y.isfinite().all():
            y = self._forward(self.exact, x)
            if not y.isfinite().all():
                raise WeightsError("the network's output is not finite; these are no weights to use.")
        y = y.clamp_(0, 1)[0].permute(1, 2, 0)
        if bits == 8:
            return (y * 255).round().byte().cpu().numpy()
        return (y * 65535).round().cpu().numpy().astype(np.uint16)

    def _forward(self, generator: nn.Module, x: Tensor) -> Tensor:
        x = x.to(next(generator.parameters()).dtype, memory_format=torch.channels_last)
        if not self.ensemble:
            return generator(x).float()
        results = []
        for mirrored, turns in product((False, True), range(4)):
            turned = torch.rot90(x.flip(3) if mirrored else x, turns, (2, 3))
            y = generator(turned.contiguous(memory_format=torch.channels_last)).float()
            y = torch.rot90(y, -turns, (2, 3))
            results.append(y.flip(3) if mirrored else y)
        return torch.stack(results).mean(0)

"""A photo through a generator, tile by tile, in the precision the machine is fast in."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from .generator import SCALE, Generator
from .machine import best_device, fastest_dtype


class Window(NamedTuple):
    """One tile along one axis: what is read, and the part of it that is kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def windows(length: int, tile: int, overlap: int) -> list[Window]:
    """Cover 0..length with windows of equal size that share at least twice `overlap`, cut amid what they share."""
    if length <= tile:
        return [Window(0, length, 0, length)]
    count = -(-(length - 2 * overlap) // (tile - 2 * overlap))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    cuts = [0, *((a + tile + b) // 2 for a, b in pairwise(starts)), length]
    return [Window(start, start + tile, *keep) for start, keep in zip(starts, pairwise(cuts), strict=True)]


class Upscaler:
    """Upscale photos of any size by 4: `Upscaler(generator)(image)`.

    Args:
        generator: the network; a copy of it is kept, so that the original may go on training.
        device: where it runs; by default an accelerator if there is one.
        dtype: its precision; by default the one that is fast on the device.
        tile: largest side of a tile, low-resolution pixels.
        overlap: pixels at a tile's inner edges that are computed for context only and cut off.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        tile: int = 192,
        overlap: int = 16,
    ) -> None:
        if tile <= 2 * overlap:
            raise ValueError(f"tile of {tile} pixels: must be larger than twice the overlap of {overlap}")
        self.device = torch.device(device) if device else best_device()
        self.dtype = dtype or fastest_dtype(self.device)
        self.tile = tile
        self.overlap = overlap
        self.generator = deepcopy(generator).eval().to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, image: Image.Image) -> Image.Image:
        """The 8-bit RGB photo (W, H), upscaled to (4W, 4H): clamped and rounded."""
        *_, (_, _, result) = self.stream(image)
        return Image.fromarray(result)

    def stream(self, image: Image.Image) -> Iterator[tuple[int, int, np.ndarray]]:
        """Upscale tile by tile; stop iterating to cancel.

        Yields:
            How many tiles are done, how many there are, and the result so far: uint8 RGB (4H, 4W, 3), always the same
            array.

        Raises:
            ValueError: the photo is not RGB.
        """
        if image.mode != "RGB":
            raise ValueError(f"the photo's mode is {image.mode}; convert it to RGB first")
        pixels = np.asarray(image)
        result = np.zeros((SCALE * image.height, SCALE * image.width, 3), np.uint8)
        rows, columns = (windows(length, self.tile, self.overlap) for length in (image.height, image.width))
        tiles = [(row, column) for row in rows for column in columns]
        for done, (row, column) in enumerate(tiles, 1):
            tile = self._run(pixels[row.start : row.stop, column.start : column.stop])
            kept = tile[
                SCALE * (row.keep_start - row.start) : SCALE * (row.keep_stop - row.start),
                SCALE * (column.keep_start - column.start) : SCALE * (column.keep_stop - column.start),
            ]
            result[
                SCALE * row.keep_start : SCALE * row.keep_stop, SCALE * column.keep_start : SCALE * column.keep_stop
            ] = kept
            yield done, len(tiles), result

    @torch.inference_mode()
    def _run(self, tile: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(tile.transpose(2, 0, 1).copy()).to(self.device)[None].float() / 255
        y = self.generator(x.to(self.dtype, memory_format=torch.channels_last))
        return (y.float().clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).cpu().numpy()

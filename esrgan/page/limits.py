"""How large a photo may be, by the time and the memory that it takes here; and how many there may be at once."""

import math

import torch

from ..errors import ImageError
from ..images.resize import SCALE
from ..inference.device import free_memory

MAX_MEGABYTES = 30  # of a file
MOST_PHOTOS = 50
PROMPT_SECONDS = 30  # for which nobody has to be asked
PROMPT_PIXELS = 250_000  # nor for so many, however slow the machine: 4 megapixels to compare
MOST_SECONDS = 1800
PACE = 30e-6  # seconds a pixel that is enlarged, in all ways, and measured: until that is known here
LEAST_TIMED = 64 * 64  # pixels; what is smaller tells nothing about the speed
LARGEST = 178_000_000 // SCALE**2  # pixels whose result Pillow opens again without an error
BYTES_PER_PIXEL = 1500  # at the peak, for a pixel that is enlarged by the bundled models, as measured

Box = tuple[int, int, int, int]


class Limits:
    """What can be enlarged at once.

    Attributes:
        pace: seconds a pixel, by the job before.
        is_measured: whether there was one.
    """

    def __init__(self) -> None:
        self.pace = PACE
        self.is_measured = False

    def learn(self, pixels: int, seconds: float) -> None:
        """Take the pace from a job that enlarged so many pixels."""
        if pixels >= LEAST_TIMED:
            self.pace, self.is_measured = seconds / pixels, True

    @property
    def prompt(self) -> int:
        """How many pixels can be enlarged without waiting long."""
        return self._within(max(PROMPT_SECONDS, PROMPT_PIXELS * self.pace))

    @property
    def most(self) -> int:
        """How many pixels can be enlarged at all."""
        return self._within(max(MOST_SECONDS, PROMPT_PIXELS * self.pace))

    def _within(self, seconds: float) -> int:
        pixels = min(seconds / self.pace, free_memory(torch.device("cpu")) / 2 / BYTES_PER_PIXEL, LARGEST)
        return max(LEAST_TIMED, floor(pixels))


def floor(pixels: float) -> int:
    """The next round number below, so that equal photos are not treated differently by a hair of speed."""
    unit = 10 ** int(math.log10(max(pixels, 1)))
    return int(pixels / unit) * unit


def fitting(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """The largest size of the same shape that has at most so many pixels; the size itself if it has no more."""
    scale = math.sqrt(min(1, pixels / (size[0] * size[1])))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def middle(size: tuple[int, int], pixels: int) -> Box:
    """The largest part of the same shape around the middle that has at most so many pixels."""
    width, height = fitting(size, pixels)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def read_part(part: str, size: tuple[int, int]) -> Box:
    """What a person writes: left, top, right, bottom.

    Raises:
        ImageError: it is none, or does not lie in a photo of this size.
    """
    try:
        left, top, right, bottom = (int(side) for side in part.split(","))
    except ValueError:
        raise ImageError(f"Part {part!r:.60}: must be four whole numbers, left, top, right, bottom.") from None
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        raise ImageError(f"Part {part!r:.60}: does not lie in the photo of {size[0]} x {size[1]} pixels.")
    return left, top, right, bottom


def choose_part(part: str, size: tuple[int, int], limits: Limits) -> Box:
    """The part of a photo that is enlarged: the one that is asked for, or all of it, or its middle if all is too much.

    Raises:
        ImageError: as for `read_part`; or it is more than can be enlarged at all.
    """
    if not part.strip():
        return middle(size, limits.prompt)
    box = read_part(part, size)
    width, height = box[2] - box[0], box[3] - box[1]
    if width * height > limits.most:
        raise ImageError(
            f"Part {part!r:.60}: {width} x {height} pixels are more than the {limits.most / 1e6:g} megapixels that can "
            f"be enlarged {SCALE} times at once here; choose a smaller one."
        )
    return box


def seen_part(part: str, size: tuple[int, int], most: int) -> Box:
    """What is seen of an enlarged photo, or its middle if that is too much, moved out to multiples of 4.

    Args:
        part: left, top, right, bottom, as for `read_part`.
        size: of the enlarged photo.
        most: its pixels that it may have, before it is moved out.

    Raises:
        ImageError: as for `read_part`.
    """
    left, top, right, bottom = read_part(part, size)
    x, y, end, bottom_end = middle((right - left, bottom - top), most)
    first = (left + x) // SCALE * SCALE, (top + y) // SCALE * SCALE
    last = -(-(left + end) // SCALE) * SCALE, -(-(top + bottom_end) // SCALE) * SCALE
    return *first, *last


def spell_seconds(seconds: float) -> str:
    """About how long that is."""
    return f"about {max(1, seconds):.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"

"""How a large photo becomes the small one that is enlarged again: by shrinking alone, or as cameras and the web do it.

The steps are those of BSRGAN (Zhang et al., arXiv:2103.14006, section 3) and Real-ESRGAN (Wang et al.,
arXiv:2107.10833, sections 3.1 to 3.3), each once, in one order, and lighter: both repeat and shuffle them until the
photo is nearly lost, and a network that repairs that paints over what a fair photo shows.
"""

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .resize import SCALE, shrink

Random = np.random.Generator
Range = tuple[float, float]

# Chance of each step, and its range. Behind it what Real-ESRGAN draws in the first of its two rounds.
INFRARED = 0.1  # ours, for camera traps at night; none
BLURRED, ANISOTROPIC = 0.5, 0.4  # 1; 0.36 of its Gaussians
SIGMA: Range = (0.2, 2.0)  # of the blur, pixels of the large photo; 0.2 to 3
KERNEL = 13  # pixels; 7 to 21
NOISY, POISSON, GREY_NOISE = 0.6, 0.5, 0.4  # 1; 0.5; 0.4
NOISE: Range = (1.0, 10.0)  # standard deviation of Gaussian noise, of 255; 1 to 30
SHOT: Range = (0.05, 1.0)  # part of the Poisson noise of 255 photons at white; 0.05 to 3
COMPRESSED, SUBSAMPLED, SHIFTED = 0.8, 0.5, 0.5  # 1; always; never
QUALITY = (40, 95)  # of JPEG; 30 to 95
KERNELS = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.BOX)  # the same three
WEB_QUALITY = 60


def gaussian_kernel(sigmas: Range, angle: float) -> np.ndarray:
    """A Gaussian of two widths along turned axes (BSRGAN, section 3.1).

    Args:
        sigmas: standard deviation along each axis, pixels.
        angle: by which the axes are turned, radians.

    Returns:
        float32 (13, 13) of sum 1.
    """
    y, x = np.mgrid[:KERNEL, :KERNEL] - KERNEL // 2
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-((along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2) / 2)
    return (kernel / kernel.sum()).astype(np.float32)


def blur(photo: Image.Image, kernel: np.ndarray) -> Image.Image:
    """Filter each channel, edges repeated."""
    reach = len(kernel) // 2
    pixels = np.pad(np.asarray(photo, np.float32), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    size = pixels.shape[:2]
    spectrum = np.fft.rfft2(pixels, axes=(0, 1)) * np.fft.rfft2(kernel, size)[..., None]
    return to_photo(np.fft.irfft2(spectrum, size, axes=(0, 1))[2 * reach :, 2 * reach :])


def add_noise(photo: Image.Image, rng: Random) -> Image.Image:
    """Gaussian or Poisson noise, in colour or the same in all channels."""
    pixels = np.asarray(photo, np.float32)
    grey = rng.random() < GREY_NOISE
    if rng.random() < POISSON:
        light = np.asarray(photo.convert("L"), np.float32)[..., None] if grey else pixels
        noise = rng.uniform(*SHOT) * (rng.poisson(light) - light)
    else:
        noise = rng.normal(0, rng.uniform(*NOISE), (*pixels.shape[:2], 1 if grey else 3))
    return to_photo(pixels + noise)


def compress(photo: Image.Image, quality: int, subsampled: bool, shift: tuple[int, int] = (0, 0)) -> Image.Image:
    """Write and read as JPEG.

    Args:
        photo: RGB.
        quality: as Pillow counts it, 1 to 95.
        subsampled: 4:2:0 rather than 4:4:4.
        shift: where JPEG's blocks begin, right and down, as in a photo that was cropped afterwards.
    """
    right, down = shift
    pixels = np.pad(np.asarray(photo), ((down, 0), (right, 0), (0, 0)), mode="edge")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0" if subsampled else "4:4:4")
    return Image.open(file).convert("RGB").crop((right, down, right + photo.width, down + photo.height))


def to_photo(pixels: np.ndarray) -> Image.Image:
    """RGB of numbers around 0..255, shape (H, W, 3), clamped and rounded."""
    return Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8))


Pictures = tuple[Image.Image, Image.Image]


def by_bicubic(truth: Image.Image, rng: Random) -> Pictures:
    return shrink(truth, SCALE), truth


def by_web(truth: Image.Image, rng: Random) -> Pictures:
    return compress(shrink(truth, SCALE), WEB_QUALITY, subsampled=True), truth


def by_camera(truth: Image.Image, rng: Random) -> Pictures:
    if rng.random() < INFRARED:
        truth = truth.convert("L").convert("RGB")
    photo = truth
    if rng.random() < BLURRED:
        first, second = rng.uniform(*SIGMA, 2)
        sigmas = (first, second if rng.random() < ANISOTROPIC else first)
        photo = blur(photo, gaussian_kernel(sigmas, rng.uniform(0, math.pi)))
    photo = photo.resize((truth.width // SCALE, truth.height // SCALE), KERNELS[rng.integers(len(KERNELS))])
    if rng.random() < NOISY:
        photo = add_noise(photo, rng)
    if rng.random() < COMPRESSED:
        quality, subsampled = int(rng.integers(QUALITY[0], QUALITY[1] + 1)), bool(rng.random() < SUBSAMPLED)
        right, down = rng.integers(8, size=2) if rng.random() < SHIFTED else (0, 0)
        photo = compress(photo, quality, subsampled, (int(right), int(down)))
    return photo, truth


@dataclass(frozen=True)
class Degradation:
    """A way to make the small photo.

    Attributes:
        meaning: what a table says of it.
        apply: takes RGB whose sides are multiples of 4, and random numbers; gives the small photo and its truth.
    """

    meaning: str
    apply: Callable[[Image.Image, Random], Pictures]


DEGRADATIONS = {
    "bicubic": Degradation("Pillow bicubic by 1/4", by_bicubic),
    "camera": Degradation(
        "degraded as by a camera (blur, 1/4 by one of three kernels, noise, JPEG 40 to 95, at times infrared, whose "
        "truth is grey), drawn for each photo by its name",
        by_camera,
    ),
    "web": Degradation(f"Pillow bicubic by 1/4, JPEG {WEB_QUALITY} with 4:2:0", by_web),
}


def degrade(truth: Image.Image, degradation: str, seed: tuple[int, ...]) -> Pictures:
    """Make the small photo.

    Args:
        truth: RGB, sides multiples of 4.
        degradation: one of `DEGRADATIONS`.
        seed: decides everything random.

    Returns:
        The small photo, RGB of a quarter of each side, and its truth: the same photo, in grey where infrared is drawn.
    """
    return DEGRADATIONS[degradation].apply(truth, np.random.default_rng(seed))


def seed_of(name: str) -> tuple[int, ...]:
    """What decides a test photo's degradation: its file's name alone, whichever photos stand beside it."""
    return (zlib.crc32(name.encode("utf-8", "surrogateescape")),)

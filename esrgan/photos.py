"""A photo with all that belongs to it: the pixels that a network works on, and what goes back into a file with them."""

import contextlib
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .files import replacing
from .generator import SCALE
from .images import DAMAGE, MAX_PIXELS, SAVE_OPTIONS, ImageError, enlarge, format_of, opened
from .metadata import fitting_profile, kept_exif, to_srgb
from .png16 import write_png16
from .tiff16 import LIMIT, TAGS, write_tiff16

LARGEST_SIDES = {"JPEG": 65_535, "PNG": 2**31 - 1, "TIFF": 2**31 - 1, "WEBP": 16_383}  # all that can be written
LOSSY = ("JPEG", "WEBP")
DEEP = {"PNG": write_png16, "TIFF": write_tiff16}
LUMA = (0.299, 0.587, 0.114)
# Pillow decodes 16-bit colour to its upper bytes; told the other byte order, it takes the lower ones.
OTHER_ORDER = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
GREY_ALPHA = {"LA;16B": ">u2", "LA;16L": "<u2", "LA;16N": "=u2"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photo:
    """A photo, upright.

    Attributes:
        colour: what a network takes, uint8 or uint16 of shape (H, W, 3), in the colour space of `icc`; grey has three
            equal channels, and wholly transparent pixels have the colour of their surroundings.
        alpha: opacity, of the same type and shape (H, W); None if the file has none.
        grey: whether the file is grey, and is to stay so.
        icc: the colour profile; None for sRGB.
        exif: the EXIF block, without orientation, size and thumbnail; may be empty.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes = b""

    @property
    def bits(self) -> int:
        """8 or 16 a channel, as the file's mode says."""
        return 8 * self.colour.itemsize

    @property
    def channels(self) -> int:
        """How many go into a file: 1 for grey or 3 for colour, and 1 for alpha."""
        return (1 if self.grey else 3) + (self.alpha is not None)

    @classmethod
    def open(cls, source: str | Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS) -> "Photo":
        """Decode a photo; of several frames the first, which the log then says.

        CMYK and LAB become sRGB; every other colour space is kept with its profile, so that no colour changes.

        Args:
            source: a path, or a file's content.
            name: what to call it in messages; the path's own name if left out.
            max_pixels: width times height above which the file is refused, before it is decoded.

        Raises:
            ImageError: not an image, damaged, too large, of 32 bits a channel, or of 16 in separate planes.
        """
        name = name or (str(source) if not isinstance(source, bytes) else "the image")
        with opened(source, name, max_pixels) as image, opened(source, name, max_pixels) as twin:
            if image.mode in ("F", "I"):
                raise ImageError(f"{name}: has 32 bits a channel; save it with 8 or 16.")
            tags = getattr(image, "tag_v2", {})
            if tags.get(TAGS.PlanarConfiguration) == 2 and tags.get(TAGS.BitsPerSample, ())[:2] == (16, 16):
                raise ImageError(
                    f"{name}: has 16 bits a channel in separate planes; save it with interleaved channels."
                )
            pixels = _decode(image, twin)
            with_alpha = pixels.shape[2] in (2, 4)
            grey = pixels.shape[2] < 3
            icc, exif = fitting_profile(image, grey), kept_exif(image)
            with contextlib.suppress(*DAMAGE):  # of later frames
                frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
                if frames > 1:
                    logger.warning("%s: holds %d frames; the first is used.", name, frames)
        colour, alpha = (pixels[..., :-1], pixels[..., -1]) if with_alpha else (pixels, None)
        if alpha is not None and alpha.any() and not alpha.all():
            spread = _spread(colour.astype(np.float32), alpha.astype(np.float32)[..., None])
            colour = np.rint(spread).astype(colour.dtype)
        return cls(np.broadcast_to(colour, (*colour.shape[:2], 3)), alpha, grey, icc, exif)

    def enlarged(self, colour: np.ndarray) -> "Photo":
        """This photo with 4 times as many pixels a side, of 8 or 16 bits.

        Alpha grows by bicubic interpolation, which leaves flat areas as they are.

        Args:
            colour: uint8 or uint16 of shape (4H, 4W, 3).
        """
        if self.alpha is None:
            return replace(self, colour=colour)
        peak = np.iinfo(colour.dtype).max
        scaled = self.alpha.astype(np.float32) * (peak / np.iinfo(self.alpha.dtype).max)
        alpha = np.asarray(enlarge(Image.fromarray(scaled), SCALE))
        return replace(self, colour=colour, alpha=np.rint(alpha.clip(0, peak)).astype(colour.dtype))

    def save(self, path: Path, *, quality: int | None = None, exif: bool = True) -> None:
        """Write PNG, JPEG, WebP or TIFF, as the extension says; replaces `path` in one move.

        JPEG has no transparency: what is transparent lies over white there.

        Args:
            path: where to.
            quality: 1 to 100 for JPEG and lossy WebP; by default JPEG has 95, and WebP is lossless.
            exif: whether the EXIF block goes with it.

        Raises:
            ImageError: the format cannot hold it.
        """
        height, width = self.colour.shape[:2]
        format_ = check_target(path, width, height, self.channels, self.bits, quality)
        kept = self.exif if exif else b""
        if self.bits == 16:
            with replacing(path) as beside:
                DEEP[format_](beside, self._channels(), self.icc, kept)
            return
        channels = self._channels()
        image = Image.fromarray(channels[..., 0] if channels.shape[2] == 1 else channels)
        if format_ == "JPEG" and self.alpha is not None:
            mode, image = image.mode[:-1], image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(mode)
        icc = self.icc
        if format_ == "WEBP" and self.grey and self.icc:  # which has no grey that the profile could belong to
            image, icc = to_srgb(image, self.icc), None
        options = SAVE_OPTIONS.get(format_, {}) | ({} if quality is None else {"quality": quality, "lossless": False})
        try:
            with replacing(path) as beside:
                image.save(beside, format_, **options, icc_profile=icc, exif=kept)
        except ValueError as error:
            raise ImageError(f"{path}: cannot be written as {format_} ({error}).") from error

    def _channels(self) -> np.ndarray:
        """Grey or RGB, and alpha if there is any: shape (H, W, 1 to 4)."""
        colour = self.colour
        if self.grey:
            colour = np.empty((*colour.shape[:2], 1), colour.dtype)
            for row, rgb in zip(colour, self.colour, strict=True):  # row by row, as floats take much memory
                row[:, 0] = np.rint(rgb @ LUMA)
        return colour if self.alpha is None else np.dstack([colour, self.alpha])


def check_target(path: Path, width: int, height: int, channels: int, bits: int, quality: int | None) -> str:
    """The format in which such a photo will be written; arguments as for `Photo`.

    Raises:
        ImageError: that format is not for photos, or cannot hold it.
    """
    format_ = format_of(path)
    if format_ not in LARGEST_SIDES:
        raise ImageError(f"{path}: {format_} is not a format for photos; use {', '.join(LARGEST_SIDES)}.")
    if max(width, height) > LARGEST_SIDES[format_]:
        raise ImageError(
            f"{path}: {width} x {height} pixels; {format_} has at most {LARGEST_SIDES[format_]} a side, PNG has more."
        )
    if bits == 16 and format_ not in DEEP:
        raise ImageError(f"{path}: 16 bits a channel are written to {' and '.join(DEEP)} only.")
    if format_ == "TIFF" and width * height * channels * bits // 8 > LIMIT:
        raise ImageError(f"{path}: {width} x {height} pixels are more than the 4 GiB of a TIFF; PNG has more.")
    if quality is not None and format_ not in LOSSY:
        raise ImageError(f"{path}: {format_} is lossless; a quality is for JPEG and WebP.")
    return format_


def _decode(image: Image.Image, twin: Image.Image) -> np.ndarray:
    """The upright pixels of a file opened twice: uint8 or uint16, shape (H, W, 1 to 4), alpha last."""
    codes = {
        tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0] for tile in getattr(image, "tile", [])
    }
    code = codes.pop() if len(codes) == 1 else None
    if code in OTHER_ORDER:
        upper, lower = ImageOps.exif_transpose(image), ImageOps.exif_transpose(_unpack(twin, OTHER_ORDER[code]))
        pixels = np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower)
    elif code in GREY_ALPHA:  # four bytes a pixel, like RGBA
        image._mode = "RGBA"
        pixels = np.asarray(ImageOps.exif_transpose(_unpack(image, "RGBA"))).view(GREY_ALPHA[code]).astype(np.uint16)
    elif image.mode.startswith("I;16"):
        pixels = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)[..., None]
        if getattr(image, "tag_v2", {}).get(TAGS.PhotometricInterpretation) == 0:  # white, which Pillow passes over
            pixels = 65535 - pixels
    else:
        pixels = np.asarray(_plain(ImageOps.exif_transpose(image)))
        return pixels.reshape(*pixels.shape[:2], -1)
    if "transparency" in image.info:  # the one colour that is
        opaque = (pixels != np.array(image.info["transparency"])).any(2)
        pixels = np.dstack([pixels, np.where(opaque, 65535, 0).astype(np.uint16)])
    return pixels


def _unpack(image: Image.Image, code: str) -> Image.Image:
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=code if isinstance(tile.args, str) else (code, *tile.args[1:]))
        for tile in image.tile  # type: ignore[attr-defined]
    ]
    image.load()
    return image


def _plain(image: Image.Image) -> Image.Image:
    """An 8-bit image as L, LA, RGB or RGBA."""
    if image.mode == "CMYK":
        return to_srgb(image, image.info.get("icc_profile"))
    grey = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    return image.convert(grey + "A" if image.has_transparency_data else grey)


def _spread(colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give pixels of no weight the mean colour of their surroundings, as near as there are any.

    What is stored under wholly transparent pixels is arbitrary, often black, and a network would mix it in.

    Args:
        colour: float of shape (H, W, C).
        weight: float of shape (H, W, 1), somewhere positive.
    """
    height, width = weight.shape[:2]
    if weight.all():
        return colour
    even = ((0, height % 2), (0, width % 2), (0, 0))
    halves = ((height + 1) // 2, 2, (width + 1) // 2, 2, -1)
    sums, weights = (np.pad(a, even).reshape(halves).sum((1, 3)) for a in (colour * weight, weight))
    coarse = _spread(sums / np.maximum(weights, 1e-9), weights)
    return np.where(weight > 0, colour, coarse.repeat(2, 0).repeat(2, 1)[:height, :width])

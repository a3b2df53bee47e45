"""A photo with all that belongs to it: the pixels that a network works on, and what goes back into a file with them."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..files import replacing
from .colour_chunks import ADOBE_RGB, take_up_profile
from .condition import Condition, measure_condition, quality_of
from .decoding import decode, raw_code, spread
from .exif import Exif, read_exif
from .metadata import fitting_profile, to_srgb
from .notes import Notes
from .png16 import write_png16
from .reading import MAX_PIXELS, SAVE_OPTIONS, called, check_size, decoding, format_of, frames_of, opened
from .resize import SCALE, enlarge
from .tiff import LIMIT, write_tiff
from .xmp import Provenance, kept_xmp

LARGEST_SIDES = {"JPEG": 65_500, "PNG": 2**31 - 1, "TIFF": 2**31 - 1, "WEBP": 16_383}  # all that can be written
SIDES_OF_FRAMES = {"GIF": 65_535} | {name: LARGEST_SIDES[name] for name in ("PNG", "TIFF", "WEBP")}
LOSSY = ("JPEG", "WEBP")
DEEP = ("PNG", "TIFF")
LUMA = (0.299, 0.587, 0.114)
MEASURED = 1024  # pixels a side of what a condition is measured of
REACH = 8  # pixels around a place that bicubic shrinking to half the side, or to a third of 3, reads, and some more


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
        xmp: the XMP packet, without orientation and size; may be empty.
        duration: for how long an animation shows it, ms; None if it is no frame of one.
        frame_count: how many frames the file holds, of which this is one.
        jpeg_quality: what it was written with, 1 to 100; None if it is no JPEG.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: Exif = field(default_factory=Exif)
    xmp: bytes = b""
    duration: float | None = None
    frame_count: int = 1
    jpeg_quality: int | None = None

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
        """Decode a photo; of several frames the first.

        CMYK and LAB become sRGB; every other colour space is kept with its profile, so that no colour changes.

        Args:
            source: a path, or a file's content.
            name: what to call it in messages; the path's own name if left out.
            max_pixels: width times height above which the file is refused, before it is decoded.

        Raises:
            ImageError: not an image, damaged, too large, of colours that cannot be converted, of values other than 8 or
                16 bits without a sign, or of 16 in separate planes.
        """
        with opened(source, name, max_pixels) as image, opened(source, name, max_pixels) as twin:
            name = name or called(source)
            with decoding(name):
                take_up_profile(image, name)
                photo = cls._of(image, twin, name)
            with contextlib.suppress(ImageError), decoding(name):  # of later frames
                photo = replace(photo, frame_count=len(frames_of(image)))
        return photo

    @classmethod
    def frames(cls, source: str | Path | bytes, max_pixels: int = MAX_PIXELS) -> Iterator["Photo"]:
        """Decode an animation's frames, each with all that is seen then, or a document's pages; as `open` does.

        Only pages have 16 bits a channel, as Pillow composes frames of 8.
        """
        name = called(source)
        with opened(source, max_pixels=max_pixels) as image, opened(source, max_pixels=max_pixels) as twin:
            with decoding(name):
                numbers = frames_of(twin)
            for number in numbers:
                with decoding(name):
                    photo = cls._frame(image, twin, number, name, max_pixels)
                yield photo

    @classmethod
    def _frame(cls, image: Image.Image, twin: Image.Image, number: int, name: str, max_pixels: int) -> "Photo":
        is_page = image.format == "TIFF"
        if number and is_page:
            image.info.pop("icc_profile", None)  # of the page before
        image.seek(number)
        check_size(image, name, max_pixels)
        if is_page:
            twin.seek(number)
            return cls._of(image, twin, name)
        take_up_profile(image, name)
        default = 0 if image.format == "GIF" else None
        return replace(cls._of(image.copy(), twin, name), duration=image.info.get("duration", default))

    @classmethod
    def _of(cls, image: Image.Image, twin: Image.Image, name: str) -> "Photo":
        code = raw_code(image)
        if image.format == "PNG":
            image.load()  # notes may come after the pixels
        exif, xmp = read_exif(image), kept_xmp(image)
        if exif.is_adobe_rgb and image.mode == "RGB":
            image.info.setdefault("icc_profile", ADOBE_RGB)
        pixels = decode(image, twin, code, exif, name)
        colour, alpha = (pixels[..., :-1], pixels[..., -1]) if pixels.shape[2] in (2, 4) else (pixels, None)
        grey = colour.shape[2] == 1
        if alpha is not None and alpha.any() and not alpha.all():
            colour = spread(colour, alpha)
        colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
        tables = getattr(image, "quantization", None)
        quality = quality_of(tables[0]) if tables and 0 in tables else None
        return cls(colour, alpha, grey, fitting_profile(image, grey), exif.kept(), xmp, jpeg_quality=quality)

    def rgb(self) -> Image.Image:
        """What models and measurements see: 8-bit sRGB, transparency over white."""
        colour, alpha = (
            None if values is None else (values >> 8).astype(np.uint8) if self.bits == 16 else values
            for values in (self.colour, self.alpha)
        )
        image = Image.fromarray(np.ascontiguousarray(colour))
        if self.icc:
            image = to_srgb(image if not self.grey else image.convert("L"), self.icc)
        if alpha is not None:
            image.putalpha(Image.fromarray(alpha))
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        return image

    def condition(self) -> Condition:
        """How noisy, compressed or enlarged it is, by its middle, so that a large one takes little time and memory."""
        height, width = self.colour.shape[:2]
        left, top = max(0, (width - MEASURED) // 2), max(0, (height - MEASURED) // 2)
        middle = self.cropped((left, top, min(width, left + MEASURED), min(height, top + MEASURED)))
        return measure_condition(middle.rgb(), self.jpeg_quality)

    def cropped(self, box: tuple[int, int, int, int]) -> "Photo":
        """A part of this photo: left, top, right, bottom, pixels."""
        place = np.s_[box[1] : box[3], box[0] : box[2]]
        return replace(self, colour=self.colour[place], alpha=None if self.alpha is None else self.alpha[place])

    def halved(self, box: tuple[int, int, int, int] | None = None) -> "Photo":
        """This photo with half as many pixels a side, by Pillow's bicubic; or a part of that, by as much as it takes.

        Args:
            box: left, top, right, bottom of the part, pixels of the halved photo.
        """
        size = self.colour.shape[1], self.colour.shape[0]
        box = box or (0, 0, *half(size))
        places = [side * size[i % 2] / half(size)[i % 2] for i, side in enumerate(box)]
        left, top = (max(0, math.floor(place) - REACH) for place in places[:2])
        right, bottom = (min(size[i], math.ceil(place) + REACH) for i, place in enumerate(places[2:]))
        read = self.cropped((left, top, right, bottom))
        x, y, end, bottom_end = (place - (left, top)[i % 2] for i, place in enumerate(places))
        inner = x, y, min(end, right - left), min(bottom_end, bottom - top)

        def shrink(values: np.ndarray) -> np.ndarray:
            smaller = Image.fromarray(values.astype(np.float32)).resize(
                (box[2] - box[0], box[3] - box[1]), Image.Resampling.BICUBIC, inner
            )
            return np.rint(np.asarray(smaller).clip(0, np.iinfo(values.dtype).max)).astype(values.dtype)

        colour = np.dstack([shrink(read.colour[..., channel]) for channel in range(3)])
        return replace(read, colour=colour, alpha=None if read.alpha is None else shrink(read.alpha), jpeg_quality=None)

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

    def save(
        self,
        path: Path,
        *,
        quality: int | None = None,
        exif: bool = True,
        provenance: Provenance | None = None,
    ) -> None:
        """Write PNG, JPEG, WebP or TIFF, as the extension says; replaces `path` in one move.

        JPEG has no transparency: what is transparent lies over white there.

        Args:
            path: where to.
            quality: 1 to 100 for JPEG and lossy WebP; by default JPEG has 95, and WebP is lossless.
            exif: whether EXIF and XMP go with it.
            provenance: what enlarged it, which a note in XMP then says.

        Raises:
            ImageError: the format cannot hold it.
        """
        height, width = self.colour.shape[:2]
        format_ = check_target(path, width, height, self.channels, self.bits, quality)
        notes = Notes.of(self.exif if exif else Exif(), self.xmp if exif else b"", provenance).fitting(format_, path)
        with replacing(path) as temporary:
            if format_ == "TIFF":
                write_tiff(temporary, self._channels(), self.icc, notes.exif, notes.xmp)
            elif self.bits == 16:
                write_png16(temporary, self._channels(), self.icc, notes.exif.tobytes(), notes.xmp)
            else:
                image = self.picture(format_)
                options = SAVE_OPTIONS.get(format_, {})
                if quality is not None:
                    options = options | {"quality": quality, "lossless": False}
                try:
                    image.save(
                        temporary,
                        format_,
                        **options,
                        **notes.options(format_),
                        icc_profile=image.info.get("icc_profile"),
                    )
                except ValueError as error:
                    raise ImageError(f"{path}: cannot be written as {format_} ({error}).") from error

    def picture(self, format_: str) -> Image.Image:
        """This photo of 8 bits as a format holds it, with its profile in `info` where the format has such profiles."""
        channels = self._channels()
        image = Image.fromarray(channels[..., 0] if channels.shape[2] == 1 else channels)
        if format_ == "JPEG" and self.alpha is not None:
            mode, image = image.mode[:-1], image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(mode)
        if self.icc and (format_ == "GIF" or (format_ == "WEBP" and self.grey)):  # WebP has no grey
            image = to_srgb(image.convert(image.mode.removesuffix("A")), self.icc)
            image.info.clear()
            if self.alpha is not None:
                image.putalpha(Image.fromarray(self.alpha))
        elif self.icc:
            image.info["icc_profile"] = self.icc
        return image

    def _channels(self) -> np.ndarray:
        """Grey or RGB, and alpha if there is any: shape (H, W, 1 to 4)."""
        colour = self.colour
        if self.grey:
            colour = np.empty((*colour.shape[:2], 1), colour.dtype)
            for row, rgb in zip(colour, self.colour, strict=True):  # row by row, as floats take much memory
                row[:, 0] = np.rint(rgb @ LUMA)
        return colour if self.alpha is None else np.dstack([colour, self.alpha])


def half(size: tuple[int, int]) -> tuple[int, int]:
    """What is left of a width and a height when a photo is halved."""
    return max(1, size[0] // 2), max(1, size[1] // 2)


def check_target(
    path: Path, width: int, height: int, channels: int, bits: int, quality: int | None, frames: int = 1
) -> str:
    """The format in which such a photo, or several frames, will be written; arguments as for `Photo`.

    Raises:
        ImageError: that format is not for photos, or cannot hold it.
    """
    format_ = format_of(path)
    sides, what = (SIDES_OF_FRAMES, "several frames") if frames > 1 else (LARGEST_SIDES, "photos")
    if format_ not in sides:
        raise ImageError(f"{path}: {format_} is not a format for {what}; use {', '.join(sides)}.")
    if max(width, height) > sides[format_]:
        raise ImageError(
            f"{path}: {width} x {height} pixels; {format_} has at most {sides[format_]} a side, PNG has more."
        )
    if bits == 16 and frames > 1:
        raise ImageError(f"{path}: several frames are written with 8 bits a channel only.")
    if bits == 16 and format_ not in DEEP:
        raise ImageError(f"{path}: 16 bits a channel are written to {' and '.join(DEEP)} only.")
    if format_ == "TIFF" and width * height * channels * bits // 8 * frames > LIMIT:
        raise ImageError(f"{path}: {width} x {height} pixels are more than the 4 GiB of a TIFF; PNG has more.")
    if quality is not None and format_ not in LOSSY:
        raise ImageError(f"{path}: {format_} is lossless; a quality is for JPEG and WebP.")
    return format_

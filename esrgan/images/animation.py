"""Animations, and documents of several pages, in one file: their frames are made one by one as it is written."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..files import replacing
from .exif import Exif
from .notes import Notes
from .photo import Photo, check_target
from .reading import SAVE_OPTIONS, decoding, format_of, frames_of, opened
from .resize import SCALE
from .xmp import Provenance

CLEAR = 255  # the entry of a GIF's palettes that is transparent
MOST_PLAYS = 65_535  # that GIF and WebP can say


class Frame(NamedTuple):
    """What is known of a frame before it is upscaled: width and height once it is, Pillow's mode, and ms."""

    size: tuple[int, int]
    mode: str
    duration: float | None


@dataclass(frozen=True)
class Animation:
    """A file's frames in outline.

    Attributes:
        path: the file.
        frames: one after the other.
        plays: how often all are shown; 0 for without end.
        exif: the first frame's.
        xmp: the first frame's.
    """

    path: Path
    frames: list[Frame]
    plays: int
    exif: Exif
    xmp: bytes

    @classmethod
    def scan(cls, path: Path) -> "Animation":
        """Decode every frame once, so that damage shows before hours of work.

        Raises:
            ImageError: as for `Photo.frames`.
        """
        with opened(path) as image, decoding(str(path)):
            loop = image.info.get("loop")  # a GIF's says how often it is repeated, and is not there if it is not
            plays = 1 if loop is None else loop + (image.format == "GIF" and loop > 0)
        frames, exif, xmp = [], Exif(), b""
        for photo in Photo.frames(path):
            height, width = photo.colour.shape[:2]
            mode = ("L" if photo.grey else "RGB") + ("" if photo.alpha is None else "A")
            frames.append(Frame((SCALE * width, SCALE * height), mode, photo.duration))
            exif, xmp = exif or photo.exif, xmp or photo.xmp
        return cls(path, frames, plays, exif, xmp)

    def check(self, target: Path, bits: int, quality: int | None) -> None:
        """Refuse what the target's format cannot hold once it is upscaled; arguments as for `check_target`.

        Raises:
            ImageError: as for `check_target`; or pages, which no duration belongs to, are to become an animation.
        """
        width, height = (max(sides) for sides in zip(*(frame.size for frame in self.frames), strict=True))
        channels = max(len(frame.mode) for frame in self.frames)
        format_ = check_target(target, width, height, channels, bits, quality, len(self.frames))
        if format_ != "TIFF" and any(frame.duration is None for frame in self.frames):
            raise ImageError(f"{target}: {format_} is for animations; the pages of {self.path} are for TIFF.")

    def save(
        self,
        target: Path,
        photos: Iterator[Photo],
        *,
        quality: int | None = None,
        exif: bool = True,
        provenance: Provenance | None = None,
    ) -> None:
        """Write an animated PNG, WebP or GIF, or a TIFF of several pages; replaces `target` in one move.

        PNG and GIF are held in memory until all is there, WebP and TIFF frame by frame. A GIF has 256 colours a frame,
        a TIFF no durations. The profile and EXIF are the first frame's, but a TIFF's pages have profiles of their own.

        Args:
            target: where to.
            photos: the frames, upscaled.
            quality: 1 to 100 for lossy WebP; by default it is lossless.
            exif: whether EXIF and XMP go with it, which GIF does not take.
            provenance: as for `Photo.save`.

        Raises:
            ImageError: the format cannot hold it; or what `photos` raises.
        """
        format_ = format_of(target)
        modes = [frame.mode for frame in self.frames]
        clear = any(mode.endswith("A") for mode in modes)
        if format_ != "TIFF":  # whose pages may differ
            grey = format_ == "PNG" and all(mode.startswith("L") for mode in modes)
            modes = [("L" if grey else "RGB") + ("A" if clear else "")] * len(modes)
        options: dict[str, Any] = SAVE_OPTIONS.get(format_, {}) | {"save_all": True}
        if format_ != "TIFF":
            options["duration"] = [frame.duration for frame in self.frames]
            if self.plays != 1 or format_ != "GIF":
                repeats = self.plays - 1 if format_ == "GIF" and self.plays else self.plays
                options["loop"] = min(repeats, MOST_PLAYS)
        if format_ == "GIF" and clear:
            options |= {"disposal": 2, "transparency": CLEAR, "optimize": False}
        if quality is not None:
            options |= {"quality": quality, "lossless": False}

        def pictures() -> Iterator[Image.Image]:
            for photo, mode in zip(photos, modes, strict=True):
                picture = photo.picture(format_).convert(mode)
                yield with_palette(picture) if format_ == "GIF" else picture

        sizes = [frame.size for frame in self.frames]
        frames = _Frames(["P"] * len(modes) if format_ == "GIF" else modes, sizes, pictures())
        frames.load()
        if format_ != "TIFF":
            options["icc_profile"] = frames.info.get("icc_profile")
        notes = Notes.of(self.exif if exif else Exif(), self.xmp if exif else b"", provenance)
        if format_ != "GIF":
            options |= notes.options(format_)
        try:
            with replacing(target) as temporary:
                frames.save(temporary, format_, **options)
        except (ValueError, struct.error) as error:
            raise ImageError(f"{target}: cannot be written as {format_} ({error}).") from error


class _Frames(Image.Image):
    """Pictures that are made when they are loaded, in order; Pillow's writers look at modes and sizes before that."""

    def __init__(self, modes: list[str], sizes: list[tuple[int, int]], pictures: Iterator[Image.Image]) -> None:
        super().__init__()
        self._modes = modes
        self._sizes = sizes
        self._pictures = pictures
        self._made = 0
        self.n_frames = len(sizes)
        self.seek(0)

    def seek(self, frame: int) -> None:
        if frame >= self.n_frames:
            raise EOFError
        self._frame = frame
        self._mode, self._size = self._modes[frame], self._sizes[frame]

    def tell(self) -> int:
        return self._frame

    def load(self) -> Any:
        while self._made <= self._frame:
            picture = next(self._pictures)
            self._made += 1
            self.im, self.palette, self.info = picture.im, picture.palette, picture.info
        return super().load()


def count_frames(path: Path) -> int:
    """How many frames or pages a file has.

    Raises:
        ImageError: as for `reading.opened`.
    """
    with opened(path) as image, decoding(str(path)):
        return len(frames_of(image))


def with_palette(picture: Image.Image) -> Image.Image:
    """RGB in 256 colours; RGBA in 255, with what is more than half transparent as entry `CLEAR`."""
    if picture.mode == "RGB":
        return picture.quantize(256)
    reduced = picture.convert("RGB").quantize(CLEAR)
    colours = reduced.getpalette() or []
    reduced.putpalette(colours + [0] * (3 * 256 - len(colours)))
    reduced.paste(CLEAR, mask=Image.fromarray(np.asarray(picture)[..., 3] < 128))
    return reduced

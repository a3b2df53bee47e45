"""Files to pixels and back. Whatever is wrong with a file is an `ImageError` of one sentence that names it."""

import hashlib
import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from ..errors import ImageError
from ..files import replacing

pillow_heif.register_heif_opener()
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20  # bytes, where Pillow refuses the whole photo above one million

logger = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000
NAMED = 3  # files that are left out
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {"compress_level": 3},
    "WEBP": {"lossless": True},
}
FORMATS = ["AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP"]  # no EPS: it starts Ghostscript
EXTENSIONS = frozenset(extension for extension, name in Image.registered_extensions().items() if name in FORMATS)
PNG = b"\x89PNG\r\n\x1a\n"
PNG_NOTES = (b"eXIf", b"iCCP", b"iTXt", b"tEXt", b"tIME", b"zTXt")
DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    struct.error,
)
EXAMPLES = Path(__file__).parent.parent / "examples"  # the photos that come with the package


@contextmanager
def opened(source: str | Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A file as Pillow opens it: its header read and its size checked, its pixels not decoded yet.

    Args:
        source: a path, or a file's content.
        name: what to call it in messages; the path's own name if left out.
        max_pixels: width times height above which the file is refused.

    Raises:
        ImageError: not there or not to be read, not an image, damaged, or too large.
    """
    name = name or called(source)
    with decoding(name):
        try:
            image = _open(source)
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name}: its pixels are {_too_many(max_pixels)}") from error
        except UnidentifiedImageError as error:
            raise ImageError(
                f"{name}: not an image that can be read; use PNG, JPEG, WebP, HEIC, AVIF, TIFF, GIF, BMP or JPEG 2000."
            ) from error
        except FileNotFoundError as error:
            raise ImageError(f"{name}: no such file.") from error
        except PermissionError as error:
            raise ImageError(f"{name}: may not be read by this user; change its permissions.") from error
    with image:
        check_size(image, name, max_pixels)
        image.filename = ""  # by which Pillow maps files into memory, turned TIFFs with their sides swapped
        yield image


def _open(source: str | Path | bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    except UnidentifiedImageError:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if not content.startswith(PNG):
            raise
        return Image.open(io.BytesIO(_without_damaged_notes(content)), formats=FORMATS)


def _without_damaged_notes(content: bytes) -> bytes:
    """A PNG without the chunks of text, profile and EXIF whose checksum is wrong; Pillow refuses all of it for one."""
    kept, place = [PNG], len(PNG)
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        name, checksum = content[place + 4 : place + 8], int.from_bytes(content[end - 4 : end], "big")
        if name not in PNG_NOTES or zlib.crc32(content[place + 4 : end - 4]) == checksum:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)


def read_size(source: str | Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height as the file's header has them, not turned upright; arguments and errors as for `opened`."""
    with opened(source, name, max_pixels) as image:
        return image.size


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """What Pillow raises at damage, and it may be nearly anything, becomes an `ImageError`; for calls of Pillow alone.

    Args:
        name: what to call the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks about odd metadata; what matters raises
            yield
    except MemoryError as error:
        raise ImageError(f"{name}: does not fit into memory; shrink or crop it.") from error
    except DAMAGE as error:
        raise ImageError(f"{name}: the image is damaged and cannot be decoded ({error}).") from error


def called(source: str | Path | bytes) -> str:
    """What a file is called in messages."""
    return "the image" if isinstance(source, bytes) else str(source)


def check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse what `opened` would, before it is decoded."""
    if image.width * image.height > max_pixels:
        raise ImageError(f"{name}: {image.width} x {image.height} pixels are {_too_many(max_pixels)}")


def _too_many(max_pixels: int) -> str:
    return f"more than the limit of {max_pixels / 1e6:g} megapixels; shrink or crop it."


def frames_of(image: Image.Image) -> range:
    """The numbers of an animation's frames or a document's pages; else 0 alone, also where a phone has added pictures.

    An animated PNG's first picture may be for programs that show no animation; it is left out.
    """
    if image.format == "MPO":
        return range(1)
    return range(1 if image.info.get("default_image") else 0, getattr(image, "n_frames", 1))


def format_of(path: Path) -> str:
    """Pillow's name of the format that the extension of `path` stands for.

    Raises:
        ImageError: none that can be written.
    """
    format_ = Image.registered_extensions().get(path.suffix.lower())
    if format_ is None or format_ not in Image.SAVE:
        raise ImageError(
            f"{path}: {path.suffix or 'no extension'} is not an image format that can be written; use .png."
        )
    return format_


def write_image(image: Image.Image, path: Path) -> None:
    """Write a photo in the format of its extension, lossless where the format can be; replaces `path` in one move."""
    format_ = format_of(path)
    with replacing(path) as temporary:
        image.save(temporary, format_, **SAVE_OPTIONS.get(format_, {}))


@dataclass
class Found:
    """What is in a folder and below it.

    Attributes:
        images: files that may be photos by their extension, sorted.
        others: files that are not.
        hidden: how many names begin with a dot, of files and of folders, whose content is not counted.
        locked: folders that this user may not read.
    """

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    hidden: int = 0
    locked: list[Path] = field(default_factory=list)

    @property
    def left_out(self) -> str:
        """What is no photo, counted and named; empty where there is nothing."""
        names = ", ".join(path.name for path in self.others[:NAMED]) + (", …" if len(self.others) > NAMED else "")
        parts = [f"{len(self.others)} other files ({names})"] if self.others else []
        parts += [f"{self.hidden} hidden"] if self.hidden else []
        return " and ".join(parts)


def search_folder(folder: Path) -> Found:
    """Look through a folder and those below it; links to folders are not followed."""
    found = Found()
    for root, folders, names in os.walk(folder, onerror=lambda error: found.locked.append(Path(error.filename))):
        found.hidden += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                path = Path(root, name)
                kind = found.images if path.suffix.lower() in EXTENSIONS and path.is_file() else found.others
                kind.append(path)
    found.images.sort()
    found.others.sort()
    return found


def locked_folder(folder: Path) -> str:
    """What is said of a folder that may not be read."""
    return f"{folder}: this folder may not be read by this user; change its permissions."


def find_images(path: Path) -> list[Path]:
    """The file itself, or all images below a folder, sorted; the log says what is left out.

    Raises:
        ImageError: nothing there, or a folder below it may not be read.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ImageError(f"{path}: no such file or folder.")
    found = search_folder(path)
    if found.locked:
        raise ImageError(locked_folder(found.locked[0]))
    if not found.images:
        raise ImageError(f"{path}: no images in this folder ({', '.join(sorted(EXTENSIONS))}).")
    if found.left_out:
        logger.info("%s: left out %s", path, found.left_out)
    return found.images


def fingerprint(paths: Sequence[Path]) -> str:
    """What a set of photos is known by: SHA-256, in hexadecimal, of their names and contents in the order given.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()

"""Files to pixels and back. Whatever is wrong with a file is an `ImageError` of one sentence that names it."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from ..errors import ImageError
from ..files import replacing

try:
    import pillow_heif
except ImportError:
    HEIC_EXTENSIONS: frozenset[str] = frozenset()
else:
    pillow_heif.register_heif_opener()
    HEIC_EXTENSIONS = frozenset({".heic", ".heif"})

MAX_PIXELS = 100_000_000
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {"compress_level": 3},
    "WEBP": {"lossless": True},
}
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"]  # no EPS: Pillow would start Ghostscript for it
EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}) | HEIC_EXTENSIONS
if HEIC_EXTENSIONS:
    FORMATS.append("HEIF")
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
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name}: its pixels are {_too_many(max_pixels)}") from error
        except UnidentifiedImageError as error:
            heic = "" if HEIC_EXTENSIONS else "; HEIC needs the package pillow-heif"
            raise ImageError(
                f"{name}: not an image that can be read; use PNG, JPEG, WebP, TIFF, BMP or GIF{heic}."
            ) from error
        except FileNotFoundError as error:
            raise ImageError(f"{name}: no such file.") from error
        except PermissionError as error:
            raise ImageError(f"{name}: may not be read by this user; change its permissions.") from error
    with image:
        check_size(image, name, max_pixels)
        image.filename = ""  # by which Pillow maps files into memory, turned TIFFs with their sides swapped
        yield image


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


def find_images(path: Path) -> list[Path]:
    """The file itself, or all images below a folder, sorted.

    Raises:
        ImageError: nothing there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ImageError(f"{path}: no such file or folder.")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS and file.is_file())
    if not found:
        raise ImageError(f"{path}: no images in this folder ({', '.join(sorted(EXTENSIONS))}).")
    return found

"""Writing TIFF with 8 or 16 bits a channel (TIFF 6.0), and reading its 16-bit grey with alpha."""

import struct
from pathlib import Path

import numpy as np
from PIL import TiffImagePlugin

from .exif import LONG, TAGS, Entry, Exif

LIMIT = 2**32 - 2**20  # bytes that its 32-bit offsets reach, less what goes before the pixels
UNASSOCIATED_ALPHA = 2
BYTE, SHORT, UNDEFINED = 1, 3, 7
XMP = 700

for _prefix, _order in ((b"II", "L"), (b"MM", "B")):  # what Pillow's table of what it opens leaves out
    TiffImagePlugin.OPEN_INFO[_prefix, 1, (1,), 1, (16, 16), (UNASSOCIATED_ALPHA,)] = ("RGBA", f"LA;16{_order}")


def write_tiff(
    path: Path, pixels: np.ndarray, icc: bytes | None = None, exif: Exif | None = None, xmp: bytes = b""
) -> None:
    """Write an array as it is, in one uncompressed strip: an EXIF block is a TIFF that lacks only the picture.

    Args:
        path: where to.
        pixels: uint8 or uint16 of shape (H, W, C); C of 1 to 4 for grey, grey and alpha, RGB, RGBA; less than `LIMIT`
            bytes.
        icc: a colour profile.
        exif: tags, whose order of bytes is taken for the pixels too.
        xmp: a packet.
    """
    exif = exif or Exif()
    height, width, channels = pixels.shape

    def shorts(*values: int) -> Entry:
        return Entry(SHORT, len(values), struct.pack(f"{exif.order}{len(values)}H", *values))

    def long(value: int) -> Entry:
        return Entry(LONG, 1, struct.pack(f"{exif.order}I", value))

    tags: dict[int, Entry] = {
        TAGS.ImageWidth: long(width),
        TAGS.ImageLength: long(height),
        TAGS.BitsPerSample: shorts(*[8 * pixels.itemsize] * channels),
        TAGS.Compression: shorts(1),
        TAGS.PhotometricInterpretation: shorts(2 if channels > 2 else 1),
        TAGS.SamplesPerPixel: shorts(channels),
        TAGS.RowsPerStrip: long(height),
        TAGS.StripByteCounts: long(pixels.nbytes),
        TAGS.StripOffsets: long(0),
        TAGS.PlanarConfiguration: shorts(1),
    }
    if channels in (2, 4):
        tags[TAGS.ExtraSamples] = shorts(UNASSOCIATED_ALPHA)
    if icc:
        tags[TAGS.InterColorProfile] = Entry(UNDEFINED, len(icc), icc)
    if xmp:
        tags[XMP] = Entry(BYTE, len(xmp), xmp)
    tags[TAGS.StripOffsets] = long(len(exif.directory(tags)))
    with path.open("wb") as file:
        file.write(exif.directory(tags))
        np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(exif.order)).tofile(file)

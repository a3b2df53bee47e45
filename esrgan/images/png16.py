"""Writing PNG with 16 bits a channel, which Pillow does for grey alone (PNG specification, third edition)."""

import struct
import zlib
from pathlib import Path

import numpy as np

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of grey, grey and alpha, RGB, RGBA
UP = 2  # the filter that stores a row as its difference from the one above
ROWS = 64


def write_png16(path: Path, pixels: np.ndarray, icc: bytes | None = None, exif: bytes = b"", xmp: bytes = b"") -> None:
    """Write an array as it is.

    Args:
        path: where to.
        pixels: uint16 of shape (H, W, C); C of 1 to 4 for grey, grey and alpha, RGB, RGBA.
        icc: a colour profile.
        exif: an EXIF block, with or without its JPEG prefix.
        xmp: a packet.
    """
    height, width, channels = pixels.shape
    with path.open("wb") as file:

        def chunk(name: bytes, content: bytes) -> None:
            file.write(struct.pack(">I", len(content)) + name + content)
            file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))

        file.write(b"\x89PNG\r\n\x1a\n")
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0))
        if icc:
            chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
        if exif:
            chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
        if xmp:
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        compressor = zlib.compressobj(3)
        above = np.zeros((1, 2 * channels * width), np.uint8)
        for start in range(0, height, ROWS):
            rows = pixels[start : start + ROWS].astype(">u2").view(np.uint8).reshape(-1, above.shape[1])
            filtered = rows - np.concatenate([above, rows[:-1]])
            above = rows[-1:]
            chunk(b"IDAT", compressor.compress(np.insert(filtered, 0, UP, axis=1).tobytes()))
        chunk(b"IDAT", compressor.flush())
        chunk(b"IEND", b"")

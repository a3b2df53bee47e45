"""Writing TIFF with 16 bits a channel, which Pillow does for grey alone (TIFF 6.0), and reading its grey with alpha."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

TAGS = ExifTags.Base
LIMIT = 2**32 - 2**20  # bytes that its 32-bit offsets reach, less what goes before the pixels
UNASSOCIATED_ALPHA = 2

for _prefix, _order in ((b"II", "L"), (b"MM", "B")):  # what Pillow's table of what it opens leaves out
    TiffImagePlugin.OPEN_INFO[_prefix, 1, (1,), 1, (16, 16), (UNASSOCIATED_ALPHA,)] = ("RGBA", f"LA;16{_order}")


def write_tiff16(path: Path, pixels: np.ndarray, icc: bytes | None = None, exif: bytes = b"") -> None:
    """Write an array as it is, in one uncompressed strip: an EXIF block is a TIFF that lacks only the picture.

    Args:
        path: where to.
        pixels: uint16 of shape (H, W, C); C of 1 to 4 for grey, grey and alpha, RGB, RGBA; less than `LIMIT` bytes.
        icc: a colour profile.
        exif: an EXIF block, with or without its JPEG prefix.
    """
    height, width, channels = pixels.shape
    tags = Image.Exif()
    tags.load(exif)
    tags[TAGS.ImageWidth], tags[TAGS.ImageLength] = width, height
    tags[TAGS.BitsPerSample] = (16,) * channels
    tags[TAGS.Compression] = 1
    tags[TAGS.PhotometricInterpretation] = 2 if channels > 2 else 1
    tags[TAGS.SamplesPerPixel] = channels
    tags[TAGS.RowsPerStrip] = height
    tags[TAGS.StripByteCounts] = pixels.nbytes
    tags[TAGS.StripOffsets] = 0  # from the end of the directory, as Pillow has it
    tags[TAGS.PlanarConfiguration] = 1
    if channels in (2, 4):
        tags[TAGS.ExtraSamples] = UNASSOCIATED_ALPHA
    if icc:
        tags[TAGS.InterColorProfile] = icc
    directory = tags.tobytes().removeprefix(b"Exif\0\0")
    with path.open("wb") as file:
        file.write(directory)
        np.ascontiguousarray(pixels, ">u2" if directory.startswith(b"MM") else "<u2").tofile(file)

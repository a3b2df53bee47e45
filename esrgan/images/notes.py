"""What goes into a file beside the pixels, as each format takes it: EXIF and XMP."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from .exif import Exif
from .tiff import XMP
from .xmp import Provenance

logger = logging.getLogger(__name__)

JPEG_EXIF = 65_533  # bytes that a marker takes
JPEG_XMP = 65_502


@dataclass(frozen=True)
class Notes:
    """EXIF and XMP of a file to be written.

    Attributes:
        exif: may be empty.
        xmp: a packet; may be empty.
        provenance: what is said in it of this program.
    """

    exif: Exif
    xmp: bytes
    provenance: Provenance | None = None

    @classmethod
    def of(cls, exif: Exif, xmp: bytes, provenance: Provenance | None) -> "Notes":
        """A photo's own, and what enlarged it."""
        return cls(exif, provenance.add_to(xmp) if provenance else xmp, provenance)

    def fitting(self, format_: str, path: Path) -> "Notes":
        """What a format has room for; the log says what is left out."""
        if format_ != "JPEG":
            return self
        exif, left_out = self.exif.within(JPEG_EXIF)
        if left_out:
            logger.warning("%s: EXIF is larger than JPEG takes; %d of its tags are left out.", path, left_out)
        xmp = self.xmp
        if len(xmp) > JPEG_XMP:
            logger.warning("%s: XMP is larger than JPEG takes, and is left out.", path)
            xmp = self.provenance.add_to(b"") if self.provenance else b""
        return replace(self, exif=exif, xmp=xmp)

    def options(self, format_: str) -> dict[str, Any]:
        """Arguments of Pillow's `save`."""
        options: dict[str, Any] = {}
        if self.exif:
            options["exif"] = self.exif.tobytes()
        if format_ in ("JPEG", "WEBP") and self.xmp:
            options["xmp"] = self.xmp
        elif format_ == "PNG" and self.xmp:
            text = PngImagePlugin.PngInfo()
            text.add_itxt("XML:com.adobe.xmp", self.xmp)
            options["pnginfo"] = text
        elif format_ == "TIFF":
            tags = Image.Exif()
            try:
                tags.load(self.exif.tobytes())
                tags.tobytes()
            except Exception:  # whatever Pillow makes of odd tags, which it encodes anew
                logger.warning("EXIF has tags that cannot be written to a TIFF of several pages; it is left out.")
                tags = Image.Exif()
            if self.xmp:
                tags[XMP] = self.xmp
            options["exif"] = tags
        return options

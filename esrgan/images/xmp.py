"""XMP: what a photo's file has is kept, and a note says that a program enlarged it (ISO 16684-1)."""

import re
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from PIL import Image

from .resize import SCALE

# "Algorithmically-altered media", in IPTC's vocabulary of digital source types.
ENHANCED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
# About how the file before stored its pixels.
STORED = rb"tiff:(?:Orientation|ImageWidth|ImageLength)|exif:Pixel[XY]Dimension"
NOTED = rb"Iptc4xmpExt:(?:DigitalSourceType|AISystemUsed|AISystemVersionUsed)"
END = b"</rdf:RDF>"
EMPTY = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' + END + b'</x:xmpmeta>\n<?xpacket end="w"?>'
)


@dataclass(frozen=True)
class Provenance:
    """What enlarged a photo.

    Attributes:
        software: program and version.
        model: as it was named, with revision and stage.
    """

    software: str
    model: str

    def add_to(self, xmp: bytes) -> bytes:
        """A packet with the note in it, by the properties of IPTC's Photo Metadata Standard 2025.1.

        Args:
            xmp: the photo's own packet, or nothing.
        """
        kept = _without(xmp, NOTED) if END in xmp else EMPTY
        properties = {
            "DigitalSourceType": ENHANCED,
            "AISystemUsed": f"{self.software}, model {self.model}, enlarged {SCALE} times",
            "AISystemVersionUsed": self.software.rpartition(" ")[2],
        }
        attributes = " ".join(f"Iptc4xmpExt:{name}={quoteattr(value)}" for name, value in properties.items())
        note = (
            '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
            f"{attributes}/>"
        )
        before, end, after = kept.rpartition(END)
        return before + note.encode() + end + after


def kept_xmp(image: Image.Image) -> bytes:
    """The packet of a file that Pillow has opened, without what is about its pixels' storage; empty if it has none."""
    xmp = image.info.get("xmp") or b""
    return _without(xmp.encode() if isinstance(xmp, str) else bytes(xmp), STORED)


def _without(xmp: bytes, names: bytes) -> bytes:
    """A packet without these properties, whether they are written as attributes or as elements."""
    xmp = re.sub(rb"\s(?:" + names + rb')\s*=\s*("[^"]*"|\'[^\']*\')', b"", xmp)
    return re.sub(rb"<(" + names + rb")(?:\s[^>]*)?(?:/>|>.*?</\1\s*>)", b"", xmp, flags=re.DOTALL)

"""EXIF as it is: what is kept of it is kept byte by byte, whatever its tags mean (TIFF 6.0, section 2; EXIF 3.0).

Pillow decodes tags and encodes them anew, which changes text that is not ASCII, and fails at a tag of an odd type.
"""

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from PIL import ExifTags, Image

TAGS: type[ExifTags.Base] = ExifTags.Base
PREFIX = b"Exif\0\0"

# What is about the photo; all else is about how the file stores it. Pixels are turned, so the orientation is left out.
NAMES = ("Make", "Model", "Software", "HostComputer", "Artist", "Copyright", "DateTime", "ImageDescription", "Rating")
RESOLUTION = ("XResolution", "YResolution", "ResolutionUnit")
EXPLORER = ("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject")
KEPT = frozenset(ExifTags.Base[name] for name in (*NAMES, *RESOLUTION, *EXPLORER))
BLOCKS: tuple[int, ...] = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
DROPPED = frozenset({TAGS.ExifImageWidth, TAGS.ExifImageHeight, ExifTags.IFD.Interop})
INTEROP_INDEX = 1
LARGEST = 2**20  # bytes of one tag

# Bytes of one value, by type: 1 to 12 of TIFF 6.0, 13 an address, 129 text in UTF-8 (EXIF 3.0).
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
LONG = 4
METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Entry(NamedTuple):
    """A tag's value: its type, how many values it has, and their bytes."""

    kind: int
    number: int
    content: bytes


Entries = dict[int, Entry]
Order = Literal["<", ">"]


@dataclass(frozen=True)
class Exif:
    """A block of tags.

    Attributes:
        order: `<` or `>`, the order of bytes.
        main: the tags of its main directory.
        blocks: those of the directories below, by the tag that points to them.
        is_adobe_rgb: whether it says that the colours are of Adobe RGB (DCF 2.0, section 4.6).
    """

    order: Order = "<"
    main: Entries = field(default_factory=dict)
    blocks: dict[int, Entries] = field(default_factory=dict)
    is_adobe_rgb: bool = False

    @property
    def method(self) -> Image.Transpose | None:
        """How to turn the pixels; None where they are upright, or it is not said how they stand."""
        entry = self.main.get(TAGS.Orientation)
        if not entry or entry.kind not in (1, 3, 4, 6, 8, 9):
            return None
        number = entry.content[: SIZES[entry.kind]]
        return METHODS.get(int.from_bytes(number, "little" if self.order == "<" else "big"))

    def kept(self) -> "Exif":
        """What is about the photo itself."""
        return Exif(
            self.order,
            {tag: entry for tag, entry in self.main.items() if tag in KEPT},
            {
                pointer: kept
                for pointer, entries in self.blocks.items()
                if (kept := {tag: entry for tag, entry in entries.items() if tag not in DROPPED})
            },
        )

    def within(self, limit: int) -> tuple["Exif", int]:
        """Without the largest tags, so that `tobytes` has at most so many bytes; and how many those are."""
        exif, left_out = self, 0
        while len(exif.tobytes()) > limit:
            parts: dict[int | None, Entries] = dict(exif.blocks) | {None: exif.main}
            _, part, tag = max(
                ((len(entry.content), part, tag) for part, entries in parts.items() for tag, entry in entries.items()),
                key=lambda found: found[0],
            )
            kept = {key: entry for key, entry in parts[part].items() if key != tag}
            exif = replace(exif, main=kept) if part is None else replace(exif, blocks={**exif.blocks, part: kept})
            left_out += 1
        return exif, left_out

    def __bool__(self) -> bool:
        return bool(self.main or self.blocks)

    def tobytes(self) -> bytes:
        """The block as files hold it, with its prefix; empty if nothing is in it."""
        return PREFIX + self.directory() if self else b""

    def directory(self, more: Mapping[int, Entry] | None = None) -> bytes:
        """The block as a TIFF, without its prefix.

        Args:
            more: further tags of the main directory.
        """
        header = (b"II" if self.order == "<" else b"MM") + struct.pack(f"{self.order}HI", 42, 8)
        main = {**self.main, **(more or {})}
        pointers = dict.fromkeys(self.blocks, Entry(LONG, 1, bytes(4)))
        place = len(header) + len(self._pack({**main, **pointers}, 0))
        packed = []
        for pointer, entries in self.blocks.items():
            pointers[pointer] = Entry(LONG, 1, struct.pack(f"{self.order}I", place))
            packed.append(self._pack(entries, place))
            place += len(packed[-1])
        return header + self._pack({**main, **pointers}, len(header)) + b"".join(packed)

    def _pack(self, entries: Entries, place: int) -> bytes:
        """A directory that begins at `place`, with the values that do not fit into it after it."""
        after = place + 2 + 12 * len(entries) + 4
        table, values = struct.pack(f"{self.order}H", len(entries)), b""
        for tag, entry in sorted(entries.items()):
            content = entry.content.ljust(4, b"\0")
            if len(content) > 4:
                content = struct.pack(f"{self.order}I", after + len(values))
                values += entry.content + bytes(len(entry.content) % 2)
            table += struct.pack(f"{self.order}HHI", tag, entry.kind, entry.number) + content
        return table + bytes(4) + values


def read_exif(image: Image.Image) -> Exif:
    """The EXIF block of a file that Pillow has opened and not decoded yet; tags that are damaged are left out."""
    content = image.info.get("exif")
    if content is None and "Raw profile type exif" in image.info:  # ImageMagick's way to have EXIF in PNG
        try:
            content = bytes.fromhex("".join(str(image.info["Raw profile type exif"]).split("\n")[3:]))
        except ValueError:
            content = None
    if isinstance(content, bytes):
        return from_bytes(content)
    if image.format == "TIFF" and not image.tag_v2._bigtiff:  # type: ignore[attr-defined]
        return parse(_reader(image), image.tag_v2._offset)  # type: ignore[attr-defined]
    return Exif()


def from_bytes(content: bytes) -> Exif:
    """The tags of an EXIF block, with or without its prefix."""
    tiff = content.removeprefix(PREFIX)
    return parse(lambda offset, length: tiff[offset : offset + length])


def upright(image: Image.Image, exif: Exif) -> Image.Image:
    """Decode, and turn as EXIF or else XMP says; a TIFF turns itself."""
    image.load()
    if image.format == "TIFF":
        return image
    method = exif.method
    if TAGS.Orientation not in exif.main:
        xmp = image.info.get("xmp") or b""
        said = re.search(rb'tiff:Orientation(?:="|>)([1-8])', xmp if isinstance(xmp, bytes) else xmp.encode())
        method = METHODS.get(int(said[1])) if said else None
    return image if method is None else image.transpose(method)


def parse(read: Callable[[int, int], bytes], offset: int | None = None) -> Exif:
    """Tags of a TIFF structure.

    Args:
        read: gives so many bytes from a place on, or fewer.
        offset: of the main directory, if it is not the first.
    """
    header = read(0, 8)
    orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
    order = orders.get(header[:2])
    if not order or len(header) < 8:
        return Exif()
    main = _entries(read, order, struct.unpack(f"{order}I", header[4:])[0] if offset is None else offset)
    blocks = {pointer: _below(read, order, main, pointer) for pointer in BLOCKS}
    colours = _below(read, order, blocks[ExifTags.IFD.Exif], ExifTags.IFD.Interop).get(INTEROP_INDEX)
    return Exif(
        order,
        {tag: entry for tag, entry in main.items() if tag not in BLOCKS},
        {pointer: entries for pointer, entries in blocks.items() if entries},
        colours is not None and colours.content.startswith(b"R03"),
    )


def _below(read: Callable[[int, int], bytes], order: str, entries: Entries, pointer: int) -> Entries:
    """The directory that one of these tags points to; empty if none does."""
    entry = entries.get(pointer)
    if not entry or entry.kind not in (LONG, 13) or entry.number != 1:
        return {}
    return _entries(read, order, struct.unpack(f"{order}I", entry.content)[0])


def _entries(read: Callable[[int, int], bytes], order: str, offset: int) -> Entries:
    start = read(offset, 2)
    if len(start) < 2:
        return {}
    table = read(offset + 2, 12 * struct.unpack(f"{order}H", start)[0])
    found = {}
    for place in range(0, len(table) - 11, 12):
        tag, type_, count = struct.unpack_from(f"{order}HHI", table, place)
        length = SIZES.get(type_, 0) * count
        value = table[place + 8 : place + 12]
        if length > 4:
            value = read(struct.unpack(f"{order}I", value)[0], length) if length <= LARGEST else b""
        if 0 < length <= len(value):
            found[tag] = Entry(type_, count, value[:length])
    return found


def _reader(image: Image.Image) -> Callable[[int, int], bytes]:
    file = image.fp  # type: ignore[attr-defined]

    def read(offset: int, length: int) -> bytes:
        before = file.tell()
        try:
            file.seek(offset)
            return file.read(length)
        finally:
            file.seek(before)

    return read

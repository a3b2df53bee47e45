"""EXIF and XMP: kept byte by byte, however odd, and a note that says what was done."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from test_images import encode
from test_photos import UPSCALER, camera_exif

from esrgan import __version__
from esrgan.images.animation import Animation
from esrgan.images.exif import Entry, Exif, from_bytes
from esrgan.images.photo import Photo
from esrgan.images.xmp import ENHANCED, Provenance
from esrgan.inference.folder import upscale_file
from esrgan.models.source import Source

TAGS = ExifTags.Base
CAT = Image.effect_noise((24, 16), 90).convert("RGB")
MODEL = Source('me/"<&>"', "main", 0.8)
NOTE = Provenance(f"esrgan-animals {__version__}", str(MODEL))
XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    b' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" tiff:Orientation="6" dc:source="zoo" '
    b'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/>'
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
# Tags as cameras and programs really write them: text of bytes that are no ASCII; negative unsigned rationals; shorts
# where rationals belong; floats of no size that TIFF knows.
ODD = {
    TAGS.Make: Entry(2, 6, b"M\xfcnch\0"),
    TAGS.XResolution: Entry(10, 1, struct.pack("<ii", -72, 1)),
    TAGS.Artist: Entry(129, 6, "Zo\u00eb!".encode() + b"\0"),
    TAGS.Copyright: Entry(1, 4, b"(c)\0"),
}
INNER = {
    TAGS.DateTimeOriginal: Entry(2, 20, b"2024:05:06 07:08:09\0"),
    TAGS.ExposureTime: Entry(3, 2, struct.pack("<HH", 1, 50)),
    TAGS.FNumber: Entry(10, 1, struct.pack("<ii", 28, -10)),
    TAGS.MakerNote: Entry(7, 9, b"\0\xff\x80note\0\0"),
}
ODD_EXIF = Exif("<", ODD, {ExifTags.IFD.Exif: INNER})


def turned(exif: Exif, orientation: int) -> bytes:
    """The block with an orientation beside all else."""
    value = {TAGS.Orientation: Entry(3, 1, struct.pack(f"{exif.order}H", orientation))}
    return Exif(exif.order, {**exif.main, **value}, exif.blocks).tobytes()


def is_red_at(image: Image.Image, place: tuple[int, int]) -> bool:
    red, green, _ = image.convert("RGB").getpixel(place)  # type: ignore[misc]
    return red > 200 and green < 60


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_an_odd_tag_hides_neither_the_photo_nor_its_orientation(format_: str) -> None:
    image = Image.new("RGB", (24, 16), "green")
    image.paste("red", (0, 0, 8, 8))
    photo = Photo.open(encode(image, format_, exif=turned(ODD_EXIF, 6), quality=100))
    assert photo.colour.shape == (24, 16, 3)
    assert is_red_at(photo.rgb(), (13, 2)), "a quarter turn to the right brings the upper left corner to the right"
    assert (photo.exif.main, photo.exif.blocks) == (ODD, {ExifTags.IFD.Exif: INNER})


@pytest.mark.parametrize("mode", ["RGB", "P", "I;16"])
def test_notes_after_the_pixels_of_a_png_count_as_well(mode: str) -> None:
    image = CAT.convert("L").convert("I;16") if mode == "I;16" else CAT.convert(mode)
    content = encode(image, "PNG", exif=turned(ODD_EXIF, 6))
    before, after = content.index(b"eXIf") - 4, content.index(b"IDAT") - 4
    late = content[:before] + content[after:-12] + content[before:after] + content[-12:]
    photo, expected = Photo.open(late), Photo.open(content)
    assert photo.colour.shape == (CAT.width, CAT.height, 3)
    assert np.array_equal(photo.colour, expected.colour)
    assert photo.exif == expected.exif != Exif()


def test_xmp_of_another_encoding_goes_through_as_bytes(tmp_path: Path) -> None:
    packet = XMP.replace(b"zoo", "Z\xfcrich".encode("latin-1"))
    (tmp_path / "in.jpg").write_bytes(encode(CAT, "JPEG", xmp=packet))
    upscale_file(tmp_path / "in.jpg", tmp_path / "out.png", UPSCALER)
    assert b"Z\xfcrich" in (tmp_path / "out.png").read_bytes()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_odd_tags_and_text_go_through_as_bytes(extension: str, bits: int, tmp_path: Path) -> None:
    if bits == 16 and extension not in ("png", "tif"):
        pytest.skip("a format of 8 bits")
    (tmp_path / "in.jpg").write_bytes(encode(CAT, "JPEG", exif=turned(ODD_EXIF, 1), xmp=XMP))
    upscale_file(tmp_path / "in.jpg", tmp_path / f"out.{extension}", UPSCALER, bits=bits, model=MODEL)
    result = Photo.open(tmp_path / f"out.{extension}")
    assert (result.exif.main, result.exif.blocks) == (ODD, {ExifTags.IFD.Exif: INNER})
    assert b'dc:source="zoo"' in result.xmp
    assert b"Orientation" not in result.xmp
    assert b"digitalCapture" not in result.xmp, "a property can be there once"
    assert result.xmp.count(b"DigitalSourceType=") == 1
    assert f'Iptc4xmpExt:DigitalSourceType="{ENHANCED}"'.encode() in result.xmp


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_the_note_is_sound_xmp_and_can_be_left_out(extension: str, tmp_path: Path) -> None:
    from xml.etree import ElementTree

    (tmp_path / "in.png").write_bytes(encode(CAT, "PNG"))
    upscale_file(tmp_path / "in.png", tmp_path / f"noted.{extension}", UPSCALER, model=MODEL)
    packet = Photo.open(tmp_path / f"noted.{extension}").xmp
    space = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
    (note,) = [
        element.attrib for element in ElementTree.fromstring(packet).iter() if f"{space}AISystemUsed" in element.attrib
    ]
    assert note[f"{space}AISystemUsed"] == f'esrgan-animals {__version__}, model me/"<&>"@main:0.8, enlarged 4 times'
    assert note[f"{space}AISystemVersionUsed"] == __version__
    assert note[f"{space}DigitalSourceType"] == ENHANCED
    upscale_file(tmp_path / "in.png", tmp_path / f"bare.{extension}", UPSCALER)
    assert not Photo.open(tmp_path / f"bare.{extension}").xmp


def test_enlarged_twice_it_says_so_once() -> None:
    twice = NOTE.add_to(Provenance("esrgan-animals 1.1", "mixed").add_to(XMP))
    assert twice.count(b"AISystemUsed=") == twice.count(b"AISystemVersionUsed=") == 1
    assert b"mixed" not in twice
    assert NOTE.add_to(b"<damaged") == NOTE.add_to(b"")


def test_animations_carry_both(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = io.BytesIO()
    frames[0].save(content, "PNG", save_all=True, append_images=frames[1:], duration=50, exif=turned(ODD_EXIF, 1))
    (tmp_path / "in.png").write_bytes(content.getvalue())
    for extension in ("png", "webp", "tif"):
        target = tmp_path / f"out.{extension}"
        upscale_file(tmp_path / "in.png", target, UPSCALER, all_frames=True, model=MODEL)
        found = Animation.scan(target)
        assert ENHANCED.encode() in found.xmp
        assert len(found.frames) == 2
        assert extension == "tif" or found.exif.main == ODD


def test_what_jpeg_has_no_room_for_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    large = Exif("<", ODD, {ExifTags.IFD.Exif: {**INNER, TAGS.MakerNote: Entry(7, 70_000, bytes(70_000))}})
    photo = Photo(np.zeros((4, 4, 3), np.uint8), exif=large, xmp=XMP.replace(b"zoo", b"z" * 70_000))
    photo.save(tmp_path / "out.jpg", provenance=NOTE)
    result = Photo.open(tmp_path / "out.jpg")
    assert result.exif.main == ODD
    assert result.exif.blocks[ExifTags.IFD.Exif].keys() == INNER.keys() - {TAGS.MakerNote}
    assert ENHANCED.encode() in result.xmp
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "EXIF is larger than JPEG takes; 1 of its tags are left out.",
        "XMP is larger than JPEG takes, and is left out.",
    ]
    photo.save(tmp_path / "out.png")
    assert Photo.open(tmp_path / "out.png").exif.blocks == large.blocks


def test_the_block_is_one_that_others_read(tmp_path: Path) -> None:
    photo = Photo.open(encode(CAT, "JPEG", exif=camera_exif()))
    for order in ("<", ">"):
        exif = from_bytes(photo.exif.tobytes()) if order == "<" else photo.exif
        Photo(np.zeros((4, 6, 3), np.uint8), exif=exif).save(tmp_path / "out.tif")
        with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
            tags = tiff.pages[0].tags
            assert tags["Make"].value == "Maker"
            assert tags["ExifTag"].value["DateTimeOriginal"] == "2024:05:06 07:08:09"
    block = Image.Exif()
    block.load(photo.exif.tobytes())
    assert block[TAGS.Make] == "Maker"


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_block_or_none(content: bytes, framed: bool) -> None:
    header = b"II*\0\x08\0\0\0" if framed else b""
    kept = from_bytes(header + content).kept()
    again = from_bytes(kept.tobytes())
    assert (again.main, again.blocks) == (kept.main, kept.blocks)


@given(st.sampled_from(["<", ">"]), st.dictionaries(st.sampled_from(sorted(TAGS)), st.binary(min_size=1, max_size=9)))
def test_what_is_written_is_read_again(order, values: dict[int, bytes]) -> None:
    pointers = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
    entries = {tag: Entry(7, len(value), value) for tag, value in values.items() if tag not in pointers}
    block = Exif(order, entries, {ExifTags.IFD.GPSInfo: entries} if entries else {})
    assert from_bytes(block.tobytes()) == (block if entries else Exif())

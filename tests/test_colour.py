"""Colours come out as they went in, whatever names their space: a profile, or a PNG's chunks."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms
from test_images import encode

from esrgan import ImageError
from esrgan.images.colour_chunks import ADOBE_RGB
from esrgan.images.photo import Photo

SRGB_CURVE, LINEAR, P3, BT2020 = 13, 8, 12, 9
BT709_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(colour: tuple[int, ...] | int, *chunks: bytes, mode: str = "RGB", **options: object) -> bytes:
    return with_chunks(encode(Image.new(mode, (24, 24), colour), "PNG", **options), *chunks)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def with_chunks(content: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks before its pixels."""
    place = content.index(b"IDAT") - 4
    return content[:place] + b"".join(chunks) + content[place:]


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chromaticities(*values: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer, matrix, full)))


def seen(content: bytes) -> list[int]:
    return np.asarray(Photo.open(content, "photo.png").rgb())[10, 10].tolist()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # by both spaces' matrices (SMPTE EG 432-1, BT.709) and sRGB's curve: 201.6, 58.6, 37.9 and 42.7, 160.3, 91.4
        (png((186, 70, 49), cicp(P3, SRGB_CURVE)), (202, 59, 38)),
        (png((81, 158, 98), cicp(P3, SRGB_CURVE)), (43, 160, 91)),
        # linear light 0.5 is 187.5 of 255 by sRGB's curve, 0.2 is 123.6
        (png((128, 51, 255), cicp(1, LINEAR)), (188, 124, 255)),
        (png((128, 51, 255), gamma(1.0)), (188, 124, 255)),
        # a gamma of 1.8, as old Macintoshes had it: (128 / 255) ** 1.8 = 0.289, which sRGB codes as 146.6
        (png((128, 128, 128), gamma(1 / 1.8), chromaticities(*BT709_CHROMATICITIES)), (147, 147, 147)),
        (png((128, 128, 128), chromaticities(0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)), (128, 128, 128)),
        (png(128, gamma(1.0), mode="L"), (188, 188, 188)),
    ],
)
def test_a_space_that_chunks_name_becomes_srgb(content: bytes, expected: tuple[int, ...]) -> None:
    assert np.abs(np.subtract(seen(content), expected)).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0.45455), chromaticities(*BT709_CHROMATICITIES)],
        [gamma(0.45455)],
        [cicp(1, SRGB_CURVE)],
        [chunk(b"sRGB", b"\0"), gamma(1.0)],
        [cicp(1, SRGB_CURVE), gamma(1.0)],
    ],
)
def test_what_says_srgb_changes_nothing(chunks: list[bytes]) -> None:
    photo = Photo.open(png((200, 60, 40), *chunks))
    assert photo.icc is None
    assert photo.colour[0, 0].tolist() == [200, 60, 40]


def test_cicp_goes_before_a_profile_and_a_profile_before_gamma() -> None:
    from test_photos import profile

    wide = profile(2.2)
    assert Photo.open(png((200, 60, 40), gamma(1.0), icc_profile=wide)).icc == wide
    assert Photo.open(png((186, 70, 49), cicp(P3, SRGB_CURVE), icc_profile=wide)).icc not in (None, wide)


def test_a_camera_that_names_adobe_rgb_in_exif_alone_is_believed() -> None:
    """By hand, by Adobe RGB (1998)'s exponent 563 / 256 and both spaces' matrices: 166.6, 100.1, 54.7."""
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ColorSpace: 65_535, ExifTags.IFD.Interop: {1: "R03"}}
    content = png((150, 100, 60), exif=exif)
    assert np.abs(np.subtract(seen(content), (167, 100, 55))).max() <= 1
    assert Photo.open(content).icc == ADOBE_RGB
    assert Photo.open(png((150, 100, 60), exif=exif, icc_profile=srgb_profile())).icc == srgb_profile()


def test_every_frame_has_the_space_of_its_file() -> None:
    frames = [Image.new("RGB", (24, 24), (128, 51, blue)) for blue in (255, 0)]
    content = with_chunks(encode(frames[0], "PNG", save_all=True, append_images=frames[1:]), gamma(1.0))
    for photo, blue in zip(Photo.frames(content), (255, 0), strict=True):
        assert np.abs(np.asarray(photo.rgb())[10, 10].astype(int) - (188, 124, blue)).max() <= 1


def test_the_space_goes_with_the_result() -> None:
    photo = Photo.open(png((186, 70, 49), cicp(P3, SRGB_CURVE)))
    assert photo.colour[0, 0].tolist() == [186, 70, 49]
    file = io.BytesIO()
    photo.picture("PNG").save(file, "PNG", icc_profile=photo.icc)
    assert np.abs(np.subtract(seen(file.getvalue()), (202, 59, 38))).max() <= 1


@pytest.mark.parametrize("code", [(BT2020, 16), (BT2020, 18), (2, SRGB_CURVE), (1, SRGB_CURVE, 6), (1, 13, 0, 0)])
def test_hdr_and_video_are_a_sentence(code: tuple[int, ...]) -> None:
    with pytest.raises(
        ImageError, match=r"^photo\.png: its colours are HDR or video \(code points .*\); save it as sRGB\.$"
    ):
        seen(png((200, 60, 40), cicp(*code)))


def heic(colour: tuple[int, ...], primaries: int, transfer: int, **options: object) -> bytes:
    pillow_heif.register_heif_opener()
    named = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 1}
    return encode(Image.new("RGB", (64, 64), colour), "HEIF", quality=100, **named, **options)


def test_a_heic_that_names_its_space_by_code_points_alone_is_believed() -> None:
    for colour, expected in (((186, 70, 49), (202, 59, 38)), ((81, 158, 98), (43, 160, 91))):  # as of PNG above
        assert np.abs(np.subtract(seen(heic(colour, P3, SRGB_CURVE)), expected)).max() <= 3
        for srgb in (heic(colour, 1, SRGB_CURVE), heic(colour, 2, 2), heic(colour, P3, 13, icc_profile=srgb_profile())):
            assert np.abs(np.subtract(seen(srgb), colour)).max() <= 2
    with pytest.raises(ImageError, match=r"^photo\.png: its colours are HDR or video \(code points \(9, 16\)\)"):
        seen(heic((200, 60, 40), BT2020, 16))


@settings(max_examples=50, deadline=None)
@example([0] * 8, 1)
@example([0] * 8, 2**32 - 1)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8), st.integers(0, 2**32 - 1))
def test_no_chromaticities_are_too_odd(values: list[int], exponent: int) -> None:
    content = png(
        (200, 60, 40), chunk(b"cHRM", struct.pack(">8I", *values)), chunk(b"gAMA", struct.pack(">I", exponent))
    )
    assert len(seen(content)) == 3


@pytest.mark.parametrize("format_", ["HEIF", "AVIF", "JPEG2000"])
def test_photos_of_newer_formats_are_read(format_: str) -> None:
    from test_photos import CAT

    file = io.BytesIO()
    CAT.save(file, format_, quality=95) if format_ != "JPEG2000" else CAT.save(file, format_)
    photo = Photo.open(file.getvalue())
    assert photo.colour.shape == (33, 41, 3)
    assert np.abs(photo.colour.astype(int) - np.asarray(CAT, int)).mean() < 8


@pytest.mark.parametrize("name", [b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"iCCP"])
def test_a_wrong_checksum_of_a_note_costs_the_note_alone(name: bytes) -> None:
    broken = bytearray(chunk(name, b"Comment\0\0hello"))
    broken[-1] ^= 1
    assert seen(png((200, 60, 40), bytes(broken))) == [200, 60, 40]


def test_long_texts_and_profiles_are_no_damage_and_a_bomb_is_a_sentence() -> None:
    def text(length: int) -> bytes:
        return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(length)))

    assert seen(png((200, 60, 40), text(3_000_000))) == [200, 60, 40]
    with pytest.raises(ImageError, match=r"^photo\.png: "):
        seen(png((200, 60, 40), text(50_000_000)))

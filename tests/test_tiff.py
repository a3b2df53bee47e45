"""TIFF with 16 bits a channel, against tifffile: every value in, every value out, in all the ways it is stored."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from test_images import EXIF, encode
from test_photos import SIXTEEN, UPSCALER, camera_exif, larger, png16, profile

from esrgan import ImageError
from esrgan.images.bounded import read_image
from esrgan.images.exif import from_bytes
from esrgan.images.photo import Photo, check_target
from esrgan.images.tiff import write_tiff
from esrgan.inference.folder import upscale_file

COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's colour types by how many channels each has


def is_read_as(path: Path, pixels: np.ndarray) -> bool:
    photo = Photo.open(path)
    with_alpha = pixels.shape[2] in (2, 4)
    colour = pixels[..., :-1] if with_alpha else pixels
    assert photo.bits == 16
    assert photo.grey == (pixels.shape[2] < 3)
    assert (photo.alpha is not None) == with_alpha
    same_alpha = np.array_equal(photo.alpha, pixels[..., -1]) if with_alpha else True
    return same_alpha and np.array_equal(photo.colour, np.broadcast_to(colour, photo.colour.shape))


@pytest.mark.parametrize("channels", COLOUR)
def test_upscale_keeps_16_bits_as_another_library_reads_them(channels: int, tmp_path: Path) -> None:
    pixels = SIXTEEN[..., :channels].copy()
    if channels in (2, 4):
        pixels[..., -1] = 40_000  # bicubic leaves it as it is
    (tmp_path / "in.png").write_bytes(png16(pixels, COLOUR[channels]))
    upscale_file(tmp_path / "in.png", tmp_path / "out.tif", UPSCALER)
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        page = tiff.pages[0]
        assert (page.bitspersample, page.samplesperpixel) == (16, channels)
        assert page.photometric.name == ("RGB" if channels > 2 else "MINISBLACK")
        assert [kind.name for kind in page.extrasamples] == ["UNASSALPHA"] * (channels in (2, 4))
        assert np.array_equal(page.asarray().reshape(20, 28, channels), larger(pixels))
    assert is_read_as(tmp_path / "out.tif", larger(pixels))
    upscale_file(tmp_path / "out.tif", tmp_path / "again.tiff", UPSCALER)
    assert is_read_as(tmp_path / "again.tiff", larger(larger(pixels)))
    upscale_file(tmp_path / "in.png", tmp_path / "eight.tif", UPSCALER, bits=8)
    assert Photo.open(tmp_path / "eight.tif").bits == 8


def test_profile_and_exif_go_with_16_bits(tmp_path: Path) -> None:
    wide = profile(2.2)
    content = encode(Image.new("RGB", (6, 4), (20, 240, 30)), "JPEG", exif=camera_exif(), icc_profile=wide)
    photo = Photo.open(content)
    *_, (_, _, pixels) = UPSCALER.stream(photo.colour, 16)
    photo.enlarged(pixels).save(tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as image:
        assert image.info["icc_profile"] == wide
        assert image.size == (16, 24), "the camera was held upright"
    again = Photo.open(tmp_path / "out.tif")
    assert (again.icc, again.exif) == (wide, photo.exif)
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        tags = tiff.pages[0].tags
        assert tags["InterColorProfile"].value == wide
        assert tags["Make"].value == "Maker"
        assert "Orientation" not in tags
        assert tags["ExifTag"].value["DateTimeOriginal"] == "2024:05:06 07:08:09"
        assert tags["GPSTag"].value["GPSLatitudeRef"] == "N"
    photo.enlarged(pixels).save(tmp_path / "bare.tif", exif=False)
    assert ExifTags.Base.Make not in Image.open(tmp_path / "bare.tif").getexif()


def test_a_big_endian_exif_block_makes_a_big_endian_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.endian = ">"
    exif[ExifTags.Base.Make] = "Maker"
    write_tiff(tmp_path / "out.tif", SIXTEEN, exif=from_bytes(exif.tobytes()))
    assert (tmp_path / "out.tif").read_bytes().startswith(b"MM\0*")
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), SIXTEEN)
    assert is_read_as(tmp_path / "out.tif", SIXTEEN)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("compression", "predictor"), [(None, None), ("zlib", None), ("zlib", 2)])
@pytest.mark.parametrize("channels", COLOUR)
def test_16_bits_of_another_library_are_read(channels, compression, predictor, order, tmp_path) -> None:
    pixels = SIXTEEN[..., :channels]
    tifffile.imwrite(
        tmp_path / "in.tif",
        pixels if channels > 1 else pixels[..., 0],
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        planarconfig="contig" if channels > 1 else None,
        rowsperstrip=2,
        compression=compression,
        predictor=predictor,
        byteorder=order,
    )
    assert is_read_as(tmp_path / "in.tif", pixels)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
def test_16_bits_of_further_compressions_are_read(compression: str, tmp_path: Path) -> None:
    """Written as twice as many pixels of 8 bits, as Pillow has no 16-bit colour."""
    pixels = SIXTEEN[..., :3]
    halves = Image.fromarray(pixels.astype("<u2").view(np.uint8).reshape(5, 14, 3))
    halves.save(tmp_path / "in.tif", compression=compression)
    with tifffile.TiffFile(tmp_path / "in.tif", mode="r+") as tiff:
        tags = tiff.pages[0].tags
        tags["ImageWidth"].overwrite(7)
        tags["BitsPerSample"].overwrite((16, 16, 16))
    assert is_read_as(tmp_path / "in.tif", pixels)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_grey_where_0_is_white(compression: str | None, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", SIXTEEN[..., 0], photometric="miniswhite", compression=compression)
    assert is_read_as(tmp_path / "in.tif", 65535 - SIXTEEN[..., :1])


def test_12_bits_reach_white(tmp_path: Path) -> None:
    """Packed by hand, two values in three bytes: 0xfff, 0x800 and 0x123, 0x000; with 16 bits ffff, 8008, 1231, 0."""
    packed = np.frombuffer(bytes.fromhex("fff800 123000"), np.uint8).reshape(2, 3)
    tifffile.imwrite(tmp_path / "in.tif", packed, photometric="minisblack", byteorder="<")
    with tifffile.TiffFile(tmp_path / "in.tif", mode="r+") as tiff:
        tags = tiff.pages[0].tags
        tags["ImageWidth"].overwrite(2)
        tags["BitsPerSample"].overwrite(12)
    assert is_read_as(tmp_path / "in.tif", np.array([[[0xFFFF], [0x8008]], [[0x1231], [0]]], np.uint16))


@pytest.mark.parametrize("order", ["<", ">"])
def test_colours_that_opacity_was_put_upon_are_taken_back(order: str, tmp_path: Path) -> None:
    """By hand: 20000 at an opacity of 40000 of 65535 was 32767.5; more than the opacity is white."""
    stored = np.array([[[20_000, 40_000, 50_000, 40_000], [7, 8, 9, 65_535]]], np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb", extrasamples=["assocalpha"], byteorder=order)
    expected = np.array([[[32_768, 65_535, 65_535, 40_000], [7, 8, 9, 65_535]]], np.uint16)
    assert is_read_as(tmp_path / "in.tif", expected)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_what_would_be_read_wrongly_is_refused(channels: int, compression: str | None, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "in.tif",
        np.ascontiguousarray(SIXTEEN[..., :channels].transpose(2, 0, 1)),
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        planarconfig="separate",
        compression=compression,
    )
    with pytest.raises(ImageError, match=r"in\.tif: has 16 bits a channel in separate planes; save it with"):
        Photo.open(tmp_path / "in.tif")


@pytest.mark.parametrize("channels", COLOUR)
def test_a_turned_tiff_is_upright(channels: int, tmp_path: Path) -> None:
    write_tiff(tmp_path / "turned.tif", SIXTEEN[..., :channels], exif=from_bytes(EXIF.tobytes()))
    assert is_read_as(tmp_path / "turned.tif", np.rot90(SIXTEEN[..., :channels], -1))
    grey = (SIXTEEN[..., 0] >> 8).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.tif", exif=EXIF)
    assert np.array_equal(Photo.open(tmp_path / "grey.tif").colour[..., 0], np.rot90(grey, -1))
    assert np.array_equal(np.asarray(read_image(tmp_path / "grey.tif"))[..., 0], np.rot90(grey, -1))


def test_what_32_bit_offsets_do_not_reach_is_refused() -> None:
    side = 4 * 6000
    assert check_target(Path("out.tif"), side, side, 3, 16, None) == "TIFF"  # 3.5 GB
    with pytest.raises(ImageError, match=r"out\.tif: 24000 x 24000 pixels are more than the 4 GiB of a TIFF"):
        check_target(Path("out.tif"), side, side, 4, 16, None)  # 4.6 GB
    assert check_target(Path("out.png"), side, side, 4, 16, None) == "PNG"

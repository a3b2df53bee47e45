"""Photos of every mode, enlarged by a network whose output is known: what must not change, and what may."""

import io
import logging
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms
from test_images import EXIF, SOUND, damage, encode, png
from test_upscaler import repeater

from esrgan import ImageError, Upscaler
from esrgan.images.bounded import open_photo
from esrgan.images.photo import Photo

CAT = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 50, 141, 83))
UPSCALER = Upscaler(repeater(), device="cpu", tile=32, overlap=2)


def upscaled(content: bytes | Path, bits: int | None = None) -> Photo:
    photo = Photo.open(content)
    *_, (_, _, pixels) = UPSCALER.stream(photo.colour, bits or photo.bits)
    return photo.enlarged(pixels)


def through(content: bytes, path: Path, bits: int | None = None, **options: object) -> Image.Image:
    """A file, upscaled, written and opened again."""
    upscaled(content, bits).save(path, **options)
    return Image.open(path)


def larger(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels).repeat(4, 0).repeat(4, 1)


def profile(gamma: float, space: bytes = b"RGB ") -> bytes:
    """A colour profile written by hand: ICC.1:2001, the primaries of Adobe RGB (D50), or grey."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        primaries = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
        for letter, xyz in zip("rgb", primaries, strict=True):
            tags[f"{letter}XYZ".encode()] = b"XYZ " + bytes(4) + fixed(*xyz)
            tags[f"{letter}TRC".encode()] = curve
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"wide\0" + bytes(78)
    table, content, place = b"", b"", 132 + 12 * len(tags)
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += struct.pack(">4sII", name, place + len(content), len(body))
        content += body
    head = bytes(4) + struct.pack(">I", 0x02400000) + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += fixed(0.9642, 1, 0.8249) + bytes(48)
    whole = head + struct.pack(">I", len(tags)) + table + content
    return struct.pack(">I", len(whole) + 4) + whole


@pytest.mark.parametrize(
    ("mode", "out"),
    [("RGB", "RGB"), ("L", "L"), ("1", "L"), ("RGBA", "RGBA"), ("LA", "LA"), ("P", "RGB")],
)
def test_a_mode_keeps_its_kind_and_its_values(mode: str, out: str, tmp_path: Path) -> None:
    image = CAT.quantize(16) if mode == "P" else CAT.convert(mode)
    result = through(encode(image, "PNG"), tmp_path / "out.png")
    assert result.mode == out
    assert np.array_equal(np.asarray(result), larger(np.asarray(image.convert(out))))


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_lossless_formats_keep_every_pixel(mode: str, extension: str, tmp_path: Path) -> None:
    image = CAT.convert(mode)
    if mode.endswith("A"):
        image.putalpha(200)  # bicubic leaves it as it is
    result = through(encode(image, "PNG"), tmp_path / f"out{extension}")
    if extension == ".webp":  # has no grey
        assert result.mode == ("RGBA" if mode.endswith("A") else "RGB")
        image = image.convert(result.mode)
    else:
        assert result.mode == mode
    assert np.array_equal(np.asarray(result), larger(np.asarray(image)))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_jpeg_stays_near_and_its_quality_can_be_chosen(mode: str, tmp_path: Path) -> None:
    content = encode(CAT.convert(mode), "PNG")
    result = through(content, tmp_path / "fine.jpg")
    assert result.mode == mode[:3]
    assert np.abs(np.asarray(result, int) - larger(np.asarray(CAT.convert(mode[:3]))).astype(int)).mean() < 3
    for extension in (".jpg", ".webp"):
        sizes = []
        for quality in (30, 90):
            through(content, tmp_path / f"{quality}{extension}", quality=quality)
            sizes.append((tmp_path / f"{quality}{extension}").stat().st_size)
        assert sizes[0] < 0.9 * sizes[1]
    with pytest.raises(ImageError, match=r"out\.png: PNG is lossless"):
        through(content, tmp_path / "out.png", quality=50)


SIXTEEN = np.random.default_rng(0).integers(0, 65536, (5, 7, 4), np.uint16)
KINDS = {0: 1, 4: 2, 2: 3, 6: 4}  # PNG's colour types and how many channels each has


def png16(pixels: np.ndarray, colour: int) -> bytes:
    rows = pixels.astype(">u2").reshape(len(pixels), -1).view(np.uint8)
    return png(pixels.shape[1], len(pixels), 16, colour, np.insert(rows, 0, 0, 1).tobytes())


@pytest.mark.parametrize("colour", KINDS)
def test_16_bits_go_in_and_out(colour: int, tmp_path: Path) -> None:
    pixels = SIXTEEN[..., : KINDS[colour]]
    flat = pixels.copy()
    if colour in (4, 6):
        flat[..., -1] = 40_000  # bicubic leaves it as it is
    through(png16(flat, colour), tmp_path / "out.png")
    content = (tmp_path / "out.png").read_bytes()
    assert struct.unpack(">IIBB", content[16:26]) == (28, 20, 16, colour)
    again = Photo.open(tmp_path / "out.png")
    assert again.bits == 16
    expected = larger(flat[..., : -1 if colour in (4, 6) else None])
    assert np.array_equal(again.colour, np.broadcast_to(expected, (20, 28, 3)))
    assert (again.alpha == 40_000).all() if colour in (4, 6) else again.alpha is None
    assert again.grey == (colour in (0, 4))
    with Image.open(tmp_path / "out.png") as image:  # another reader agrees
        assert image.mode == {0: "I;16", 4: "RGBA", 2: "RGB", 6: "RGBA"}[colour]
        first = np.asarray(image).reshape(20, 28, -1)[..., 0]
        assert np.array_equal(first, expected[..., 0] >> (8 if colour else 0))


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_in_a_tiff(order: str) -> None:
    pixels = SIXTEEN[..., :3].astype(f"{order}u2")
    entries = [(256, 3, 1, 7), (257, 3, 1, 5), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 128)]
    entries += [(277, 3, 1, 3), (278, 3, 1, 5), (279, 4, 1, pixels.nbytes)]
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        content += struct.pack(f"{order}HHI", tag, kind, count) + packed
    content += bytes(4)
    content += bytes(122 - len(content)) + struct.pack(f"{order}3H", 16, 16, 16) + pixels.tobytes()
    assert np.array_equal(Photo.open(content).colour, SIXTEEN[..., :3])


def test_16_bits_are_a_matter_of_mode_not_of_value(tmp_path: Path) -> None:
    dark = np.full((2, 2, 1), 200, np.uint16)
    assert Photo.open(png16(dark, 0)).bits == 16
    assert np.asarray(through(png16(dark, 0), tmp_path / "dark.png")).max() == 200
    assert Photo.open(encode(Image.new("L", (2, 2), 200), "PNG")).bits == 8
    to_8 = np.array([[[0], [128], [129], [65535]]], np.uint16)  # 128 / 257 is 0.498, 129 / 257 is 0.502
    assert np.asarray(through(png16(to_8, 0), tmp_path / "eight.png", bits=8))[0, ::4].tolist() == [0, 0, 1, 255]
    with pytest.raises(ImageError, match=r"out\.jpg: 16 bits a channel are written to PNG and TIFF only"):
        through(png16(dark, 0), tmp_path / "out.jpg")


def test_8_bits_become_16_when_asked(tmp_path: Path) -> None:
    through(encode(CAT.convert("LA"), "PNG"), tmp_path / "out.png", bits=16)
    again = Photo.open(tmp_path / "out.png")
    assert (again.bits, again.grey) == (16, True)
    assert np.array_equal(again.colour[..., 0], larger(np.asarray(CAT.convert("L"))).astype(np.uint16) * 257)
    assert (again.alpha == 65535).all()


def test_a_transparent_colour_is_transparent() -> None:
    for image, clear in ((Image.new("L", (2, 1), 7), 7), (Image.new("RGB", (2, 1), (7, 8, 9)), (7, 8, 9))):
        image.putpixel((1, 0), 100 if image.mode == "L" else (100, 101, 102))
        photo = Photo.open(encode(image, "PNG", transparency=clear))
        assert photo.alpha.tolist() == [[0, 255]]
        assert photo.colour[0, 0, 0] == 100, "the colour of its neighbour"
        assert photo.grey == (image.mode == "L")


def test_what_is_stored_where_nothing_is_seen_takes_the_mean_of_what_surrounds_it() -> None:
    """By hand: of each square of 2 x 2 the mean by opacity, 10, 28 and none; there that of both, 25."""
    colour = np.array([[10, 0, 20, 30, 0, 0], [0, 0, 0, 0, 0, 0]], np.uint8)
    alpha = np.array([[51, 0, 51, 204, 0, 0], [0, 0, 0, 0, 0, 0]], np.uint8)
    photo = Photo.open(encode(Image.fromarray(np.dstack([colour, alpha]), "LA"), "PNG"))
    assert photo.colour[..., 0].tolist() == [[10, 10, 20, 30, 25, 25], [10, 10, 28, 28, 25, 25]]


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[:24, :24] - 11.5
    return (np.clip(radius - np.hypot(x, y), 0, 1) * 255).round().astype(np.uint8)


@pytest.mark.parametrize("ground", [0, 255])
def test_the_edge_of_a_cut_out_does_not_darken(ground: int, tmp_path: Path) -> None:
    """Orange on nothing, where nothing is stored as black: over any ground the edge lies between the two."""
    orange = np.array([250, 140, 20])
    alpha = disc(8)
    stored = np.dstack([np.where(alpha[..., None] > 0, orange, 0).astype(np.uint8), alpha])
    blurring = repeater()
    blurring.conv_first.weight.zero_()
    for channel in range(3):
        blurring.conv_first.weight[channel, channel] = 1 / 9
    photo = Photo.open(encode(Image.fromarray(stored), "PNG"))
    *_, (_, _, pixels) = Upscaler(blurring, device="cpu").stream(photo.colour)
    photo.enlarged(pixels).save(tmp_path / "out.png")
    result = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
    inside = result[8:-8, 8:-8]  # the network itself darkens the border of the picture
    shown = (inside[..., :3] * inside[..., 3:] + ground * (255 - inside[..., 3:])) / 255
    expected = (orange * inside[..., 3:] + ground * (255 - inside[..., 3:])) / 255
    assert np.abs(shown - expected).max() <= 2
    assert result[48, 48, 3] == 255
    assert result[2, 2, 3] == 0


def test_alpha_grows_smoothly_and_flat_areas_stay() -> None:
    alpha = np.zeros((6, 6), np.uint8)
    alpha[:, 3:] = 255
    photo = Photo.open(encode(Image.fromarray(np.dstack([np.full((6, 6, 3), 90, np.uint8), alpha])), "PNG"))
    row = photo.enlarged(np.zeros((24, 24, 3), np.uint8)).alpha[12].tolist()
    assert row[:6] == [0] * 6
    assert row[-6:] == [255] * 6
    assert row == sorted(row)
    assert len(set(row)) > 3


@pytest.mark.parametrize(
    ("extension", "bits"),
    [(".png", 8), (".png", 16), (".jpg", 8), (".webp", 8), (".tif", 8), (".tif", 16)],
)
def test_a_wide_gamut_looks_the_same(extension: str, bits: int, tmp_path: Path) -> None:
    wide = profile(2.2)
    greens = Image.new("RGB", (16, 16), (20, 240, 30))
    result = through(encode(greens, "PNG", icc_profile=wide), tmp_path / f"out{extension}", bits=bits)
    assert result.info["icc_profile"] == wide

    def seen(image: Image.Image) -> np.ndarray:
        given = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        lab = ImageCms.profileToProfile(image, given, ImageCms.createProfile("LAB"), outputMode="LAB")
        return np.asarray(lab, int)[8, 8]

    greens.info["icc_profile"] = wide
    assert np.abs(seen(result) - seen(greens)).max() <= 1


def test_a_grey_profile_stays_with_grey_and_is_applied_where_the_format_has_none(tmp_path: Path) -> None:
    content = encode(Image.new("L", (16, 16), 100), "PNG", icc_profile=profile(1.0, b"GRAY"))
    assert through(content, tmp_path / "out.png").info["icc_profile"] == profile(1.0, b"GRAY")
    webp = through(content, tmp_path / "out.webp")
    assert "icc_profile" not in webp.info
    linear = 100 / 255  # what the profile says it is; sRGB encodes it as 1.055 x ** (1 / 2.4) - 0.055
    assert np.asarray(webp)[30, 30].tolist() == pytest.approx([255 * (1.055 * linear ** (1 / 2.4) - 0.055)] * 3, abs=2)


def test_a_profile_of_another_space_is_dropped(tmp_path: Path) -> None:
    content = encode(Image.new("L", (4, 4), 100), "PNG", icc_profile=profile(2.2))
    assert "icc_profile" not in through(content, tmp_path / "out.png").info


def ink_profile() -> bytes:
    """A CMYK profile written by hand (ICC.1:2001, lut8Type) of inks that are L* 60, a* 40, b* 0, and black."""
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *(65536, 0, 0, 0) * 2, 65536)
    table += ramp * 4 + bytes((153, 168, 128, 0, 128, 128)) * 2**3 + ramp * 3
    head = bytes(4) + struct.pack(">I", 0x02400000) + b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    whole = head + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table
    return struct.pack(">I", len(whole) + 4) + whole


def test_cmyk_becomes_srgb_by_its_profile(tmp_path: Path) -> None:
    content = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", icc_profile=ink_profile())
    result = through(content, tmp_path / "out.png")
    assert "icc_profile" not in result.info
    # L* 60, a* 40, b* 0 by CIE's formulas, Bradford to D65 and sRGB's curve
    assert np.abs(np.asarray(result, int) - (208, 115, 146)).max() <= 3


def test_cmyk_becomes_srgb(tmp_path: Path) -> None:
    content = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100, icc_profile=b"no profile")
    result = through(content, tmp_path / "out.png")
    assert result.mode == "RGB"
    assert "icc_profile" not in result.info
    assert np.abs(np.asarray(result, int) - (255, 0, 0)).max() <= 3


def camera_exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Copyright] = "somebody"
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ExifImageWidth: 33,
        ExifTags.Base.ISOSpeedRatings: 200,
        ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09",
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif.tobytes()


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_is_kept_and_the_photo_upright(source: str, extension: str, tmp_path: Path) -> None:
    content = encode(CAT, source, exif=camera_exif())
    result = through(content, tmp_path / f"out{extension}")
    assert result.size == (4 * CAT.height, 4 * CAT.width)
    exif = result.getexif()
    assert exif.get(ExifTags.Base.Orientation, 1) == 1
    assert exif[ExifTags.Base.Make] == "Maker"
    assert exif[ExifTags.Base.Copyright] == "somebody"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    assert inner[ExifTags.Base.ISOSpeedRatings] == 200
    assert inner[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
    assert ExifTags.Base.ExifImageWidth not in inner
    assert exif.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}
    without = through(content, tmp_path / f"without{extension}", exif=False)
    assert ExifTags.Base.Make not in without.getexif()
    assert not without.getexif().get_ifd(ExifTags.IFD.GPSInfo)


def test_exif_is_kept_with_16_bits(tmp_path: Path) -> None:
    result = through(encode(CAT, "PNG", exif=camera_exif()), tmp_path / "out.png", bits=16)
    result.load()
    assert result.getexif()[ExifTags.Base.Make] == "Maker"


def test_turned_16_bit_colour_is_upright(tmp_path: Path) -> None:
    from esrgan.images.png16 import write_png16

    write_png16(tmp_path / "turned.png", SIXTEEN[..., :3], exif=EXIF.tobytes())
    assert np.array_equal(Photo.open(tmp_path / "turned.png").colour, np.rot90(SIXTEEN[..., :3], -1))


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_used_and_the_log_says_so(format_, caplog) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    content = encode(frames[0], format_, save_all=True, append_images=frames[1:], lossless=True)
    with caplog.at_level(logging.WARNING):
        photo = open_photo(content, "moving")
    assert np.array_equal(photo.colour[0, 0], [255, 0, 0]) or format_ == "WEBP"
    assert photo.colour[0, 0, 0] > 250 > 5 > photo.colour[0, 0, 1]
    assert caplog.messages == ["moving: holds 3 frames; the first is used."]


def test_a_phones_multi_picture_jpeg_is_no_animation(caplog) -> None:
    content = encode(CAT, "MPO", save_all=True, append_images=[CAT.rotate(180)])
    assert open_photo(content).colour.shape == (33, 41, 3)
    assert not caplog.messages


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    wide = Photo(np.zeros((1, 16_384, 3), np.uint8))
    with pytest.raises(ImageError, match=r"out\.webp: 16384 x 1 pixels; WEBP has at most 16383 a side"):
        wide.save(tmp_path / "out.webp")
    with pytest.raises(ImageError, match=r"out\.gif: GIF is not a format for photos"):
        wide.save(tmp_path / "out.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("float32", "floating-point values of 32 bits"),
        ("int32", "signed values of 32 bits"),
        ("uint32", "values of 32 bits"),
        ("int16", "signed values of 16 bits"),
    ],
)
def test_values_that_are_no_photos_are_named(kind: str, said: str) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.ones((4, 4), kind))
    with pytest.raises(ImageError, match=rf"^deep\.tif: has {said}; save it with 8 or 16 bits a channel, unsigned\.$"):
        Photo.open(file.getvalue(), "deep.tif")


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "LAB", "I", "F", 2, 4, 6]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_any_size_in_any_mode_becomes_4_times_as_large(width, height, mode, rng) -> None:
    if isinstance(mode, int):
        content = png(width, height, 16, mode, (b"\0" + rng.randbytes(2 * KINDS[mode] * width)) * height)
    else:
        depth = {"I;16": 2, "I": 4, "F": 4}.get(mode, len(Image.new(mode, (1, 1)).getbands()))
        size = (width + 7) // 8 * height if mode == "1" else width * height * depth
        image = Image.frombytes(mode, (width, height), rng.randbytes(size))
        if mode == "P":
            image.putpalette(rng.randbytes(768))
        content = encode(image, "TIFF")
    if mode in ("I", "F"):
        with pytest.raises(ImageError, match="values of 32 bits"):
            upscaled(content)
        return
    photo = upscaled(content)
    assert photo.colour.shape == (4 * height, 4 * width, 3)
    assert photo.bits == (16 if mode == "I;16" or isinstance(mode, int) else 8)
    if photo.grey:
        assert (photo.colour == photo.colour[..., :1]).all()
    if photo.alpha is not None:
        assert photo.alpha.shape == (4 * height, 4 * width)
        assert photo.alpha.dtype == photo.colour.dtype


@pytest.mark.parametrize("kind", SOUND)
def test_damaged_files_give_a_photo_or_an_image_error(kind: str, tmp_path: Path) -> None:
    outcomes = {"photo": 0, "refused": 0}
    for seed in range(30):
        name = f"{kind} {seed}"
        try:
            photo = Photo.open(damage(SOUND[kind], random.Random(1000 + seed)), name, max_pixels=100_000)
            small = Photo(photo.colour[:9, :9], None, photo.grey, photo.icc, photo.exif)
            small.save(tmp_path / "out.png")
        except ImageError as error:
            outcomes["refused"] += str(error).startswith(f"{name}: ") and "\n" not in str(error)
        else:
            outcomes["photo"] += photo.colour.shape[2] == 3
    assert sum(outcomes.values()) == 30
    assert outcomes["refused"] < 30, "the damage is of no use as a test"

"""Files to pixels and back: every kind of file that people have, and every way in which one can be broken."""

import contextlib
import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from esrgan.errors import ImageError
from esrgan.images.bounded import read_image
from esrgan.images.photo import Photo
from esrgan.images.reading import EXTENSIONS, find_images, write_image
from esrgan.images.resize import crop_to_multiple, enlarge, shrink

PHOTO = Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB").crop((100, 50, 164, 98))


def encode(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def colours(image: Image.Image) -> list[tuple[int, ...]]:
    return [tuple(map(int, pixel)) for row in np.asarray(image) for pixel in row]


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"") -> bytes:
    """A PNG written by hand."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return png_of([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    sums = [(name, content, zlib.crc32(name + content)) for name, content in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc) for name, content, crc in sums
    )


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks = []
    place = 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += length + 12
    return chunks


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    stored = {  # how a camera held that way stores the upright photo; the names are EXIF's "row 0, column 0"
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: np.rot90(a[::-1, :], -1)[::-1, ::-1],
        8: lambda a: np.rot90(a, -1),
    }[orientation](np.asarray(PHOTO))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    upright = read_image(content)
    assert upright.size == PHOTO.size
    assert np.array_equal(np.asarray(upright), np.asarray(PHOTO))


def test_transparency_lies_over_white() -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(10, 20, 30, 255), (10, 20, 30, 0), (0, 0, 0, 51)])
    assert colours(read_image(encode(image, "PNG"))) == [(10, 20, 30), (255, 255, 255), (204, 204, 204)]


def test_grey_with_alpha_lies_over_white() -> None:
    image = Image.new("LA", (2, 1))
    image.putdata([(40, 255), (40, 0)])
    assert colours(read_image(encode(image, "PNG"))) == [(40,) * 3, (255,) * 3]


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("clear", [0, 1])
def test_the_transparent_grey_of_a_png_is_so_at_every_depth(depth: int, clear: int) -> None:
    shades = (0, 2**depth - 1)
    row = int("".join(format(shade, f"0{depth}b") for shade in shades * 4), 2).to_bytes(depth, "big")
    content = png(8, 2, depth, 0, b"\0" + row + b"\0" + row)
    key = struct.pack(">H", shades[clear])
    chunk = struct.pack(">I", 2) + b"tRNS" + key + struct.pack(">I", zlib.crc32(b"tRNS" + key))
    alpha = Photo.open(content[:33] + chunk + content[33:]).alpha
    assert alpha is not None
    assert alpha.tolist() == [[0 if i % 2 == clear else 255 for i in range(8)]] * 2


def test_a_palette_becomes_its_colours_and_its_transparent_entry_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([200, 100, 50, 1, 2, 3, 9, 8, 7])
    image.putdata([0, 1, 2])
    for format_ in ("PNG", "GIF"):
        pixels = colours(read_image(encode(image, format_, transparency=1)))
        assert pixels == [(200, 100, 50), (255, 255, 255), (9, 8, 7)], format_


def test_grey_and_two_levels_become_rgb() -> None:
    grey = Image.new("L", (2, 1))
    grey.putdata([0, 77])
    assert colours(read_image(encode(grey, "PNG"))) == [(0,) * 3, (77,) * 3]
    bilevel = Image.new("1", (2, 1))
    bilevel.putdata([0, 255])
    assert colours(read_image(encode(bilevel, "PNG"))) == [(0,) * 3, (255,) * 3]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red = np.asarray(read_image(encode(image, "JPEG", quality=100)), int)
    assert np.abs(red - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_upper_byte(format_: str) -> None:
    values = np.array([[0, 255, 256, 0x8000, 0xABCD, 0xFFFF]], np.uint16)
    result = read_image(encode(Image.fromarray(values), format_))
    assert result.mode == "RGB"
    assert np.asarray(result)[0, :, 1].tolist() == [0, 0, 1, 0x80, 0xAB, 0xFF]


def test_16_bit_colour_keeps_its_upper_byte() -> None:
    row = b"\0" + struct.pack(">6H", 0, 0x8000, 0xABCD, 0xFFFF, 0x00FF, 0x0100)
    assert colours(read_image(png(2, 1, 16, 2, row))) == [(0, 0x80, 0xAB), (0xFF, 0, 1)]


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert set(colours(read_image(content))) == {(255, 0, 0)}


def test_a_phones_multi_picture_jpeg_gives_its_first(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(encode(PHOTO, "MPO", save_all=True, append_images=[PHOTO.rotate(180)]))
    result = np.asarray(read_image(tmp_path / "photo.jpg"), int)
    assert np.abs(result - np.asarray(PHOTO, int)).mean() < 8


def broken(kind: str) -> bytes:
    jpeg = encode(PHOTO, "JPEG")
    return {
        "text": b"This is no photo.\n" * 20,
        "empty": b"",
        "truncated": jpeg[: len(jpeg) // 2],
        "header alone": jpeg[:20],
        "huge": png(60_000, 60_000, 8, 2),
        "huge but under Pillow's own limit": png(12_000, 10_000, 8, 2),
        "web page": b"<!DOCTYPE html><html><body>404</body></html>",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    }[kind]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("text", "not an image"),
        ("empty", "not an image"),
        ("truncated", "damaged"),
        ("header alone", "not an image"),
        ("huge", "limit of 100 megapixels"),
        ("huge but under Pillow's own limit", "12000 x 10000 pixels are more than the limit of 100 megapixels"),
        ("web page", "not an image"),
        ("postscript", "not an image"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_name(tmp_path: Path, kind: str, told: str) -> None:
    path = tmp_path / "dog 1.jpg"
    path.write_bytes(broken(kind))
    for source, name in ((path, None), (path.read_bytes(), str(path))):
        with pytest.raises(ImageError) as error:
            read_image(source, name)
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert told in message
        assert "\n" not in message
        assert message.endswith(".")


def test_a_huge_header_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL.ImageFile import ImageFile

    def decode(*_: object) -> None:
        raise AssertionError("decoding was tried")

    monkeypatch.setattr(ImageFile, "load", decode)
    for kind in ("huge", "huge but under Pillow's own limit"):
        with pytest.raises(ImageError, match="megapixels"):
            read_image(broken(kind))
    with pytest.raises(ImageError, match=r"photo\.png: 64 x 48 pixels are more than the limit of 0\.003 megapixels"):
        read_image(encode(PHOTO, "PNG"), "photo.png", max_pixels=3000)


def test_pillows_remarks_are_kept_off_the_terminal(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(ImageError):
        read_image(broken("huge but under Pillow's own limit"))
    assert not list(recwarn)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png: no such file\.$"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match=str(tmp_path)):
        read_image(tmp_path)


def test_one_pixel_is_a_photo_but_cannot_be_shrunk() -> None:
    pixel = read_image(encode(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG"))
    assert colours(pixel) == [(1, 2, 3)]
    with pytest.raises(ImageError, match="1 x 1 pixels: too small"):
        crop_to_multiple(pixel, 4)


EXIF = Image.Exif()
EXIF[0x0112] = 6
EXIF[0x010F] = "maker"
SOUND = {
    "PNG": encode(PHOTO, "PNG", exif=EXIF),
    "PNG palette": encode(PHOTO.quantize(16), "PNG", transparency=3),
    "JPEG": encode(PHOTO, "JPEG", exif=EXIF),
    "progressive JPEG": encode(PHOTO, "JPEG", progressive=True, exif=EXIF),
    "WebP": encode(PHOTO, "WEBP", exif=EXIF),
    "lossless WebP": encode(PHOTO.convert("RGBA"), "WEBP", lossless=True),
    "GIF": encode(PHOTO.quantize(16), "GIF"),
    "TIFF": encode(PHOTO, "TIFF", exif=EXIF),
    "LZW TIFF": encode(PHOTO, "TIFF", compression="tiff_lzw"),
    "BMP": encode(PHOTO, "BMP"),
}


def damage(content: bytes, rng: random.Random) -> bytes:
    """Overwrite, cut out, double or blank a few places, most of them near the start, where the headers are."""
    if content.startswith(b"\x89PNG"):  # within the chunks, under checksums that are right again
        chunks = png_chunks(content)
        chosen = rng.randrange(len(chunks))
        chunks[chosen] = (chunks[chosen][0], damage(chunks[chosen][1], rng))
        return png_of(chunks)
    data = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if not data:
            break
        place = rng.randrange(min(rng.choice((64, 400, len(data))), len(data)))
        kind = rng.randrange(4)
        if kind == 0:
            data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 1:
            del data[place : place + rng.randint(1, 20)]
        elif kind == 2:
            data[place:place] = data[place : place + rng.randint(1, 20)]
        else:
            data[place : place + 4] = bytes(rng.choice((0, 0xFF)) for _ in range(4))
    return bytes(data)


@pytest.mark.parametrize("kind", SOUND)
def test_damaged_bytes_give_an_image_or_an_image_error(kind: str) -> None:
    outcomes = {"image": 0, "refused": 0}
    for seed in range(100):
        content = damage(SOUND[kind], random.Random(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = read_image(content, f"{kind} {seed}", max_pixels=1_000_000)
            except ImageError as error:
                outcomes["refused"] += str(error).startswith(f"{kind} {seed}: ") and "\n" not in str(error)
            else:
                outcomes["image"] += image.mode == "RGB"
    assert sum(outcomes.values()) == 100
    assert min(outcomes.values()) > 0, "the damage is of no use as a test"


@given(st.binary(max_size=200), st.sampled_from(sorted(SOUND)), st.integers(0, 60))
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_after_a_real_beginning_give_an_image_or_an_image_error(tail: bytes, kind: str, kept: int) -> None:
    with contextlib.suppress(ImageError):
        assert read_image(SOUND[kind][:kept] + tail, max_pixels=1_000_000).mode == "RGB"


@pytest.mark.parametrize("extension", [".png", ".webp", ".tif", ".bmp", ".PNG"])
def test_a_written_photo_is_read_back_exactly(tmp_path: Path, extension: str) -> None:
    path = tmp_path / "new" / f"photo{extension}"
    write_image(PHOTO, path)
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(PHOTO))
    assert list(path.parent.iterdir()) == [path]


def test_an_extension_that_no_image_has_is_refused() -> None:
    with pytest.raises(ImageError, match=r"x\.xyz: \.xyz is not an image format that can be written"):
        write_image(PHOTO, Path("x.xyz"))
    with pytest.raises(ImageError, match="no extension"):
        write_image(PHOTO, Path("x"))


def test_a_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    write_image(PHOTO, tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
        assert np.abs(np.asarray(image, int) - np.asarray(PHOTO, int)).mean() < 2


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.png"
    write_image(PHOTO, path)
    before = path.read_bytes()

    def fill(self: Image.Image, target: Path, *_: object, **__: object) -> None:
        Path(target).write_bytes(before[:50])
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", fill)
    with pytest.raises(OSError, match="no space"):
        write_image(PHOTO.rotate(90), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_images_are_found_below_a_folder_in_order(tmp_path: Path) -> None:
    wanted = ["a.JPG", "b/c.png", "b/d.webp", "z.tiff"]
    for name in [*wanted, "notes.txt", "b/list.csv", ".hidden.md"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)] == wanted
    assert find_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageError, match=rf"{tmp_path}: no images in this folder"):
        find_images(tmp_path)
    with pytest.raises(ImageError, match=r"none: no such file or folder\.$"):
        find_images(tmp_path / "none")


def test_every_extension_can_be_read_back(tmp_path: Path) -> None:
    for extension in EXTENSIONS:
        write_image(PHOTO, tmp_path / f"photo{extension}")
    assert {path.suffix for path in find_images(tmp_path)} == EXTENSIONS
    assert {read_image(path).size for path in find_images(tmp_path)} == {PHOTO.size}


@given(st.integers(4, 40), st.integers(4, 40), st.integers(1, 4))
def test_cropping_keeps_the_upper_left(width: int, height: int, scale: int) -> None:
    image = PHOTO.crop((0, 0, width, height))
    cropped = crop_to_multiple(image, scale)
    assert (cropped.width, cropped.height) == (width // scale * scale, height // scale * scale)
    assert np.array_equal(np.asarray(cropped), np.asarray(image)[: cropped.height, : cropped.width])


def test_shrinking_is_pillows_antialiased_bicubic_by_hand() -> None:
    """Support 2 stretched by 4, weights normalised: one output pixel of an edge, worked from the kernel."""

    def kernel(x: float) -> float:
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    edge = np.zeros((32, 32, 3), np.uint8)
    edge[:, 14:] = 200
    small = np.asarray(shrink(Image.fromarray(edge), 4))
    assert small.shape == (8, 8, 3)
    for column in range(8):
        weights = np.array([kernel((x + 0.5 - 4 * (column + 0.5)) / 4) for x in range(32)])
        value = float(weights[14:].sum() / weights.sum() * 200)
        assert small[4, column].tolist() == pytest.approx([min(max(value, 0), 255)] * 3, abs=0.51)


def test_enlarging_goes_back_to_the_size() -> None:
    assert enlarge(shrink(PHOTO, 4), 4).size == PHOTO.size

"""Animations from file to file, by a network whose output is known: every frame, its time, and the repeats."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import printed
from PIL import ExifTags, Image, ImageDraw
from test_images import encode, png_of
from test_photos import SIXTEEN, UPSCALER, camera_exif, larger, profile
from test_upscaler import repeater

from esrgan import ImageError, Upscaler
from esrgan.__main__ import main
from esrgan.images.photo import Photo
from esrgan.inference.folder import upscale_file

DURATIONS = [50, 120, 70, 300]
REPEATS_IN_A_GIF = re.compile(rb"NETSCAPE2\.0\x03\x01(..)\0", re.DOTALL)


def scenes(mode: str = "RGB") -> list[Image.Image]:
    """A square that goes its way over a ground, which is clear where the mode has alpha."""
    made = []
    for i in range(4):
        image = Image.new(mode, (14, 10), (0, 0, 0, 0) if mode == "RGBA" else "navy" if mode == "RGB" else 40)
        ImageDraw.Draw(image).rectangle((3 * i, 2, 3 * i + 3, 6), "orange" if mode != "L" else 200 - i)
        made.append(image)
    return made


def animation(format_: str, frames: list[Image.Image], **options: object) -> bytes:
    options = {"duration": DURATIONS, "loop": 0, "lossless": True} | options
    return encode(frames[0], format_, save_all=True, append_images=frames[1:], **options)


def shown(source: bytes | Path) -> tuple[list[np.ndarray], list[float]]:
    """Frames as Pillow composes them, and ms."""
    frames, durations = [], []
    with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
        for number in range(image.n_frames):
            image.seek(number)
            frame = np.array(image.convert("RGBA"))
            frame[frame[..., 3] == 0] = 0  # whatever is stored there
            frames.append(frame)
            durations.append(image.info.get("duration"))
    return frames, durations


def upscaled(content: bytes, target: Path, **options: object) -> Path:
    (target.parent / "in").write_bytes(content)
    upscale_file(target.parent / "in", target, UPSCALER, all_frames=True, **options)
    return target


@pytest.mark.parametrize("extension", [".webp", ".png", ".gif", ".tif"])
@pytest.mark.parametrize("source", ["GIF", "PNG", "WEBP"])
def test_every_frame_is_upscaled_and_keeps_its_time(source: str, extension: str, tmp_path: Path) -> None:
    content = animation(source, scenes())
    frames, durations = shown(upscaled(content, tmp_path / f"out{extension}"))
    assert len(frames) == 4
    for frame, before in zip(frames, shown(content)[0], strict=True):
        assert np.array_equal(frame, larger(before))
    assert durations == ([None] * 4 if extension == ".tif" else DURATIONS)


@pytest.mark.parametrize("extension", [".webp", ".png", ".gif", ".tif"])
@pytest.mark.parametrize("source", ["GIF", "PNG", "WEBP"])
def test_what_is_transparent_stays_so_and_nothing_shows_through(source: str, extension: str, tmp_path: Path) -> None:
    options = {"disposal": 2} if source == "GIF" else {}
    content = animation(source, scenes("RGBA"), **options)
    wanted = shown(content)[0]
    assert [int((frame[..., 3] == 0).sum()) for frame in wanted] == [120] * 4, "the source is what it is meant to be"
    frames, durations = shown(upscaled(content, tmp_path / f"out{extension}"))
    assert durations == ([None] * 4 if extension == ".tif" else DURATIONS)
    for frame, before in zip(frames, wanted, strict=True):
        if extension == ".gif":
            assert set(np.unique(frame[..., 3])) == {0, 255}
        for alpha in (0, 255):
            same = np.pad(before[..., 3] == alpha, 2, mode="edge")  # bicubic blends within two pixels of an edge
            far = np.all([same[i : i + 10, j : j + 14] for i in range(5) for j in range(5)], axis=0)
            assert (frame[..., 3][larger(far)] == alpha).all()
        assert (frame[..., 3] == 0).sum() > 800
        assert (frame[..., 3] == 255).sum() > 60
        solid = frame[..., 3] == 255
        assert (np.abs(frame[solid][:, :3].astype(int) - (255, 165, 0)) <= 1).all()


def test_half_transparent_pixels_stay_half_transparent_but_in_a_gif(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (6, 5), (10 * i, 200, 30, alpha)) for i, alpha in enumerate((90, 160, 255))]
    content = animation("PNG", frames, duration=40)
    for extension in (".png", ".webp", ".tif"):
        made = shown(upscaled(content, tmp_path / f"out{extension}"))[0]
        assert [frame[0, 0].tolist() for frame in made] == [[10 * i, 200, 30, a] for i, a in enumerate((90, 160, 255))]
    made = shown(upscaled(content, tmp_path / "out.gif"))[0]
    assert [frame[0, 0].tolist() for frame in made] == [[0] * 4, [10, 200, 30, 255], [20, 200, 30, 255]]


@pytest.mark.parametrize(("repeats", "plays"), [(None, 1), (0, 0), (1, 2), (4, 5)])
def test_a_gif_says_how_often_it_is_repeated_and_others_how_often_it_is_shown(repeats, plays, tmp_path) -> None:
    content = encode(
        scenes()[0],
        "GIF",
        save_all=True,
        append_images=scenes()[1:],
        duration=DURATIONS,
        **({} if repeats is None else {"loop": repeats}),
    )
    for extension in (".webp", ".png"):
        with Image.open(upscaled(content, tmp_path / f"out{extension}")) as image:
            assert image.info["loop"] == plays, extension
        between = (tmp_path / f"out{extension}").read_bytes()
        found = REPEATS_IN_A_GIF.findall(upscaled(between, tmp_path / "again.gif").read_bytes())
        assert found == ([] if repeats is None else [repeats.to_bytes(2, "little")]), extension


def test_more_repeats_than_a_format_can_say_are_as_many_as_it_can(tmp_path: Path) -> None:
    content = animation("PNG", scenes(), loop=2**31)
    with Image.open(upscaled(content, tmp_path / "out.webp")) as image:
        assert image.info["loop"] == 65_535
    assert REPEATS_IN_A_GIF.findall(upscaled(content, tmp_path / "out.gif").read_bytes()) == [b"\xff\xff"]


def test_without_the_flag_it_is_the_first_frame_and_one_frame_is_a_photo(tmp_path: Path, caplog) -> None:
    (tmp_path / "in.gif").write_bytes(animation("GIF", scenes()))
    upscale_file(tmp_path / "in.gif", tmp_path / "first.webp", UPSCALER)
    assert caplog.messages == [f"{tmp_path / 'in.gif'}: holds 4 frames; the first is used."]
    with Image.open(tmp_path / "first.webp") as image:
        assert image.n_frames == 1
        assert np.array_equal(np.asarray(image.convert("RGB")), larger(np.asarray(scenes()[0])))
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, SIXTEEN[..., :3], photometric="rgb")
    upscale_file(deep, tmp_path / "deep.png", UPSCALER, all_frames=True)
    assert np.array_equal(Photo.open(tmp_path / "deep.png").colour, larger(SIXTEEN[..., :3]))
    two_in_one = encode(scenes()[0], "MPO", save_all=True, append_images=scenes()[1:])
    assert Image.open(upscaled(two_in_one, tmp_path / "phone.jpg")).format == "JPEG"
    with pytest.raises(ImageError, match="GIF is not a format for photos"):
        upscaled(encode(scenes()[0], "PNG"), tmp_path / "still.gif")


def test_an_animated_pngs_picture_for_other_programs_is_left_out(tmp_path: Path) -> None:
    content = animation("PNG", [Image.new("RGB", (14, 10), "red"), *scenes()], default_image=True)
    frames, durations = shown(upscaled(content, tmp_path / "out.webp"))
    assert durations == DURATIONS
    assert np.array_equal(frames[0][..., :3], larger(np.asarray(scenes()[0])))


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profile_and_exif_are_kept_where_they_can_be(mode: str, tmp_path: Path) -> None:
    frames = [frame.convert(mode) for frame in scenes("L")]
    content = animation("PNG", frames, icc_profile=profile(1.0, b"GRAY"), exif=camera_exif())
    with Image.open(upscaled(content, tmp_path / "out.png")) as image:
        assert image.mode == mode
        assert image.size == (40, 56), "the camera was held upright"
        assert image.info["icc_profile"] == profile(1.0, b"GRAY")
        assert image.getexif()[ExifTags.Base.Make] == "Maker"
    for extension in (".webp", ".gif"):  # which have no grey, and GIF no profile
        with Image.open(upscaled(content, tmp_path / f"out{extension}")) as image:
            assert "icc_profile" not in image.info
            # 40 / 255 of linear light is 1.055 x ** (1 / 2.4) - 0.055 in sRGB
            assert np.asarray(image.convert("RGB"))[-1, -1] == pytest.approx([111] * 3, abs=2)
    with Image.open(upscaled(content, tmp_path / "bare.png", exif=False)) as image:
        assert not image.getexif()


@pytest.mark.parametrize("colour", [0, 2, 6])
def test_16_bit_frames_become_8_bit_ones(colour: int, tmp_path: Path) -> None:
    """An animated PNG written by hand, its second frame laid over a part of the first."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    first, second = (
        np.full((height, width, channels), value, ">u2") for height, width, value in ((5, 6, 2570), (2, 3, 25443))
    )
    first[..., 3:] = second[..., 3:] = 65535

    def control(number: int, pixels: np.ndarray) -> tuple[bytes, bytes]:
        return b"fcTL", struct.pack(">IIIIIHHBB", number, *pixels.shape[1::-1], 0, 0, 40, 1000, 0, 0)

    rows = [zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels)) for pixels in (first, second)]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 6, 5, 16, colour, 0, 0, 0)), (b"acTL", struct.pack(">II", 2, 0))]
    chunks += [control(0, first), (b"IDAT", rows[0])]
    chunks += [control(1, second), (b"fdAT", struct.pack(">I", 2) + rows[1]), (b"IEND", b"")]
    frames, durations = shown(upscaled(png_of(chunks), tmp_path / "out.webp"))
    assert durations == [40, 40]
    assert (frames[0] == (10, 10, 10, 255)).all()
    assert (frames[1][:8, :12] == (99, 99, 99, 255)).all()
    assert (frames[1][8:] == (10, 10, 10, 255)).all()


def test_pages_keep_their_size_mode_and_profile(tmp_path: Path) -> None:
    pages = [SIXTEEN[..., :3], (SIXTEEN[:4, :3, :2] >> 8).astype(np.uint8), SIXTEEN[:2, :, 0]]
    with tifffile.TiffWriter(tmp_path / "in.tif") as tiff:
        tiff.write(pages[0], photometric="rgb", iccprofile=profile(2.2))
        tiff.write(pages[1], photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
        tiff.write(pages[2], photometric="minisblack", compression="zlib")
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", UPSCALER, all_frames=True)
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        made = [page.asarray() for page in tiff.pages]
        assert ["InterColorProfile" in page.tags for page in tiff.pages] == [True, False, False]
        assert [page.samplesperpixel for page in tiff.pages] == [3, 2, 1]
    assert [page.shape[:2] for page in made] == [(20, 28), (16, 12), (8, 28)]
    for page, source in zip(made, pages, strict=True):
        eight = source / 257 if source.dtype == np.uint16 else source
        colours = slice(1) if page.ndim == 3 and page.shape[2] == 2 else slice(None)  # noise as alpha is blended
        difference = np.atleast_3d(page)[..., colours] - np.atleast_3d(larger(eight))[..., colours]
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.jpg", {}, "JPEG is not a format for several frames; use GIF, PNG, TIFF, WEBP"),
        ("out.png", {"bits": 16}, "several frames are written with 8 bits a channel only"),
        ("out.png", {"quality": 50}, "PNG is lossless; a quality is for JPEG and WebP"),
    ],
)
def test_what_the_format_cannot_hold_is_one_sentence_before_any_work(name, options, message, tmp_path) -> None:
    with pytest.raises(ImageError, match=message):
        upscaled(animation("GIF", scenes()), tmp_path / name, **options)
    assert not (tmp_path / name).exists()


def test_pages_do_not_become_an_animation(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"out\.webp: WEBP is for animations; the pages of .*in are for TIFF"):
        upscaled(animation("TIFF", scenes()), tmp_path / "out.webp")


def test_a_frame_longer_than_the_format_can_say_is_one_sentence(tmp_path: Path) -> None:
    content = animation("PNG", scenes(), duration=2_000_000)
    with pytest.raises(ImageError, match=r"out\.gif: cannot be written as GIF"):
        upscaled(content, tmp_path / "out.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.6, 0.9])
def test_damaged_later_frames_are_one_sentence_and_nothing_is_written(format_, share, tmp_path, caplog) -> None:
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 20, 3), np.uint8)) for i in range(4)]
    content = animation(format_, noise, compression="tiff_adobe_deflate")
    content = content[: int(share * len(content))]
    (tmp_path / "in.gif").write_bytes(content)
    calls: list[int] = []
    upscaler = Upscaler(UPSCALER.generator, device="cpu")
    upscaler.generator.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(ImageError, match=r"in\.gif: (the image is damaged|not an image)"):
        upscale_file(tmp_path / "in.gif", tmp_path / "out.tif", upscaler, all_frames=True)
    assert not calls, "all frames are decoded before the first is upscaled"
    assert [path.name for path in tmp_path.iterdir()] == ["in.gif"]


def test_a_failure_amid_the_frames_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "in.gif").write_bytes(animation("GIF", scenes()))
    for extension in (".webp", ".png", ".gif", ".tif"):
        target = tmp_path / f"out{extension}"
        target.write_text("mine")
        upscaler = Upscaler(UPSCALER.generator, device="cpu", tile=32, overlap=2)
        calls: list[int] = []

        def fail(*_: object, calls: list[int] = calls) -> None:
            calls.append(1)
            if len(calls) == 3:
                raise RuntimeError("the third")

        upscaler.generator.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="the third"):
            upscale_file(tmp_path / "in.gif", target, upscaler, all_frames=True)
        assert target.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("extension", [".webp", ".tif"])
def test_frames_are_not_held_where_they_need_not_be(extension: str, tmp_path: Path) -> None:
    """24 frames are 384 MB as Pillow holds them."""
    script = f"""
from pathlib import Path
import numpy as np
from PIL import Image
from esrgan.images.animation import Animation, Frame
from esrgan.images.exif import Exif
from esrgan.images.photo import Photo

folder = Path({str(tmp_path)!r})

def save(count, name):
    photos = (Photo(np.full((2000, 2000, 3), number, np.uint8), duration=40) for number in range(count))
    Animation(Path("none"), [Frame((2000, 2000), "RGB", 40)] * count, 0, Exif(), b"").save(folder / name, photos)
    return peak()

before = save(3, "few{extension}")
print((save(24, "many{extension}") - before) // 2**20)
"""
    more = int(printed(script))
    with Image.open(tmp_path / f"many{extension}") as image:
        assert image.n_frames == 24
    assert more < 100, "MB more than for 3 frames"


def test_the_command_has_the_flag(tmp_path: Path) -> None:
    model = tmp_path / "model"
    repeater().save_pretrained(model)
    (tmp_path / "in.gif").write_bytes(animation("GIF", scenes()))
    command = ["upscale", str(tmp_path / "in.gif"), "-o", str(tmp_path / "out"), "--model", str(model)]
    assert main([*command, "--all_frames", "--format", "webp"]) == 0
    with Image.open(tmp_path / "out" / "in.webp") as image:
        assert (image.n_frames, image.size, image.format) == (4, (56, 40), "WEBP")

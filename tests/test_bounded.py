"""Files that keep a decoder busy or fill the memory, and what goes on meanwhile and afterwards."""

import io
import os
import signal
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from PIL import Image

from esrgan import ImageError
from esrgan.images.bounded import Decoder, open_photo, read_image
from esrgan.images.photo import Photo

PHOTO = EXAMPLES / "raccoon_face.png"


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def long_comment(blocks: int) -> bytes:
    """A GIF of 8 x 8 pixels whose comment has so many blocks, which Pillow joins one by one."""
    file = io.BytesIO()
    Image.new("P", (8, 8)).save(file, "GIF")
    gif = file.getvalue()
    pixels = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    return gif[:pixels] + b"\x21\xfe" + (b"\xff" + b"a" * 255) * blocks + b"\0" + gif[pixels:]


def many_frames(count: int) -> bytes:
    """An animated PNG of 8 x 8 pixels."""
    pixels = zlib.compress((b"\0" + b"\x80" * 24) * 8)
    chunks = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", count, 0)),
    ]
    for frame in range(count):
        number = max(0, 2 * frame - 1)
        chunks.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0)))
        chunks.append(chunk(b"fdAT", struct.pack(">I", number + 1) + pixels) if frame else chunk(b"IDAT", pixels))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(seconds=2)


def test_a_comment_of_many_blocks_ends_in_a_sentence(decoder: Decoder) -> None:
    with pytest.raises(ImageError, match=r"bomb\.gif: takes too long to decode"):
        decoder("bomb.gif", Photo.open, long_comment(100_000))


def test_what_cannot_be_decoded_in_time_leaves_the_next_one_unharmed(decoder: Decoder) -> None:
    for function, argument in ((time.sleep, 30), (bytes, 2**40), (os._exit, 3)):
        with pytest.raises((ImageError, MemoryError)):
            decoder("photo", function, argument)
        photo = decoder("photo", Photo.open, PHOTO)
        assert np.array_equal(photo.colour, Photo.open(PHOTO).colour)


@pytest.mark.skipif(os.name == "nt", reason="needs a signal that interrupts reading")
def test_an_interrupted_call_keeps_its_answer_to_itself() -> None:
    decoder = Decoder()
    assert decoder("photo", len, "four") == 4
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)  # Ctrl-C may be ignored in the background
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(KeyboardInterrupt):
            decoder("photo", time.sleep, 2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert decoder("photo", len, "seven") == 5


def test_the_clock_of_a_busy_machine_is_not_held_against_a_file() -> None:
    """Waiting is not computing: three times as long as may be computed passes."""
    decoder = Decoder(seconds=1)
    assert decoder("photo", len, "four") == 4
    assert decoder("photo", time.sleep, 3) is None


def test_a_large_cut_out_takes_little_more_than_its_pixels(tmp_path: Path) -> None:
    """20 megapixels with a hole, decoded and filled within 40 bytes a pixel, Python's modules included."""
    pixels = np.full((4000, 5000, 4), 200, np.uint8)
    pixels[:10] = 0
    Image.fromarray(pixels).save(tmp_path / "cut.png", compress_level=1)
    photo = Decoder(memory=800_000_000)("cut.png", Photo.open, tmp_path / "cut.png")
    assert (photo.colour[::100, ::100] == 200).all()


def test_others_go_on_while_a_file_is_decoded() -> None:
    decoder = Decoder(seconds=300)
    waiting = threading.Thread(target=pytest.raises, args=(ImageError, decoder, "photo", time.sleep, 300))
    waiting.start()
    assert np.array_equal(np.asarray(read_image(PHOTO)), np.asarray(Image.open(PHOTO).convert("RGB")))
    assert waiting.is_alive()
    while not decoder._process:
        time.sleep(0.01)
    decoder._process.kill()
    waiting.join()


def test_many_frames_are_no_obstacle() -> None:
    assert open_photo(many_frames(100_000)).colour.shape == (8, 8, 3)


def test_one_colour_of_81_megapixels_takes_what_its_pixels_take(tmp_path: Path) -> None:
    Image.new("L", (9000, 9000), 90).save(tmp_path / "big.png")
    photo = Decoder(memory=2 * 2**30)("big.png", Photo.open, tmp_path / "big.png")
    assert photo.colour.shape == (9000, 9000, 3)
    assert (photo.colour[::1000, ::1000] == 90).all()


def test_errors_and_names_come_through(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a photo", encoding="utf-8")
    with pytest.raises(ImageError, match=r"mine\.png: not an image"):
        open_photo(tmp_path / "text.png", "mine.png")
    with pytest.raises(ImageError, match=r"more than the limit of 0\.1 megapixels"):
        open_photo(PHOTO, max_pixels=100_000)


def test_a_forked_process_has_its_own(decoder: Decoder) -> None:
    decoder("photo", Photo.open, PHOTO)
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    child = os.fork()
    if not child:
        os._exit(0 if decoder("photo", Photo.open, PHOTO).colour.shape == (384, 512, 3) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert decoder("photo", len, "four") == 4

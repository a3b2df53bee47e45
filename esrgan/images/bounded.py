"""Decoding a file of a stranger's in a process of its own, whose time and memory are limited.

A file of a few megabytes can keep a decoder busy for minutes or fill the memory: a comment of 100 000 blocks, as many
frames, pixels that all are alike. No list of such files is ever complete, so what is limited is what decoding takes.
The process is started once, loads no network, and is replaced when it had to be ended.
"""

import atexit
import contextlib
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import psutil
from PIL import Image

from ..errors import ImageError
from .photo import Photo
from .reading import MAX_PIXELS, called
from .resize import crop_to_multiple

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

SECONDS = 20.0
PATIENCE = 4  # times as long by the clock, on a machine with other work
ASKED_EVERY = 0.1  # seconds
MEMORY = 4 * 2**30  # bytes of addresses; 100 megapixels of 16 bits with alpha, upright, take about 3 GiB


class Decoder:
    """Runs functions in its process, one at a time.

    Args:
        seconds: of computing that one may take; by the clock, 4 times as many.
        memory: bytes that the process may have, where the system can limit it.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.seconds = seconds
        self.memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        atexit.register(self.close)

    def __call__(self, name: str, function: Callable[..., Result], *arguments: Any) -> Result:
        """What the function returns or raises.

        Args:
            name: what to call the file in messages.
            function: of a module; it and its arguments, result and exceptions go from process to process.
            *arguments: its arguments.

        Raises:
            ImageError: it took too long or too much memory.
        """
        with self._lock:
            process = self._started()
            assert process.stdin
            assert process.stdout
            done, late = threading.Event(), threading.Event()
            threading.Thread(target=end_late, args=(process, self.seconds, done, late), daemon=True).start()
            try:
                pickle.dump((function, arguments), process.stdin, pickle.HIGHEST_PROTOCOL)
                process.stdin.flush()
                result, error = pickle.load(process.stdout)
            except (EOFError, OSError, pickle.UnpicklingError) as ended:
                reason = "takes too long to decode" if late.is_set() else "takes too much memory to decode"
                self.close()
                raise ImageError(f"{name}: {reason}; open it in an image editor and save it anew.") from ended
            except BaseException:  # the answer is still to come, and would be taken for the next one's
                self.close()
                raise
            finally:
                done.set()
        if error:
            raise error
        return result

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self._owner = os.getpid()  # one that was forked off has its own
        package = str(Path(__file__).parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from esrgan.images.bounded import serve; serve({self.memory})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A pool of threads for each core would take what memory the limit leaves.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the program, which then closes it
        )
        return self._process

    def close(self) -> None:
        """End the process; the next call starts another."""
        if self._process and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None


def end_late(process: "subprocess.Popen[bytes]", seconds: float, done: threading.Event, late: threading.Event) -> None:
    """Kill a process that has computed for too long before it is done, or has had too much time."""
    begun = time.monotonic()
    with contextlib.suppress(psutil.Error):  # it has ended by itself
        child = psutil.Process(process.pid)
        before = sum(child.cpu_times()[:2])
        while not done.wait(ASKED_EVERY):
            if sum(child.cpu_times()[:2]) - before > seconds or time.monotonic() - begun > PATIENCE * seconds:
                late.set()
                process.kill()
                return


def serve(memory: int) -> None:
    """What the process does until its input ends."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    requests: BinaryIO = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a codec prints is no answer
    while True:
        try:
            function, arguments = pickle.load(requests)
        except EOFError:
            return
        answer: tuple[Any, Exception | None]
        try:
            answer = (function(*arguments), None)
        except Exception as error:
            answer = (None, error.with_traceback(None))
        try:
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:  # the program has ended meanwhile
            os._exit(0)


decode = Decoder()


def open_photo(source: str | Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Photo:
    """`Photo.open` with its time and memory limited; arguments and errors as there. The log says what is left out."""
    name = name or called(source)
    photo = decode(name, Photo.open, source, name, max_pixels)
    if photo.frame_count > 1:
        logger.warning("%s: holds %d frames; the first is used.", name, photo.frame_count)
    return photo


def read_image(source: str | Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a photo to 8-bit sRGB, upright (EXIF orientation applied), transparency over white; as `open_photo`."""
    return open_photo(source, name, max_pixels).rgb()


def read_cropped(source: str | Path | bytes, scale: int, name: str | None = None) -> Image.Image:
    """`read_image` and `crop_to_multiple`, every failure naming the file."""
    image = read_image(source, name)
    try:
        return crop_to_multiple(image, scale)
    except ImageError as error:
        raise ImageError(f"{name or called(source)}: {error}") from error

"""Damaged and hostile files through the command line's way of a photo, or a served page: nothing may hang or fall.

    python tests/fuzz.py --count 900          # as `esrgan upscale` takes them
    python tests/fuzz.py --count 900 --page   # as uploads to /upscale

The seed decides the files. Each is upscaled, or refused in one sentence; whatever else happens is a fault.
"""

import argparse
import contextlib
import io
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from PIL import Image
from tqdm.auto import tqdm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from test_bounded import long_comment, many_frames  # noqa: E402
from test_images import SOUND, damage, encode  # noqa: E402

from esrgan import EsrganError, Generator, Upscaler  # noqa: E402

LONGEST_SECONDS = 20
SMALL = Image.open(io.BytesIO(SOUND["PNG"])).convert("RGB")
NEWER = {"AVIF": encode(SMALL, "AVIF"), "HEIC": encode(SMALL, "HEIF"), "JPEG 2000": encode(SMALL, "JPEG2000")}
HOSTILE: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: long_comment(rng.randrange(100, 20_000)),
    lambda rng: many_frames(rng.randrange(2, 2_000)),
    lambda rng: encode(Image.new("1", (rng.randrange(1, 30_000), rng.randrange(1, 20))), "PNG"),
    lambda rng: rng.randbytes(rng.randrange(2_000)),
    lambda rng: b"",
)


def files(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents: of twenty files eighteen are sound ones that were damaged, one is hostile, one is sound."""
    rng = random.Random(seed)
    kinds = {**SOUND, **NEWER}
    for number in range(count):
        kind = rng.choice(sorted(kinds))
        lot = rng.randrange(20)
        content = kinds[kind] if lot == 0 else rng.choice(HOSTILE)(rng) if lot == 1 else damage(kinds[kind], rng)
        yield f"{number:04d}.{rng.choice(('jpg', 'png', kind.split()[0].lower()))}", content


def refused(said: str) -> str:
    """An outcome, if it is said in one sentence."""
    if not said or "\n" in said or "Traceback" in said:
        raise AssertionError(f"said {said!r}")
    return "refused"


def by_command(folder: Path) -> Callable[[Path], str]:
    """What becomes of a file on the command line."""
    from esrgan.inference.folder import upscale_file

    upscaler = Upscaler(Generator(1, 8, 4), device="cpu")

    def upscale(path: Path) -> str:
        try:
            upscale_file(path, folder / "out.png", upscaler)
        except EsrganError as error:
            return refused(str(error))
        return "upscaled"

    return upscale


@contextlib.contextmanager
def by_page(folder: Path) -> Iterator[Callable[[Path], str]]:
    """What becomes of a file on the page."""
    from app_server import serving
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    with serving(folder) as server:
        client = Client(server.url, verbose=False, download_files=folder / "downloads")

        def upscale(path: Path) -> str:
            try:
                client.predict(handle_file(path), 0.5, api_name="/upscale")
            except AppError as error:
                return refused(str(error))
            return "upscaled"

        yield upscale
        assert "Traceback" not in server.log.read_text()


class Peak:
    """The most memory this process's children and itself have had, by program, looked at ten times a second."""

    def __init__(self) -> None:
        self.bytes: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._over.wait(0.1):
            for process in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    line = " ".join(process.cmdline())
                    name = "decoder" if "bounded" in line else "page" if "app.py" in line else "program"
                    self.bytes[name] = max(self.bytes[name], process.memory_info().rss)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def fuzz(upscale: Callable[[Path], str], folder: Path, seed: int, count: int) -> tuple[Counter[str], list[str], float]:
    """How often each outcome was, the faults, and the longest time, s."""
    outcomes: Counter[str] = Counter()
    faults, slowest = [], 0.0
    for name, content in tqdm(files(seed, count), total=count, unit="file"):
        path = folder / name
        path.write_bytes(content)
        start = time.monotonic()
        try:
            outcomes[upscale(path)] += 1
        except Exception as error:
            faults.append(f"{name}: {type(error).__name__}: {error}")
        seconds = time.monotonic() - start
        slowest = max(slowest, seconds)
        if seconds > LONGEST_SECONDS:
            faults.append(f"{name}: {seconds:.1f} s")
        path.unlink()
    return outcomes, faults, slowest


def main() -> int:
    """Run it, and write what happened to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="through a served page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Peak() as peak:
        folder = Path(name)
        with by_page(folder) if options.page else contextlib.nullcontext(by_command(folder)) as upscale:
            outcomes, faults, slowest = fuzz(upscale, folder, options.seed, options.count)
    memory = ", ".join(f"{program} {size / 1e6:.0f} MB" for program, size in peak.bytes.items())
    sys.stdout.write(f"{dict(outcomes)}, slowest {slowest:.1f} s, {memory}, {len(faults)} faults\n")
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

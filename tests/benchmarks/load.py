"""The application under load: many clients at once on this machine, every answer checked, and its memory over time.

    python tests/benchmarks/load.py [--clients 30] [--minutes 5]

Each client compares small photos over and over, at a detail that no answer is kept for. Printed: answers, errors, wrong
answers, the time that one takes, and the application's memory in each tenth of the run.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from gradio_client import Client, handle_file
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from app_server import Server, serving
from conftest import EXAMPLES

from esrgan.evaluation.study import measure, read_truth

Answer = tuple[float, bool]


def make_photos(folder: Path) -> list[Path]:
    """Small parts of the example photos."""
    paths = []
    for example in sorted(EXAMPLES.glob("*.png")):
        paths.append(folder / example.name)
        Image.open(example).convert("RGB").crop((100, 100, 196, 172)).save(paths[-1])
    return paths


def client(server: Server, photos: list[Path], until: float, seed: int) -> Iterator[Answer]:
    """Compare until the time is up; how long each answer took, and whether it is what the library says."""
    rng = random.Random(seed)
    connection = Client(server.url, verbose=False, download_files=False)
    while time.monotonic() < until:
        photo, detail = rng.choice(photos), rng.random()
        started = time.monotonic()
        figures, *_ = connection.predict(handle_file(photo), detail, api_name="/compare")
        taken = time.monotonic() - started
        expected = measure(server.models["dogs"].at(detail), read_truth(photo))
        yield taken, abs(figures["dogs"]["psnr_y"] - expected["psnr_y"]) < 1e-6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        photos = make_photos(Path(folder))
        port = int(server.url.rsplit(":", 1)[1])
        process = next(
            process
            for process in psutil.Process().children()
            if any(link.laddr.port == port for link in process.net_connections())
        )
        seconds = 60 * options.minutes
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(options.clients) as pool:
            runs = [pool.submit(lambda i=i: list(client(server, photos, until, i))) for i in range(options.clients)]
            memory = []
            for tenth in range(1, 11):
                time.sleep(max(0, until - seconds * (1 - tenth / 10) - time.monotonic()))
                memory.append(process.memory_info().rss / 2**20)
        errors = [run.exception() for run in runs if run.exception()]
        answers = [answer for run in runs if not run.exception() for answer in run.result()]
        say(f"{options.clients} clients, {options.minutes:g} minutes: {len(answers)} answers, {len(errors)} clients ")
        say(f"ended by an error, {sum(not right for _, right in answers)} wrong answers\n")
        say(f"seconds an answer, waiting included: median {statistics.median(taken for taken, _ in answers):.1f}\n")
        say(f"memory, MiB: {', '.join(f'{value:.0f}' for value in memory)}\n")
        for error in errors:
            say(f"{error!r}\n")
    return 1 if errors or not all(right for _, right in answers) else 0


if __name__ == "__main__":
    sys.exit(main())

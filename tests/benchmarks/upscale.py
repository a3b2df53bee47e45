"""Upscaling on this machine: speed against others, precision, seams between tiles, quality, memory.

    python tests/benchmarks/upscale.py --weights RealESRGAN_x4plus.pth --photos photos/

Speed: this library as it is used, spandrel with its defaults, and a plain float32 loop, on the same pixels with the
same weights, from 8-bit array to 8-bit array, in turns, so that a busy machine slows all. Precision: the network's
output in the machine's fast precision against float32, clamped and not rounded. Seams: tiled against whole, in float32
and with 16 bits, in levels of 8 bits. Quality: PSNR-Y of photos shrunk by 4 and brought back, and the
time that it took. Memory: the peak of a process that upscales a file, beyond the output's pixels.
"""

import argparse
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

import esrgan.compat  # noqa: F401
from esrgan.evaluation.study import measure, read_truth
from esrgan.images.bounded import read_image
from esrgan.images.reading import find_images
from esrgan.inference.device import has_fast_int8
from esrgan.inference.folder import upscale_file
from esrgan.inference.openvino import OpenVINOUpscaler
from esrgan.inference.upscaler import CPU_TILE, Upscaler
from esrgan.models.convert import load

PARTS = ("speed", "precision", "seams", "quality", "memory")
say = sys.stdout.write
Work = Callable[[np.ndarray], np.ndarray]


def to_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float().contiguous() / 255


def to_pixels(y: Tensor) -> np.ndarray:
    return (y.clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).numpy()


def contenders(weights: Path) -> dict[str, Work]:
    """Each way to upscale, from 8-bit RGB to 8-bit RGB."""
    from spandrel import ModelLoader  # imports torchvision, for which esrgan.compat comes first

    ours = Upscaler(load(weights))
    plain = load(weights)
    theirs = ModelLoader().load_from_file(weights)

    def last(upscaler: Upscaler, pixels: np.ndarray) -> np.ndarray:
        *_, (_, _, result) = upscaler.stream(pixels)
        return result

    def spandrel(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return to_pixels(theirs(to_tensor(pixels).to(theirs.device)).float().cpu())

    def loop(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return to_pixels(plain(to_tensor(pixels)))

    works = {"this library": partial(last, ours), "spandrel": spandrel, "plain float32 loop": loop}
    if find_spec("openvino"):
        for backend, int8 in {"openvino": False, "openvino-int8": True}.items():
            if has_fast_int8() or not int8:
                compiled = OpenVINOUpscaler(load(weights), int8=int8)
                works[f"this library, --backend {backend}"] = partial(last, compiled)
    return works


def psnr(a: np.ndarray | Tensor, b: np.ndarray | Tensor, peak: float) -> float:
    error = float(((torch.as_tensor(a).double() - torch.as_tensor(b).double()) ** 2).mean())
    return 10 * math.log10(peak**2 / error) if error else math.inf


def compare_speed(weights: Path, pixels: np.ndarray, rounds: int) -> None:
    works = contenders(weights)
    durations: dict[str, list[float]] = {name: [] for name in works}
    results = {name: work(pixels) for name, work in works.items()}  # the first call also starts everything up
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work(pixels)
            durations[name].append(time.perf_counter() - started)
    ours, *_ = works
    height, width = pixels.shape[:2]
    say(f"| {width} x {height} | seconds | times ours | output against ours (dB) |\n|---|---|---|---|\n")
    for name, times in durations.items():
        ratios = [b / a for a, b in zip(durations[ours], times, strict=True)]
        near = psnr(results[name], results[ours], 255)
        say(f"| {name} | {statistics.median(times):.3f} | {statistics.median(ratios):.2f} | {near:.1f} |\n")
    upscaler = Upscaler(load(weights))
    with FlopCounterMode(display=False) as counter:
        upscaler.exact(to_tensor(pixels).to(upscaler.device))
    rate = counter.get_total_flops() / statistics.median(durations[ours]) / 1e9
    best = matrix_rate(upscaler.device, upscaler.dtype)
    say(f"\n{rate:.0f} GFLOP/s, {100 * rate / best:.0f} % of the machine's matrix product in {upscaler.dtype}\n\n")


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of a large matrix product."""
    a, b = (torch.randn(3072, 3072, device=device).to(dtype) for _ in range(2))
    durations = []
    for _ in range(7):
        started = time.perf_counter()
        (a @ b)[0, 0].item()
        durations.append(time.perf_counter() - started)
    return 2 * 3072**3 / statistics.median(durations) / 1e9


@torch.inference_mode()
def measure_precision(upscaler: Upscaler, photos: list[np.ndarray]) -> None:
    decibels = []
    for pixels in photos:
        x = to_tensor(pixels).to(upscaler.device)
        fast = upscaler.generator(x.to(upscaler.dtype, memory_format=torch.channels_last)).float().clamp(0, 1)
        decibels.append(psnr(fast.cpu(), upscaler.exact(x).clamp(0, 1).cpu(), 1))
    say(f"{upscaler.dtype} against float32 on {len(photos)} photos: ")
    say(f"{statistics.mean(decibels):.1f} dB, least {min(decibels):.1f} dB\n\n")


def measure_seams(weights: Path, photos: list[np.ndarray], tile: int, overlaps: list[int]) -> None:
    def run(pixels: np.ndarray, **options: int) -> np.ndarray:
        *_, (_, _, result) = Upscaler(generator, dtype=torch.float32, **options).stream(pixels, bits=16)
        return result.astype(np.float64) / 257

    generator = load(weights)
    whole = [run(pixels, tile=max(pixels.shape)) for pixels in photos]
    say("| overlap | largest difference (levels) | RMS (levels) | pixels computed for each kept |\n|---|---|---|---|\n")
    for overlap in overlaps:
        differences = [
            np.abs(run(pixels, tile=tile + 2 * overlap, overlap=overlap) - expected)
            for pixels, expected in zip(photos, whole, strict=True)
        ]
        largest = max(difference.max() for difference in differences)
        rms = math.sqrt(statistics.mean(float((difference**2).mean()) for difference in differences))
        side = max(CPU_TILE, 4 * overlap)
        say(f"| {overlap} | {largest:.3f} | {rms:.4f} | {(side / (side - 2 * overlap)) ** 2:.2f} |\n")
    say("\n")


def measure_quality(weights: Path, paths: list[Path]) -> None:
    """PSNR-Y of every way to compute, and what it loses against float32."""
    generator = load(weights)
    ways: dict[str, Callable[[], Upscaler]] = {
        "float32": lambda: Upscaler(generator, dtype=torch.float32),
        "this library": lambda: Upscaler(generator),
        "--ensemble": lambda: Upscaler(generator, ensemble=True),
        "--backend openvino": lambda: OpenVINOUpscaler(generator),
        "--backend openvino-int8": lambda: OpenVINOUpscaler(generator, int8=True),
    }
    if not find_spec("openvino") or not has_fast_int8():
        ways = {name: way for name, way in ways.items() if "openvino" not in name}
    found: dict[str, list[float]] = {}
    seconds = dict.fromkeys(ways, 0.0)

    def timed(name: str, upscaler: Upscaler, image: Image.Image) -> Image.Image:
        started = time.perf_counter()
        result = upscaler(image)
        seconds[name] += time.perf_counter() - started
        return result

    for name, way in ways.items():
        method = partial(timed, name, way())
        photos = tqdm(paths, desc=name, unit="photo", leave=False)
        found[name] = [measure(method, read_truth(path))["psnr_y"] for path in photos]
    say(f"| {len(paths)} photos | PSNR-Y (dB) | against float32: mean | least | most | times ours |\n")
    say("|---|---|---|---|---|---|\n")
    for name, values in found.items():
        gains = [value - exact for value, exact in zip(values, found["float32"], strict=True)]
        say(f"| {name} | {statistics.mean(values):.3f} | {statistics.mean(gains):+.3f} | {min(gains):+.3f} ")
        say(f"| {max(gains):+.3f} | {seconds[name] / seconds['this library']:.2f} |\n")
    say("\n")


def peak_memory(weights: Path, folder: Path) -> int:
    """Bytes, of this process, upscaling `in.png`: the high-water mark of Linux."""
    upscale_file(folder / "in.png", folder / "out.png", Upscaler(load(weights)))
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def measure_memory(weights: Path, megapixels: list[float]) -> None:
    spawn = multiprocessing.get_context("spawn")
    say("| output | its pixels | peak | beyond |\n|---|---|---|---|\n")
    for size in megapixels:
        side = round(math.sqrt(size * 1e6) / 4)
        with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, spawn) as pool:
            Image.effect_noise((side, side), 60).convert("RGB").save(Path(name) / "in.png")
            peak = pool.submit(peak_memory, weights, Path(name)).result()
        own = 3 * (4 * side) ** 2
        say(f"| {size:g} MP | {own / 1e6:.0f} MB | {peak / 1e6:.0f} MB | {(peak - own) / 1e6:.0f} MB |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", type=Path, required=True, help="a .pth or .safetensors file that spandrel reads too"
    )
    parser.add_argument("--photos", type=Path, required=True, help="a photo, or a folder of photos")
    parser.add_argument("--max_samples", type=int, default=8, help="how many of them (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="side of the crops for speed and precision")
    parser.add_argument("--rounds", type=int, default=8, help="runs of each, in turns")
    parser.add_argument("--seam_size", type=int, default=256, help="side of the crops for seams")
    parser.add_argument("--seam_tile", type=int, default=64, help="what is kept of a tile there")
    parser.add_argument("--overlaps", type=int, nargs="+", default=[0, 4, 6, 8, 16, 32, 64, 80])
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 10, 100], help="sizes of output, for memory")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    options = parser.parse_args()
    paths = find_images(options.photos)[: options.max_samples]

    def crops(side: int) -> list[np.ndarray]:
        images = map(read_image, paths)
        return [np.array(image.crop((0, 0, min(side, image.width), min(side, image.height)))) for image in images]

    if "speed" in options.parts:
        compare_speed(options.weights, crops(options.size)[0], options.rounds)
    if "precision" in options.parts:
        measure_precision(Upscaler(load(options.weights)), crops(options.size))
    if "seams" in options.parts:
        measure_seams(options.weights, crops(options.seam_size), options.seam_tile, options.overlaps)
    if "quality" in options.parts:
        measure_quality(options.weights, paths)
    if "memory" in options.parts:
        measure_memory(options.weights, options.megapixels)


if __name__ == "__main__":
    main()

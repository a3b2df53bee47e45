"""An evaluation in pictures: differences photo by photo, and a plate of crops side by side."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from tqdm.auto import tqdm

from ..images.degradation import degrade, seed_of
from ..images.resize import SCALE, shrink
from .metrics import METRICS, luma
from .report import stage_label
from .seeds import SeedStudy
from .study import Evaluation, Method, bicubic, read_truth

CROP = 96
TITLE_WIDTH = 54  # characters over a panel
FONT = ImageFont.load_default(14)


def draw_differences(evaluation: Evaluation, path: Path) -> None:
    """Write a PNG with, for each pair of ways and the first metric, the photos' differences in order of size.

    The band is the 95 % bootstrap interval of their mean.
    """
    metric = evaluation.metrics[0]
    figure = Figure(figsize=(6 * len(evaluation.pairs), 3.6), layout="constrained")
    panels = figure.subplots(1, len(evaluation.pairs), squeeze=False)[0]
    for axes, (a, b) in zip(panels, evaluation.pairs, strict=True):
        values = np.sort(np.subtract(evaluation.values(b, metric), evaluation.values(a, metric)))
        total = evaluation.difference(a, b)[metric]
        axes.bar(range(len(values)), values, color=np.where(values > 0, "tab:blue", "tab:orange"), width=0.9)
        axes.axhspan(total.low, total.high, color="black", alpha=0.2, label="mean, 95 % interval")
        axes.axhline(total.mean, color="black", linewidth=1)
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set(
            title=textwrap.fill(f"{b} minus {a}: better on {total.wins} of {len(values)} photos", TITLE_WIDTH),
            xlabel="photos, in order of the difference",
            ylabel=METRICS[metric].label,
            xticks=[],
        )
        axes.legend()
    figure.savefig(path, dpi=110, format="png")


def draw_answers(studies: Mapping[str, SeedStudy], path: Path) -> None:
    """Write a PNG with a row for each stage and a panel for each of PSNR-Y and LPIPS: what was asked, and its answers.

    A bar is the 95 % interval over seeds and photos, a dot one seed.
    """
    metrics = [metric for metric in ("psnr_y", "lpips") if all(metric in study.metrics for study in studies.values())]
    asked = next(iter(studies.values())).questions
    height = 0.9 + len(studies) * (0.8 + 0.45 * len(asked))
    figure = Figure(figsize=(4 + 3.6 * len(metrics), height), layout="constrained")
    rows = figure.subplots(len(studies), len(metrics), squeeze=False, sharey="row", sharex="col")
    for panels, (stage, study) in zip(rows, studies.items(), strict=True):
        for axes, metric in zip(panels, metrics, strict=True):
            for y, answers in enumerate(study.questions.values()):
                answer = answers[metric]
                axes.plot([answer.low, answer.high], [y, y], color="tab:blue", linewidth=6, alpha=0.35)
                axes.plot(answer.by_seed, [y] * len(answer.by_seed), "o", color="black", markersize=3.5)
                axes.plot([answer.mean], [y], "|", color="tab:blue", markersize=16)
            axes.axvline(0, color="grey", linewidth=0.8)
            axes.set_yticks(range(len(asked)), [textwrap.fill(question, 34) for question in study.questions])
            axes.set(title=stage_label(stage), ylim=(len(asked) - 0.4, -0.6))
    for axes, metric in zip(rows[-1], metrics, strict=True):
        axes.set_xlabel(f"{METRICS[metric].label}, {'more' if METRICS[metric].best is max else 'less'} is better")
    figure.savefig(path, dpi=110, format="png")


def draw_plate(methods: Mapping[str, Method], paths: Sequence[Path], path: Path, degradation: str = "bicubic") -> None:
    """Write a PNG with a row for each photo: where bicubic loses most, every way and the truth, each pixel doubled."""
    ways = [*methods, "truth"]
    side, gap, head = 2 * CROP, 6, 24
    plate = Image.new("RGB", (len(ways) * (side + gap) - gap, head + len(paths) * (side + gap) - gap), "white")
    for x, way in enumerate(ways):
        place = (x * (side + gap) + side / 2, head / 2)
        ImageDraw.Draw(plate).text(place, fitted(way, side), "black", FONT, anchor="mm")
    for y, photo in enumerate(tqdm(paths, desc="plate", unit="photo", leave=False)):
        low, truth = degrade(read_truth(photo), degradation, seed_of(photo.name))
        box = hardest_crop(truth)
        for x, result in enumerate([*(method(low) for method in methods.values()), truth]):
            crop = result.crop(box)
            doubled = crop.resize((2 * crop.width, 2 * crop.height), Image.Resampling.NEAREST)
            plate.paste(doubled, (x * (side + gap), head + y * (side + gap)))
    plate.save(path, "PNG")


def fitted(text: str, width: int) -> str:
    """A heading cut in its middle, where a long name says least, to be at most `width` pixels wide."""
    kept = len(text)
    shown = text
    while FONT.getlength(shown) > width:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return shown


def hardest_crop(truth: Image.Image, crop: int = CROP) -> tuple[int, int, int, int]:
    """The square of `crop` pixels (less in a smaller photo) where bicubic is farthest from the truth."""
    width, height = (min(crop, side) for side in truth.size)
    error = np.square(luma(np.asarray(bicubic(shrink(truth, SCALE)))) - luma(np.asarray(truth)))
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return int(left), int(top), int(left) + width, int(top) + height

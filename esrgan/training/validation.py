"""How good a generator is on the validation photos, in figures and in a picture."""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch

from ..evaluation.plots import draw_plate
from ..evaluation.study import Method, Scores, bicubic, mean_scores
from ..files import replacing
from ..inference.upscaler import Upscaler
from ..models.generator import Generator

PLATE = "plate.png"
SAMPLES = 4  # rows of it


class Validation:
    """Photos to measure on.

    Args:
        paths: of the photos.
        degradation: how they are made small, one of `DEGRADATIONS`.
        device: what computes.

    Attributes:
        seconds: what the last measurement took.
    """

    def __init__(self, paths: Sequence[Path], degradation: str, device: torch.device) -> None:
        self.paths = paths
        self.degradation = degradation
        self.device = device
        self.seconds = 0.0

    @cached_property
    def bicubic_psnr_y(self) -> float:
        """Bicubic's mean PSNR-Y, dB."""
        return mean_scores(bicubic, self.paths, self.degradation)["psnr_y"]

    def measure(self, generator: Generator) -> Scores:
        """The generator's mean of each metric (`METRICS`)."""
        begun = time.monotonic()
        scores = mean_scores(Upscaler(generator, device=self.device), self.paths, self.degradation)
        self.seconds = time.monotonic() - begun
        return scores

    def draw_plate(self, generator: Generator, name: str, folder: Path) -> Path:
        """Write a PNG of what the generator, which it calls `name`, makes of the first photos; where it is."""
        ways: dict[str, Method] = {"bicubic": bicubic, name: Upscaler(generator, device=self.device)}
        with replacing(folder / PLATE) as temporary:
            draw_plate(ways, self.paths[:SAMPLES], temporary, self.degradation)
        return folder / PLATE


def merit(scores: Scores, stage: str) -> float:
    """What is highest for the best weights of a stage: PSNR-Y, or in the adversarial stage LPIPS, negated.

    An adversarial stage gives up PSNR from its first step on.
    """
    return -scores["lpips"] if stage == "gan" and "lpips" in scores else scores["psnr_y"]

"""A blind test: of two results, which one the eye finds closer to the photo, and which one the metrics do."""

import csv
import io
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image

from ..evaluation.metrics import METRICS, compare, luma
from ..evaluation.study import Scores, bicubic
from .jobs import Pictures, Studio
from .limits import Box

MODELS = ("mixed", "dogs")
ROUNDS = 12
SIDES = (128, 96, 64)  # pixels of a part: the largest of which a photo has enough
SCORED = ("psnr_y", "lpips")


@dataclass(frozen=True)
class Photo:
    """What parts are taken from: its name, the photo, and that shrunk by 4."""

    name: str
    truth: Image.Image
    small: Image.Image


@dataclass(frozen=True)
class Round:
    """Two results of a part of a photo.

    Attributes:
        photo: the name.
        box: left, top, right, bottom of the part, pixels.
        pictures: the part as it is, `photo`, and by each of `MODELS`.
        scores: of each of `MODELS` on this part alone, by `esrgan.evaluation.metrics.compare`.
    """

    photo: str
    box: Box
    pictures: Pictures
    scores: dict[str, Scores]

    def closer(self, metric: str) -> str | None:
        """The model that a metric finds closer; None where it finds none, or cannot be had of so small a part."""
        values = {model: scores[metric] for model, scores in self.scores.items() if metric in scores}
        if len(set(values.values())) < len(MODELS):
            return None
        return next(model for model in MODELS if values[model] == METRICS[metric].best([*values.values()]))


def hardest_parts(photo: Photo, count: int) -> list[Box]:
    """Squares beside one another where bicubic is farthest from the photo, the farthest first; fewer of a small one."""
    width, height = photo.truth.size
    side = next((side for side in SIDES if (width // side) * (height // side) >= count), SIDES[-1])
    across, down = min(side, width), min(side, height)
    error = np.square(luma(np.asarray(bicubic(photo.small))) - luma(np.asarray(photo.truth)))
    places = product(range(0, width - across + 1, across), range(0, height - down + 1, down))
    boxes = [(left, top, left + across, top + down) for left, top in places]
    return sorted(boxes, key=lambda box: -error[box[1] : box[3], box[0] : box[2]].sum())[:count]


def choose_parts(photos: Sequence[Photo], rng: random.Random) -> list[tuple[Photo, Box]]:
    """At most `ROUNDS`, of all photos alike, in random order."""
    parts = [(photo, box) for photo in photos for box in hardest_parts(photo, ROUNDS // len(photos))]
    rng.shuffle(parts)
    return parts


def rounds(studio: Studio, parts: Sequence[tuple[Photo, Box]], detail: float, damaged: bool = False) -> Iterator[Round]:
    """Parts of photos as each model of the studio gives them back; `detail` and `damaged` are as for `Studio.peek`."""
    for photo, box in parts:
        made = studio.peek(photo.small, box, detail, damaged)
        truth = photo.truth.crop(box)
        pictures = {"photo": truth, **{model: made[model] for model in MODELS}}
        yield Round(photo.name, box, pictures, {model: compare(made[model], truth) for model in MODELS})


@dataclass(frozen=True)
class BlindTest:
    """What is asked: rounds, and for each which model is shown first.

    Attributes:
        seed: decided the order and the sides.
        rounds: in the order in which they are shown.
        first: the model on the left, round by round.
    """

    seed: int
    rounds: tuple[Round, ...]
    first: tuple[str, ...]

    def shown(self, index: int) -> tuple[str, str]:
        """The models of a round, from left to right."""
        return (MODELS[0], MODELS[1]) if self.first[index] == MODELS[0] else (MODELS[1], MODELS[0])

    def chosen(self, choices: Sequence[int]) -> list[str]:
        """The models behind the choices, 0 for the left one and 1 for the right one."""
        return [self.shown(i)[choice] for i, choice in enumerate(choices)]

    def agreement(self, chosen: Sequence[str], metric: str) -> tuple[int, int]:
        """In how many rounds a metric chose the same model, and in how many it chose one at all."""
        by_metric = [round_.closer(metric) for round_ in self.rounds]
        return sum(a == b for a, b in zip(chosen, by_metric, strict=True)), len(by_metric) - by_metric.count(None)

    def csv(self, choices: Sequence[int]) -> str:
        """A line for each round: the part, what was shown where, what was chosen, and the scores."""
        file = io.StringIO()
        writer = csv.writer(file)
        scores = [(model, metric) for model in MODELS for metric in SCORED]
        names = [f"{model}_{metric}" for model, metric in scores]
        writer.writerow(
            ["seed", "round", "photo", "left", "top", "right", "bottom", "first", "second", "chosen", *names]
        )
        for i, (round_, model) in enumerate(zip(self.rounds, self.chosen(choices), strict=True)):
            values = [round_.scores[model].get(metric, "") for model, metric in scores]
            writer.writerow([self.seed, i + 1, round_.photo, *round_.box, *self.shown(i), model, *values])
        return file.getvalue()


def by_chance(count: int, most: int) -> float:
    """How likely tossing a coin `count` times shows one side `most` times or more, whichever side that is."""
    ways = sum(math.comb(count, hits) for hits in range(most, count + 1))
    return min(1.0, 2 * ways / 2**count)

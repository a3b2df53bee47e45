"""Does a specialist win? Trainings of several sets, each with several seeds, measured on several test sets.

One training can be ahead of another by luck, so what is asked is asked of trainings and photos at once: seeds are drawn
with replacement, and for each draw photos too (a hierarchical bootstrap; Davison and Hinkley, *Bootstrap Methods and
their Application*, 1997, section 3.8). Trainings of one seed have the same start weights, so a seed is drawn for all
sets together. Few seeds make such an interval too narrow, if anything.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .metrics import METRICS
from .study import PROTOCOL, Scores, finite, shared_metrics
from .tables import table

RESAMPLES = 10_000
FEWEST_PHOTOS = 10  # for a verdict
MOST_MORE_SEEDS = 100

Results = Mapping[str, Mapping[int, Mapping[str, Mapping[str, Scores]]]]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and photos.

    Attributes:
        mean: over all of them.
        low: the lower end of the 95 % interval over seeds and photos.
        high: the upper end.
        by_seed: the mean over photos, for each seed.
        photos: how many there are; the fewer of two test sets.
        photo_variance: of the mean over photos, the part that more photos would lessen.
    """

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    photos: int
    photo_variance: float

    @property
    def spread(self) -> float:
        """Standard deviation between seeds; 0 for one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else 0.0

    @property
    def decided(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    @property
    def more_seeds(self) -> int | None:
        """About how many more seeds would decide it, were the mean to stay; None where more photos are needed first."""
        room = (self.mean / 1.96) ** 2 - self.photo_variance
        if room <= 0:
            return None
        more = max(1, math.ceil(self.spread**2 / room) - len(self.by_seed))
        return more if more <= MOST_MORE_SEEDS else None

    @property
    def verdict(self) -> str:
        """How sure it is, in words."""
        if self.photos < FEWEST_PHOTOS:
            return f"no verdict from {self.photos} photos; {FEWEST_PHOTOS} are the least"
        if len(self.by_seed) == 1:
            return "one training each"
        if self.decided:
            return f"decided, over {len(self.by_seed)} seeds"
        if more := self.more_seeds:
            return f"undecided; about {more} more seed{'s' * (more > 1)}"
        return "undecided; more seeds alone would not decide it"


def estimate(differences: Sequence[np.ndarray], weights: Sequence[float] = (1,), seed: int = 0) -> Estimate:
    """The weighted sum of the means of several tables, with its interval over seeds and photos.

    Args:
        differences: for each test set, an array of shape (seeds, photos); the seeds are the same in all.
        weights: what each mean counts; (1, -1) for the difference of two.
        seed: decides the resampling.
    """
    rng = np.random.default_rng(seed)
    seeds = len(differences[0])
    drawn_seeds = rng.integers(seeds, size=(RESAMPLES, seeds))
    total = np.zeros(RESAMPLES)
    for by_photo, weight in zip(differences, weights, strict=True):
        photos = by_photo.shape[1]
        counts = rng.multinomial(photos, np.full(photos, 1 / photos), size=RESAMPLES)  # how often each photo is drawn
        by_seed = counts @ by_photo.T / photos  # (RESAMPLES, seeds)
        total += weight * np.take_along_axis(by_seed, drawn_seeds, 1).mean(1)
    low, high = np.quantile(total, [0.025, 0.975])
    means = sum(weight * by_photo.mean(1) for by_photo, weight in zip(differences, weights, strict=True))
    variance = sum(
        weight**2 * by_photo.mean(0).var(ddof=1) / by_photo.shape[1] if by_photo.shape[1] > 1 else math.inf
        for by_photo, weight in zip(differences, weights, strict=True)
    )
    fewest = min(by_photo.shape[1] for by_photo in differences)
    return Estimate(float(np.mean(means)), float(low), float(high), tuple(map(float, means)), fewest, float(variance))


@dataclass(frozen=True)
class SeedStudy:
    """What the trainings of several sets gave, photo by photo.

    Attributes:
        results: scores by set, seed, test set and photo; the first set is the generalist.
        bicubic: scores by test set and photo.
        own: for each specialist, the test set of what it was trained on; the interaction compares it with the others.
    """

    results: Results
    bicubic: Mapping[str, Mapping[str, Scores]]
    own: Mapping[str, str]

    @property
    def generalist(self) -> str:
        """The set that the others are compared with."""
        return next(iter(self.results))

    @property
    def seeds(self) -> list[int]:
        """The seeds that every set was trained with."""
        return sorted(set.intersection(*(set(runs) for runs in self.results.values())))

    @property
    def metrics(self) -> list[str]:
        """The metrics that every photo has in every training."""
        return shared_metrics(
            score
            for runs in self.results.values()
            for tests in runs.values()
            for photos in tests.values()
            for score in photos.values()
        )

    def values(self, name: str, test: str, metric: str) -> np.ndarray:
        """One metric of one set's trainings on one test set: shape (seeds, photos)."""
        return np.array(
            [[score[metric] for score in self.results[name][seed][test].values()] for seed in self.seeds], float
        )

    def gain(self, specialist: str, test: str, metric: str) -> Estimate:
        """Specialist minus generalist on a test set."""
        return estimate([self._gains(specialist, test, metric)])

    def interaction(self, specialist: str, other: str, metric: str) -> Estimate:
        """The specialist's gain on its own kind minus that on another test set: what it owes to knowing its kind."""
        tests = (self.own[specialist], other)
        return estimate([self._gains(specialist, test, metric) for test in tests], (1, -1))

    def _gains(self, specialist: str, test: str, metric: str) -> np.ndarray:
        return self.values(specialist, test, metric) - self.values(self.generalist, test, metric)

    @property
    def specialists(self) -> list[str]:
        """All sets but the generalist."""
        return [name for name in self.results if name != self.generalist]

    @property
    def questions(self) -> dict[str, dict[str, Estimate]]:
        """What is asked, in words, and the answer by each metric."""
        asked = {}
        for name in self.specialists:
            for test in self.bicubic:
                asked[f"{name} minus {self.generalist}, on {test}"] = {
                    metric: self.gain(name, test, metric) for metric in self.metrics
                }
            for other in self.bicubic:
                if name in self.own and other != self.own[name]:
                    asked[f"gain of {name} on {self.own[name]} minus its gain on {other}"] = {
                        metric: self.interaction(name, other, metric) for metric in self.metrics
                    }
        return asked

    def markdown(self) -> str:
        """The report: a table of means for each test set, and one of answers for each question."""
        metrics = self.metrics
        seeds = f"{len(self.seeds)} seed{'s' * (len(self.seeds) > 1)}"
        parts = []
        for test, photos in self.bicubic.items():
            rows = {"bicubic": {metric: np.mean([score[metric] for score in photos.values()]) for metric in metrics}}
            rows |= {name: {m: self.values(name, test, m).mean() for m in metrics} for name in self.results}
            head = [f"{test}: {len(photos)} photos, {seeds}", *(METRICS[metric].label for metric in metrics)]
            means = [[name, *(METRICS[m].spell(float(row[m])) for m in metrics)] for name, row in rows.items()]
            parts.append(table(head, means))
        for question, answers in self.questions.items():
            found = []
            for metric, answer in answers.items():
                mean, low, high = (METRICS[metric].spell(v, "+") for v in (answer.mean, answer.low, answer.high))
                spread = f"± {METRICS[metric].spell(answer.spread)}" if len(self.seeds) > 1 else ""
                found.append([METRICS[metric].label, mean, f"{low} to {high}", spread, answer.verdict])
            parts.append(table([question, "mean", "95 % interval", "between seeds", "how sure"], found))
        return "\n\n".join([*parts, f"Intervals are over seeds and photos (hierarchical bootstrap). {PROTOCOL}"])

    def json(self) -> dict[str, Any]:
        """Everything: the answers, and all scores photo by photo, from which they can be computed again."""
        return finite(
            {
                "protocol": PROTOCOL,
                "seeds": self.seeds,
                "own": dict(self.own),
                "answers": {
                    question: {
                        metric: {**vars(answer), "spread": answer.spread, "verdict": answer.verdict}
                        for metric, answer in answers.items()
                    }
                    for question, answers in self.questions.items()
                },
                "bicubic": self.bicubic,
                "results": {
                    name: {str(seed): tests for seed, tests in runs.items()} for name, runs in self.results.items()
                },
            }
        )

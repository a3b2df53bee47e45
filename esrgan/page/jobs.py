"""What the page does with photos, step by step: compare the models on one, or on many, or enlarge one by them."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..errors import ImageError, WeightsError
from ..evaluation import metrics
from ..evaluation.maps import draw_doubt, draw_error, draw_winner
from ..evaluation.study import bicubic
from ..images.bounded import decode, open_photo
from ..images.degradation import degrade, seed_of
from ..images.photo import Photo, half
from ..images.reading import read_size
from ..images.resize import SCALE, crop_to_multiple, shrink
from .limits import Box, Limits, choose_part, fitting
from .models import Model, label
from .photo_notes import KEPT_IN_FILES, MEASURE, judge, spell_size, tell_conversion, tell_part, tell_smaller, tell_stage

logger = logging.getLogger(__name__)

SMALLEST_SIDE = -(-metrics.SMALLEST // SCALE) * SCALE
WARMING = (0, 0, 384, 288)  # of an example: enough to learn the speed from, and soon done
UPSCALING = 0.8  # of the time that a job takes, about; the rest is measuring

Figures = dict[str, Any]
Pictures = dict[str, Image.Image]


@dataclass(frozen=True)
class Step:
    """How far a job is.

    Attributes:
        done: the part of the work that is done, 0..1.
        text: what is being worked on.
        source: what is enlarged.
        truth: what the results are to be like; None where nobody knows.
        results: those there are so far, by their way: `bicubic`, the models.
        errors: by the same, with the last step of a comparison, where each result is wrong.
        winner: with that step, where which model came closer.
        doubt: with the last step of `Studio.doubt`, where the models disagree.
        exact: results that have more than a picture shows, as they are saved.
        notes: sentences about what was done with the photo before.
        figures: with the last step of a photo, what was measured.
        problem: why a photo of many was left out.
        seconds: what the whole job takes, by the speed of the one before; None after none.
        damaged: whether the models' camera stages are at work.
    """

    done: float
    text: str
    source: Image.Image | None = None
    truth: Image.Image | None = None
    results: Pictures = field(default_factory=dict)
    errors: Pictures = field(default_factory=dict)
    winner: Image.Image | None = None
    doubt: Image.Image | None = None
    exact: Mapping[str, Photo] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    figures: Figures | None = None
    problem: str | None = None
    seconds: float | None = None
    damaged: bool = False

    @property
    def pictures(self) -> Pictures:
        """All there are, by the names under which they are saved."""
        named = {"small": self.source, "original": self.truth, **self.results, "map": self.winner}
        named |= {error_name(way): picture for way, picture in self.errors.items()} | {"doubt": self.doubt}
        return {name: picture for name, picture in named.items() if picture}


def error_name(way: str) -> str:
    """What the picture of a way's error is called."""
    return f"error_{way}"


class Studio:
    """What can be done with photos, by bicubic and by each of `models`, which include `mixed` and `dogs`.

    Every job is an iterator of steps, one a tile: to stop it, stop iterating.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = models
        self.limits = Limits()

    @property
    def ways(self) -> tuple[str, ...]:
        """All that enlarge."""
        return ("bicubic", *self.models)

    def has_dial(self, *, damaged: bool) -> bool:
        """Whether detail changes anything; `damaged` as of `Step`."""
        return any(len(model.ends(damaged=damaged)) > 1 for model in self.models.values())

    def warm_up(self, photo: Path) -> None:
        """Do once, on a small part, what takes longer the first time, and learn how fast the machine is."""
        try:
            with TemporaryDirectory() as folder:
                part = Path(folder) / "part.png"
                open_photo(photo).rgb().crop(WARMING).save(part)
                for _ in range(2):  # the second is timed without that
                    for _ in self.compare(part, 0):
                        pass
        except WeightsError as error:
            logger.error("%s", error)

    def compare(self, path: Path, detail: float, degradation: str = "bicubic") -> Iterator[Step]:
        """Shrink a photo by 4, enlarge it again in every way, and measure each result against it.

        A photo that would take long is made smaller first.

        Args:
            path: the photo.
            detail: from 0, the most exact pixels, to 1, the crispest texture.
            degradation: how it is shrunk, one of `DEGRADATIONS`; by others than bicubic the camera stages are at work.

        Yields:
            At the end the metrics of `esrgan.evaluation.metrics.compare`, for each way and for `dogs_minus_mixed`.

        Raises:
            ImageError: the photo cannot be used.
        """
        photo = open_photo(path, path.name)
        truth = photo.rgb()
        notes = tell_conversion(photo)
        size = fitting(truth.size, SCALE**2 * self.limits.prompt)
        if size != truth.size:
            notes += (tell_smaller(truth.size, size),)
            truth = truth.resize(size, Image.Resampling.BICUBIC)
        check_size(truth.size, path.name)
        truth = crop_to_multiple(truth, SCALE)
        damaged = degradation != "bicubic"
        small, truth = degrade(truth, degradation, seed_of(path.name))
        first = Step(0, "", small, truth, notes=notes + tell_stage(damaged, self.models), damaged=damaged)
        pixels = np.asarray(first.source)
        started = time.monotonic()
        for step in self._enlarge(first, pixels, 8, detail, lambda _, result: Image.fromarray(result)):
            yield step
        figures = {way: metrics.compare(result, truth) for way, result in step.results.items()}
        figures["dogs_minus_mixed"] = {key: figures["dogs"][key] - figures["mixed"][key] for key in figures["dogs"]}
        winner = draw_winner(step.results["mixed"], step.results["dogs"], truth)
        errors = {way: draw_error(result, truth) for way, result in step.results.items()}
        yield replace(step, done=1, text="done", errors=errors, winner=winner, figures=figures)
        self.limits.learn(pixels.shape[0] * pixels.shape[1], time.monotonic() - started)

    def batch(
        self, paths: Sequence[Path], detail: float, compare: Callable[..., Iterator[Step]]
    ) -> Iterator[tuple[Path, Step]]:
        """Compare on many photos; one that cannot be used is a step with a problem, and does not stop the rest.

        Args:
            paths: of the photos.
            detail: as for `compare`.
            compare: that method of this, or what lends it a GPU.
        """
        sizes = []
        for i, path in enumerate(paths):
            yield path, Step(0, f"Photo {i + 1} of {len(paths)}, {path.name}. Looking")
            sizes.append(self.compared_pixels(path))
        total = sum(sizes) or 1
        for i, path in enumerate(paths):
            for step in self._attempt(compare(path, detail), path.name):
                done = (sum(sizes[:i]) + step.done * sizes[i]) / total
                text = f"Photo {i + 1} of {len(paths)}, {path.name}. {step.text}"
                yield path, replace(step, done=done, text=text, seconds=self._expect(total, self.models))

    def upscale(
        self,
        path: Path,
        detail: float,
        part: str = "",
        condition: str = MEASURE,
        halve: bool = False,
        names: Sequence[str] | None = None,
    ) -> Iterator[Step]:
        """Enlarge a photo by 4, or a part of it, by bicubic and by some models.

        Args:
            path: the photo.
            detail: from 0, the most exact pixels, to 1, the crispest texture.
            part: left, top, right, bottom in its pixels; by default all of a photo that does not take long, and else
                the middle.
            condition: of the photo, as for `judge`: where it is damaged, the camera stages are at work.
            halve: whether the photo is halved first, `part` then being of what is left.
            names: of the models; by default all.

        Yields:
            At the end `consistency`: how close each result, shrunk back, is to the photo; `mixed_against_dogs`, if both
            were asked for: how close their results are to one another (metrics as in `compare`).

        Raises:
            ImageError: the photo or the part cannot be used.
        """
        models = self._chosen(names)
        if not models:
            raise ImageError(f"Choose a model: {', '.join(self.models)}.")
        photo = open_photo(path, path.name)
        damaged, notes = judge(photo, condition, halve, models)
        whole = photo.colour.shape[1], photo.colour.shape[0]
        size = half(whole) if halve else whole
        box = choose_part(part, size, self.limits)
        check_size((box[2] - box[0], box[3] - box[1]), path.name)
        photo = photo.halved(box) if halve else photo.cropped(box)
        if box != (0, 0, *size):
            notes += (tell_part(box, size, self.limits),)
        source = photo.rgb()
        has_more = photo.bits == 16 or photo.alpha is not None
        if has_more:
            notes += (KEPT_IN_FILES,)
        else:
            photo = Photo(np.asarray(source))
        exact: dict[str, Photo] = {}

        def finish(way: str, pixels: np.ndarray) -> Image.Image:
            result = photo.enlarged(pixels)
            if has_more:
                exact[way] = result
            return result.rgb()

        first = Step(0, "", source, notes=notes, damaged=damaged)
        started = time.monotonic()
        for step in self._enlarge(first, photo.colour, photo.bits, detail, finish, models):
            yield replace(step, exact=exact)
        yield replace(step, done=1, text="done", exact=exact, figures=measure_consistency(step.results, source))
        if models.keys() == self.models.keys():
            self.limits.learn(source.width * source.height, time.monotonic() - started)

    def doubt(self, small: Image.Image, damaged: bool = False) -> Iterator[Step]:
        """Where the models disagree: mixed and dogs, each at both ends of its dial, wherever that stands.

        Of damaged photos it is the camera stages that may disagree, where there are any, which have no dial.

        Args:
            small: the photo, before it is enlarged.
            damaged: as of `Step`.

        Yields:
            At the end `doubt`.
        """
        ends = [(name, detail) for name in ("mixed", "dogs") for detail in self.models[name].ends(damaged=damaged)]
        results = []
        for i, (name, detail) in enumerate(ends):
            for done, count, enlarged in self.models[name].suited(detail, damaged=damaged).stream(small):
                if done == count:
                    results.append(enlarged)
                yield Step((i + done / count) / len(ends), f"{label(name)} at detail {detail}")
        yield Step(1, "done", doubt=draw_doubt(results))

    def peek(
        self,
        small: Image.Image,
        box: Box,
        detail: float,
        damaged: bool = False,
        names: Collection[str] | None = None,
    ) -> Pictures:
        """A part of a photo by each model: a look at another detail before all of it is computed.

        Args:
            small: the whole photo, before it is enlarged.
            box: left, top, right, bottom of the part in the enlarged photo, multiples of 4 pixels.
            detail: as for `compare`.
            damaged: as of `Step`.
            names: of the models; by default all.
        """
        found = {}
        left, top, right, bottom = (side // SCALE for side in box)
        for name, model in self._chosen(names).items():
            upscaler = model.suited(detail, damaged=damaged)
            x, y = max(left - upscaler.overlap, 0), max(top - upscaler.overlap, 0)
            read = small.crop(
                (x, y, min(right + upscaler.overlap, small.width), min(bottom + upscaler.overlap, small.height))
            )
            inner = (box[0] - SCALE * x, box[1] - SCALE * y, box[2] - SCALE * x, box[3] - SCALE * y)
            found[name] = upscaler(read).crop(inner)
        return found

    def compared_pixels(self, path: Path, *_: Any) -> int:
        """How many pixels are enlarged to compare on a photo; 0 of one that will be refused."""
        try:
            width, height = decode(path.name, read_size, path, path.name)
        except ImageError:
            return 0
        return min(width * height // SCALE**2, self.limits.prompt)

    def upscaled_pixels(
        self, path: Path, detail: float, part: str = "", condition: str = MEASURE, halve: bool = False, *_: Any
    ) -> int:
        """How many pixels are enlarged of a photo; 0 of one that will be refused."""
        try:
            size = decode(path.name, read_size, path, path.name)
            if part.strip():  # of a photo that its EXIF may turn
                size = (max(size), max(size))
            box = choose_part(part, half(size) if halve else size, self.limits)
        except ImageError:
            return 0
        return (box[2] - box[0]) * (box[3] - box[1])

    @staticmethod
    def peeked_pixels(small: Image.Image, box: Box, *_: Any) -> int:
        """How many pixels are enlarged for `peek`."""
        return (box[2] - box[0]) * (box[3] - box[1]) // SCALE**2

    def _attempt(self, steps: Iterator[Step], name: str) -> Iterator[Step]:
        try:
            for step in steps:
                if step.figures and not all(isfinite(value) for row in step.figures.values() for value in row.values()):
                    raise ImageError(f"{name}: too plain to compare; a result has no error at all.")
                yield step
        except ImageError as error:
            yield Step(1, "left out", problem=str(error))
        except gr.Error as error:  # of a process that a GPU was lent to
            yield Step(1, "left out", problem=error.message)

    def _enlarge(
        self,
        step: Step,
        pixels: np.ndarray,
        bits: int,
        detail: float,
        finish: Callable[[str, np.ndarray], Image.Image],
        models: Mapping[str, Model] | None = None,
    ) -> Iterator[Step]:
        """Add the results to a step, of all models by default: `finish` makes each picture from its way and pixels."""
        models = models or self.models
        plain = (pixels >> 8).astype(np.uint8) if bits == 16 else pixels
        results = {"bicubic": finish("bicubic", np.asarray(bicubic(Image.fromarray(plain))))}
        step = replace(step, results=results, seconds=self._expect(pixels.shape[0] * pixels.shape[1], models))
        share = UPSCALING / len(models)
        for i, (name, model) in enumerate(models.items()):
            yield replace(step, done=i * share, text=f"{label(name)}: first tile")
            for done, count, enlarged in model.suited(detail, damaged=step.damaged).stream(pixels, bits):
                if done == count:
                    step = replace(step, results=step.results | {name: finish(name, enlarged)})
                text = f"{label(name)}: {done} of {count} tiles"
                yield replace(step, done=(i + done / count) * share, text=text)
        yield replace(step, done=UPSCALING, text="Measuring")

    def _expect(self, pixels: int, models: Mapping[str, Model]) -> float | None:
        share = len(models) / len(self.models)
        return pixels * self.limits.pace * share if self.limits.is_measured else None

    def _chosen(self, names: Collection[str] | None) -> Mapping[str, Model]:
        return self.models if names is None else {name: self.models[name] for name in self.models if name in names}


def measure_consistency(results: Pictures, source: Image.Image) -> Figures:
    """How close each result, shrunk back, is to the photo; of Mixed and Dogs also how close they are to one another."""
    found: Figures = {
        "consistency": {way: metrics.compare(shrink(result, SCALE), source) for way, result in results.items()}
    }
    if {"mixed", "dogs"} <= results.keys():
        found["mixed_against_dogs"] = metrics.compare(results["mixed"], results["dogs"])
    return found


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse a photo that is too small to be measured.

    Raises:
        ImageError: it is.
    """
    if min(size) < SMALLEST_SIDE:
        raise ImageError(f"{name}: {spell_size(size)} are too few; {SMALLEST_SIDE} x {SMALLEST_SIDE} is the least.")

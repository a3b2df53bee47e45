"""What the page does with photos, step by step: compare the models on one, or on many, or enlarge one by them."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ..errors import HubUnreachable, ImageError, NoSuchStage, WeightsError
from ..evaluation import metrics
from ..evaluation.maps import draw_error, draw_winner
from ..evaluation.study import bicubic
from ..images.bounded import read_image
from ..images.reading import opened
from ..images.resize import SCALE, crop_to_multiple, shrink
from ..inference.upscaler import Upscaler
from ..models.convert import load
from ..models.generator import BUNDLED, Generator, blend
from ..models.source import parse

logger = logging.getLogger(__name__)

COMPARE_PIXELS = 4_000_000
UPSCALE_PIXELS = 1_000_000
SMALLEST_SIDE = -(-metrics.SMALLEST // SCALE) * SCALE
CONTEXT = 16
UPSCALING = 0.8  # of the time that a job takes, about; the rest is measuring
LEAST_TIMED = 64 * 64  # pixels; what is smaller tells nothing about the speed
RESERVED = ("original", "small", "bicubic", "mixed", "dogs", "map")  # names that a further model cannot have

Figures = dict[str, Any]
Pictures = dict[str, Image.Image]
Box = tuple[int, int, int, int]


class Step(NamedTuple):
    """How far a job is.

    Attributes:
        done: the part of the work that is done, 0..1.
        text: what is being worked on.
        pictures: those there are so far, by their way: `original`, `small` (what is enlarged), `bicubic`, the models,
            `map`, `error_bicubic`, `error_mixed`, ….
        figures: with the last step of a photo, what was measured.
        problem: why a photo of many was left out.
        seconds: what the whole job takes, by the speed of the one before; None after none.
    """

    done: float
    text: str
    pictures: Pictures
    figures: Figures | None = None
    problem: str | None = None
    seconds: float | None = None


class Model:
    """A generator of both stages, whose detail can be dialled by blending them.

    Args:
        source: what `esrgan.models.convert.load` takes. Of a source with one stage only, or whose name has the stage,
            the dial changes nothing.

    Raises:
        WeightsError: it cannot be loaded.
    """

    def __init__(self, source: str | Path) -> None:
        self.psnr = self.gan = load(source)
        if parse(source).stage is None:
            with suppress(NoSuchStage, HubUnreachable):  # the latter where only the other is in the cache
                self.psnr = Generator.from_pretrained(source, stage="psnr")
        self.at = lru_cache(maxsize=2)(self._at)

    @property
    def has_dial(self) -> bool:
        """Whether there are two stages to blend."""
        return self.psnr is not self.gan

    def _at(self, detail: float) -> Upscaler:
        return Upscaler(blend(self.psnr, self.gan, amount=detail) if self.has_dial else self.gan)


def load_models(sources: Mapping[str, str]) -> tuple[dict[str, Model], list[str]]:
    """The page's models; the bundled one of the same name in place of one that the Hub does not give.

    Args:
        sources: what `esrgan.models.convert.load` takes, by the models' names.

    Returns:
        The models, and a sentence for each that was replaced.

    Raises:
        WeightsError: one cannot be loaded for another reason than a Hub that cannot be reached.
    """
    models, notes = {}, []
    for name, source in sources.items():
        try:
            models[name] = Model(source)
        except HubUnreachable as error:  # noqa: PERF203
            if name not in BUNDLED:
                raise
            models[name] = Model(name)
            notes.append(f"{name.capitalize()} is the model that comes with this page, not the one asked for. {error}")
    return models, notes


class Studio:
    """What can be done with photos, by bicubic and by each of `models`, which include `mixed` and `dogs`.

    Every job is an iterator of steps, one a tile: to stop it, stop iterating.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = models
        self.pace: float | None = None  # seconds a pixel that is enlarged, in all ways, and measured

    @property
    def has_dial(self) -> bool:
        """Whether detail changes anything."""
        return any(model.has_dial for model in self.models.values())

    def warm_up(self, photo: Path) -> None:
        """Do once what takes longer the first time, and learn how fast the machine is."""
        try:
            for _ in self.compare(photo, 0):
                pass
        except WeightsError as error:
            logger.error("%s", error)

    def compare(self, path: Path, detail: float) -> Iterator[Step]:
        """Shrink a photo by 4, bring it back in every way, and measure each result against it.

        Detail runs from 0, the most exact pixels, to 1, the crispest texture.

        Yields:
            At the end the metrics of `esrgan.evaluation.metrics.compare`, for each way and for `dogs_minus_mixed`.

        Raises:
            ImageError: the photo cannot be used.
        """
        started = time.monotonic()
        truth = crop_to_multiple(read_photo(path, COMPARE_PIXELS), SCALE)
        pictures = {"original": truth}
        for step in self._enlarge(shrink(truth, SCALE), detail):
            pictures |= step.pictures
            yield step._replace(pictures=pictures)
        figures = {way: metrics.compare(pictures[way], truth) for way in ("bicubic", *self.models)}
        figures["dogs_minus_mixed"] = {key: figures["dogs"][key] - figures["mixed"][key] for key in figures["dogs"]}
        pictures["map"] = draw_winner(pictures["mixed"], pictures["dogs"], truth)
        pictures |= {f"error_{way}": draw_error(pictures[way], truth) for way in ("bicubic", *self.models)}
        yield Step(1, "done", pictures, figures)
        self._learn(pictures["small"], started)

    def batch(self, paths: Sequence[Path], detail: float) -> Iterator[tuple[Path, Step]]:
        """Compare on many photos; one that cannot be used is a step with a problem, and does not stop the rest."""
        sizes = [count_pixels(path, COMPARE_PIXELS) for path in paths]
        total = sum(sizes) or 1
        for i, path in enumerate(paths):
            for step in self._attempt(path, detail):
                done = (sum(sizes[:i]) + step.done * sizes[i]) / total
                text = f"Photo {i + 1} of {len(paths)}, {path.name}. {step.text}"
                yield path, step._replace(done=done, text=text, seconds=self._expect(total // SCALE**2))

    def upscale(self, path: Path, detail: float) -> Iterator[Step]:
        """Enlarge a photo by 4 in every way.

        Detail runs from 0, the most exact pixels, to 1, the crispest texture.

        Yields:
            At the end `consistency`: how close each result, shrunk back, is to the photo; `mixed_against_dogs`: how
            close the results are to one another (metrics as in `compare`).

        Raises:
            ImageError: the photo cannot be used.
        """
        started = time.monotonic()
        photo = read_photo(path, UPSCALE_PIXELS)
        for step in self._enlarge(photo, detail):
            yield step
        results = step.pictures
        consistency = {way: metrics.compare(shrink(results[way], SCALE), photo) for way in ("bicubic", *self.models)}
        agreement = metrics.compare(results["mixed"], results["dogs"])
        yield Step(1, "done", results, {"consistency": consistency, "mixed_against_dogs": agreement})
        self._learn(photo, started)

    def peek(self, small: Image.Image, box: Box, detail: float) -> Pictures:
        """A part of a photo by each model: a look at another detail before all of it is computed.

        Args:
            small: the whole photo, before it is enlarged.
            box: left, top, right, bottom of the part in the enlarged photo, multiples of 4 pixels.
            detail: as for `compare`.
        """
        left, top, right, bottom = (side // SCALE for side in box)
        outer = (max(left - CONTEXT, 0), max(top - CONTEXT, 0))
        read = small.crop((*outer, min(right + CONTEXT, small.width), min(bottom + CONTEXT, small.height)))
        inner = (
            box[0] - SCALE * outer[0],
            box[1] - SCALE * outer[1],
            box[2] - SCALE * outer[0],
            box[3] - SCALE * outer[1],
        )
        return {name: model.at(detail)(read).crop(inner) for name, model in self.models.items()}

    def _attempt(self, path: Path, detail: float) -> Iterator[Step]:
        try:
            for step in self.compare(path, detail):
                if step.figures and not all(isfinite(value) for row in step.figures.values() for value in row.values()):
                    raise ImageError(f"{path.name}: too plain to compare; a result has no error at all.")
                yield step
        except ImageError as error:
            yield Step(1, "left out", {}, problem=str(error))

    def _enlarge(self, image: Image.Image, detail: float) -> Iterator[Step]:
        results = {"small": image, "bicubic": bicubic(image)}
        seconds = self._expect(image.width * image.height)
        share = UPSCALING / len(self.models)
        for i, (name, model) in enumerate(self.models.items()):
            yield Step(i * share, f"{name.capitalize()}: first tile", results, seconds=seconds)
            for done, count, pixels in model.at(detail).stream(image):
                if done == count:
                    results[name] = Image.fromarray(pixels)
                text = f"{name.capitalize()}: {done} of {count} tiles"
                yield Step((i + done / count) * share, text, results, seconds=seconds)
        yield Step(UPSCALING, "Measuring", results, seconds=seconds)

    def _expect(self, pixels: int) -> float | None:
        return pixels * self.pace if self.pace else None

    def _learn(self, image: Image.Image, started: float) -> None:
        if (pixels := image.width * image.height) >= LEAST_TIMED:
            self.pace = (time.monotonic() - started) / pixels


def count_pixels(path: Path, max_pixels: int) -> int:
    """Width times height by the file's header; 0 of a photo that will be refused."""
    try:
        with opened(path, path.name, max_pixels) as image:
            return image.width * image.height
    except ImageError:
        return 0


def read_photo(path: Path, max_pixels: int) -> Image.Image:
    """The photo, large enough to be measured.

    Raises:
        ImageError: it cannot be read, or is too large or too small.
    """
    photo = read_image(path, path.name, max_pixels)
    if min(photo.size) < SMALLEST_SIDE:
        raise ImageError(
            f"{path.name}: {photo.width} x {photo.height} pixels are too few; "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE} is the least."
        )
    return photo

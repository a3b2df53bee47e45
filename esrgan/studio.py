"""What the page does with a photo: compare the models on it, or enlarge it by them."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from . import metrics
from .evaluation import Evaluation, Scores, bicubic, finite
from .generator import SCALE, Generator, blend
from .images import ImageError, crop_to_multiple, read_image, shrink
from .maps import draw_winner
from .upscaler import Upscaler
from .weights import HubUnreachable, NoSuchStage

COMPARE_PIXELS = 4_000_000
UPSCALE_PIXELS = 1_000_000
SMALLEST_SIDE = -(-metrics.SMALLEST // SCALE) * SCALE
WAYS = {"original": "Original", "bicubic": "Bicubic", "mixed": "Mixed", "dogs": "Dogs", "map": "Map: who is closer"}

Report = Callable[[float, str], None]
Figures = dict[str, Any]
Pictures = dict[str, Image.Image]
Keep = Callable[[str, Pictures], None]


class Model:
    """A generator of both stages, whose detail can be dialled by blending them.

    Args:
        source: what `Generator.from_pretrained` takes. Of a source with one stage only, the dial changes nothing.

    Raises:
        WeightsError: it cannot be loaded.
    """

    def __init__(self, source: str | Path) -> None:
        self.gan = Generator.from_pretrained(source)
        try:
            self.psnr = Generator.from_pretrained(source, stage="psnr")
        except (NoSuchStage, HubUnreachable):  # the latter where only the other is in the cache
            self.psnr = self.gan
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
        sources: what `Generator.from_pretrained` takes, by the names of bundled models.

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
            models[name] = Model(name)
            notes.append(f"{WAYS[name]} is the model that comes with this page, not the one asked for. {error}")
    return models, notes


class Studio:
    """What can be done with a photo, by bicubic and by each of `models`, which include `mixed` and `dogs`."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = models

    def compare(self, path: Path, detail: float, report: Report) -> tuple[Figures, Pictures]:
        """Shrink a photo by 4, bring it back in every way, and measure each result against it.

        Detail runs from 0, the most exact pixels, to 1, the crispest texture.

        Returns:
            The metrics of `esrgan.metrics.compare`, for each way and for `dogs_minus_mixed`; the pictures.
        """
        figures, pictures = self._measure(path, detail, report)
        figures["dogs_minus_mixed"] = {key: figures["dogs"][key] - figures["mixed"][key] for key in figures["dogs"]}
        return finite(figures), pictures

    def batch(self, paths: Sequence[Path], detail: float, keep: Keep, report: Report) -> tuple[Evaluation, list[str]]:
        """Compare on many photos.

        Args:
            paths: the photos; one that cannot be used does not stop the rest.
            detail: as for `compare`.
            keep: called with a name of its own and the pictures of each photo.
            report: as for `compare`.

        Returns:
            The scores, with the paired difference of dogs and mixed; what was wrong with the photos left out.

        Raises:
            ImageError: none of the photos can be used.
        """
        names: list[str] = []
        problems: list[str] = []
        scores: dict[str, list[Scores]] = {way: [] for way in ("bicubic", *self.models)}
        for i, path in enumerate(paths):

            def tell(done: float, text: str, i: int = i, name: str = path.name) -> None:
                report((i + done) / len(paths), f"{name}, {i + 1} of {len(paths)}; {text}")

            try:
                figures, pictures = self._measure(path, detail, tell)
            except ImageError as error:
                problems.append(str(error))
                continue
            names.append(f"{i + 1:02d}-{path.stem}")
            keep(names[-1], pictures)
            for way, figure in figures.items():
                scores[way].append(figure)
        if not names:
            raise ImageError(" ".join(problems[:3]) or "There are no photos to compare on.")
        return Evaluation(names, scores, [("mixed", "dogs")]), problems

    def upscale(self, path: Path, detail: float, report: Report) -> tuple[Figures, Pictures]:
        """Enlarge a photo by 4 in every way.

        Detail runs from 0, the most exact pixels, to 1, the crispest texture.

        Returns:
            `consistency`: how close each result, shrunk back, is to the photo; `mixed_against_dogs`: how close the
            results are to one another (metrics as in `compare`); the pictures.
        """
        photo = read_photo(path, UPSCALE_PIXELS)
        results = self._enlarge(photo, detail, report)
        report(1, "measuring")
        consistency = {way: metrics.compare(shrink(result, SCALE), photo) for way, result in results.items()}
        agreement = metrics.compare(results["mixed"], results["dogs"])
        return finite({"consistency": consistency, "mixed_against_dogs": agreement}), results

    def _measure(self, path: Path, detail: float, report: Report) -> tuple[Figures, Pictures]:
        truth = crop_to_multiple(read_photo(path, COMPARE_PIXELS), SCALE)
        results = self._enlarge(shrink(truth, SCALE), detail, report)
        report(1, "measuring")
        figures = {way: metrics.compare(result, truth) for way, result in results.items()}
        return figures, {"original": truth, **results, "map": draw_winner(results["mixed"], results["dogs"], truth)}

    def _enlarge(self, image: Image.Image, detail: float, report: Report) -> Pictures:
        results = {"bicubic": bicubic(image)}
        for i, (name, model) in enumerate(self.models.items()):
            report(i / len(self.models), f"{WAYS[name]}: first tile")
            for done, count, pixels in model.at(detail).stream(image):
                report((i + done / count) / len(self.models), f"{WAYS[name]}: {done} of {count} tiles")
                if done == count:
                    results[name] = Image.fromarray(pixels)
        return results


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

"""The page's models: generators of both stages, whose detail is dialled, and a camera stage where there is one."""

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import HubUnreachable, NoSuchStage
from ..inference.upscaler import Upscaler
from ..models.convert import load
from ..models.generator import Generator, blend
from ..models.layout import BUNDLED
from ..models.source import parse


def label(way: str) -> str:
    """What the page calls a way to enlarge, such as a model, or its result."""
    return way.capitalize()


def blend_amount(detail: float) -> float:
    """How much of the adversarial stage a place of the dial takes: equal steps for the eye, by LPIPS.

    Measured with the bundled weights on crops of eight photos: most of the change lies above an amount of 0.5.
    """
    return float(np.interp(detail, (0, 0.25, 0.5, 0.75, 1), (0, 0.5, 0.67, 0.8, 1)))


class Model:
    """A generator of both stages, whose detail can be dialled by blending them, and of a camera stage if it has one.

    Args:
        source: what `esrgan.models.convert.load` takes. Of a source with one stage only, or whose name has the stage,
            the dial changes nothing.

    Raises:
        WeightsError: it cannot be loaded.
    """

    def __init__(self, source: str | Path) -> None:
        self.psnr = self.gan = load(source)
        self.camera: Upscaler | None = None
        if parse(source).stage is None:
            with suppress(NoSuchStage, HubUnreachable):  # the latter where only the other is in the cache
                self.psnr = Generator.from_pretrained(source, stage="psnr")
            with suppress(NoSuchStage, HubUnreachable):
                self.camera = Upscaler(Generator.from_pretrained(source, stage="camera"))
        self.at = lru_cache(maxsize=3)(self._at)  # both ends, and where the dial stands

    @property
    def has_dial(self) -> bool:
        """Whether there are two stages to blend."""
        return self.psnr is not self.gan

    def _repairer(self, *, damaged: bool) -> Upscaler | None:
        return self.camera if damaged else None

    def suited(self, detail: float, *, damaged: bool) -> Upscaler:
        """The camera stage for damaged photos, where there is one; else what the dial says."""
        return self._repairer(damaged=damaged) or self.at(detail)

    def weights(self, detail: float, *, damaged: bool) -> str:
        """Which are `suited`, for a file's name."""
        return "camera" if self._repairer(damaged=damaged) else f"detail{detail:g}"

    def ends(self, *, damaged: bool) -> tuple[int, ...]:
        """Both ends of the dial; one alone where it changes nothing."""
        return (0, 1) if self.has_dial and not self._repairer(damaged=damaged) else (1,)

    def _at(self, detail: float) -> Upscaler:
        return Upscaler(blend(self.psnr, self.gan, amount=blend_amount(detail)) if self.has_dial else self.gan)


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
            notes.append(f"{label(name)} is the model that comes with this page, not the one asked for. {error}")
    return models, notes

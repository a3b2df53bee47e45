"""What a job has given so far, as files among those that are served, and what the last jobs have given."""

import os
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ..evaluation.study import finite
from ..images.reading import write_image
from .jobs import Figures, Step

MOST = 32  # results of a tab that are remembered

Paths = dict[str, str]
Key = tuple[str, ...]


class Result(NamedTuple):
    """What a job has given so far.

    Attributes:
        paths: pictures by their names.
        files: those that are saved, where they have more than the picture.
        folder: in which they lie.
        stem: of the photo's name, with which theirs begin.
        notes: what was done with the photo before.
        figures: with the last step.
        detail: that was asked for.
        damaged: whether the camera stages were at work.
        awaited: the names of pictures still to come.
    """

    paths: Paths = {}  # noqa: RUF012  # never changed
    files: Paths = {}  # noqa: RUF012
    folder: Path = Path()
    stem: str = ""
    notes: tuple[str, ...] = ()
    figures: Figures | None = None
    detail: float = 0
    damaged: bool = False
    awaited: tuple[str, ...] = ()

    @property
    def first(self) -> str:
        """The picture that says where to look first."""
        return self.paths.get("original", self.paths["bicubic"])

    @property
    def about(self) -> tuple[str, bool]:
        """The pixels that are enlarged, and whether by the camera stages: all that doubt depends on."""
        with Image.open(self.paths["small"]) as small:
            return sha256(repr(small.size).encode() + small.tobytes()).hexdigest(), self.damaged

    def add(self, step: Step) -> "Result":
        """With what a step adds, which is written to the folder."""
        paths, files = dict(self.paths), dict(self.files)
        for name, picture in step.pictures.items():
            if name not in paths:
                paths[name] = str(self.folder / f"{self.stem}-{name}.png")
                write_image(picture, Path(paths[name]))
        for name in step.exact.keys() - files.keys():
            (self.folder / "exact").mkdir(exist_ok=True)
            files[name] = str(self.folder / "exact" / f"{self.stem}-{name}.png")
            step.exact[name].save(Path(files[name]), exif=False)
        awaited = () if step.figures else self.awaited
        figures = step.figures and finite(step.figures)
        return self._replace(
            paths=paths, files=files, notes=step.notes, figures=figures, damaged=step.damaged, awaited=awaited
        )


class Recent:
    """The results of the last jobs, by what they were asked by: for who comes back, or asks for the same.

    Doubts beside them, by what they are about, as the dial does not change them.
    """

    def __init__(self) -> None:
        self.results: OrderedDict[Key, Result] = OrderedDict()
        self.doubts: OrderedDict[tuple[str, bool], str] = OrderedDict()

    def recall(self, key: Key) -> Result | None:
        """An earlier result, unless it was deleted; it is kept from now on."""
        try:
            result = self.results[key]
            for path in (*result.paths.values(), *result.files.values()):
                os.utime(path)
        except (KeyError, FileNotFoundError):
            return None
        self.results.move_to_end(key)
        return self.with_doubt(result)

    def with_doubt(self, result: Result) -> Result:
        """A result with the map of doubt, where that was asked for before."""
        try:
            path = self.doubts[result.about]
            os.utime(path)
        except (KeyError, FileNotFoundError):
            return result
        return result._replace(paths=result.paths | {"doubt": path})

    def keep(self, key: Key, result: Result) -> None:
        """Remember a result, the oldest being forgotten where there are too many."""
        _keep(self.results, key, result)

    def keep_doubt(self, result: Result) -> None:
        """Remember the map of doubt that a result has."""
        _keep(self.doubts, result.about, result.paths["doubt"])


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > MOST:
        cache.popitem(last=False)

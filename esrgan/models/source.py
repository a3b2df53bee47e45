"""What a person may write where a model is named: `SOURCE[@REVISION][:STAGE]`."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from ..errors import WeightsError

MODEL = (
    "SOURCE[@REVISION][:STAGE]: SOURCE is mixed, dogs, a model folder, a weights file or a Hub id, REVISION one of the "
    "Hub's, STAGE psnr, gan or a number from 0 to 1 between them, or camera, for photos with noise, blur or JPEG"
)
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]*[\w-]")
FORMER_STAGE = re.compile(r"(.+)@(psnr|gan|0(?:\.\d+)?|1)")  # what was written before the colon was


class Source(NamedTuple):
    """A model's name, taken apart.

    Attributes:
        place: a bundled name, a path or a Hub id.
        revision: branch, tag or commit of a Hub id.
        stage: `psnr`, `gan`, `camera` or a number from 0 (psnr) to 1 (gan).
    """

    place: str
    revision: str | None = None
    stage: str | float | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.place}{revision}" + ("" if self.stage is None else f":{self.stage}")

    @property
    def name(self) -> str:
        """It as it may be published: of a path, which may tell who works where, the last part alone."""
        place = Path(self.place).resolve().name if exists(self.place) else self.place
        return readable(str(self._replace(place=place)))


def parse(name: str | Path) -> Source:
    """Take a model's name apart. A path that exists is taken as it is, whatever signs are in it.

    Raises:
        WeightsError: its stage is none, or written as it no longer is.
    """
    place = os.fspath(name)
    if exists(place):
        return Source(place)
    stage: str | float | None = None
    before, colon, after = place.rpartition(":")
    if colon and not re.search(r"[/\\]", after):  # as in C:\model
        place, stage = before, parse_stage(after, place)
        if exists(place):
            return Source(place, None, stage)
    if former := FORMER_STAGE.fullmatch(place):
        raise WeightsError(f"{name}: a stage is written after a colon now: {former[1]}:{former[2]}.")
    hub_id, _, revision = place.partition("@")
    return Source(hub_id, revision, stage) if revision and HUB_ID.fullmatch(hub_id) else Source(place, None, stage)


def parse_stage(text: str, name: str) -> str | float:
    """The stage that `text` means in a model's name.

    Raises:
        WeightsError: it means none.
    """
    if text in ("psnr", "gan", "camera"):
        return text
    try:
        stage = float(text)
    except ValueError:
        stage = -1
    if not 0 <= stage <= 1:
        raise WeightsError(f"{name}: the stage after the colon must be psnr, gan, camera or a number from 0 to 1.")
    return stage


def split_label(text: str) -> tuple[str, str]:
    """`[NAME=]SOURCE…` taken apart: what to call the model, by default all of it, and what names it."""
    label, equals, name = text.partition("=")
    return (readable(label), name) if label and equals and not exists(text) else (readable(text), text)


def readable(argument: str) -> str:
    """Text of the command line as any file can hold it, whatever the locale made of letters that it does not have."""
    return argument.encode(errors="surrogateescape").decode(errors="replace")


def is_hub_id(place: str) -> bool:
    """Whether this is spelt as `owner/name`, and no such path exists."""
    return bool(HUB_ID.fullmatch(place)) and not exists(place)


def exists(place: str | Path) -> bool:
    """Whether there is such a path; where a `Path` raises, as for names that no file can have, there is none."""
    return os.path.exists(place)  # noqa: PTH110

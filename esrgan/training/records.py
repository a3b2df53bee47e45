"""The record of a run: what it trains on and by which settings, and on what machine each part of it ran."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import accelerate
import torch
from accelerate import Accelerator

from .. import __version__
from ..errors import TrainingError
from ..files import read_table, replacing
from ..images.reading import fingerprint
from .datasets import Photos, Stream
from .options import Options
from .recipes import Esrgan

RECORD = "recipe.json"
# What it says that is no option.
RECORDED = (
    "effective_batch_size",
    "data",
    "photos",
    "photos_fingerprint",
    "validation_photos",
    "validation_fingerprint",
    "fitted_stages",
    "extensions",
    "segments",
    "step",
)
HIDDEN = "weights of its owner"  # in place of a path, in a record that is published; whoever goes on gives them again
# Settings that a resumed run may change.
FREE = ("dataloader_num_workers", "psnr_learning_rate", "learning_rate", "discriminator_learning_rate")
PRECISIONS = {"no": "float32", "fp16": "float16", "bf16": "bfloat16"}

T = TypeVar("T")


def from_json(kind: type[T], content: Any) -> T:
    """A dataclass of a JSON object that has its fields, each of its type, and no others.

    Raises:
        ValueError: it has not.
    """
    assert is_dataclass(kind)
    kinds = get_type_hints(kind)
    if not isinstance(content, dict) or content.keys() != kinds.keys():
        raise ValueError(f"must have {', '.join(kinds)}, and nothing else")
    for name, value in content.items():
        number = kinds[name] is float and type(value) is int
        if not (number or type(value) is kinds[name]) or (isinstance(value, float) and math.isnan(value)):
            raise ValueError(f"{name} cannot be {str(value)[:40]}")
        if kinds[name] is int and value < 0:
            raise ValueError(f"{name} cannot be negative")
    return kind(**content)


@dataclass(frozen=True)
class Segment:
    """Steps that ran alike: from one step of a stage on, up to where the next segment begins.

    Attributes:
        stage: `psnr` or `gan`.
        step: how many of the stage's steps came before.
        psnr_learning_rate: the recipe's, as the next two.
        learning_rate: in the adversarial stage.
        discriminator_learning_rate: in the adversarial stage.
        device: what computed.
        processes: how many shared the work.
        gradient_accumulation_steps: batches a step, on each process.
        mixed_precision: accelerate's name of it.
        versions: of this library and of what computed, and whether that was compiled.
    """

    stage: str
    step: int
    psnr_learning_rate: float
    learning_rate: float
    discriminator_learning_rate: float
    device: str
    processes: int
    gradient_accumulation_steps: int
    mixed_precision: str
    versions: str

    def differs(self, other: "Segment") -> bool:
        """Whether its steps run otherwise than another's."""
        return {**asdict(self), "stage": other.stage, "step": other.step} != asdict(other)


def current_segment(stage: str, step: int, recipe: Esrgan, accelerator: Accelerator, options: Options) -> Segment:
    """The one that begins here and now."""
    device = accelerator.device
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()} {device.type.upper()}, {torch.get_num_threads()} threads"
    return Segment(
        stage,
        step,
        recipe.psnr_learning_rate,
        recipe.learning_rate,
        recipe.discriminator_learning_rate,
        name,
        accelerator.num_processes,
        accelerator.gradient_accumulation_steps,
        accelerator.mixed_precision,
        f"esrgan {__version__}, torch {torch.__version__}, accelerate {accelerate.__version__}, "
        f"Python {platform.python_version()}{', compiled' if options.compile else ''}",
    )


def effective_batch_size(recipe: Esrgan, accelerator: Accelerator) -> int:
    """Photos that one step of the optimiser sees, over all processes and accumulated batches."""
    return recipe.train_batch_size * accelerator.num_processes * accelerator.gradient_accumulation_steps


def describe(
    recipe: Esrgan, options: Options, photos: Photos | Stream, validation: Sequence[Path], accelerator: Accelerator
) -> dict[str, Any]:
    """All that decides what a run comes to, and that a resumed one has to have in common with it, save what is `FREE`.

    Raises:
        OSError: a validation photo cannot be read.
    """
    return {
        "recipe": type(recipe).__name__.lower(),
        **asdict(recipe),
        "effective_batch_size": effective_batch_size(recipe, accelerator),
        "time_limit": options.time_limit,
        "init_from": options.init_from,
        "data": options.data_name,
        "dataset_config_name": options.dataset_config_name,
        "dataset_split": options.dataset_split,
        "image_column": options.image_column,
        "species": options.species,
        "species_column": options.species_column,
        "data_seed": options.data_seed,
        "validation_split": options.validation_split,
        "photos": len(photos) if isinstance(photos, Photos) else None,
        "photos_fingerprint": photos.fingerprint if isinstance(photos, Photos) else None,
        "validation_photos": len(validation),
        "validation_fingerprint": fingerprint(validation) if validation else None,
    }


@dataclass(frozen=True)
class Record:
    """What `recipe.json` says.

    Attributes:
        settings: see `describe`; where some have changed, as they are in the last segment.
        segments: what ran how, in order.
        fitted_stages: those whose steps were set by the time limit.
        extensions: of each stage, the steps after which it had been finished and was made longer.
    """

    settings: Mapping[str, Any]
    segments: tuple[Segment, ...] = ()
    fitted_stages: tuple[str, ...] = ()
    extensions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read a record.

        Raises:
            OSError: it is not there, or cannot be read.
            ValueError: it is damaged.
        """
        try:
            content = read_table(path)
            segments = tuple(from_json(Segment, segment) for segment in content.pop("segments"))
            fitted = tuple(str(stage) for stage in content.pop("fitted_stages"))
            extensions = {
                stage: tuple(_whole(step) for step in steps) for stage, steps in content.pop("extensions").items()
            }
            if not segments:
                raise ValueError("it has no segments")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name} is damaged ({error})") from error
        return cls(content, segments, fitted, extensions)

    def save(self, path: Path, **changes: Any) -> None:
        """Write it, with settings changed."""
        segments = [asdict(segment) for segment in self.segments]
        beside = {"fitted_stages": self.fitted_stages, "extensions": self.extensions, "segments": segments}
        content = {**self.settings, **changes, **beside}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def recipe(self, kind: type[Esrgan]) -> Esrgan:
        """The recipe that its settings are.

        Raises:
            ValueError: they are none.
        """
        return from_json(kind, {known.name: self.settings.get(known.name) for known in fields(kind)})

    def check(self, settings: Mapping[str, Any], path: Path) -> None:
        """Refuse to go on by other settings than it has.

        Args:
            settings: of the run that is to go on.
            path: where the record is.

        Raises:
            TrainingError: they differ.
        """
        told = [
            f"{name} {_spell(self.settings.get(name))}, not {_spell(value)}"
            for name, value in settings.items()
            if value != self.settings.get(name)
            and name not in FREE
            and not (name == "data" and settings.get("photos_fingerprint"))  # by which the same photos are known
            and not (value and self.settings.get(name) == HIDDEN)
        ]
        if told:
            raise TrainingError(
                f"{path}: the run to resume had other settings: {', '.join(told)}; give the same ones, or another "
                "--output_dir to begin anew."
            )

    def continued(self, settings: Mapping[str, Any], segment: Segment) -> "Record":
        """What it becomes when the run goes on so."""
        new = not self.segments or segment.differs(self.segments[-1])
        return replace(self, settings=settings, segments=(*self.segments, segment) if new else self.segments)

    def extended(self, stage: str, steps: int) -> "Record":
        """What it becomes when a stage that is finished after so many steps gets more."""
        before = self.extensions.get(stage, ())
        if steps in before:
            return self
        return replace(self, extensions={**self.extensions, stage: (*before, steps)})

    def schedule(self, stage: str, step: int, steps: int) -> tuple[int, int]:
        """Where in its schedule a step of a stage of so many steps is, and how long the schedule.

        Steps that were added later have a schedule of their own.
        """
        bounds = [0, *self.extensions.get(stage, ()), steps]
        begin = max(bound for bound in bounds[:-1] if bound <= step)
        return step - begin, min(bound for bound in bounds if bound > step) - begin

    def fitted(self, stage: str, steps: int) -> "Record":
        """What it becomes when the time limit sets a stage's steps."""
        return replace(
            self, settings={**self.settings, f"{stage}_steps": steps}, fitted_stages=(*self.fitted_stages, stage)
        )


def kept_step(path: Path) -> int | None:
    """The step whose weights the model folder of this record has; None where it does not say."""
    try:
        step = read_table(path)["step"]
    except (OSError, ValueError, LookupError):
        return None
    return step if type(step) is int else None


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]} is no number of steps")
    return value


def _spell(value: Any) -> str:
    """A setting in a message; of what is long, like a fingerprint, the beginning."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"

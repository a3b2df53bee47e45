"""What belongs to a run rather than to its recipe: each option once, with its default and meaning."""

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from ..models.source import HUB_ID, MODEL
from .time_limit import parse_duration

LICENCE = "apache-2.0"
NEEDED = dataclasses.MISSING
METAVARS = {int: "N", float: "X", Path: "DIR"}
GROUPS = {"data": None, "run": None, "Hugging Face Hub": "The token is that of `hf auth login` or HF_TOKEN."}
DATA, RUN, HUB = GROUPS


def option(
    group: str,
    default: Any,
    meaning: str,
    *,
    metavar: str | None = None,
    choices: tuple[str, ...] | None = None,
    minimum: int = 1,
) -> Any:
    """A dataclass field with the group of options it is shown in, its meaning, and what it may be."""
    metadata = {"group": group, "meaning": meaning, "metavar": metavar, "choices": choices, "minimum": minimum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `train.py` is told beside the recipe.

    `output_dir` gets `psnr-best/` and `gan-best/` (the generator with the highest validation PSNR-Y, or lowest LPIPS in
    the adversarial stage, as a model folder), `psnr/` and `gan/` (that, or the last without validation), `recipe.json`,
    `history.csv`, `curves.png`, `plate.png` (crops of validation photos), `checkpoints/` and with `validation_split`
    `validation/`.

    Raises:
        ValueError: the options cannot be had together, or one is out of range.
    """

    train_data_dir: Path | None = option(DATA, None, "flat, <species>/*.jpg, or imagefolder with metadata")
    dataset_name: str | None = option(DATA, None, "data set on the Hub, instead of a folder", metavar="ID")
    dataset_config_name: str | None = option(DATA, None, "its configuration, where it has several", metavar="NAME")
    dataset_split: str = option(DATA, "train", "the split to train on", metavar="NAME")
    image_column: str | None = option(DATA, None, "the column of photos (default: the only one)", metavar="NAME")
    species: str | None = option(DATA, None, "use only this species, by a column or folder names", metavar="NAME")
    species_column: str | None = option(
        DATA, None, "the column that names the species (default: the one that holds --species)", metavar="NAME"
    )
    max_train_samples: int | None = option(DATA, None, "pick that many photos at random")
    data_seed: int | None = option(
        DATA, None, "seed of --max_train_samples and --validation_split (default: --seed)", minimum=0
    )
    streaming: bool = option(DATA, False, "read photos as needed; for sets beyond the disk")
    validation_data_dir: Path | None = option(DATA, None, "folder of photos to measure on")
    validation_split: float | None = option(DATA, None, "or hold out that fraction of the photos, such as 0.1")
    max_validation_samples: int = option(DATA, 16, "use at most so many validation photos, spread over all")
    output_dir: Path = option(RUN, NEEDED, "gets weights, checkpoints, curves")
    init_from: str | None = option(RUN, None, f"start weights: {MODEL}", metavar="SOURCE")
    resume_from_checkpoint: str | None = option(RUN, None, "'latest', or a checkpoint folder", metavar="WHICH")
    time_limit: str | None = option(
        RUN, None, "as many steps as fit, like 12m or 1h30m, shared equally between the stages", metavar="TIME"
    )
    checkpointing_steps: int = option(RUN, 500, "steps between checkpoints")
    checkpoints_total_limit: int = option(RUN, 2, "how many checkpoints are kept")
    validation_steps: int = option(RUN, 500, "steps between measurements")
    early_stopping_patience: int | None = option(
        RUN, None, "end a stage after that many measurements without a better one"
    )
    logging_steps: int = option(RUN, 10, "steps between rows of history.csv")
    gradient_accumulation_steps: int = option(RUN, 1, "batches accumulated for each step")
    mixed_precision: str | None = option(
        RUN, None, "default: accelerate's, or bf16 where native", choices=("no", "fp16", "bf16")
    )
    compile: bool = option(RUN, False, "torch.compile the networks: minutes at the start, for long runs on a GPU")
    report_to: str = option(RUN, "none", "tracker", choices=("none", "tensorboard", "trackio", "wandb"))
    push_to_hub: bool = option(HUB, False, "publish the model, with its card and curves")
    hub_model_id: str | None = option(HUB, None, "where to: owner/name", metavar="ID")
    hub_private_repo: bool = option(HUB, False, "nobody else may see it")
    license: str | None = option(HUB, None, f"of the weights, as the Hub calls it (default: {LICENCE})", metavar="ID")
    hub_strategy: str = option(
        HUB,
        "end",
        "upload at the end, or at each checkpoint with all that resuming needs",
        choices=("end", "checkpoint"),
    )

    def __post_init__(self) -> None:
        if (self.train_data_dir is None) == (self.dataset_name is None):
            raise ValueError("give one of --train_data_dir and --dataset_name")
        data = self.train_data_dir and self.train_data_dir.resolve()
        if data and data in (output := self.output_dir.resolve(), *output.parents):
            raise ValueError("--output_dir: inside --train_data_dir, which would then hold pictures that are no photos")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value) is int and value < field.metadata["minimum"]:
                raise ValueError(f"--{field.name} {value}: must be at least {field.metadata['minimum']}")
        if self.time_limit is not None:
            try:
                parse_duration(self.time_limit)
            except ValueError as error:
                raise ValueError(f"--time_limit {error}") from error
        if self.validation_split is not None:
            if not 0 < self.validation_split < 1:
                raise ValueError(f"--validation_split {self.validation_split:g}: must be between 0 and 1, such as 0.1")
            if self.validation_data_dir or self.streaming:
                raise ValueError("--validation_split: not with --validation_data_dir or --streaming")
        if self.early_stopping_patience and not (self.validation_data_dir or self.validation_split):
            raise ValueError("--early_stopping_patience: needs --validation_data_dir or --validation_split")
        if not self.push_to_hub:
            for field in dataclasses.fields(self):
                if field.name.startswith("hub_") and getattr(self, field.name) != field.default:
                    raise ValueError(f"--{field.name}: needs --push_to_hub")
        if self.push_to_hub and not HUB_ID.fullmatch(self.hub_model_id or ""):
            raise ValueError("--push_to_hub: needs --hub_model_id owner/name")

    @property
    def source(self) -> str:
        """Where the photos are: a folder, or an id on the Hub."""
        return self.dataset_name or str(self.train_data_dir)

    @property
    def is_hub_dataset(self) -> bool:
        """Whether the photos come from the Hub."""
        return self.dataset_name is not None and not Path(self.dataset_name).exists()

    @property
    def data_name(self) -> str:
        """What records and the model card call the photos; of a folder, only the end of its path."""
        return self.source if self.is_hub_dataset else "/".join(Path(self.source).resolve().parts[-2:])


def add_argument(group: "argparse._ArgumentGroup", field: "dataclasses.Field[Any]", kind: Any) -> None:
    """Let a command line set a field of `Options` or of a recipe.

    Args:
        group: where it is shown.
        field: with `meaning` and `choices` in its metadata, perhaps with `metavar` and `source`.
        kind: its type, or that or None.
    """
    kind = next((kind for kind in get_args(kind) if kind is not type(None)), kind)
    default = None if field.default is NEEDED else field.default
    if kind is bool:
        group.add_argument(f"--{field.name}", action="store_true", help=field.metadata["meaning"])
        return
    remarks = [f"default: {default}"] if default is not None else []
    remarks += [field.metadata["source"]] if "source" in field.metadata else []
    told = f"{field.metadata['meaning']} ({'; '.join(remarks)})" if remarks else field.metadata["meaning"]
    group.add_argument(
        f"--{field.name}",
        type=kind,
        default=default,
        required=field.default is NEEDED,
        choices=field.metadata["choices"],
        metavar="|".join(field.metadata["choices"] or ()) or field.metadata.get("metavar") or METAVARS[kind],
        help=told.replace("%", "%%"),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line set every field of `Options`."""
    groups = {title: parser.add_argument_group(title, description) for title, description in GROUPS.items()}
    kinds = get_type_hints(Options)
    for field in dataclasses.fields(Options):
        add_argument(groups[field.metadata["group"]], field, kinds[field.name])


def add_recipe(parser: argparse.ArgumentParser, name: str, recipe: type) -> None:
    """Let a command line set every field of a recipe."""
    group = parser.add_argument_group(f"recipe {name}")
    kinds = get_type_hints(recipe)
    for field in dataclasses.fields(recipe):
        add_argument(group, field, kinds[field.name])


def taken(kind: type[Any], namespace: argparse.Namespace) -> Any:
    """A dataclass of what a command line says."""
    return kind(**{field.name: getattr(namespace, field.name) for field in dataclasses.fields(kind)})

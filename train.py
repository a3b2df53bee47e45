"""Train an ESRGAN x4 generator on a folder of photos.

    accelerate launch train.py --train_data_dir photos/ --output_dir runs/mine

`accelerate config` decides the machine: CPU, one GPU, several. A run that was stopped goes on with
`--resume_from_checkpoint latest`. The weights are in `runs/mine/psnr` and `runs/mine/gan`, ready for
`Generator.from_pretrained`.
"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

from datasets import IterableDataset

from esrgan.errors import EsrganError, TrainingError
from esrgan.evaluation.study import read_truth
from esrgan.hub.publish import Uploads
from esrgan.images.reading import find_images
from esrgan.images.resize import SCALE, shrink
from esrgan.inference.device import keep_freed_memory
from esrgan.models.source import HUB_ID, MODEL
from esrgan.training.datasets import Photos, Stream
from esrgan.training.duplicates import difference_hash, near_duplicates
from esrgan.training.model_card import LICENCE
from esrgan.training.recipes import RECIPES, Esrgan
from esrgan.training.sources import load_rows
from esrgan.training.trainer import Options, Stopped, Trainer, make_accelerator


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return number


def build_parser(recipe_name: str) -> argparse.ArgumentParser:
    """All options, those of the recipe with its numbers as defaults."""
    recipe = RECIPES[recipe_name]
    parser = argparse.ArgumentParser(
        usage="accelerate launch train.py --train_data_dir DIR --output_dir DIR [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--recipe", choices=RECIPES, default="esrgan", help="where the defaults below come from")
    data = parser.add_argument_group("data")
    source = data.add_mutually_exclusive_group(required=True)
    source.add_argument("--train_data_dir", metavar="DIR", help="flat, <species>/*.jpg, or imagefolder with metadata")
    source.add_argument("--dataset_name", metavar="ID", help="data set on the Hub")
    data.add_argument("--dataset_split", metavar="NAME", default="train", help="its split (default: %(default)s)")
    data.add_argument("--image_column", metavar="NAME", help="the column of photos (default: the only one)")
    data.add_argument("--species", metavar="NAME", help="use only this species, by a column or folder names")
    data.add_argument("--species_column", metavar="NAME", help="that column (default: the one that holds the name)")
    data.add_argument("--max_train_samples", type=positive, metavar="N", help="pick that many photos at random")
    data.add_argument("--streaming", action="store_true", help="read photos as needed; for sets beyond the disk")
    data.add_argument("--validation_data_dir", type=Path, metavar="DIR", help="folder of photos to measure on")
    data.add_argument(
        "--max_validation_samples",
        type=positive,
        metavar="N",
        default=16,
        help="the first N (default: %(default)s)",
    )
    run = parser.add_argument_group("run")
    run.add_argument("--output_dir", type=Path, metavar="DIR", required=True, help="gets weights, checkpoints, curves")
    run.add_argument("--init_from", metavar="SOURCE", help=f"start weights: {MODEL}")
    run.add_argument("--resume_from_checkpoint", metavar="WHICH", help="'latest', or a checkpoint folder")
    for name, default, meaning in (
        ("checkpointing_steps", 500, "steps between checkpoints"),
        ("checkpoints_total_limit", 2, "how many checkpoints are kept"),
        ("validation_steps", 500, "steps between measurements"),
        ("logging_steps", 10, "steps between rows of history.csv"),
        ("gradient_accumulation_steps", 1, "batches a step"),
    ):
        run.add_argument(
            f"--{name}", type=positive, metavar="N", default=default, help=f"{meaning} (default: %(default)s)"
        )
    run.add_argument(
        "--mixed_precision", choices=("no", "fp16", "bf16"), help="default: accelerate's, or bf16 where native"
    )
    run.add_argument("--report_to", choices=("none", "tensorboard", "trackio", "wandb"), default="none", help="tracker")
    hub = parser.add_argument_group("Hugging Face Hub", "The token is that of `hf auth login` or HF_TOKEN.")
    hub.add_argument("--push_to_hub", action="store_true", help="publish the model, with its card and curves")
    hub.add_argument("--hub_model_id", metavar="ID", help="where to: owner/name")
    hub.add_argument("--hub_private_repo", action="store_true", help="nobody else may see it")
    hub.add_argument(
        "--license", dest="licence", metavar="ID", help=f"of the weights, as the Hub calls it (default: {LICENCE})"
    )
    hub.add_argument(
        "--hub_strategy", choices=("end", "checkpoint"), default="end", help="once, or also beside the training"
    )
    settings = parser.add_argument_group(f"recipe {recipe_name}")
    for field in dataclasses.fields(recipe):
        settings.add_argument(
            f"--{field.name}",
            type=type(field.default),
            default=field.default,
            choices=field.metadata["choices"],
            metavar=None if field.metadata["choices"] else "N" if isinstance(field.default, int) else "X",
            help=f"{field.metadata['meaning']} (default: %(default)s; {field.metadata['source']})",
        )
    return parser


def parse(arguments: list[str] | None = None) -> tuple[argparse.Namespace, Esrgan]:
    """The options of the run, and the recipe with what the command line changes in it."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--recipe", choices=RECIPES, default="esrgan")
    name = first.parse_known_args(arguments)[0].recipe
    parser = build_parser(name)
    options = parser.parse_args(arguments)
    if options.push_to_hub and not HUB_ID.fullmatch(options.hub_model_id or ""):
        parser.error("--push_to_hub: needs --hub_model_id owner/name")
    fields = dataclasses.fields(RECIPES[name])
    try:
        return options, RECIPES[name](**{field.name: getattr(options, field.name) for field in fields})
    except ValueError as error:
        parser.error(str(error))


def main() -> int:
    options, recipe = parse()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("esrgan").setLevel(logging.INFO)
    try:
        accelerator = make_accelerator(
            options.mixed_precision,
            options.output_dir,
            gradient_accumulation_steps=options.gradient_accumulation_steps,
            log_with=None if options.report_to == "none" else options.report_to,
        )
        if accelerator.device.type == "cpu":
            keep_freed_memory()
        if not accelerator.is_main_process:
            logging.getLogger("esrgan").setLevel(logging.ERROR)
        if options.report_to != "none" and not accelerator.log_with:
            raise TrainingError(f"--report_to {options.report_to}: not installed; pip install {options.report_to}.")
        if options.report_to != "none":
            accelerator.init_trackers("esrgan", dataclasses.asdict(recipe))
        rows = load_rows(
            options.train_data_dir or options.dataset_name,
            is_hub_id=options.dataset_name is not None,
            split=options.dataset_split,
            species=options.species,
            image_column=options.image_column,
            species_column=options.species_column,
            max_samples=options.max_train_samples,
            seed=recipe.seed,
            streaming=options.streaming,
        )
        photos = Stream(rows, recipe.crop_size) if isinstance(rows, IterableDataset) else Photos(rows, recipe.crop_size)
        validation = find_images(options.validation_data_dir) if options.validation_data_dir else []
        validation = validation[: options.max_validation_samples]
        hashes = [difference_hash(shrink(read_truth(path), SCALE)) for path in validation]
        if isinstance(photos, Photos):
            for trained, measured in near_duplicates(photos.hashes, hashes):
                logging.getLogger("esrgan").warning(
                    "%s is nearly the same as %s, which it is trained on", validation[measured], photos.names[trained]
                )
        source = options.dataset_name or options.train_data_dir
        from_hub = not Path(source).exists()
        uploads = None
        if options.push_to_hub and accelerator.is_main_process:
            uploads = Uploads(
                options.output_dir,
                options.hub_model_id,
                private=options.hub_private_repo,
                licence=options.licence,
            )
        trainer = Trainer(
            recipe,
            Options(
                output_dir=options.output_dir,
                data_name=source if from_hub else "/".join(Path(source).resolve().parts[-2:]),
                is_hub_dataset=from_hub,
                licence=options.licence or LICENCE,
                validation=tuple(validation),
                validation_steps=options.validation_steps,
                checkpointing_steps=options.checkpointing_steps,
                checkpoints_total_limit=options.checkpoints_total_limit,
                resume_from_checkpoint=options.resume_from_checkpoint,
                init_from=options.init_from,
                logging_steps=options.logging_steps,
            ),
            photos,
            accelerator,
            uploads.start if uploads and options.hub_strategy == "checkpoint" else None,
        )
        trainer.train()
        accelerator.end_training()
        if uploads:
            logging.getLogger("esrgan").info("published: %s", uploads.finish())
    except Stopped as stopped:
        sys.stderr.write(f"\n{stopped}\n")
        return 130
    except (EsrganError, OSError) as error:
        sys.stderr.write(f"\ntrain.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

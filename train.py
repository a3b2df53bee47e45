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

from esrgan.data import DataError, Photos, load_rows
from esrgan.generator import WeightsError
from esrgan.images import ImageError, find_images
from esrgan.recipes import RECIPES, Esrgan
from esrgan.training import Options, Stopped, Trainer, TrainingError, make_accelerator


def parse(arguments: list[str] | None = None) -> tuple[argparse.Namespace, Esrgan]:
    """The options of the run, and the recipe with what the command line changes in it."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--recipe", choices=RECIPES, default="esrgan")
    recipe = RECIPES[first.parse_known_args(arguments)[0].recipe]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--recipe", choices=RECIPES, default="esrgan", help="where the defaults below come from")
    data = parser.add_argument_group("data")
    source = data.add_mutually_exclusive_group(required=True)
    source.add_argument("--train_data_dir", help="folder: flat, <species>/*.jpg, or imagefolder with metadata")
    source.add_argument("--dataset_name", help="data set on the Hub")
    data.add_argument("--dataset_split", default="train", help="which split of it (default: %(default)s)")
    data.add_argument("--species", help="use only photos of this species, by metadata or folder name")
    data.add_argument("--max_train_samples", type=int, help="pick that many photos at random")
    data.add_argument("--validation_data_dir", type=Path, help="folder of photos to measure on")
    data.add_argument(
        "--max_validation_samples", type=int, default=16, help="use the first so many (default: %(default)s)"
    )
    run = parser.add_argument_group("run")
    run.add_argument("--output_dir", type=Path, required=True, help="where weights, checkpoints and curves go")
    run.add_argument("--init_from", help="weights to start from: a bundled name, folder, file or Hub id")
    run.add_argument("--resume_from_checkpoint", help="'latest', or a checkpoint folder")
    run.add_argument(
        "--checkpointing_steps", type=int, default=500, help="steps between checkpoints (default: %(default)s)"
    )
    run.add_argument("--checkpoints_total_limit", type=int, default=2, help="how many are kept (default: %(default)s)")
    run.add_argument(
        "--validation_steps", type=int, default=500, help="steps between measurements (default: %(default)s)"
    )
    run.add_argument(
        "--logging_steps", type=int, default=10, help="steps between rows of history.csv (default: %(default)s)"
    )
    run.add_argument("--mixed_precision", choices=("no", "fp16", "bf16"), help="default: bf16 where it is native")
    run.add_argument("--gradient_accumulation_steps", type=int, default=1, help="batches a step (default: %(default)s)")
    run.add_argument("--report_to", choices=("none", "tensorboard", "trackio", "wandb"), default="none", help="tracker")
    settings = parser.add_argument_group(f"recipe {first.parse_known_args(arguments)[0].recipe}")
    for field in dataclasses.fields(recipe):
        settings.add_argument(
            f"--{field.name}",
            type=type(field.default),
            default=field.default,
            help=f"{field.metadata['meaning']} (default: %(default)s; {field.metadata['source']})",
        )
    options = parser.parse_args(arguments)
    return options, recipe(**{field.name: getattr(options, field.name) for field in dataclasses.fields(recipe)})


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
        if not accelerator.is_main_process:
            logging.getLogger("esrgan").setLevel(logging.ERROR)
        if options.report_to != "none":
            accelerator.init_trackers("esrgan", dataclasses.asdict(recipe))
        rows = load_rows(
            options.train_data_dir or options.dataset_name,
            is_hub_id=options.dataset_name is not None,
            split=options.dataset_split,
            species=options.species,
            max_samples=options.max_train_samples,
            seed=recipe.seed,
        )
        validation = find_images(options.validation_data_dir) if options.validation_data_dir else []
        trainer = Trainer(
            recipe,
            Options(
                output_dir=options.output_dir,
                validation=tuple(validation[: options.max_validation_samples]),
                validation_steps=options.validation_steps,
                checkpointing_steps=options.checkpointing_steps,
                checkpoints_total_limit=options.checkpoints_total_limit,
                resume_from_checkpoint=options.resume_from_checkpoint,
                init_from=options.init_from,
                logging_steps=options.logging_steps,
            ),
            Photos(rows, recipe.crop_size),
            accelerator,
        )
        trainer.train()
        accelerator.end_training()
    except Stopped as stopped:
        sys.stderr.write(f"\n{stopped}\n")
        return 130
    except (DataError, ImageError, TrainingError, WeightsError) as error:
        sys.stderr.write(f"\ntrain.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

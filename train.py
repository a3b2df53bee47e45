# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "accelerate>=1.10",
#     "datasets>=4.0",
#     "fsspec>=2024.6",
#     "gradio>=6.0",
#     "httpx>=0.27",
#     "huggingface-hub>=1.0",
#     "markdown-it-py>=3.0",
#     "matplotlib>=3.8",
#     "numpy>=2.0",
#     "pillow>=11.3",
#     "pillow-heif>=1.0",
#     "psutil>=5.9",
#     "pyyaml>=6.0",
#     "safehttpx>=0.1.7",
#     "safetensors>=0.5",
#     "torch>=2.11",
#     "torchvision>=0.26",
#     "tqdm>=4.66",
# ]
# ///
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

from accelerate import Accelerator
from datasets import IterableDataset
from huggingface_hub.errors import HTTPError
from safetensors import SafetensorError

from esrgan.errors import EsrganError, TrainingError
from esrgan.evaluation.study import read_truth
from esrgan.files import check_file
from esrgan.hub.state import fetch_state
from esrgan.hub.uploads import Uploads
from esrgan.images.reading import find_images
from esrgan.images.resize import SCALE, shrink
from esrgan.inference.upscaler import is_out_of_memory
from esrgan.models.convert import load
from esrgan.training.accelerator import make_accelerator
from esrgan.training.checkpoints import Checkpoints
from esrgan.training.config import add_config, read_config
from esrgan.training.datasets import Photos, Stream, spread
from esrgan.training.duplicates import difference_hash, near_duplicates
from esrgan.training.holding_out import split_rows, write_photos
from esrgan.training.options import Options, add_options, add_recipe, taken
from esrgan.training.recipes import RECIPES, Esrgan
from esrgan.training.records import RECORD
from esrgan.training.sources import load_rows
from esrgan.training.species import species_of
from esrgan.training.tracking import start_tracking
from esrgan.training.trainer import Stopped, Trainer

logger = logging.getLogger("esrgan")


def parse(arguments: list[str] | None = None) -> tuple[Options, Esrgan]:
    """The options of the run, and the recipe, whose numbers are defaults, with what the command line changes in it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--recipe", choices=RECIPES, default="esrgan", help="where the defaults below come from")
    add_config(first)
    if config := first.parse_known_args(arguments)[0].config:
        try:
            arguments = [*read_config(config), *arguments]
        except TrainingError as error:
            first.error(str(error))
    name = first.parse_known_args(arguments)[0].recipe
    parser = argparse.ArgumentParser(
        usage="accelerate launch train.py --train_data_dir DIR --output_dir DIR [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[first],
    )
    add_options(parser)
    add_recipe(parser, name, RECIPES[name])
    namespace = parser.parse_args(arguments)
    try:
        return taken(Options, namespace), taken(RECIPES[name], namespace)
    except ValueError as error:
        parser.error(str(error))


def load_photos(
    options: Options, recipe: Esrgan, accelerator: Accelerator, has_run: bool
) -> tuple[Photos | Stream, list[Path]]:
    """What is trained on, and the photos to measure on; with a run in its folder, those that this one has held out."""
    seed = recipe.seed if options.data_seed is None else options.data_seed
    rows = load_rows(
        options.source,
        is_hub_id=options.dataset_name is not None,
        split=options.dataset_split,
        species=options.species,
        image_column=options.image_column,
        species_column=options.species_column,
        max_samples=options.max_train_samples,
        seed=seed,
        streaming=options.streaming,
        config_name=options.dataset_config_name,
    )
    folder = options.validation_data_dir
    if options.validation_split:
        folder = options.output_dir / "validation"
        species = species_of(rows, options.species_column, options.source)
        rows, held = split_rows(rows, options.validation_split, seed, species)
        with accelerator.main_process_first():
            if accelerator.is_main_process and not (has_run and folder.is_dir()):
                write_photos(held, folder, recipe.crop_size)
    validation = spread(find_images(folder) if folder else [], options.max_validation_samples)
    photos: Photos | Stream
    if isinstance(rows, IterableDataset):
        photos = Stream(rows, recipe.crop_size)
    else:
        photos = Photos(rows, recipe.crop_size, workers=recipe.dataloader_num_workers)
    hashes = [difference_hash(shrink(read_truth(path), SCALE)) for path in validation]
    if isinstance(photos, Photos):
        for trained, measured in near_duplicates(photos.hashes, hashes):
            logger.warning(
                "%s is nearly the same as %s, which it is trained on", validation[measured], photos.names[trained]
            )
    return photos, validation


def run(options: Options, recipe: Esrgan) -> None:
    """Train, and publish if asked."""
    check_file(options.output_dir / RECORD)  # before photos are read, which may take long
    if options.init_from:
        load(options.init_from)  # for the same reason
    accelerator = make_accelerator(
        options.mixed_precision,
        options.output_dir,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        log_with=None if options.report_to == "none" else options.report_to,
    )
    if not accelerator.is_main_process:
        logger.setLevel(logging.ERROR)
    if options.report_to != "none":
        start_tracking(accelerator, options.report_to, dataclasses.asdict(recipe))
    checkpoints = Checkpoints(options.output_dir, options.checkpoints_total_limit)
    hub_id = options.hub_model_id if options.push_to_hub and accelerator.is_main_process else None
    if hub_id and options.resume_from_checkpoint == "latest" and not checkpoints.all():
        fetch_state(hub_id, options.output_dir)
    accelerator.wait_for_everyone()
    photos, validation = load_photos(options, recipe, accelerator, has_run=bool(checkpoints.all()))
    uploads = None
    if hub_id:  # of photos that cannot be read, nothing is made on the Hub
        uploads = Uploads(
            options.output_dir,
            hub_id,
            private=options.hub_private_repo,
            licence=options.license,
            state=options.hub_strategy == "checkpoint",
        )
    on_checkpoint = uploads.start if uploads and options.hub_strategy == "checkpoint" else None
    try:
        Trainer(recipe, options, photos, validation, accelerator, checkpoints, on_checkpoint).train()
    except Stopped:
        if uploads:
            uploads.catch_up()
        accelerator.end_training()
        raise
    accelerator.end_training()
    if uploads:
        logger.info("published: %s", uploads.finish())


def sentence_of(error: Exception) -> str:
    """What is wrong; of an error from a process that reads photos, whose message has a traceback, the end of it."""
    told = str(error).strip()
    return told.rpartition("Error: ")[2] if "Original Traceback" in told else told


def main() -> int:
    options, recipe = parse()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    try:
        run(options, recipe)
    except Stopped as stopped:
        sys.stderr.write(f"\n{stopped}\n")
        return 130
    except KeyboardInterrupt:  # before or after the steps
        sys.stderr.write("\ntrain.py: stopped\n")
        return 130
    except (EsrganError, HTTPError, OSError, SafetensorError) as error:
        sys.stderr.write(f"\ntrain.py: {sentence_of(error)}\n")
        return 1
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.stderr.write("\ntrain.py: out of memory; give a smaller --train_batch_size or --crop_size.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

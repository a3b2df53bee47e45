"""Upscale photos, measure generators, publish them, and bring them into other formats, from the command line.

python -m esrgan upscale photo.jpg folder/ -o upscaled/ --model dogs
accelerate launch -m esrgan upscale folder/ -o upscaled/
python -m esrgan evaluate --data photos/ --models mixed dogs
python -m esrgan convert RealESRGAN_x4plus.pth x4plus/
python -m esrgan export --onnx dogs.onnx --model dogs
python -m esrgan publish runs/mine --repo me/esrgan-x4-dogs
python -m esrgan deploy-space me/animal-esrgan --mixed me/esrgan-x4-mixed --dogs me/esrgan-x4-dogs
"""

import argparse
import json
import logging
import re
import sys
from datetime import timedelta
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object, parse_flag_from_env
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from .errors import EsrganError, WeightsError
from .evaluation.plots import draw_differences, draw_plate
from .evaluation.study import Method, bicubic, evaluate
from .files import replacing
from .hub.publish import gather, publish
from .hub.space import deploy, write_bundle
from .images.reading import find_images
from .images.resize import SCALE
from .inference.device import best_device
from .inference.folder import find_targets, upscale_file
from .inference.onnx import export_onnx
from .inference.openvino import OpenVINOUpscaler
from .inference.upscaler import ACCELERATOR_TILE, CPU_TILE, Upscaler
from .models.convert import read_any, read_checkpoint
from .models.generator import Generator

logger = logging.getLogger("esrgan")
PLATE_ROWS = 6
EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command and its options."""
    parser = argparse.ArgumentParser(
        "python -m esrgan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    source = "mixed, dogs, a model folder, a .safetensors file or a Hub id"

    upscale = commands.add_parser(
        "upscale",
        help="upscale photos by 4",
        description="Upscale photos by 4; those that are there already are skipped. Orientation is applied; colour "
        "profile, EXIF, transparency, grey and 16 bits are kept. Under `accelerate launch` several processes share "
        "the work.",
    )
    upscale.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="photos, or folders of photos")
    upscale.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="a folder, or for one photo a file name"
    )
    upscale.add_argument("--model", default="mixed", help=f"{source} (default: %(default)s)")
    upscale.add_argument("--format", choices=EXTENSIONS, help="of the files in the output folder (default: png)")
    upscale.add_argument(
        "--quality", type=int, choices=range(1, 101), metavar="1..100", help="of jpeg (default: 95) and lossy webp"
    )
    upscale.add_argument(
        "--bits", type=int, choices=(8, 16), help="a channel (default: as the photo has); 16 are for png and tiff"
    )
    upscale.add_argument("--no_exif", dest="exif", action="store_false", help="leave out what EXIF says")
    upscale.add_argument(
        "--all_frames",
        action="store_true",
        help="of animations and documents, to png, webp, tiff or a name in .gif (default: the first frame)",
    )
    upscale.add_argument("--overwrite", action="store_true", help="upscale again what is there already")
    upscale.add_argument(
        "--ensemble", action="store_true", help="average over 8 ways to turn and mirror a photo; 8 times as long"
    )
    upscale.add_argument(
        "--tile",
        type=int,
        help=f"largest side of a tile, pixels (default: as memory allows, up to {CPU_TILE} on a CPU and "
        f"{ACCELERATOR_TILE} on an accelerator)",
    )
    upscale.add_argument(
        "--overlap", type=int, help="context at inner edges of tiles, pixels (default: 16, and 80 above 8 blocks)"
    )
    upscale.add_argument(
        "--backend",
        choices=("torch", "openvino", "openvino-int8"),
        default="torch",
        help="what computes; openvino, an extra, is for CPUs, and the faster the more it rounds (default: %(default)s)",
    )
    upscale.set_defaults(run=run_upscale)

    evaluation = commands.add_parser(
        "evaluate",
        help="measure generators on photos",
        description="Shrink photos by 4, bring them back by bicubic and by each generator, and measure the results.",
    )
    evaluation.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of photos")
    evaluation.add_argument(
        "--models",
        nargs="+",
        default=["mixed", "dogs"],
        metavar="MODEL",
        help=f"{source}; MODEL@psnr, MODEL@gan or MODEL@0.5 for the weights of a stage, or between the two",
    )
    evaluation.add_argument(
        "--difference",
        nargs=2,
        action="append",
        metavar="MODEL",
        help="two of the models, for the difference of the second to the first; repeatable (default: the last two)",
    )
    evaluation.add_argument("--max_samples", type=int, metavar="N", help="measure the first N photos only")
    evaluation.add_argument(
        "--foreground",
        type=Path,
        metavar="DIR",
        help="folder of masks, a PNG of each photo's name and size, white on the animal: measures it apart from its "
        "background",
    )
    evaluation.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="gets table.md, scores.json (photo by photo), differences.png and plate.png (crops side by side)",
    )
    evaluation.set_defaults(run=run_evaluate)

    token = "The token is that of `hf auth login`, or HF_TOKEN."
    publishing = commands.add_parser(
        "publish",
        help="put a model on the Hub",
        description=f"Put a training's model on the Hub, in one commit. {token}",
    )
    publishing.add_argument("folder", type=Path, metavar="FOLDER", help="a training's --output_dir, or a model folder")
    publishing.add_argument("--repo", required=True, metavar="ID", help="owner/name; made if it is not there")
    publishing.add_argument("--private", action="store_true", help="nobody else may see it")
    publishing.add_argument("--collection", metavar="TITLE", help="the owner's collection to add it to")
    publishing.set_defaults(run=run_publish)

    space = commands.add_parser(
        "deploy-space", help="put the page on a Space", description=f"Put the page on a Hugging Face Space. {token}"
    )
    space.add_argument("space", metavar="ID", help="owner/name of the Space; made if it is not there")
    for name in ("mixed", "dogs"):
        space.add_argument(f"--{name}", required=True, metavar="ID", help=f"Hub id of the {name} model")
    space.add_argument("--private", action="store_true", help="nobody else may see it")
    space.add_argument("--zero-gpu", action="store_true", help="for ZeroGPU in place of a CPU")
    space.add_argument("--dry-run", type=Path, metavar="DIR", help="only write what would be uploaded")
    space.set_defaults(run=run_deploy_space)

    convert = commands.add_parser(
        "convert",
        help="published weights to a model folder",
        description="Read published ESRGAN or Real-ESRGAN x4 weights, and write config.json and model.safetensors.",
    )
    convert.add_argument("input", type=Path, metavar="IN", help="a .pth or .safetensors file, under any key names")
    convert.add_argument("output", type=Path, metavar="OUT", help="a folder")
    convert.set_defaults(run=run_convert)

    export = commands.add_parser(
        "export",
        help="a model as ONNX",
        description="Write a model as ONNX, for photos of any size, once onnxruntime has given what PyTorch gives.",
    )
    export.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="where to")
    export.add_argument("--model", default="mixed", help=f"{source} (default: %(default)s)")
    export.set_defaults(run=run_export)
    return parser.parse_args(arguments)


def run_upscale(options: argparse.Namespace) -> int:
    """Upscale, by all processes that were launched; a photo that cannot be used does not stop the rest."""
    compiled = options.backend != "torch"
    on_cpu = compiled or parse_flag_from_env("ACCELERATE_USE_CPU") or best_device().type == "cpu"
    state = PartialState(cpu=on_cpu, timeout=timedelta(days=7))  # how long one process may wait for another
    targets = find_targets(options.inputs, options.output, EXTENSIONS.get(options.format))
    wanted = [pair for pair in targets if options.overwrite or not pair[1].exists()]
    (wanted,) = broadcast_object_list([wanted])  # one process may have begun to write before another looks
    given = {"tile": options.tile, "overlap": options.overlap, "ensemble": options.ensemble}
    generator = load(options.model)
    try:
        upscaler = (
            OpenVINOUpscaler(generator, int8=options.backend == "openvino-int8", **given)
            if compiled
            else Upscaler(generator, device=state.device, **given)
        )
    except ValueError as error:
        logger.error("%s", error)
        return 2
    failed = []
    with state.split_between_processes(wanted) as share, logging_redirect_tqdm():
        bar = tqdm(share, unit="photo", disable=not state.is_main_process)
        for path, target in bar:
            bar.set_description(path.name)
            try:
                upscale_file(
                    path,
                    target,
                    upscaler,
                    bits=options.bits,
                    quality=options.quality,
                    exif=options.exif,
                    all_frames=options.all_frames,
                    progress=state.is_main_process,
                )
            except (EsrganError, OSError) as error:
                failed.append(str(error))
            except MemoryError as error:
                failed.append(f"{path}: {error}")
    failed = gather_object(failed)
    if state.is_main_process:
        done, skipped = len(wanted) - len(failed), len(targets) - len(wanted)
        told = f" by {state.num_processes} processes" if state.num_processes > 1 else ""
        logger.info("%d photo%s upscaled by %d to %s%s", done, "" if done == 1 else "s", SCALE, options.output, told)
        if skipped:
            logger.info("%d skipped, as they are there already; --overwrite upscales them again", skipped)
        for message in failed:
            logger.error("%s", message)
    state.wait_for_everyone()  # a launcher ends all as soon as one reports a failure
    state.destroy_process_group()
    return 1 if failed else 0


def load(model: str) -> Generator:
    """The generator of MODEL or MODEL@STAGE."""
    if not (match := re.fullmatch(r"(.+)@(psnr|gan|0(?:\.\d+)?|1)", model)):
        return read_any(model)
    source, stage = match.groups()
    return Generator.from_pretrained(source, stage=stage if stage.isalpha() else float(stage))


def run_evaluate(options: argparse.Namespace) -> int:
    """Measure, and write the table to standard output."""
    paths = find_images(options.data)[: options.max_samples or None]
    methods: dict[str, Method] = {"bicubic": bicubic}
    for source in options.models:
        methods[source] = Upscaler(load(source))
    pairs = options.difference or [options.models[-2:]]
    for model in {model for pair in pairs for model in pair} - set(options.models):
        raise WeightsError(f"--difference {model}: not among --models {' '.join(options.models)}")
    evaluation = evaluate(methods, paths, [(a, b) for a, *rest in pairs for b in rest], options.foreground)
    sys.stdout.write(evaluation.markdown() + "\n")
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        with replacing(options.output / "table.md") as beside:
            beside.write_text(evaluation.markdown() + "\n")
        with replacing(options.output / "scores.json") as beside:
            beside.write_text(json.dumps(evaluation.json(), indent=2) + "\n")
        with replacing(options.output / "differences.png") as beside:
            draw_differences(evaluation, beside)
        with replacing(options.output / "plate.png") as beside:
            draw_plate(methods, paths[:: -(-len(paths) // PLATE_ROWS)], beside)
    return 0


def run_publish(options: argparse.Namespace) -> int:
    """Publish, and write the commit's address to standard output."""
    address = publish(gather(options.folder), options.repo, private=options.private, collection=options.collection)
    sys.stdout.write(f"{address}\n")
    return 0


def run_deploy_space(options: argparse.Namespace) -> int:
    """Deploy, and write the Space's address to standard output."""
    models = {"mixed": options.mixed, "dogs": options.dogs}
    if options.dry_run:
        write_bundle(options.dry_run, models, zero_gpu=options.zero_gpu)
    else:
        address = deploy(options.space, models, private=options.private, zero_gpu=options.zero_gpu)
        sys.stdout.write(f"{address}\n")
    return 0


def run_convert(options: argparse.Namespace) -> int:
    """Convert, and say what it is."""
    generator = read_checkpoint(options.input)
    generator.save_pretrained(options.output)
    logger.info("%s: a generator of %d blocks, from %s", options.output, generator.config["num_blocks"], options.input)
    return 0


def run_export(options: argparse.Namespace) -> int:
    """Export, and say how near it is."""
    difference = export_onnx(load(options.model), options.onnx)
    logger.info("%s: within %.1g of PyTorch", options.onnx, difference)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    options = parse(arguments)
    try:
        return options.run(options)
    except (EsrganError, OSError) as error:
        logger.error("%s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())

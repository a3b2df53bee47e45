"""Upscale photos, measure generators, and publish them, from the command line.

python -m esrgan upscale photo.jpg folder/ -o upscaled/ --model dogs
python -m esrgan evaluate --data photos/ --models mixed dogs
python -m esrgan publish runs/mine --repo me/esrgan-x4-dogs
python -m esrgan deploy-space me/animal-esrgan --mixed me/esrgan-x4-mixed --dogs me/esrgan-x4-dogs
"""

import argparse
import json
import logging
import re
import sys
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from .evaluation import Method, bicubic, evaluate
from .figures import draw_differences, draw_plate
from .files import replacing
from .generator import SCALE, Generator
from .hub import HubError, gather, publish
from .images import ImageError, find_images, read_image, write_image
from .space import deploy, write_bundle
from .upscaler import Upscaler
from .weights import WeightsError

logger = logging.getLogger("esrgan")
PLATE_ROWS = 6


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command and its options."""
    parser = argparse.ArgumentParser(
        "python -m esrgan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    source = "mixed, dogs, a model folder, a .safetensors file or a Hub id"

    upscale = commands.add_parser("upscale", help="upscale photos by 4", description="Upscale photos by 4, to PNG.")
    upscale.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="photos, or folders of photos")
    upscale.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="a folder, or for one photo a file name"
    )
    upscale.add_argument("--model", default="mixed", help=f"{source} (default: %(default)s)")
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
    return parser.parse_args(arguments)


def _targets(inputs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """What is read, and where its result goes; folders keep their structure."""
    if output.suffix.lower() in Image.registered_extensions():
        if len(inputs) > 1 or inputs[0].is_dir():
            raise ImageError(f"{output}: a file name serves for one photo only; give a folder.")
        return [(inputs[0], output)]
    targets: dict[Path, Path] = {}
    for given in inputs:
        for path in find_images(given) if given.is_dir() else [given]:
            inside = path.relative_to(given) if given.is_dir() else Path(path.name)
            target = (output / inside).with_suffix(".png")
            if target in targets:
                raise ImageError(f"{path} and {targets[target]} would both become {target}; upscale them apart.")
            targets[target] = path
    return [(path, target) for target, path in targets.items()]


def run_upscale(options: argparse.Namespace) -> int:
    """Upscale; a photo that cannot be read does not stop the rest."""
    targets = _targets(options.inputs, options.output)
    upscaler = Upscaler(Generator.from_pretrained(options.model))
    failed = []
    bar = tqdm(targets, unit="photo")
    for path, target in bar:
        bar.set_description(path.name)
        try:
            write_image(upscaler(read_image(path)), target)
        except (ImageError, OSError) as error:
            failed.append(str(error))
    done = len(targets) - len(failed)
    logger.info("%d photo%s upscaled by %d to %s", done, "" if done == 1 else "s", SCALE, options.output)
    for message in failed:
        logger.error("%s", message)
    return 1 if failed else 0


def load(model: str) -> Generator:
    """The generator of MODEL or MODEL@STAGE."""
    if not (match := re.fullmatch(r"(.+)@(psnr|gan|0(?:\.\d+)?|1)", model)):
        return Generator.from_pretrained(model)
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
    evaluation = evaluate(methods, paths, [(a, b) for a, *rest in pairs for b in rest])
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


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    options = parse(arguments)
    try:
        return options.run(options)
    except (HubError, ImageError, OSError, WeightsError) as error:
        logger.error("%s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())

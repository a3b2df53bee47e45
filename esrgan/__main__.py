"""Upscale photos, and measure generators, from the command line.

python -m esrgan upscale photo.jpg folder/ -o upscaled/ --model dogs
python -m esrgan evaluate --data photos/ --models mixed dogs
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
from .images import ImageError, find_images, read_image, write_image
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


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    options = parse(arguments)
    try:
        return options.run(options)
    except (ImageError, OSError, WeightsError) as error:
        logger.error("%s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())

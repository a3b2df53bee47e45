"""`esrgan evaluate`: bicubic and generators side by side on photos."""

import argparse
import json
import sys
from pathlib import Path

from ..errors import WeightsError
from ..files import check_file, replacing
from ..models.source import MODEL

PLATE_ROWS = 6
OUTPUTS = ("table.md", "scores.json", "differences.png", "plate.png")


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure generators on photos",
        description="Shrink photos by 4, bring them back by bicubic and by each generator, and measure the results.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of photos")
    parser.add_argument(
        "--models",
        nargs="+",
        default=["mixed", "dogs"],
        metavar="MODEL",
        help=f"{MODEL}; MODEL@psnr, MODEL@gan or MODEL@0.5 for the weights of a stage, or between the two",
    )
    parser.add_argument(
        "--difference",
        nargs=2,
        action="append",
        metavar="MODEL",
        help="two of the models, for the difference of the second to the first; repeatable (default: the last two)",
    )
    parser.add_argument("--max_samples", type=int, metavar="N", help="measure the first N photos only")
    parser.add_argument(
        "--foreground",
        type=Path,
        metavar="DIR",
        help="folder of masks, a PNG of each photo's name and size, white on the animal: measures it apart from its "
        "background",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="gets table.md, scores.json (photo by photo), differences.png and plate.png (crops side by side)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, and write the table to standard output."""
    from ..evaluation.plots import draw_differences, draw_plate
    from ..evaluation.study import Method, bicubic, evaluate
    from ..images.reading import find_images
    from ..inference.upscaler import Upscaler
    from ..models.convert import load

    for name in OUTPUTS if options.output else ():
        check_file(options.output / name)
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
        table, scores, differences, plate = (options.output / name for name in OUTPUTS)
        with replacing(table) as temporary:
            temporary.write_text(evaluation.markdown() + "\n", encoding="utf-8")
        with replacing(scores) as temporary:
            temporary.write_text(json.dumps(evaluation.json(), indent=2) + "\n", encoding="utf-8")
        with replacing(differences) as temporary:
            draw_differences(evaluation, temporary)
        with replacing(plate) as temporary:
            draw_plate(methods, paths[:: -(-len(paths) // PLATE_ROWS)], temporary)
    return 0

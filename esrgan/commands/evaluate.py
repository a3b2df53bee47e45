"""`esrgan evaluate`: bicubic and generators side by side on photos."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import FileError, WeightsError
from ..files import check_file, replacing
from ..images.degradation import DEGRADATIONS, degrade, seed_of
from ..models.source import MODEL, readable, split_label
from . import at_least_one

PLATE_ROWS = 6
OUTPUTS = ("table.md", "scores.json", "differences.png", "plate.png")


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure generators on photos",
        description="Shrink photos by 4, enlarge them again by bicubic and by each generator, and measure the results.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of photos")
    parser.add_argument(
        "--models",
        nargs="+",
        default=["mixed", "dogs"],
        metavar="MODEL",
        help=f"{MODEL}; NAME=MODEL to call it NAME in table and pictures (default: mixed dogs)",
    )
    parser.add_argument(
        "--difference",
        nargs=2,
        action="append",
        metavar="NAME",
        help="two of bicubic and the models, to report the second minus the first; repeatable (default: the last two)",
    )
    parser.add_argument("--max_samples", type=at_least_one, metavar="N", help="measure the first N photos only")
    parser.add_argument(
        "--foreground",
        type=Path,
        metavar="DIR",
        help="folder of masks, a PNG of each photo's name and size, white on the animal: measures it apart from its "
        "background",
    )
    parser.add_argument(
        "--degradation",
        choices=DEGRADATIONS,
        default="bicubic",
        help="how the small photos are made: bicubic, the protocol; camera, with blur, noise and JPEG, always the same "
        "for a file name; web, with JPEG alone",
    )
    parser.add_argument("--save_inputs", type=Path, metavar="DIR", help="gets the small photos, as NAME.png")
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

    for folder in filter(None, (options.output, options.save_inputs)):
        if options.data.is_dir() and folder.resolve().is_relative_to(options.data.resolve()):
            raise FileError(f"{folder}: lies in --data {options.data}, where all pictures are measured; give another.")
    for name in OUTPUTS if options.output else ():
        check_file(options.output / name)
    root = options.data if options.data.is_dir() else options.data.parent
    paths = find_images(options.data)[: options.max_samples]
    models: dict[str, str] = {}
    for name, source in map(split_label, options.models):
        if "|" in name or not name.isprintable():
            raise WeightsError(f"--models {name!a}: no table can have this name; write NAME=MODEL, with a plain name.")
        if name == "bicubic" or models.setdefault(name, source) != source:
            raise WeightsError(f"--models {name}={source}: {name} is the name of another; give it one of its own.")
    pairs = [(readable(a), readable(b)) for a, b in options.difference or [["bicubic", *models][-2:]]]
    for name in {name for pair in pairs for name in pair} - {"bicubic", *models}:
        raise WeightsError(f"--difference {name}: not among --models {' '.join(models)}.")
    methods: dict[str, Method] = {"bicubic": bicubic}
    methods |= {name: Upscaler(load(source)) for name, source in models.items()}
    if options.save_inputs:
        save_inputs(paths, root, options.degradation, options.save_inputs)
    evaluation = evaluate(methods, paths, pairs, options.foreground, options.degradation, root)
    if options.output:
        table, scores, differences, plate = (options.output / name for name in OUTPUTS)
        with replacing(table) as temporary:
            temporary.write_text(evaluation.markdown() + "\n", encoding="utf-8")
        with replacing(scores) as temporary:
            temporary.write_text(json.dumps(evaluation.json(), indent=2) + "\n", encoding="utf-8")
        with replacing(differences) as temporary:
            draw_differences(evaluation, temporary)
        with replacing(plate) as temporary:
            draw_plate(methods, paths[:: -(-len(paths) // PLATE_ROWS)], temporary, options.degradation)
    sys.stdout.write(evaluation.markdown() + "\n")
    return 0


def save_inputs(paths: Sequence[Path], root: Path, degradation: str, folder: Path) -> None:
    """Write what the generators get, with the folders of the photos below `root`."""
    from ..evaluation.study import read_truth
    from ..images.reading import write_image

    for path in paths:
        small, _ = degrade(read_truth(path), degradation, seed_of(path.name))
        write_image(small, folder / path.relative_to(root).parent / f"{path.name}.png")

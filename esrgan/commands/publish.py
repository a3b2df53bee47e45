"""`esrgan publish`: a model to the Hub."""

import argparse
import sys
from pathlib import Path

from . import TOKEN


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "publish",
        help="put a model on the Hub",
        description=f"Put a training's model on the Hub, in one commit. {TOKEN}",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a training's --output_dir, or a model folder")
    parser.add_argument("--repo", required=True, metavar="ID", help="owner/name; made if it is not there")
    parser.add_argument(
        "--camera",
        type=Path,
        metavar="FOLDER",
        help="a training with --degradation camera: its weights go along, as the stage camera",
    )
    parser.add_argument("--private", action="store_true", help="nobody else may see it")
    parser.add_argument("--collection", metavar="TITLE", help="the owner's collection to add it to")
    parser.add_argument(
        "--license",
        dest="licence",
        metavar="ID",
        help="of the weights, as the Hub calls it (default: what the card there was changed to, or the folder's)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Publish, and write the commit's address to standard output."""
    from ..hub.publish import gather, publish

    address = publish(
        gather(options.folder, options.camera),
        options.repo,
        private=options.private,
        collection=options.collection,
        licence=options.licence,
    )
    sys.stdout.write(f"{address}\n")
    return 0

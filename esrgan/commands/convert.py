"""`esrgan convert`: published weights to a model folder."""

import argparse
import logging
from pathlib import Path

logger = logging.getLogger("esrgan")


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "convert",
        help="published weights to a model folder",
        description="Read published ESRGAN or Real-ESRGAN x4 weights, and write config.json and model.safetensors.",
    )
    parser.add_argument("input", type=Path, metavar="IN", help="a .pth or .safetensors file, under any key names")
    parser.add_argument("output", type=Path, metavar="OUT", help="a new folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Convert, and say what it is."""
    from ..files import check_folder
    from ..models.convert import read_checkpoint

    check_folder(options.output)
    generator = read_checkpoint(options.input)
    generator.save_pretrained(options.output)
    logger.info("%s: a generator of %d blocks, from %s", options.output, generator.config["num_blocks"], options.input)
    return 0

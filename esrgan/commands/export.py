"""`esrgan export`: a model as ONNX."""

import argparse
import logging
from pathlib import Path

from ..models.source import MODEL

logger = logging.getLogger("esrgan")


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "export",
        help="a model as ONNX",
        description="Write a model as ONNX, for photos of any size, once onnxruntime has given what PyTorch gives.",
    )
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="where to")
    parser.add_argument("--model", default="mixed", help=f"{MODEL} (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export, and say how near it is."""
    from ..files import check_file
    from ..inference.onnx import export_onnx
    from ..models.convert import load

    check_file(options.onnx)
    difference = export_onnx(load(options.model), options.onnx)
    logger.info("%s: within %.1g of PyTorch", options.onnx, difference)
    return 0

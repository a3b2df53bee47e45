"""`esrgan deploy-space`: the page to a Hugging Face Space."""

import argparse
import logging
import sys
from pathlib import Path

from ..models.source import MODEL
from . import TOKEN, AddModel

logger = logging.getLogger("esrgan")

DESCRIPTION = f"""Put the page on a Hugging Face Space. Models of the Hub are pinned by commit, those of this machine go
along. {TOKEN}"""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("deploy-space", help="put the page on a Space", description=DESCRIPTION)
    parser.add_argument("space", metavar="ID", help="owner/name of the Space; made if it is not there")
    for name in ("mixed", "dogs"):
        parser.add_argument(f"--{name}", default=name, metavar="MODEL", help=f"{MODEL} (default: %(default)s)")
    parser.add_argument("--model", action=AddModel, default={}, metavar="NAME=MODEL", help="one more model; repeatable")
    parser.add_argument("--private", action="store_true", help="nobody else may see it")
    parser.add_argument("--zero-gpu", action="store_true", help="for ZeroGPU in place of a CPU")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="only write what would be uploaded")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Deploy, and write the Space's address to standard output."""
    from ..hub.space import deploy, write_bundle

    models = {"mixed": options.mixed, "dogs": options.dogs, **options.model}
    if options.dry_run:
        write_bundle(options.dry_run, models, zero_gpu=options.zero_gpu)
        logger.info(
            "%s: written and not uploaded; to try the page: python %s", options.dry_run, options.dry_run / "app.py"
        )
    else:
        address = deploy(options.space, models, private=options.private, zero_gpu=options.zero_gpu)
        sys.stdout.write(f"{address}\n")
    return 0

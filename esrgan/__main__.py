"""Upscale photos, measure generators, publish them, and bring them into other formats, from the command line.

esrgan upscale photo.jpg folder/ -o upscaled/ --model dogs
accelerate launch -m esrgan upscale folder/ -o upscaled/
esrgan evaluate --data photos/ --models mixed dogs
esrgan study --mixed mixed/ --dogs dogs/ --test dogs=other_dogs/ --test others=others/ --output study/
esrgan convert RealESRGAN_x4plus.pth x4plus/
esrgan export --onnx dogs.onnx --model dogs
esrgan publish runs/mine --repo me/esrgan-x4-dogs
esrgan deploy-space me/animal-esrgan --mixed me/esrgan-x4-mixed --dogs me/esrgan-x4-dogs
"""

import argparse
import io
import logging
import signal
import sys

from .commands import convert, deploy_space, evaluate, export, publish, study, upscale
from .errors import EsrganError

logger = logging.getLogger("esrgan")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command and its options."""
    parser = argparse.ArgumentParser(
        "esrgan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (upscale, evaluate, study, convert, export, publish, deploy_space):
        command.add(subparsers)
    options, others = parser.parse_known_args(arguments)
    if others and options.run is not study.run:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    options.others = others
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without a letter is no reason to lose a result
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is half written is removed
    try:
        return options.run(options)
    except (EsrganError, OSError) as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.error("stopped; what was finished is kept, and the same command goes on from there")
        return 130


if __name__ == "__main__":
    sys.exit(main())

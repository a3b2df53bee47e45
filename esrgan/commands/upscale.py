"""`esrgan upscale`: photos, and folders of photos, by 4."""

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EsrganError, WeightsError
from ..models.source import MODEL, Source, parse, parse_stage
from . import at_least_one

if TYPE_CHECKING:
    import torch

    from ..inference.folder import Targets
    from ..inference.upscaler import Upscaler

logger = logging.getLogger("esrgan")
EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "upscale",
        help="upscale photos by 4",
        description="Upscale photos by 4; those that are there already are skipped. Orientation is applied; colour "
        "profile, EXIF, transparency, grey and 16 bits are kept. Under `accelerate launch` several processes share "
        "the work.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="photos, or folders of photos")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="a folder, or for one photo a file name"
    )
    parser.add_argument("--model", default="mixed", help=f"{MODEL} (default: %(default)s)")
    parser.add_argument(
        "--stage",
        type=stage,
        help="of the model: psnr, gan, camera or a number from 0 to 1; or auto: its camera stage for photos that are "
        "found to have noise or JPEG's blocks, and for others the one that --model names",
    )
    parser.add_argument(
        "--halve",
        action="store_true",
        help="first halve photos whose spectrum shows that they were enlarged before (not animations)",
    )
    parser.add_argument("--format", choices=EXTENSIONS, help="of the files in the output folder (default: png)")
    parser.add_argument(
        "--quality",
        type=partial(at_least_one, most=100),
        metavar="1..100",
        help="quality of jpeg (default: 95); makes webp lossy",
    )
    parser.add_argument(
        "--bits", type=int, choices=(8, 16), help="bits per channel (default: the photo's); 16 needs png or tiff"
    )
    parser.add_argument("--no_exif", dest="exif", action="store_false", help="leave out what EXIF and XMP say")
    parser.add_argument(
        "--no_provenance",
        dest="provenance",
        action="store_false",
        help="leave out the note in XMP that the photo was enlarged, and by what",
    )
    parser.add_argument(
        "--all_frames",
        action="store_true",
        help="of animations and documents, to png, webp, tiff or a name in .gif (default: the first frame)",
    )
    parser.add_argument("--overwrite", action="store_true", help="upscale again what is there already")
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="average over 8 ways to turn and mirror a photo; 8 times as long, and it undoes the crispness of "
        "adversarial weights",
    )
    parser.add_argument("--tile", type=int, help="largest side of a tile, pixels (default: as memory allows)")
    parser.add_argument(
        "--overlap", type=int, help="context at inner edges of tiles, pixels (default: 16, and 80 above 8 blocks)"
    )
    parser.add_argument(
        "--backend",
        choices=("torch", "compiled", "openvino", "openvino-int8"),
        default="torch",
        help="what computes; compiled, by torch.compile, is for many photos on a GPU; openvino (pip install -e "
        "'.[openvino]') is for CPUs, and with int8 it is faster and rounds more (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def stage(text: str) -> str | float:
    """What `--stage` may be."""
    try:
        return text if text == "auto" else parse_stage(text, text)
    except WeightsError:
        raise argparse.ArgumentTypeError(f"{text}: must be auto, psnr, gan, camera or a number from 0 to 1") from None


def run(options: argparse.Namespace) -> int:
    """Upscale, by all processes that were launched; a photo that cannot be used does not stop the rest."""
    from accelerate.utils import broadcast_object_list, gather_object
    from tqdm.auto import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from ..inference.device import best_device
    from ..inference.folder import find_targets, upscale_file
    from ..inference.processes import process_state

    state = process_state(cpu=options.backend.startswith("openvino") or best_device().type == "cpu")
    targets = find_targets(options.inputs, options.output, EXTENSIONS.get(options.format))
    wanted = [pair for pair in targets.pairs if options.overwrite or not pair[1].is_file()]
    (wanted,) = broadcast_object_list([wanted])  # one process may have begun to write before another looks
    model = parse(options.model)
    if options.stage not in (None, "auto"):
        model = model._replace(stage=options.stage)
    try:
        upscaler = make_upscaler(options, model, state.device)
        repairer = (
            make_upscaler(options, model._replace(stage="camera"), state.device) if options.stage == "auto" else None
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
                    model=model if options.provenance else None,
                    all_frames=options.all_frames,
                    progress=state.is_main_process,
                    repairer=repairer,
                    halve=options.halve,
                )
            except (OSError, MemoryError, WeightsError) as error:
                failed.append(f"{path}: {error}")
            except EsrganError as error:
                failed.append(str(error))
    failed = gather_object(failed)
    if state.is_main_process:
        report(options, targets, len(wanted), state.num_processes, failed)
    state.wait_for_everyone()  # a launcher ends all as soon as one reports a failure
    state.destroy_process_group()
    return 1 if failed or targets.problems else 0


def make_upscaler(options: argparse.Namespace, source: Source, device: "torch.device") -> "Upscaler":
    """What enlarges by a model, as the options say.

    Raises:
        ValueError: tiles are not larger than their overlap.
    """
    from ..inference.openvino import OpenVINOUpscaler
    from ..inference.upscaler import Upscaler
    from ..models.convert import load

    generator = load(str(source))
    given = {"tile": options.tile, "overlap": options.overlap, "ensemble": options.ensemble}
    if options.backend in ("torch", "compiled"):
        return Upscaler(generator, device=device, compiled=options.backend == "compiled", **given)
    return OpenVINOUpscaler(generator, int8=options.backend == "openvino-int8", **given)


def report(options: argparse.Namespace, targets: "Targets", wanted: int, processes: int, failed: Sequence[str]) -> None:
    """Say what was done, what was left out, and what failed."""
    from ..images.resize import SCALE

    done, skipped = wanted - len(failed), len(targets.pairs) - wanted
    told = f" by {processes} processes" if processes > 1 else ""
    logger.info("%d photo%s upscaled by %d to %s%s", done, "" if done == 1 else "s", SCALE, options.output, told)
    if skipped:
        logger.info("%d skipped, as they are there already; --overwrite upscales them again", skipped)
    for note in targets.notes:
        logger.info("%s", note)
    for message in (*failed, *targets.problems):
        logger.error("%s", message)

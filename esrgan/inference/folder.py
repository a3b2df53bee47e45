"""Photos by the folder: what is read, where each result goes, and each from file to file."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from .. import __version__
from ..errors import ImageError
from ..files import check_file
from ..images.animation import Animation, count_frames
from ..images.bounded import decode, open_photo
from ..images.photo import DEEP, Photo, check_target
from ..images.reading import EXTENSIONS, format_of, locked_folder, search_folder
from ..images.resize import SCALE
from ..images.xmp import Provenance
from ..models.source import Source
from .upscaler import Upscaler

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Targets:
    """What is read, and where each result goes.

    Attributes:
        pairs: photos and results, each photo once.
        notes: what is left out, and which results are named apart.
        problems: a sentence for each folder that may not be read.
    """

    pairs: list[tuple[Path, Path]]
    notes: list[str]
    problems: list[str]


def find_targets(inputs: list[Path], output: Path, extension: str | None = None) -> Targets:
    """Find photos; folders keep their structure.

    Of photos that differ in their extension alone, results keep it: `a.jpg` and `a.png` become `a.jpg.png` and
    `a.png.png`.

    Args:
        inputs: photos, and folders of photos; below a folder, the output folder is left out.
        output: a folder, or for one photo a file name.
        extension: of the results in a folder, such as `.jpg`; by default `.png`.

    Raises:
        FileError: a result cannot be written.
        ImageError: there are none, two would become one file, or results would lie among what is read.
    """
    if output.suffix.lower() in Image.registered_extensions() and not output.is_dir():
        if len(inputs) > 1 or inputs[0].is_dir():
            raise ImageError(f"{output}: a file name serves for one photo only; give a folder.")
        if extension:
            raise ImageError(f"{output}: its extension says the format; leave --format out, or give a folder.")
        found = Targets([(inputs[0], output)], [], [])
    else:
        found = _in_folder(inputs, output, extension or ".png")
    photos = {identity(path) for path, _ in found.pairs}
    for _, target in found.pairs:
        if identity(target) in photos:
            raise ImageError(f"{target}: is a photo itself, and would be lost; choose another output folder.")
        check_file(target)
    return found


def _in_folder(inputs: list[Path], output: Path, extension: str) -> Targets:
    notes: list[str] = []
    problems: list[str] = []
    results = os.path.realpath(output)
    insides: dict[str, tuple[Path, Path]] = {}  # by what it really is: a photo may be given twice
    for given in inputs:
        if os.path.realpath(given) == results:
            raise ImageError(f"{output}: is read from, and results would be read the next time; give another folder.")
        if not given.is_dir():
            insides.setdefault(os.path.realpath(given), (given, Path(given.name)))
            continue
        there = search_folder(given)
        if there.left_out:
            notes.append(f"{given}: left out {there.left_out}")
        if not there.images and not there.locked:
            raise ImageError(f"{given}: no images in this folder ({', '.join(sorted(EXTENSIONS))}).")
        problems += [locked_folder(folder) for folder in there.locked]
        within = Path(results).is_relative_to(os.path.realpath(given))
        for path in there.images:
            if not (within and Path(os.path.realpath(path)).is_relative_to(results)):
                insides.setdefault(os.path.realpath(path), (path, path.relative_to(given)))
    sharing: dict[str, list[Path]] = {}
    for path, inside in insides.values():
        sharing.setdefault(_shared(inside, extension), []).append(path)
    targets: dict[Path, Path] = {}
    for path, inside in insides.values():
        others = [other for other in sharing[_shared(inside, extension)] if other != path]
        name = Path(f"{inside}{extension}") if others else inside.with_suffix(extension)
        if other := targets.get(output / name):
            raise ImageError(f"{path} and {other} would both become {output / name}; upscale them apart.")
        targets[output / name] = path
        if others:
            notes.append(f"{path}: becomes {name.name}, as {others[0].name} is there too")
    return Targets([(path, target) for target, path in targets.items()], notes, problems)


def identity(path: Path) -> tuple[int, int] | str:
    """By which a file is known whatever it is called: on some disks `a.PNG` is `a.png`; a path where nothing is."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def _shared(inside: Path, extension: str) -> str:
    return str(inside.with_suffix(extension)).casefold()


def upscale_file(
    path: Path,
    target: Path,
    upscaler: Upscaler,
    *,
    bits: int | None = None,
    quality: int | None = None,
    exif: bool = True,
    model: Source | None = None,
    all_frames: bool = False,
    progress: bool = False,
    repairer: Upscaler | None = None,
    halve: bool = False,
) -> None:
    """Upscale a photo by 4, from file to file.

    Args:
        path: the photo.
        target: where the result goes; its extension says the format.
        upscaler: what enlarges it.
        bits: 8 or 16 a channel; by default as many as the photo has, and 8 where the format has no more.
        quality: as for `Photo.save`.
        exif: as for `Photo.save`.
        model: what enlarges it by name, for a note in XMP that it was enlarged; by default there is none. A folder's or
            file's name is noted without the path to it.
        all_frames: whether an animation, or a document of several pages, is upscaled whole, with 8 bits a channel, and
            not its first frame alone.
        progress: whether to show a bar over its tiles.
        repairer: what enlarges photos that are noisy or badly compressed instead (`Condition.damage`); the log says of
            each photo which was taken. By default nothing is measured.
        halve: whether a photo, not an animation, that was enlarged before (`Condition.is_enlarged`) is halved first.

    Raises:
        FileError: the result cannot be written there.
        ImageError: it cannot be read, or the format cannot hold the result.
    """
    check_file(target)
    count = decode(str(path), count_frames, path) if all_frames else 1
    photo = open_photo(path) if count == 1 else decode(str(path), Photo.open, path) if repairer else None
    if photo:
        photo, upscaler = choose(photo, path, upscaler, repairer, halve=halve, frames=count)
    if model and upscaler is repairer:
        model = model._replace(stage="camera")
    provenance = Provenance(f"esrgan-animals {__version__}", model.name) if model else None
    with tqdm(unit="tile", leave=False, disable=not progress) as bar:

        def upscale(photo: Photo, bits: int) -> Photo:
            bar.reset()
            for done, bar.total, pixels in upscaler.stream(photo.colour, bits):  # noqa: B007
                bar.update(done - bar.n)
            return photo.enlarged(pixels)

        if photo and count == 1:
            bits = bits or (photo.bits if format_of(target) in DEEP else 8)
            height, width = photo.colour.shape[:2]
            check_target(target, SCALE * width, SCALE * height, photo.channels, bits, quality)
            upscale(photo, bits).save(target, quality=quality, exif=exif, provenance=provenance)
            return
        animation = Animation.scan(path)
        animation.check(target, bits or 8, quality)

        def frames() -> Iterator[Photo]:
            for number, photo in enumerate(Photo.frames(path), 1):
                bar.set_description(f"frame {number} of {count}")
                yield upscale(photo, 8)

        animation.save(target, frames(), quality=quality, exif=exif, provenance=provenance)


def choose(
    photo: Photo, path: Path, upscaler: Upscaler, repairer: Upscaler | None, *, halve: bool, frames: int
) -> tuple[Photo, Upscaler]:
    """The photo, halved if it is to be and the only frame, and what enlarges it; arguments as for `upscale_file`."""
    if not (repairer or halve):
        return photo, upscaler
    condition = photo.condition()
    enlarged = condition.is_enlarged and frames == 1
    if enlarged and halve:
        photo = photo.halved()
        logger.info("%s: was enlarged before; halved first", path)
    elif enlarged:
        logger.info("%s: was enlarged before, as half its pixels a side would show the same; --halve helps", path)
    if not repairer:
        return photo, upscaler
    logger.info("%s: %s", path, f"{condition.damage}; camera stage" if condition.damage else "clean; usual stage")
    return photo, repairer if condition.damage else upscaler

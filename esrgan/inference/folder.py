"""Photos by the folder: what is read, where each result goes, and each from file to file."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from ..errors import ImageError
from ..files import check_file
from ..images.animation import Animation, count_frames
from ..images.bounded import decode, open_photo
from ..images.photo import DEEP, Photo, check_target
from ..images.reading import find_images, format_of
from ..images.resize import SCALE
from ..images.xmp import Provenance
from .upscaler import Upscaler


def find_targets(inputs: list[Path], output: Path, extension: str | None = None) -> list[tuple[Path, Path]]:
    """What is read, and where its result goes; folders keep their structure.

    Args:
        inputs: photos, and folders of photos; below a folder, the output folder is left out.
        output: a folder, or for one photo a file name.
        extension: of the results in a folder, such as `.jpg`; by default `.png`.

    Raises:
        ImageError: there are none, or two would become one file.
    """
    if output.suffix.lower() in Image.registered_extensions() and not output.is_dir():
        if len(inputs) > 1 or inputs[0].is_dir():
            raise ImageError(f"{output}: a file name serves for one photo only; give a folder.")
        if extension:
            raise ImageError(f"{output}: its extension says the format; leave --format out, or give a folder.")
        targets = {output: inputs[0]}
    else:
        targets = {}
        results = output.resolve()
        for given in inputs:
            for path in find_images(given) if given.is_dir() else [given]:
                inside = path.relative_to(given) if given.is_dir() else Path(path.name)
                if given.resolve() in results.parents and results in path.resolve().parents:
                    continue
                target = (output / inside).with_suffix(extension or ".png")
                if target in targets:
                    raise ImageError(f"{path} and {targets[target]} would both become {target}; upscale them apart.")
                targets[target] = path
    photos = {path.resolve() for path in targets.values()}
    for target in targets:
        if target.resolve() in photos:
            raise ImageError(f"{target}: is a photo itself, and would be lost; choose another output folder.")
    return [(path, target) for target, path in targets.items()]


def upscale_file(
    path: Path,
    target: Path,
    upscaler: Upscaler,
    *,
    bits: int | None = None,
    quality: int | None = None,
    exif: bool = True,
    provenance: Provenance | None = None,
    all_frames: bool = False,
    progress: bool = False,
) -> None:
    """Upscale a photo by 4, from file to file.

    Args:
        path: the photo.
        target: where the result goes; its extension says the format.
        upscaler: what enlarges it.
        bits: 8 or 16 a channel; by default as many as the photo has, and 8 where the format has no more.
        quality: as for `Photo.save`.
        exif: as for `Photo.save`.
        provenance: as for `Photo.save`.
        all_frames: whether an animation, or a document of several pages, is upscaled whole, with 8 bits a channel, and
            not its first frame alone.
        progress: whether to show a bar over its tiles.

    Raises:
        FileError: the result cannot be written there.
        ImageError: it cannot be read, or the format cannot hold the result.
    """
    check_file(target)
    with tqdm(unit="tile", leave=False, disable=not progress) as bar:

        def upscale(photo: Photo, bits: int) -> Photo:
            bar.reset()
            for done, bar.total, pixels in upscaler.stream(photo.colour, bits):  # noqa: B007
                bar.update(done - bar.n)
            return photo.enlarged(pixels)

        if all_frames and (count := decode(str(path), count_frames, path)) > 1:
            animation = Animation.scan(path)
            animation.check(target, bits or 8, quality)

            def frames() -> Iterator[Photo]:
                for number, photo in enumerate(Photo.frames(path), 1):
                    bar.set_description(f"frame {number} of {count}")
                    yield upscale(photo, 8)

            animation.save(target, frames(), quality=quality, exif=exif, provenance=provenance)
            return
        photo = open_photo(path)
        bits = bits or (photo.bits if format_of(target) in DEEP else 8)
        height, width = photo.colour.shape[:2]
        check_target(target, SCALE * width, SCALE * height, photo.channels, bits, quality)
        upscale(photo, bits).save(target, quality=quality, exif=exif, provenance=provenance)

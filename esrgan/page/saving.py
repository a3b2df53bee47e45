"""Results of *Upscale* as the files that a visitor takes away: their names and formats."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..images.photo import Photo
from ..images.resize import SCALE

ENDINGS = {"PNG": "png", "JPEG": "jpg", "WebP": "webp"}
QUALITY = 95  # of JPEG and WebP


def save(
    shown: Mapping[str, str], exact: Mapping[str, str], stem: str, how: Mapping[str, str], save_as: str
) -> dict[str, str]:
    """The paths of results in a format, which are made where they are not there yet.

    Args:
        shown: the paths of results as the page shows them, PNG, by their ways.
        exact: those of the ones that have more than is shown: more bits, transparency. PNG keeps that.
        stem: of the photo's name.
        how: the models were asked, for the names, by their ways.
        save_as: the format, of `ENDINGS`.

    Raises:
        ImageError: the format cannot hold one.
    """
    files = {}
    for way, picture in shown.items():
        name = f"{stem}-{way}-x{SCALE}" + (f"-{how[way]}" if way in how else "")
        path = Path(picture).parent / "saved" / f"{name}.{ENDINGS[save_as]}"
        path.parent.mkdir(exist_ok=True)
        try:
            os.utime(path)
        except FileNotFoundError:
            if save_as == "PNG":
                with suppress(FileExistsError):  # made meanwhile
                    os.link(exact.get(way, picture), path)
            else:
                _encode(picture, path)
        files[way] = str(path)
    return files


def _encode(picture: str, path: Path) -> None:
    with Image.open(picture) as image:
        photo = Photo(np.asarray(image.convert("RGB")))
    try:
        photo.save(path, quality=QUALITY)
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), path.name)) from error  # no folder is told of

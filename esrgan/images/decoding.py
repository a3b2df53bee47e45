"""What Pillow opens as arrays: every bit that the file has, and a colour wherever there is alpha."""

import sys

import numpy as np
from PIL import Image

from ..errors import ImageError
from .exif import TAGS, Exif, upright
from .metadata import to_srgb

# Pillow decodes 16-bit colour to its upper bytes; told the other byte order, it takes the lower ones.
OTHER_ORDER = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
STRIP = 256  # rows, even, that are computed with at once, as floats take much memory
SAMPLE_FORMATS = {2: "signed ", 3: "floating-point "}  # of TIFF
PREMULTIPLIED = {f"RGBa;16{order}": f"RGBA;16{order}" for order in "BLN"}
FULL_GREY = {"L;2": 3, "L;4": 15}  # what Pillow makes 255 of, but not where it names the transparent grey
GREY_ALPHA = {"LA;16B": ">u2", "LA;16L": "<u2", "LA;16N": "=u2"}


def raw_code(image: Image.Image) -> str:
    """How Pillow will unpack a file that is not decoded yet; empty where it says nothing, or more than one thing."""
    codes = {
        tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0] for tile in getattr(image, "tile", [])
    }
    return codes.pop() if len(codes) == 1 else ""


def decode(image: Image.Image, twin: Image.Image, code: str, exif: Exif, name: str) -> np.ndarray:
    """The pixels of a file opened twice, turned as its EXIF says: uint8 or uint16, shape (H, W, 1 to 4), alpha last.

    Args:
        image: may be decoded.
        twin: not decoded.
        code: the `raw_code` of `image`.
        exif: of the file.
        name: what to call it in messages.

    Raises:
        ImageError: values of 32 bits or with a sign, or of 16 bits in separate planes.
    """
    tags = getattr(image, "tag_v2", {})
    if image.mode in ("F", "I"):
        bits = tags.get(TAGS.BitsPerSample, (32,))[0]
        kind = SAMPLE_FORMATS.get(tags.get(TAGS.SampleFormat, (1,))[0], "")
        raise ImageError(f"{name}: has {kind}values of {bits} bits; save it with 8 or 16 bits a channel, unsigned.")
    if tags.get(TAGS.PlanarConfiguration) == 2 and tags.get(TAGS.BitsPerSample, ())[:2] == (16, 16):
        raise ImageError(f"{name}: has 16 bits a channel in separate planes; save it with interleaved channels.")
    plain = PREMULTIPLIED.get(code, code)
    if plain in OTHER_ORDER:
        upper, lower = upright(_unpack(image, plain), exif), upright(_unpack(twin, OTHER_ORDER[plain]), exif)
        pixels = np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower)
        if code in PREMULTIPLIED:
            opacity = np.maximum(pixels[..., 3], 1) / np.float32(65535)
            for channel in range(3):
                pixels[..., channel] = np.rint(np.minimum(pixels[..., channel] / opacity, 65535))
    elif code in GREY_ALPHA:  # four bytes a pixel, like RGBA
        twin._mode = "RGBA"
        pixels = np.asarray(upright(_unpack(twin, "RGBA"), exif)).view(GREY_ALPHA[code]).astype(np.uint16)
    elif image.mode.startswith("I;16"):
        pixels = np.asarray(upright(image, exif)).astype(np.uint16)[..., None]
        if tags.get(TAGS.BitsPerSample) == (12,):  # which Pillow leaves in the lower bits
            pixels = pixels << 4 | pixels >> 8
        if tags.get(TAGS.PhotometricInterpretation) == 0:  # white, which Pillow passes over
            pixels = 65535 - pixels
    else:
        if code in FULL_GREY and "transparency" in image.info:
            image.info["transparency"] *= 255 // FULL_GREY[code]
        pixels = np.asarray(_plain(upright(image, exif)))
        return pixels.reshape(*pixels.shape[:2], -1)
    if "transparency" in image.info:  # the one colour that is
        opaque = (pixels != np.array(image.info["transparency"])).any(2)
        pixels = np.dstack([pixels, np.where(opaque, 65535, 0).astype(np.uint16)])
    return pixels


def _unpack(image: Image.Image, code: str) -> Image.Image:
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=code if isinstance(tile.args, str) else (code, *tile.args[1:]))
        for tile in image.tile  # type: ignore[attr-defined]
    ]
    image.load()
    return image


def _plain(image: Image.Image) -> Image.Image:
    """An 8-bit image as L, LA, RGB or RGBA."""
    if image.mode == "CMYK":
        return to_srgb(image, image.info.get("icc_profile"))
    grey = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    return image.convert(grey + "A" if image.has_transparency_data else grey)


def spread(colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give pixels of no weight the mean colour of their surroundings, as near as there are any.

    What is stored under wholly transparent pixels is arbitrary, often black, and a network would mix it in.

    Args:
        colour: unsigned integers or floats of shape (H, W, C).
        weight: of shape (H, W), somewhere positive.

    Returns:
        Of the type of `colour`.
    """
    if weight.all():
        return colour
    height, width = weight.shape
    strips = [slice(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]
    parts = [_halved(colour[rows], weight[rows].astype(np.float32)[..., None]) for rows in strips]
    sums, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    coarse = spread(sums / np.maximum(weights, 1e-9), weights[..., 0])
    filled = colour.copy()
    for rows in strips:
        near = coarse[rows.start // 2 : (rows.stop + 1) // 2].repeat(2, 0).repeat(2, 1)
        near = near[: rows.stop - rows.start, :width]
        if filled.dtype.kind == "u":
            near = np.rint(near)
        np.copyto(filled[rows], near, where=weight[rows, :, None] == 0, casting="unsafe")
    return filled


def _halved(colour: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over squares of 2 x 2 pixels, fewer at the edge: of the weighted colours, and of the weights."""
    height, width = weight.shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    squares = ((height + 1) // 2, 2, (width + 1) // 2, 2, -1)
    colours, weights = (np.pad(a, even).reshape(squares).sum((1, 3)) for a in (colour * weight, weight))
    return colours, weights

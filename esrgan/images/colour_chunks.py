"""The colour space that a file names without a profile, as one: a PNG's chunks cICP, gAMA and cHRM, a HEIC's nclx.

Order of precedence, and what the chunks hold: Portable Network Graphics, third edition (W3C, 2025), 4.3 and 11.3.2; the
code points of cICP: ITU-T H.273. Profiles: ICC.1:2022.
"""

import struct
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..errors import ImageError

Chromaticities = tuple[float, ...]  # x and y of white, red, green and blue
Curve = tuple[float, ...]  # of ICC's parametricCurveType: the exponent, and from sRGB on a, b, c, d

D50 = (0.9642, 1.0, 0.8249)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65 = (0.3127, 0.3290)
BT709 = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PRIMARIES: dict[int, Chromaticities] = {
    1: BT709,
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
SRGB: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
VIDEO: Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
CURVES: dict[int, Curve] = {1: VIDEO, 6: VIDEO, 14: VIDEO, 15: VIDEO, 4: (2.2,), 5: (2.8,), 8: (1.0,), 13: SRGB}
UNSAID = 2  # the code point of either; sRGB is meant
TOLERANCE = 0.002  # of chromaticities and of gamma, within which an image is sRGB


def take_up_profile(image: Image.Image, name: str) -> None:
    """Give a PNG or HEIC that names a colour space other than sRGB its profile.

    Args:
        image: opened, and not decoded yet.
        name: what to call the file in messages.

    Raises:
        ImageError: the colours are of a kind that cannot be converted, such as HDR.
    """
    if icc := _profile(image, name):
        image.info["icc_profile"] = icc


def _profile(image: Image.Image, name: str) -> bytes | None:
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    if image.format == "HEIF":
        code = image.info.get("nclx_profile")
        if not code or image.info.get("icc_profile"):
            return None
        primaries, transfer = code["color_primaries"], code["transfer_characteristics"]
        return _coded(1 if primaries == UNSAID else primaries, 13 if transfer == UNSAID else transfer, grey, name)
    file: BinaryIO | None = getattr(image, "fp", None)
    if image.format != "PNG" or file is None:
        return None
    if code := _find_chunk(file, b"cICP"):
        if code[2:] != b"\0\1":
            raise _unconvertible(name, *code)
        return _coded(code[0], code[1], grey, name)
    if {"icc_profile", "srgb"} & image.info.keys() or not {"gamma", "chromaticity"} & image.info.keys():
        return None
    gamma = image.info.get("gamma", 1 / 2.2)
    curve = SRGB if abs(gamma - 1 / 2.2) < TOLERANCE or not 0.1 < gamma < 10 else (1 / gamma,)
    primaries = image.info.get("chromaticity", BT709)
    if len(primaries) != len(BT709) or np.abs(np.subtract(primaries, BT709)).max() < TOLERANCE:
        primaries = BT709
    return None if (primaries, curve) == (BT709, SRGB) else make_profile(primaries, curve, grey)


def _coded(primaries: int, transfer: int, grey: bool, name: str) -> bytes | None:
    """The profile of a colour space by its code points; None of sRGB."""
    if primaries not in PRIMARIES or transfer not in CURVES:
        raise _unconvertible(name, primaries, transfer)
    space = PRIMARIES[primaries], CURVES[transfer]
    return None if space == (BT709, SRGB) else make_profile(*space, grey)


def _unconvertible(name: str, *code: int) -> ImageError:
    return ImageError(f"{name}: its colours are HDR or video (code points {code}); save it as sRGB.")


def _find_chunk(file: BinaryIO, wanted: bytes) -> bytes | None:
    """The content of a chunk before the pixels; the file's place stays."""
    place = file.tell()
    file.seek(8)
    try:
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] == wanted:
                return file.read(min(length, 4))
            file.seek(length + 4, 1)
    finally:
        file.seek(place)
    return None


def make_profile(chromaticities: Chromaticities, curve: Curve, grey: bool) -> bytes | None:
    """An ICC profile, version 4, of three primaries or grey; None if the primaries span no colours.

    Args:
        chromaticities: x and y of white, red, green and blue.
        curve: how stored values become linear ones.
        grey: whether it is for an image of one channel.
    """
    kind = struct.pack(">HH", 3 if len(curve) > 1 else 0, 0)
    response = b"para" + bytes(4) + kind + _fixed(curve)
    text = "PNG".encode("utf-16-be")
    label = b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    tags = {b"desc": label, b"cprt": label, b"wtpt": b"XYZ " + bytes(4) + _fixed(D50)}
    if grey:
        tags[b"kTRC"] = response
    else:
        try:
            columns = _adapted_primaries(chromaticities)
        except (ArithmeticError, np.linalg.LinAlgError):
            return None
        for letter, column in zip("rgb", columns.T, strict=True):
            tags[f"{letter}XYZ".encode()] = b"XYZ " + bytes(4) + _fixed(column.tolist())
            tags[f"{letter}TRC".encode()] = response
    table, content = b"", b""
    for tag, body in tags.items():
        table += struct.pack(">4sII", tag, 132 + 12 * len(tags) + len(content), len(body))
        content += body + bytes(-len(body) % 4)
    head = struct.pack(">8xI4s4s4s12x4s28x", 0x04200000, b"mntr", b"GRAY" if grey else b"RGB ", b"XYZ ", b"acsp")
    whole = head[4:] + _fixed(D50) + bytes(48) + struct.pack(">I", len(tags)) + table + content
    return struct.pack(">I", len(whole) + 4) + whole


def _adapted_primaries(chromaticities: Chromaticities) -> np.ndarray:
    """The primaries' XYZ as columns, seen under D50 (Bradford)."""
    with np.errstate(all="raise"):
        x, y = np.reshape(chromaticities, (4, 2)).T
        white, *primaries = np.stack([x / y, np.ones(4), (1 - x - y) / y], 1)
        columns = np.transpose(primaries)
        columns = columns * np.linalg.solve(columns, white)
        gains = (BRADFORD @ D50) / (BRADFORD @ white)
        adapted = np.linalg.solve(BRADFORD, gains[:, None] * (BRADFORD @ columns))
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 100:
        raise ArithmeticError
    return adapted


def _fixed(values: Sequence[float]) -> bytes:
    """ICC's s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


# Adobe RGB (1998), which cameras name in EXIF alone.
ADOBE_RGB = make_profile((*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (563 / 256,), grey=False)

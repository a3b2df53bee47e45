"""Colour profiles (ICC): which one belongs to decoded pixels, and converting to sRGB."""

import io

from PIL import Image, ImageCms


def fitting_profile(image: Image.Image, grey: bool) -> bytes | None:
    """The colour profile of an image that is decoded to grey or RGB; None if it has none or one of another space."""
    icc = image.info.get("icc_profile")
    return icc if icc and icc[16:20] == (b"GRAY" if grey else b"RGB ") and image.mode != "LAB" else None


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert to sRGB, by its colour profile if there is one that can be used."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")

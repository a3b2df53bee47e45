"""What a photo's file says beside its pixels: the colour profile, and EXIF."""

import io

from PIL import ExifTags, Image, ImageCms

# EXIF about the photo; all else is about how the file stores it. Orientation is left out, as pixels are turned instead.
NAMES = ("Make", "Model", "Software", "HostComputer", "Artist", "Copyright", "DateTime", "ImageDescription", "Rating")
RESOLUTION = ("XResolution", "YResolution", "ResolutionUnit")
EXPLORER = ("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject")
KEPT = [ExifTags.Base[name] for name in (*NAMES, *RESOLUTION, *EXPLORER)]
SUB_BLOCKS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
DROPPED = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.IFD.Interop)


def kept_exif(image: Image.Image) -> bytes:
    """The EXIF block without orientation, size, thumbnail and storage; empty if there is none or it is damaged."""
    try:
        exif, kept = image.getexif(), Image.Exif()
        for tag in KEPT:
            if tag in exif:
                kept[tag] = exif[tag]
        for block in SUB_BLOCKS:
            if entries := {tag: value for tag, value in exif.get_ifd(block).items() if tag not in DROPPED}:
                kept[block] = entries
        return kept.tobytes() if len(kept) else b""
    except Exception:  # whatever a damaged tag makes Pillow stumble over; the pixels are sound
        return b""


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

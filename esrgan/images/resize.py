"""By how much photos are enlarged, and how Pillow shrinks and enlarges them: the two ends of the protocol."""

from PIL import Image

from ..errors import ImageError

SCALE = 4


def shrink(image: Image.Image, scale: int) -> Image.Image:
    """Reduce by Pillow's antialiased bicubic: the low resolution of the protocol."""
    return image.resize((image.width // scale, image.height // scale), Image.Resampling.BICUBIC)


def enlarge(image: Image.Image, scale: int) -> Image.Image:
    """Enlarge by Pillow's bicubic: the baseline of every table."""
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)


def crop_to_multiple(image: Image.Image, scale: int) -> Image.Image:
    """Cut the right and bottom edges so that `scale` divides both sides: the ground truth of the protocol.

    Raises:
        ImageError: a side is shorter than `scale`.
    """
    width, height = image.width - image.width % scale, image.height - image.height % scale
    if not width or not height:
        raise ImageError(f"{image.width} x {image.height} pixels: too small to be shrunk by {scale}.")
    return image.crop((0, 0, width, height))

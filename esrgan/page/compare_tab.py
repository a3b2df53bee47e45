"""The tab of the page where a photo is shrunk, and enlarged again by each model."""

from collections.abc import Iterator

import gradio as gr
from gradio.components import Component

from .controls import Answer
from .jobs import Studio, error_name
from .photo_tab import Photo, PhotoTab
from .wording import explained, tell_comparison
from .zero_gpu import on_gpu

HINT = explained(
    "Your photo is shrunk to a quarter of its width and height, and each model enlarges it again.",
    "So there is an original to measure the results by: whoever comes closer to it wins.",
)
DESCRIPTION = """Shrink a photo by 4, enlarge it again by bicubic and by each model, and measure each result against the
photo. Answers the metrics (psnr_y and psnr_rgb in dB, ssim_y, lpips) of each way and of dogs_minus_mixed, the pictures
as PNG, and the verdict in words. Detail runs from 0, the most exact pixels, to 1, the crispest texture."""
WAYS_TO_SHRINK = [("Cleanly", "bicubic"), ("With blur and noise", "camera"), ("With JPEG", "web")]


class CompareTab(PhotoTab):
    """The tab; arguments as for `PhotoTab`."""

    title, hint, description = "Compare", HINT, DESCRIPTION
    tell = staticmethod(tell_comparison)

    def __init__(self, studio: Studio, kept: gr.BrowserState) -> None:
        saved = ("original", *studio.ways, "map")
        super().__init__(
            studio,
            kept,
            on_gpu(studio.compare, studio.compared_pixels),
            self.compare,
            saved=saved,
            shown=(*saved, *map(error_name, studio.ways), "doubt"),
        )

    def add_settings(self) -> list[Component]:
        """How the photo is shrunk."""
        return [gr.Radio(WAYS_TO_SHRINK, value="bicubic", label="How it is shrunk")]

    def compare(self, photo: Photo, detail: float, degradation: str = "bicubic") -> Iterator[Answer]:
        """For programs.

        Args:
            photo: Address of the photo, or the photo itself as a data URL (data:image/jpeg;base64,…).
            detail: From 0, the most exact pixels, to 1, the crispest texture.
            degradation: How the photo is shrunk: bicubic; camera, with blur, noise and JPEG; web, with JPEG.
        """
        yield from self.told(self.answers(photo, detail, degradation))

"""The tab of the page where a photo is enlarged, or a part of it, and the results are saved."""

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from .controls import QUIET, SCROLL, Answer
from .jobs import Studio
from .models import label
from .photo_notes import CLEAN, DAMAGED, MEASURE
from .photo_tab import Photo, PhotoTab
from .results import Paths, Result
from .saving import ENDINGS, save
from .wording import explained, tell_upscale
from .zero_gpu import on_gpu

HINT = explained(
    "Your photo becomes 4 times as wide and as high, by each model.",
    """Detail that it does not show is guessed, from what the models learned of other photos. **Do not rely on it**: it
proves nothing about an individual animal, an injury or a disease.""",
)
DESCRIPTION = """Enlarge a photo by 4 by bicubic and by each model. Answers the metrics (psnr_y and psnr_rgb in dB,
ssim_y, lpips) of each result, shrunk back, against the photo, and of the two models against one another, the pictures
as PNG, and a sentence about them. Detail runs from 0, the most exact pixels, to 1, the crispest texture. Part is left,
top, right, bottom in pixels; by default all of a photo that does not take long, and else its middle."""
PART_HINT = "Which part of a large photo: left, top, right, bottom in pixels. Empty: all of it, or as much as is quick."
CONDITIONS = [("Detect", MEASURE), ("Clean", CLEAN), ("Noisy or compressed", DAMAGED)]
HALVE_HINT = "For a photo that was enlarged before: half its size holds all its detail."


class UpscaleTab(PhotoTab):
    """The tab; arguments as for `PhotoTab`."""

    title, hint, description = "Upscale", HINT, DESCRIPTION
    tell = staticmethod(tell_upscale)
    new_photo = (
        f"(photo, detail, part, condition, halve, ...rest) => ({SCROLL})(photo, detail, '', condition, false, ...rest)"
    )

    def __init__(self, studio: Studio, kept: gr.BrowserState) -> None:
        super().__init__(
            studio,
            kept,
            on_gpu(studio.upscale, studio.upscaled_pixels),
            self.upscale,
            saved=studio.ways,
            shown=(*studio.ways, "doubt"),
        )
        for chosen in self.chosen_anew:
            chosen(lambda: ("", False), None, [self.part, self.halve], **QUIET)

    def add_settings(self) -> list[Component]:
        """Which part of the photo, in which condition, is enlarged by which models."""
        self.part = gr.Textbox("", label="Part", info=PART_HINT, placeholder="0, 0, 400, 300", max_lines=1)
        condition = gr.Radio(CONDITIONS, value=MEASURE, label="Condition")
        self.halve = gr.Checkbox(False, label="Halve it first", info=HALVE_HINT)
        choices = [(label(name), name) for name in self.studio.models]
        models = gr.CheckboxGroup(choices, value=[*self.studio.models], label="Models")
        return [self.part, condition, self.halve, models]

    def add_formats(self) -> list[Component]:
        """PNG, or another of `ENDINGS`."""
        return [gr.Radio([*ENDINGS], value="PNG", label="Save as")]

    def upscale(
        self,
        photo: Photo,
        detail: float,
        part: str = "",
        condition: str = MEASURE,
        halve: bool = False,
        models: Sequence[str] = (),
        save_as: str = "PNG",
    ) -> Iterator[Answer]:
        """For programs.

        Args:
            photo: Address of the photo, or the photo itself as a data URL (data:image/jpeg;base64,…).
            detail: From 0, the most exact pixels, to 1, the crispest texture.
            part: Left, top, right, bottom in pixels; empty for all that does not take long, or the middle.
            condition: Of the photo: clean, damaged (by noise or JPEG), or measure to have it found out.
            halve: Whether to halve the photo first, as it was enlarged before.
            models: Which ones enlarge it; all by default.
            save_as: PNG, without loss, with the photo's bits and transparency; JPEG or WebP.
        """
        yield from self.told(self.answers(photo, detail, part, condition, halve, models), save_as)

    def chosen(self, settings: Sequence[Any]) -> set[str]:
        """The models that are ticked."""
        return set(settings[-1])

    def saved(self, result: Result, save_as: str = "PNG") -> Paths:
        """The files of the results that there are so far, by their ways; the format and errors are as for `save`."""
        how = {name: model.weights(result.detail, damaged=result.damaged) for name, model in self.studio.models.items()}
        return save(super().saved(result), result.files, result.stem, how, save_as)

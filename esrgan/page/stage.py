"""The stage: pictures of one size, compared under one zoom and one pan. What is seen and done is in `stage.js`."""

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypedDict

import gradio as gr
import numpy as np
from PIL import Image

from ..evaluation.metrics import luma

HERE = Path(__file__).parent
OPENING = HERE / "opening"  # written by docs/write.py
PREVIEW = OPENING / "preview.jpg"
OPENING_PHOTO, OPENING_STAGE, OPENING_FOCUS = "dog.jpg", 0.8, (588, 300)  # above its eye, which the handle would hide
QUALITY = 92  # of WebP, where a picture is inside its address
WINDOW = 160  # pixels a side of what is looked for


class Layer(TypedDict):
    """One picture: its name, what the visitor reads, its address, and whether another is still to take its place."""

    name: str
    label: str
    url: str
    pending: bool


def make_stage(value: dict[str, Any] | None = None) -> gr.HTML:
    """The component; its value is what `stage_value` gives, or None for nothing."""
    template, css, script = ((HERE / f"stage.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return gr.HTML(value, html_template=template, css_template=css, js_on_load=script, elem_classes="comparison")


def address(path: str | Path) -> str:
    """Where the page serves a file."""
    return f"gradio_api/file={path}"


def data_url(picture: Image.Image) -> str:
    """A picture inside its address, as WebP with hardly a loss."""
    file = BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"


def stage_value(
    pictures: Mapping[str, str], labels: Mapping[str, str], *, focus: tuple[int, int], left: str, right: str
) -> dict[str, Any]:
    """What the stage shows.

    Args:
        pictures: paths by name, in the order of their keys 1 to 9; all are stretched to the largest.
        labels: what the visitor reads, by name; one that is not in `pictures` is still being computed, and the left one
            is shown instead.
        focus: the place that is looked at first, pixels of the largest.
        left: the name on the left of the wipe.
        right: the name on its right, at first.
    """
    size = (0, 0)
    for path in pictures.values():
        with Image.open(path) as image:
            size = max(size, image.size)
    instead = pictures.get(left, next(iter(pictures.values())))
    layers = [
        Layer(name=name, label=label, url=address(pictures.get(name, instead)), pending=name not in pictures)
        for name, label in labels.items()
    ]
    key = f"{Path(next(iter(pictures.values()))).name} {size}"  # what is shown anew under the same is seen as before
    return {"layers": layers, "size": list(size), "focus": list(focus), "left": left, "right": right, "key": key}


def opening(labels: Mapping[str, str]) -> dict[str, Any]:
    """An example that was compared beforehand, for a page that nobody has given a photo yet."""
    pictures = {name: str(path) for name in labels if (path := OPENING / f"{name}.webp").is_file()}
    shown = {name: labels[name] for name in pictures}
    return stage_value(pictures, shown, focus=OPENING_FOCUS, left="bicubic", right="dogs")


def focus_of(image: Image.Image) -> tuple[int, int]:
    """The place to look at first: much texture, near the middle, as an animal has it, pixels (x, y).

    Edges are counted in squares of 160 pixels and weighed by a bell around the middle.
    """
    grey = luma(np.asarray(image.convert("RGB")))
    down, across = (np.abs(np.diff(grey, axis=axis, append=grey.take([-1], axis))) for axis in (0, 1))
    edges = down + across
    cells = [max(1, side // WINDOW) for side in edges.shape]
    rows, columns = (np.array_split(np.arange(side), count) for side, count in zip(edges.shape, cells, strict=True))
    places = [((y[0] + y[-1]) // 2, (x[0] + x[-1]) // 2) for y in rows for x in columns]
    textures = [np.minimum(edges[np.ix_(y, x)], 40).mean() for y in rows for x in columns]
    middle = np.subtract(places, np.array(edges.shape) / 2) / edges.shape
    weights = np.exp(-np.square(middle).sum(1) / (2 * 0.18**2))
    y, x = places[int(np.argmax(np.array(textures) * weights))]
    return int(x), int(y)

"""What a visitor takes away from a result: a card to share, a short film, a page that opens without a server."""

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from markdown_it import MarkdownIt
from PIL import Image, ImageDraw, ImageFont

from ..files import replacing
from ..images.resize import SCALE
from .jobs import Figures, Pictures
from .limits import Box, fitting
from .results import Result
from .stage import HERE, QUALITY, Layer, data_url, focus_of
from .uploads import make_folder
from .wording import spell

WIDTH, MARGIN, CELL, PANE = 1200, 32, 288, 520  # pixels of the card
INK, FAINT, PAPER, ACCENT = "#1c1917", "#57534e", "#ffffff", "#047857"
TURNS, PAUSE, TICK = 18, 900, 55  # pictures from one end of the film to the other; milliseconds
FILM = 640  # pixels a side, at most
PAGE_PIXELS = 2_000_000  # of each picture in a page
WARNING = "Enlarged 4 times by ESRGAN. Added detail is guessed, and proves nothing about an animal."


class Told(NamedTuple):
    """A result in words.

    Attributes:
        headline: what came out.
        sentence: more about it.
        rows: Markdown tables and notes.
        labels: what the page calls each picture, by its name.
        figures: what was measured.
    """

    headline: str
    sentence: str
    rows: str
    labels: Mapping[str, str]
    figures: Figures


def around(centre: tuple[int, int], size: tuple[int, int], part: tuple[int, int]) -> Box:
    """A part of that size around a place, moved inside the picture; all of a side that is no longer."""
    sides = [min(a, b) for a, b in zip(part, size, strict=True)]
    left, top = (max(0, min(c - side // 2, whole - side)) for c, side, whole in zip(centre, sides, size, strict=True))
    return left, top, left + sides[0], top + sides[1]


def captions(figures: Figures, way: str) -> str:
    """The most important metrics of one way in a line; nothing of what is no result."""
    measured = figures.get("consistency", figures).get(way, {})
    names = {"psnr_y": "PSNR-Y {} dB", "lpips": "LPIPS {}"}
    told = [
        text.format(spell(metric, measured[metric])).replace("identical dB", "identical")
        for metric, text in names.items()
        if metric in measured
    ]
    return f"Shrunk back: {told[0]}" if told and "consistency" in figures else ", ".join(told)


def draw_card(pictures: Pictures, small: Image.Image, box: Box, told: Told) -> Image.Image:
    """The whole picture, and a part of it in every way, with the numbers.

    Args:
        pictures: of one size, by name; `original` is among them where the truth is known.
        small: the photo before it was enlarged, shown where the truth is not known.
        box: left, top, right, bottom of the part, at most 96 pixels a side, multiples of 4.
        told: what is written on it.
    """
    parts = {name: picture.crop(box) for name, picture in pictures.items()}
    if "original" not in parts:
        part = small.crop((box[0] // SCALE, box[1] // SCALE, box[2] // SCALE, box[3] // SCALE))
        parts = {"small": part.resize((part.width * SCALE, part.height * SCALE), Image.Resampling.NEAREST), **parts}
    rows, down = math.ceil(len(parts) / 2), CELL + 58
    card = Image.new("RGB", (WIDTH, 2 * MARGIN + rows * down), PAPER)
    draw = ImageDraw.Draw(card)
    small_print, plain = ImageFont.load_default(17), ImageFont.load_default(19)
    top = _write(draw, told.headline, MARGIN, 34, INK)
    top = _write(draw, told.sentence.replace("**", ""), top + 8, 17, FAINT)
    bottom = card.height - MARGIN - 24 * len(_lines(WARNING, 17))
    _write(draw, WARNING, bottom, 17, FAINT)
    _draw_whole(card, draw, list(pictures.values())[-1], box, (MARGIN, top + 20, MARGIN + PANE, bottom - 20))
    zoom = max(1, CELL // max(box[2] - box[0], box[3] - box[1]))
    for i, (name, part) in enumerate(parts.items()):
        left, upper = WIDTH - MARGIN - (2 - i % 2) * CELL - (1 - i % 2) * 16, MARGIN + i // 2 * down
        card.paste(part.resize((part.width * zoom, part.height * zoom), Image.Resampling.NEAREST), (left, upper))
        draw.text((left, upper + CELL + 4), told.labels.get(name, "Your photo"), INK, plain)
        draw.text((left, upper + CELL + 28), captions(told.figures, name), FAINT, small_print)
    return card


def _lines(text: str, size: int) -> list[str]:
    return textwrap.wrap(text, int(PANE / (0.55 * size)))


def _write(draw: ImageDraw.ImageDraw, text: str, top: int, size: int, colour: str) -> int:
    """Write in the left column; where it ends."""
    height, lines = round(1.4 * size), _lines(text, size)
    for i, line in enumerate(lines):
        draw.text((MARGIN, top + i * height), line, colour, ImageFont.load_default(size))
    return top + len(lines) * height


def _draw_whole(card: Image.Image, draw: ImageDraw.ImageDraw, picture: Image.Image, box: Box, pane: Box) -> None:
    scale = min((pane[2] - pane[0]) / picture.width, (pane[3] - pane[1]) / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    card.paste(picture.resize(size, Image.Resampling.LANCZOS), pane[:2])
    frame = [pane[i % 2] + side * scale for i, side in enumerate(box)]
    for wider, colour in ((2, ACCENT), (1, "white")):
        draw.rectangle(
            [frame[0] - wider, frame[1] - wider, frame[2] + wider, frame[3] + wider], outline=colour, width=2
        )


def film(left: Image.Image, right: Image.Image, labels: tuple[str, str]) -> list[tuple[Image.Image, int]]:
    """A wipe from one picture to the other and back, to be looped: each frame and how long it is seen, milliseconds."""
    frames = []
    font = ImageFont.load_default(16)
    for turn in range(2 * TURNS):
        at = round((1 + math.cos(math.pi * turn / TURNS)) / 2 * left.width)
        frame = right.copy()
        frame.paste(left.crop((0, 0, at, left.height)))
        draw = ImageDraw.Draw(frame)
        if 0 < at < left.width:
            draw.line([(at, 0), (at, left.height)], "white", 2)
        for label, x, anchor, is_seen in (
            (labels[0], 10, "lt", at > 0),
            (labels[1], left.width - 10, "rt", at < left.width),
        ):
            if is_seen:
                around_text = draw.textbbox((x, 12), label, font, anchor=anchor)
                draw.rounded_rectangle(
                    (around_text[0] - 7, around_text[1] - 5, around_text[2] + 7, around_text[3] + 5), 9, INK
                )
                draw.text((x, 12), label, "white", font, anchor=anchor)
        frames.append((frame, PAUSE if turn % TURNS == 0 else TICK))
    return frames


def write_film(frames: Sequence[tuple[Image.Image, int]], path: Path) -> None:
    """Write it as an animated WebP that loops."""
    (first, _), *others = frames
    with replacing(path) as temporary:
        first.save(
            temporary,
            "WEBP",
            save_all=True,
            append_images=[frame for frame, _ in others],
            duration=[duration for _, duration in frames],
            loop=0,
            quality=80,
            method=2,
        )


def make_page(pictures: Pictures, right: str, told: Told) -> str:
    """HTML with the stage and the pictures inside, of which a part is taken if they have more than 2 megapixels.

    Args:
        pictures: by name, in the order in which they are shown; all are stretched to the largest.
        right: the picture on the right of the wipe, at first; `bicubic` is on the left.
        told: what is written below.
    """
    size = max(picture.size for picture in pictures.values())
    focus = focus_of(next(iter(pictures.values())))
    box = around(focus, size, fitting(size, PAGE_PIXELS))
    notes = [f"The pictures are WebP of quality {QUALITY}; on the page where they were made they are saved exactly."]
    if box != (0, 0, *size):
        notes.append(f"This is a part of pictures of {size[0]} x {size[1]} pixels.")
    layers = [
        Layer(
            name=name,
            label=told.labels[name],
            url=data_url((picture if picture.size == size else picture.resize(size)).crop(box)),
            pending=False,
        )
        for name, picture in pictures.items()
    ]
    value = {
        "layers": layers,
        "size": [box[2] - box[0], box[3] - box[1]],
        "focus": [focus[0] - box[0], focus[1] - box[1]],
        "left": "bicubic",
        "right": right,
        "key": "kept",
    }
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    parts = {kind: (HERE / f"stage.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    return Template((HERE / "keepsake.html").read_text(encoding="utf-8")).substitute(
        headline=escape(told.headline),
        told=markdown.render(f"{told.sentence}\n\n{told.rows}\n\n{' '.join(notes)} {WARNING}"),
        value=json.dumps(value).replace("<", "\\u003c"),
        **parts,
    )


KINDS = {"card": "card.png", "wipe": "wipe.webp", "page": "comparison.html"}  # and how their files' names end


def make(kind: str, result: Result, ways: Sequence[str], box: Box, told: Told) -> Path:
    """Write one of `KINDS`.

    Args:
        kind: which.
        result: what is taken away.
        ways: the names of those of its pictures that are enlarged, the last of which is what bicubic is compared with.
        box: the part that is looked at closer.
        told: what is written on it.

    Raises:
        FileNotFoundError: a picture is there no more.
    """
    paths = result.paths
    path = make_folder() / f"{result.stem}-{KINDS[kind]}"  # one result may be looked at in several ways at once
    names = [name for name in told.labels if name in paths and (kind == "page" or name in ("original", *ways))]
    pictures = {name: open_picture(paths[name]) for name in names}
    if kind == "card":
        card = draw_card(pictures, open_picture(paths["small"]), box, told)
        with replacing(path) as temporary:
            card.save(temporary, "PNG")
    elif kind == "wipe":
        size = pictures["bicubic"].size
        part = around(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2), size, (FILM, FILM))
        left, right = ways[0], ways[-1]
        labels = told.labels[left], told.labels[right]
        write_film(film(pictures[left].crop(part), pictures[right].crop(part), labels), path)
    else:
        with replacing(path) as temporary:
            temporary.write_text(make_page(pictures, ways[-1], told), encoding="utf-8")
    return path


def open_picture(path: str) -> Image.Image:
    """Its pixels, RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")

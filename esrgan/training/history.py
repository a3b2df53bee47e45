"""What a training did, step by step: `history.csv` and `curves.png`."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files import replacing

Row = dict[str, Any]

HISTORY = "history.csv"
CURVES = "curves.png"
TERMS = "terms of the losses"
ACROSS = 3  # panels at most: on a page their words can still be read
NO_TERMS = ("stage", "step", "learning_rate", "generator", "discriminator", "bicubic_psnr_y")


def read_rows(path: Path) -> list[Row]:
    """A history as it was written.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_numbers(row) for row in csv.DictReader(file, strict=True)]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(f"{path.name} is damaged ({error})") from error


def _numbers(row: dict[str, str]) -> Row:
    numbers = {key: float(value) for key, value in row.items() if value and key not in ("stage", "step")}
    return {"stage": row["stage"], "step": int(row["step"]), **numbers}


def write_rows(rows: list[Row], path: Path) -> None:
    """Write a history, with a column for everything that is in one of its rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


class History:
    """Rows of one training, kept in memory and on disk.

    A row has `stage` and `step`, and any of the losses, `learning_rate`, `validation_` and a metric's key, and
    `bicubic_psnr_y` (dB).

    Args:
        folder: where `history.csv` and `curves.png` go.
        rows: those that there are already.
    """

    def __init__(self, folder: Path, rows: Iterable[Row] = ()) -> None:
        self.folder = folder
        self.rows = list(rows)

    def add(self, row: Row) -> None:
        """Add to the row of that stage and step, or begin it."""
        if self.rows and (self.rows[-1]["stage"], self.rows[-1]["step"]) == (row["stage"], row["step"]):
            self.rows[-1].update(row)
        else:
            self.rows.append(row)

    def at(self, stage: str, step: int) -> Row:
        """What is known of a step."""
        return next((row for row in reversed(self.rows) if (row["stage"], row["step"]) == (stage, step)), {})

    def write(self) -> None:
        """Bring both files up to date."""
        write_rows(self.rows, self.folder / HISTORY)
        if self.rows:
            with replacing(self.folder / CURVES) as path:
                self._draw(path)

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        panels = self._panels()
        down = math.ceil(len(panels) / ACROSS)
        across = math.ceil(len(panels) / down)
        figure = Figure(figsize=(5 * across, 3.6 * down), layout="constrained")
        offset = max((row["step"] for row in self.rows if row["stage"] == "psnr"), default=0)
        for place, (title, rows, columns) in enumerate(panels):
            axes = figure.add_subplot(down, across, place + 1)
            for column, label in columns.items():
                points = [
                    (row["step"] + offset * (rows is self.rows and row["stage"] == "gan"), row[column])
                    for row in rows
                    if column in row
                ]
                marker = "." if rows is self.rows else None  # a first measurement makes no line yet
                axes.plot(*zip(*points, strict=True) if points else ([], []), marker=marker, label=label, linewidth=1)
            axes.set(title=title, xlabel="step")
            axes.grid(alpha=0.3)
            axes.legend()
            if title == TERMS:
                axes.set_yscale("log")
        figure.savefig(path, dpi=110, format="png")

    def _panels(self) -> list[tuple[str, list[Row], dict[str, str]]]:
        """Title, rows and labelled columns of each panel that there is something for."""
        psnr, gan = ([row for row in self.rows if row["stage"] == stage] for stage in ("psnr", "gan"))
        terms = {key: key for row in gan for key in row if key not in NO_TERMS and not key.startswith("validation_")}
        panels = [
            ("L1 stage: pixel loss", psnr, {"pixel": "L1"}),
            ("G and D loss", gan, {"generator": "G", "discriminator": "D"}),
            (TERMS, gan, terms),
            ("validation PSNR-Y, dB", self.rows, {"validation_psnr_y": "generator", "bicubic_psnr_y": "bicubic"}),
            ("validation LPIPS", self.rows, {"validation_lpips": "generator"}),
        ]
        return [panel for panel in panels if any(column in row for row in panel[1] for column in panel[2])]

"""What a training did, step by step: `history.csv` and `curves.png`."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files import replacing

Row = dict[str, Any]

HISTORY = "history.csv"


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

    A row has `stage` and `step`, and any of the losses, `learning_rate`, `validation_psnr_y`, `bicubic_psnr_y`.

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
            with replacing(self.folder / "curves.png") as path:
                self._draw(path)

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        psnr_stage = [row for row in self.rows if row["stage"] == "psnr"]
        gan_stage = [row for row in self.rows if row["stage"] == "gan"]
        panels = [("validation PSNR-Y, dB", self.rows, {"validation_psnr_y": "generator", "bicubic_psnr_y": "bicubic"})]
        if gan_stage:
            panels.insert(0, ("generator loss", gan_stage, {"generator": "G"}))
            panels.insert(0, ("G and D loss", gan_stage, {"generator": "G", "discriminator": "D"}))
        if psnr_stage:
            panels.insert(0, ("L1 stage: pixel loss", psnr_stage, {"pixel": "L1"}))
        figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
        offset = max((row["step"] for row in psnr_stage), default=0)
        for axes, (title, rows, columns) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
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
        figure.savefig(path, dpi=110, format="png")

"""What a training did, step by step: `history.csv` and `curves.png`."""

import csv
from pathlib import Path
from typing import Any

from ..files import replacing

Row = dict[str, Any]


class History:
    """Rows of one training, kept in memory and on disk.

    A row has `stage` and `step`, and any of the losses, `learning_rate`, `validation_psnr_y`, `bicubic_psnr_y`.

    Args:
        folder: where `history.csv` and `curves.png` go; rows that are there already are taken up.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Row] = []
        if (folder / "history.csv").is_file():
            with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    numbers = {
                        key: float(value) for key, value in row.items() if value and key not in ("stage", "step")
                    }
                    self.rows.append({"stage": row["stage"], "step": int(row["step"]), **numbers})

    def rewind(self, stages_before: list[str], stage: str, step: int) -> None:
        """Forget what came after a checkpoint."""
        self.rows = [
            row for row in self.rows if row["stage"] in stages_before or (row["stage"] == stage and row["step"] <= step)
        ]

    def add(self, row: Row) -> None:
        """Add to the row of that stage and step, or begin it."""
        if self.rows and (self.rows[-1]["stage"], self.rows[-1]["step"]) == (row["stage"], row["step"]):
            self.rows[-1].update(row)
        else:
            self.rows.append(row)

    def write(self) -> None:
        """Bring both files up to date."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with replacing(self.folder / "history.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
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

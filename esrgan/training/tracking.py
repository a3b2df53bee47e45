"""A tracker beside `history.csv`: curves and plates in TensorBoard, trackio or wandb, and where to see them."""

from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from huggingface_hub import constants
from PIL import Image

from ..errors import TrainingError
from .history import Row


def start_tracking(accelerator: Accelerator, tracker: str, settings: dict[str, Any]) -> None:
    """Begin a run in a tracker.

    Args:
        accelerator: made with `log_with=tracker`.
        tracker: `tensorboard`, `trackio` or `wandb`.
        settings: shown with the run.

    Raises:
        TrainingError: it is not installed.
    """
    if not accelerator.log_with:
        raise TrainingError(f"--report_to {tracker}: not installed; pip install {tracker}.")
    accelerator.init_trackers("esrgan", settings)


def track(accelerator: Accelerator, row: Row, step: int) -> None:
    """Log a row of the history.

    Args:
        accelerator: what has the tracker.
        row: the row.
        step: counted over both stages.
    """
    values = {f"{row['stage']}/{key}": value for key, value in row.items() if key not in ("stage", "step")}
    accelerator.log(values, step=step)


def track_plate(accelerator: Accelerator, plate: Path, step: int) -> None:
    """Log a picture, as `track` does a row."""
    with Image.open(plate) as image:
        pixels = np.asarray(image.convert("RGB"))[None]
    for tracker in accelerator.trackers:
        if tracker.name == "trackio":
            import trackio

            tracker.log({"plate": trackio.Image(plate)}, step=step)
        elif tracker.name == "tensorboard":
            tracker.log_images({"plate": pixels}, step=step, dataformats="NHWC")
        else:
            tracker.log_images({"plate": pixels}, step=step)


def dashboard(accelerator: Accelerator) -> str | None:
    """The address of the page that shows the run, where its tracker has put it on the web."""
    for tracker in accelerator.trackers:
        if (url := getattr(tracker.tracker, "url", None)) is not None:
            return url if "://" in url else f"{constants.ENDPOINT}/spaces/{url}"
    return None

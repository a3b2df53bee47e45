"""A training that fits into a time: its pace is measured in a stage's first steps, and sets how many there are."""

import re
import time

import psutil
import torch
from accelerate import Accelerator

WARM = 4  # first steps that are not measured: caches fill, kernels are chosen
MEASURED = {"cpu": 12}  # by which step the pace is known, by kind of device
QUICK = 50  # on any other kind
SPENT = 0.95  # part of the time that is planned with; the rest is for weights, cards and pictures

DURATION = re.compile(r"(?:([0-9]{1,4})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s?)?")


def parse_duration(text: str) -> int:
    """Seconds of a duration such as `12m`, `1h30m`, `90s` or `90`.

    Raises:
        ValueError: it is none, or nothing.
    """
    parts = DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()) if parts else (0, 0, 0)
    if not hours + minutes + seconds:
        raise ValueError(f"{text}: must be a time such as 12m, 1h30m or 90s")
    return 3600 * hours + 60 * minutes + seconds


def running_seconds() -> float:
    """How long this process has been running."""
    return time.time() - psutil.Process().create_time()


def fitting_steps(done: int, pace: float, left: float, measuring: float, measured_every: int) -> int:
    """How many steps of a stage fit into its time.

    Args:
        done: steps that are done.
        pace: seconds that a step takes.
        left: seconds that are left.
        measuring: seconds that a measurement on the validation photos takes.
        measured_every: steps between two of them; one more comes at the end.
    """
    return done + max(0, int((SPENT * left - measuring) / (pace + measuring / measured_every)))


class Pace:
    """The pace of a stage in its first steps.

    Args:
        accelerator: what computes.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.ends: list[float] = []

    @property
    def steps(self) -> int:
        """How many steps are looked at."""
        return MEASURED.get(self.accelerator.device.type, QUICK)

    def step(self) -> None:
        """A step has been done."""
        if len(self.ends) in (WARM - 1, self.steps - 1) and self.accelerator.device.type != "cpu":
            torch.accelerator.synchronize()
        self.ends.append(running_seconds())

    @property
    def seconds(self) -> float:
        """What a step takes."""
        measured = self.ends[WARM - 1 :]
        return (measured[-1] - measured[0]) / (len(measured) - 1)

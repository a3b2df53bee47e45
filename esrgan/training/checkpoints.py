"""Checkpoints: written and removed under a temporary name, so that there is never half of one."""

import json
import logging
import math
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from accelerate import Accelerator

from ..errors import TrainingError
from ..files import move_folder, read_table
from ..models.layout import WEIGHTS_NAME
from .history import HISTORY, Row, read_rows, write_rows
from .records import RECORD, Record, from_json
from .stages import STAGES

logger = logging.getLogger(__name__)

PROGRESS = "progress.json"
NAME = re.compile(f"({'|'.join(stage.name for stage in STAGES)})-([0-9]{{6,12}})")


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        stage: which it is in.
        step: how many of that stage's steps are done.
        best: the highest validation PSNR-Y of the stage in dB, or in the adversarial stage the lowest LPIPS, negated.
        best_step: when that was measured; 0 where nothing was.
    """

    stage: str
    step: int = 0
    best: float = -math.inf
    best_step: int = 0

    @property
    def folder_name(self) -> str:
        """What its checkpoint is called."""
        return f"{self.stage}-{self.step:06d}"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says of the run up to it, beside the states that accelerate keeps there.

    Attributes:
        path: its folder.
        progress: how far the run was.
        record: how it had run.
        rows: its history.
    """

    path: Path
    progress: Progress
    record: Record
    rows: list[Row]


def temporary(checkpoint: Path) -> Path:
    """Where a checkpoint is written and removed; what a crash leaves there goes when the step is saved again."""
    return checkpoint.with_name(f".{checkpoint.name}.tmp")


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint, in one move for whoever looks for checkpoints."""
    shutil.rmtree(temporary(checkpoint), ignore_errors=True)
    checkpoint.rename(temporary(checkpoint))
    shutil.rmtree(temporary(checkpoint))


def order(checkpoint: Path) -> tuple[int, int]:
    """By which checkpoints are sorted, oldest first; of a folder that is none, less than of any."""
    name = NAME.fullmatch(checkpoint.resolve().name)
    return ([stage.name for stage in STAGES].index(name[1]), int(name[2])) if name else (-1, 0)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        OSError: something of it is not there, or cannot be read.
        ValueError: something of it is damaged.
    """
    try:
        progress = from_json(Progress, read_table(path / PROGRESS))
    except ValueError as error:
        raise ValueError(f"{PROGRESS} is damaged ({error})") from error
    if not NAME.fullmatch(progress.folder_name) or path.resolve().name != progress.folder_name:
        raise ValueError(f"{PROGRESS} is of {progress.stage[:40]} step {str(progress.step)[:20]}")
    rows = read_rows(path / HISTORY)
    if not rows or (rows[-1]["stage"], rows[-1]["step"]) != (progress.stage, progress.step):
        raise ValueError(f"{HISTORY} does not end where the checkpoint is")
    return Checkpoint(path, progress, Record.load(path / RECORD), rows)


def extends(progress: Progress, recorded: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    """Whether a run is asked for a stage after its last, or one that was finished for more steps in that.

    Args:
        progress: how far it is.
        recorded: the steps that its stages had, in their order.
        wanted: those that they are to have.
    """
    stages = list(recorded)
    last = [name for name in stages if recorded[name]][-1]
    if progress.stage != last or progress.step != recorded[last] != wanted[last]:
        return False
    later = stages.index(last)
    return all(wanted[name] == recorded[name] for name in stages[:later]) and all(
        wanted[name] >= recorded[name] for name in stages[later:]
    )


class Checkpoints:
    """The checkpoints of one training.

    Args:
        run: the training's folder.
        limit: how many are kept.
    """

    def __init__(self, run: Path, limit: int = 1) -> None:
        self.folder = run / "checkpoints"
        self.limit = limit

    def all(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        found = (path.parent for path in self.folder.glob(f"*/{PROGRESS}"))
        return sorted((path for path in found if NAME.fullmatch(path.name)), key=order)

    def find(self, wanted: str | None) -> Checkpoint | None:
        """The checkpoint to resume from, if any.

        Args:
            wanted: a checkpoint's folder, the name of one of this run's, `latest`, or None to begin anew.

        Raises:
            TrainingError: it is not there or damaged; or what comes of it would mix with another run that is there.
        """
        found = self.all()
        finished = [stage.name for stage in STAGES if (self.folder.parent / stage.name / WEIGHTS_NAME).is_file()]
        if finished and not found and wanted in (None, "latest"):
            raise TrainingError(
                f"{self.folder.parent / finished[-1]}: the weights of a run without checkpoints, which a new one would "
                "replace; give another --output_dir."
            )
        if wanted is None:
            if found:
                raise TrainingError(
                    f"{found[-1]}: the output folder holds a run already; go on with --resume_from_checkpoint latest, "
                    "or give another --output_dir."
                )
            return None
        if wanted == "latest" and not found:
            logger.warning("%s: no checkpoint yet, beginning anew", self.folder)
            return None
        by_name = [path for path in found if path.name == wanted]
        path = found[-1] if wanted == "latest" else (by_name or [Path(wanted)])[0]
        try:
            checkpoint = read(path)
        except (OSError, ValueError) as error:
            raise self.refusal(path, error) from error
        if found and path.resolve().parent != self.folder.resolve():
            with suppress(OSError, ValueError):
                if any(ours != theirs for ours, theirs in zip(read(found[-1]).rows, checkpoint.rows, strict=False)):
                    raise TrainingError(
                        f"{path}: of another run than the one in {self.folder.parent}, which would be lost; give "
                        "another --output_dir."
                    )
        return checkpoint

    def refusal(self, path: Path, reason: Exception) -> TrainingError:
        """What is said of a checkpoint that cannot be resumed from, with the newest that can where there is one before.

        Args:
            path: the checkpoint's folder.
            reason: what is wrong with it.
        """
        advice = "begin anew with another --output_dir"
        for older in reversed(self.all()):
            if older.resolve() == path.resolve() or (order(path)[0] >= 0 and order(older) > order(path)):
                continue
            try:
                read(older)
            except (OSError, ValueError):
                continue
            advice = f"go on from another: --resume_from_checkpoint {older}"
            break
        told = " ".join(str(reason).split())[:300]
        return TrainingError(f"{path}: not a checkpoint folder of this program, or damaged ({told}); {advice}.")

    def forget_after(self, resumed: Path, accelerator: Accelerator) -> None:
        """Remove the checkpoints that came after the one a run goes on from."""
        if accelerator.is_main_process:
            for path in self.all():
                if order(path) > order(resumed):
                    remove(path)
        accelerator.wait_for_everyone()

    def save(self, accelerator: Accelerator, progress: Progress, record: Record, rows: list[Row]) -> None:
        """Write the state of everything that `accelerator` prepared; called by all processes."""
        target = self.folder / progress.folder_name
        written = temporary(target)
        if accelerator.is_main_process:
            shutil.rmtree(written, ignore_errors=True)
            written.mkdir(parents=True)
        accelerator.wait_for_everyone()
        try:
            accelerator.save_state(str(written))
        except Exception:  # such as a full disk, which half a checkpoint would keep full
            shutil.rmtree(written, ignore_errors=True)
            raise
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            record.save(written / RECORD)
            write_rows(rows, written / HISTORY)
            (written / PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")
            move_folder(written, target, PROGRESS)
            for old in self.all()[: -self.limit]:
                remove(old)
        accelerator.wait_for_everyone()

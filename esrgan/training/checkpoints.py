"""Checkpoints: written and removed under a temporary name, so that there is never half of one."""

import json
import logging
import shutil
from pathlib import Path
from typing import NamedTuple

from accelerate import Accelerator

from ..errors import TrainingError
from ..files import move_folder
from .stages import STAGES

logger = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far a training is: its stage, steps done in it, and the best validation PSNR-Y of the stage in dB."""

    stage: str
    step: int
    best: float


def temporary(checkpoint: Path) -> Path:
    """Where a checkpoint is written and removed; what a crash leaves there goes when the step is saved again."""
    return checkpoint.with_name(f".{checkpoint.name}.tmp")


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint, in one move for whoever looks for checkpoints."""
    shutil.rmtree(temporary(checkpoint), ignore_errors=True)
    checkpoint.rename(temporary(checkpoint))
    shutil.rmtree(temporary(checkpoint))


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: where they are.
        limit: how many are kept.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit

    def all(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        order = [stage.name for stage in STAGES]
        found = []
        for path in self.folder.glob("*-*/progress.json"):
            stage, _, step = path.parent.name.rpartition("-")
            if stage in order and step.isdigit():
                found.append((order.index(stage), int(step), path.parent))
        return [path for *_, path in sorted(found)]

    def find(self, wanted: str | None) -> tuple[Path, Progress] | None:
        """The checkpoint to resume from, if any.

        Args:
            wanted: a checkpoint's folder, `latest`, or None to begin anew.

        Raises:
            TrainingError: it is not there; or there are checkpoints and none is wanted, which a new run would mix with.
        """
        found = self.all()
        if wanted is None:
            if found:
                raise TrainingError(
                    f"{found[-1]}: the output folder holds a run already; go on with --resume_from_checkpoint latest, "
                    "or give another --output_dir."
                )
            return None
        if wanted == "latest":
            if not found:
                logger.warning("%s: no checkpoint yet, beginning anew", self.folder)
                return None
            path = found[-1]
        else:
            path = Path(wanted)
        try:
            return path, Progress(**json.loads((path / "progress.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"{path}: not a checkpoint folder of this program.") from error

    def forget_after(self, resumed: Path, accelerator: Accelerator) -> None:
        """Remove the checkpoints that came after the one a run goes on from."""
        found = [path.resolve() for path in self.all()]
        if accelerator.is_main_process and resumed.resolve() in found:
            for path in found[found.index(resumed.resolve()) + 1 :]:
                remove(path)
        accelerator.wait_for_everyone()

    def save(self, accelerator: Accelerator, progress: Progress) -> None:
        """Write the state of everything that `accelerator` prepared; called by all processes."""
        target = self.folder / f"{progress.stage}-{progress.step:06d}"
        written = temporary(target)
        if accelerator.is_main_process:
            shutil.rmtree(written, ignore_errors=True)
            written.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(written))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (written / "progress.json").write_text(json.dumps(progress._asdict()), encoding="utf-8")
            move_folder(written, target, "progress.json")
            for old in self.all()[: -self.limit]:
                remove(old)
        accelerator.wait_for_everyone()

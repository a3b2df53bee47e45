"""Publishing beside a training."""

import logging
import shlex
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from huggingface_hub.utils import disable_progress_bars

from ..errors import EsrganError, HubError
from .publish import Files, asking, gather, make_repository, publish
from .state import gather_state

logger = logging.getLogger(__name__)


class Uploads:
    """Publishes a run beside its training, an upload at a time; what goes wrong is told and stops nothing.

    Args:
        folder: the run's.
        repo_id: owner/name.
        private: whether nobody else may see it.
        licence: as for `publish`.
        state: whether with what another machine needs to go on.
    """

    def __init__(
        self, folder: Path, repo_id: str, *, private: bool = False, licence: str | None = None, state: bool = False
    ) -> None:
        self.folder = folder
        self.repo_id = repo_id
        self.private = private
        self.licence = licence
        self.state = state
        disable_progress_bars()  # the training has one
        self.pool = ThreadPoolExecutor(1, "uploads")
        self.pending: Future[None] = self.pool.submit(self._prepare)
        self.passed_over: Path | None = None

    @property
    def command(self) -> str:
        """What publishes the run from the command line."""
        words = ["python", "-m", "esrgan", "publish", str(self.folder), "--repo", self.repo_id]
        words += ["--license", self.licence] if self.licence else []
        return shlex.join([*words, *(["--private"] if self.private else [])])

    def start(self, model: Path) -> None:
        """Publish a model folder of the run as it is now, unless the upload before is still under way."""
        self.passed_over = None if self.pending.done() else model
        if self.passed_over:
            return
        try:
            files = self._gather(model)
        except (EsrganError, OSError) as error:
            self.passed_over = model
            logger.warning("%s: not published (%s); the next checkpoint will try again.", self.repo_id, error)
        else:
            self.pending = self.pool.submit(self._publish, files)

    def catch_up(self) -> None:
        """Publish what `start` has passed over last, for a run that stops before its end."""
        self.pending.result()
        if self.passed_over:
            self.start(self.passed_over)
            self.pending.result()

    def finish(self) -> str:
        """Publish the run at its end; the commit's address.

        Raises:
            HubError: that cannot be done, or is interrupted; the message has the command that does it later.
        """
        try:
            self.pending.result()
            return publish(self._gather(self.folder), self.repo_id, private=self.private, licence=self.licence)
        except (HubError, KeyboardInterrupt) as error:
            told = str(error) or f"{self.repo_id}: stopped before all was published."
            raise HubError(
                f"{told} The training is complete in {self.folder}; publish it by: {self.command}"
            ) from error

    def _gather(self, model: Path) -> Files:
        return {**gather(model), **(gather_state(self.folder) if self.state else {})}

    def _prepare(self) -> None:
        """Tell now what would go wrong at the end."""
        try:
            with asking(self.repo_id) as api:
                make_repository(api, self.repo_id, private=self.private)
        except HubError as error:
            logger.warning("%s The training goes on; its end will try again.", error)

    def _publish(self, files: Files) -> None:
        try:
            publish(files, self.repo_id, private=self.private, licence=self.licence)
        except HubError as error:
            logger.warning("%s The run's folder is as it was; the next checkpoint will try again.", error)

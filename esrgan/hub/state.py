"""What another machine needs to go on with a training: put beside the published model, and fetched from there."""

import json
import logging
import shutil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError

from ..errors import HubError
from ..files import move_folder, read_table, temporary_name
from ..training.checkpoints import Checkpoints
from ..training.model_card import public_name
from ..training.records import HIDDEN, RECORD
from .publish import Files, asking

logger = logging.getLogger(__name__)

STATE = "last-checkpoint"  # the folder in the repository, as transformers' Trainer calls it
LOOKED_BACK_AT = ("psnr", "psnr-best", "gan-best")


def gather_state(run: Path) -> Files:
    """A run's newest checkpoint, and the model folders that going on from it needs; nothing where there is none."""
    folders = [*Checkpoints(run).all()[-1:], *(run / name for name in LOOKED_BACK_AT)]
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {f"{STATE}/{path.relative_to(run).as_posix()}": _published(path) for path in paths}


def _published(path: Path) -> bytes:
    """What a file holds, but for where on this machine the start weights are."""
    if path.name == RECORD:
        record = read_table(path)
        start = record.get("init_from")
        if start and not public_name(start):
            return f"{json.dumps({**record, 'init_from': HIDDEN}, indent=2)}\n".encode()
    return path.read_bytes()


def fetch_state(repo_id: str, run: Path) -> None:
    """Bring a run's folder to where its newest published checkpoint is, if there is one.

    Args:
        repo_id: owner/name.
        run: the folder; what it has of the same names is replaced.

    Raises:
        HubError: the Hub refuses, or cannot be reached.
        OSError: it cannot be written.
    """
    try:
        with asking(repo_id) as api:
            revision = api.model_info(repo_id).sha
            there = Path(snapshot_download(repo_id, revision=revision, allow_patterns=f"{STATE}/*")) / STATE
    except HubError as error:
        cause = error.__cause__
        if isinstance(cause, RepositoryNotFoundError) and cause.response.status_code == 404:  # else it may be hidden
            return
        raise
    run.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(there).all()
    for folder in [*(there / name for name in LOOKED_BACK_AT if (there / name).is_dir()), *checkpoints]:
        place = run / folder.relative_to(there)
        place.parent.mkdir(exist_ok=True)
        copy = shutil.copytree(folder, temporary_name(place))
        shutil.rmtree(place, ignore_errors=True)
        move_folder(copy, place)
    for checkpoint in checkpoints:
        logger.info("%s: fetched checkpoint %s", repo_id, checkpoint.name)

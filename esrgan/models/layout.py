"""A model's files: what they are called, which a stage is made of, and finding them in a folder or on the Hub."""

from pathlib import Path
from typing import Any

from huggingface_hub.errors import RemoteEntryNotFoundError

from ..errors import NoSuchStage, WeightsError
from .download import fetch

BUNDLED = {folder.name: folder for folder in sorted((Path(__file__).parents[1] / "pretrained").glob("*/"))}
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
PSNR_NAME = "model.psnr.safetensors"
CAMERA_NAME = "model.camera.safetensors"
STAGES = {"psnr": PSNR_NAME, "gan": WEIGHTS_NAME, "camera": CAMERA_NAME}
FILES = (CONFIG_NAME, *STAGES.values())
NEEDED = {
    CONFIG_NAME: f"a model has {CONFIG_NAME} and {WEIGHTS_NAME}",
    WEIGHTS_NAME: f"a model has {CONFIG_NAME} and {WEIGHTS_NAME}",
    PSNR_NAME: "this model was published without the weights of its L1 stage",
    CAMERA_NAME: "this model has no weights for photos with noise, blur or JPEG",
}


def weight_names(stage: str | float | None) -> list[str]:
    """The files that a stage is made of.

    Raises:
        ValueError: it is neither a name nor in 0..1.
    """
    if isinstance(stage, float | int):
        return [PSNR_NAME, WEIGHTS_NAME]
    if (stage or "gan") not in STAGES:
        raise ValueError(f"stage {stage!r}: must be {', '.join(STAGES)} or a number from 0 to 1")
    return [STAGES[stage or "gan"]]


def model_folder(folder: Path) -> Path:
    """The folder itself, or of a training's folder that of its last stage."""
    places = (folder, *(folder / stage for stage in ("gan", "psnr")))
    return next((place for place in places if (place / CONFIG_NAME).is_file()), folder)


def find(folder: Path, names: list[str]) -> list[Path]:
    """Files of a model folder.

    Raises:
        WeightsError: one is not there; `NoSuchStage`, if only the stage is missing.
    """
    for name in names:
        if not (folder / name).is_file():
            kind = WeightsError if name in (CONFIG_NAME, WEIGHTS_NAME) else NoSuchStage
            raise kind(f"{folder}: no {name} in this folder; {NEEDED[name]}.")
    return [folder / name for name in names]


def download(repo_id: str, names: list[str], options: dict[str, Any]) -> list[Path]:
    """Files of a model on the Hub, in the cache; `options` are further arguments of `hf_hub_download`.

    Raises:
        WeightsError: as for `find`, and as for `fetch`.
    """
    files = []
    try:
        for name in names:
            files.append(fetch(repo_id, name, **options))
    except RemoteEntryNotFoundError as error:
        kind = WeightsError if name in (CONFIG_NAME, WEIGHTS_NAME) else NoSuchStage
        raise kind(
            f"{repo_id}: no {name} there; {NEEDED[name]}. Other formats are not opened, as a pickle can run code."
        ) from error
    return files

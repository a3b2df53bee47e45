"""The page on a Hugging Face Space: what has to be there, assembled from this checkout, and putting it there."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import ModelInfo, SpaceCard, SpaceHardware, SpaceInfo

from ..errors import HubError
from ..files import check_folder, replacing_folder
from ..models.generator import CONFIG_NAME, STAGES, weight_names
from ..models.source import Source, parse
from .publish import CARD_NAME, Files, asking, commit

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent.parent
ROOT = PACKAGE.parent
REQUIREMENTS = "requirements.txt"
WEIGHTS = {CONFIG_NAME, *STAGES.values()}


def look_up(models: Mapping[str, str]) -> dict[str, ModelInfo]:
    """The commit of each model, the newest one where its name has no revision.

    Raises:
        HubError: there is none, or it is no model, or not one of that stage.
    """
    found = {}
    for name, text in models.items():
        source = parse(text)
        with asking(source.place) as api:
            found[name] = api.model_info(source.place, revision=source.revision)
        needed = {CONFIG_NAME, *weight_names(source.stage)}
        missing = needed - _names(found[name])
        if missing:
            raise HubError(f"{text}: no {' and no '.join(sorted(missing))} there; publish a model to it first.")
    return found


def bundle(models: Mapping[str, ModelInfo], *, zero_gpu: bool = False) -> Files:
    """All files of the Space: page, library, requirements, and the front matter that pins the models.

    Args:
        models: what the page calls each model, and where it is.
        zero_gpu: whether for ZeroGPU in place of a CPU.

    Raises:
        HubError: the library was installed without the page.
    """
    if not (ROOT / "spaces" / CARD_NAME).is_file():
        raise HubError(f"{ROOT}: no app.py and spaces/ beside the library; run this in a checkout of the repository.")
    paths = [ROOT / "app.py", ROOT / "LICENSE"]
    paths += [path for path in sorted(PACKAGE.rglob("*")) if path.is_file() and path.parent.name != "__pycache__"]
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    requirements = _requirements(zero_gpu)
    files[REQUIREMENTS] = "".join(f"{line}\n" for line in requirements).encode()
    card = SpaceCard.load(ROOT / "spaces" / CARD_NAME)
    card.data.sdk_version = next(line.partition("==")[2] for line in requirements if line.startswith("gradio=="))
    card.data.models = [info.id for info in models.values()]
    card.data["preload_from_hub"] = [
        f"{info.id} {','.join(sorted(WEIGHTS & _names(info)))} {info.sha}"
        for info in models.values()
        if not info.private  # the build has no token
    ]
    files[CARD_NAME] = str(card).encode()
    return files


def variables(models: Mapping[str, str], infos: Mapping[str, ModelInfo]) -> dict[str, str]:
    """What tells the page which models to load: those commits, so that what was preloaded is what is used."""
    return {
        f"ESRGAN_{name.upper()}": str(Source(infos[name].id, infos[name].sha, parse(source).stage))
        for name, source in models.items()
    }


def write_bundle(folder: Path, models: Mapping[str, str], *, zero_gpu: bool = False) -> None:
    """Write the Space's files; `models` are `ID[@REVISION][:STAGE]` of the Hub.

    Raises:
        FileError: the folder is not empty, or cannot be written.
        HubError: as for `look_up` and `bundle`.
    """
    check_folder(folder)
    files = bundle(look_up(models), zero_gpu=zero_gpu)
    with replacing_folder(folder) as temporary:
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)


def deploy(space_id: str, models: Mapping[str, str], *, private: bool = False, zero_gpu: bool = False) -> str:
    """Put the page on a Space, made if it is not there; `models` are `ID[@REVISION][:STAGE]` of the Hub.

    Returns:
        The Space's address.

    Raises:
        HubError: the Hub refuses, or cannot be reached; or as for `look_up` and `bundle`.
    """
    infos = look_up(models)
    files = bundle(infos, zero_gpu=zero_gpu)
    with asking(space_id) as api:
        api.create_repo(
            space_id,
            repo_type="space",
            space_sdk="gradio",
            space_hardware=SpaceHardware.ZERO_A10G if zero_gpu else None,
            private=private or None,
            exist_ok=True,
        )
        for key, value in variables(models, infos).items():
            api.add_space_variable(space_id, key, value)
        info = api.space_info(space_id)
        gone = _names(info) - files.keys() - {".gitattributes"}
        commit(api, info, files, gone, message="Deploy the page", repo_type="space")
    if any(info.private for info in infos.values()):
        logger.warning("A model is private: give the Space a secret HF_TOKEN that may read it.")
    return f"{api.endpoint}/spaces/{space_id}"


def _names(info: ModelInfo | SpaceInfo) -> set[str]:
    return {file.rfilename for file in info.siblings or []}


def _requirements(zero_gpu: bool) -> list[str]:
    """The repository's own; for ZeroGPU with the lines that it has instead."""
    own = (ROOT / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    if not zero_gpu:
        return own
    theirs = (ROOT / "spaces" / "requirements-zerogpu.txt").read_text(encoding="utf-8").splitlines()
    replaced = {_package(line) for line in theirs}
    return theirs + [line for line in own if _package(line) not in replaced]


def _package(line: str) -> str:
    return re.split(r"[^\w.-]", line)[0]

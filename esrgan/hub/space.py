"""The page on a Hugging Face Space: what has to be there, assembled from this checkout, and putting it there."""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import ModelInfo, SpaceCard, SpaceHardware, SpaceInfo

from ..errors import HubError
from ..files import check_folder, replacing_folder
from ..models.convert import load
from ..models.layout import BUNDLED, CONFIG_NAME, FILES, model_folder, weight_names
from ..models.source import is_hub_id, parse
from ..training.model_card import CARD
from .publish import Files, asking, commit, make_repository

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent.parent
ROOT = PACKAGE.parent
REQUIREMENTS = "requirements.txt"
GRADIO = "gradio[mcp]"  # for the variable GRADIO_MCP_SERVER


def look_up(models: Mapping[str, str]) -> dict[str, ModelInfo]:
    """The commit of each model of the Hub, the newest one where its name has no revision; others are tried.

    Raises:
        HubError: there is none, or it is no model, or not one of that stage.
        WeightsError: one of this machine is not there, or does not load.
    """
    found = {}
    for name, text in models.items():
        source = parse(text)
        if source.place in BUNDLED or not is_hub_id(source.place):
            load(text)
            continue
        with asking(source.place) as api:
            found[name] = api.model_info(source.place, revision=source.revision)
        needed = {CONFIG_NAME, *weight_names(source.stage)}
        missing = needed - _names(found[name])
        if missing:
            raise HubError(f"{text}: no {' and no '.join(sorted(missing))} there; publish a model to it first.")
    return found


def sources(models: Mapping[str, str], infos: Mapping[str, ModelInfo]) -> dict[str, str]:
    """How the Space names each model: by its commit of the Hub, so that what was preloaded is what is used; or where it
    is among the Space's files.
    """
    named = {}
    for name, text in models.items():
        source = parse(text)
        if name in infos:
            source = source._replace(place=infos[name].id, revision=infos[name].sha)
        elif source.place not in BUNDLED:
            place = Path(source.place)
            within = f"/{place.name}" if place.is_file() else ""
            source = source._replace(place=f"./models/{name}{within}")
        named[name] = str(source)
    return named


def weights_of(place: Path) -> list[Path]:
    """The files of a model of this machine: of a folder, of a training's, or the one file."""
    return [place] if place.is_file() else [path for path in model_folder(place).iterdir() if path.name in FILES]


def bundle(models: Mapping[str, str], infos: Mapping[str, ModelInfo], *, zero_gpu: bool = False) -> Files:
    """All files of the Space: page, library, requirements, models of this machine, `models.json` with what each model
    is called and where it is, and the front matter that has those of the Hub preloaded.

    Args:
        models: what the page calls each model, and what names it.
        infos: as by `look_up`.
        zero_gpu: whether for ZeroGPU in place of a CPU.

    Raises:
        HubError: the library was installed without the page.
    """
    if not (ROOT / "spaces" / CARD).is_file():
        raise HubError(f"{ROOT}: no app.py and spaces/ beside the library; run this in a checkout of the repository.")
    paths = [ROOT / "app.py", ROOT / "LICENSE"]
    paths += [path for path in sorted(PACKAGE.rglob("*")) if path.is_file() and path.parent.name != "__pycache__"]
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    for name in models.keys() - infos.keys():
        place = parse(models[name]).place
        if place not in BUNDLED:
            files |= {f"models/{name}/{path.name}": path.read_bytes() for path in weights_of(Path(place))}
    files["models.json"] = f"{json.dumps(sources(models, infos), indent=2)}\n".encode()
    requirements = _requirements(zero_gpu)
    files[REQUIREMENTS] = "".join(f"{line}\n" for line in requirements).encode()
    card = SpaceCard.load(ROOT / "spaces" / CARD)
    card.data.sdk_version = next(line.partition("==")[2] for line in requirements if line.startswith(GRADIO))
    card.data.models = [info.id for info in infos.values()]
    card.data["preload_from_hub"] = [
        f"{info.id} {','.join(sorted(_names(info).intersection(FILES)))} {info.sha}"
        for info in infos.values()
        if not info.private  # the build has no token
    ]
    files[CARD] = str(card).encode()
    return files


def write_bundle(folder: Path, models: Mapping[str, str], *, zero_gpu: bool = False) -> None:
    """Write the Space's files; arguments as of `bundle`.

    Raises:
        FileError: the folder is not empty, or cannot be written.
        HubError, WeightsError: as for `look_up` and `bundle`.
    """
    check_folder(folder)
    files = bundle(models, look_up(models), zero_gpu=zero_gpu)
    with replacing_folder(folder) as temporary:
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)


def deploy(space_id: str, models: Mapping[str, str], *, private: bool = False, zero_gpu: bool = False) -> str:
    """Put the page on a Space, made if it is not there, on ZeroGPU where that is asked for, and only there.

    Args:
        space_id: owner/name.
        models: as for `bundle`.
        private: whether nobody else may see it.
        zero_gpu: as for `bundle`.

    Returns:
        The Space's address.

    Raises:
        HubError: the Hub refuses, or cannot be reached, or the Space should be private and is public.
        HubError, WeightsError: as for `look_up` and `bundle`.
    """
    infos = look_up(models)
    files = bundle(models, infos, zero_gpu=zero_gpu)
    with asking(space_id) as api:
        info = make_repository(api, space_id, private=private, repo_type="space", space_sdk="gradio")
        runtime = api.get_space_runtime(space_id)
        has_zero_gpu = (runtime.requested_hardware or runtime.hardware) == SpaceHardware.ZERO_A10G
        gone = _names(info) - files.keys() - {".gitattributes"}
        commit(api, info, files, gone, message="Deploy the page", repo_type="space")
        if zero_gpu != has_zero_gpu:
            api.request_space_hardware(space_id, SpaceHardware.ZERO_A10G if zero_gpu else SpaceHardware.CPU_BASIC)
        for name, source in sources(models, infos).items():
            api.add_space_variable(space_id, f"ESRGAN_{name.upper()}", source)
    if any(info.private for info in infos.values()):
        logger.warning("A model is private: give the Space a secret HF_TOKEN that may read it.")
    return f"{api.endpoint}/spaces/{space_id}"


def _names(info: ModelInfo | SpaceInfo) -> set[str]:
    return {file.rfilename for file in info.siblings or []}


def _requirements(zero_gpu: bool) -> list[str]:
    """The repository's own, with what AI assistants need; for ZeroGPU with the lines that it has instead."""
    own = (ROOT / REQUIREMENTS).read_text(encoding="utf-8").replace("gradio==", f"{GRADIO}==").splitlines()
    if not zero_gpu:
        return own
    theirs = (ROOT / "spaces" / "requirements-zerogpu.txt").read_text(encoding="utf-8").splitlines()
    replaced = {_package(line) for line in theirs}
    return theirs + [line for line in own if _package(line) not in replaced]


def _package(line: str) -> str:
    return re.split(r"[^\w.-]", line)[0]

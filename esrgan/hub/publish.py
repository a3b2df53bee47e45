"""Publishing: a run's model, its record and its card in one commit."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelInfo, SpaceInfo

from ..errors import HubError, WeightsError
from ..models.download import HUB_ERRORS, explain
from ..models.generator import Generator
from ..models.layout import CAMERA_NAME, CONFIG_NAME, FILES, STAGES, WEIGHTS_NAME, model_folder
from ..models.source import HUB_ID
from ..training.history import CURVES, HISTORY
from ..training.model_card import CARD, published_card
from ..training.records import RECORD
from ..training.validation import PLATE

MODEL_FILES = (CARD, *FILES, RECORD)
RUN_FILES = (HISTORY, CURVES, PLATE)

Files = dict[str, bytes]


@contextmanager
def asking(repo_id: str) -> Iterator[HfApi]:
    """The Hub, to do something with a repository; what it refuses becomes a `HubError`."""
    try:
        yield HfApi()
    except HUB_ERRORS as error:
        raise HubError(f"{repo_id}: {explain(error)}.") from error


def make_repository(
    api: HfApi, repo_id: str, *, private: bool, repo_type: str = "model", **settings: Any
) -> ModelInfo | SpaceInfo:
    """Make a repository, unless it is there.

    Args:
        api: the Hub.
        repo_id: owner/name.
        private: whether nobody else may see it.
        repo_type: `model` or `space`.
        **settings: further ones of `create_repo`, for a new repository.

    Raises:
        HubError: it has no owner, or should be private and is public.
    """
    if not HUB_ID.fullmatch(repo_id):
        raise HubError(f"{repo_id}: a Hub id is spelt owner/name.")
    api.create_repo(repo_id, repo_type=repo_type, private=private or None, exist_ok=True, **settings)
    info = api.space_info(repo_id) if repo_type == "space" else api.model_info(repo_id)
    if private and not info.private:
        raise HubError(f"{repo_id}: is public already; make it private in its settings, or do not ask for that here.")
    return info


def gather(folder: Path, camera: Path | None = None) -> Files:
    """What is published of a run: its last stage's model with card and recipe, the history, curves, a sample plate.

    Args:
        folder: a run's `--output_dir`, or one of its model folders, or any other with a model and a card.
        camera: likewise, of a run for photos with noise, blur or JPEG: its weights become the stage `camera`.

    Raises:
        WeightsError: no model is there, or one without weights or a card, or one that does not load.
        HubError: the card is no text in UTF-8.
    """
    model = model_folder(folder.resolve())
    if not (model / CONFIG_NAME).is_file():
        raise WeightsError(f"{folder}: no model in this folder; give a training's --output_dir, or a model folder.")
    if not (model / CARD).is_file():
        raise WeightsError(f"{model}: no {CARD} in this folder; a training writes one.")
    _decode((model / CARD).read_bytes(), str(model))
    stages = {
        name: Generator.from_pretrained(model, stage=name) for name, file in STAGES.items() if (model / file).is_file()
    }
    if "gan" not in stages:
        raise WeightsError(f"{model}: no {WEIGHTS_NAME} in this folder, which has a config.json; copy it there.")
    run = model.parent if model.name.removesuffix("-best") in STAGES else model
    paths = [*(model / name for name in MODEL_FILES), *(run / name for name in RUN_FILES)]
    files = {path.name: path.read_bytes() for path in paths if path.is_file()}
    if camera:
        place = model_folder(camera)
        if Generator.from_pretrained(place).config != stages["gan"].config:
            raise WeightsError(f"{place}: of another architecture than {model}; fine-tune from there (--init_from).")
        files[CAMERA_NAME] = (place / WEIGHTS_NAME).read_bytes()
    return files


def publish(
    files: Files, repo_id: str, *, private: bool = False, collection: str | None = None, licence: str | None = None
) -> str:
    """Put a model on the Hub in one commit of what changed; the repository is made if it is not there.

    Args:
        files: see `gather`; folders among them take the place of those that are there.
        repo_id: owner/name.
        private: whether nobody else may see it.
        collection: title of the owner's collection that it joins, made if it is not there.
        licence: of the weights, as the Hub calls it; by default what the Hub's card was changed to, or the card says.

    Returns:
        The commit's address.

    Raises:
        HubError: the Hub refuses, or cannot be reached, or it should be private and is public; the files there are as
            before then.
    """
    with asking(repo_id) as api:
        info = make_repository(api, repo_id, private=private)
        there = {file.rfilename for file in info.siblings or []}
        before = {
            name: Path(api.hf_hub_download(repo_id, name, revision=info.sha)).read_bytes()
            for name in there & {CARD, CONFIG_NAME}
        }
    card = published_card(
        _decode(files[CARD], "the model folder"), repo_id, _decode(before.get(CARD, b""), repo_id), files, licence
    )
    contents = {**files, CARD: card.encode()}
    folders = {name.partition("/")[0] for name in files if "/" in name}
    mine = {name for name in there if name in (*MODEL_FILES, *RUN_FILES) or name.partition("/")[0] in folders}
    if files.get(CONFIG_NAME) == before.get(CONFIG_NAME):
        mine.discard(CAMERA_NAME)  # of a training of its own, which still fits
    with asking(repo_id) as api:
        address = commit(api, info, contents, mine - contents.keys(), message="Publish a model")
        if collection:
            owner = repo_id.split("/")[0]
            slug = api.create_collection(collection, namespace=owner, private=bool(info.private), exists_ok=True).slug
            api.add_collection_item(slug, repo_id, "model", exists_ok=True)
        return address


def _decode(card: bytes, place: str) -> str:
    try:
        return card.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HubError(f"{place}: {CARD} is no text in UTF-8; save it anew as such.") from error


def commit(
    api: HfApi,
    info: ModelInfo | SpaceInfo,
    files: Files,
    gone: Collection[str],
    *,
    message: str,
    repo_type: str = "model",
) -> str:
    """Change a repository, if it is still as `info` says; the commit's address."""
    additions = [CommitOperationAdd(name, content) for name, content in files.items()]
    removals = [CommitOperationDelete(name, is_folder=False) for name in sorted(gone)]
    done = api.create_commit(
        info.id, [*additions, *removals], commit_message=message, repo_type=repo_type, parent_commit=info.sha
    )
    return done.commit_url

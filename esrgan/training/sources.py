"""Photos to train on, from folders as people have them and from the Hub: their rows, with the photos as they are."""

import glob
import logging
import os
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import datasets
import numpy as np

from ..errors import DataError
from ..images.reading import EXTENSIONS
from .species import Rows, of_species
from .splits import SPLITS, choose_split, split_of

logger = logging.getLogger(__name__)

NO_PHOTOS = {"annotations", "labels", "masks", "segmentations", "trimaps"}  # pictures about photos, by their folder
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def load_rows(
    source: str,
    *,
    is_hub_id: bool = False,
    split: str = "train",
    species: str | None = None,
    image_column: str | None = None,
    species_column: str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    streaming: bool = False,
    config_name: str | None = None,
) -> Rows:
    """Rows of a data set, with images left undecoded in the column `image`.

    Args:
        source: a folder (flat, `<species>/*.jpg`, or imagefolder with metadata), or a Hub id.
        is_hub_id: which of the two.
        split: the split to take, where there are several.
        species: keep only rows that a column or a folder calls so, in singular or plural.
        image_column: the column of the photos; by default the only one there is, or `image`.
        species_column: the column that says the species; by default whichever holds the name that is wanted.
        max_samples: pick that many at random.
        seed: decides the pick, and the order of a stream.
        streaming: read as one goes instead of downloading all first; for `Stream`.
        config_name: of a data set on the Hub that has several configurations.

    Raises:
        DataError: nothing there, or no such split, column or species.
    """
    rows = _from_hub(source, config_name, split, streaming) if is_hub_id else _from_folder(source, split, streaming)
    rows = _with_image(rows, image_column, source)
    if species:
        rows = of_species(rows, species, species_column, source)
    if isinstance(rows, datasets.IterableDataset):
        rows = rows.shuffle(seed=seed, buffer_size=1000)
        if not max_samples:
            return rows
        rows = datasets.Dataset.from_list(list(rows.take(max_samples)), features=rows.features)  # else each epoch's own
    if max_samples and max_samples > len(rows):
        logger.warning("%s: %d photos, fewer than the %d of --max_train_samples", source, len(rows), max_samples)
    elif max_samples:
        chosen = np.random.default_rng(seed).permutation(len(rows))[:max_samples]
        rows = rows.select(sorted(chosen))
    return rows


def _from_hub(source: str, config_name: str | None, split: str, streaming: bool) -> Rows:
    try:
        splits = datasets.load_dataset(source, config_name, streaming=streaming)
    except RuntimeError as error:
        if "script" not in str(error):
            raise
        raise DataError(
            f"{source}: made by a script of its own, which is not run; download the photos and give their folder as "
            "--train_data_dir."
        ) from error
    except (FileNotFoundError, ValueError) as error:
        told = " ".join(str(error).split())
        if "Config name is missing" in told or "BuilderConfig" in told:
            raise DataError(f"{source}: which part of it? {told} (--dataset_config_name)") from error
        raise DataError(f"{source}: no images found ({str(error).splitlines()[0]}).") from error
    return splits[choose_split(splits, split, source)]


def _from_folder(source: str, split: str, streaming: bool) -> Rows:
    if not Path(source).is_dir():
        raise DataError(f"{source}: no such folder.")
    root = Path(source).resolve()
    tables = sorted(path for path in root.rglob("metadata.*") if path.name in METADATA)
    for path in tables:
        _check_table(path)
    files = _data_files(root, source)
    if not files:
        raise DataError(f"{source}: no images in this folder.")
    chosen = choose_split(files, split, source)
    try:
        loaded = datasets.load_dataset(
            "imagefolder", data_files={chosen: files[chosen]}, drop_labels=True, streaming=streaming
        )
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise DataError(f"{source}: an archive in this folder is damaged ({error}); fetch it again.") from error
    except (FileNotFoundError, ValueError) as error:
        advice = f"; mend {' or '.join(map(str, tables))}, or remove it" if tables else ""
        raise DataError(f"{source}: no images found ({str(error).splitlines()[0]}){advice}.") from error
    if len(files) == 1:
        return loaded[chosen]
    rows = loaded[chosen].cast_column("image", datasets.Image(decode=False))
    return rows.filter(  # metadata above the splits bring in the photos of all
        lambda image: split_of(Path(image["path"].rpartition("::")[2]).parent, root) == chosen, input_columns="image"
    )


def _check_table(path: Path) -> None:
    """Refuse metadata that `datasets` would end with a traceback at, of a stream only halfway."""
    if path.suffix == ".parquet":
        return
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text in UTF-8; save it anew as such, or remove it.") from error
    if len(rows) < (2 if path.suffix == ".csv" else 1):
        raise DataError(f"{path}: has no rows; name the photos in it, or remove it.")


def _data_files(root: Path, source: str) -> dict[str, list[str]]:
    """For each split patterns of its files; folders are named after splits at any depth, in any case, or there is one.

    `datasets` would go by the names of files, too, and take brackets in a path for a pattern.
    """
    found: dict[str | None, list[Path]] = {}
    left_out = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        parts = [part.casefold() for part in Path(folder).relative_to(root).parts]
        suffixes = [name.casefold() for name in names if not name.startswith(".")]
        if not any(Path(name).suffix in EXTENSIONS or name.endswith(ARCHIVES) for name in suffixes):
            continue
        if NO_PHOTOS & set(parts):
            left_out.append(folder)
            continue
        found.setdefault(split_of(Path(folder), root), []).append(Path(folder))
    if left_out:
        logger.warning("%s: left out, as pictures about photos: %s", source, ", ".join(left_out))
    loose = found.pop(None, [])
    if not found:
        found = {"train": loose}
    elif loose:
        logger.warning("%s: photos outside the folders of splits are left out: %s", source, ", ".join(map(str, loose)))
    return {split: _patterns(found[split], root) for split in SPLITS if found.get(split)}


def _patterns(folders: Iterable[Path], root: Path) -> list[str]:
    """Patterns of all files in these folders, and of the metadata in those above that may speak of them."""
    folders = list(folders)
    above = {parent for folder in folders for parent in folder.parents if parent.is_relative_to(root)} - set(folders)
    metadata = [path for folder in sorted(above) for name in METADATA if (path := folder / name).is_file()]
    return [glob.escape(str(folder)) + "/*" for folder in folders] + [glob.escape(str(path)) for path in metadata]


def _with_image(rows: Rows, column: str | None, source: str) -> Rows:
    """The rows with their photos, undecoded, in the column `image`."""
    features = rows.features or {}
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    column = column or ("image" if "image" in images else images[0] if len(images) == 1 else None)
    if column not in images:
        what = f"no column {column} of images" if column else f"{len(images) or 'no'} columns of images"
        raise DataError(f"{source}: {what} among {', '.join(features) or 'none'}; name it with --image_column.")
    if column != "image":
        if "image" in features:
            rows = rows.remove_columns("image")
        rows = rows.rename_column(column, "image")
    rows = rows.cast_column("image", datasets.Image(decode=False))
    if isinstance(rows, datasets.Dataset) and not rows.data["image"].null_count:
        return rows
    return rows.filter(lambda image: image is not None, input_columns="image")

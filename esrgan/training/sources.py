"""Photos to train on, from folders as people have them and from the Hub: which split, which column, which species."""

import glob
import logging
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import numpy as np

from ..errors import DataError
from ..images.reading import EXTENSIONS

logger = logging.getLogger(__name__)

Rows: TypeAlias = "datasets.Dataset | datasets.IterableDataset"

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "validation": ("validation", "val", "valid", "dev"),
}
SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}
NO_PHOTOS = {"annotations", "labels", "masks", "segmentations", "trimaps"}  # pictures about photos, by their folder
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
LOOKED_AT = 500  # rows of a stream, for the names in its columns
NAMED = 20
FOLDERS = "folders"


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
        rows = _only(rows, species, species_column, source)
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


def species_of(rows: datasets.Dataset, column: str | None, source: str) -> list[str]:
    """The species of each row, as a column or else the folders of the photo name it; of all "" where nothing does.

    Args:
        rows: as `load_rows` gives them.
        column: the column that says it; by default one of labels, or called species, label or class.
        source: where they are from.

    Raises:
        DataError: there is no such column.
    """
    labels = [name for name, feature in rows.features.items() if isinstance(feature, datasets.ClassLabel)]
    named = [name for name in rows.features if name.casefold() in ("species", "label", "class")]
    column = column or next(iter([*labels, *named]), FOLDERS)
    if column != FOLDERS and column not in rows.features:
        raise DataError(f"{source}: no column {column}; there are {', '.join(rows.features)} (--species_column).")
    name_of = _naming(rows, column, source)
    return [" ".join(name_of(value)) for value in rows["image" if column == FOLDERS else column]]


def _choose(splits: Iterable[str], wanted: str, source: str) -> str:
    """The split that is wanted, or the only one if its name does not say that it is for something else."""
    names = list(splits)
    if wanted in names:
        return wanted
    if len(names) == 1 and names[0] not in ("test", "validation"):
        return names[0]
    raise DataError(f"{source}: no split {wanted}; there are {', '.join(names)} (--dataset_split).")


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
    except (FileNotFoundError, ValueError, datasets.exceptions.DatasetNotFoundError) as error:
        told = " ".join(str(error).split())
        if "Config name is missing" in told or "BuilderConfig" in told:
            raise DataError(f"{source}: which part of it? {told} (--dataset_config_name)") from error
        raise DataError(f"{source}: no images found ({str(error).splitlines()[0]}).") from error
    return splits[_choose(splits, split, source)]


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
    chosen = _choose(files, split, source)
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
        lambda image: _split_of(Path(image["path"].rpartition("::")[2]).parent, root) == chosen, input_columns="image"
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


def _split_of(folder: Path, root: Path) -> str | None:
    """The split that a folder is named after, or one above it."""
    parts = folder.relative_to(root).parts
    return next((SPLIT_OF[part.casefold()] for part in parts if part.casefold() in SPLIT_OF), None)


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
        found.setdefault(_split_of(Path(folder), root), []).append(Path(folder))
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


def _only(rows: Rows, species: str, column: str | None, source: str) -> Rows:
    """The rows of one species."""
    columns = _named_columns(rows, source)
    if column is not None and column not in columns:
        raise DataError(f"{source}: no column {column} of names; there are {', '.join(columns)} (--species_column).")
    if column is None:
        column = next(
            (name for name, known in columns.items() if any(is_called(value, species) for value in known)), None
        )
    known = sorted(columns[column] if column else set().union(*columns.values()))
    if not known:
        raise DataError(f"{source}: nothing says which photo shows a {species}; a column or folders of species would.")
    wanted = {value for value in known if is_called(value, species)}
    if column is None or not wanted:
        shown = ", ".join(known[:NAMED]) + (", …" if len(known) > NAMED else "")
        raise DataError(
            f"{source}: no {species} in {' or '.join([column] if column else columns)}; there are {shown}. Give one of "
            "these to --species, or another column to --species_column."
        )
    name_of = _naming(rows, column, source)
    given = "image" if column == FOLDERS else column
    return rows.filter(lambda value: not wanted.isdisjoint(name_of(value)), input_columns=given)


def _named_columns(rows: Rows, source: str) -> dict[str, set[str]]:
    """The names in each column that may say a species, and in the folders that the photos lie in."""
    features = rows.features or {}
    columns = [
        name
        for name, feature in features.items()
        if isinstance(feature, datasets.ClassLabel)
        or (isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string", "int64", "int32"))
    ]
    sample = rows if isinstance(rows, datasets.Dataset) else list(rows.take(LOOKED_AT))
    found = {}
    for name in [*columns, FOLDERS]:
        name_of = _naming(rows, name, source)
        if isinstance(features.get(name), datasets.ClassLabel):
            found[name] = set(features[name].names)
            continue
        key = "image" if name == FOLDERS else name
        values = sample[key] if isinstance(sample, datasets.Dataset) else [row[key] for row in sample]
        found[name] = {word for value in values for word in name_of(value)}
    return found if found[FOLDERS] or not columns else {name: found[name] for name in columns}


def _naming(rows: Rows, column: str, source: str) -> Callable[[Any], tuple[str, ...]]:
    """What a value of a column calls the photo; several names for a photo in folders within folders."""
    feature = (rows.features or {}).get(column)
    root = Path(source).resolve()
    if column == FOLDERS:
        return lambda image: _folders(image["path"], root)
    if isinstance(feature, datasets.ClassLabel):
        return lambda label: () if label is None or label < 0 else (feature.names[label],)
    return lambda value: () if value in (None, "") else (str(value),)


def _folders(path: str | None, root: Path) -> tuple[str, ...]:
    """Names of the folders that a photo lies in, below the source or inside an archive."""
    inside, _, archive = (path or "").removeprefix("zip://").partition("::")
    folder = Path(inside).parent
    if not archive and folder.is_absolute():
        if not folder.is_relative_to(root):
            return ()
        folder = folder.relative_to(root)
    return tuple(part for part in folder.parts if part.casefold() not in SPLIT_OF and part not in ("", "/"))


def is_called(name: str, wanted: str) -> bool:
    """Whether a name in a data set means the species: in any case, in singular or plural.

    WordNet's numbers are passed over (`n02085620-Chihuahua`), and of a path of taxa
    (`04853_Animalia_Chordata_Mammalia_Carnivora_Canidae_Canis_lupus`) any taxon or several in a row will do.
    """
    words, sought = _words(name), _words(wanted)
    if not sought:
        return False
    if "animalia" in words:
        return any(words[start : start + len(sought)] == sought for start in range(len(words)))
    return words == sought


def _words(name: str) -> list[str]:
    words = re.findall(r"\w+", re.sub(r"^(n\d{8}|\d+(?=[-_]\D))[-_]", "", name.casefold()).replace("_", " "))
    return [*words[:-1], _singular(words[-1])] if words else []


def _singular(word: str) -> str:
    for ending, instead in (("wolves", "wolf"), ("calves", "calf"), ("mice", "mouse"), ("geese", "goose")):
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    if word.endswith("ies") and len(word) > 4:
        return word.removesuffix("ies") + "y"
    if re.search(r"(ch|sh|s|x|z)es$", word):
        return word.removesuffix("es")
    return word.removesuffix("s") if len(word) > 3 and not word.endswith(("ss", "us", "is")) else word

"""Which species a photo shows, by the columns and folders of its data set, whatever these call it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import datasets

from ..errors import DataError
from .splits import SPLIT_OF

Rows: TypeAlias = "datasets.Dataset | datasets.IterableDataset"

LOOKED_AT = 500  # rows of a stream, for the names in its columns
NAMED = 20
FOLDERS = "folders"


def of_species(rows: Rows, species: str, column: str | None, source: str) -> Rows:
    """The rows of one species.

    Args:
        rows: with undecoded photos in the column `image`.
        species: its name, in singular or plural.
        column: the column that says it; by default whichever holds that name, the photos' folders among them.
        source: where the rows are from: a folder, or a Hub id.

    Raises:
        DataError: there is no such column, or no such species.
    """
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

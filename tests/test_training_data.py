"""Photos to train on as people have them: which are taken, by which split, column and name."""

import io
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from esrgan.errors import DataError
from esrgan.training import sources
from esrgan.training.datasets import Photos
from esrgan.training.duplicates import difference_hash, near_duplicates
from esrgan.training.sources import load_rows
from esrgan.training.species import _words, is_called

PHOTO = Image.open(EXAMPLES / "polar_bear.png").convert("RGB")
Make = Callable[[Iterable[str]], Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make files of these names, each of another part of the bear, below a folder."""

    def make_folder(names: Iterable[str]) -> Path:
        for index, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            PHOTO.crop((20 * index, 90, 20 * index + 40, 130)).save(path)
        return tmp_path

    return make_folder


def names(rows: Iterable[dict]) -> list[str]:
    return sorted(Path(row["image"]["path"]).name for row in rows)


@pytest.mark.parametrize("odd", ["photos [2024]", "set[12]", "my*dogs", "what?", "{a,b}", "[!a]"])
def test_a_path_is_a_path_and_no_pattern(make: Make, odd: str) -> None:
    folder = make([f"{odd}/1.png", f"{odd}/Dog [old]/2.png", "photos 2/3.png", "set1/4.png", "myotherdogs/5.png"])
    assert names(load_rows(str(folder / odd))) == ["1.png", "2.png"]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("training", "testing"),
        ("TRAIN", "Validation"),
        ("afhq/train", "afhq/test"),
        ("afhq/train/dog", "afhq/val/dog"),
        ("dogs/training", "dogs/eval"),
    ],
)
def test_photos_to_test_on_are_never_trained_on(make: Make, train: str, test: str) -> None:
    folder = make([f"{train}/1.png", f"{train}/2.png", f"{test}/3.png"])
    assert names(load_rows(str(folder))) == ["1.png", "2.png"]


def test_a_folder_with_nothing_but_test_photos_is_refused(make: Make) -> None:
    folder = make(["test/1.png", "test/2.png"])
    with pytest.raises(DataError, match="no split train; there are test "):
        load_rows(str(folder))
    assert names(load_rows(str(folder), split="test")) == ["1.png", "2.png"]


def test_loose_photos_beside_splits_are_named(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folder = make(["train/1.png", "train/2.png", "loose.png"])
    assert names(load_rows(str(folder))) == ["1.png", "2.png"]
    assert "outside the folders of splits" in caplog.text


def test_metadata_above_the_splits_still_speaks_of_their_photos(make: Make) -> None:
    folder = make(["train/1.png", "train/2.png", "test/3.png"])
    (folder / "metadata.csv").write_text("file_name,species\ntrain/1.png,dog\ntrain/2.png,cat\ntest/3.png,dog\n")
    assert names(load_rows(str(folder), species="dog")) == ["1.png"]


def test_trimaps_are_no_photos(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    pets = make(["images/Abyssinian_1.jpg", "images/pug_2.jpg", "annotations/trimaps/Abyssinian_1.png"])
    assert names(load_rows(str(pets))) == ["Abyssinian_1.jpg", "pug_2.jpg"]
    assert "trimaps" in caplog.text


def hub_set(monkeypatch: pytest.MonkeyPatch, columns: dict, features: dict, **splits: dict) -> None:
    """Let `load_dataset` give a set of these columns."""
    file = io.BytesIO()
    PHOTO.crop((0, 0, 40, 40)).save(file, "PNG")
    count = len(next(iter(columns.values())))
    image = next(name for name, feature in features.items() if isinstance(feature, ImageFeature))
    photos = [{"path": f"{index}.png", "bytes": file.getvalue()} for index in range(count)]
    rows = Dataset.from_dict({image: photos, **columns}, features=Features(features))
    monkeypatch.setattr(sources.datasets, "load_dataset", lambda *_, **__: DatasetDict({"train": rows}))


IMAGE = ImageFeature(decode=False)


@pytest.mark.parametrize(
    ("columns", "features", "species", "expected"),
    [
        (  # timm/oxford-iiit-pet
            {"label": [0, 1, 1], "label_cat_dog": [0, 1, 1]},
            {
                "image": IMAGE,
                "label": ClassLabel(names=["abyssinian", "pug"]),
                "label_cat_dog": ClassLabel(names=["cat", "dog"]),
            },
            "dog",
            ["1.png", "2.png"],
        ),
        (  # microsoft/cats_vs_dogs
            {"labels": [1, 0, 1]},
            {"image": IMAGE, "labels": ClassLabel(names=["cat", "dog"])},
            "dogs",
            ["0.png", "2.png"],
        ),
        ({"class": ["Dogs", "cats", None]}, {"img": IMAGE, "class": Value("string")}, "dog", ["0.png"]),
        ({"label": [0, 1, 0]}, {"image": IMAGE, "label": Value("int64")}, "0", ["0.png", "2.png"]),
        ({"label": [0, 1, -1]}, {"image": IMAGE, "label": ClassLabel(names=["dog", "cat"])}, "dog", ["0.png"]),
        ({"label": ["cane", "gatto", "cane"]}, {"image": IMAGE, "label": Value("string")}, "cane", ["0.png", "2.png"]),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_the_column_that_holds_the_name_is_found(
    monkeypatch: pytest.MonkeyPatch, columns: dict, features: dict, species: str, expected: list[str], streaming: bool
) -> None:
    hub_set(monkeypatch, columns, features)
    if streaming:
        loaded = sources.datasets.load_dataset()
        monkeypatch.setattr(
            sources.datasets, "load_dataset", lambda *_, **__: {"train": loaded["train"].to_iterable_dataset()}
        )
    assert names(load_rows("me/animals", is_hub_id=True, species=species, streaming=streaming)) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"species": "dog"}, "no dog in label or breed; there are 0, 1, cane, gatto"),
        ({"species": "dog", "species_column": "breed"}, "no dog in breed; there are cane, gatto. Give one of these to"),
        ({"species": "dog", "species_column": "kind"}, "no column kind of names; there are label, breed"),
        ({"image_column": "photo"}, "no column photo of images among image, label, breed; name it with --image_column"),
    ],
)
def test_what_cannot_be_known_lists_what_there_is_and_the_option(
    monkeypatch: pytest.MonkeyPatch, options: dict, said: str
) -> None:
    features = {"image": IMAGE, "label": Value("int64"), "breed": Value("string")}
    hub_set(monkeypatch, {"label": [0, 1], "breed": ["cane", "gatto"]}, features)
    with pytest.raises(DataError) as error:
        load_rows("me/animals", is_hub_id=True, **options)
    assert said in str(error.value)


def test_a_set_made_by_a_script_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found animals.py")

    monkeypatch.setattr(sources.datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=r"^me/animals: made by a script of its own, which is not run; download"):
        load_rows("me/animals", is_hub_id=True)


@pytest.mark.parametrize(
    ("name", "wanted", "same"),
    [
        ("dogs", "Dog", True),
        ("n02085620-Chihuahua", "chihuahua", True),
        ("n02085620-Chihuahua", "dog", False),
        ("04853_Animalia_Chordata_Mammalia_Carnivora_Canidae_Canis_lupus", "canis lupus", True),
        ("04853_Animalia_Chordata_Mammalia_Carnivora_Canidae_Canis_lupus", "lupus canis", False),
        ("polar_bear", "Polar bears", True),
        ("catfish", "cat", False),
        ("wolves", "wolf", True),
        ("octopus", "octopus", True),
        ("foxes", "fox", True),
        ("ponies", "pony", True),
        ("bass", "bas", False),
    ],
)
def test_names_are_compared_as_people_mean_them(name: str, wanted: str, same: bool) -> None:
    assert is_called(name, wanted) == same


@given(st.text(min_size=1))
def test_any_name_is_called_by_itself_unless_it_has_no_words(name: str) -> None:
    assert is_called(name, name) == bool(_words(name))


def test_fewer_photos_than_asked_for_is_a_warning_with_both_numbers(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make(["1.png", "2.png", "3.png"])
    assert len(load_rows(str(folder), max_samples=100)) == 3
    assert f"{folder}: 3 photos, fewer than the 100 of --max_train_samples" in caplog.text
    caplog.clear()
    assert len(load_rows(str(folder), max_samples=3)) == 3
    assert caplog.text == ""


def test_a_hash_by_hand() -> None:
    ramp = Image.fromarray(np.tile(np.arange(72, dtype=np.uint8), (72, 1)))
    assert difference_hash(ramp).tolist() == [True] * 64 + [False] * 64
    assert difference_hash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).tolist() == [False] * 128


def test_photos_that_were_saved_anew_are_known_and_others_are_not() -> None:
    photos = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.png"))]
    file = io.BytesIO()
    photos[1].resize((200, 160)).save(file, "JPEG", quality=60)
    others = [Image.open(file), PHOTO.crop((100, 50, 400, 300)), Image.new("RGB", (50, 50))]
    assert near_duplicates(map(difference_hash, photos), map(difference_hash, others)) == [(1, 0)]


def test_photos_know_their_names_and_hashes(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        photos = Photos(load_rows(str(make(["a.png", "b.png"]))), 32)
    assert [Path(name).name for name in photos.names] == ["a.png", "b.png"]
    assert len(photos.hashes) == 2


def test_rows_without_a_photo_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    hub_set(monkeypatch, {"label": ["dog", "dog", "cat"]}, {"image": IMAGE, "label": Value("string")})
    (rows,) = sources.datasets.load_dataset().values()
    content = [{**row, "image": None if row["label"] == "cat" else row["image"]} for row in rows]
    spoilt = Dataset.from_list(content, features=rows.features)
    for with_holes in (spoilt, spoilt.to_iterable_dataset()):
        loaded = {"train": with_holes}
        monkeypatch.setattr(sources.datasets, "load_dataset", lambda *_, loaded=loaded, **__: loaded)
        assert len(list(load_rows("me/animals", is_hub_id=True))) == 2


def test_a_damaged_archive_is_a_sentence(make: Make) -> None:
    animals = make(["dog/1.jpg", "dog/2.jpg"])
    (animals / "more.zip").write_bytes(b"PK\3\4 half of it")
    with pytest.raises(DataError, match=r"an archive in this folder is damaged .*; fetch it again"):
        load_rows(str(animals))


def test_of_a_set_with_several_configurations_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def load(_: str, config_name: str | None = None, **__: object) -> None:
        asked.append(config_name)
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['cats', 'dogs']")

    monkeypatch.setattr(sources.datasets, "load_dataset", load)
    for name in (None, "birds"):
        with pytest.raises(DataError, match=r"^me/animals: which part of it\? .*'cats', 'dogs'.*--dataset_config_name"):
            load_rows("me/animals", is_hub_id=True, config_name=name)
    assert asked == [None, "birds"]

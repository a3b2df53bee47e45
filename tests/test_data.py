"""Photos in every layout people have them in, and crops that depend on (seed, number) alone."""

import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, PHOTOS
from datasets import IterableDataset
from PIL import Image

from esrgan.errors import DataError
from esrgan.images.resize import shrink
from esrgan.training.crops import PairedCrops, make_loader
from esrgan.training.datasets import Pair, Photos, Stream
from esrgan.training.recipes import Esrgan
from esrgan.training.sources import load_rows

PHOTO = Image.open(EXAMPLES / "polar_bear.png").convert("RGB")
RECIPE = Esrgan(num_blocks=1, crop_size=32, train_batch_size=2, dataloader_num_workers=0, gan_steps=0)
Make = Callable[[Iterable[str]], Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a folder of photos with these names, each of another part of the bear."""

    def make_folder(names: Iterable[str]) -> Path:
        for index, name in enumerate(names):
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            PHOTO.crop((20 * index, 90, 20 * index + 72, 90 + 57)).save(path)
        return tmp_path / "photos"

    return make_folder


def names(rows: Iterable[dict]) -> list[str]:
    return [Path(row["image"]["path"]).name for row in rows]


def test_a_flat_folder_gives_its_photos(make: Make) -> None:
    folder = make(["b.png", "a.jpg", "c.webp"])
    (folder / "notes.txt").write_text("no photo")
    assert sorted(names(load_rows(str(folder)))) == ["a.jpg", "b.png", "c.webp"]


@pytest.mark.parametrize("odd", ["my-test.png", "train_1.png", "dog_dev.png"])
def test_a_file_name_that_sounds_like_a_split_loses_no_photo(make: Make, odd: str) -> None:
    assert sorted(names(load_rows(str(make(["a.png", "b.png", odd]))))) == sorted(["a.png", "b.png", odd])


def test_the_kaggle_layout_is_filtered_by_folder_name(make: Make) -> None:
    folder = make(["animals/cat/1.png", "animals/cat/2.png", "animals/Dog/3.png", "animals/Dog/4.png"])
    for source in (folder, folder / "animals"):
        assert sorted(names(load_rows(str(source)))) == ["1.png", "2.png", "3.png", "4.png"]
        assert sorted(names(load_rows(str(source), species="dog"))) == ["3.png", "4.png"]
    with pytest.raises(DataError, match=r"no unicorn in folders; there are Dog, animals, cat\."):
        load_rows(str(folder), species="unicorn")


@pytest.mark.parametrize("streaming", [False, True])
def test_folders_name_the_species_where_photos_lie_unequally_deep(make: Make, streaming: bool) -> None:
    folder = str(make(["loose.png", "Dog/1.png", "more/animals/dog/2.png", "more/cat/3.png"]))
    assert sorted(names(load_rows(folder, species="dog", streaming=streaming))) == ["1.png", "2.png"]


@pytest.mark.parametrize("streaming", [False, True])
def test_photos_inside_a_zip_are_read_where_they_are(make: Make, streaming: bool) -> None:
    photos = make(["dog/a.png", "dog/b.png"])
    expected = [np.asarray(Image.open(photos / "dog" / name)).tobytes() for name in ("a.png", "b.png")]
    packed = photos.with_name("packed")
    packed.mkdir()
    shutil.make_archive(str(packed / "photos"), "zip", photos)
    rows = load_rows(str(packed), species="dog", streaming=streaming)
    pairs = Stream(rows, 32).epoch(0) if isinstance(rows, IterableDataset) else Photos(rows, 32)
    assert sorted(pair.high[:56, :72].tobytes() for pair in pairs) == sorted(
        np.frombuffer(content, np.uint8).reshape(57, 72, 3)[:56].tobytes() for content in expected
    )


def test_the_split_of_a_folder_with_train_and_test_is_chosen(make: Make) -> None:
    folder = str(make(["train/1.png", "train/2.png", "test/3.png", "test/4.png"]))
    assert sorted(names(load_rows(folder))) == ["1.png", "2.png"]
    assert sorted(names(load_rows(folder, split="test"))) == ["3.png", "4.png"]
    with pytest.raises(DataError, match="no split dogs; there are train, test "):
        load_rows(folder, split="dogs")


def test_metadata_gives_the_species(make: Make) -> None:
    folder = make(["a.png", "b.png", "c.png", "d.png"])
    (folder / "metadata.csv").write_text("file_name,species\na.png,dog\nb.png,cat\nc.png,dog\nd.png,horse\n")
    assert names(load_rows(str(folder), species="Dog")) == ["a.png", "c.png"]
    with pytest.raises(DataError, match=r"no unicorn in species; there are cat, dog, horse\."):
        load_rows(str(folder), species="unicorn")


def test_a_species_may_be_missing_for_some_photos(make: Make) -> None:
    folder = make(["a.png", "b.png", "c.png"])
    (folder / "metadata.csv").write_text("file_name,species\na.png,dog\nb.png,\nc.png,dog\n")
    assert names(load_rows(str(folder), species="dog")) == ["a.png", "c.png"]
    with pytest.raises(DataError, match="no unicorn"):
        load_rows(str(folder), species="unicorn")


def test_a_species_of_a_flat_folder_is_an_error(make: Make) -> None:
    with pytest.raises(DataError, match="nothing says which photo shows a dog"):
        load_rows(str(make(["a.png", "b.png"])), species="dog")


def test_the_seed_decides_which_photos_are_picked(make: Make) -> None:
    folder = str(make([f"{i}.png" for i in range(10)]))
    picks = [tuple(names(load_rows(folder, max_samples=4, seed=seed))) for seed in (0, 0, 1, 2)]
    assert {len(set(pick)) for pick in picks} == {4}
    assert picks[0] == picks[1]
    assert len(set(picks)) > 1
    assert len(load_rows(folder, max_samples=99)) == 10


def test_a_streamed_pick_is_the_same_in_each_epoch(make: Make) -> None:
    rows = load_rows(str(make([f"{i}.png" for i in range(10)])), max_samples=3, seed=1, streaming=True)
    epochs = []
    for epoch in range(4):
        if isinstance(rows, IterableDataset):
            rows.set_epoch(epoch)
        epochs.append(names(rows))
    assert {len(epoch) for epoch in epochs} == {3}
    assert len(set().union(*epochs)) == 3


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("metadata.csv", b"", "has no rows"),
        ("metadata.csv", b"file_name,species\n", "has no rows"),
        ("metadata.jsonl", b"", "has no rows"),
        ("metadata.csv", b"file_name,species\na.png,h\xfcnd\n", "is no text in UTF-8"),
        ("metadata.jsonl", b'{"file_name": "a.png", "species": "h\xfcnd"}\n', "is no text in UTF-8"),
        ("metadata.csv", b'file_name,species\n"a.png,dog\n', "Error tokenizing"),
        ("metadata.csv", b"file,species\na.png,dog\n", "file_name"),
        ("metadata.jsonl", b'{"file_name": "a.p', "JSON parse error"),
        ("metadata.jsonl", b"[1]\n", "JSON parse error"),
        ("metadata.parquet", b"PAR1", "Parquet"),
    ],
)
def test_broken_metadata_are_named_in_one_sentence(
    make: Make, name: str, content: bytes, told: str, streaming: bool
) -> None:
    folder = make(["a.png", "b.png"])
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=told) as error:
        load_rows(str(folder), streaming=streaming)
    assert str(folder / name) in str(error.value)
    assert str(error.value).endswith("or remove it.")


@pytest.mark.parametrize("content", ["nothing", "text", "absent", "a file"])
def test_a_source_without_photos_is_one_sentence(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "photos"
    if content == "a file":
        folder.write_text("no folder")
    elif content != "absent":
        folder.mkdir()
        if content == "text":
            (folder / "notes.txt").write_text("no photo")
    with pytest.raises(DataError) as error:
        load_rows(str(folder))
    assert str(error.value).startswith(f"{folder}: ")
    assert "\n" not in str(error.value)


def test_unusable_photos_are_skipped_and_named_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folder = make(["good1.png", "good2.png", "small.png", "pixel.png", "torn.jpg"])
    PHOTO.crop((0, 0, 90, 31)).save(folder / "small.png")
    PHOTO.crop((0, 0, 1, 1)).save(folder / "pixel.png")
    (folder / "torn.jpg").write_bytes((folder / "torn.jpg").read_bytes()[:600])
    (folder / "text.jpg").write_text("no photo")
    empty = {"image": {"bytes": b"", "path": None}}
    with caplog.at_level(logging.INFO, "esrgan"):
        photos = Photos([*load_rows(str(folder)), empty], min_side=32)
    assert len(photos) == 2
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert message.startswith("5 skipped")
    for name in ("small.png", "pixel.png", "torn.jpg", "text.jpg", "photo 6: not an image"):
        assert message.count(name) == 1, name
    assert "good" not in message


def test_one_usable_photo_is_too_few(make: Make) -> None:
    folder = make(["good.png"])
    (folder / "text.jpg").write_text("no photo")
    with pytest.raises(DataError, match=r"^1 usable photo \(1 skipped\)"):
        Photos(load_rows(str(folder)), min_side=32)


def test_a_pair_is_the_photo_cut_to_a_multiple_of_4_and_its_quarter(make: Make) -> None:
    folder = make(["a.png", "b.png"])
    pair = Photos(load_rows(str(folder)), min_side=32)[1]
    truth = Image.open(folder / "b.png").crop((0, 0, 72, 56))
    assert np.array_equal(pair.high, np.asarray(truth))
    assert np.array_equal(pair.low, np.asarray(shrink(truth, 4)))


def test_photos_beyond_the_memory_are_decoded_again_to_the_same(make: Make) -> None:
    rows = load_rows(str(make(["a.png", "b.png", "c.png"])))
    kept, decoded = Photos(rows, 32), Photos(rows, 32, memory=20_000)  # one pair takes 12 852 bytes
    assert [pair is not None for pair in decoded.pairs] == [True, False, False]
    for index in range(3):
        assert np.array_equal(kept[index].high, decoded[index].high)
        assert np.array_equal(kept[index].low, decoded[index].low)


def test_copies_of_the_photos_that_workers_get_are_counted(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = load_rows(str(make(["a.png", "b.png", "c.png"])))
    monkeypatch.setattr("esrgan.training.datasets.psutil.virtual_memory", lambda: SimpleNamespace(available=90_000))
    for method, workers, kept in (("fork", 2, 3), ("spawn", 0, 3), ("spawn", 2, 1)):
        monkeypatch.setattr("esrgan.training.datasets.get_start_method", lambda method=method: method)
        assert sum(pair is not None for pair in Photos(rows, 32, workers=workers).pairs) == kept


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """Seven photos, told apart by a red that only their own pixels have."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(7):
        pixels = np.asarray(PHOTO.crop((0, 40 * index, 60 + 8 * index, 40 * index + 48))).copy()
        pixels[..., 0] = 20 + 30 * index
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return Photos(load_rows(str(folder)), min_side=32)


def test_a_sample_is_a_function_of_seed_and_number(photos: Photos) -> None:
    crops = PairedCrops(photos, RECIPE)
    forwards = [crops[number] for number in range(30)]
    torch.manual_seed(9)
    np.random.seed(9)  # noqa: NPY002
    again = PairedCrops(photos, RECIPE)
    for number in reversed(range(30)):
        sample = again[number]
        assert all(torch.equal(sample[key], forwards[number][key]) for key in ("low", "high", "mix")), number
    other = PairedCrops(photos, replace(RECIPE, seed=1))
    assert sum(torch.equal(other[n]["high"], forwards[n]["high"]) for n in range(30)) < 5
    assert len({float(sample["mix"]) for sample in forwards}) == 30


def test_each_photo_comes_once_an_epoch_in_another_order(photos: Photos) -> None:
    crops = PairedCrops(photos, RECIPE)
    epochs = [[int(crops[7 * epoch + i]["high"][0, 0, 0]) for i in range(7)] for epoch in range(5)]
    assert {tuple(sorted(epoch)) for epoch in epochs} == {tuple(20 + 30 * i for i in range(7))}
    assert len(set(map(tuple, epochs))) > 1


def places(photo: np.ndarray, crop: np.ndarray) -> list[tuple[int, int]]:
    """Where in the photo a crop was cut."""
    height, width, _ = crop.shape
    corners = np.argwhere((photo[: len(photo) - height + 1, : photo.shape[1] - width + 1] == crop[0, 0]).all(-1))
    return [(int(y), int(x)) for y, x in corners if np.array_equal(photo[y : y + height, x : x + width], crop)]


def test_low_is_the_same_place_as_high_under_the_same_flips(photos: Photos) -> None:
    turns: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as it is": lambda a: a,
        "flipped": lambda a: a[:, ::-1],
        "rotated": lambda a: np.rot90(a),
        "both": lambda a: np.rot90(a[:, ::-1]),
    }
    undo: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as it is": lambda a: a,
        "flipped": lambda a: a[:, ::-1],
        "rotated": lambda a: np.rot90(a, -1),
        "both": lambda a: np.rot90(a, -1)[:, ::-1],
    }
    crops = PairedCrops(photos, RECIPE)
    seen: dict[str, int] = dict.fromkeys(turns, 0)
    for number in range(40):
        sample = crops[number]
        assert (sample["low"].dtype, sample["high"].dtype) == (torch.uint8, torch.uint8)
        low, high = (sample[key].permute(1, 2, 0).numpy() for key in ("low", "high"))
        assert (low.shape, high.shape) == ((8, 8, 3), (32, 32, 3))
        pair = photos[(int(high[0, 0, 0]) - 20) // 30]
        found = [(name, place) for name in turns for place in places(pair.high, undo[name](high))]
        assert len(found) == 1
        name, (top, left) = found[0]
        seen[name] += 1
        assert top % 4 == left % 4 == 0
        assert np.array_equal(low, turns[name](pair.low[top // 4 : top // 4 + 8, left // 4 : left // 4 + 8]))
        shrunk = np.asarray(shrink(Image.fromarray(np.ascontiguousarray(high)), 4), int)
        assert np.abs(shrunk - low)[2:-2, 2:-2].max() <= 1, "the interior knows nothing of the crop's edge"
    assert min(seen.values()) >= 3, seen


@pytest.mark.parametrize("rotation", [0.0, 1.0])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_probabilities_of_0_and_1_are_never_and_always(flip: float, rotation: float) -> None:
    high = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    crops = PairedCrops([Pair(high[::4, ::4], high)], replace(RECIPE, horizontal_flip=flip, rotation=rotation))
    expected = high[:, ::-1] if flip else high
    expected = np.rot90(expected) if rotation else expected
    for number in range(5):
        assert np.array_equal(crops[number]["high"].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_starts_amid_an_epoch_gives_what_follows(photos: Photos, workers: int) -> None:
    recipe = replace(RECIPE, dataloader_num_workers=workers)
    crops = PairedCrops(photos, recipe)
    batches = list(make_loader(photos, recipe, range(10, 16), pin_memory=False))
    assert len(batches) == 3
    highs = torch.cat([batch["high"] for batch in batches])
    assert torch.equal(highs, torch.stack([crops[number]["high"] for number in range(10, 16)]))


def test_a_stream_that_starts_amid_an_epoch_gives_what_follows(make: Make) -> None:
    folder = make([f"{i}.png" for i in range(5)])
    (folder / "text.jpg").write_text("no photo")

    def batches(begin: int) -> list[torch.Tensor]:
        stream = Stream(load_rows(str(folder), seed=3, streaming=True), min_side=32)
        loader = make_loader(stream, RECIPE, range(begin, 16), pin_memory=False)
        return [batch["high"] for batch in islice(loader, 99)]

    all_of_it, rest = batches(0), batches(6)
    assert (len(all_of_it), len(rest)) == (8, 5)
    for a, b in zip(all_of_it[3:], rest, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(all_of_it[0], all_of_it[5])


def test_a_stream_without_a_usable_photo_ends_with_an_error(make: Make) -> None:
    stream = Stream(load_rows(str(make(["a.png", "b.png"])), streaming=True), min_side=64)
    with pytest.raises(DataError, match="no usable photo"):
        next(stream.epoch(0))


def test_an_imagefolder_gives_the_photos_of_the_species_its_table_says() -> None:
    assert len(load_rows(str(PHOTOS))) == 5
    assert len(load_rows(str(PHOTOS), species="cat")) == 2
    (dog,) = load_rows(str(PHOTOS), species="dog")
    assert Path(dog["image"]["path"]).name == "dog_german_shepherd.png"

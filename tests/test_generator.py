"""The generator's architecture, and every way in which weights can be right or wrong."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, as_saved, printed
from PIL import Image
from safetensors.torch import load_file, save_file

import esrgan.compat  # before spandrel imports torchvision
import esrgan.models.generator
from esrgan import Generator, Upscaler, WeightsError
from esrgan.errors import NoSuchStage
from esrgan.evaluation.metrics import compare
from esrgan.images.resize import shrink
from esrgan.models.generator import blend

TINY = {"num_blocks": 2, "num_features": 8, "growth_channels": 4}


@pytest.fixture
def tiny() -> Generator:
    torch.manual_seed(0)
    return Generator(**TINY).eval()


@pytest.fixture
def folder(tiny: Generator, tmp_path: Path) -> Path:
    tiny.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, **changes: torch.Tensor | None) -> None:
    """Replace tensors of a model folder, or remove those that are None."""
    state = load_file(folder / "model.safetensors") | {key.replace("__", "."): value for key, value in changes.items()}
    save_file({key: value for key, value in state.items() if value is not None}, folder / "model.safetensors")


def test_the_default_has_the_parameters_of_esrgan() -> None:
    with torch.device("meta"):
        generator = Generator()
    assert sum(parameter.numel() for parameter in generator.parameters()) == 16_697_987


def test_keys_are_those_of_basicsr() -> None:
    ends = ["conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    dense = [f"body.{i}.rdb{j}.conv{k}" for i in range(2) for j in (1, 2, 3) for k in (1, 2, 3, 4, 5)]
    keys = {f"{name}.{kind}" for name in ends + dense for kind in ("weight", "bias")}
    assert set(Generator(**TINY).state_dict()) == keys


def test_a_saved_folder_loads_with_weights_in_half_precision(tiny: Generator, folder: Path) -> None:
    loaded = Generator.from_pretrained(folder)
    assert not loaded.training
    for key, tensor in as_saved(tiny).items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    tiny.load_state_dict(as_saved(tiny))
    x = torch.rand(1, 3, 9, 12)
    with torch.no_grad():
        assert torch.equal(loaded(x), tiny(x))
    assert all(parameter.requires_grad and parameter.is_contiguous() for parameter in loaded.parameters())


def test_a_bias_that_half_precision_would_round_by_levels_is_kept(tmp_path: Path) -> None:
    generator = Generator(1, 8, 4).half().float().eval()
    generator.conv_last.bias.data += 300.06  # half precision has steps of a quarter there
    generator.save_pretrained(tmp_path)
    x = torch.rand(1, 3, 5, 5)
    with torch.no_grad():
        assert (255 * (Generator.from_pretrained(tmp_path)(x) - generator(x))).abs().max() < 1


def test_a_weight_beyond_half_precision_is_kept(tmp_path: Path) -> None:
    generator = Generator(1, 8, 4).half().float().eval()
    generator.conv_hr.weight.data /= 1e7
    generator.conv_last.weight.data *= 1e7
    generator.save_pretrained(tmp_path)
    assert torch.equal(Generator.from_pretrained(tmp_path).conv_last.weight, generator.conv_last.weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_finite_number_is_refused_by_name(folder: Path, value: float) -> None:
    generator = Generator.from_pretrained(folder)
    generator.conv_last.bias.data[1] = value
    generator.save_pretrained(folder)
    with pytest.raises(WeightsError, match=r"model\.safetensors: damaged, as conv_last\.bias holds"):
        Generator.from_pretrained(folder)


def test_a_file_alone_tells_its_architecture(folder: Path) -> None:
    alone, of_folder = Generator.from_pretrained(folder / "model.safetensors"), Generator.from_pretrained(folder)
    assert str(alone) == str(of_folder)
    x = torch.rand(1, 3, 5, 7)
    with torch.no_grad():
        assert torch.equal(alone(x), of_folder(x))


def test_a_config_with_a_block_more_is_refused_by_name(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(TINY | {"num_blocks": 3}))
    with pytest.raises(WeightsError, match=r"30 missing: body\.2\.rdb1\.conv1\.weight, .*…"):
        Generator.from_pretrained(folder)


def test_a_config_with_a_block_less_is_refused_by_name(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(TINY | {"num_blocks": 1}))
    with pytest.raises(WeightsError, match=r"30 unexpected: body\.1\."):
        Generator.from_pretrained(folder)


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"conv_hr__bias": None}, r"1 missing: conv_hr\.bias\.$"),
        ({"conv_extra__bias": torch.zeros(1)}, r"1 unexpected: conv_extra\.bias\.$"),
        ({"conv_last__bias": torch.zeros(4)}, r"1 of another shape: conv_last\.bias \(file \(4,\), model \(3,\)\)\.$"),
        ({"conv_first__weight": torch.zeros(8, 12, 3, 3)}, r"a x2 network; this library enlarges by 4\.$"),
        ({"conv_hr__bias": torch.zeros(8, dtype=torch.int64)}, r"1 of other numbers: conv_hr\.bias \(torch\.int64\)"),
        ({"conv_hr__bias": torch.zeros(8, dtype=torch.complex64)}, r"1 of other numbers: conv_hr\.bias"),
        ({"9" * 5000 + "\n": torch.zeros(1)}, r"1 unexpected: 9{80}…\.$"),
    ],
)
def test_a_wrong_key_or_shape_is_named(
    folder: Path, changes: dict[str, torch.Tensor | None], told: str, as_file: bool
) -> None:
    edit(folder, **changes)
    with pytest.raises(WeightsError, match=told) as error:
        Generator.from_pretrained(folder / "model.safetensors" if as_file else folder)
    assert str(folder) in str(error.value)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors: not an RRDBNet"):
        Generator.from_pretrained(tmp_path / "other.safetensors")


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    content = pickle.dumps(Bomb(tmp_path / "trace"))
    (folder / "pytorch_model.bin").write_bytes(content)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no model\.safetensors"):
        Generator.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(content)
    for source in (folder, folder / "model.safetensors", folder / "pytorch_model.bin"):
        with pytest.raises(WeightsError, match="not a readable safetensors file"):
            Generator.from_pretrained(source)
    assert not (tmp_path / "trace").exists()
    pickle.loads(content)
    assert (tmp_path / "trace").exists(), "the bomb was a dud"


TRUNCATED = {0: "is empty; download", 4: "says ", 100: "is cut off; download", -1: "is cut off; download"}


@pytest.mark.parametrize("length", TRUNCATED)
def test_a_truncated_file_is_refused(folder: Path, length: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(WeightsError, match=rf"not a readable safetensors file; it {TRUNCATED[length]}"):
        Generator.from_pretrained(folder)


def test_a_folder_without_config_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"model: no config\.json in this folder"):
        Generator.from_pretrained(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"3",
        b"",
        b"\xff\xfe{",
        b"[" * 50_000,
        b" " * 100_000 + b"{}",
        b'{"num_blocks": "two"}',
        b'{"num_blocks": 0}',
        b'{"num_blocks": true}',
        b'{"num_blocks": ' + b"9" * 5000 + b"}",
        b'{"num_blocks": ' + b"9" * 4000 + b"}",
        b'{"num_features": 8.5}',
        b'{"' + b"9" * 5000 + b'": 1}',
    ],
    ids=range(14),
)
def test_a_config_that_is_not_one_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(WeightsError, match=str(folder)) as error:
        Generator.from_pretrained(folder)
    assert len(str(error.value)) < 500
    assert "\n" not in str(error.value)


def test_a_config_builds_nothing_larger_than_its_tensors(folder: Path) -> None:
    said = printed(f"""
import json
from pathlib import Path
from esrgan import Generator, WeightsError
config = json.loads(Path({str(folder)!r}, "config.json").read_text())
before = peak()
for change in (dict(num_blocks=100), dict(num_features=4096), dict(growth_channels=4096), dict(num_blocks=10**9),
               dict(num_blocks=20, num_features=4096, growth_channels=4096), dict(num_features=10**18)):
    Path({str(folder)!r}, "config.json").write_text(json.dumps(config | change))
    try:
        Generator.from_pretrained({str(folder)!r})
    except WeightsError as error:
        print(error)
print((peak() - before) // 2**20)
""").splitlines()
    assert "2940 missing: body.2.rdb1" in said[0]  # 98 blocks of 30 tensors
    assert "of another shape: conv_first.weight (file (8, 3, 3, 3), model (4096, 3, 3, 3))" in said[1]
    assert "num_blocks = 1000000000 is not a setting of this network, which has num_blocks from 1 to 100" in said[3]
    assert "num_features = 1000000000000000000 is not" in said[5]
    assert len(said) == 7
    assert int(said[6]) < 100  # MiB; 4096 channels in 20 blocks are 550 GB


@pytest.mark.parametrize("name", ["unicorns", "no/such/folder", "./nothing", "model.safetensors", ""])
def test_a_name_that_nothing_has_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError):
        Generator.from_pretrained(name)


def test_a_bundled_name_is_not_shadowed_by_a_folder_of_photos(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(esrgan.models.generator.BUNDLED, "dogs", folder)
    (tmp_path / "here" / "dogs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert Generator.from_pretrained("dogs").config == TINY


@pytest.mark.parametrize("fails", ["write_text", "write_bytes"])
def test_a_failed_save_leaves_the_old_folder_as_it_was(
    tiny: Generator, folder: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path: Path, content: str | bytes, **_: object) -> None:
        with path.open("wb") as file:
            file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, fails, full)
    other = Generator(num_blocks=1, num_features=8, growth_channels=4)
    with pytest.raises(OSError, match="no space"):
        other.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_published_weights_load_and_upscale_a_photo(shared: Path) -> None:
    generator = Generator.from_pretrained(shared / "weights" / "realesrgan-x4plus_rrdbnet_fp16.safetensors")
    assert generator.config == {"num_blocks": 23, "num_features": 64, "growth_channels": 32}
    photo = Image.open(EXAMPLES / "cat_chelsea.png").crop((120, 60, 184, 108))
    upscaled = Upscaler(generator)(photo)
    assert upscaled.size == (256, 192)
    assert compare(shrink(upscaled, 4), photo)["psnr_y"] > 33  # measured: 34.9
    assert np.asarray(upscaled).std() > 20


def test_our_file_opens_in_spandrel_with_equal_output(tmp_path: Path) -> None:
    spandrel = pytest.importorskip("spandrel")
    Generator(num_blocks=2, num_features=16).save_pretrained(tmp_path)  # spandrel knows no growth but 32
    theirs = spandrel.ModelLoader("cpu").load_from_file(tmp_path / "model.safetensors")
    assert (theirs.architecture.name, theirs.scale) == ("ESRGAN", 4)
    ours = Generator.from_pretrained(tmp_path)
    x = torch.rand(1, 3, 16, 12)
    with torch.no_grad():
        assert torch.equal(theirs.model.float()(x), ours(x))


@pytest.fixture
def staged(tiny: Generator, tmp_path: Path) -> Path:
    """A folder whose L1 stage is `tiny`, and whose adversarial stage has twice its weights."""
    gan = Generator(**TINY)
    gan.load_state_dict({key: 2 * tensor for key, tensor in tiny.state_dict().items()})
    gan.save_pretrained(tmp_path / "staged", psnr=tiny)
    return tmp_path / "staged"


@pytest.mark.parametrize(("stage", "factor"), [(None, 2), ("gan", 2), ("psnr", 1), (0, 1), (0.25, 1.25), (1.0, 2)])
def test_the_stage_chooses_the_weights(tiny: Generator, staged: Path, stage: str | float | None, factor: float) -> None:
    loaded = Generator.from_pretrained(staged, stage=stage)
    assert not loaded.training
    for key, tensor in as_saved(tiny).items():
        torch.testing.assert_close(loaded.state_dict()[key], factor * tensor)


def test_a_folder_of_one_stage_says_that_it_has_no_other(folder: Path) -> None:
    for stage in ("psnr", 0.5):
        with pytest.raises(WeightsError, match="without the weights of its L1 stage"):
            Generator.from_pretrained(folder, stage=stage)
    with pytest.raises(WeightsError, match="one file has no stages"):
        Generator.from_pretrained(folder / "model.safetensors", stage="gan")


def test_the_camera_stage_lies_beside_the_others(tiny: Generator, staged: Path) -> None:
    with pytest.raises(NoSuchStage, match="no weights for photos with noise, blur or JPEG"):
        Generator.from_pretrained(f"{staged}:camera")
    tiny.save_pretrained(staged, camera=tiny)
    loaded = Generator.from_pretrained(f"{staged}:camera")
    for key, tensor in as_saved(tiny).items():
        torch.testing.assert_close(loaded.state_dict()[key], tensor)
    tiny.save_pretrained(staged)
    with pytest.raises(NoSuchStage):
        Generator.from_pretrained(staged, stage="camera")


def test_what_is_no_stage_is_refused(staged: Path) -> None:
    for stage in ("best", -0.1, 1.5):
        with pytest.raises(ValueError, match="from 0"):
            Generator.from_pretrained(staged, stage=stage)


def test_generators_of_different_architecture_cannot_be_blended(tiny: Generator) -> None:
    with pytest.raises(ValueError, match="different architecture"):
        blend(tiny, Generator(num_blocks=1, num_features=8, growth_channels=4), amount=0.5)


def test_a_folder_never_keeps_the_first_stage_of_other_weights(tmp_path) -> None:
    Generator(1, 8, 4).save_pretrained(tmp_path, psnr=Generator(1, 8, 4))
    Generator(1, 8, 4).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"without the weights of its L1 stage"):
        Generator.from_pretrained(tmp_path, stage="psnr")


def test_weights_are_as_readable_as_any_new_file(tmp_path) -> None:
    Generator(1, 8, 4).save_pretrained(tmp_path)
    (tmp_path / "new").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_a_trainings_folder_is_its_last_stage(tmp_path: Path) -> None:
    first, second = (Generator(num_blocks=1, num_features=8, growth_channels=4) for _ in range(2))
    first.save_pretrained(tmp_path / "psnr")
    loaded = Generator.from_pretrained(tmp_path)
    assert all(torch.equal(loaded.state_dict()[key], tensor) for key, tensor in as_saved(first).items())
    second.save_pretrained(tmp_path / "gan", psnr=first)
    for stage, expected in ((None, second), ("psnr", first)):
        loaded = Generator.from_pretrained(tmp_path, stage=stage)
        assert all(torch.equal(loaded.state_dict()[key], tensor) for key, tensor in as_saved(expected).items())

"""The generator: RRDBNet x4 (ESRGAN, arXiv:1809.00219, section 3.1), loaded strictly from safetensors."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from .files import replacing

SCALE = 4
BUNDLED = {folder.name: folder for folder in sorted((Path(__file__).parent / "pretrained").glob("*/"))}
WEIGHTS_NAME = "model.safetensors"


class WeightsError(ValueError):
    """A weight file that is missing, damaged or made for another architecture; the message says which and why."""


class ResidualDenseBlock(nn.Module):
    """Five densely connected 3x3 convolutions, their output scaled by 0.2 (ESRGAN figure 4)."""

    def __init__(self, num_features: int, growth_channels: int) -> None:
        super().__init__()
        widths = [num_features + i * growth_channels for i in range(5)]
        self.conv1 = nn.Conv2d(widths[0], growth_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(widths[1], growth_channels, 3, padding=1)
        self.conv3 = nn.Conv2d(widths[2], growth_channels, 3, padding=1)
        self.conv4 = nn.Conv2d(widths[3], growth_channels, 3, padding=1)
        self.conv5 = nn.Conv2d(widths[4], num_features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            features = torch.cat((features, F.leaky_relu(conv(features), 0.2)), 1)
        return x + 0.2 * self.conv5(features)


class RRDB(nn.Module):
    """Residual-in-residual dense block: three dense blocks in a residual of their own."""

    def __init__(self, num_features: int, growth_channels: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(num_features, growth_channels)
        self.rdb2 = ResidualDenseBlock(num_features, growth_channels)
        self.rdb3 = ResidualDenseBlock(num_features, growth_channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class Generator(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="esrgan",
    license="apache-2.0",
    pipeline_tag="image-to-image",
    tags=["super-resolution", "esrgan", "animals"],
):
    """RRDBNet that multiplies height and width by 4.

    Parameters have the names of BasicSR's RRDBNet, so the weight file opens in spandrel, chaiNNer and ComfyUI too.

    Args:
        num_blocks: number of RRDBs; ESRGAN uses 23 (16.70 M parameters).
        num_features: channels of the trunk.
        growth_channels: channels that each convolution of a dense block adds.
    """

    def __init__(self, num_blocks: int = 23, num_features: int = 64, growth_channels: int = 32) -> None:
        super().__init__()
        self.config = {"num_blocks": num_blocks, "num_features": num_features, "growth_channels": growth_channels}
        self.conv_first = nn.Conv2d(3, num_features, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(num_features, growth_channels) for _ in range(num_blocks)))
        self.conv_body = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv_hr = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv_last = nn.Conv2d(num_features, 3, 3, padding=1)
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):  # ESRGAN section 3.1: a smaller initialisation for the residual branches
                nn.init.kaiming_normal_(module.weight)
                module.weight.data *= 0.1
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Upscale a batch.

        Args:
            x: RGB in 0..1, shape (N, 3, H, W).

        Returns:
            RGB of shape (N, 3, 4H, 4W); nominally 0..1, not clamped.
        """
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        x = F.leaky_relu(self.conv_up1(F.interpolate(x, scale_factor=2)), 0.2)
        x = F.leaky_relu(self.conv_up2(F.interpolate(x, scale_factor=2)), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> "Generator":
        """Load a generator in evaluation mode, strictly and from safetensors only.

        Args:
            pretrained_model_name_or_path: a bundled name (`mixed`, `dogs`), a folder with `config.json` and
                `model.safetensors`, a `.safetensors` file with BasicSR's key names, or a Hub id.
            **kwargs: `revision`, `token`, `cache_dir`, `force_download` and `local_files_only`, for a Hub id.

        Raises:
            WeightsError: no such file, not safetensors, or its keys or shapes are not this architecture's.
            huggingface_hub.errors.HfHubHTTPError: the Hub refused.
        """
        source = Path(pretrained_model_name_or_path)
        if not source.exists():
            source = BUNDLED.get(str(pretrained_model_name_or_path), source)
        if source.is_file():
            return cls.from_state(read_weights(source), source)
        if source.is_dir():
            for name in ("config.json", WEIGHTS_NAME):
                if not (source / name).is_file():
                    raise WeightsError(
                        f"{source}: no {name} in this folder; a model folder has config.json and {WEIGHTS_NAME}."
                    )
        elif not re.fullmatch(r"[\w-][\w.-]*/[\w.-]*[\w-]", str(pretrained_model_name_or_path)):
            raise WeightsError(
                f"{pretrained_model_name_or_path}: no such model; give a folder, a .safetensors file, a Hub id such as "
                f"owner/name, or a bundled name ({', '.join(BUNDLED) or 'none is installed'})."
            )
        else:
            source = Path(pretrained_model_name_or_path)
        return super().from_pretrained(source.as_posix(), **kwargs)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], path: Path) -> "Generator":
        """Make the generator that tensors with BasicSR's key names belong to, its architecture read off their shapes.

        Raises:
            WeightsError: they belong to something else; the message names `path`.
        """
        blocks = [int(match[1]) for key in state if (match := re.match(r"body\.(\d+)\.", key))]
        if not blocks or not {"conv_first.weight", "body.0.rdb1.conv1.weight"} <= state.keys():
            raise WeightsError(f"{path}: not an RRDBNet with BasicSR's key names (conv_first, body.0.rdb1.conv1, …).")
        generator = cls(max(blocks) + 1, len(state["conv_first.weight"]), len(state["body.0.rdb1.conv1.weight"]))
        return load_strictly(generator, state, path)

    @classmethod
    def _from_pretrained(  # type: ignore[override]
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **model_kwargs: int,
    ) -> "Generator":
        path = Path(model_id) / WEIGHTS_NAME
        if not path.is_file():
            try:
                path = Path(
                    hf_hub_download(
                        model_id,
                        WEIGHTS_NAME,
                        revision=revision,
                        cache_dir=cache_dir,
                        force_download=force_download,
                        local_files_only=local_files_only,
                        token=token,
                    )
                )
            except EntryNotFoundError as error:
                raise WeightsError(
                    f"{model_id} has no {WEIGHTS_NAME}; other formats are not opened, as a pickle can run code."
                ) from error
        return load_strictly(cls(**model_kwargs), read_weights(path), path)

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the weights in half precision: 2 bytes a parameter, further from fp32 than 8-bit output can show."""
        state = {
            key: tensor.detach().to("cpu", torch.float16).contiguous() for key, tensor in self.state_dict().items()
        }
        with replacing(save_directory / "config.json") as path:
            path.write_text(json.dumps(self.config, indent=2, sort_keys=True) + "\n")
        with replacing(save_directory / WEIGHTS_NAME) as path:
            save_file(state, path, metadata={"format": "pt"})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, as float32."""
    try:
        return {key: tensor.float() for key, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}).") from error


def load_strictly(generator: Generator, state: Mapping[str, Tensor], path: Path) -> Generator:
    """Fill the generator, every key accounted for; `path` is for the message only."""
    expected = generator.state_dict()
    problems = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [key for key in state if key not in expected],
        "of another shape": [
            f"{key} (file {tuple(state[key].shape)}, model {tuple(tensor.shape)})"
            for key, tensor in expected.items()
            if key in state and state[key].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        told = (
            f"{len(keys)} {kind}: {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}"
            for kind, keys in problems.items()
            if keys
        )
        blocks = generator.config["num_blocks"]
        raise WeightsError(f"{path} does not fit a generator with {blocks} blocks; {'; '.join(told)}.")
    generator.load_state_dict(state)
    return generator.eval()

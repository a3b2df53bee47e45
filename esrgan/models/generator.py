"""The generator: RRDBNet x4 (ESRGAN, arXiv:1809.00219, section 3.1), loaded strictly from safetensors."""

import json
import math
import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from huggingface_hub import HfApi
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import NoSuchStage, WeightsError
from ..files import replacing
from ..images.resize import SCALE
from .layout import (
    BUNDLED,
    CAMERA_NAME,
    CONFIG_NAME,
    FILES,
    PSNR_NAME,
    WEIGHTS_NAME,
    download,
    find,
    model_folder,
    weight_names,
)
from .source import exists, is_hub_id, parse
from .weights import check_config, load_strictly, read_config, read_weights, stored

FIRST_LAYERS = ("conv_first.weight", "body.0.rdb1.conv1.weight")
LARGEST = {"num_blocks": 100, "num_features": 4096, "growth_channels": 4096}


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


class Generator(nn.Module):
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
            # ESRGAN section 3.1: a smaller initialisation for the residual branches
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
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
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        stage: str | float | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> "Generator":
        """Load a generator in evaluation mode, strictly and from safetensors only.

        Args:
            source: `SOURCE[@REVISION][:STAGE]` (see `esrgan.models.source`): a bundled name (`mixed`, `dogs`), a folder
                with `config.json` and `model.safetensors`, a training's folder, a `.safetensors` file with BasicSR's
                key names, or a Hub id.
            stage: which of a folder's weights: `gan` for `model.safetensors`, as by default; `psnr` for those of the
                L1 stage beside it, `model.psnr.safetensors`; a number from 0 (psnr) to 1 (gan) for a blend of both;
                `camera` for `model.camera.safetensors`, for photos with noise, blur or JPEG. It takes the place of the
                one in `source`.
            revision: branch, tag or commit of a Hub id; it takes the place of the one in `source`.
            token: for a private or gated Hub id; by default the one of `hf auth login`.
            cache_dir: where downloads are kept.
            force_download: download again what is in the cache.
            local_files_only: take a Hub id from the cache alone.

        Raises:
            WeightsError: not there or not to be had, not safetensors, or not this architecture's keys and shapes;
                its subclass `NoSuchStage` where only the stage is not there, `HubUnreachable` where the Hub cannot be
                reached and the cache does not have it.
            ValueError: `stage` is neither a name nor in 0..1.
        """
        named = parse(source)
        stage = named.stage if stage is None else stage
        names = weight_names(stage)
        place = BUNDLED.get(named.place, Path(named.place))
        if is_hub_id(str(place)):
            options = {
                "revision": revision or named.revision,
                "token": token,
                "cache_dir": cache_dir,
                "force_download": force_download,
                "local_files_only": local_files_only,
            }
            files = download(named.place, [CONFIG_NAME, *names], options)
        elif not exists(place) or not (place.is_dir() or place.is_file()):
            raise WeightsError(
                f"{source}: no such model; give a folder, a weights file, a Hub id such as owner/name, "
                f"or a bundled name ({', '.join(BUNDLED) or 'none is installed'})."
            )
        elif place.is_dir():
            files = find(model_folder(place), [CONFIG_NAME, *names])
        elif stage is None:
            return cls.from_state(read_weights(place), place)
        else:
            raise NoSuchStage(f"{place}: one file has no stages to choose from; give its folder.")
        config = read_config(files[0], LARGEST)
        generators = [cls.from_state(read_weights(path), path, config) for path in files[1:]]
        return blend(*generators, amount=stage) if isinstance(stage, float | int) else generators[0]

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], path: Path, config: Mapping[str, int] | None = None
    ) -> "Generator":
        """Make the generator that tensors with BasicSR's key names belong to; none is copied before all of them fit.

        Args:
            state: the tensors.
            path: for messages only.
            config: the generator's arguments; by default they are read off the shapes.

        Raises:
            WeightsError: the tensors belong to something else.
        """
        first, dense = (tuple(state[key].shape) if key in state else () for key in FIRST_LAYERS)
        if len(first) == len(dense) == 4:
            ups = {match[1] for key in state if (match := re.fullmatch(r"conv_up(\d)\.(?:weight|bias)", key))}
            scale = 2 ** len(ups) // max(1, math.isqrt(first[1] // 3))  # some shuffle pixels into channels first
            if scale != SCALE:
                raise WeightsError(f"{path}: a x{scale} network; this library enlarges by {SCALE}.")
        elif config is None:
            raise WeightsError(
                f"{path}: not an RRDBNet with BasicSR's key names (conv_first, body.0.rdb1.conv1, …), so not this "
                "architecture."
            )
        if config is None:
            blocks = sum(re.fullmatch(r"body\.\d+\.rdb1\.conv1\.weight", key) is not None for key in state)
            config = {"num_blocks": blocks, "num_features": first[0], "growth_channels": dense[0]}
            check_config(config, LARGEST, path)
        with torch.device("meta"):
            generator = cls(**config)
        return load_strictly(generator, state, path)

    def save_pretrained(
        self, folder: str | Path, *, psnr: "Generator | None" = None, camera: "Generator | None" = None
    ) -> None:
        """Write `config.json` and `model.safetensors`, both or neither.

        Weights are in half precision, 2 bytes each, rounded by less than 8-bit output can show. Biases, where it would
        show in networks of large values, stay in float32, as do weights beyond half precision's range.

        Args:
            folder: where to; made if it is not there.
            psnr: the generator after the L1 stage, to be kept beside this one as `model.psnr.safetensors`;
                without it, such a file of other weights is removed.
            camera: the one for photos with noise, blur or JPEG, as `model.camera.safetensors`; likewise.
        """
        folder = Path(folder)
        given = {WEIGHTS_NAME: self, PSNR_NAME: psnr, CAMERA_NAME: camera}
        models = {name: model for name, model in given.items() if model}
        with ExitStack() as stack:
            for name, model in models.items():
                state = {key: stored(tensor) for key, tensor in model.state_dict().items()}
                # `save_file` would leave a file that its owner alone may read.
                stack.enter_context(replacing(folder / name)).write_bytes(save(state, metadata={"format": "pt"}))
            config = stack.enter_context(replacing(folder / CONFIG_NAME))
            config.write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")
        for name in given.keys() - models.keys():
            (folder / name).unlink(missing_ok=True)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        psnr: "Generator | None" = None,
        camera: "Generator | None" = None,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Upload generator",
    ) -> str:
        """Save to a repository on the Hub, made if it is not there; stages that are not given are removed from it.

        Args:
            repo_id: owner/name.
            psnr: as for `save_pretrained`.
            camera: likewise.
            private: for a new repository; by default the owner's setting.
            token: by default the one of `hf auth login`.
            commit_message: what the commit says.

        Returns:
            The commit's address.

        Raises:
            huggingface_hub.errors.HfHubHTTPError: the Hub refused.
        """
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, psnr=psnr, camera=camera)
            gone = [name for name in FILES if not Path(folder, name).is_file()]
            return api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message=commit_message, delete_patterns=gone
            ).commit_url


def blend(psnr: Generator, gan: Generator, *, amount: float) -> Generator:
    """Network interpolation (ESRGAN section 3.4): between exact pixels and crisp texture, weight by weight.

    Args:
        psnr: the generator after the L1 stage.
        gan: the one that was trained from it against a discriminator.
        amount: 0 for `psnr`, 1 for `gan`.

    Raises:
        ValueError: `amount` is not in 0..1, or the two differ in architecture.
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"a blend of {amount:g}: must be from 0 (psnr) to 1 (gan)")
    if psnr.config != gan.config:
        raise ValueError(f"generators of different architecture cannot be blended: {psnr.config} and {gan.config}")
    ends = psnr.state_dict(), gan.state_dict()
    with torch.device("meta"):
        generator = Generator(**psnr.config)
    blended = {key: torch.lerp(ends[0][key], ends[1][key], amount) for key in ends[0]}
    generator.load_state_dict(blended, assign=True)
    return generator.eval()

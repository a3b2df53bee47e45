"""The perceptual term of the objective."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..compat import torchvision
from ..errors import WeightsError

# Weights of VGG19's convolutions, by their index in torchvision's `features`.
LAYERS: dict[str, dict[int, float]] = {
    "conv5_4": {34: 1.0},
    "every-level": {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0},  # conv1_2, conv2_2, conv3_4, conv4_4, conv5_4
    "shallow": {2: 0.25, 7: 0.25, 16: 0.1},  # conv1_2, conv2_2, conv3_4
}


class PerceptualLoss(nn.Module):
    """L1 distance of VGG19's features before activation (ESRGAN section 3.3).

    torchvision's ImageNet weights are downloaded on first use; `TORCH_HOME` names the folder that keeps them.

    Args:
        layers: `conv5_4`, as ESRGAN; `every-level`: the last convolution of each of VGG19's five levels, with the
            weights of Real-ESRGAN (arXiv:2107.10833, section 4.1), the two finest counting a tenth; or `shallow`: those
            of the three finest levels, as SROT (Park et al., the one-model successor of arXiv:2211.13676) weighs them
            where its curve between exact and perceptual bends.

    Raises:
        WeightsError: they are not there and cannot be downloaded.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: str = "conv5_4") -> None:
        super().__init__()
        self.layers = LAYERS[layers]
        weights = torchvision.models.VGG19_Weights.IMAGENET1K_V1
        try:
            state = weights.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise WeightsError(
                f"VGG19's weights, for the perceptual loss, cannot be had: {error}. Download {weights.url} to "
                "hub/checkpoints in the folder that TORCH_HOME names."
            ) from error
        with torch.device("meta"):  # no random start, and no classifier of 124 M parameters
            self.features = torchvision.models.vgg19().features[:35].eval()
        for index in self.layers:
            if index + 1 < len(self.features):
                self.features[index + 1].inplace = False  # it would overwrite what is compared
        own = {key: state[f"features.{key}"].float() for key in self.features.state_dict()}
        self.features.load_state_dict(own, assign=True)
        self.features.requires_grad_(False)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Distance of two batches of RGB in 0..1, shape (N, 3, H, W), H and W at least 32."""
        with torch.no_grad():
            targets = self._extract(real)
        terms = [
            weight * F.l1_loss(ours.float(), target.float())
            for weight, ours, target in zip(self.layers.values(), self._extract(fake), targets, strict=True)
        ]
        return torch.stack(terms).sum()

    def _extract(self, x: Tensor) -> list[Tensor]:
        x = (x - self.mean) / self.std
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.layers:
                found.append(x)
        return found

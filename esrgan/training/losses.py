"""The terms of the objective: perceptual, adversarial (relativistic or Wasserstein), consistency, grid, penalty.

The pixel term is `torch.nn.functional.l1_loss`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..compat import torchvision
from ..errors import WeightsError
from ..images.resize import SCALE
from .distributed import batch_mean

# Weights of VGG19's convolutions, by their index in torchvision's `features`.
LAYERS: dict[str, dict[int, float]] = {
    "conv5_4": {34: 1.0},
    "every-level": {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0},  # conv1_2, conv2_2, conv3_4, conv4_4, conv5_4
}


class PerceptualLoss(nn.Module):
    """L1 distance of VGG19's features before activation (ESRGAN section 3.3).

    torchvision's ImageNet weights are downloaded on first use; `TORCH_HOME` names the folder that keeps them.

    Args:
        layers: `conv5_4`, as ESRGAN, or `every-level`: the last convolution of each of VGG19's five levels, with the
            weights of Real-ESRGAN (arXiv:2107.10833, section 4.1), the two finest counting a tenth.

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


def consistency_loss(fake: Tensor, low: Tensor) -> Tensor:
    """L1 distance between what the upscaled crop shrinks to and the crop it was made from, without noise and JPEG.

    The two other terms say little about large areas, where the adversarial one lets colours drift.

    Args:
        fake: RGB in 0..1, shape (N, 3, 4H, 4W).
        low: RGB in 0..1, shape (N, 3, H, W).
    """
    # a crop lacks the neighbours of its border
    return F.l1_loss(shrunk(fake)[..., 2:-2, 2:-2], low[..., 2:-2, 2:-2])


def shrunk(crop: Tensor) -> Tensor:
    """Antialiased bicubic by 1/4: (N, 3, 4H, 4W) to (N, 3, H, W)."""
    size = [side // SCALE for side in crop.shape[-2:]]
    return F.interpolate(crop, size, mode="bicubic", antialias=True)


def grid_loss(fake: Tensor, real: Tensor) -> Tensor:
    """L1 distance between the local means of each of the 16 pixels that stem from one pixel of the small crop.

    A generator can make the same one of them brighter everywhere: a grid of 4 pixels, that consistency, being blind to
    what shrinking averages out, lets pass. In a photo these means, over 8 x 8 small pixels, hardly differ.

    Args:
        fake: RGB in 0..1, shape (N, 3, H, W), H and W multiples of 32.
        real: the same.
    """
    ours, theirs = (F.avg_pool2d(F.pixel_unshuffle(x, SCALE), 8) for x in (fake, real))
    return F.l1_loss(ours, theirs)


def shifted(x: Tensor, mix: Tensor, most: int) -> Tensor:
    """Each crop moved by 0 to `most` pixels down and to the right; what leaves it comes in again at the other side.

    The networks that judge have strides and pooling, whose gradients favour some pixels; so these should
    not always be the same ones of the small crop's grid.

    Args:
        x: shape (N, 3, H, W).
        mix: what decides how far, uniform in 0..1, shape (N,).
        most: the largest move, in pixels.
    """
    moves = [divmod(int((most + 1) ** 2 * number), most + 1) for number in mix.tolist()]
    moved = [crop.roll(move, (1, 2)) for crop, move in zip(x, moves, strict=True)]
    return torch.stack(moved).contiguous(memory_format=torch.channels_last)


def relativistic_loss(upper: Tensor, lower: Tensor) -> Tensor:
    """Relativistic average loss (ESRGAN equations 1 to 4): `upper` should look more real than the average of `lower`.

    The discriminator's loss is `relativistic_loss(real, fake)`, the generator's `relativistic_loss(fake, real)`.

    Args:
        upper: logits of any shape: one for each photo, or for each pixel.
        lower: logits of the same shape.
    """
    above = upper - batch_mean(lower.mean())
    below = lower - batch_mean(upper.mean())
    return F.softplus(-above).mean() + F.softplus(below).mean()


def wasserstein_loss(upper: Tensor, lower: Tensor) -> Tensor:
    """Difference of the critic's means (WGAN, arXiv:1701.07875): the negative distance for the critic.

    The critic's loss is `wasserstein_loss(real, fake)` = mean(fake) - mean(real). The generator's has the same form
    with the two exchanged; the mean of real is constant for it, so its gradients are those of WGAN's -mean(fake).
    """
    return lower.mean() - upper.mean()


ADVERSARIAL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ragan": relativistic_loss,
    "wgan-gp": wasserstein_loss,
}


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Mean squared deviation from 1 of the critic's gradient norm between real and fake (WGAN-GP, arXiv:1704.00028).

    Args:
        discriminator: maps (N, 3, H, W) to (N, ...); a photo's verdict is the mean of its logits.
        real: crops in 0..1, shape (N, 3, H, W), float32.
        fake: the same, detached from the generator.
        mix: where between fake (0) and real (1) each penalty is taken, shape (N,), uniform in 0..1.
    """
    between = torch.lerp(fake, real, mix.view(-1, 1, 1, 1)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(between).flatten(1).mean(1).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()

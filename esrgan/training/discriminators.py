"""The critics: VGG-style, which judges a crop as a whole, and U-Net, which judges each pixel of it."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .distributed import batch_mean
from .recipes import Esrgan


class BatchNorm(nn.Module):
    """Batch normalisation over the batches of all processes, by batch statistics only.

    PyTorch's SyncBatchNorm refuses CPU tensors, and running statistics would be dead weight: the critic is never used
    in evaluation. Twice differentiable, as a gradient penalty asks.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.distributed.is_initialized():
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True)
        mean = batch_mean(x.float().mean((0, 2, 3), keepdim=True))
        centred = x.float() - mean
        variance = batch_mean(centred.square().mean((0, 2, 3), keepdim=True))
        scale = self.weight.view(1, -1, 1, 1) * torch.rsqrt(variance + 1e-5)
        return (centred * scale + self.bias.view(1, -1, 1, 1)).to(x.dtype)


class Discriminator(nn.Module):
    """Ten convolutions, each second one with stride 2, then two linear layers, as in SRGAN and ESRGAN.

    BasicSR's VGGStyleDiscriminator is the reference for its widths.

    Args:
        input_size: height and width of the crops it judges, in pixels; a multiple of 32.
        num_features: channels of the first level; they double up to eight times that.
        batch_norm: as ESRGAN. For Wasserstein's loss and zero-centred penalties it is left out: their critic's verdict
            on one photo should not depend on the others of the batch (WGAN-GP, arXiv:1704.00028, section 4). The
            recipe of the paper, whose loss is ESRGAN's, keeps it beside its gradient penalty.
    """

    def __init__(self, input_size: int, num_features: int = 64, batch_norm: bool = True) -> None:
        super().__init__()
        if input_size % 32:
            raise ValueError(f"crop size {input_size}: the discriminator needs a multiple of 32")
        layers: list[nn.Module] = [nn.Conv2d(3, num_features, 3, padding=1), nn.LeakyReLU(0.2)]
        width = num_features
        for level in range(5):
            wider = num_features * min(2**level, 8)
            if level:
                layers += self._block(width, wider, 3, 1, batch_norm)
            layers += self._block(wider, wider, 4, 2, batch_norm)
            width = wider
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            nn.Linear(width * (input_size // 32) ** 2, 100), nn.LeakyReLU(0.2), nn.Linear(100, 1)
        )

    @staticmethod
    def _block(inputs: int, outputs: int, kernel: int, stride: int, batch_norm: bool) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=not batch_norm)
        return [conv, *([BatchNorm(outputs)] if batch_norm else []), nn.LeakyReLU(0.2)]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (N, 1), higher for what looks real, of RGB crops (N, 3, input_size, input_size) in 0..1."""
        return self.judge(self.features(x).flatten(1))


class UNetDiscriminator(nn.Module):
    """Three levels down and up again with skips added, spectrally normalised (Real-ESRGAN, arXiv:2107.10833).

    A verdict for each pixel tells the generator where it was found out, and the bound on the critic's slope keeps it
    from learning a hundred photos by heart.

    Args:
        num_features: channels of the finest level; they double up to eight times that. Real-ESRGAN's are 64; half
            of them cost a quarter, and are enough for a hundred photos.
    """

    def __init__(self, num_features: int = 32) -> None:
        super().__init__()
        widths = [num_features * 2**level for level in range(4)]
        self.first = nn.Conv2d(3, num_features, 3, padding=1)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(fine, coarse, 4, 2, 1, bias=False)) for fine, coarse in pairwise(widths)
        )
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(coarse, fine, 3, padding=1, bias=False)) for fine, coarse in pairwise(widths)
        )
        self.judge = nn.Sequential(
            spectral_norm(nn.Conv2d(num_features, num_features, 3, padding=1, bias=False)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(num_features, num_features, 3, padding=1, bias=False)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(num_features, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (N, 1, H, W) of RGB crops (N, 3, H, W) in 0..1, H and W multiples of 8."""
        x = F.leaky_relu(self.first(x), 0.2)
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.leaky_relu(down(x), 0.2)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(x), 0.2) + skip
        return self.judge(x)


def make_discriminator(recipe: Esrgan) -> nn.Module:
    """The critic that a recipe asks for."""
    if recipe.discriminator == "unet":
        return UNetDiscriminator()
    on_single_samples = recipe.adversarial == "wgan-gp" or recipe.zero_penalty_weight
    return Discriminator(recipe.crop_size, batch_norm=not on_single_samples)

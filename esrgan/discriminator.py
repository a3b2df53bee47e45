"""The critic: VGG-style, as in SRGAN and ESRGAN (BasicSR's VGGStyleDiscriminator is the reference for its widths)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .distributed import batch_mean


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
    """Ten convolutions, each second one with stride 2, then two linear layers.

    Args:
        input_size: height and width of the crops it judges, in pixels; a multiple of 32.
        num_features: channels of the first level; they double up to eight times that.
        norm: `batch` as ESRGAN, `spectral`, or `none`. A gradient penalty wants a critic whose verdict on one photo
            does not depend on the others of the batch (WGAN-GP, arXiv:1704.00028, section 4), so not `batch`.
    """

    def __init__(self, input_size: int, num_features: int = 64, norm: str = "batch") -> None:
        super().__init__()
        if input_size % 32:
            raise ValueError(f"crop size {input_size}: the discriminator needs a multiple of 32")
        bounded = spectral_norm if norm == "spectral" else nn.Identity()
        layers: list[nn.Module] = [bounded(nn.Conv2d(3, num_features, 3, padding=1)), nn.LeakyReLU(0.2)]
        width = num_features
        for level in range(5):
            wider = num_features * min(2**level, 8)
            if level:
                layers += self._block(width, wider, 3, 1, norm)
            layers += self._block(wider, wider, 4, 2, norm)
            width = wider
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            bounded(nn.Linear(width * (input_size // 32) ** 2, 100)), nn.LeakyReLU(0.2), bounded(nn.Linear(100, 1))
        )

    @staticmethod
    def _block(inputs: int, outputs: int, kernel: int, stride: int, norm: str) -> list[nn.Module]:
        conv: nn.Module = nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=norm != "batch")
        if norm == "spectral":
            conv = spectral_norm(conv)
        return [conv, *([BatchNorm(outputs)] if norm == "batch" else []), nn.LeakyReLU(0.2)]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (N, 1), higher for what looks real, of RGB crops (N, 3, input_size, input_size) in 0..1."""
        return self.judge(self.features(x).flatten(1))

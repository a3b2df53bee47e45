"""LPIPS, how different two pictures look to a network that knows photos: Zhang et al., CVPR 2018 (arXiv:1801.03924).

Version 0.1 on AlexNet. Its weights come with the package (`lpips.safetensors`): the convolutions are those of
torchvision's AlexNet (BSD 3-Clause), the heads those of the authors (BSD 2-Clause).
"""

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("lpips.safetensors")
MEAN, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in -1..1
EPSILON = 1e-10


class Lpips(nn.Module):
    """The distance of two images, 0 for equal ones, summed over five layers (equation 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        self.heads = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in (64, 192, 384, 256, 256))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances, shape (N,), of images in 0..1, shape (N, 3, H, W) with sides of 35 pixels at least."""
        count = len(a)
        images = 2 * torch.cat([a, b]) - 1
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
        x = (images - mean) / deviation
        total = torch.zeros(count, dtype=x.dtype, device=x.device)
        for index, (convolution, head) in enumerate(zip(self.convolutions, self.heads, strict=True)):
            if index in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(convolution(x))
            unit = x / (x.square().sum(1, keepdim=True) + EPSILON).sqrt()
            difference = (unit[:count] - unit[count:]).square()
            total = total + torch.einsum("nchw,c->nhw", difference, head).mean((1, 2))
        return total


@cache
def load_lpips() -> Lpips:
    """The network with its weights, on the CPU, for inference alone."""
    network = Lpips()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval().requires_grad_(False)

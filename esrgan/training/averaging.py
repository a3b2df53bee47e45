"""The averaged weights, which are the ones that are measured and kept."""

from copy import deepcopy

import torch
from torch import Tensor, nn


class Average(nn.Module):
    """Exponential moving average of a network's weights.

    A GAN's weights circle around where they are going; their average is there. The decay rises with the number of steps
    (as in TensorFlow's ExponentialMovingAverage), so that short runs do not keep the random start.

    `torch.optim.swa_utils.AveragedModel` has its state, and asks the device for the number of steps at each of them.

    Args:
        network: whose weights; a copy of it is `module`.
        decay: what the average keeps of itself in a step, at most.
    """

    n_averaged: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = deepcopy(network)
        self.decay = decay
        self.register_buffer("n_averaged", torch.tensor(0))  # on the CPU, where it is read

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in what the weights are after a step; after the first, the average is they."""
        count = int(self.n_averaged)
        decay = min(self.decay, (1 + count) / (10 + count)) if count else 0.0
        torch._foreach_lerp_(list(self.module.parameters()), list(network.parameters()), 1 - decay)
        self.n_averaged += 1

"""Adversarial losses, and penalties on the critic's slope.

A loss takes the logits of what should look more real and of what should look less so: the critic's is
`loss(real, fake)`, the generator's `loss(fake, real)`.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .distributed import batch_mean


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


def cross_entropy_loss(upper: Tensor, lower: Tensor) -> Tensor:
    """The first GAN's (arXiv:1406.2661), with the generator's that does not saturate: `upper` real, `lower` fake.

    The generator's also holds a term of the photo alone, which is constant for it.
    """
    return F.softplus(-upper).mean() + F.softplus(lower).mean()


def paired_loss(upper: Tensor, lower: Tensor) -> Tensor:
    """Each verdict against that on its own pair (R3GAN, arXiv:2501.05441, equation 3)."""
    return F.softplus(lower - upper).mean()


ADVERSARIAL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ragan": relativistic_loss,
    "wgan-gp": wasserstein_loss,
    "gan": cross_entropy_loss,
    "rpgan": paired_loss,
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


def zero_centred_penalty(discriminator: Callable[[Tensor], Tensor], crops: Tensor) -> Tensor:
    """Mean squared norm of the critic's gradient: on photos R1, on results R2 (R3GAN, arXiv:2501.05441, equation 4).

    Args:
        discriminator: maps (N, C, H, W) to (N, ...); a photo's verdict is the mean of its logits.
        crops: what it judges, shape (N, C, H, W), float32, detached from the generator.
    """
    crops = crops.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(crops).flatten(1).mean(1).sum(), crops, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()

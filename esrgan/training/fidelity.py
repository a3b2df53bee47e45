"""Terms that hold a result to its photo, beside `torch.nn.functional.l1_loss`."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..images.resize import SCALE

WINDOW = 7  # pixels, of the local variance in the artefact map


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
    there = "cpu" if crop.device.type == "mps" else crop.device  # Apple's GPUs have no kernel of its gradient
    return F.interpolate(crop.to(there), size, mode="bicubic", antialias=True).to(crop.device)


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


def artifact_loss(fake: Tensor, steady: Tensor, real: Tensor) -> Tensor:
    """L1 distance where a result is rough, and worse than that of the averaged weights (LDL, Liang et al., CVPR 2022).

    There it has made up detail; elsewhere detail is let grow. The weight of a pixel is the variance of the residual
    around it times the fifth root of that over the crop, and 0 where the average is no better (equations 3 to 7).

    Args:
        fake: RGB in 0..1, shape (N, 3, H, W), H and W at least 4.
        steady: the same by the averaged weights.
        real: the photo itself.
    """
    residual, steady_residual = ((real - x).abs().sum(1, keepdim=True) for x in (fake, steady))
    around = F.pad(residual, [WINDOW // 2] * 4, mode="reflect").unfold(2, WINDOW, 1).unfold(3, WINDOW, 1)
    weight = residual.var((1, 2, 3), keepdim=True) ** (1 / 5) * around.var((-2, -1))
    weight = weight * (residual >= steady_residual)
    return F.l1_loss(weight * fake, weight * real)


def autoencoded_loss(enlarge: Callable[[Tensor], Tensor], fake: Tensor, real: Tensor) -> Tensor:
    """L1 distance of what a result and its photo are after they are shrunk and enlarged again (AESOP, CVPR 2025).

    Detail that cannot be known from the small photo is lost on this way in both, so that it is not punished as by L1.
    AESOP trains an autoencoder for it; here the first stage's generator, frozen, is its second half.

    Args:
        enlarge: that generator, (N, 3, H, W) to (N, 3, 4H, 4W).
        fake: RGB in 0..1, shape (N, 3, 4H, 4W).
        real: the same.
    """
    with torch.no_grad():
        target = enlarge(shrunk(real))
    return F.l1_loss(enlarge(shrunk(fake)), target)

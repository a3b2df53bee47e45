"""What a critic sees of a crop, of photo and result alike: moved, recoloured, cut out, its high bands alone."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # BT.601
PRIMES = (757, 1483, 2657, 4591, 7919)


def shifted(x: Tensor, mix: Tensor, most: int) -> Tensor:
    """Each crop moved by 0 to `most` pixels down and to the right; what leaves it comes in again at the other side.

    The networks that judge have strides and pooling, whose gradients favour some pixels; so these should
    not always be the same ones of the small crop's grid.

    Args:
        x: shape (N, 3, H, W).
        mix: what decides how far, uniform in 0..1, shape (N,), on the CPU, so that no device is waited for.
        most: the largest move, in pixels.
    """
    moves = [divmod(int((most + 1) ** 2 * number), most + 1) for number in mix.tolist()]
    moved = [crop.roll(move, (1, 2)) for crop, move in zip(x, moves, strict=True)]
    return torch.stack(moved).contiguous(memory_format=torch.channels_last)


def numbers(mix: Tensor, count: int) -> list[Tensor]:
    """Further numbers, uniform in 0..1, of a sample's one: `count` of shape (N, 1, 1, 1)."""
    mix = mix if mix.device.type == "mps" else mix.double()  # Apple's GPUs have no double precision
    return [(mix * prime % 1).float().view(-1, 1, 1, 1) for prime in PRIMES[:count]]


def recoloured(x: Tensor, mix: Tensor) -> Tensor:
    """Brightness, saturation and contrast at random (DiffAugment, Zhao et al., arXiv:2006.10738, appendix).

    Brightness moves by up to a quarter of the range, saturation is 0 to 2 times, contrast 0.5 to 1.5 times as large.

    Args:
        x: RGB in 0..1, shape (N, 3, H, W).
        mix: what decides, uniform in 0..1, shape (N,).
    """
    brightness, saturation, contrast = numbers(mix, 3)
    x = x + (brightness - 0.5) / 2
    x = torch.lerp(x.mean(1, keepdim=True), x, 2 * saturation)
    return torch.lerp(x.mean((1, 2, 3), keepdim=True), x, contrast + 0.5)


def cut_out(x: Tensor, mix: Tensor) -> Tensor:
    """A square of half the side, somewhere, at times over the border, set to 0 (DiffAugment, arXiv:2006.10738).

    Args:
        x: shape (N, 3, H, W).
        mix: what decides where, uniform in 0..1, shape (N,).
    """
    keep = torch.zeros_like(x[:, :1], dtype=torch.bool)
    for axis, number in zip((2, 3), numbers(mix, 5)[3:], strict=True):
        side = x.shape[axis]
        place = torch.arange(side, device=x.device).view([-1 if dim == axis else 1 for dim in range(4)])
        keep = keep | ((place - (number * side).floor() + 0.5).abs() > side / 4)
    return x * keep


AUGMENTATIONS = {"color": recoloured, "cutout": cut_out}


def high_bands(x: Tensor) -> Tensor:
    """The three high bands of luma's stationary Haar wavelet transform: horizontal, vertical and diagonal detail.

    A critic of them alone (WGSR, Korkmaz et al., CVPR 2024, which takes sym7) can move no colours and no flat areas.

    Args:
        x: RGB in 0..1, shape (N, 3, H, W).

    Returns:
        Shape (N, 3, H, W), each in -1..1, of the pixel and its neighbours to the right and below, over the border's end
        those at the other side.
    """
    weights, haar = _weights_and_haar(x.dtype, x.device)
    luma = (x * weights).sum(1, keepdim=True)
    return F.conv2d(F.pad(luma, (0, 1, 0, 1), mode="circular"), haar)


@cache
def _weights_and_haar(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Luma's weights and the filters; once, as a device is waited for when it is given numbers."""
    weights = torch.tensor(LUMA, dtype=dtype, device=device).view(1, 3, 1, 1)
    haar = torch.tensor([[[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]], dtype=dtype, device=device)
    return weights, haar.unsqueeze(1) / 2


def as_seen(x: Tensor, mix: Tensor, augmentation: str, discriminator_input: str) -> Tensor:
    """A crop as a recipe shows it to its critic.

    Args:
        x: RGB in 0..1, shape (N, 3, H, W).
        mix: what decides, uniform in 0..1, shape (N,); the same for a photo and its result.
        augmentation: names of `AUGMENTATIONS` with commas between, or `none`.
        discriminator_input: `pixels` or `high-bands`.
    """
    for name in augmentation.split(","):
        x = AUGMENTATIONS[name](x, mix) if name != "none" else x
    return high_bands(x) if discriminator_input == "high-bands" else x

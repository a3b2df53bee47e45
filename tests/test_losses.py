"""Each term of the objective, against numbers worked by hand and other formulations."""

import math
import re

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from esrgan.images.resize import crop_to_multiple, shrink
from esrgan.training.adversarial import (
    cross_entropy_loss,
    gradient_penalty,
    paired_loss,
    relativistic_loss,
    wasserstein_loss,
    zero_centred_penalty,
)
from esrgan.training.discriminators import BatchNorm, Discriminator, UNetDiscriminator, make_discriminator
from esrgan.training.fidelity import artifact_loss, autoencoded_loss, consistency_loss, grid_loss, shrunk
from esrgan.training.perceptual import PerceptualLoss
from esrgan.training.recipes import Esrgan, Paper
from esrgan.training.views import AUGMENTATIONS, as_seen, high_bands, recoloured, shifted


def logits(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(-1, 1).requires_grad_(True)


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_relativistic_loss_by_hand() -> None:
    """Means 2 and -1: real stands at 1+1, 3+1 over fake; fake at 0-2, -2-2 against real."""
    by_hand = (softplus(-2) + softplus(-4)) / 2 + (softplus(-2) + softplus(-4)) / 2
    assert relativistic_loss(logits(1, 3), logits(0, -2)).item() == pytest.approx(by_hand, abs=1e-12)
    assert relativistic_loss(logits(5), logits(5)).item() == pytest.approx(2 * math.log(2))


def test_relativistic_loss_is_esrgans_cross_entropy() -> None:
    torch.manual_seed(0)
    real, fake = 3 * torch.randn(6, 1), 3 * torch.randn(6, 1)
    d_real, d_fake = torch.sigmoid(real - fake.mean()), torch.sigmoid(fake - real.mean())
    equation_1 = F.binary_cross_entropy(d_real, torch.ones(6, 1)) + F.binary_cross_entropy(d_fake, torch.zeros(6, 1))
    equation_2 = F.binary_cross_entropy(d_real, torch.zeros(6, 1)) + F.binary_cross_entropy(d_fake, torch.ones(6, 1))
    assert relativistic_loss(real, fake).item() == pytest.approx(equation_1.item(), rel=1e-5)
    assert relativistic_loss(fake, real).item() == pytest.approx(equation_2.item(), rel=1e-5)


def test_relativistic_loss_stays_finite_for_sure_critics() -> None:
    real, fake = logits(1e4), logits(-1e4)
    assert relativistic_loss(real, fake).item() == 0
    loss = relativistic_loss(fake, real)
    loss.backward()
    assert loss.item() == pytest.approx(4e4)
    assert torch.isfinite(fake.grad).all()


def test_wasserstein_loss_by_hand() -> None:
    real, fake = logits(1, 3), logits(0, -2)
    loss = wasserstein_loss(real, fake)
    assert loss.item() == -3
    loss.backward()
    assert real.grad.flatten().tolist() == [-0.5, -0.5]
    assert fake.grad.flatten().tolist() == [0.5, 0.5]


def test_both_losses_pull_real_up_for_the_critic_and_fake_up_for_the_generator() -> None:
    for loss in (relativistic_loss, wasserstein_loss):
        real, fake = logits(0.5, -1), logits(0.2, 1)
        loss(real, fake).backward()
        assert (real.grad < 0).all()
        assert (fake.grad > 0).all()
        fake = logits(0.2, 1)
        loss(fake, real.detach()).backward()
        assert (fake.grad < 0).all()


class Linear(torch.nn.Module):
    """A critic whose gradient is the same everywhere."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        weight = torch.randn(3 * 4 * 5, generator=torch.Generator().manual_seed(1))
        self.weight = torch.nn.Parameter(norm * weight / weight.norm())

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.view(-1, 1) + 7


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_critic(norm: float) -> None:
    critic = Linear(norm)
    real, fake = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    penalty = gradient_penalty(critic, real, fake, torch.tensor([0.3, 0.9]))
    assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-5)
    penalty.backward()
    expected = 2 * (norm - 1) * critic.weight.detach() / norm
    assert critic.weight.grad.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_gradient_penalty_is_taken_where_mix_says() -> None:
    """For sum(x^2)/2 the gradient is x itself: 0 at fake, 1 in each of 48 values at real."""
    real, fake = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)

    def critic(x: Tensor) -> Tensor:
        return x.square().flatten(1).sum(1, keepdim=True) / 2

    norms = [0.25 * math.sqrt(48), math.sqrt(48)]
    expected = sum((norm - 1) ** 2 for norm in norms) / 2
    assert gradient_penalty(critic, real, fake, torch.tensor([0.25, 1.0])).item() == pytest.approx(expected, rel=1e-5)


def test_gradient_penalty_of_a_flat_critic_has_finite_gradients() -> None:
    critic = Linear(0.0)
    gradient_penalty(critic, torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5), torch.rand(2)).backward()
    assert torch.isfinite(critic.weight.grad).all()


@pytest.mark.parametrize("kind", ["unet", "batch norm", "no norm"])
def test_every_weight_of_the_discriminator_learns_from_loss_and_penalty(kind: str) -> None:
    torch.manual_seed(0)
    vgg = Discriminator(32, num_features=4, batch_norm=kind == "batch norm")
    critic = UNetDiscriminator(num_features=4) if kind == "unet" else vgg
    real, fake = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    relativistic_loss(critic(real), critic(fake)).backward()
    for name, parameter in critic.named_parameters():
        if "judge" in name or kind != "batch norm":
            assert parameter.grad.abs().sum() > 0 or re.fullmatch(r"judge\.[24]\.bias", name), name
        assert torch.isfinite(parameter.grad).all(), name
    critic.zero_grad()
    gradient_penalty(critic, real, fake, torch.rand(3)).backward()
    for name, parameter in critic.named_parameters():
        if "bias" not in name and parameter.grad is not None:
            assert parameter.grad.abs().sum() > 0, name


def test_the_unet_judges_each_pixel_and_spectral_norm_bounds_it() -> None:
    torch.manual_seed(0)
    critic = UNetDiscriminator(num_features=4)
    photo = torch.rand(2, 3, 32, 48)
    assert critic(photo).shape == (2, 1, 32, 48)
    with torch.no_grad():
        for down in critic.down:
            down.parametrizations.weight.original.mul_(100)
    for _ in range(20):
        critic(photo)  # each forward in training is one power iteration
    for down in critic.down:
        assert torch.linalg.matrix_norm(down.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.05)


def test_a_penalty_takes_a_map_of_verdicts_as_their_mean() -> None:
    """Each of 16 logits is 3 times its pixel: the mean has a gradient of 3/16 in each, a norm of 3/4."""
    real, fake = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    penalty = gradient_penalty(lambda x: 3 * x, real, fake, torch.tensor([0.3, 0.9]))
    assert penalty.item() == pytest.approx((3 / 4 - 1) ** 2, rel=1e-5)


def test_recipes_choose_the_critic_and_a_penalty_on_single_samples_excludes_batch_statistics() -> None:
    def has_batch_norm(critic: torch.nn.Module) -> bool:
        return any(isinstance(module, BatchNorm) for module in critic.modules())

    assert isinstance(make_discriminator(Esrgan()), UNetDiscriminator)
    assert has_batch_norm(make_discriminator(Paper(crop_size=32)))
    assert not has_batch_norm(make_discriminator(Paper(crop_size=32, adversarial="wgan-gp")))


def test_consistency_sees_colour_and_not_detail() -> None:
    """A shift of 0.1 stays 0.1; a checkerboard of 0.1 is averaged out; what the data was made by is at 0."""
    high = 0.8 * photo("cat_chelsea.png") + 0.1
    low = F.interpolate(high, (16, 16), mode="bicubic", antialias=True)
    board = 0.1 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 2 - 1)
    assert consistency_loss(high, low).item() == 0
    assert consistency_loss(high + 0.1, low).item() == pytest.approx(0.1, rel=1e-4)
    assert consistency_loss(high + board, low).item() < 1e-3


def test_consistency_knows_the_protocols_shrinking() -> None:
    """Of a crop out of a photo that was shrunk as a whole, only rounding to 8 bit is left."""
    whole = crop_to_multiple(Image.open(EXAMPLES / "cat_chelsea.png").convert("RGB"), 4)
    low, high = shrink(whole, 4).crop((20, 20, 52, 52)), whole.crop((80, 80, 208, 208))
    as_tensors = (torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255 for image in (high, low))
    assert consistency_loss(*as_tensors).item() < 0.5 / 255


def test_the_grid_is_seen_where_consistency_is_blind() -> None:
    """One of 16 pixels brighter by 0.16, the others darker by 0.16 / 15, so that 4 x 4 pixels keep their mean."""
    high = 0.6 * photo("cat_chelsea.png") + 0.2
    grid = torch.full((4, 4), -0.16 / 15)
    grid[1, 2] = 0.16
    board = 0.16 * ((torch.arange(64)[:, None] // 4 + torch.arange(64) // 4) % 2 * 2 - 1)
    assert grid_loss(high + grid.repeat(16, 16), high).item() == pytest.approx(0.02, rel=1e-4)
    assert grid_loss(high + board, high).item() == pytest.approx(0, abs=1e-6)  # texture of larger squares is none


def test_a_shift_moves_both_crops_alike_and_each_by_its_own_number() -> None:
    crops = torch.arange(2 * 3 * 8 * 8.0).view(2, 3, 8, 8)
    moved = shifted(crops, torch.tensor([0.0, 7.5 / 16]), 3)  # place 7 of 16: one down, three to the right
    assert torch.equal(moved[0], crops[0])
    assert torch.equal(moved[1, :, 1:, 3:], crops[1, :, :-1, :-3])
    assert torch.equal(moved[1, :, 0, 0], crops[1, :, -1, -3])


@given(mix=st.floats(0, 1, exclude_max=True), most=st.integers(0, 4))
def test_a_shift_is_never_longer_than_asked_for(mix: float, most: int) -> None:
    point = torch.zeros(1, 1, 16, 16)
    point[..., 0, 0] = 1
    (place,) = shifted(point, torch.tensor([mix], dtype=torch.float64), most).nonzero().tolist()
    assert max(place) <= most


def test_batch_normalisation_is_pytorchs() -> None:
    ours, theirs = BatchNorm(5), torch.nn.BatchNorm2d(5).train()
    x = 3 * torch.randn(4, 5, 6, 7) + 2
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@pytest.fixture(scope="module")
def perceptual(vgg: None) -> PerceptualLoss:
    return PerceptualLoss()


def photo(name: str) -> Tensor:
    image = Image.open(EXAMPLES / name).convert("RGB").crop((150, 100, 214, 164))
    return torch.from_numpy(np.array(image).transpose(2, 0, 1))[None].float() / 255


def test_perceptual_loss_is_zero_for_equal_photos_and_grows_with_distance(perceptual: PerceptualLoss) -> None:
    real = photo("dog_german_shepherd.png")
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    distances = [perceptual(real + sigma * noise, real).item() for sigma in (0, 0.01, 0.05, 0.2)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[-1] > 2 * distances[1] > 0


def test_perceptual_loss_reads_conv5_4_before_activation_of_normalised_input(perceptual: PerceptualLoss) -> None:
    seen: list[Tensor] = []
    handle = perceptual.features[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    real, fake = photo("cat_chelsea.png"), photo("polar_bear.png")
    loss = perceptual(fake, real)
    handle.remove()
    normalise = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    assert torch.allclose(seen[0], (real - normalise[0]) / normalise[1], atol=1e-6)
    convolutions = [layer for layer in perceptual.features if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 16
    assert perceptual.features[-1] is convolutions[-1], "the last convolution, no ReLU after it"
    features = [perceptual.features((x - normalise[0]) / normalise[1]) for x in (fake, real)]
    assert min(feature.min() for feature in features) < 0
    assert loss.item() == pytest.approx((features[0] - features[1]).abs().mean().item(), rel=1e-5)


def test_perceptual_loss_of_every_level_weighs_features_before_activation(vgg: None) -> None:
    real, fake = photo("cat_chelsea.png"), photo("polar_bear.png")
    loss = PerceptualLoss("every-level")
    expected, kept = 0.0, {2: 0.1, 7: 0.1, 16: 1, 25: 1, 34: 1}
    a, b = ((x - loss.mean) / loss.std for x in (fake, real))
    for index, layer in enumerate(loss.features):
        a, b = (F.relu(x) if isinstance(layer, torch.nn.ReLU) else layer(x) for x in (a, b))
        if index in kept:
            assert isinstance(layer, torch.nn.Conv2d)
            expected += kept[index] * (a - b).abs().mean().item()
    assert loss(fake, real).item() == pytest.approx(expected, rel=1e-4)


def test_perceptual_gradients_reach_the_fake_alone(perceptual: PerceptualLoss) -> None:
    fake, real = photo("cat_chelsea.png").requires_grad_(True), photo("polar_bear.png").requires_grad_(True)
    perceptual(fake, real).backward()
    assert fake.grad.abs().sum() > 0
    assert real.grad is None
    assert all(parameter.grad is None for parameter in perceptual.parameters())


def test_cross_entropy_and_pairs_by_hand() -> None:
    real, fake = logits(1, 3), logits(0, -2)
    entropies = (softplus(-1) + softplus(-3)) / 2 + (softplus(0) + softplus(-2)) / 2
    assert cross_entropy_loss(real, fake).item() == pytest.approx(entropies, abs=1e-12)
    assert paired_loss(real, fake).item() == pytest.approx((softplus(-1) + softplus(-5)) / 2, abs=1e-12)
    assert paired_loss(fake, real).item() == pytest.approx((softplus(1) + softplus(5)) / 2, abs=1e-12)


def test_zero_centred_penalty_of_a_linear_critic_is_its_squared_slope() -> None:
    slope = torch.tensor([0.5, -1.0, 2.0]).view(1, 3, 1, 1)
    crops = torch.rand(2, 3, 4, 4)
    penalty = zero_centred_penalty(lambda x: (x * slope).sum((1, 2, 3)).view(-1, 1), crops)
    assert penalty.item() == pytest.approx(16 * (0.25 + 1 + 4))


def test_artifacts_count_where_a_result_is_rough_and_worse_than_the_average() -> None:
    real = torch.full((1, 3, 16, 16), 0.5)
    rough, flat = real.clone(), real + 0.1
    rough[:, :, 8, 8] = 0.8  # the residual is 0.9 there, summed over channels, and 0 elsewhere
    over_crop, around = 0.9**2 / 256, 0.9**2 / 49  # unbiased: (1/n) of the square, for one of n
    expected = over_crop ** (1 / 5) * around * 0.3 / 256
    assert artifact_loss(rough, real, real).item() == pytest.approx(expected, rel=1e-5)
    assert artifact_loss(rough, rough + 0.3, real).item() == 0  # the average is worse
    assert artifact_loss(flat, real, real).item() < 1e-9  # nothing rough


def test_detail_that_shrinking_loses_costs_nothing_behind_an_autoencoder() -> None:
    def enlarge(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=4, mode="nearest")

    real = torch.full((1, 3, 32, 32), 0.5)
    checks = real + 0.2 * (torch.arange(32) % 2 * 2 - 1)
    fake, brighter = checks.requires_grad_(True), real + 0.1
    assert autoencoded_loss(enlarge, fake, real).item() < 0.01  # L1 is 0.2; borders
    assert autoencoded_loss(enlarge, brighter, real).item() == pytest.approx(0.1, abs=1e-6)
    assert shrunk(brighter).mean().item() == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_treats_photo_and_result_alike_and_each_by_its_own_number(name: str) -> None:
    crops = torch.rand(1, 3, 32, 32, dtype=torch.float64).float().expand(3, -1, -1, -1)
    changed = AUGMENTATIONS[name](crops, torch.tensor([0.3, 0.3, 0.7]))
    assert torch.equal(changed[0], changed[1])
    assert not torch.equal(changed[0], changed[2])


@given(st.floats(0, 1, width=32))
def test_what_is_cut_out_is_a_square_of_half_the_side_or_less_at_the_border(mix: float) -> None:
    kept = AUGMENTATIONS["cutout"](torch.ones(1, 3, 32, 32), torch.tensor([mix]))
    cut = (kept[0, 0] == 0).nonzero()
    top, left = cut.amin(0).tolist()
    bottom, right = (cut.amax(0) + 1).tolist()
    assert len(cut) == (bottom - top) * (right - left)
    for begin, end in ((top, bottom), (left, right)):
        assert 8 <= end - begin <= 16
        assert end - begin == 16 or begin == 0 or end == 32


def test_colours_are_changed_within_the_paper_s_range() -> None:
    grey = torch.full((200, 3, 4, 4), 0.5)
    means = recoloured(grey, torch.linspace(0, 1, 200)).mean((1, 2, 3))
    assert 0.25 <= means.min() < 0.28
    assert 0.72 < means.max() <= 0.75


def test_high_bands_see_edges_and_neither_colour_nor_brightness() -> None:
    x = torch.rand(2, 3, 8, 8)
    assert torch.allclose(high_bands(x), high_bands(x + 0.1), atol=1e-6)
    tinted = x + torch.tensor([0.1, 0.0, -0.1 * 0.299 / 0.114]).view(1, 3, 1, 1)  # of the same luma
    assert torch.allclose(high_bands(x), high_bands(tinted), atol=1e-6)
    stripes = (torch.arange(8) % 2).float().expand(1, 3, 8, 8)
    down, across, diagonal = high_bands(stripes)[0]
    assert down.abs().max() < 1e-6
    assert across.abs().min().item() == pytest.approx(1)
    assert diagonal.abs().max() < 1e-6


def test_a_recipe_decides_what_the_critic_sees() -> None:
    x, mix = torch.rand(2, 3, 16, 16), torch.tensor([0.2, 0.9])
    assert as_seen(x, mix, "none", "pixels") is x
    both = as_seen(x, mix, "color,cutout", "high-bands")
    assert torch.equal(both, high_bands(AUGMENTATIONS["cutout"](recoloured(x, mix), mix)))

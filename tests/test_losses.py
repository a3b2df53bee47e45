"""Each term of the objective, against numbers worked by hand and other formulations."""

import math

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from esrgan.discriminator import Discriminator
from esrgan.losses import PerceptualLoss, gradient_penalty, relativistic_loss, wasserstein_loss


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


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_every_weight_of_the_discriminator_learns_from_loss_and_penalty(norm: str) -> None:
    torch.manual_seed(0)
    critic = Discriminator(32, num_features=4, norm=norm)
    real, fake = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    relativistic_loss(critic(real), critic(fake)).backward()
    for name, parameter in critic.named_parameters():
        if "judge" in name or norm != "batch":
            assert parameter.grad.abs().sum() > 0 or name.endswith("judge.2.bias"), name
        assert torch.isfinite(parameter.grad).all(), name
    critic.zero_grad()
    gradient_penalty(critic, real, fake, torch.rand(3)).backward()
    for name, parameter in critic.named_parameters():
        if "bias" not in name and parameter.grad is not None:
            assert parameter.grad.abs().sum() > 0, name


def test_batch_normalisation_is_pytorchs() -> None:
    from esrgan.discriminator import BatchNorm

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


def test_perceptual_gradients_reach_the_fake_alone(perceptual: PerceptualLoss) -> None:
    fake, real = photo("cat_chelsea.png").requires_grad_(True), photo("polar_bear.png").requires_grad_(True)
    perceptual(fake, real).backward()
    assert fake.grad.abs().sum() > 0
    assert real.grad is None
    assert all(parameter.grad is None for parameter in perceptual.parameters())

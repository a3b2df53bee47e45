"""The two stages of a training, each with its networks, optimisers and the losses of one step."""

from copy import deepcopy
from functools import cache, partial
from typing import Protocol

import torch
import torch._functorch.config
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.generator import Generator
from .adversarial import ADVERSARIAL_LOSSES, gradient_penalty, zero_centred_penalty
from .crops import on
from .discriminators import make_discriminator
from .fidelity import artifact_loss, autoencoded_loss, consistency_loss, grid_loss, shrunk
from .perceptual import PerceptualLoss
from .recipes import Esrgan
from .views import as_seen, shifted

Losses = dict[str, Tensor]

perceptual_loss = cache(PerceptualLoss)  # VGG19 is large: one for the check at the beginning and for the stage


class Stage(Protocol):
    """What the loop needs of a stage."""

    name: str
    steps: int
    learning_rate: float
    generator: nn.Module

    def set_rate(self, factor: float) -> None:
        """Set the learning rates to this part of the recipe's."""

    def step(self, low: Tensor, high: Tensor, mix: Tensor) -> Losses:
        """One forward and backward of each network; the losses, detached.

        Args:
            low: float (N, 3, H, W) in 0..1, channels last.
            high: float (N, 3, 4H, 4W) in 0..1, channels last.
            mix: float (N,) in 0..1, on the CPU: what is random in the step, see `crops.cut`.
        """

    def compile(self) -> None:
        """Let `torch.compile` make the networks faster; their weights keep their names."""


def _adam(model: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), rate, betas=(0.9, 0.99), fused=True)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


class PsnrStage:
    """L1 alone, for the most exact pixels; where ESRGAN starts (section 4.1)."""

    name = "psnr"

    def __init__(self, accelerator: Accelerator, recipe: Esrgan, generator: Generator, averaged: nn.Module) -> None:
        self.steps = recipe.psnr_steps
        self.learning_rate = recipe.psnr_learning_rate
        self.accelerator = accelerator
        self.generator, self.optimizer = accelerator.prepare(generator, _adam(generator, self.learning_rate))

    def set_rate(self, factor: float) -> None:
        _set_rate(self.optimizer, factor * self.learning_rate)

    def step(self, low: Tensor, high: Tensor, mix: Tensor) -> Losses:
        with self.accelerator.accumulate(self.generator):
            loss = F.l1_loss(self.generator(low), high)
            self.accelerator.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return {"pixel": loss.detach()}

    def compile(self) -> None:
        self.accelerator.unwrap_model(self.generator).compile()


class GanStage:
    """Perceptual + adversarial + L1 for the generator, against a critic that learns beside it (ESRGAN equation 3)."""

    name = "gan"

    def __init__(self, accelerator: Accelerator, recipe: Esrgan, generator: Generator, averaged: nn.Module) -> None:
        self.steps = recipe.gan_steps
        self.learning_rate = recipe.learning_rate
        self.accelerator = accelerator
        self.recipe = recipe
        self.adversarial = ADVERSARIAL_LOSSES[recipe.adversarial]
        self.perceptual = perceptual_loss(recipe.perceptual_layers)
        self.critic = make_discriminator(recipe)
        self.averaged = averaged
        if recipe.autoencoded_weight:
            self.first = deepcopy(generator).requires_grad_(False)
            accelerator.register_for_checkpointing(self.first)
        for model in (self.perceptual, self.critic):
            model.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator, self.discriminator, self.optimizer, self.discriminator_optimizer = accelerator.prepare(
            generator,
            self.critic,
            _adam(generator, recipe.learning_rate),
            _adam(self.critic, recipe.discriminator_learning_rate),
        )

    def set_rate(self, factor: float) -> None:
        _set_rate(self.optimizer, factor * self.recipe.learning_rate)
        _set_rate(self.discriminator_optimizer, factor * self.recipe.discriminator_learning_rate)

    def step(self, low: Tensor, high: Tensor, mix: Tensor) -> Losses:
        recipe = self.recipe
        with self.accelerator.accumulate(self.generator, self.discriminator):
            upscaled = self.generator(low)
            judged, truth = (shifted(x, mix, recipe.shift) if recipe.shift else x for x in (upscaled, high))
            mix = on(low.device, mix)
            seen = [as_seen(x, mix, recipe.augmentation, recipe.discriminator_input) for x in (truth, judged)]
            real, fake = map(self.discriminator, seen)

            losses = {"pixel": F.l1_loss(upscaled, high)}
            with self.accelerator.autocast():
                losses["perceptual"] = self.perceptual(judged, truth)
            losses["adversarial"] = self.adversarial(fake, real.detach())
            if recipe.consistency_weight:
                clean = low if recipe.degradation == "bicubic" else shrunk(high)
                losses["consistency"] = consistency_loss(upscaled, clean)
            if recipe.grid_weight:
                losses["grid"] = grid_loss(upscaled, high)
            if recipe.artifact_weight:
                with torch.no_grad(), self.accelerator.autocast():
                    steady = self.averaged(low)
                losses["artifact"] = artifact_loss(upscaled, steady.float(), high)
            if recipe.autoencoded_weight:
                with self.accelerator.autocast():
                    losses["autoencoded"] = autoencoded_loss(self.first, upscaled, high)
            losses["generator"] = torch.stack(
                [getattr(recipe, f"{term}_weight") * loss for term, loss in losses.items()]
            ).sum()
            # One forward of the discriminator serves both updates: each backward stops at the weights it is for.
            self.accelerator.backward(losses["generator"], inputs=list(self.generator.parameters()), retain_graph=True)
            self.optimizer.step()
            self.optimizer.zero_grad()

            losses["discriminator"] = self.adversarial(real, fake)
            if recipe.gradient_penalty_weight or recipe.zero_penalty_weight:
                losses["penalty"] = self._penalty(seen[0].detach().float(), seen[1].detach().float(), mix)
                losses["discriminator"] = losses["discriminator"] + losses["penalty"]
            self.accelerator.backward(losses["discriminator"], inputs=list(self.critic.parameters()))
            self.discriminator_optimizer.step()
            self.discriminator_optimizer.zero_grad()
        return {name: loss.detach() for name, loss in losses.items()}

    def compile(self) -> None:
        torch._functorch.config.donated_buffer = False  # what a forward keeps is needed for both backwards
        self.accelerator.unwrap_model(self.generator).compile()
        self.critic.compile()
        self.perceptual = torch.compile(self.perceptual)  # type: ignore[assignment]

    def _penalty(self, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        """On the critic's slope where it judged."""
        # accelerate wraps the forward of the instance in autocast; that of the class computes in float32.
        exact = partial(type(self.critic).forward, self.critic)
        penalty = real.new_zeros(())
        if self.recipe.gradient_penalty_weight:
            penalty = self.recipe.gradient_penalty_weight * gradient_penalty(exact, real, fake, mix)
        if self.recipe.zero_penalty_weight:
            both = zero_centred_penalty(exact, real) + zero_centred_penalty(exact, fake)
            penalty = penalty + self.recipe.zero_penalty_weight / 2 * both
        return penalty


STAGES: tuple[type[PsnrStage] | type[GanStage], ...] = (PsnrStage, GanStage)

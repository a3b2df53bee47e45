"""What `--recipe paper` and `--recipe esrgan` mean: every setting of a training, with the source of its number."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ..models.generator import LARGEST
from .adversarial import ADVERSARIAL_LOSSES
from .perceptual import LAYERS
from .views import AUGMENTATIONS

LI = "Li, DAML 2023, section 2.3"
ESRGAN = "Wang et al., arXiv:1809.00219, section 4.1"
REAL_ESRGAN = "Real-ESRGAN, arXiv:2107.10833, section 4.1"
OURS = "ours, for data sets of 100 photos"

SCHEDULES = ("cosine", "constant")
DISCRIMINATORS = ("vgg", "unet")
DISCRIMINATOR_INPUT = ("pixels", "high-bands")
TRAINED_DEGRADATIONS = ("bicubic", "camera")
PROBABILITIES = ("clean_crops", "horizontal_flip", "rotation", "ema_decay")
LARGEST_SEED = 2**32 - 2  # of NumPy's, less one for the second stage


def setting(value: Any, meaning: str, source: str, choices: tuple[str, ...] | None = None) -> Any:
    """A dataclass field with its meaning, where its value comes from, and what else it may be."""
    return dataclasses.field(default=value, metadata={"meaning": meaning, "source": source, "choices": choices})


@dataclass(frozen=True)
class Esrgan:
    """ESRGAN's two stages, with its long schedules shortened for small data sets."""

    num_blocks: int = setting(23, "RRDBs in the generator", ESRGAN)
    num_features: int = setting(64, "channels of the generator's trunk", "BasicSR's RRDBNet")
    growth_channels: int = setting(32, "channels that each dense convolution adds", "BasicSR's RRDBNet")
    psnr_steps: int = setting(20_000, "optimiser steps of the L1 stage", f"{OURS}; ESRGAN: 1 000 000")
    gan_steps: int = setting(10_000, "optimiser steps of the adversarial stage", f"{OURS}; ESRGAN: 400 000")
    train_batch_size: int = setting(8, "batch size on each process", f"{OURS}; ESRGAN: 16")
    crop_size: int = setting(128, "side of the high-resolution crops, pixels", ESRGAN)
    psnr_learning_rate: float = setting(4e-4, "Adam's learning rate in the L1 stage", f"{OURS}; ESRGAN: 2e-4")
    learning_rate: float = setting(1e-4, "Adam's learning rate in the adversarial stage", ESRGAN)
    discriminator_learning_rate: float = setting(1e-4, "the discriminator's learning rate", ESRGAN)
    lr_scheduler: str = setting(
        "cosine", "the rate's course in a stage, cosine to 1 %", f"{OURS}; ESRGAN: halved four times", SCHEDULES
    )
    lr_warmup_steps: int = setting(100, "steps over which the rate rises linearly, in each stage", OURS)
    adversarial: str = setting(
        "ragan",
        "relativistic average, Wasserstein, cross-entropy, or relativistic by pairs",
        f"{ESRGAN}; rpgan: R3GAN, arXiv:2501.05441",
        tuple(ADVERSARIAL_LOSSES),
    )
    discriminator: str = setting(
        "unet", "vgg judges the whole crop, unet each pixel", f"{REAL_ESRGAN}; ESRGAN: vgg", DISCRIMINATORS
    )
    perceptual_layers: str = setting(
        "every-level",
        "VGG19's features that are compared",
        f"{REAL_ESRGAN}; ESRGAN: conv5_4; shallow: SROT",
        tuple(LAYERS),
    )
    perceptual_weight: float = setting(1.0, "weight of the VGG19 term", "ESRGAN equation 3")
    adversarial_weight: float = setting(0.1, "weight of the adversarial term, lambda", f"{REAL_ESRGAN}; ESRGAN: 5e-3")
    pixel_weight: float = setting(1.0, "weight of the L1 term, eta", f"{REAL_ESRGAN}; ESRGAN: 1e-2")
    consistency_weight: float = setting(
        50.0, "weight of the L1 of what the result shrinks to, against colour drift", f"{OURS}; ESRGAN has none"
    )
    grid_weight: float = setting(
        100.0, "weight of the L1 of local means of every fourth pixel, against a grid", f"{OURS}; ESRGAN has none"
    )
    artifact_weight: float = setting(
        0.0, "weight of the L1 where detail is made up", "ESRGAN has none; LDL, CVPR 2022: 1"
    )
    autoencoded_weight: float = setting(
        0.0, "weight of the L1 after shrinking and enlarging by the first stage", "ESRGAN has none; AESOP, CVPR 2025"
    )
    augmentation: str = setting(
        "none",
        "how the discriminator's crops are changed at random",
        "ESRGAN; DiffAugment, arXiv:2006.10738",
        ("none", *AUGMENTATIONS, ",".join(AUGMENTATIONS)),
    )
    discriminator_input: str = setting(
        "pixels", "what the discriminator sees", "ESRGAN; high-bands: WGSR, CVPR 2024", DISCRIMINATOR_INPUT
    )
    shift: int = setting(
        3, "pixels by which, at most, crops are moved before they are judged, against a grid", f"{OURS}; ESRGAN: 0"
    )
    gradient_penalty_weight: float = setting(0.0, "weight of the gradient penalty; 0 leaves it out", "ESRGAN has none")
    zero_penalty_weight: float = setting(
        0.0, "weight of the zero-centred penalties, gamma", "ESRGAN has none; R3GAN, arXiv:2501.05441, equation 4"
    )
    ema_decay: float = setting(
        0.999, "decay of the averaged weights, which are the ones kept; 0: no average", "BasicSR"
    )
    degradation: str = setting(
        "bicubic",
        "how small photos are made; camera: with blur, noise and JPEG",
        "ESRGAN; camera: lighter than Real-ESRGAN's",
        TRAINED_DEGRADATIONS,
    )
    clean_crops: float = setting(
        0.0, "with --degradation camera, probability that a crop is clean all the same", "Real-ESRGAN has none"
    )
    horizontal_flip: float = setting(0.5, "probability of a horizontal flip", ESRGAN)
    rotation: float = setting(0.5, "probability of a rotation by 90 degrees", ESRGAN)
    dataloader_num_workers: int = setting(4, "processes that cut crops; 0: the training process itself", OURS)
    seed: int = setting(0, "decides the start weights, the order of photos, crops and augmentations", OURS)

    @property
    def steps(self) -> dict[str, int]:
        """How many steps each stage has, in their order."""
        return {"psnr": self.psnr_steps, "gan": self.gan_steps}

    def __post_init__(self) -> None:
        if not any(self.steps.values()):
            raise ValueError("psnr_steps and gan_steps are both 0: nothing to do")
        unit = 32 if self.gan_steps else 4
        if self.crop_size < unit or self.crop_size % unit:
            raise ValueError(f"crop_size {self.crop_size}: must be a multiple of {unit}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.metadata["choices"] and value not in field.metadata["choices"]:
                raise ValueError(f"{field.name} {value}: choose from {', '.join(field.metadata['choices'])}")
            if isinstance(value, int | float) and not 0 <= value < math.inf:  # nor NaN
                raise ValueError(f"{field.name} {value}: must be a number from 0 on")
            if field.name in PROBABILITIES and value > 1:
                raise ValueError(f"{field.name} {value}: must be from 0 to 1")
            if field.name == "seed" and value > LARGEST_SEED:
                raise ValueError(f"{field.name} {value}: must be from 0 to {LARGEST_SEED}")
            if field.name in LARGEST and not 1 <= value <= LARGEST[field.name]:
                raise ValueError(f"{field.name} {value}: must be from 1 to {LARGEST[field.name]}")
            if field.name == "train_batch_size" and value < 1:
                raise ValueError(f"{field.name} {value}: must be at least 1")
        if self.adversarial == "wgan-gp" and not self.gradient_penalty_weight:
            raise ValueError("adversarial wgan-gp: needs a gradient_penalty_weight; 10 is usual")


def instead(name: str, value: Any, source: str) -> Any:
    """A setting of `Esrgan` with another value, from another source."""
    known = Esrgan.__dataclass_fields__[name].metadata
    return setting(value, known["meaning"], source, known["choices"])


@dataclass(frozen=True)
class Paper(Esrgan):
    """What "Super-Resolution Analysis of Animal Images Based on ESRGAN Model" ran, from scratch.

    It speaks of 2000 iterations and of 5 training cycles; its curves end at 2000, so the cycles are taken as fifths.
    """

    psnr_steps: int = instead("psnr_steps", 0, "the paper has no such stage")
    gan_steps: int = instead("gan_steps", 2000, LI)
    train_batch_size: int = instead("train_batch_size", 8, LI)
    crop_size: int = instead("crop_size", 128, "not given; ESRGAN's")
    learning_rate: float = instead("learning_rate", 1e-4, LI)
    discriminator_learning_rate: float = instead("discriminator_learning_rate", 1e-4, LI)
    lr_scheduler: str = instead("lr_scheduler", "constant", "the paper has no schedule")
    lr_warmup_steps: int = instead("lr_warmup_steps", 0, "the paper has none")
    adversarial: str = instead("adversarial", "ragan", "Li, equations 3 and 4")
    discriminator: str = instead("discriminator", "vgg", "ESRGAN's")
    perceptual_layers: str = instead("perceptual_layers", "conv5_4", "ESRGAN's")
    adversarial_weight: float = instead("adversarial_weight", 5e-3, "not given; ESRGAN's")
    pixel_weight: float = instead("pixel_weight", 1e-2, "not given; ESRGAN's")
    consistency_weight: float = instead("consistency_weight", 0.0, "the paper has none")
    grid_weight: float = instead("grid_weight", 0.0, "the paper has none")
    shift: int = instead("shift", 0, "the paper has none")
    gradient_penalty_weight: float = instead("gradient_penalty_weight", 10.0, LI)
    ema_decay: float = instead("ema_decay", 0.0, "the paper has none")
    horizontal_flip: float = instead("horizontal_flip", 0.5, "Li, DAML 2023, section 2.1")
    rotation: float = instead("rotation", 0.5, "Li, DAML 2023, section 2.1")
    dataloader_num_workers: int = instead("dataloader_num_workers", 4, LI)


RECIPES: dict[str, type[Esrgan]] = {"esrgan": Esrgan, "paper": Paper}

"""Adversarial training steps a second: this trainer against the plain float32 loop of the usual tutorials.

    python tests/benchmarks/training.py --data photos/

Both train the same networks with the same batch and the losses of the recipe, each in a process of its own, in turns,
so that a busy machine slows both. The plain loop keeps tensors contiguous, decodes a photo for each sample, runs VGG19
on the real crops with a graph, and leaves its parameters unfrozen (as PyTorch-GAN's esrgan.py does), so their unused
gradients are computed. Then: where the time of a step goes, and how near each part comes to the machine's
matrix-product rate.
"""

import argparse
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from esrgan.images.bounded import read_image
from esrgan.images.reading import find_images
from esrgan.images.resize import crop_to_multiple, shrink
from esrgan.models.generator import Generator
from esrgan.training.accelerator import make_accelerator
from esrgan.training.adversarial import relativistic_loss
from esrgan.training.averaging import Average
from esrgan.training.crops import make_loader, to_floats
from esrgan.training.datasets import Photos
from esrgan.training.discriminators import make_discriminator
from esrgan.training.fidelity import consistency_loss, grid_loss
from esrgan.training.perceptual import PerceptualLoss
from esrgan.training.recipes import RECIPES, Esrgan
from esrgan.training.sources import load_rows
from esrgan.training.stages import GanStage
from esrgan.training.views import shifted


class DecodingDataset(Dataset[tuple[Tensor, Tensor]]):
    """What a tutorial writes: open, shrink and crop the photo each time it is asked for."""

    def __init__(self, paths: list[Path], crop: int) -> None:
        self.paths = paths
        self.crop = crop

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        import torchvision.transforms.functional as tf

        high = crop_to_multiple(read_image(self.paths[index]), 4)
        low = shrink(high, 4)
        side = self.crop // 4
        left, top = random.randrange(low.width - side + 1), random.randrange(low.height - side + 1)
        low = low.crop((left, top, left + side, top + side))
        high = high.crop((4 * left, 4 * top, 4 * (left + side), 4 * (top + side)))
        return tf.to_tensor(low), tf.to_tensor(high)


def plain_steps(recipe: Esrgan, paths: list[Path]) -> Iterator[None]:
    """The tutorial's loop, a step each time it is asked."""
    generator, critic = Generator(recipe.num_blocks), make_discriminator(recipe)
    vgg = PerceptualLoss(recipe.perceptual_layers)
    vgg.requires_grad_(True)
    optimizer_g = torch.optim.Adam(generator.parameters(), 1e-4, betas=(0.9, 0.99))
    optimizer_d = torch.optim.Adam(critic.parameters(), 1e-4, betas=(0.9, 0.99))
    while True:
        dataset = DecodingDataset(paths, recipe.crop_size)
        for low, high in DataLoader(dataset, recipe.train_batch_size, shuffle=True, drop_last=True):
            optimizer_g.zero_grad()
            fake = generator(low)
            mix = torch.rand(len(high))
            judged, truth = (shifted(x, mix, recipe.shift) for x in (fake, high))
            features = zip(vgg.layers.values(), vgg._extract(judged), vgg._extract(truth), strict=True)
            loss = recipe.perceptual_weight * sum(weight * F.l1_loss(a, b.detach()) for weight, a, b in features)
            loss = loss + recipe.adversarial_weight * relativistic_loss(critic(judged), critic(truth).detach())
            loss = loss + recipe.pixel_weight * F.l1_loss(fake, high)
            if recipe.consistency_weight:
                loss = loss + recipe.consistency_weight * consistency_loss(fake, low)
            if recipe.grid_weight:
                loss = loss + recipe.grid_weight * grid_loss(fake, high)
            loss.backward()
            optimizer_g.step()
            optimizer_d.zero_grad()
            relativistic_loss(critic(truth), critic(judged.detach())).backward()
            optimizer_d.step()
            yield


def our_steps(recipe: Esrgan, photos: Photos, folder: Path) -> Iterator[None]:
    """This trainer's, without its logging."""
    accelerator = make_accelerator(None, folder)
    generator = Generator(recipe.num_blocks).to(memory_format=torch.channels_last)
    averaged = Average(generator.to(accelerator.device), recipe.ema_decay)
    stage = GanStage(accelerator, recipe, generator, averaged)
    loader = accelerator.prepare(make_loader(photos, recipe, range(10**6), pin_memory=False))
    for sample in loader:
        stage.step(*to_floats(sample, accelerator.device))
        averaged.update(generator)
        yield


def contender(pipe: Connection, ours: bool, recipe: Esrgan, data: Path) -> None:
    """Take a step, and say how long it took, each time the pipe asks."""
    with tempfile.TemporaryDirectory() as folder:
        if ours:
            steps = our_steps(recipe, Photos(load_rows(str(data)), recipe.crop_size), Path(folder))
        else:
            steps = plain_steps(recipe, find_images(data))
        while pipe.recv():
            pipe.send(seconds(lambda: next(steps), 1))


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median duration."""
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def breakdown(recipe: Esrgan, photos: Photos, repeats: int) -> list[tuple[str, float, float]]:
    """Name, seconds and GFLOP of each part of a step, in the trainer's precision and layout."""
    loader = iter(make_loader(photos, recipe, range(10**6), pin_memory=False))
    low, high, _ = to_floats(next(loader), torch.device("cpu"))
    generator, critic = Generator(recipe.num_blocks), make_discriminator(recipe)
    vgg = PerceptualLoss(recipe.perceptual_layers)
    for model in (generator, critic, vgg):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fake = high.clone().requires_grad_(True)

    def train_generator() -> None:
        F.l1_loss(generator(low).float(), high).backward()

    def train_critic() -> None:
        relativistic_loss(critic(high).float(), critic(fake.detach()).float()).backward()

    def ask_critic() -> None:
        critic.requires_grad_(False)
        critic(fake).float().sum().backward()
        critic.requires_grad_(True)

    def perceive() -> None:
        vgg(fake, high).backward()

    parts = {
        "generator, forward and backward": train_generator,
        "discriminator, its own update": train_critic,
        "discriminator, for the generator": ask_critic,
        "VGG19, real and fake": perceive,
    }
    rows = []
    with torch.autocast("cpu", torch.bfloat16):
        for name, work in parts.items():
            work()
            with FlopCounterMode(display=False) as counter:
                work()
            rows.append((name, seconds(work, repeats), counter.get_total_flops() / 1e9))
    rows.append(("loader, waiting for a batch", seconds(lambda: next(loader), repeats), 0.0))
    return rows


def matrix_rate(dtype: torch.dtype) -> float:
    """GFLOP/s of a large matrix product."""
    a, b = torch.randn(3072, 3072).to(dtype), torch.randn(3072, 3072).to(dtype)
    return 2 * 3072**3 / seconds(lambda: a @ b, 7) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--recipe", choices=RECIPES, default="esrgan")
    parser.add_argument("--num_blocks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=8, help="steps of each, in turns")
    options = parser.parse_args()
    make = RECIPES[options.recipe]
    recipe = make(num_blocks=options.num_blocks, gradient_penalty_weight=0.0, dataloader_num_workers=0)
    photos = Photos(load_rows(str(options.data)), recipe.crop_size)
    say = sys.stdout.write

    spawn = multiprocessing.get_context("spawn")
    durations: dict[str, list[float]] = {"this trainer": [], "plain float32 loop": []}
    pipes = {}
    for name in durations:
        pipes[name], theirs = spawn.Pipe()
        spawn.Process(
            target=contender, args=(theirs, name == "this trainer", recipe, options.data), daemon=True
        ).start()
    for turn in range(options.rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            duration = pipe.recv()
            if turn:  # the first step also starts everything up
                durations[name].append(duration)
    for pipe in pipes.values():
        pipe.send(False)
    medians = {name: statistics.median(times) for name, times in durations.items()}
    for name, median in medians.items():
        say(f"{name}: {1 / median:.3f} steps/s ({median:.2f} s)\n")
    ratios = [b / a for a, b in zip(*durations.values(), strict=True)]
    say(f"ratio: {statistics.median(ratios):.2f} (each round: {', '.join(f'{ratio:.2f}' for ratio in ratios)})\n\n")

    rate = matrix_rate(torch.bfloat16)
    say(f"matrix product: bf16 {rate:.0f} GFLOP/s, float32 {matrix_rate(torch.float32):.0f} GFLOP/s\n")
    for name, duration, work in breakdown(recipe, photos, options.rounds):
        near = (
            f", {work / duration:.0f} GFLOP/s, {100 * work / duration / rate:.0f} % of the matrix product"
            if work
            else ""
        )
        say(f"{name}: {duration:.3f} s{near}\n")


if __name__ == "__main__":
    main()

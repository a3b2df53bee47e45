"""Paired crops. What a step sees is a function of (seed, sample number) alone: that makes a resume exact."""

import signal
from collections.abc import Iterator
from functools import lru_cache
from itertools import count

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ..images.degradation import degrade
from ..images.resize import SCALE
from .datasets import Pair, Photos, Stream
from .recipes import Esrgan

Sample = dict[str, Tensor]


def cut(pair: Pair, recipe: Esrgan, number: int) -> Sample:
    """Crop and augment a pair, by random numbers drawn from (recipe.seed, number).

    Returns:
        `low`: uint8 (3, crop/4, crop/4), of the photo shrunk as a whole, or of the crop degraded as the recipe says;
        `high`: uint8 (3, crop, crop), the same place in the photo; `mix`: a float uniform in 0..1, from which
        all is drawn that a step decides for this sample: how it is moved and augmented, where the gradient penalty is
        taken.
    """
    rng = np.random.default_rng((recipe.seed, 1, number))
    side = recipe.crop_size // SCALE
    top, left = (int(rng.integers(length - side + 1)) for length in pair.low.shape[:2])
    low = pair.low[top : top + side, left : left + side]
    high = pair.high[SCALE * top : SCALE * (top + side), SCALE * left : SCALE * (left + side)]
    if rng.random() < recipe.horizontal_flip:
        low, high = low[:, ::-1], high[:, ::-1]
    if rng.random() < recipe.rotation:
        low, high = np.rot90(low), np.rot90(high)
    mix = rng.random()
    if recipe.degradation != "bicubic" and rng.random() >= recipe.clean_crops:
        crop = Image.fromarray(np.ascontiguousarray(high))
        small, truth = degrade(crop, recipe.degradation, (recipe.seed, 2, number))
        low, high = np.asarray(small), np.asarray(truth)
    return {
        "low": torch.from_numpy(low.transpose(2, 0, 1).copy()),
        "high": torch.from_numpy(high.transpose(2, 0, 1).copy()),
        "mix": torch.tensor(mix, dtype=torch.float32),
    }


@lru_cache(maxsize=2)
def photo_order(seed: int, epoch: int, photos: int) -> np.ndarray:
    """The order in which one epoch goes through the photos."""
    return np.random.default_rng((seed, 0, epoch)).permutation(photos)


class PairedCrops(Dataset[Sample]):
    """Sample number i of a training, for any i. Every photo is seen once before any is seen again."""

    def __init__(self, photos: Photos, recipe: Esrgan) -> None:
        self.photos = photos
        self.recipe = recipe

    def __getitem__(self, number: int) -> Sample:
        epoch, place = divmod(number, len(self.photos))
        order = photo_order(self.recipe.seed, epoch, len(self.photos))
        return cut(self.photos[int(order[place])], self.recipe, number)


class StreamedCrops(IterableDataset[Sample]):
    """The samples of a stream from number `begin` to `end`; what comes before is read, and passed over."""

    def __init__(self, stream: Stream, recipe: Esrgan, begin: int, end: int) -> None:
        self.stream = stream
        self.recipe = recipe
        self.begin = begin
        self.end = end

    def __iter__(self) -> Iterator[Sample]:
        pairs = (pair for epoch in count() for pair in self.stream.epoch(epoch))
        for number, pair in enumerate(pairs):
            if number == self.end:
                return
            if number >= self.begin:
                yield cut(pair, self.recipe, number)


def _ignore_signals(_: int) -> None:
    """Leave it to the training process when to stop: a signal to the whole group would end the workers first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def make_loader(photos: Photos | Stream, recipe: Esrgan, numbers: range, pin_memory: bool) -> DataLoader[Sample]:
    """Batches of the samples with these numbers, in order."""
    workers = recipe.dataloader_num_workers
    if isinstance(photos, Stream):
        crops = StreamedCrops(photos, recipe, numbers.start, numbers.stop)
        return DataLoader(
            crops,
            recipe.train_batch_size,
            num_workers=min(workers, 1),
            pin_memory=pin_memory,
            worker_init_fn=_ignore_signals,
        )
    return DataLoader(
        PairedCrops(photos, recipe),
        recipe.train_batch_size,
        sampler=numbers,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_ignore_signals,
    )


def on(device: torch.device, x: Tensor) -> Tensor:
    """A tensor of the CPU on a device, without waiting for it where that is safe.

    Of Apple's GPUs it is not: they may read the tensor after its memory has another use (pytorch #189690).
    """
    return x.to(device, non_blocking=device.type != "mps")


def to_floats(sample: Sample, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """What a stage's step takes, of a batch as the loader gives it, without waiting for the device.

    Returns:
        `low`: float (N, 3, H, W) in 0..1 and `high`: float (N, 3, 4H, 4W) in 0..1, on the device, channels last;
        `mix`: float (N,) in 0..1, on the CPU.
    """
    low, high = (on(device, sample[key]).float() / 255 for key in ("low", "high"))
    low, high = (crops.contiguous(memory_format=torch.channels_last) for crops in (low, high))
    return low, high, sample["mix"]

"""Ways to upscale, side by side over a set of photos, by the protocol of `esrgan.metrics`."""

from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from .generator import SCALE
from .images import crop_to_multiple, enlarge, read_image, shrink
from .metrics import METRICS, compare

Method = Callable[[Image.Image], Image.Image]
Scores = dict[str, float]


def bicubic(image: Image.Image) -> Image.Image:
    """Pillow's bicubic x4: the row that every table begins with."""
    return enlarge(image, SCALE)


def measure(method: Method, path: Path) -> Scores:
    """Shrink a photo by 4, bring it back by `method`, and measure the result against the photo."""
    truth = crop_to_multiple(read_image(path), SCALE)
    return compare(method(shrink(truth, SCALE)), truth)


def mean_scores(method: Method, paths: Iterable[Path]) -> Scores:
    """Mean of each metric over photos."""
    scores = [measure(method, path) for path in tqdm(paths, desc="measuring", unit="photo", leave=False)]
    return {name: sum(score[name] for score in scores) / len(scores) for name in METRICS}

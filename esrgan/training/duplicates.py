"""Photos that are nearly the same, by a perceptual hash of 128 bits: differences between neighbours of a tiny picture.

The difference hash of N. Krawetz (2013), along rows and columns.
"""

from collections.abc import Iterable

import numpy as np
from PIL import Image

SIDE = 8
NEAR = 6  # bits of 128 that may differ: another size, another quality, a little crop


def difference_hash(image: Image.Image) -> np.ndarray:
    """128 bits: whether each pixel of a picture of 8 x 8 is brighter than its neighbour, along rows and columns."""
    grey = image.convert("L")
    across = np.asarray(grey.resize((SIDE + 1, SIDE), Image.Resampling.BOX), int)
    down = np.asarray(grey.resize((SIDE, SIDE + 1), Image.Resampling.BOX), int)
    return np.concatenate([(np.diff(across, axis=1) > 0).ravel(), (np.diff(down, axis=0) > 0).ravel()])


def near_duplicates(some: Iterable[np.ndarray], others: Iterable[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of positions whose hashes are nearly the same; pictures without any structure are like none."""
    a, b = (np.reshape(list(hashes), (-1, 2 * SIDE**2)).astype(int) for hashes in (some, others))
    distances = a @ (1 - b.T) + (1 - a) @ b.T
    flat = a.sum(1)[:, None] <= NEAR
    return [(int(i), int(j)) for i, j in np.argwhere((distances <= NEAR) & ~flat)]

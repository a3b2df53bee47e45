"""A generator as ONNX, for runtimes other than PyTorch."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from ..errors import BackendError
from ..files import check_file, replacing
from ..images.resize import SCALE
from ..models.generator import Generator

TOLERANCE = 1e-3  # a quarter of a level of 8 bits
SIZES = ((24, 31), (40, 17))


def export_onnx(generator: Generator, path: Path) -> float:
    """Write a generator as ONNX with height and width left open, once onnxruntime has given what PyTorch gives.

    Input `image`: float32 RGB in 0..1, shape (1, 3, H, W). Output `upscaled`: (1, 3, 4H, 4W), not clamped.

    Returns:
        The largest difference between both, over two sizes.

    Raises:
        FileError: nothing can be written there.
        BackendError: the packages for it are missing, or the outputs differ.
    """
    check_file(path)
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BackendError(f"ONNX needs the package {error.name}; pip install onnx onnxruntime onnxscript.") from error
    generator = deepcopy(generator).float().cpu().eval()
    sizes = {2: torch.export.Dim("height", min=1), 3: torch.export.Dim("width", min=1)}
    with replacing(path) as temporary:
        torch.onnx.export(
            generator,
            (torch.rand(1, 3, 20, 28),),
            temporary,
            input_names=["image"],
            output_names=["upscaled"],
            dynamic_shapes=(sizes,),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        difference = 0.0
        for height, width in SIZES:
            x = torch.rand(1, 3, height, width)
            with torch.inference_mode():
                expected = generator(x).numpy()
            (y,) = session.run(None, {"image": x.numpy()})
            if y.shape != (1, 3, SCALE * height, SCALE * width):
                raise BackendError(f"{path}: onnxruntime makes {y.shape} of {tuple(x.shape)}; nothing is written.")
            difference = float(np.maximum(difference, np.abs(y - expected).max()))  # NaN stays NaN
        if not difference <= TOLERANCE:
            raise BackendError(f"{path}: onnxruntime differs from PyTorch by {difference:.2g}; nothing is written.")
    return difference

"""Tiles by OpenVINO, which is faster than PyTorch on many CPUs; the extra `openvino` installs it."""

import sys
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import BackendError
from ..models.generator import Generator
from .device import fastest_dtype, has_fast_int8
from .int8 import quantise, read_examples
from .upscaler import Upscaler

PRECISIONS = {torch.bfloat16: "bf16", torch.float32: "f32"}
KEPT_SHAPES = 2  # a tile, and the same turned by 90 degrees


@cache
def shared_core() -> Any:
    """OpenVINO's core, one for the process.

    Each core gives the thread a stack for signals and takes back the one before when it goes. Of two, the older may go
    first; the stack in use is then no more, and the next signal, as that of Ctrl-C or of a child that ends, is a crash.
    """
    import openvino

    return openvino.Core()


class CompiledGenerator(nn.Module):
    """A generator on a CPU, compiled anew for each shape of input; for one thread at a time.

    Args:
        generator: in float32, on the CPU; its weights are shared, so they must not change.
        dtype: the precision of what is computed; input and output are float32.

    Raises:
        BackendError: the package is missing.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        super().__init__()
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # reports each import to Intel
        try:
            import openvino
        except ImportError as error:
            raise BackendError("OpenVINO is not installed; pip install openvino.") from error
        self.generator = generator
        example = torch.zeros(1, 3, 8, 8)
        traced = torch.jit.trace(generator, example, check_trace=False)
        self.model = openvino.convert_model(traced, example_input=example)
        self.core = shared_core()
        self.options = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.compiled = lru_cache(KEPT_SHAPES)(self._compile)

    def _compile(self, *shape: int) -> Any:
        self.model.reshape(list(shape))
        return self.core.compile_model(self.model, "CPU", self.options)

    def forward(self, x: Tensor) -> Tensor:
        """As `Generator.forward`, without gradients."""
        return torch.from_numpy(self.compiled(*x.shape)(x.contiguous().numpy())[0])


class OpenVINOUpscaler(Upscaler):
    """An `Upscaler` on the CPU, whose 8-bit results OpenVINO computes.

    Args:
        generator: as for `Upscaler`.
        int8: whether most of it is computed with 8-bit integers, after a few seconds that their scales take.
        options: `tile`, `overlap` and `ensemble`, as for `Upscaler`.

    Raises:
        BackendError: the package is missing, or the CPU has no such integers.
        WeightsError: `int8`, and the weights are damaged.
    """

    generator: CompiledGenerator

    def __init__(self, generator: Generator, *, int8: bool = False, **options: Any) -> None:
        if int8 and not has_fast_int8():
            raise BackendError("This CPU has no fast 8-bit integers (AVX-VNNI, AVX512-VNNI or AMX); do without int8.")
        super().__init__(generator, device="cpu", dtype=torch.float32, **options)
        self.dtype = fastest_dtype(self.device)
        fast = quantise(self.exact, read_examples()) if int8 else self.exact
        self.generator = CompiledGenerator(fast, self.dtype)

    def _run(self, tile: np.ndarray, bits: int) -> np.ndarray | None:
        result = super()._run(tile, bits)
        if result is None:
            self.generator.compiled.cache_clear()  # what is compiled holds the memory that it computes in
        return result

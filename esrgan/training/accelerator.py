"""What a training computes on and in which precision, where neither a person nor `accelerate launch` says."""

import os
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from ..errors import TrainingError
from ..inference.device import has_fast_bf16
from ..inference.processes import process_state

LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # set by `accelerate launch`, to what its options or its configuration say


def make_accelerator(mixed_precision: str | None, output_dir: Path, **kwargs: Any) -> Accelerator:
    """An Accelerator whose precision, where neither the caller nor `accelerate launch` says, is the fast one.

    Args:
        mixed_precision: `no`, `fp16`, `bf16`, or None to choose.
        output_dir: where trackers write.
        **kwargs: further arguments of `Accelerator`.

    Raises:
        TrainingError: the device has no such precision.
    """
    state = process_state()
    if state.device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # crops are all of one size
        torch.set_float32_matmul_precision("high")  # TF32, as in convolutions already
    mixed_precision = mixed_precision or os.environ.get(LAUNCHED)
    if mixed_precision is None and has_fast_bf16(state.device):
        mixed_precision = "bf16"
    if mixed_precision == "fp16" and state.device.type == "cpu":  # accelerate would train in float32
        raise TrainingError("fp16 needs a GPU; on a CPU use bf16 or no (--mixed_precision).")
    return Accelerator(
        mixed_precision=mixed_precision,
        project_dir=output_dir,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        **kwargs,
    )

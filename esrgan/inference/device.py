"""What the machine at hand can do: the device, and the precision that is fast on it."""

from functools import cache
from timeit import repeat

import psutil
import torch
from torch.nn.functional import conv2d


def best_device() -> torch.device:
    """CUDA or another accelerator where torch sees one, else the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    return torch.device("cpu")


@cache
def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is native and faster than float32: CUDA from Ampere on; on a CPU, a convolution is timed.

    AMX makes it several times as fast. AVX512-BF16 alone may be faster or half as fast, and a virtual machine may hide
    AMX, so that what the CPU says it has does not settle it.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
        return bool(native) and _is_faster(torch.bfloat16, torch.float32)
    return False


def _is_faster(dtype: torch.dtype, other: torch.dtype) -> bool:
    """Whether it is at its best, of runs in turn: whatever else the CPU does slows a run, and never speeds one up."""
    seconds = [(_convolution_seconds(dtype), _convolution_seconds(other)) for _ in range(5)]
    return min(ours for ours, _ in seconds) < min(theirs for _, theirs in seconds)


@torch.inference_mode()
def _convolution_seconds(dtype: torch.dtype) -> float:
    """The lesser time of two runs of a generator's convolution on the CPU."""
    x = torch.zeros(1, 64, 96, 96).to(dtype, memory_format=torch.channels_last)
    weight = torch.zeros(64, 64, 3, 3).to(dtype, memory_format=torch.channels_last)
    return min(repeat(lambda: conv2d(x, weight, padding=1), number=1, repeat=2))


def has_fast_int8() -> bool:
    """Whether the CPU multiplies and adds 8-bit integers in one step; in two, sums of 16 bits could overflow."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx_vnni", "avx512_vnni", "amx_int8"))


def fastest_dtype(device: torch.device) -> torch.dtype:
    """The precision for inference: bfloat16 where native, half precision on other CUDA cards, else float32."""
    if has_fast_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on a device; those of the CPU where it does not say, as Apple's share its memory."""
    if device.type != "cpu":
        try:
            cached = torch.accelerator.memory_reserved(device) - torch.accelerator.memory_allocated(device)
            return torch.accelerator.get_memory_info(device)[0] + cached
        except RuntimeError:
            pass
    return psutil.virtual_memory().available

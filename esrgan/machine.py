"""What the machine at hand can do: the device, and the precision that is fast on it."""

import torch


def best_device() -> torch.device:
    """CUDA or another accelerator where torch sees one, else the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    return torch.device("cpu")


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is native: CUDA from Ampere on, a CPU with AVX512-BF16 or AMX. Emulated, it would be slow."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def fastest_dtype(device: torch.device) -> torch.dtype:
    """The precision for inference: bfloat16 where native, half precision on other CUDA cards, else float32."""
    if has_fast_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32

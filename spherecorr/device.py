"""Which device a model runs on, and how precisely."""

from __future__ import annotations

import torch

from spherecorr.errors import SpherecorrError


def pick_device(name: str = "auto") -> torch.device:
    """Turn "cpu", "cuda", "cuda:1", "mps", ... into a device; "auto" is a CUDA device if there is one, else the CPU.

    Raises:
        SpherecorrError: there is no such device on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SpherecorrError(f"There is no device '{name}' on this machine. Use 'auto' or 'cpu'.") from error
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """Turn "float32", "bfloat16" or "float16" into a type of numbers for frozen weights and what they compute.

    "auto" is float32 on the CPU; on a GPU bfloat16 where it computes with it, else float16.

    Raises:
        SpherecorrError: another name.
    """
    if name == "auto" and device.type == "cpu":
        name = "float32"
    elif name == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        name = "bfloat16" if native else "float16"
    if name not in ("float32", "bfloat16", "float16"):
        raise SpherecorrError(f"There is no dtype '{name}'. Use 'auto', 'float32', 'bfloat16' or 'float16'.")
    return getattr(torch, name)

"""Which device a model runs on."""

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

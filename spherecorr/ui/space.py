"""What a Hugging Face Space wants: weights that outlive a restart, and a GPU that is lent by the call.

Elsewhere nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spherecorr.features import FeatureMap

PERSISTENT = Path("/data")
"""Where a Space mounts storage that it keeps, if it has any."""
SECONDS = 60
"""For which a ZeroGPU Space is asked to lend a GPU; an image takes a few."""


def prepare_space(storage: Path = PERSISTENT) -> None:
    """Keep the Hub's cache on the Space's storage, and let `spaces` see torch before CUDA starts.

    To be called before anything imports huggingface_hub, which reads once where its cache is.
    """
    if "SPACE_ID" in os.environ and os.access(storage, os.W_OK):
        os.environ.setdefault("HF_HOME", str(storage / "huggingface"))
    _spaces()


def on_gpu(extract: Callable[..., FeatureMap]) -> Callable[..., FeatureMap]:
    """Let a ZeroGPU Space lend its GPU to feature extraction; anywhere else, the function as it is.

    There the call runs in a process of its own: arguments and result travel between the two, so the map comes back on
    the CPU.
    """
    spaces = _spaces()
    return extract if spaces is None else spaces.GPU(duration=SECONDS)(_to_cpu(extract))


def device_without_gpu(device: str) -> str:
    """The device of what runs outside `on_gpu`: the CPU on a ZeroGPU Space, anywhere else the one that is asked for."""
    return device if _spaces() is None else "cpu"


def _to_cpu(extract: Callable[..., FeatureMap]) -> Callable[..., FeatureMap]:
    def on_cpu(*args: Any) -> FeatureMap:
        return _on_cpu(extract(*args))

    return on_cpu


def _on_cpu(features: FeatureMap) -> FeatureMap:
    return replace(features, features=features.features.cpu(), parts=tuple(map(_on_cpu, features.parts)))


def _spaces() -> Any:
    """The package of ZeroGPU where it lends a GPU; None elsewhere."""
    if "SPACES_ZERO_GPU" not in os.environ:
        return None
    try:
        import spaces
    except ImportError:
        return None
    return spaces

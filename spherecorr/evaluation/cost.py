"""What a method costs: seconds for an image and for a pair, and the memory that it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """What a method costs on one machine.

    Attributes:
        image_seconds: median for one image, from its file to its features and what is computed from them.
        pair_seconds: median for one pair with all its keypoints, features at hand.
        peak_bytes: highest memory meanwhile: what torch has allocated on a GPU; else the whole process's, models and
            libraries included. NaN where the system does not tell.
        device: of the models.
        threads: that torch computes with.
    """

    image_seconds: float
    pair_seconds: float
    peak_bytes: float
    device: str
    threads: int


def measure_cost(
    images: Sequence[Any],
    pairs: Sequence[Any],
    per_image: Callable[[Any], Any],
    per_pair: Callable[[Any], Any],
    device: torch.device,
) -> Cost:
    """Do the work of some images and pairs, one after the other; the first of each only warms up where there are more.

    Args:
        images: at least one.
        pairs: at least one.
        per_image: what a method does once for each image.
        per_pair: what it does for each pair.
        device: of the models.
    """
    _reset_peak(device)
    image_seconds = _median_seconds(per_image, images, device)
    pair_seconds = _median_seconds(per_pair, pairs, device)
    return Cost(image_seconds, pair_seconds, _peak(device), str(device), torch.get_num_threads())


def _median_seconds(work: Callable[[Any], Any], items: Sequence[Any], device: torch.device) -> float:
    taken = []
    for item in items:
        begun = time.perf_counter()
        work(item)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken[1:] or taken))


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif RESET.exists():
        RESET.write_text("5")  # proc(5): the highest resident size begins anew


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    if not (RESET.exists() and STATUS.exists()):
        return math.nan
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024.0 * float(line.split()[1])

"""Time the matching of one pair by Stable Diffusion and DINOv2 together against DINOv2 alone.

    python benchmarks/fusion.py [--rounds 5] [--threads 2] [--device cpu]

Random features of the real sizes: DINOv2 ViT-B/14 at 840 px, 768 channels on 60 x 60 cells; `sd15` at 960 px, 640
channels on 60 x 60 cells, 1,280 on 30 x 30 and 1,280 on 15 x 15. A call matches 12 points of one image to the other,
from the stored features: what a pair costs that no other pair shares. Fused, it reduces each level to 256 components
that are found on both images, brings them to one grid and makes each backbone's vectors unit length. Prints
milliseconds, the median of the rounds after one that warms up, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

import spherecorr as sc
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource

POINTS, SIZE = 12, (420, 420)
DINO = (FeatureSource("dinov2-b", 768, 14, 11), 840)
SD = (
    (FeatureSource("sd15", 640, 16, 2), 960),
    (FeatureSource("sd15", 1280, 32, 1), 960),
    (FeatureSource("sd15", 1280, 64, 0), 960),
)


def random_map(source: FeatureSource, side: int, seed: int, device: str) -> FeatureMap:
    """Features of a square image on the grid that a backbone gives it."""
    framing = pad_to_square(SIZE, side, source.patch)
    columns, rows = framing.grid
    values = torch.randn(source.dim, rows, columns, generator=torch.Generator().manual_seed(seed))
    return FeatureMap(values.to(device), framing, source)


def images(device: str, *, fused: bool) -> list[FeatureMap]:
    """Both images of the pair, as a feature store gives them."""
    pair = []
    for number in (0, 10):
        features = random_map(*DINO, number, device)
        levels = [random_map(*level, number + 1 + i, device) for i, level in enumerate(SD)]
        pair.append(replace(features, parts=tuple(levels)) if fused else features)
    return pair


def milliseconds(call: Callable[[], object], rounds: int, device: str) -> float:
    """Median of the rounds after the first."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times[1:]), 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of which one more warms up (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    points = np.random.default_rng(0).uniform(0, SIZE, (POINTS, 2)).tolist()

    def timed(*, fused: bool, **settings: int) -> float:
        source, target = images(options.device, fused=fused)

        def match() -> object:
            # New maps, so that nothing is remembered of the round before.
            return sc.match(replace(source), replace(target), points=points, **settings)

        return milliseconds(match, options.rounds, options.device)

    report = {
        "dinov2-b alone": timed(fused=False),
        "sd15+dinov2-b, 256 components a level": timed(fused=True),
        "sd15+dinov2-b, all channels": timed(fused=True, co_pca=0),
        "unit": f"ms for one pair with {POINTS} points",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{options.device}, torch {torch.__version__}",
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

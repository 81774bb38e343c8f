"""Time and memory of Stable Diffusion 1.5's features, with random weights of the real size.

    python benchmarks/diffusion.py [--resolution 512] [--rounds 3] [--device cpu]

Times are those of the model, from framed input to features: the VAE's encoder, the passes that end after the level of
DIFT, after the paper's finest level and after the UNet's last block. Prints for each the seconds, the median of the
rounds after one that warms up, and the most gigabytes so far beyond the weights', as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from spherecorr.backbones.diffusion import DiffusionBackbone, DiffusionSettings

VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
PAPER = ("up_blocks[2].attentions[1]", "up_blocks[1].attentions[1]", "up_blocks[0].resnets[1]")
LEVELS = {"to DIFT's level": ("up_blocks[1]",), "to sd15's levels": PAPER, "to the last block": ("up_blocks[3]",)}


def build(device: str, levels: tuple[str, ...], parts: dict) -> DiffusionBackbone:
    """The models of real size, in single precision on the CPU and half on a GPU, with the levels of a row."""
    if not parts:
        torch.set_default_dtype(torch.float32 if device == "cpu" else torch.float16)
        with torch.device(device):
            parts["vae"] = AutoencoderKL(**VAE)
            parts["vae"].decoder = None
            parts["unet"] = UNet2DConditionModel(cross_attention_dim=768)
        torch.set_default_dtype(torch.float32)
    settings = DiffusionSettings(levels, timestep=261)
    prompt = torch.zeros(77, 768)
    return DiffusionBackbone(parts["vae"], parts["unet"], DDIMScheduler(), prompt, settings, "sd15")


def seconds(call: Callable[[], object], rounds: int, device: str) -> float:
    """Median of the rounds after the first."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times[1:]), 2)


def gigabytes(device: str) -> float:
    """The most memory of the process, or of the GPU, so far."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def gigabytes_now(device: str) -> float:
    """What the process, or the GPU, holds now."""
    if device != "cpu":
        return torch.cuda.memory_allocated() / 1e9
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=512, help="side of the square input (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of which one more warms up (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    options = parser.parse_args()
    inputs = np.random.default_rng(0).integers(0, 256, (1, options.resolution, options.resolution, 3), dtype=np.uint8)
    before = gigabytes_now(options.device)
    parts: dict = {}
    backbones = {row: build(options.device, levels, parts) for row, levels in LEVELS.items()}
    loaded = gigabytes_now(options.device)
    first = next(iter(backbones.values()))
    calls: dict[str, Callable[[], object]] = {"VAE's encoder": torch.no_grad()(lambda: first._encode(inputs))}
    calls |= {row: partial(backbone.extract, inputs) for row, backbone in backbones.items()}
    rows = {}
    for row, call in calls.items():  # the longer, the later: the most so far is this row's own
        took = seconds(call, options.rounds, options.device)
        rows[row] = {"s": took, "working_gb": round(gigabytes(options.device) - loaded, 2)}
    report = {
        "resolution": options.resolution,
        "parameters_m": round(sum(p.numel() for part in parts.values() for p in part.parameters()) / 1e6, 1),
        "weights_gb": round(loaded - before, 2),
        "rows": rows,
        "machine": f"{machine(options.device)}, torch {torch.__version__}",
    }
    print(json.dumps(report, indent=2))


def machine(device: str) -> str:
    """What computes."""
    if device != "cpu":
        return f"{torch.cuda.get_device_name()}, half precision"
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, single precision"


if __name__ == "__main__":
    main()

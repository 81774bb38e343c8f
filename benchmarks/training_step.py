"""Time of one training step beside a straightforward per-image loop with the public architecture, in the same run.

    python benchmarks/training_step.py [--device cuda] [--batch 8 --tokens 1024 --dim 384] [--rounds 7]

Three ways to make a step (mapper, prototypes, the paper's four losses, Adam) from the same features, 30 % foreground:

- `loop`: image by image over all patches, prototypes with their cross-attention, as one would write the paper down;
- `all patches`: the preset "paper", which computes the same but for its random triplets;
- `fast`: the preset "fast", which draws 256 of the patches anew in every step.

Rounds alternate between the three. Prints medians and ranges in milliseconds, ratios to the loop, the time of each
part, peak memory (each in a process of its own; on a CPU it needs Linux), and the time that the matrix products alone
would take at this machine's measured speed. On a GPU the batch is 64, D is 768, the precision bf16, and the time of a
SPair-sized run (1,000 images x 10 crops x 200 epochs) is projected.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, gelu, normalize, one_hot
from torch.utils.flop_counter import FlopCounterMode

from spherecorr.parallel import join_processes
from spherecorr.sphere.losses import (
    orientation_loss,
    reconstruction_loss,
    relative_distance_loss,
    sample_triplets,
    view_cosines,
    viewpoint_loss,
)
from spherecorr.sphere.mapper import SphereMapper, grid_positions
from spherecorr.sphere.prototypes import Prototypes
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.annotations import Annotations
from spherecorr.training.batches import TensorCrops
from spherecorr.training.fit import Trainer
from spherecorr.training.settings import LossWeights, preset

CATEGORIES, FOREGROUND, TRIPLETS = 18, 0.3, 32
SPAIR_IMAGES = 1000 * 10 * 200
WAYS = ("loop", "all patches", "fast")


def make_views(options: argparse.Namespace) -> TensorCrops:
    """Random features; the foreground is a disc in the middle."""
    generator = torch.Generator().manual_seed(0)
    side, images = math.isqrt(options.tokens), 2 * options.batch
    line = torch.linspace(-1, 1, side)
    distance = (line[:, None] ** 2 + line[None] ** 2).flatten()
    mask = distance <= distance.sort().values[round(FOREGROUND * side**2) - 1]
    labels = torch.zeros(images, 1, side**2, 5, dtype=torch.float16)
    labels[..., 0] = mask
    labels[..., 1] = ~mask
    known = Annotations(
        torch.rand(images, generator=generator) * 360,
        torch.full((images,), math.nan),
        torch.ones(images),
        torch.arange(images) % CATEGORIES,
        tuple(map(str, range(CATEGORIES))),
    )
    features = torch.randn(images, 1, side**2, options.dim, generator=generator).half()
    return TensorCrops(features.to(options.device), labels.to(options.device), known, (side, side))


# The loop


class CrossAttention(nn.Module):
    """Patches ask, the category answers."""

    def __init__(self, dim: int):
        super().__init__()
        self.heads = max(1, dim // 64)
        self.q = nn.Linear(dim, dim, bias=False)
        self.k, self.v = (nn.Linear(CATEGORIES, dim, bias=False) for _ in range(2))
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Patches `[1, N, D]`, condition `[1, 1, C]` -> `[1, N, D]`."""
        parts = self.q(tokens), self.k(condition), self.v(condition)
        heads = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]
        return self.proj(nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class PublicPrototypes(nn.Module):
    """The public architecture: one block, applied twice."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Linear(3, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = CrossAttention(dim)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, sphere: Tensor, category: Tensor) -> Tensor:
        """Sphere points `[1, N, 3]`, category `[1]` -> features `[1, N, D]`."""
        condition = one_hot(category, CATEGORIES).to(sphere)[:, None]
        tokens = self.proj(sphere)
        for _ in range(2):
            tokens = tokens + self.attention(self.norm1(tokens), condition)
            tokens = tokens + self.fc2(gelu(self.fc1(self.norm2(tokens))))
        return tokens


class Loop:
    """The paper's training step, image by image."""

    def __init__(self, data: TensorCrops, options: argparse.Namespace):
        torch.manual_seed(0)
        self.data, self.options = data, options
        self.mapper = SphereMapper(SphereSettings(options.dim)).to(options.device)
        self.prototypes = PublicPrototypes(options.dim).to(options.device)
        parameters = [*self.mapper.parameters(), *self.prototypes.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=1e-3)
        line = torch.linspace(0, 1, data.grid[0], device=options.device)
        self.places = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1).reshape(-1, 2)
        self.half = torch.autocast(options.device, torch.bfloat16, enabled=options.device != "cpu")

    def train_step(self) -> None:
        """One step."""
        images = torch.randint(len(self.data), (self.options.batch,))
        batch = self.data.batch(images, torch.zeros_like(images))
        errors, means, distances, orientations = [], [], [], []
        for i in range(self.options.batch):
            features, mask = batch.features[i : i + 1], batch.mask[i]
            with self.half:
                sphere = self.mapper(features) * mask[None, :, None]
                rebuilt = self.prototypes(sphere, batch.category[i : i + 1])
            sphere = sphere[0].float()
            errors.append((1 - cosine_similarity(features[0], rebuilt[0].float(), dim=-1))[mask])
            means.append(normalize(sphere.mean(dim=0), dim=0))
            inside = mask.nonzero().ravel()
            distances.append(self.distance(sphere, self.draw(inside)))
            orientations.append(self.orientation(sphere, self.draw(inside)))
        mean = torch.stack(means)
        turn = torch.deg2rad(batch.azimuth[:, None] - batch.azimuth[None]).cos()
        viewpoint = ((mean @ mean.T - turn) ** 2).mean()
        total = torch.cat(errors).mean() + 0.1 * viewpoint
        total = total + 0.3 * torch.cat(distances).mean() + 0.3 * torch.cat(orientations).mean()
        self.optimiser.zero_grad()
        total.backward()
        self.optimiser.step()

    def draw(self, inside: Tensor) -> Tensor:
        """Triplets of foreground patches `[3, K]`."""
        return inside[torch.randint(len(inside), (3, TRIPLETS), device=inside.device)]

    def distance(self, sphere: Tensor, triplets: Tensor) -> Tensor:
        """The relative distance loss of each triplet."""
        anchor, second, third = triplets
        places = self.places
        nearer = (places[second] - places[anchor]).norm(dim=-1) < (places[third] - places[anchor]).norm(dim=-1)
        positive, negative = torch.where(nearer, second, third), torch.where(nearer, third, second)
        to_positive = 1 - (sphere[anchor] * sphere[positive]).sum(-1)
        to_negative = 1 - (sphere[anchor] * sphere[negative]).sum(-1)
        return (to_positive - to_negative + 0.5).clamp(min=0)

    def orientation(self, sphere: Tensor, triplets: Tensor) -> Tensor:
        """The orientation loss of each triplet that is not too flat."""
        anchor, second, third = triplets
        e_b, e_c = (normalize(self.places[other] - self.places[anchor], dim=-1) for other in (second, third))
        turn = e_b[:, 0] * e_c[:, 1] - e_b[:, 1] * e_c[:, 0]
        kept = turn.abs() > 0.7
        anchor, second, third = triplets[:, kept]
        first, last = torch.where(turn[kept] > 0, second, third), torch.where(turn[kept] > 0, third, second)
        centre, tangents = sphere[anchor], []
        for other in (first, last):
            step = sphere[other] - centre
            tangents.append(normalize(step - centre * (centre * step).sum(-1, keepdim=True), dim=-1))
        tau = (torch.linalg.cross(*tangents) * centre).sum(-1)
        return (1 - tau).clamp(min=0) ** 2


# Measuring


def make_way(name: str, data: TensorCrops, options: argparse.Namespace) -> Callable[[], None]:
    """A function that makes one step."""
    if name == "loop":
        return Loop(data, options).train_step
    settings = preset("fast" if name == "fast" else "paper", SphereSettings(options.dim), len(data))
    # The same weights for all, so that all compute the same losses.
    precision = "fp32" if options.device == "cpu" else "bf16"
    settings = replace(settings, batch=options.batch, weights=LossWeights(), precision=precision)
    return Trainer(data, settings, join_processes(options.device), None).train_step


def seconds(work: Callable[[], None], device: str) -> float:
    """How long some work takes."""
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def resident(key: str) -> float:
    """Megabytes of this process in memory: now ("VmRSS"), or at most since the last reset ("VmHWM")."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)]
    return int(line.split()[1]) / 1e3


def peak_memory(name: str, options: argparse.Namespace) -> float:
    """Megabytes that steps take beyond what is there before the first: of the process, or of the GPU."""
    step = make_way(name, make_views(options), options)
    if options.device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is what there is now
        before = resident("VmRSS")
    else:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 1e6
    for _ in range(3):
        step()
    return (resident("VmHWM") if options.device == "cpu" else torch.cuda.max_memory_allocated() / 1e6) - before


def parts(options: argparse.Namespace, tokens: int) -> dict[str, Callable[[], None]]:
    """What a step consists of, each forward and backward on its own, with `tokens` patches of each image."""
    device, batch, dim = options.device, options.batch, options.dim
    mapper = SphereMapper(SphereSettings(dim)).to(device)
    prototypes = Prototypes(dim, CATEGORIES).to(device)
    features = torch.randn(batch, tokens, dim, device=device)
    rebuilt = torch.randn(batch, tokens, dim, device=device, requires_grad=True)
    points = normalize(torch.randn(batch, tokens, 3, device=device), dim=-1).requires_grad_()
    mask = torch.rand(batch, tokens, device=device) < FOREGROUND
    places = grid_positions((math.isqrt(tokens),) * 2).to(device)
    category = torch.zeros(int(mask.sum()), dtype=torch.long, device=device)
    cosines = view_cosines(torch.rand(batch, device=device) * 360)
    half = torch.autocast(device, torch.bfloat16, enabled=device != "cpu")

    def with_triplets(loss) -> Tensor:
        triplets, present = sample_triplets(mask.cpu(), TRIPLETS)
        return loss(points, places, triplets.to(device), present.to(device))

    def both_ways(forward: Callable[[], Tensor]) -> Callable[[], None]:
        def run() -> None:
            with half:
                value = forward()
            value.float().sum().backward()

        return run

    forwards = {
        "mapper": lambda: mapper(features, wanted=mask),
        "prototypes": lambda: prototypes(points[mask], category),
        "reconstruction": lambda: reconstruction_loss(features[mask], rebuilt[mask].float()),
        "viewpoint": lambda: viewpoint_loss(points, mask, cosines),
        "distance": lambda: with_triplets(relative_distance_loss),
        "orientation": lambda: with_triplets(orientation_loss),
    }
    return {name: both_ways(forward) for name, forward in forwards.items()}


def matmul_speed(device: str) -> float:
    """Floating-point operations per second of a large matrix product, in the precision of the training."""
    side, dtype = (2048, torch.float32) if device == "cpu" else (8192, torch.bfloat16)
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    matrix @ matrix
    return 2 * side**3 / min(seconds(lambda: matrix @ matrix, device) for _ in range(20))


def count_operations(step: Callable[[], None]) -> int:
    """Floating-point operations of a step's matrix products and attention, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def describe(times: list[float]) -> dict[str, float]:
    """Median and range in milliseconds."""
    return {name: round(1e3 * f(times), 2) for name, f in (("ms", statistics.median), ("min", min), ("max", max))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, help="default: 8; cuda: 64")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--dim", type=int, help="default: 384; cuda: 768")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    options.batch = options.batch or (8 if options.device == "cpu" else 64)
    options.dim = options.dim or (384 if options.device == "cpu" else 768)

    data = make_views(options)
    steps = {name: make_way(name, data, options) for name in WAYS}
    for step in 2 * [*steps.values()]:
        step()
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, options.device))
    speed = matmul_speed(options.device)
    result: dict[str, dict] = {}
    for name in WAYS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            memory = pool.submit(peak_memory, name, options).result()
        bound = count_operations(steps[name]) / speed
        result[name] = {
            **describe(times[name]),
            "times faster than the loop": round(statistics.median(times["loop"]) / statistics.median(times[name]), 1),
            "products alone, ms": round(1e3 * bound, 2),
            "peak MB": round(memory),
        }
        if options.device != "cpu":
            count = SPAIR_IMAGES / options.batch
            result[name]["SPair-sized run, minutes"] = round(count * statistics.median(times[name]) / 60, 1)
            result[name]["its products alone, minutes"] = round(count * bound / 60, 1)
        print(name, json.dumps(result[name]), flush=True)
    for name, tokens in (("all patches", options.tokens), ("fast", 256)):
        measured = {}
        for part, work in parts(options, tokens).items():
            work()
            measured[part] = describe([seconds(work, options.device) for _ in range(options.rounds)])["ms"]
        print(f"parts of {name}, ms", json.dumps(measured), flush=True)
    machine = torch.cuda.get_device_name() if options.device != "cpu" else platform.machine()
    products = f"matrix products {speed / 1e9:.0f} GFLOP/s"
    print(f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}, {products}")


if __name__ == "__main__":
    main()

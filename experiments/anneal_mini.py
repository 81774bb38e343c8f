r"""Bring a sphere's learning rate down to 0 on a CPU, on windows whose features are computed once.

    python experiments/anneal_mini.py draw windows0.pt --seed 100 --renders new --solids solids $PHOTOGRAPHS
    python experiments/anneal_mini.py draw windows1.pt --seed 101 --renders old --solids solids $PHOTOGRAPHS
    python experiments/anneal_mini.py train OUT windows0.pt windows1.pt --start sphere --steps 700

`$PHOTOGRAPHS` are the options `--photographs`, `--masked`, `--eth80` and `--split` of `train_mini.py`, whose windows
these are. A step takes some of one grid, and of each a part of its patches. The rate falls along a cosine.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from device_crops import DeviceCrops, PatchTrainer
from torch import Tensor
from train_mini import Data, several_layers

from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.mapper import grid_positions
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training import fit as fitting
from spherecorr.training.batches import Batch
from spherecorr.training.settings import LossWeights, TrainSettings

DRAWN = 16  # windows of one grid that are computed together
KEPT = "features", "mask", "background", "directions", "azimuth", "elevation", "quality", "category"
RISE = 20  # steps


def draw(options: argparse.Namespace) -> None:
    """Compute windows: of renders twice, of meshes' once, of photographs twice, of every second picture of ETH-80."""
    data = Data(options)
    generator = torch.Generator().manual_seed(options.seed)
    shapes, _, solids, photographs, masked = np.split(
        np.arange(sum(map(len, data.parts))), np.cumsum([len(part) for part in data.parts])[:-1]
    )
    turntable = np.array(["eth80" in str(record.path) for record in data.parts[3]])
    turns = [shapes, shapes, solids, photographs[~turntable], photographs[~turntable]]
    turns += [photographs[turntable][options.seed % 2 :: 2], masked]
    places = torch.from_numpy(np.concatenate(turns))
    places = places[torch.randperm(len(places), generator=generator)]
    crops = DeviceCrops(data.pictures, places, several_layers((7,), "cpu"), 192, data.backgrounds)
    batches = []
    for start in range(0, len(places) - DRAWN + 1, DRAWN):
        seeds = torch.randint(2**31, (DRAWN,), generator=generator)
        with torch.no_grad():
            batch = crops.batch(torch.arange(start, start + DRAWN), seeds)
        halves = {name: getattr(batch, name) for name in KEPT}
        batches.append({"grid": crops.grid, **halves, "features": batch.features.half()})
    torch.save((crops.categories, batches), options.out)


class Windows:
    """Windows that were drawn, by their grids; see `TrainingCrops`."""

    has_surface, has_warp, feature_dim = True, False, 192

    def __init__(self, files: list[Path], tokens: int):
        loaded = [torch.load(path, weights_only=False) for path in files]
        self.categories, self.tokens = loaded[0][0], tokens
        groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for _, batches in loaded:
            for batch in batches:
                groups.setdefault(batch.pop("grid"), []).append(batch)
        self.windows = {grid: {n: torch.cat([b[n] for b in group]) for n in KEPT} for grid, group in groups.items()}
        self.grids = list(self.windows)
        sizes = np.array([len(self.windows[grid]["mask"]) for grid in self.grids])
        self.count, self.shares = int(sizes.sum()), sizes / sizes.sum()
        self.grid, self.cells = self.grids[0], torch.zeros(0)

    def __len__(self) -> int:
        return self.count

    def has_foreground(self) -> bool:
        """See `TrainingCrops`."""
        return True

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """Windows of one grid, and patches of each, which `cells` says."""
        rng = np.random.default_rng(int(seeds.sum()))
        self.grid = self.grids[rng.choice(len(self.grids), p=self.shares)]
        windows = self.windows[self.grid]
        chosen = torch.from_numpy(rng.integers(0, len(windows["mask"]), len(images)))
        batch = Batch(**{name: values[chosen] for name, values in windows.items()})
        patches = math.prod(self.grid)
        drawn = [rng.permutation(patches)[: self.tokens] for _ in chosen]
        self.cells = torch.from_numpy(np.stack(drawn))
        batch = batch.take(self.cells)
        return Batch(**{name: v.float() if v.dtype == torch.float16 else v for name, v in batch.tensors().items()})

    def positions(self) -> Tensor:
        """`grid_positions` of the patches of the last batch `[B, tokens, 2]`."""
        return grid_positions(self.grid)[self.cells]


def falling(settings: TrainSettings, step: int) -> float:
    """The learning rate of a step."""
    share = (1 + math.cos(math.pi * step / settings.steps)) / 2
    return settings.learning_rate * share * min(1.0, (step + 1) / RISE)


def train(options: argparse.Namespace) -> None:
    """Train on windows."""
    fitting.learning_rate = falling
    weights = LossWeights(0, viewpoint=0.3, distance=0, orientation=0.1, surface=1, foreground=0.3)
    settings = TrainSettings(
        SphereSettings(192, width=192, depth=4, positions="frame"), weights, options.steps, options.batch,
        learning_rate=options.learning_rate, optimiser="muon", precision="bf16", seed=options.seed, tokens=0,
        save_every=100,
    )  # fmt: skip
    start = load_sphere(options.start, device="cpu")
    windows = Windows(options.windows, options.tokens)
    mapper = fitting.fit(windows, settings, options.out / "run", start=start, device="cpu", trainer=PatchTrainer)
    save_sphere(mapper, options.out)


def main() -> None:
    """Draw windows, or train on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    drawing = actions.add_parser("draw")
    drawing.add_argument("out", type=Path)
    for name in ("renders", "solids", "other"):
        drawing.add_argument(f"--{name}", type=Path, action="append", default=[])
    for name in ("photographs", "masked", "eth80", "split"):
        drawing.add_argument(f"--{name}", type=Path, required=True)
    drawing.add_argument("--seed", type=int, default=100)
    drawing.set_defaults(run=draw, device="cpu", processes=1, repeats=1, rows=False)
    training = actions.add_parser("train")
    training.add_argument("out", type=Path)
    training.add_argument("windows", type=Path, nargs="+")
    training.add_argument("--start", required=True)
    training.add_argument("--learning-rate", type=float, default=5e-4)
    for name, value in {"steps": 700, "batch": 32, "tokens": 256, "seed": 7}.items():
        training.add_argument(f"--{name}", type=int, default=value)
    training.set_defaults(run=train)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()

"""What `spherecorr train --recipe` does, as settings: a recipe is one of these and a function that follows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from spherecorr.render.settings import RenderSettings
from spherecorr.training.settings import LossWeights

TAUGHT_WEIGHTS = LossWeights(reconstruction=0, viewpoint=0.3, distance=0, orientation=0.1, surface=0.5, foreground=0.3)


@dataclass(frozen=True)
class TeachRecipe:
    """How a few dozen photographs of one kind teach a sphere; what was tried: `experiments/README.md`.

    Attributes:
        weights: of the losses; that of `foreground` counts for the background's place on a sphere that has one.
        steps: of the training.
        batch: photographs, each as it is or mirrored, in a step.
        tokens: patches drawn from each.
        foreground_weight: see `TrainSettings`.
        learning_rate: highest, and low enough that the start sphere keeps what it knew.
        resolution: long side of the model's input in pixels. None: the start sphere's, else the backbone's own.
        mirrored: also teach, and ask, each photograph's mirror image: for objects whose left mirrors their right.
        held_out: share of the photographs with a viewpoint that are kept out, to tell what was learned.
        fewest: photographs kept out at least, and three times as many to teach.
        show_every: steps between two showings of the held-out photographs' sphere maps.
        seed: random seed.
    """

    weights: LossWeights = TAUGHT_WEIGHTS
    steps: int = 200
    batch: int = 16
    tokens: int = 64
    foreground_weight: float = 8.0
    learning_rate: float = 3e-4
    resolution: int | None = None
    mirrored: bool = True
    held_out: float = 0.2
    fewest: int = 3
    show_every: int = 50
    seed: int = 0


TEACH = TeachRecipe()
"""From a sphere that knows other kinds."""
TEACH_FROM_NOTHING = TeachRecipe(steps=800, learning_rate=1e-3)
"""Without one, on a strong backbone."""


PHOTOGRAPH_WEIGHTS = LossWeights(
    reconstruction=0, viewpoint=0.3, distance=0, orientation=0.1, surface=1, foreground=0.3
)


@dataclass(frozen=True)
class PhotographsRecipe:
    """How renders and photographs together make a sphere for a backbone, as `mini`'s was made.

    Attributes:
        renders: to train on, of the split trn.
        held_out: renders of other objects, of the split val, whose pairs choose the best step and alpha.
        resolution: side of the model's input in pixels, a multiple of its patch.
        smallest_crop: see `StoreSettings`.
        photograph_crops: stored of each photograph, every other one mirrored; of a render there is one.
        repeats: how often the photographs stand in the training set.
        weights: of the losses.
        width: channels inside the mapper.
        depth: its blocks.
        mirror_angle: see `SphereSettings`.
        steps: of the training.
        batch: pictures in a step.
        tokens: patches drawn from each.
        foreground_weight: see `TrainSettings`.
        learning_rate: highest.
        optimiser: see `TrainSettings`.
        precision: see `TrainSettings`.
        log_every: see `TrainSettings`.
        save_every: see `TrainSettings`.
        validate_every: see `TrainSettings`.
        seed: random seed.
        alphas: of which that with the highest PCK less symmetric mistakes is recommended.
    """

    renders: RenderSettings = field(default_factory=partial(RenderSettings, "trn", 7000, 500, size=448))
    held_out: RenderSettings = field(default_factory=partial(RenderSettings, "val", 280, 40, size=448))
    resolution: int = 448
    smallest_crop: float = 0.6
    photograph_crops: int = 8
    repeats: int = 2
    weights: LossWeights = PHOTOGRAPH_WEIGHTS
    width: int = 192
    depth: int = 4
    mirror_angle: float = 40.0
    steps: int = 8000
    batch: int = 48
    tokens: int = 48
    foreground_weight: float = 10.0
    learning_rate: float = 1e-3
    optimiser: Literal["adamw", "muon"] = "muon"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    log_every: int = 50
    save_every: int = 200
    validate_every: int = 1000
    seed: int = 0
    alphas: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


PHOTOGRAPHS = PhotographsRecipe()

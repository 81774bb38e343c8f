"""How a sphere mapper is trained: settings, and the two sets of them that have names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal

from spherecorr.errors import SpherecorrError
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.schedule import one_cycle

WARM_UP = 0.1  # share of the steps of a one-cycle schedule in which the learning rate rises
PAPER_PASSES = 2000  # how often the paper's run sees an image: 200 epochs over a list of ten times the images
PAPER_BATCH = 64
PresetName = Literal["fast", "paper", "asic", "deil"]
PRESET_SPHERES: dict[str, dict[str, Any]] = {"asic": {"surface": "plane", "alpha": 1.0}, "deil": {"alpha": 1.0}}
"""What a preset changes of `SphereSettings`: the related systems match by the surface alone."""
_PAIRS = {"crop": "square", "smallest_crop": 0.6, "crops": 4}
PRESET_CROPS: dict[str, dict[str, Any]] = {"paper": {"crop": "resized", "crops": 10}, "asic": _PAIRS, "deil": _PAIRS}
"""What a preset changes of `StoreSettings`: the related systems learn from pairs of crops."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; the defaults are the paper's, which has none of those with 0."""

    reconstruction: float = 1.0
    viewpoint: float = 0.1
    distance: float = 0.3
    orientation: float = 0.3
    surface: float = 0.0
    background: float = 0.0
    visibility: float = 0.0
    equivariance: float = 0.0
    foreground: float = 0.0
    correspondence: float = 0.0
    smoothness: float = 0.0
    labelling: float = 0.0

    @property
    def two_crops(self) -> bool:
        """Whether a step takes two crops of each image."""
        return self.equivariance > 0 or self.labelling > 0

    def __post_init__(self):
        weights = asdict(self).values()
        if min(weights) < 0 or not any(weights):
            raise SpherecorrError("A loss's weight is 0 or more, and at least one is above 0.")

    def changed(self, weights: Mapping[str, float]) -> LossWeights:
        """These weights with others by name.

        Raises:
            SpherecorrError: there is no such loss, or see `__post_init__`.
        """
        known = asdict(self)
        if unknown := weights.keys() - known.keys():
            raise SpherecorrError(f"There is no loss '{min(unknown)}'; there are {', '.join(known)}.")
        return LossWeights(**{**known, **weights})


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the defaults are the preset "fast" without its weights.

    Attributes:
        sphere: the mapper's own settings.
        weights: of the losses.
        steps: steps of the optimiser.
        batch: images in a step, over all processes.
        tokens: patches drawn from each image in a step, background included; 0 takes all.
        foreground_weight: sampling weight of a patch on the object in that draw; of one off it 1.
        triplets: triplets per image and step, for each of the two losses that use them.
        learning_rate: highest learning rate of Adam.
        optimiser: "adamw", or "muon", which makes the steps of the blocks' matrices orthogonal and takes AdamW for the
            rest: fewer steps to the same loss.
        schedule: "one-cycle" lets the learning rate rise for a tenth of the steps, then fall to 0; or "constant".
        weight_decay: weight decay of AdamW; 0 makes it Adam.
        clip: longest gradient; longer ones are shortened to it. 0: none are.
        precision: precision of the mapper's and the prototypes' matrix products; "fp16" scales the gradients.
        seed: random seed.
        log_every: steps between two lines of the run's metrics, each the mean since the last.
        save_every: steps between two savings of the run's state; a multiple of `log_every`.
        validate_every: steps between two validations; a multiple of `save_every`.
    """

    sphere: SphereSettings
    weights: LossWeights = field(default_factory=LossWeights)
    steps: int = 2000
    batch: int = 48
    tokens: int = 256
    foreground_weight: float = 1.0
    triplets: int = 32
    learning_rate: float = 1e-3
    optimiser: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: int = 0
    log_every: int = 50
    save_every: int = 200
    validate_every: int = 1000

    def __post_init__(self):
        if min(self.steps, self.batch, self.triplets, self.log_every) < 1 or self.tokens < 0:
            raise SpherecorrError("Steps, batch, triplets and log_every are 1 or more, tokens 0 or more.")
        if not self.foreground_weight > 0:
            raise SpherecorrError(f"The foreground sampling weight is above 0; got {self.foreground_weight:g}.")
        every = self.log_every, self.save_every, self.validate_every
        if any(longer < 1 or longer % shorter for shorter, longer in pairwise(every)):
            raise SpherecorrError("save_every is a multiple of log_every, and validate_every of save_every.")


def preset(name: str, sphere: SphereSettings, images: int) -> TrainSettings:
    """Settings known by a name.

    Args:
        name: "paper" is the run of the paper's public code: Adam at a constant rate, batches of 64, 2,000 passes, all
            patches; its crops are "resized" crops. "fast" is minutes on a CPU: 256 patches of each crop, one cycle,
            and the viewpoint leads, as it would otherwise be learned last. "asic" and "deil" are small forms of two
            related systems, see docs/related.md. What they change of the mapper and of crops is in `PRESET_SPHERES` and
            `PRESET_CROPS`.
        sphere: the mapper's own settings.
        images: how many there are to train on.

    Raises:
        SpherecorrError: another name.
    """
    if name == "fast":
        return TrainSettings(sphere, LossWeights(viewpoint=5.0))
    if name in ("asic", "deil"):
        none = dict.fromkeys(asdict(LossWeights()), 0.0)
        asic = {"correspondence": 1.0, "smoothness": 0.3, "equivariance": 1.0}
        weights = LossWeights(**{**none, **(asic if name == "asic" else {"labelling": 1.0})})
        return TrainSettings(sphere, weights, steps=600, batch=16, foreground_weight=8.0)
    if name == "paper":
        steps = math.ceil(PAPER_PASSES * images / PAPER_BATCH)
        return TrainSettings(
            sphere, steps=steps, batch=PAPER_BATCH, tokens=0, schedule="constant", weight_decay=0.0, clip=0.0
        )
    raise SpherecorrError(f"There is no preset '{name}'; there are fast, paper, asic and deil.")


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The learning rate of a step."""
    if settings.schedule == "constant":
        return settings.learning_rate
    return one_cycle(step, settings.steps, WARM_UP, settings.learning_rate)

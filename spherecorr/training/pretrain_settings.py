"""How a small backbone is distilled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spherecorr.errors import SpherecorrError

MIN_STEPS = 40  # the learning rate needs a step or two to rise


@dataclass(frozen=True)
class PretrainSettings:
    """How to distil.

    Attributes:
        architecture: timm name of the student.
        depth: transformer blocks of the student.
        start: "random" weights, or the "teacher"'s own first blocks, where it is of the same architecture.
        layers: the teacher's blocks whose tokens are joined.
        resolution: side of the square pictures in pixels; a multiple of the patch.
        window: side in patches of the random part of each picture that the student sees in most steps; in every
            fourth step it sees whole pictures, fewer at a time.
        batch: pictures in a step of windows.
        steps: steps of training.
        learning_rate: highest learning rate, reached after 5 % of the steps; then a half cosine to 0.
        weight_decay: weight decay of AdamW.
        seed: random seed.
    """

    architecture: str = "vit_tiny_patch16_224"
    depth: int = 6
    start: Literal["random", "teacher"] = "random"
    layers: tuple[int, ...] = (3, 5, 7, 9)
    resolution: int = 448
    window: int = 14
    batch: int = 32
    steps: int = 2400
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.03
    seed: int = 0

    def __post_init__(self):
        if self.steps < MIN_STEPS or self.batch < 1 or self.window < 1:
            raise SpherecorrError(f"Distillation takes at least {MIN_STEPS} steps, a batch and a window of 1 or more.")

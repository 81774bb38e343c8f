"""Everything that a sphere mapper must be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from spherecorr.errors import SpherecorrError
from spherecorr.identity import FeatureSource

MOST = {"feature_dim": 65_536, "width": 65_536, "depth": 64, "resolution": 16_384}
"""Above these a file is damaged, or was made to fill the memory."""


@dataclass(frozen=True)
class SphereSettings:
    """Everything that a mapper must be told, stored beside its weights.

    Attributes:
        feature_dim: D, channels of the features it takes.
        width: channels inside the mapper. None: half of the backbone's; the paper's choice.
        depth: transformer blocks of the mapper; the authors use one.
        surface: where the points lie: the paper's unit "sphere", or a "plane", see `sphere.surface`.
        positions: "none", as in the paper, or "frame": the mapper also sees where in the picture a patch lies.
        source: the features it was trained on; others are refused. None: only D is checked.
        resolution: long side of the training images in input pixels.
        background: "free", as in the paper: background patches fall anywhere; "below": they were taught to fall
            straight under the object, so that the map shows what is foreground; "head": they fall anywhere, and a head
            of its own tells the object's patches.
        alpha: recommended share of the sphere in the fused similarity, 0..1.
        symmetric_angle: degrees on the sphere between a point and its raw match from which the match is called a
            likely symmetric mistake, where `mirror_angle` is None.
        mirror_angle: for mappers that were taught true directions, whose +y is the object's left: degrees around the
            mirror image of a point within which its raw match is called a likely symmetric mistake.
        visible_angle: degrees; a point whose nearest target cell is farther on the sphere is called not visible.
        categories: what it was trained on.
    """

    feature_dim: int
    width: int | None = None
    depth: int = 1
    surface: Literal["sphere", "plane"] = "sphere"
    positions: Literal["none", "frame"] = "none"
    source: FeatureSource | None = None
    resolution: int = 448
    background: Literal["free", "below", "head"] = "free"
    alpha: float = 0.2
    symmetric_angle: float = 60.0
    mirror_angle: float | None = None
    visible_angle: float = 40.0
    categories: tuple[str, ...] = ()

    def __post_init__(self):
        for name, most in MOST.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or not 1 <= value <= most):
                raise SpherecorrError(f"A mapper's {name} is a whole number from 1 to {most:,}; got {value!r}.")
        for name in ("alpha", "symmetric_angle", "mirror_angle", "visible_angle"):
            value = getattr(self, name)
            wanted = value is not None or name == "mirror_angle"
            if not wanted or not isinstance(value, int | float | None) or not math.isfinite(value or 0):
                raise SpherecorrError(f"A mapper's {name} is a finite number; got {value!r}.")
        if not 0 <= self.alpha <= 1:
            raise SpherecorrError(f"alpha is the sphere's share and must lie between 0 and 1; got {self.alpha:g}.")
        if self.surface not in ("sphere", "plane"):
            raise SpherecorrError(f"A mapper's surface is 'sphere' or 'plane'; got '{self.surface}'.")
        if self.surface == "plane" and self.background == "below":
            raise SpherecorrError("Only a sphere has a place below the object for the background; a plane has none.")
        if self.depth < 1:
            raise SpherecorrError(f"A mapper has one transformer block or more; got {self.depth}.")
        if self.channels % self.heads:
            raise SpherecorrError(f"A mapper's width must be a multiple of 64, or below 128; got {self.channels}.")

    @property
    def channels(self) -> int:
        """`width`, or what stands for it."""
        return self.width or self.feature_dim // 2

    @property
    def heads(self) -> int:
        """Attention heads: one per 64 channels."""
        return max(1, self.channels // 64)

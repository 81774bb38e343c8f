"""How points are matched: one frozen record for the app, the API, the command line and the evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spherecorr.errors import SpherecorrError

Fusion = Literal["cosine", "l2"]
PoseAlign = Literal["nearest", "mutual"]
Candidates = Literal["content", "all", "foreground", "mask"]


@dataclass(frozen=True)
class MatchSettings:
    """How to match.

    Attributes:
        alpha: share of the sphere in the fused similarity, 0 to 1. None: what the sphere recommends.
        k: ranked matches per point.
        soft_window: refine the best match by a soft-argmax over so many cells to each side. None: not refined.
        temperature: temperature of that soft-argmax; towards 0 it becomes the best cell's centre.
        fusion: what is mixed: "cosine" similarities, or "l2", negated Euclidean distances of unit vectors, as the
            paper's public code does for Stable Diffusion with DINOv2.
        co_pca: principal components kept of each level of a diffusion model, found on both images of a pair together,
            before its levels are joined; 0 joins them as they are, as some public evaluations do.
        candidates: which target cells can be matched: those on the image's "content", "all" (padding too, as in the
            public evaluations), the "foreground" that the sphere or the features show, or those of a given "mask".
    """

    alpha: float | None = None
    k: int = 1
    soft_window: int | None = None
    temperature: float = 0.02
    fusion: Fusion = "cosine"
    co_pca: int = 256
    candidates: Candidates = "content"

    def __post_init__(self):
        if self.alpha is not None:
            check_alpha(self.alpha)
        if self.k < 1:
            raise SpherecorrError(f"k, the number of matches per point, must be at least 1; got {self.k}.")
        if self.soft_window is not None and self.soft_window < 0:
            raise SpherecorrError(
                f"The soft window counts cells to each side and must be at least 0; got {self.soft_window}."
            )
        if not self.temperature > 0:
            raise SpherecorrError(f"The temperature of the soft-argmax must be above 0; got {self.temperature:g}.")
        if self.fusion not in ("cosine", "l2"):
            raise SpherecorrError(f"Similarities are fused as 'cosine' or 'l2'; not '{self.fusion}'.")
        if self.co_pca < 0:
            raise SpherecorrError(f"co_pca counts components and must be at least 0; got {self.co_pca}.")
        if self.candidates not in ("content", "all", "foreground", "mask"):
            raise SpherecorrError(
                f"Matches lie on 'content', 'all', 'foreground' or 'mask'; there are no candidates '{self.candidates}'."
            )


def check_alpha(alpha: float) -> None:
    """Refuse a share outside 0..1."""
    if not 0 <= alpha <= 1:
        raise SpherecorrError(f"alpha is the sphere's share and must lie between 0 and 1; got {alpha:g}.")

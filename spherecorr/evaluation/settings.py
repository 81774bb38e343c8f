"""How matches are scored, apart from how they are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spherecorr.errors import SpherecorrError


@dataclass(frozen=True)
class EvaluationSettings:
    """How matches are scored.

    Attributes:
        thresholds: thresholds of PCK and KAP, as shares of the longer side of the target.
        protocols: of KAP, names of `metrics.KAP_PROTOCOLS`.
        sides: whether thresholds are shares of the target's "box" (of the image where it has none) or of its "image".
        inclusive: count a match exactly at the threshold as correct.
        resamples: bootstrap resamples behind the confidence intervals; 0 for none.
    """

    thresholds: tuple[float, ...] = (0.1, 0.05, 0.01)
    protocols: tuple[str, ...] = ("corrected", "authors", "jamais-vu")
    sides: Literal["box", "image"] = "box"
    inclusive: bool = False
    resamples: int = 500

    def __post_init__(self):
        for threshold in self.thresholds:
            if not threshold > 0:
                raise SpherecorrError(f"Thresholds are shares of a side, above 0; got {threshold:g}.")
        if self.resamples < 0:
            raise SpherecorrError(f"The number of resamples is 0 or more; got {self.resamples}.")

"""Which cells of a target can be matched, and where the object is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap, estimate_foreground
from spherecorr.geometry import Framing, mask_to_cells
from spherecorr.matching.settings import Candidates
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.sphere.mapper import SphereMapper

SMALLEST, LARGEST = 0.01, 0.95  # shares of a picture's cells between which an object lies
DECIDED = 0.6  # mean |2p - 1| over a picture's cells from which the probabilities p of a sphere tell its object


@dataclass(frozen=True, eq=False)
class Foreground:
    """The object's cells, if it can be told from the background.

    Attributes:
        cells: boolean `[H, W]`, on the image's content; all of this where the object is uncertain.
        certain: whether the object could be told from the background.
    """

    cells: np.ndarray
    certain: bool


def candidate_cells(target: ImageFeatures, candidates: Candidates) -> np.ndarray:
    """Boolean `[H, W]`: the cells that can be matched, see `MatchSettings.candidates`; at least one.

    Raises:
        SpherecorrError: the foreground or a mask is asked for, and `object_cells` is None.
    """
    if candidates == "all":
        columns, rows = target.framing.grid
        return np.ones((rows, columns), dtype=bool)
    content = target.framing.content_cells()
    if candidates == "content":
        return content
    if target.object_cells is None:
        raise SpherecorrError(f"The candidates '{candidates}' need the target's object cells, and there are none.")
    chosen = content & target.object_cells
    return chosen if chosen.any() else content


def find_foreground(features: FeatureMap, sphere: SphereMapper | None, sphere_map: SphereMap | None) -> Foreground:
    """Where the object is, as the sphere shows it or, without one that can, as the features do.

    It is uncertain where it covers less than `SMALLEST` or more than `LARGEST` of the picture, or where the sphere
    gives the object's probability and is on average less than `DECIDED` away from a toss-up.
    """
    by_sphere = sphere.foreground(sphere_map) if sphere is not None and sphere_map is not None else None
    content = features.framing.content_cells()
    cells = content & (estimate_foreground(features) if by_sphere is None else by_sphere)
    certain = SMALLEST <= cells.sum() / content.sum() <= LARGEST
    if certain and sphere_map is not None and sphere_map.foreground is not None:
        probability = sphere_map.foreground.float().cpu().numpy()[content]
        certain = bool(np.abs(2 * probability - 1).mean() >= DECIDED)
    return Foreground(cells, True) if certain else Foreground(content.copy(), False)


def not_told(role: str) -> str:
    """What a person is told where the object of the "source" or "target" is uncertain."""
    return f"The object could not be told from the background in the {role}; all of the picture is matched."


def mask_cells(mask: np.ndarray, framing: Framing) -> np.ndarray:
    """Boolean `[H, W]`: the cells that an image mask `[h, w]` covers by more than half; all where it covers none so."""
    cells = mask_to_cells(mask, framing)
    return cells if cells.any() else np.ones_like(cells)

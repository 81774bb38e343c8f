"""Which cells of a target can be matched, and where the object is."""

from __future__ import annotations

import numpy as np

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap, estimate_foreground
from spherecorr.geometry import Framing, mask_to_cells
from spherecorr.matching.settings import Candidates
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.sphere.mapper import SphereMapper


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


def find_foreground(features: FeatureMap, sphere: SphereMapper | None, sphere_map: SphereMap | None) -> np.ndarray:
    """Boolean `[H, W]`: the object's cells as the sphere shows them or, without one that can, as the features do."""
    by_sphere = sphere.foreground(sphere_map) if sphere is not None and sphere_map is not None else None
    return estimate_foreground(features) if by_sphere is None else by_sphere


def mask_cells(mask: np.ndarray, framing: Framing) -> np.ndarray:
    """Boolean `[H, W]`: the cells that an image mask `[h, w]` covers by more than half; all where it covers none so."""
    cells = mask_to_cells(mask, framing)
    return cells if cells.any() else np.ones_like(cells)

"""Test-time pose alignment: of a source and its mirror image, match the one that is nearer to the target.

After the zero-shot part of "Telling Left from Right" (CVPR 2024), written anew. `docs/related.md` says what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from spherecorr.features import FeatureMap, estimate_foreground
from spherecorr.matching.settings import PoseAlign
from spherecorr.matching.similarity import check_comparable

Point = tuple[float, float]


@dataclass(frozen=True)
class Alignment:
    """How far a source and its mirror image are from a target, see `instance_distance`.

    Attributes:
        plain: of the source as it is.
        mirror: of its mirror image.
    """

    plain: float
    mirror: float

    @property
    def mirrored(self) -> bool:
        """Whether the mirror image is nearer: the two objects probably face opposite ways."""
        return self.mirror < self.plain


def align(
    source: FeatureMap,
    mirror: FeatureMap,
    target: FeatureMap,
    *,
    source_cells: np.ndarray | None = None,
    target_cells: np.ndarray | None = None,
    by: PoseAlign = "nearest",
) -> Alignment:
    """Compare a source and its mirror image with a target.

        alignment = align(backbone(image), backbone(ImageOps.mirror(image)), backbone(other))

    Args:
        source: features of the source, H x W cells.
        mirror: features of its mirror image, framed likewise.
        target: features of the target.
        source_cells: bool `[H, W]`, where the source's object is; None estimates it, see `estimate_foreground`.
        target_cells: bool, likewise for the target.
        by: see `instance_distance`.

    Raises:
        SpherecorrError: features of different models or tokens.
    """
    own = estimate_foreground(source) if source_cells is None else source_cells
    there = estimate_foreground(target) if target_cells is None else target_cells
    return Alignment(
        instance_distance(source, own, target, there, by), instance_distance(mirror, own[:, ::-1], target, there, by)
    )


def instance_distance(
    source: FeatureMap,
    source_cells: np.ndarray,
    target: FeatureMap,
    target_cells: np.ndarray,
    by: PoseAlign = "nearest",
) -> float:
    """Mean distance from the cells of one object to the nearest cells of another ("instance matching distance").

    Args:
        source: features of one image.
        source_cells: bool `[H, W]`; none set takes all.
        target: features of the other.
        target_cells: bool, likewise.
        by: "nearest" counts all cells of the source, "mutual" only those that are also nearest to their nearest one.

    Returns:
        Euclidean distance of unit vectors, 0 to 2.

    Raises:
        SpherecorrError: features of different models or tokens.
    """
    check_comparable(source, target)
    first, second = _object(source, source_cells), _object(target, target_cells).to(source.unit)
    cosine = first.T @ second / len(source.sources)
    best, nearest = cosine.max(dim=1)
    if by == "mutual":
        own = torch.arange(len(best), device=best.device)
        best = best[cosine.argmax(dim=0)[nearest] == own]  # never empty: the best match of all is mutual
    return float((2 - 2 * best).clamp(min=0).sqrt().mean())


def mirrored_places(points: Mapping[str, Point | None], partners: Mapping[str, str], width: float) -> dict[str, Point]:
    """Where in the mirror image of a picture each of its named keypoints is to be read.

    The left eye of an object that faces the other way looks like the mirror image of the right eye: a keypoint is read
    where its left/right partner lies in the mirror image. One without partner, on the symmetry plane, is read at its
    own mirror image.

    Args:
        points: name -> (x, y) in pixels of the picture; None where hidden.
        partners: name -> its left/right partner, see `data.symmetry`.
        width: of the picture in pixels.

    Returns:
        Name -> (x, y) in pixels of the mirror image; without keypoints that are hidden or whose partner is.
    """
    shown = {name: point for name, point in points.items() if point}
    read = {name: shown.get(partners.get(name, name)) for name in shown}
    return {name: (width - point[0], point[1]) for name, point in read.items() if point}


def _object(features: FeatureMap, cells: np.ndarray) -> torch.Tensor:
    """The unit vectors of the object's cells `[P, K]`; of all cells where there are none."""
    flat = torch.from_numpy(np.ascontiguousarray(cells if cells.any() else np.ones_like(cells)).reshape(-1))
    return features.unit[:, flat.to(features.unit.device)]

"""Matching: similarity rows, fusion with the sphere, and the ways to read a match from a row.

A row is the similarity of one source point to every cell of the target: `[N, H, W]` for N points. Cells are
(col, row) integers, points are (x, y) in original image pixels (see `geometry`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import Framing
from spherecorr.sphere.mapper import SphereMapper

MIRROR_MARGIN = 10.0  # degrees by which a match must be nearer to a point's mirror image than to the point


@dataclass(frozen=True, eq=False)
class View:
    """One image as matching sees it.

    Attributes:
        features: its feature map.
        sphere: its sphere map, if there is a mapper for these features.
        foreground: boolean `[H, W]`; only these cells can be matched. None: all can.
    """

    features: FeatureMap
    sphere: SphereMap | None = None
    foreground: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Ranked:
    """The best matches of N points by one similarity.

    Attributes:
        xy: `[N, k, 2]` target points in original pixels, best first; NaN where fewer than k cells were left.
        score: `[N, k]` their similarities, -inf where there is none.
        rows: `[N, H, W]` the similarity rows they were read from.
    """

    xy: np.ndarray
    score: np.ndarray
    rows: Tensor


@dataclass(frozen=True, eq=False)
class MatchResult:
    """What `match` found. Without a sphere, everything but `points`, `raw` and `raw_cycle` is None.

    Attributes:
        points: `[N, 2]` the source points in original pixels.
        raw: matches by the backbone's features alone.
        sphere: matches by the sphere alone.
        fused: matches by both, mixed with alpha.
        raw_cycle: `[N]` px in the source between a point and the raw match of its raw match.
        fused_cycle: `[N]` the same for the fused similarity.
        raw_angle: `[N]` degrees on the sphere between a point and its raw match.
        nearest_angle: `[N]` degrees on the sphere between a point and the nearest target cell.
        symmetric_mistake: `[N]` bool, the raw match lies far off on the sphere although a near cell is in sight.
        visible: `[N]` bool, some target cell lies near the point on the sphere.
    """

    points: np.ndarray
    raw: Ranked
    raw_cycle: np.ndarray
    sphere: Ranked | None = None
    fused: Ranked | None = None
    fused_cycle: np.ndarray | None = None
    raw_angle: np.ndarray | None = None
    nearest_angle: np.ndarray | None = None
    symmetric_mistake: np.ndarray | None = None
    visible: np.ndarray | None = None


def similarity_rows(source: Tensor, cells: np.ndarray, target: Tensor) -> Tensor:
    """Cosine similarity of source cells to every target cell.

    Args:
        source: `[D, H, W]`.
        cells: integer (col, row) `[N, 2]` in the source.
        target: `[D, H', W']`.

    Returns:
        `[N, H', W']` in -1..1.
    """
    columns, rows = torch.as_tensor(cells, device=source.device).T
    queries = torch.nn.functional.normalize(source[:, rows, columns].float(), dim=0)
    return torch.einsum("dn,dhw->nhw", queries, torch.nn.functional.normalize(target.float(), dim=0))


def fuse(features: Tensor, sphere: Tensor, alpha: float) -> Tensor:
    """Mix two similarities of one shape: `(1 - alpha) * features + alpha * sphere` (paper section 3.4).

    Raises:
        SpherecorrError: alpha outside 0..1.
    """
    if not 0 <= alpha <= 1:
        raise SpherecorrError(f"alpha is the sphere's share and must lie between 0 and 1; got {alpha:g}.")
    return (1 - alpha) * features + alpha * sphere


def top_k(rows: Tensor, k: int = 1, radius: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k best cells of each row, no two within `radius` cells of each other (non-maximum suppression).

    Args:
        rows: `[N, H, W]`; -inf marks cells that are not to be taken.
        k: how many.
        radius: Chebyshev distance in cells around a taken cell that is left out for the next ranks.

    Returns:
        Cells (col, row) int64 `[N, k, 2]` and scores `[N, k]`. Where no cell is left the score is -inf.
    """
    remaining = rows.clone()
    count, height, width = rows.shape
    cells = np.zeros((count, k, 2), dtype=np.int64)
    scores = np.zeros((count, k))
    all_rows, all_columns = torch.arange(height, device=rows.device), torch.arange(width, device=rows.device)
    for rank in range(k):
        best, index = remaining.flatten(1).max(dim=1)
        row, column = index // width, index % width
        cells[:, rank] = torch.stack([column, row], dim=1).cpu().numpy()
        scores[:, rank] = best.cpu().numpy()
        near_rows = (all_rows[None] - row[:, None]).abs() <= radius
        near_columns = (all_columns[None] - column[:, None]).abs() <= radius
        remaining[near_rows[:, :, None] & near_columns[:, None, :]] = -torch.inf
    return cells, scores


def window_soft_argmax(rows: Tensor, window: int = 5, temperature: float = 0.02) -> np.ndarray:
    """Sub-cell matches: the softmax-weighted mean of the cells around each row's best one.

    After "Telling Left from Right" (CVPR 2024), whose zero-shot setting is a window of 5 cells to each side.

    Args:
        rows: `[N, H, W]`.
        window: cells kept on each side of the best one.
        temperature: of the softmax; towards 0 this becomes the best cell's centre.

    Returns:
        Grid coordinates `[N, 2]` (cell centres at + 0.5), for `Framing.from_grid`.
    """
    best, _ = top_k(rows)
    height, width = rows.shape[1:]
    column, row = torch.as_tensor(best[:, 0], device=rows.device).T
    xs, ys = torch.arange(width, device=rows.device), torch.arange(height, device=rows.device)
    near = ((ys[None] - row[:, None]).abs() <= window)[:, :, None] & ((xs[None] - column[:, None]).abs() <= window)[
        :, None, :
    ]
    weights = (rows / temperature).masked_fill(~near, -torch.inf).flatten(1).softmax(dim=1).reshape(rows.shape)
    x = (weights.sum(dim=1) * (xs + 0.5)).sum(dim=1)
    y = (weights.sum(dim=2) * (ys + 0.5)).sum(dim=1)
    return torch.stack([x, y], dim=1).cpu().numpy().astype(np.float64)


def rank(rows: Tensor, framing: Framing, k: int, soft_window: int | None = None) -> Ranked:
    """Read the k best matches of each row as original pixels; a soft window refines the first."""
    cells, scores = top_k(rows, k)
    xy = framing.to_pixel(cells)
    if soft_window is not None:
        xy[:, 0] = framing.from_grid(window_soft_argmax(rows, soft_window))
    xy[np.isneginf(scores)] = np.nan
    return Ranked(xy, scores, rows)


def view_rows(source: View, target: View, cells: np.ndarray, alpha: float) -> Tensor:
    """Fused similarity `[N, H, W]` of source cells to the target; alpha 0 is raw features, 1 the sphere alone.

    Cells outside the target's foreground, and cells on padding, get -inf.
    """
    if alpha == 0:
        rows = similarity_rows(source.features.features, cells, target.features.features)
    elif alpha == 1:
        rows = similarity_rows(source.sphere.points, cells, target.sphere.points)
    else:
        rows = fuse(view_rows(source, target, cells, 0), view_rows(source, target, cells, 1), alpha)
    allowed = target.features.framing.content_cells()
    if target.foreground is not None:
        allowed = allowed & target.foreground
    return rows.masked_fill(~torch.as_tensor(allowed, device=rows.device), -torch.inf)


def cycle_error(source: View, target: View, points: np.ndarray, rows: Tensor, alpha: float) -> np.ndarray:
    """Pixels `[N]` between each point and the best match, back in the source, of its best match in the target.

    A perfect match of a point at its cell's centre gives 0; elsewhere the cell's size sets the floor. NaN where no cell
    can be matched.
    """
    there, scores = top_k(rows)
    back, back_scores = top_k(view_rows(target, source, there[:, 0], alpha))
    error = np.linalg.norm(source.features.framing.to_pixel(back[:, 0]) - points, axis=1)
    return np.where(np.isneginf(scores[:, 0]) | np.isneginf(back_scores[:, 0]), np.nan, error)


def mirror_angles(source: Tensor, target: Tensor, cells: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """Degrees `[N]` between the mirror image (y exchanged: left and right) of each cell's sphere point and its match's.

    Args:
        source: unit vectors `[3, H, W]`.
        target: likewise, of the other image.
        cells: (column, row) `[N, 2]` in the source.
        matches: (column, row) `[N, 2]` in the target.
    """
    mirrored = source[:, cells[:, 1], cells[:, 0]] * source.new_tensor([1.0, -1.0, 1.0])[:, None]
    cosine = (mirrored * target[:, matches[:, 1], matches[:, 0]]).sum(dim=0)
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).cpu().numpy()


def nearer_mirror(to_mirror: np.ndarray, to_point: np.ndarray, mirror_angle: float) -> np.ndarray:
    """Boolean `[N]`: matches within `mirror_angle` of a point's mirror image, clearly nearer to it than to the point.

    Args:
        to_mirror: degrees `[N]` from `mirror_angles`.
        to_point: degrees `[N]` on the sphere between the points and their matches.
        mirror_angle: degrees.
    """
    return (to_mirror <= mirror_angle) & (to_mirror + MIRROR_MARGIN < to_point)


def match(
    source: FeatureMap,
    target: FeatureMap,
    points: Sequence[tuple[float, float]] | np.ndarray,
    *,
    sphere: SphereMapper | None = None,
    alpha: float | None = None,
    k: int = 1,
    soft_window: int | None = None,
) -> MatchResult:
    """Find where points of the source image lie in the target image.

    Args:
        source: features of the image with the points.
        target: features of the other image, of the same backbone.
        points: (x, y) in original pixels of the source.
        sphere: the mapper; None gives raw matches only.
        alpha: share of the sphere in the fused similarity; by default what the mapper recommends.
        k: how many ranked matches per point.
        soft_window: refine the best match by a window soft-argmax of so many cells to each side.

    Raises:
        SpherecorrError: a point outside the image or not finite, features of two backbones, k < 1, alpha outside 0..1,
            a negative window, or a mapper trained on other features.
    """
    if sphere is None:
        return match_views(View(source), View(target), points, k=k, soft_window=soft_window)
    settings = sphere.settings
    return match_views(
        View(source, sphere.sphere_map(source)),
        View(target, sphere.sphere_map(target)),
        points,
        alpha=settings.alpha if alpha is None else alpha,
        k=k,
        soft_window=soft_window,
        symmetric_angle=settings.symmetric_angle,
        mirror_angle=settings.mirror_angle,
        visible_angle=settings.visible_angle,
    )


def match_views(
    source: View,
    target: View,
    points: Sequence[tuple[float, float]] | np.ndarray,
    *,
    alpha: float = 0.2,
    k: int = 1,
    soft_window: int | None = None,
    symmetric_angle: float = 60.0,
    mirror_angle: float | None = None,
    visible_angle: float = 40.0,
) -> MatchResult:
    """`match` for images whose sphere maps and foregrounds are already at hand; the same errors.

    Args:
        source: the image with the points.
        target: the other image.
        points: (x, y) in original pixels of the source.
        alpha: share of the sphere in the fused similarity.
        k: how many ranked matches per point.
        soft_window: see `match`.
        symmetric_angle: degrees, see `SphereSettings`.
        mirror_angle: degrees or None, see `SphereSettings`.
        visible_angle: degrees, see `SphereSettings`.
    """
    points = source.features.framing.check_points(points)
    if source.features.source != target.features.source:
        raise SpherecorrError(
            f"The images have different features: {source.features.source}, {target.features.source}."
        )
    if k < 1:
        raise SpherecorrError(f"k, the number of matches per point, must be at least 1; got {k}.")
    if soft_window is not None and soft_window < 0:
        raise SpherecorrError(f"The soft window counts cells to each side and must be at least 0; got {soft_window}.")
    if not 0 <= alpha <= 1:
        raise SpherecorrError(f"alpha is the sphere's share and must lie between 0 and 1; got {alpha:g}.")
    cells = source.features.framing.to_cell(points)
    framing = target.features.framing

    raw_rows = view_rows(source, target, cells, 0)
    raw = rank(raw_rows, framing, k, soft_window)
    raw_cycle = cycle_error(source, target, points, raw_rows, 0)
    if source.sphere is None or target.sphere is None:
        return MatchResult(points, raw, raw_cycle)

    sphere_rows = view_rows(source, target, cells, 1)
    fused_rows = view_rows(source, target, cells, alpha)
    angles = torch.rad2deg(torch.arccos(sphere_rows.clamp(-1, 1)))  # cells that cannot be matched are at 180 degrees
    best_raw = top_k(raw_rows)[0][:, 0]
    raw_angle = angles[torch.arange(len(cells)), best_raw[:, 1], best_raw[:, 0]].cpu().numpy()
    nearest_angle = angles.flatten(1).min(dim=1).values.cpu().numpy()
    visible = nearest_angle <= visible_angle
    if mirror_angle is None:
        mistake = visible & (raw_angle > symmetric_angle)
    else:
        to_twin = mirror_angles(source.sphere.points, target.sphere.points, cells, best_raw)
        mistake = nearer_mirror(to_twin, raw_angle, mirror_angle) & np.isfinite(raw.score[:, 0])
    return MatchResult(
        points,
        raw,
        raw_cycle,
        sphere=rank(sphere_rows, framing, k, soft_window),
        fused=rank(fused_rows, framing, k, soft_window),
        fused_cycle=cycle_error(source, target, points, fused_rows, alpha),
        raw_angle=raw_angle,
        nearest_angle=nearest_angle,
        symmetric_mistake=mistake,
        visible=visible,
    )

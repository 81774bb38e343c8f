"""Reading matches from similarity rows `[N, H, W]`, and what tells whether a match can be trusted.

-inf marks cells that are not to be matched. Cells are (col, row) integers, points (x, y) in original image pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spherecorr.geometry import Framing
from spherecorr.matching.settings import MatchSettings

MIRROR_MARGIN = 10.0  # degrees by which a match must be nearer to a point's mirror image than to the point


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


def rank(rows: Tensor, framing: Framing, settings: MatchSettings) -> Ranked:
    """Read the `settings.k` best matches of each row as original pixels; a soft window refines the first."""
    cells, scores = top_k(rows, settings.k)
    xy = framing.to_pixel(cells)
    xy[:, 0] = best_points(rows, framing, settings, cells[:, 0])
    xy[np.isneginf(scores)] = np.nan
    return Ranked(xy, scores, rows)


def best_points(rows: Tensor, framing: Framing, settings: MatchSettings, best: np.ndarray | None = None) -> np.ndarray:
    """The best match of each row in original pixels `[N, 2]`, refined where the settings have a soft window.

    Args:
        rows: `[N, H, W]`.
        framing: of the target.
        settings: how to match.
        best: the best cells `[N, 2]`, where they are known already.
    """
    best = best_cells(rows) if best is None else best
    if settings.soft_window is None:
        return framing.to_pixel(best)
    return framing.from_grid(window_soft_argmax(rows, best, settings.soft_window, settings.temperature))


def best_cells(rows: Tensor) -> np.ndarray:
    """The cell (col, row) `[N, 2]` of each row's highest similarity, the first of equal ones."""
    flat = rows.flatten(1)
    # On a CPU numpy's argmax takes a quarter of torch's time.
    index = flat.numpy().argmax(axis=1) if flat.device.type == "cpu" else flat.argmax(dim=1).cpu().numpy()
    return np.stack([index % rows.shape[2], index // rows.shape[2]], axis=-1)


def top_k(rows: Tensor, k: int = 1, radius: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k best cells of each row, no two within `radius` cells of each other (non-maximum suppression).

    Args:
        rows: `[N, H, W]`.
        k: how many.
        radius: Chebyshev distance in cells around a taken cell that is left out for the next ranks.

    Returns:
        Cells (col, row) int64 `[N, k, 2]` and scores `[N, k]`. Where no cell is left the score is -inf.
    """
    remaining = rows.clone() if k > 1 else rows
    count, height, width = rows.shape
    cells = np.zeros((count, k, 2), dtype=np.int64)
    scores = np.zeros((count, k))
    for place in range(k):
        cells[:, place] = best_cells(remaining)
        column, row = torch.as_tensor(cells[:, place], device=rows.device).T
        scores[:, place] = remaining[torch.arange(count), row, column].cpu().numpy()
        if place + 1 < k:
            remaining[_near(row, column, height, width, radius)] = -torch.inf
    return cells, scores


def window_soft_argmax(rows: Tensor, best: np.ndarray, window: int = 5, temperature: float = 0.02) -> np.ndarray:
    """Sub-cell matches: the softmax-weighted mean of the cells around each row's best one.

    After "Telling Left from Right" (CVPR 2024), whose zero-shot setting is a window of 5 cells to each side.

    Args:
        rows: `[N, H, W]`.
        best: the best cells (col, row) `[N, 2]`.
        window: cells kept on each side of the best one.
        temperature: of the softmax; towards 0 this becomes the best cell's centre.

    Returns:
        Grid coordinates `[N, 2]` (cell centres at + 0.5), for `Framing.from_grid`.
    """
    height, width = rows.shape[1:]
    column, row = torch.as_tensor(best, device=rows.device).T
    near = _near(row, column, height, width, window)
    weights = (rows / temperature).masked_fill(~near, -torch.inf).flatten(1).softmax(dim=1).reshape(rows.shape)
    x = (weights.sum(dim=1) * (torch.arange(width, device=rows.device) + 0.5)).sum(dim=1)
    y = (weights.sum(dim=2) * (torch.arange(height, device=rows.device) + 0.5)).sum(dim=1)
    return torch.stack([x, y], dim=1).cpu().numpy().astype(np.float64)


def _near(row: Tensor, column: Tensor, height: int, width: int, radius: int) -> Tensor:
    """Boolean `[N, height, width]`: cells within `radius` of cell n, along both axes."""
    rows, columns = torch.arange(height, device=row.device), torch.arange(width, device=row.device)
    near_rows, near_columns = (rows - row[:, None]).abs() <= radius, (columns - column[:, None]).abs() <= radius
    return near_rows[:, :, None] & near_columns[:, None, :]


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

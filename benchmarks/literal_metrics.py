"""PCK and KAP read literally: one keypoint, one threshold, one cell at a time, with distance maps of the whole input.

Slow on purpose of being plain. The tests hold the package against it, `metrics.py` beside it times both.
"""

from __future__ import annotations

import numpy as np

from spherecorr.geometry import Framing
from spherecorr.metrics import KapProtocol


def similarity(source: np.ndarray, cells: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Cosine similarity `[N, H, W]` of the source's cells (col, row) `[N, 2]` to all of the target's `[D, H, W]`."""
    source = source / np.linalg.norm(source, axis=0)
    target = target / np.linalg.norm(target, axis=0)
    return np.stack([np.einsum("d,dhw->hw", source[:, row, column], target) for column, row in cells])


def pck(rows: np.ndarray, framing: Framing, truth: np.ndarray, thresholds: list[float]) -> np.ndarray:
    """Bool `[T, N]`: the best cell on the image lies within the threshold in pixels; strictly, and false if hidden."""
    right = np.zeros((len(thresholds), len(rows)), dtype=bool)
    content = framing.content_cells()
    for n, row in enumerate(rows):
        best = None
        for line in range(framing.grid[1]):
            for column in range(framing.grid[0]):
                if content[line, column] and (best is None or row[line, column] > row[best[1], best[0]]):
                    best = (column, line)
        x, y = framing.from_grid(np.array(best) + 0.5)
        for t, threshold in enumerate(thresholds):
            right[t, n] = np.hypot(x - truth[n][0], y - truth[n][1]) < threshold
    return right


def squared_distances(framing: Framing, point: np.ndarray, protocol: KapProtocol) -> np.ndarray:
    """Squared pixels of the original image `[H, W]` from a point to where the protocol measures each cell.

    For corners, the squared distance of every pixel of the model's input, of which every `patch`-th is kept: what
    downsampling by the nearest pixel does. This supposes that both axes were scaled alike.
    """
    columns, lines = framing.grid
    if protocol.cell_anchor == "corner":
        width, height = framing.input_size
        x, y = point * framing.scale + framing.offset
        ys, xs = np.mgrid[:height, :width]
        distances = (xs - x) ** 2 + (ys - y) ** 2
        return distances[:: framing.patch, :: framing.patch] / framing.scale[0] ** 2
    distances = np.zeros((lines, columns))
    for line in range(lines):
        for column in range(columns):
            x, y = framing.from_grid(np.array([column + 0.5, line + 0.5]))
            distances[line, column] = (x - point[0]) ** 2 + (y - point[1]) ** 2
    return distances


def kap(
    rows: np.ndarray, framing: Framing, truth: np.ndarray, threshold: float, protocol: KapProtocol
) -> tuple[list[float], list[int]]:
    """KAP's scores and labels of one pair at one threshold in pixels, keypoint by keypoint."""
    content = framing.content_cells()
    if protocol.padding == "lowest":
        lowest = min(row[content].min() for row in rows)
        rows = np.array([np.where(content, row, lowest) for row in rows])
    low, high = rows.min(), rows.max()
    scores, labels = [], []
    for row, point in zip(rows, truth, strict=True):
        if protocol.normalise == "pair":
            row = (row - low) / (high - low) if high > low else np.zeros_like(row)
        if np.isnan(point[0]):
            if protocol.absent == "negative":
                scores.append(row.max())
                labels.append(0)
                continue
            point = framing.from_grid(np.zeros(2))
        distances = squared_distances(framing, point, protocol)
        positive = distances <= threshold**2 if protocol.inclusive else distances < threshold**2
        if protocol.force_nearest:
            positive[np.unravel_index(distances.argmin(), distances.shape)] = True
        scores.append(row[positive].max() if positive.any() else 0.0)
        labels.append(1)
        if not positive.all():
            scores.append(row[~positive].max())
            labels.append(0)
    return scores, labels

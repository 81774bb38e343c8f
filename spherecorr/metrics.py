"""Is a match right? PCK, KAP, and the mistake this project is about: the mirrored keypoint taken for the keypoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from spherecorr.geometry import Framing


def correct(error: np.ndarray, threshold: np.ndarray | float, inclusive: bool = False) -> np.ndarray:
    """PCK's decision: the match is closer than the threshold (strictly, as in the public evaluations).

    Args:
        error: pixels between match and keypoint; NaN where the keypoint is hidden, which is never correct.
        threshold: pixels, usually 0.1 times the longer side of the target's box.
        inclusive: exactly at the threshold is correct too.
    """
    return error <= threshold if inclusive else error < threshold


def symmetric_mistake(
    error: np.ndarray, mirrored_error: np.ndarray, threshold: np.ndarray | float, inclusive: bool = False
) -> np.ndarray:
    """The match is within the threshold of the mirrored keypoint, and nearer to it than to the keypoint.

    Args:
        error: pixels between match and keypoint; NaN where the keypoint is hidden, then only the mirrored one decides.
        mirrored_error: pixels between match and mirrored keypoint; NaN where that is hidden or there is none.
        threshold: pixels.
        inclusive: exactly at the threshold is within it too.
    """
    return correct(mirrored_error, threshold, inclusive) & ~(error <= mirrored_error)


@dataclass(frozen=True)
class KapProtocol:
    """The choices in which public evaluations of KAP (keypoint average precision) differ.

    Attributes:
        cell_anchor: where a cell is measured: its centre, as PCK does, or its top-left corner, which is what a distance
            map of the model's input gives when it is downsampled to the cells by the nearest pixel.
        inclusive: a cell exactly at the threshold is positive.
        force_nearest: the cell nearest to the keypoint is positive however far it is; otherwise a keypoint without a
            cell within the threshold counts as found with similarity 0.
        normalise: "pair" stretches the similarities of a pair's keypoints to 0..1 together; "none" keeps them.
        padding: "lowest" gives cells on padding, which cannot be matched, the lowest similarity of the pair; "counted"
            treats them like all others.
        absent: a keypoint that the target lacks is a "negative"; or it is taken to lie at the "origin", the input's
            top-left corner, and counts like one in sight.
    """

    cell_anchor: Literal["centre", "corner"] = "centre"
    inclusive: bool = False
    force_nearest: bool = True
    normalise: Literal["pair", "none"] = "none"
    padding: Literal["lowest", "counted"] = "lowest"
    absent: Literal["negative", "origin"] = "negative"


_AUTHORS = KapProtocol(cell_anchor="corner", normalise="pair", padding="counted")
_JAMAIS_VU = replace(_AUTHORS, inclusive=True, force_nearest=False)
KAP_PROTOCOLS = {
    "corrected": KapProtocol(),
    "authors": _AUTHORS,  # the paper's public code
    "jamais-vu": _JAMAIS_VU,  # the later public code of its first author, as it was meant
    "jamais-vu-as-run": replace(_JAMAIS_VU, absent="origin"),  # and as it is
}


def kap_maxima(
    rows: np.ndarray, framing: Framing, truth: np.ndarray, thresholds: np.ndarray | float, protocol: KapProtocol
) -> tuple[np.ndarray, np.ndarray]:
    """What one pair adds to KAP: does the similarity itself say whether a match is right?

    A keypoint that the target shows gives its highest similarity among the cells near it (label 1) and its highest
    among all others (label 0); one that the target lacks gives its highest anywhere (label 0).

    Args:
        rows: `[A, N, H, W]` by A similarities, of the N keypoints that the source shows.
        framing: of the target.
        truth: `[N, 2]` target pixels; NaN where the target lacks the keypoint.
        thresholds: `[T]` pixels around the keypoint within which a cell is positive.
        protocol: the choices.

    Returns:
        Highest of the positives and highest of the negatives, `[A, T, N]` each; NaN where there are none.
    """
    thresholds = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    similarities, count = rows.shape[:2]
    if count == 0:
        return (np.full((similarities, len(thresholds), 0), np.nan),) * 2
    rows = rows.reshape(similarities, count, -1).copy()
    padding = np.flatnonzero(~framing.content_cells()) if protocol.padding == "lowest" else np.zeros(0, dtype=int)
    rows[..., padding] = np.inf
    lowest = rows.min(axis=(1, 2))[:, None, None]
    rows[..., padding] = lowest
    if protocol.absent == "origin":
        truth = np.where(np.isnan(truth), framing.from_grid(np.zeros(2)), truth)
    keypoint, cell, ring = _near_cells(framing, truth, np.sort(thresholds), protocol)
    # Positives grow with the threshold: those of the t-th smallest are rings 0 to t, its negatives all further ones.
    rings = len(thresholds) + 1
    best = np.full((similarities, count * rings), -np.inf, dtype=rows.dtype)
    place = keypoint * rings + ring
    for ring_maxima, near in zip(best, rows[:, keypoint, cell], strict=True):
        np.maximum.at(ring_maxima, place, near)
    rows[:, keypoint, cell] = -np.inf
    best = best.reshape(similarities, count, rings)
    best[..., -1] = rows.max(axis=-1)
    positive = np.maximum.accumulate(best[..., :-1], axis=-1)
    negative = np.maximum.accumulate(best[..., :0:-1], axis=-1)[..., ::-1]
    maxima = np.stack([positive, negative])
    maxima[np.isneginf(maxima)] = np.nan
    if protocol.normalise == "pair":
        highest = best.max(axis=(1, 2))[:, None, None]
        maxima = (maxima - lowest) / np.maximum(highest - lowest, 1e-12)
    if not protocol.force_nearest:
        maxima[0][np.isnan(maxima[0]) & ~np.isnan(truth[:, :1])] = 0.0
    back = np.argsort(np.argsort(thresholds, kind="stable"), kind="stable")
    positive, negative = maxima[..., back].swapaxes(-1, -2)
    return positive, negative


def _near_cells(
    framing: Framing, truth: np.ndarray, thresholds: np.ndarray, protocol: KapProtocol
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells that are positive at the largest of the rising thresholds, each once.

    Returns:
        `[M]` each: keypoint, cell (counted row by row), and ring: the smallest threshold at which the cell is positive.
    """
    xs, ys = framing.axes(0.5 if protocol.cell_anchor == "centre" else 0.0)
    across, down = (xs - truth[:, :1]) ** 2, (ys - truth[:, 1:]) ** 2
    limits = thresholds**2
    within = np.less_equal if protocol.inclusive else np.less
    keypoint, row = np.nonzero(within(down, limits[-1]))  # no cell of any other row is near
    squared = down[keypoint, row, None] + across[keypoint]
    line, column = np.nonzero(within(squared, limits[-1]))
    keypoint, cell = keypoint[line], row[line] * len(xs) + column
    ring = np.searchsorted(limits, squared[line, column], side="left" if protocol.inclusive else "right")
    if protocol.force_nearest:
        shown = np.flatnonzero(~np.isnan(truth[:, 0]))
        nearest = np.full(len(truth), -1)
        nearest[shown] = down[shown].argmin(axis=1) * len(xs) + across[shown].argmin(axis=1)
        others = cell != nearest[keypoint]
        keypoint, cell = np.append(keypoint[others], shown), np.append(cell[others], nearest[shown])
        ring = np.append(ring[others], np.zeros_like(shown))
    return keypoint, cell, ring

"""Is a match right? PCK, KAP, and the mistake this project is about: the mirror twin taken for the part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spherecorr.geometry import Framing


def correct(predicted: np.ndarray, truth: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """PCK's decision per keypoint: closer to the truth than the threshold (strictly, as in the public evaluations).

    Args:
        predicted: `[N, 2]` pixels.
        truth: `[N, 2]` pixels; NaN where the keypoint is hidden, which is never correct.
        threshold: pixels, usually 0.1 times the longer side of the target's box.
    """
    return np.linalg.norm(predicted - truth, axis=-1) < threshold


def symmetric_mistake(
    predicted: np.ndarray, truth: np.ndarray, twin: np.ndarray, threshold: np.ndarray | float
) -> np.ndarray:
    """Bool `[N]`: the match is within the threshold of the keypoint's mirror twin, and nearer to it than to the truth.

    Args:
        predicted: `[N, 2]` pixels.
        truth: `[N, 2]` pixels; NaN where hidden, then only the twin decides.
        twin: `[N, 2]` pixels of the left keypoint for a right one and the reverse; NaN where hidden or there is none.
        threshold: pixels.
    """
    to_truth = np.nan_to_num(np.linalg.norm(predicted - truth, axis=-1), nan=np.inf)
    to_twin = np.linalg.norm(predicted - twin, axis=-1)
    return (to_twin < threshold) & (to_twin < to_truth)


@dataclass(frozen=True)
class KapProtocol:
    """The choices in which public evaluations of KAP (keypoint average precision) differ.

    Attributes:
        cell_anchor: where a cell is measured: its centre, as PCK does, or its top-left corner, as the authors' code.
        inclusive: a cell exactly at the threshold is positive.
        force_nearest: the cell nearest to the keypoint is positive however far it is.
        normalise: "pair" stretches the similarities of a pair's keypoints to 0..1 together; "none" keeps them.
    """

    cell_anchor: Literal["centre", "corner"] = "centre"
    inclusive: bool = False
    force_nearest: bool = True
    normalise: Literal["pair", "none"] = "none"


KAP_PROTOCOLS = {
    "corrected": KapProtocol(),
    "authors": KapProtocol(cell_anchor="corner", normalise="pair"),
    "jamais-vu": KapProtocol(cell_anchor="corner", inclusive=True, force_nearest=False, normalise="pair"),
}


def kap_entries(
    rows: np.ndarray, framing: Framing, truth: np.ndarray, threshold: float, protocol: KapProtocol
) -> tuple[np.ndarray, np.ndarray]:
    """What one pair adds to KAP: does the similarity itself say whether a match is right?

    A keypoint that the target shows gives its highest similarity among the cells near it (label 1) and its highest
    among all others (label 0); one that the target lacks gives its highest anywhere (label 0).

    Args:
        rows: `[N, H, W]` similarities of the N keypoints that the source shows.
        framing: of the target.
        truth: `[N, 2]` target pixels; NaN where the target lacks the keypoint.
        threshold: pixels around the keypoint within which a cell is positive.
        protocol: the choices.

    Returns:
        Scores and labels (1 or 0), both `[M]`; empty for N = 0.
    """
    if len(rows) == 0:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    rows = rows.reshape(len(rows), -1)
    if protocol.normalise == "pair":
        rows = (rows - rows.min()) / max(float(np.ptp(rows)), 1e-12)
    columns, lines = np.meshgrid(np.arange(framing.grid[0]), np.arange(framing.grid[1]))
    corners = np.stack([columns, lines], axis=-1).reshape(-1, 2)
    cells = framing.from_grid(corners + (0.5 if protocol.cell_anchor == "centre" else 0.0))
    present = ~np.isnan(truth[:, 0])
    shown = rows[present]
    distance = np.linalg.norm(cells[None] - truth[present, None], axis=-1)
    positive = distance <= threshold if protocol.inclusive else distance < threshold
    if protocol.force_nearest:
        positive[np.arange(len(positive)), distance.argmin(axis=1)] = True
    best_positive = np.where(positive, shown, -np.inf).max(axis=1)
    best_negative = np.where(positive, -np.inf, shown).max(axis=1)
    if not protocol.force_nearest:  # without a positive cell the keypoint counts as found with similarity 0
        best_positive[~positive.any(axis=1)] = 0.0
    best_negative = best_negative[~positive.all(axis=1)]  # a threshold that covers the picture leaves no negatives
    absent = rows[~present].max(axis=1)
    scores = np.concatenate([best_positive, best_negative, absent])
    labels = np.concatenate([np.ones(len(best_positive)), np.zeros(len(best_negative) + len(absent))])
    return scores, labels.astype(np.int64)


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Precision summed over the steps of recall, equal scores taken together; NaN without a positive."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores)) if labels.any() else float("nan")

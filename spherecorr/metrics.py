"""Is a match right? PCK, and the mistake this project is about: the mirror twin taken for the part."""

from __future__ import annotations

import numpy as np


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

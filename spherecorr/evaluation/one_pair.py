"""One pair, keypoint by keypoint: what each match counts as, and what each keypoint adds to KAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spherecorr.evaluation.averages import weighted_average_precision
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.summary import kap_entries, target_sides
from spherecorr.metrics import correct, symmetric_mistake

Verdict = Literal["right", "wrong", "twin", "hidden", "decoy"]


@dataclass(frozen=True)
class KeypointScore:
    """One keypoint of a pair, by one similarity.

    Attributes:
        name: of the keypoint.
        present: the target shows it.
        verdict: of the match: "right" within the threshold; "twin" a symmetric mistake (see
            `metrics.symmetric_mistake`); "wrong" elsewhere; of a keypoint that the target does not show, "decoy" within
            the threshold of its mirrored keypoint, else "hidden".
        error: px from the match to the keypoint; NaN where the target does not show it.
        threshold: px within which a match is right.
        positive: highest similarity near the keypoint; None where the target lacks it.
        negative: highest similarity anywhere else; None where there is nothing else.
        outranked: how many of the pair's positives are not above this negative.
        kap_without: the pair's KAP if this keypoint were left out; NaN where nothing positive would be left.
    """

    name: str
    present: bool
    verdict: Verdict
    error: float
    threshold: float
    positive: float | None
    negative: float | None
    outranked: int
    kap_without: float


def keypoint_scores(
    table: KeypointTable, alpha: int = 0, protocol: int = 0, threshold: int = 0, inclusive: bool = False
) -> tuple[float, list[KeypointScore]]:
    """Explain the PCK and the KAP of one pair.

    Args:
        table: of one pair (see `KeypointTable.select`).
        alpha: index of the similarity.
        protocol: index.
        threshold: index.
        inclusive: a match exactly at the threshold is right.

    Returns:
        The pair's KAP, NaN where the target shows none of the keypoints; and what each keypoint adds.
    """
    positive, negative = (
        [None if np.isnan(value) else float(value) for value in scores[alpha, protocol, threshold]]
        for scores in (table.kap_positive, table.kap_negative)
    )
    scores, labels, _ = kap_entries(table, alpha, protocol, threshold)
    # Entries come in the order of the rows: first those with a positive, then those with a negative.
    owner = np.array([i for side in (positive, negative) for i, score in enumerate(side) if score is not None])
    pixels = table.thresholds[threshold] * target_sides(table)
    verdicts = _verdicts(table, alpha, pixels, inclusive)
    rows = [
        KeypointScore(
            name=str(name),
            present=bool(table.present[i]),
            verdict=verdicts[i],
            error=float(table.error[alpha, i]),
            threshold=float(pixels[i]),
            positive=positive[i],
            negative=negative[i],
            outranked=0 if negative[i] is None else int((scores[labels == 1] <= negative[i]).sum()),
            kap_without=_kap(scores[owner != i], labels[owner != i]),
        )
        for i, name in enumerate(table.keypoint)
    ]
    return _kap(scores, labels), rows


def _verdicts(table: KeypointTable, alpha: int, pixels: np.ndarray, inclusive: bool) -> list[Verdict]:
    error, mirrored = table.error[alpha], table.mirrored_error[alpha]
    right = correct(error, pixels, inclusive)
    at_twin = symmetric_mistake(error, mirrored, pixels, inclusive)
    shown: list[Verdict] = ["right" if r else "twin" if t else "wrong" for r, t in zip(right, at_twin, strict=True)]
    lacking: list[Verdict] = ["decoy" if t else "hidden" for t in at_twin]
    return [shown[i] if present else lacking[i] for i, present in enumerate(table.present)]


def _kap(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision of some entries that count once each; NaN without a positive."""
    return float(weighted_average_precision(scores, labels, np.zeros(len(scores), int), np.ones((1, 1)))[0])

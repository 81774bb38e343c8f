"""Matches as records, as the API answers them and the page exports them."""

from __future__ import annotations

import numpy as np

from spherecorr.matching.match import MatchResult

KINDS = ("raw", "sphere", "fused")


def match_records(result: MatchResult) -> list[dict]:
    """One JSON-able record per point: pixels, scores and angles rounded for reading; None where there is nothing.

    Each of "raw", "sphere" and "fused" is None or a list of `{"xy": [x, y], "score": s}`, best first.
    """
    records = []
    for i, point in enumerate(result.points):
        record = {"number": i + 1, "source": _numbers(point)}
        for kind in KINDS:
            ranked = getattr(result, kind)
            record[kind] = ranked and [
                {"xy": _numbers(xy), "score": round(float(score), 4)}
                for xy, score in zip(ranked.xy[i], ranked.score[i], strict=True)
                if np.isfinite(score)
            ]
        for name in ("raw_cycle", "fused_cycle", "raw_angle", "nearest_angle"):
            values = getattr(result, name)
            record[name] = None if values is None or np.isnan(values[i]) else round(float(values[i]), 2)
        for name in ("symmetric_mistake", "visible"):
            values = getattr(result, name)
            record[name] = None if values is None else bool(values[i])
        records.append(record)
    return records


def _numbers(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values]

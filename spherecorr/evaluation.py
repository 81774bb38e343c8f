"""Match a dataset's keypoints and count what is right, what is not, and what is a symmetric mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spherecorr.data.records import DatasetError, PairRecord, twin_name
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.matching import View, top_k, view_rows
from spherecorr.metrics import KapProtocol, average_precision, correct, kap_entries, symmetric_mistake


@dataclass(frozen=True)
class Score:
    """Shares 0..1 over the keypoints that both images of a pair show.

    Attributes:
        pck: correct at the threshold.
        symmetric: symmetric mistakes, over the keypoints with a mirror twin in sight of the target.
        keypoints: how many `pck` counts.
        with_twin: how many `symmetric` counts.
    """

    pck: float
    symmetric: float
    keypoints: int
    with_twin: int


def evaluate_pairs(
    pairs: Sequence[PairRecord],
    features: Mapping[str, FeatureMap],
    spheres: Mapping[str, SphereMap] | None,
    alphas: Sequence[float],
    threshold: float = 0.1,
) -> dict[str, dict[float, Score]]:
    """Score matches at several shares of the sphere in one pass.

    Args:
        pairs: what to match.
        features: image id -> feature map.
        spheres: image id -> sphere map; None if `alphas` is `[0]`.
        alphas: shares of the sphere; 0 is raw features, 1 the sphere alone.
        threshold: PCK's alpha, a share of the longer side of the target's box (of the image where it has none).

    Returns:
        Category (and "all", every keypoint counted alike) -> alpha -> Score.

    Raises:
        DatasetError: no pair has a keypoint that both images show.
    """
    counts: dict[tuple[str, float], np.ndarray] = {}
    for pair in pairs:
        names = [n for n, point in pair.source.keypoints.items() if point and pair.target.keypoints.get(n)]
        if not names:
            continue
        source, target = (
            View(features[image.id], spheres[image.id] if spheres else None) for image in (pair.source, pair.target)
        )
        points = np.array([pair.source.keypoints[n] for n in names])
        truth = np.array([pair.target.keypoints[n] for n in names])
        twin = np.array([pair.target.keypoints.get(twin_name(n) or "") or (np.nan, np.nan) for n in names])
        pixels = threshold * pair.target.longer_side
        cells = source.features.framing.to_cell(points)
        has_twin = ~np.isnan(twin[:, 0])
        for alpha in alphas:
            best, _ = top_k(view_rows(source, target, cells, alpha))
            found = target.features.framing.to_pixel(best[:, 0])
            right, mistaken = correct(found, truth, pixels), symmetric_mistake(found, truth, twin, pixels)
            row = np.array([right.sum(), len(names), mistaken.sum(), has_twin.sum()])
            for key in (pair.source.category, "all"):
                counts[key, alpha] = counts.get((key, alpha), 0) + row
    if not counts:
        raise DatasetError("There is nothing to score: no pair has a keypoint that both of its images show.")
    report: dict[str, dict[float, Score]] = {}
    for (category, alpha), (right, total, mistaken, twins) in sorted(counts.items()):
        report.setdefault(category, {})[alpha] = Score(right / total, mistaken / max(twins, 1), int(total), int(twins))
    return report


def evaluate_kap(
    pairs: Sequence[PairRecord],
    features: Mapping[str, FeatureMap],
    spheres: Mapping[str, SphereMap] | None,
    alpha: float,
    threshold: float = 0.1,
    protocol: KapProtocol | None = None,
) -> dict[str, float]:
    """KAP (keypoint average precision): one value per category, and "all", the mean of the categories.

    Every keypoint that the source shows counts; one that the target lacks should have no high similarity anywhere.

    Args:
        pairs: what to match.
        features: image id -> feature map.
        spheres: image id -> sphere map; None if `alpha` is 0.
        alpha: share of the sphere.
        threshold: a share of the longer side of the target's box (of the image where it has none).
        protocol: see `metrics.KAP_PROTOCOLS`; "corrected" by default.

    Raises:
        DatasetError: no pair has a keypoint in its source.
    """
    gathered: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for pair in pairs:
        shown = {name: point for name, point in pair.source.keypoints.items() if point}
        if not shown:
            continue
        source, target = (
            View(features[image.id], spheres[image.id] if spheres else None) for image in (pair.source, pair.target)
        )
        cells = source.features.framing.to_cell(np.array(list(shown.values())))
        rows = view_rows(source, target, cells, alpha).cpu().numpy()
        rows = np.where(np.isneginf(rows), rows[np.isfinite(rows)].min(), rows)  # cells on padding are the worst
        truth = np.array([pair.target.keypoints.get(name) or (np.nan, np.nan) for name in shown])
        pixels = threshold * pair.target.longer_side
        entries = kap_entries(rows, target.features.framing, truth, pixels, protocol or KapProtocol())
        gathered.setdefault(pair.source.category, []).append(entries)
    if not gathered:
        raise DatasetError("There is nothing to score: no pair has a keypoint in its source image.")
    report = {
        category: average_precision(*(np.concatenate(part) for part in zip(*entries, strict=True)))
        for category, entries in sorted(gathered.items())
    }
    return {"all": float(np.nanmean(list(report.values()))), **report}

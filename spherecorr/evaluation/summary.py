"""From a keypoint table to a report: PCK and KAP in every usual average, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spherecorr.evaluation.averages import AVERAGES, kap_averages, precision_recall, resample, share_averages
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.report import Curve, Report, ReportError, Score
from spherecorr.metrics import correct, symmetric_mistake

DIFFICULTIES = ("viewpoint_variation", "scale_variation", "truncation", "occlusion")
CURVE_THRESHOLDS = tuple(np.linspace(0, 0.2, 41).round(3).tolist())


def summarise(
    table: KeypointTable,
    *,
    inclusive: bool = False,
    resamples: int = 500,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
) -> Report:
    """Compute every score of a report.

    Intervals hold 95 % of a bootstrap over pairs, drawn within each category. A category has one if two of its pairs
    count, an average if any category has: one pair drawn again and again says nothing about others. Those of KAP are
    computed for the first protocol and threshold.

    Args:
        table: from `scoring.score_pairs`.
        inclusive: a match exactly at the threshold is correct; the public evaluations say it is not.
        resamples: of the bootstrap; 0 for no intervals.
        seed: of the bootstrap.
        settings: JSON-able entries to stand first in the report's settings.

    Raises:
        ReportError: no keypoint to score, or fewer than 0 resamples.
    """
    if resamples < 0:
        raise ReportError(f"Intervals take 0 resamples or more; got {resamples}.")
    if not len(table.pair):
        raise ReportError("There is nothing to score: no pair has a keypoint in its source image.")
    categories = tuple(sorted(set(table.pair_categories)))
    category = np.searchsorted(categories, table.pair_categories)
    weights = resample(category, resamples, seed)
    measured = _Measured(table, categories, category, inclusive)
    choices = {
        "pairs": len(table.pair_ids),
        "keypoints": int(table.present.sum()),
        "keypoints absent in the target": int((~table.present).sum()),
        "alphas": list(table.alphas),
        "thresholds": list(table.thresholds),
        "threshold is a share of": sides_named(table),
        "correct if": "error <= threshold" if inclusive else "error < threshold",
        "fusion": table.fusion,
        "candidates": table.candidates,
        "soft window": table.soft_window,
        "protocols": list(table.protocols),
        "resamples": resamples,
        "seed": seed,
    }
    return Report(
        settings={**(settings or {}), **choices},
        similarities=similarity_names(table.alphas),
        categories=categories,
        scores=(*measured.shares(weights), *measured.difficulties(weights), *measured.kap(weights)),
        curves=tuple(measured.curves()),
    )


def similarity_names(alphas: tuple[float, ...]) -> tuple[str, ...]:
    """0 is "raw", 1 "sphere"; any other "fused", with its alpha where there are several."""
    mixed = sum(alpha not in (0, 1) for alpha in alphas)
    names = {0.0: "raw", 1.0: "sphere"}
    return tuple(names.get(alpha, f"fused {alpha:g}" if mixed > 1 else "fused") for alpha in alphas)


@dataclass(frozen=True, eq=False)
class _Measured:
    """A table with its categories as numbers `[P]`, and what is computed from them."""

    table: KeypointTable
    categories: tuple[str, ...]
    category: np.ndarray
    inclusive: bool

    def hits(self, thresholds: tuple[float, ...]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Metric -> which matches hit, bool `[A, T, R]`, and which keypoints count, bool `[R]`.

        Symmetric mistakes are counted over keypoints that the target shows together with their mirrored keypoint;
        decoys over those that it hides while it shows the mirrored one, which is then the likeliest wrong match.
        """
        table = self.table
        pixels = np.array(thresholds)[:, None] * target_sides(table)
        error, mirrored = table.error[:, None], table.mirrored_error[:, None]
        within = correct(error, pixels, self.inclusive)
        has_mirrored = ~np.isnan(table.mirrored_error).all(axis=0)
        return {
            "PCK": (within, table.present),
            "PCK-dagger": (within & table.nearest_own[:, None], table.present),
            "geometry-aware PCK": (within, table.present & table.geometry_aware),
            "symmetric mistakes": (
                symmetric_mistake(error, mirrored, pixels, self.inclusive),
                table.present & has_mirrored,
            ),
            "decoys": (correct(mirrored, pixels, self.inclusive), ~table.present & has_mirrored),
        }

    def per_pair(self, hit: np.ndarray, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums over each pair's keypoints: hits `[A * T, P]` and counts `[P]`."""
        pair, pairs = self.table.pair[counted], len(self.category)
        rows = hit.reshape(-1, hit.shape[-1])[:, counted]
        sums = np.stack([np.bincount(pair, row, minlength=pairs) for row in rows])
        return sums, np.bincount(pair, minlength=pairs).astype(float)

    def shares(self, weights: np.ndarray) -> Iterator[Score]:
        """PCK and the other shares of keypoints."""
        for metric, (hit, counted) in self.hits(self.table.thresholds).items():
            hits, counts = self.per_pair(hit, counted)
            values = share_averages(hits, counts, self.category, weights)
            values = values.reshape(len(values), len(self.table.alphas), -1, len(weights))
            for t, threshold in enumerate(self.table.thresholds):
                yield from self.scores(metric, "", threshold, values[:, :, t], counts)

    def difficulties(self, weights: np.ndarray) -> Iterator[Score]:
        """Pooled PCK, symmetric mistakes and decoys of the pairs of each difficulty."""
        attributes = self.table.pair_attributes
        hits = self.hits(self.table.thresholds)
        per_pair = {metric: self.per_pair(*hits[metric]) for metric in ("PCK", "symmetric mistakes", "decoys")}
        for name in DIFFICULTIES:
            for value in sorted({pair[name] for pair in attributes if name in pair}):
                chosen = np.array([pair.get(name) == value for pair in attributes])
                for metric, (sums, counts) in per_pair.items():
                    counts = counts * chosen
                    pooled = share_averages(sums * chosen, counts, self.category, weights)[:1]
                    pooled = pooled.reshape(1, len(self.table.alphas), -1, len(weights))
                    for t, threshold in enumerate(self.table.thresholds):
                        place = (name, str(value))
                        yield from self.scores(metric, "", threshold, pooled[:, :, t], counts, only=place)

    def kap(self, weights: np.ndarray) -> Iterator[Score]:
        """KAP by every protocol."""
        table = self.table
        for k, protocol in enumerate(table.protocols):
            for t, threshold in enumerate(table.thresholds):
                drawn = weights if (k, t) == (0, 0) else weights[:1]
                values = []
                for a in range(len(table.alphas)):
                    scores, labels, pair = kap_entries(table, a, k, t)
                    values.append(kap_averages(scores, labels, pair, self.category, drawn))
                # The similarities share the labels: which cells are a keypoint's own does not depend on alpha.
                positives, negatives = (
                    np.bincount(pair[labels == label], minlength=len(self.category)) for label in (1, 0)
                )
                yield from self.scores("KAP", protocol, threshold, np.stack(values, axis=1), positives, negatives)

    def by_place(self, counts: np.ndarray) -> list[int]:
        """Counts `[P]` summed up: for each average all of them, then by category."""
        by_category = np.bincount(self.category, counts, minlength=len(self.categories)).astype(int).tolist()
        return [*[sum(by_category)] * len(AVERAGES), *by_category]

    def varies(self, counts: np.ndarray) -> np.ndarray:
        """Bool `[G]`: the place has a category with two pairs that count; drawing from one alone varies nothing."""
        by_category = np.bincount(self.category, counts > 0, minlength=len(self.categories)) >= 2
        return np.append([by_category.any()] * len(AVERAGES), by_category)

    def scores(
        self,
        metric: str,
        protocol: str,
        threshold: float,
        values: np.ndarray,
        counts: np.ndarray,
        negatives: np.ndarray | None = None,
        only: tuple[str, str] | None = None,
    ) -> Iterator[Score]:
        """Turn values `[G, A, S]` into scores of each similarity, and of each one's difference to raw.

        The G places are the averages and the categories, or `only` one, over all pairs. What counts in each pair is
        `[P]`: `counts` and, of KAP, `negatives`.
        """
        places = [*(("average", name) for name in AVERAGES), *(("category", name) for name in self.categories)]
        places = [only] if only else places
        totals, varies = self.by_place(counts), self.varies(counts)[: len(places)]
        negative_totals = self.by_place(np.zeros(len(counts)) if negatives is None else negatives)
        names = similarity_names(self.table.alphas)
        lines = list(zip(names, values.swapaxes(0, 1), strict=True))
        if "raw" in names:
            raw = values[:, names.index("raw")]
            lines += [(f"{name} - raw", line - raw) for name, line in lines if name != "raw"]
        for name, line in lines:
            low, high = np.where(varies, _interval(line), np.nan)
            for g, (group, over) in enumerate(places):
                ends = float(line[g, 0]), float(low[g]), float(high[g])
                yield Score(metric, protocol, threshold, name, group, over, *ends, totals[g], negative_totals[g])

    def curves(self) -> Iterator[Curve]:
        """Of all pairs together and of each category."""
        table = self.table
        pixels = np.array(CURVE_THRESHOLDS)[:, None] * target_sides(table)
        within, counted = correct(table.error[:, None], pixels, self.inclusive), table.present
        of_row = self.category[table.pair]
        for a, name in enumerate(similarity_names(table.alphas)):
            scores, labels, pair = kap_entries(table, a, 0, 0)
            of_entry = self.category[pair]
            for c, over in enumerate(("all", *self.categories), start=-1):
                mine = counted & ((of_row == c) | (c < 0))
                if mine.any():
                    pck = within[a][:, mine].mean(axis=1).round(4).tolist()
                    yield Curve("PCK", name, over, list(CURVE_THRESHOLDS), pck)
                mine = (of_entry == c) | (c < 0)
                recall, precision = precision_recall(scores[mine], labels[mine])
                if len(recall):
                    yield Curve("precision-recall", name, over, recall.round(4).tolist(), precision.round(4).tolist())


def sides_named(table: KeypointTable) -> str:
    """What `target_sides` are the sides of, in words."""
    boxless = np.isnan(table.box_side)
    if table.sides == "image" or boxless.all():
        return "the target image"
    return "the target's box" + (", or the image where there is none" if boxless.any() else "")


def target_sides(table: KeypointTable) -> np.ndarray:
    """Pixels `[R]` that thresholds are shares of; a target without a box goes by the image."""
    if table.sides == "image":
        return table.image_side
    return np.where(np.isnan(table.box_side), table.image_side, table.box_side)


def kap_entries(table: KeypointTable, a: int, k: int, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """KAP's list at one alpha, protocol and threshold (indices): scores, labels and pairs, each `[E]`."""
    positive, negative = table.kap_positive[a, k, t], table.kap_negative[a, k, t]
    has_positive, has_negative = ~np.isnan(positive), ~np.isnan(negative)
    scores = np.concatenate([positive[has_positive], negative[has_negative]])
    labels = np.concatenate([np.ones(has_positive.sum(), int), np.zeros(has_negative.sum(), int)])
    return scores, labels, np.concatenate([table.pair[has_positive], table.pair[has_negative]])


def _interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of `[G, S]` without the first column; NaN where there is nothing."""
    drawn, ends = values[:, 1:], np.full((2, len(values)), np.nan)
    if drawn.shape[1]:
        defined = np.isfinite(drawn).any(axis=1)
        ends[:, defined] = np.nanpercentile(drawn[defined], [2.5, 97.5], axis=1)
    return ends[0], ends[1]

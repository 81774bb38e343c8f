"""Averages of PCK and KAP over keypoints, pairs and categories, and how far they vary when pairs are drawn again.

Weights `[S, P]` say how often each of P pairs counts. Their first row is all ones, so what is computed with it is the
score itself; the other rows are bootstrap resamples of the pairs.
"""

from __future__ import annotations

import numpy as np

AVERAGES = ("pooled", "per image", "macro", "pair-weighted")
CHUNK = 2_000_000  # weights that are gathered at a time, to bound memory


def resample(categories: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Draw pairs with replacement, within each category, so that every resample has the categories' sizes.

    Args:
        categories: int `[P]`.
        resamples: how many; 0 for the scores alone.
        seed: the same seed gives the same resamples.

    Returns:
        Float32 `[1 + resamples, P]`; the first row is all ones.
    """
    generator = np.random.default_rng(seed)
    weights = np.ones((1 + resamples, len(categories)), dtype=np.float32)
    for category in np.unique(categories):
        members = np.flatnonzero(categories == category)
        drawn = generator.integers(len(members), size=(resamples, len(members)))
        flat = drawn + np.arange(resamples)[:, None] * len(members)
        counts = np.bincount(flat.ravel(), minlength=resamples * len(members))
        weights[1:, members] = counts.reshape(resamples, len(members))
    return weights


def share_averages(hits: np.ndarray, counts: np.ndarray, categories: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average shares such as PCK in all usual ways (see docs/metrics.md, "Averages").

    Args:
        hits: `[M, P]` how many keypoints of each pair hit, by M measures.
        counts: `[P]` how many keypoints of each pair count.
        categories: int `[P]`, 0..C-1, each with a pair.
        weights: `[S, P]`.

    Returns:
        `[4 + C, M, S]` in the order of `AVERAGES`, then the categories; NaN where no keypoint counts.
    """
    member = categories == np.arange(categories.max() + 1)[:, None]
    hit = np.stack([hits[:, chosen] @ weights[:, chosen].T for chosen in member])
    total = np.stack([counts[chosen] @ weights[:, chosen].T for chosen in member])[:, None]
    counted = counts > 0
    per_image = _divide((hits[:, counted] / counts[counted]) @ weights[:, counted].T, weights[:, counted].sum(axis=1))
    by_category = _divide(hit, total)
    pooled = _divide(hit.sum(axis=0), total.sum(axis=0))
    return np.stack([pooled, per_image, *_over_categories(by_category, member), *by_category])


def kap_averages(
    scores: np.ndarray, labels: np.ndarray, pair: np.ndarray, categories: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Average KAP (keypoint average precision) in all usual ways.

    Args:
        scores: `[E]` of the entries.
        labels: `[E]`, 1 or 0.
        pair: int `[E]`, to which pair an entry belongs.
        categories: int `[P]`, 0..C-1, each with a pair.
        weights: `[S, P]`.

    Returns:
        `[4 + C, S]` in the order of `AVERAGES`, then the categories; NaN where there is no positive.
    """
    member = categories == np.arange(categories.max() + 1)[:, None]
    entries = [chosen[pair] for chosen in member]
    by_category = np.stack(
        [weighted_average_precision(scores[mine], labels[mine], pair[mine], weights) for mine in entries]
    )
    pooled = weighted_average_precision(scores, labels, pair, weights)
    alone = average_precision_by_pair(scores, labels, pair, len(categories))
    defined = np.isfinite(alone)
    per_image = _divide(alone[defined] @ weights[:, defined].T, weights[:, defined].sum(axis=1))
    return np.stack([pooled, per_image, *_over_categories(by_category, member), *by_category])


def weighted_average_precision(
    scores: np.ndarray, labels: np.ndarray, pair: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Average precision `[S]` of entries `[E]` that count as often as their pair does; NaN without a positive."""
    if not labels.any():
        return np.full(len(weights), np.nan)
    order = np.argsort(-scores, kind="stable")
    scores, labels, pair = scores[order], labels[order] > 0, pair[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores are taken together
    found = np.cumsum(labels)[last]
    rises = np.diff(found, prepend=0) > 0  # recall steps only where a positive is
    ends, before = last[rises], found[rises] - 1
    step = max(1, CHUNK // len(scores))
    parts = []
    for start in range(0, len(weights), step):
        weight = weights[start : start + step, pair]  # whole numbers: float32 adds them exactly up to 16 million
        shown = np.cumsum(weight, axis=1)[:, ends]
        found = np.cumsum(weight[:, labels], axis=1)[:, before]
        gained = np.diff(found, axis=1, prepend=0)
        precision = found / np.maximum(shown, 1)
        parts.append(_divide(np.einsum("se,se->s", precision, gained, dtype=np.float64), found[:, -1]))
    return np.concatenate(parts)


def average_precision_by_pair(scores: np.ndarray, labels: np.ndarray, pair: np.ndarray, pairs: int) -> np.ndarray:
    """Average precision `[P]` of each pair's own entries `[E]`; NaN for a pair without a positive."""
    order = np.lexsort((-scores, pair))
    scores, labels, pair = scores[order], labels[order], pair[order]
    last = np.append((scores[1:] != scores[:-1]) | (pair[1:] != pair[:-1]), True)[: len(scores)]
    ends, begins = np.flatnonzero(last) + 1, np.searchsorted(pair, pair[last])
    found = np.append(0, np.cumsum(labels))
    precision = (found[ends] - found[begins]) / (ends - begins)
    sums = np.bincount(pair[last], precision * np.diff(found[ends], prepend=0), minlength=pairs)
    return _divide(sums, np.bincount(pair, labels, minlength=pairs))


def precision_recall(scores: np.ndarray, labels: np.ndarray, points: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """The precision-recall curve of entries `[E]`, thinned to at most so many points evenly spaced in recall.

    Returns:
        Recall (rising) and precision; empty without a positive.
    """
    if not labels.any():
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(labels[order])[last]
    recall, precision = found / found[-1], found / (last + 1)
    wanted = np.searchsorted(recall, np.linspace(recall[0], 1, points))
    kept = np.unique(np.minimum(wanted, len(recall) - 1))
    return recall[kept], precision[kept]


def _over_categories(values: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the categories `[C, ...]`, plain and weighted by their numbers of pairs; undefined ones are left out."""
    defined = np.isfinite(values)
    filled = np.where(defined, values, 0)
    pairs = member.sum(axis=1).reshape(-1, *[1] * (values.ndim - 1))
    return _divide(filled.sum(axis=0), defined.sum(axis=0)), _divide(
        (filled * pairs).sum(axis=0), (defined * pairs).sum(axis=0)
    )


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The ratio; NaN where there is nothing to divide by."""
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)

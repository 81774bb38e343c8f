"""The protocol "authors" equals the paper's public evaluation on given features: its arithmetic, written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_as_authors, pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.matching.settings import MatchSettings

SIDE, CELLS, PATCH, DIM = 840, 60, 14, 8
THRESHOLDS = (0.1, 0.05, 0.01)
SOURCE = FeatureSource("random", DIM, PATCH, 0)
SIZES = [(500, 375), (375, 500), (333, 500), (487, 351), (640, 427), (96, 500), (500, 500), (301, 299)]


def frame(size: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Original pixels -> pixels of the padded input: one factor; the offset is half of what the rounded side leaves."""
    width, height = size
    if width > height:
        offset = (0, int((SIDE - int(np.around(SIDE * height / width))) / 2))
    else:
        offset = (int((SIDE - int(np.around(SIDE * width / height))) / 2), 0)
    return points * (SIDE / max(size)) + offset


def made_pairs(seed: int) -> tuple[list[PairRecord], dict[str, FeatureMap]]:
    """Pairs of images with random keypoints, a third of them hidden, and random features."""
    generator = np.random.default_rng(seed)
    images, features = [], {}
    for number, size in enumerate(SIZES):
        points = np.round(generator.uniform((0, 0), size, size=(12, 2)))  # annotations are whole pixels
        shown = generator.random(12) < 0.67
        box = (size[0] * 0.1, size[1] * 0.2, size[0] * 0.9, size[1] * 0.8)
        keypoints = {str(k): tuple(points[k]) if shown[k] else None for k in range(12)}
        images.append(ImageRecord(f"car/{number}", Path("none"), size, "car", box, keypoints))
        values = torch.from_numpy(generator.normal(size=(DIM, CELLS, CELLS)))
        features[f"car/{number}"] = FeatureMap(values, pad_as_authors(size, SIDE, PATCH), SOURCE)
    pairs = [PairRecord(f"{i}", images[i], images[(i + 3) % len(images)]) for i in range(len(images))]
    return pairs, features


def literal(pair: PairRecord, features: dict[str, FeatureMap]) -> tuple[list, list]:
    """One pair as the public code reads it: right or wrong, and KAP's scores with labels, at every threshold."""
    names = [name for name, point in pair.source.keypoints.items() if point]
    one, other = (
        torch.nn.functional.normalize(features[i.id].features, dim=0).numpy() for i in (pair.source, pair.target)
    )
    sides = frame(pair.target.size, np.array(pair.target.box).reshape(2, 2))
    longest = (sides[1] - sides[0]).max()
    rows, truth = [], []
    for name in names:
        x, y = np.floor(CELLS / SIDE * frame(pair.source.size, np.array(pair.source.keypoints[name]))).astype(int)
        rows.append(np.einsum("d,dhw->hw", one[:, min(y, CELLS - 1), min(x, CELLS - 1)], other))
        point = pair.target.keypoints[name]
        truth.append(None if point is None else frame(pair.target.size, np.array(point)))
    low, high = np.min(rows), np.max(rows)
    ys, xs = np.mgrid[:SIDE, :SIDE]
    right, entries = [[] for _ in THRESHOLDS], [[] for _ in THRESHOLDS]
    for row, point in zip(rows, truth, strict=True):
        scaled = (row - low) / (high - low)
        if point is None:
            for scores in entries:
                scores.append((scaled.max(), 0))
            continue
        y, x = np.unravel_index(row.argmax(), row.shape)
        error = np.hypot(*(PATCH * np.array([x, y]) + 6.5 - point))
        squares = ((xs - point[0]) ** 2 + (ys - point[1]) ** 2)[::PATCH, ::PATCH]
        for t, share in enumerate(THRESHOLDS):
            right[t].append(error < share * longest)
            near = squares < (share * longest) ** 2
            near[np.unravel_index(squares.argmin(), squares.shape)] = True
            entries[t] += [(scaled[near].max(), 1), (scaled[~near].max(), 0)]
    return right, entries


@pytest.mark.parametrize("seed", range(4))
def test_pck_and_kap_equal_the_public_arithmetic(seed):
    pairs, features = made_pairs(seed)
    settings = MatchSettings(candidates="all")
    report = evaluate(pairs, features, thresholds=THRESHOLDS, protocols=("authors",), settings=settings, resamples=0)
    read = [literal(pair, features) for pair in pairs]
    for t, share in enumerate(THRESHOLDS):
        right = np.concatenate([found[t] for found, _ in read])
        scores, labels = np.concatenate([entries[t] for _, entries in read]).T
        assert report.value("PCK", "raw", threshold=share) == pytest.approx(right.mean(), abs=1e-6)
        expected = average_precision_score(labels, scores)
        assert report.value("KAP", "raw", "car", threshold=share) == pytest.approx(expected, abs=1e-6)


def test_the_rounded_side_moves_keypoints_across_the_edges_of_cells():
    """Why the arithmetic has a name: scaled by its own rounded side, an axis has other cells at their edges."""
    exact, authors = (pad((487, 351), SIDE, PATCH) for pad in (pad_to_square, pad_as_authors))
    points = np.array([(x, y) for x in range(0, 487, 3) for y in range(351)])
    moved = (exact.to_cell(points) != authors.to_cell(points)).any(axis=1)
    assert 0 < moved.mean() < 0.02  # one or two of a hundred
    assert np.abs(exact.to_grid(points) - authors.to_grid(points)).max() < 0.05  # of a cell

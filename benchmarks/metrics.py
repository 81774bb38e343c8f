"""Time PCK and KAP of one pair against the literal reading of their definitions, in one run.

    python benchmarks/metrics.py [--protocol authors] [--threads 2] [--out FILE]

One pair of 12 keypoints, 60 x 60 cells, D = 768, features in memory (float32), raw similarity, three thresholds; from
features of unit length to PCK's decisions and KAP's maxima. Features are made unit length once per image, as an
evaluation does whose images are in many pairs: neither side's time holds that. The literal reading goes keypoint by
keypoint and threshold by threshold, with a distance map of the whole 840 x 840 input for each. The results are compared
before they are timed, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import literal_metrics as literal
import numpy as np
import torch

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.metrics import KAP_PROTOCOLS, correct, kap_maxima

KEYPOINTS, DIM, SIDE, PATCH, SIZE = 12, 768, 840, 14, (420, 420)
THRESHOLDS = (0.1, 0.05, 0.01)
SOURCE = FeatureSource("random", DIM, PATCH, 11)


def make_pair() -> tuple[PairRecord, dict[str, FeatureMap]]:
    """Two pictures with random features of unit length; the target lacks every fourth keypoint."""
    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    records, features = [], {}
    for name in ("source", "target"):
        points = rng.uniform(0, SIZE, (KEYPOINTS, 2)).tolist()
        hidden = [name == "target" and i % 4 == 3 for i in range(KEYPOINTS)]
        keypoints = {str(i): None if hidden[i] else tuple(point) for i, point in enumerate(points)}
        records.append(ImageRecord(f"cat/{name}", Path(name), SIZE, "cat", (40.0, 60.0, 380.0, 360.0), keypoints))
        framing = pad_to_square(SIZE, SIDE, PATCH)
        unit = torch.nn.functional.normalize(torch.randn(DIM, 60, 60, generator=generator), dim=0)
        features[f"cat/{name}"] = FeatureMap(unit, framing, SOURCE)
    return PairRecord("pair", *records), features


def truth_and_limits(pair: PairRecord) -> tuple[np.ndarray, np.ndarray]:
    """Target pixels `[N, 2]` of the source's keypoints, NaN where hidden; thresholds `[T]` in pixels."""
    truth = np.array([pair.target.keypoints[name] or (np.nan, np.nan) for name in pair.source.keypoints])
    return truth, np.array(THRESHOLDS) * pair.target.longer_side


def quickly(
    pair: PairRecord, features: dict[str, FeatureMap], protocol: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PCK's decisions `[T, N]`, and KAP's highest positives and negatives, `[T, N]` each."""
    one, other = (features[image.id] for image in (pair.source, pair.target))
    truth, limits = truth_and_limits(pair)
    cells = one.framing.to_cell(np.array(list(pair.source.keypoints.values())))
    rows = (one.features[:, cells[:, 1], cells[:, 0]].T @ other.features.flatten(1)).numpy()
    assert other.framing.content_cells().all(), "a square picture has no padding, which could not be matched"
    best = rows.argmax(axis=1)
    columns = other.framing.grid[0]
    found = other.framing.to_pixel(np.stack([best % columns, best // columns], axis=-1))
    right = correct(np.linalg.norm(found - truth, axis=-1), limits[:, None])
    rows = rows.reshape(1, len(rows), -1, columns)
    positive, negative = kap_maxima(rows, other.framing, truth, limits, KAP_PROTOCOLS[protocol])
    return right, positive[0], negative[0]


def literally(pair: PairRecord, features: dict[str, FeatureMap], protocol: str) -> tuple[np.ndarray, list]:
    """PCK's decisions `[T, N]`, and KAP's scores and labels at every threshold."""
    one, other = (features[image.id] for image in (pair.source, pair.target))
    truth, limits = truth_and_limits(pair)
    cells = one.framing.to_cell(np.array(list(pair.source.keypoints.values())))
    source, target = one.features.numpy(), other.features.numpy()
    rows = np.stack([np.einsum("d,dhw->hw", source[:, row, column], target) for column, row in cells])
    kap = [literal.kap(rows, other.framing, truth, limit, KAP_PROTOCOLS[protocol]) for limit in limits]
    return literal.pck(rows, other.framing, truth, list(limits)), kap


def check(quick: tuple[np.ndarray, np.ndarray, np.ndarray], right: np.ndarray, kap: list) -> None:
    """Stop if the two disagree."""
    assert np.array_equal(quick[0], right)
    for t, (scores, labels) in enumerate(kap):
        for kind, found in ((1, quick[1][t]), (0, quick[2][t])):
            expected = np.array(scores)[np.array(labels) == kind]
            assert np.allclose(found[~np.isnan(found)], expected, atol=1e-6)


def milliseconds(work: Callable, repeats: int) -> list[float]:
    """Of each of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return times


def median_and_range(times: list[float]) -> tuple[float, float]:
    """Median and interquartile range."""
    low, median, high = statistics.quantiles(times, n=4)
    return median, high - low


def main() -> None:
    """Compare, time, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=list(KAP_PROTOCOLS), default="authors")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pair, features = make_pair()
    check(quickly(pair, features, options.protocol), *literally(pair, features, options.protocol))
    quick_times, slow_times = [], []
    for _ in range(9):  # in turns, so that whatever else the machine does slows both
        quick_times += milliseconds(lambda: quickly(pair, features, options.protocol), 30)
        slow_times += milliseconds(lambda: literally(pair, features, options.protocol), 1)
    ours, spread = median_and_range(quick_times)
    slow, slow_spread = median_and_range(slow_times)
    report = {
        "protocol": options.protocol,
        "spherecorr_ms": round(ours, 3),
        "spherecorr_iqr_ms": round(spread, 3),
        "literal_ms": round(slow, 1),
        "literal_iqr_ms": round(slow_spread, 1),
        "times_faster": round(slow / ours, 1),
        "threads": options.threads,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("spherecorr", "numpy", "torch")},
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Time PCK and KAP of one pair against the literal reading of their definitions, in one run.

    python benchmarks/metrics.py [--protocol authors] [--threads 2] [--out FILE]

One pair of 12 keypoints, 60 x 60 cells, D = 768, features in memory (float32), raw similarity, three thresholds; from
features to the matches' errors and KAP's maxima. The literal reading goes keypoint by keypoint and threshold by
threshold, with a distance map of the whole 840 x 840 input for each. Both results are compared before they are timed.
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
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.metrics import KAP_PROTOCOLS

KEYPOINTS, DIM, SIDE, PATCH, SIZE = 12, 768, 840, 14, (420, 420)
THRESHOLDS = (0.1, 0.05, 0.01)
SOURCE = FeatureSource("random", DIM, PATCH, 11)


def make_pair() -> tuple[PairRecord, dict[str, FeatureMap]]:
    """Two pictures with random features; the target lacks every fourth keypoint."""
    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    records, features = [], {}
    for name in ("source", "target"):
        points = rng.uniform(0, SIZE, (KEYPOINTS, 2)).tolist()
        hidden = [name == "target" and i % 4 == 3 for i in range(KEYPOINTS)]
        keypoints = {str(i): None if hidden[i] else tuple(point) for i, point in enumerate(points)}
        records.append(ImageRecord(f"cat/{name}", Path(name), SIZE, "cat", (40.0, 60.0, 380.0, 360.0), keypoints))
        framing = pad_to_square(SIZE, SIDE, PATCH)
        features[f"cat/{name}"] = FeatureMap(torch.randn(DIM, 60, 60, generator=generator), framing, SOURCE)
    return PairRecord("pair", *records), features


def literally(pair: PairRecord, features: dict[str, FeatureMap], protocol: str):
    """PCK's decisions `[T, N]`, and KAP's scores and labels at every threshold."""
    one, other = (features[image.id] for image in (pair.source, pair.target))
    cells = one.framing.to_cell(np.array(list(pair.source.keypoints.values())))
    rows = literal.similarity(one.features.numpy(), cells, other.features.numpy())
    truth = np.array([pair.target.keypoints[name] or (np.nan, np.nan) for name in pair.source.keypoints])
    pixels = [share * pair.target.longer_side for share in THRESHOLDS]
    kap = [literal.kap(rows, other.framing, truth, limit, KAP_PROTOCOLS[protocol]) for limit in pixels]
    return literal.pck(rows, other.framing, truth, pixels), kap


def check(table: KeypointTable, right: np.ndarray, kap: list) -> None:
    """Stop if the two disagree."""
    assert np.array_equal(table.error[0] < np.array(THRESHOLDS)[:, None] * table.box_side, right)
    for t, (scores, labels) in enumerate(kap):
        for kind, found in ((1, table.kap_positive), (0, table.kap_negative)):
            found = found[0, 0, t]
            expected = np.array(scores)[np.array(labels) == kind]
            assert np.allclose(found[~np.isnan(found)], expected, atol=1e-5)


def milliseconds(work: Callable, repeats: int) -> tuple[float, float]:
    """Median and interquartile range of warm calls."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
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
    choices = {"thresholds": THRESHOLDS, "protocols": (options.protocol,)}
    check(score_pairs([pair], features, None, [0], **choices), *literally(pair, features, options.protocol))
    ours, spread = milliseconds(lambda: score_pairs([pair], features, None, [0], **choices), 200)
    slow, slow_spread = milliseconds(lambda: literally(pair, features, options.protocol), 7)
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

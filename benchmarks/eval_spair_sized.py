"""Time and memory of an evaluation as large as SPair-71k's test split, on random features in a store on disk.

    python benchmarks/eval_spair_sized.py [--images 600] [--pairs 12234] [--store FOLDER] [--threads 2] [--out FILE]

Images of 18 categories in 60 x 60 cells of 768 float16 channels (3.3 GB for 600 images, in a temporary folder unless
one is named; a store that is there is used again), with 16 keypoints each, a fifth of them hidden. Raw, sphere and
fused matches, three thresholds and three protocols of KAP: from the store to the keypoint table, then to the report.
Memory is the process's own (`RssAnon`); pages of the store are the system's to drop.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.summary import summarise
from spherecorr.features import SphereMap
from spherecorr.identity import FeatureSource
from spherecorr.store import FEATURES, INDEX, FeatureStore
from spherecorr.store_settings import StoreSettings

CATEGORIES, SIDE, DIM, KEYPOINTS = 18, 840, 768, 16
SIZES = ((500, 375), (500, 333), (375, 500), (500, 500))
SETTINGS = StoreSettings(FeatureSource("random", DIM, 14, 11), SIDE)


def make_records(count: int) -> list[ImageRecord]:
    """Images with keypoints at random places."""
    rng = np.random.default_rng(0)
    records = []
    for i in range(count):
        size = SIZES[i % len(SIZES)]
        points = rng.uniform(0, size, (KEYPOINTS, 2)).tolist()
        names = (f"{side}_{part}" for part in range(KEYPOINTS // 2) for side in ("left", "right"))
        keypoints = {n: tuple(p) if rng.random() < 0.8 else None for n, p in zip(names, points, strict=True)}
        category = f"category{i % CATEGORIES:02}"
        box = (50.0, 50.0, size[0] - 50.0, size[1] - 50.0)
        records.append(ImageRecord(f"{category}/{i:04}", Path(str(i)), size, category, box, keypoints))
    return records


def make_pairs(records: list[ImageRecord], count: int) -> list[PairRecord]:
    """Random pairs of one category, in random order; each at most once."""
    candidates = [(a, b) for a in records for b in records if a is not b and a.category == b.category]
    chosen = np.random.default_rng(1).permutation(len(candidates))[:count]
    return [PairRecord(f"{i}", *candidates[j]) for i, j in enumerate(chosen.tolist())]


def write_store(records: list[ImageRecord], folder: Path) -> None:
    """Random features in the form that `extract` writes."""
    folder.mkdir(parents=True, exist_ok=True)
    framings = [SETTINGS.frame(record.size) for record in records]
    cells = framings[0].grid[0] * framings[0].grid[1]
    rng = np.random.default_rng(2)
    shape = (len(records) * cells, DIM)
    features = np.lib.format.open_memmap(folder / FEATURES, "w+", np.float16, shape)
    for i in tqdm(range(len(records)), desc="store", disable=None):
        features[i * cells : (i + 1) * cells] = rng.standard_normal((cells, DIM), dtype=np.float32)
    features.flush()
    images = [
        {"id": record.id, "first": i * cells, "framing": asdict(framing)}
        for i, (record, framing) in enumerate(zip(records, framings, strict=True))
    ]
    index = {"settings": asdict(SETTINGS), "versions": {}, "tokens": len(features), "images": images}
    (folder / INDEX).write_text(json.dumps(index))


def make_spheres(records: list[ImageRecord]) -> dict[str, SphereMap]:
    """Random sphere points."""
    generator = torch.Generator().manual_seed(3)
    spheres = {}
    for record in records:
        framing = SETTINGS.frame(record.size)
        points = torch.randn(3, *framing.grid[::-1], generator=generator)
        spheres[record.id] = SphereMap(torch.nn.functional.normalize(points, dim=0), framing)
    return spheres


class Memory:
    """Watches the process's own memory while it is entered; `peak` is in bytes."""

    def __enter__(self) -> Memory:
        self.peak, self._over = 0, threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            kilobytes = next(line.split()[1] for line in lines if line.startswith("RssAnon"))
            self.peak = max(self.peak, 1024 * int(kilobytes))


def main() -> None:
    """Make the store, score, report, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=12_234)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    records = make_records(options.images)
    pairs, spheres = make_pairs(records, options.pairs), make_spheres(records)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.store or Path(temporary)
        if not (folder / INDEX).is_file():
            write_store(records, folder)
        store = FeatureStore(folder, SETTINGS)
        with Memory() as scoring:
            start, cpu = time.perf_counter(), time.process_time()
            table = score_pairs(
                pairs, store, spheres, [0, 0.2, 1], progress=lambda batches: tqdm(batches, desc="score", disable=None)
            )
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        with Memory() as reporting:
            start = time.perf_counter()
            report = summarise(table)
            report_seconds = time.perf_counter() - start
    result = {
        "images": len(records),
        "pairs": len(pairs),
        "keypoints": len(table.pair),
        "scores": len(report.scores),
        "score_seconds": round(seconds, 1),
        "score_cpu_seconds": round(cpu, 1),
        "score_peak_gb": round(scoring.peak / 1e9, 2),
        "report_seconds": round(report_seconds, 1),
        "report_peak_gb": round(reporting.peak / 1e9, 2),
        "threads": options.threads,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("spherecorr", "numpy", "torch")},
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()

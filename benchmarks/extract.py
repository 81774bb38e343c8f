"""Throughput of feature extraction from files to a store, beside the bare forward pass of timm in the same run.

    python benchmarks/extract.py [--backbone mini] [--resolution 448] [--images 64] [--batch 8] [--rounds 5]

The pictures are made here: JPEG files of 500 x 375 pixels with the detail of a photograph. Each round measures the bare
loop (`forward_intermediates` on random pixels that are in memory) and then `extract` (open, decode, resize, normalise,
forward, write to disk) on as many images of the same input size. Prints images per second and their ratio, median and
range over the rounds, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

from spherecorr.backbones import Backbone, load_backbone
from spherecorr.data.records import ImageRecord
from spherecorr.extraction import extract
from spherecorr.store_settings import StoreSettings

SIZE = (500, 375)


def make_pictures(folder: Path, count: int) -> list[ImageRecord]:
    """Pictures with detail at every scale, as photographs have, of some 60 KB each."""
    rng = np.random.default_rng(0)
    records = []
    for i in range(count):
        pixels = np.zeros((SIZE[1], SIZE[0], 3))
        for cells in (4, 16, 64, 256):
            noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
            pixels += np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)) / cells**0.5
        path = folder / f"{i}.jpg"
        Image.fromarray((pixels * 255 / pixels.max()).astype(np.uint8)).save(path, quality=90)
        records.append(ImageRecord(f"made/{i}", path, SIZE, "made", None, {}))
    return records


def bare(backbone: Backbone, resolution: int, count: int, batch: int) -> float:
    """Images per second of timm's forward pass alone."""
    pixels = torch.randn(batch, 3, resolution, resolution).to(next(backbone.model.parameters()))
    source = backbone.source
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(count // batch):
            backbone.model.forward_intermediates(
                pixels,
                indices=[source.layer],
                norm=source.norm,
                stop_early=True,
                output_fmt="NCHW",
                intermediates_only=True,
            )
    if pixels.is_cuda:
        torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


def stored(backbone: Backbone, records: list[ImageRecord], resolution: int, batch: int, folder: Path) -> float:
    """Images per second from files to a whole store."""
    start = time.perf_counter()
    extract(records, backbone, StoreSettings(backbone.source, resolution), folder, batch=batch)
    return len(records) / (time.perf_counter() - start)


def describe(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": round(statistics.median(values), 3), "from": round(min(values), 3), "to": round(max(values), 3)}


def main() -> None:
    """Measure in rounds, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mini", help="a name, or local-dir:FOLDER (default: %(default)s)")
    parser.add_argument("--resolution", type=int, default=448, help="side of the square input (default: %(default)s)")
    parser.add_argument("--images", type=int, default=64, help="in a round (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="images in a forward pass (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of which one more warms up (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    options = parser.parse_args()
    backbone = load_backbone(options.backbone, device=options.device)
    count = options.images // options.batch * options.batch
    forward, whole = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = make_pictures(folder, count)
        for i in range(options.rounds + 1):
            forward.append(bare(backbone, options.resolution, count, options.batch))
            whole.append(stored(backbone, records, options.resolution, options.batch, folder / f"store-{i}"))
    forward, whole = forward[1:], whole[1:]
    result = {
        "backbone": options.backbone,
        "input": options.resolution,
        "batch": options.batch,
        "images": count,
        "timm_images_per_s": describe(forward),
        "extract_images_per_s": describe(whole),
        "ratio": describe([e / f for e, f in zip(whole, forward, strict=True)]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{next(backbone.model.parameters()).device}, torch {torch.__version__}, timm {timm.__version__}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

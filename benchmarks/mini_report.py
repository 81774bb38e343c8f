"""The figures of a sphere checkpoint on held-out renders: raw, sphere and fused matches by category.

    spherecorr render renders --split val  --count 240 --pairs 60  --size 448 --backgrounds photos
    spherecorr render renders --split test --count 400 --pairs 100 --size 448 --backgrounds photos
    python benchmarks/mini_report.py renders

Alpha is chosen on the pairs of `val` (where PCK less symmetric mistakes is highest); figures are of `test`. Prints a
Markdown table and a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from spherecorr.backbones import Backbone, load_backbone
from spherecorr.data.records import ImageRecord
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation import evaluate
from spherecorr.features import SphereMap
from spherecorr.geometry import average_over_cells, mask_to_cells
from spherecorr.images import load_image
from spherecorr.sphere.checkpoint import load_sphere

ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
KINDS = ("raw", "sphere", "fused")
CHOICES = {"thresholds": (0.1,), "protocols": ("corrected",), "resamples": 0}


def compute(data: SPair71k, split: str, backbone: Backbone, sphere):
    """Pairs, and by image id: records, feature maps, sphere maps."""
    pairs = data.pairs(split)
    images = {image.id: image for pair in pairs for image in (pair.source, pair.target)}
    features = {key: backbone(image.path, resolution=sphere.settings.resolution) for key, image in images.items()}
    return pairs, images, features, {key: sphere.sphere_map(value) for key, value in features.items()}


def surface_errors(image: ImageRecord, sphere: SphereMap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Degrees to the true direction per foreground cell; whether side and end are wrong where they are clear."""
    mask = image.load_mask()
    inside = mask_to_cells(mask, sphere.framing)
    mean = average_over_cells(image.load_surface() * mask[..., None], sphere.framing)[inside]
    truth = normalize(torch.from_numpy(mean), dim=-1).numpy()
    found = sphere.points.permute(1, 2, 0).cpu().numpy()[inside]
    angle = np.degrees(np.arccos(np.clip((truth * found).sum(-1), -1, 1)))
    wrong = truth * found < 0
    return angle, wrong[:, 1][np.abs(truth[:, 1]) > 0.3], wrong[:, 0][np.abs(truth[:, 0]) > 0.5]


def seconds(backbone: Backbone, path: Path, resolution: int) -> float:
    """Median of 15 warm calls on one image, opening included."""
    picture = load_image(path)
    for _ in range(3):
        backbone(picture, resolution=resolution)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        backbone(picture, resolution=resolution)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Choose alpha, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path)
    parser.add_argument("--sphere", default="mini")
    options = parser.parse_args()
    sphere = load_sphere(options.sphere)
    backbone = load_backbone(sphere.settings.source)
    data = SPair71k(options.renders)

    pairs, _, features, spheres = compute(data, "val", backbone, sphere)
    on_val = evaluate(pairs, features, sphere=spheres, alpha=ALPHAS, **CHOICES)
    names = dict(zip(on_val.settings["alphas"], on_val.similarities, strict=True))
    scores = {a: [on_val.value(metric, names[a]) for metric in ("PCK", "symmetric mistakes")] for a in ALPHAS}
    alpha = max(ALPHAS, key=lambda a: scores[a][0] - scores[a][1])
    pairs, images, features, spheres = compute(data, "test", backbone, sphere)
    report = evaluate(pairs, features, sphere=spheres, alpha=alpha, **CHOICES)
    at_fifth = evaluate(pairs, features, sphere=spheres, alpha=0.2, **CHOICES)
    print(f"alpha by val: {alpha}; PCK and symmetric mistakes by alpha:")
    print(", ".join(f"{a}: {pck:.3f} {symmetric:.3f}" for a, (pck, symmetric) in scores.items()) + "\n")
    print("| category | keypoints | PCK raw | sphere | fused | symmetric raw | sphere | fused |")
    print("|---|---|---|---|---|---|---|---|")
    for category in ("pooled", *report.categories):
        cells = [report.value(metric, name, category) for metric in ("PCK", "symmetric mistakes") for name in KINDS]
        count = report.find(metric="PCK", over=category)[0].count
        print(f"| {category} | {count} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |")
    errors = [surface_errors(images[key], spheres[key]) for key in images]
    angle, side, end = (np.concatenate(column) for column in zip(*errors, strict=True))
    figures = {"pck": ("PCK", "pooled"), "symmetric": ("symmetric mistakes", "pooled"), "kap": ("KAP", "macro")}
    result = {
        "alpha": alpha,
        **{
            f"{key}_{name}": report.value(metric, name, over)
            for key, (metric, over) in figures.items()
            for name in KINDS
        },
        "pck_fused_at_0.2": at_fifth.value("PCK", "fused"),
        "median_angle": float(np.median(angle)),
        "wrong_side": float(side.mean()),
        "wrong_end": float(end.mean()),
        "seconds_448": seconds(backbone, next(iter(images.values())).path, 448),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }
    print("\n" + json.dumps({key: round(v, 4) if isinstance(v, float) else v for key, v in result.items()}))


if __name__ == "__main__":
    main()

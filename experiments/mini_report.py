r"""The figures of a sphere on held-out renders, by category, beside those of a perfect sphere: its ceiling.

    spherecorr render renders --split val  --count 280 --pairs 40 --size 448 --backgrounds photos
    spherecorr render renders --split test --count 700 --pairs 60 --size 448 --backgrounds photos
    python experiments/mini_report.py renders --features data/features/held
    python experiments/mini_report.py renders --features data/features/held --choose-alpha val
    python experiments/mini_report.py renders --sphere data/vit-tiny-sphere   (a row for another backbone)

Prints Markdown tables and, last, a line of JSON. The ceiling is what the same fusion gives with the true directions of
the surface under each cell; `of ceiling` is (fused - raw) / (ceiling - raw). PCK@0.1 and symmetric mistakes over all
are pooled over the keypoints, KAP@0.1 ("corrected") is the mean of the categories; matches over the whole target
picture. Median angle to the true direction, wrong side (where |y| > 0.3) and wrong end (|x| > 0.5) are those of cells
that the object covers by more than half.

Alpha is what the sphere recommends, what `--alpha` says, or with `--choose-alpha` the one at which PCK less symmetric
mistakes is highest on another split.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import time
from pathlib import Path

import torch
from held_out import (
    HeldOut,
    by_category,
    compare_directions,
    features_folder,
    open_models,
    open_split,
    parser_for,
    rounded,
)

from spherecorr.backbones import Backbone
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.tables import Table, percent
from spherecorr.images import load_image
from spherecorr.sphere.mapper import SphereMapper

ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
METRICS = {"pck": ("PCK", "pooled"), "kap": ("KAP", "macro"), "symmetric": ("symmetric mistakes", "pooled")}
ALL = "all"


def choose_alpha(held: HeldOut, mapper: SphereMapper) -> tuple[float, Table]:
    """The alpha of highest PCK less symmetric mistakes, and the figures of all."""
    report = held.evaluate(held.spheres(mapper), ALPHAS)
    names = dict(zip(report.settings["alphas"], report.similarities, strict=True))
    values = {a: [report.value(metric, names[a], over) for metric, over in METRICS.values()] for a in ALPHAS}
    best = max(ALPHAS, key=lambda a: values[a][0] - values[a][2])
    rows = [[f"{a:g}", *map(percent, row)] for a, row in values.items()]
    return best, Table(f"Choice of alpha: {best:g}", ("alpha", "PCK", "KAP", "symmetric mistakes"), rows)


def gains(found: Report, perfect: Report, category: str) -> dict[str, dict[str, float]]:
    """Raw, sphere, fused, ceiling (fused with the true directions) and true (those alone) of every metric."""
    figures = {}
    for key, (metric, average) in METRICS.items():
        over = average if category == ALL else category
        raw, sphere, fused = (found.value(metric, name, over) for name in ("raw", "sphere", "fused"))
        ceiling, true = (perfect.value(metric, name, over) for name in ("fused", "sphere"))
        figures[key] = {"raw": raw, "sphere": sphere, "fused": fused, "ceiling": ceiling, "true": true}
        if key == "symmetric":
            figures[key]["fused / raw"] = fused / raw if raw else math.nan
        else:
            figures[key]["of ceiling"] = (fused - raw) / (ceiling - raw) if ceiling > raw else math.nan
    return figures


def measure(held: HeldOut, mapper: SphereMapper, alpha: float) -> dict[str, dict]:
    """Every figure of all images together and of each category."""
    spheres = held.spheres(mapper)
    found, perfect = (held.evaluate(maps, alpha) for maps in (spheres, held.true_spheres()))
    figures = {}
    for category, images in {ALL: held.images.values(), **by_category(held.images)}.items():
        average = "pooled" if category == ALL else category
        figures[category] = {
            "keypoints": found.find(metric="PCK", over=average)[0].count,
            **gains(found, perfect, category),
            **compare_directions(images, spheres).figures(),
        }
    return figures


def tables(figures: dict[str, dict], alpha: float) -> list[Table]:
    """One table for each metric, and one for the directions."""
    made = []
    for key, (metric, _) in METRICS.items():
        columns = list(figures[ALL][key])
        rows = [[name, str(of["keypoints"]), *(percent(of[key][c]) for c in columns)] for name, of in figures.items()]
        title = f"{metric}, fused at alpha {alpha:g}, percent"
        made.append(Table(title, ("category", "keypoints", *columns), rows))
    rows = [
        [name, f"{of['median_angle']:.1f}", percent(of["wrong_side"]), percent(of["wrong_end"])]
        for name, of in figures.items()
    ]
    columns = ("category", "median angle, degrees", "wrong side, %", "wrong end, %")
    return [*made, Table("Directions against the true surface", columns, rows)]


def seconds(backbone: Backbone, mapper: SphereMapper, path: Path, resolution: int) -> dict[str, float]:
    """Medians of 15 warm calls on one opened image: features, and features with the sphere map."""
    picture = load_image(path)
    times: dict[str, list[float]] = {"features": [], "with sphere": []}
    for _ in range(18):
        start = time.perf_counter()
        features = backbone(picture, resolution=resolution)
        times["features"].append(time.perf_counter() - start)
        mapper.sphere_map(features)
        times["with sphere"].append(time.perf_counter() - start)
    return {name: statistics.median(values[3:]) for name, values in times.items()}


def main() -> None:
    """Choose alpha if asked to, score, print."""
    parser = parser_for(__doc__)
    parser.add_argument("--split", default="test", help="split that is scored (default: %(default)s)")
    parser.add_argument("--alpha", type=float, help="share of the sphere (default: what the sphere recommends)")
    parser.add_argument("--choose-alpha", metavar="SPLIT", help="choose alpha on this split instead")
    options = parser.parse_args()
    backbone, mapper = open_models(options)
    resolution = mapper.settings.resolution
    alpha = mapper.settings.alpha if options.alpha is None else options.alpha
    with features_folder(options) as folder:

        def opened(split: str) -> HeldOut:
            return open_split(options.renders, split, backbone, resolution, folder, options.limit)

        if options.choose_alpha:
            alpha, table = choose_alpha(opened(options.choose_alpha), mapper)
            print(table.markdown() + "\n")
        held = opened(options.split)
        figures = measure(held, mapper, alpha)
        timed = seconds(backbone, mapper, next(iter(held.images.values())).path, resolution)
    for table in tables(figures, alpha):
        print(table.markdown() + "\n")
    result = {
        "sphere": options.sphere,
        "backbone": backbone.source.backbone,
        "split": options.split,
        "images": len(held.images),
        "pairs": len(held.pairs),
        "alpha": alpha,
        "figures": figures,
        f"seconds at {resolution} px": timed,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }
    print(json.dumps(rounded(result)))


if __name__ == "__main__":
    main()

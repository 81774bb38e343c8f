r"""The app's flags on photographs, whose labels are directions read off renders, for several angles.

    spherecorr data directions photo_viewpoints --renders shapes --renders solids --out labelled
    python experiments/calibrate_photographs.py labelled --split val

Photographs have no keypoints. A point of a source is taken to be visible in a target where the target has a cell whose
labelled direction lies within 20 degrees of the point's own, and the raw match to be a symmetric mistake where its
labelled direction is nearer to the point's mirror image than to the point, and within 30 degrees of it. Pairs are of
one category, drawn at random. Prints recall less the share of false alarms for every angle, as `calibrate.py` does for
renders.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from choose_photographs import NEAR, choose_points, directions
from held_out import add_model_options, open_models
from photographs import read_split

from spherecorr.crops import MIRROR
from spherecorr.matching.match import match_images, prepare
from spherecorr.matching.settings import MatchSettings

SEEN = np.cos(np.radians(20))
ANGLES = (10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, help="folder of `spherecorr data directions`")
    add_model_options(parser)
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--pairs", type=int, default=300)
    options = parser.parse_args()
    backbone, mapper = open_models(options)
    settings = MatchSettings(candidates="foreground")
    groups = defaultdict(list)
    for record in read_split(options.labelled, options.split):
        if record.surface:
            image = prepare(backbone(record.path), mapper, settings)
            groups[record.category].append((image, directions(record, image)))
    shown = [(category, i) for category, group in groups.items() if len(group) > 1 for i in range(len(group))]
    rng = np.random.default_rng(0)
    rows = []
    for number in rng.integers(0, len(shown), options.pairs):
        category, i = shown[number]
        group = groups[category]
        j = int((i + rng.integers(1, len(group))) % len(group))
        (source, known), (target, there) = group[i], group[j]
        points, truth = choose_points(known, source)
        if len(points) and there.any():
            rows.append(_judge(source, target, points, truth, there, settings, mapper.settings))
    hidden, nearest, mistake, *flagged = (np.concatenate(column) for column in zip(*rows, strict=True))
    print(f"{len(rows)} pairs, {len(hidden)} points, {100 * hidden.mean():.1f} % not visible, "
          f"{100 * mistake.mean():.1f} % symmetric mistakes\n")  # fmt: skip
    print("| angle | not visible beyond it | symmetric mistake within it |\n| ---: | ---: | ---: |")
    for angle, flag in zip(ANGLES, flagged, strict=True):
        print(f"| {angle} | {_informedness(nearest > angle, hidden):.1f} | {_informedness(flag, mistake):.1f} |")


def _judge(source, target, points, truth, there, settings, known) -> tuple[np.ndarray, ...]:
    """Per point: hidden, the angle to the nearest cell, a mistake, and the app's flag for every angle."""
    labelled = there[there.any(axis=-1)]
    hidden = (truth @ labelled.T).max(axis=1) < SEEN
    flags = []
    for angle in ANGLES:
        result = match_images(source, target, points, settings, replace(known, mirror_angle=float(angle)))
        flags.append(result.symmetric_mistake)
    columns, rows = target.framing.to_cell(result.raw.xy[:, 0]).T
    met = there[rows, columns]
    own, other = (met * truth).sum(axis=1), (met * truth * MIRROR).sum(axis=1)
    return hidden, result.nearest_angle, (other > NEAR) & (other > own), *flags


def _informedness(flag: np.ndarray, truth: np.ndarray) -> float:
    """Recall less the share of false alarms, percent."""
    return 100 * float(flag[truth].mean() - flag[~truth].mean())


if __name__ == "__main__":
    main()

r"""Rank pairs of held-out photographs by what a sphere mends in them, for the app's examples.

    spherecorr data directions photo_viewpoints --renders shapes --renders solids --out labelled
    python experiments/choose_photographs.py labelled --source Caltech-101 --categories bird boat motorbike

Photographs have no keypoints, so a match counts as right where the direction that renders give its cell (see
`spherecorr.dense_labels`) lies within 30 degrees of the point's own, and as mirrored where it lies within 30 degrees of
the other side's, and nearer to that. Prints, for each category, the pairs in which most points are mirrored by raw
features and right by both together. What becomes an example is looked at, and its keypoints are set by hand.
"""

from __future__ import annotations

import argparse
import csv
from itertools import permutations
from pathlib import Path

import numpy as np
from held_out import add_model_options, open_models
from photographs import read_split

from spherecorr.crops import MIRROR
from spherecorr.data.records import ImageRecord
from spherecorr.matching.match import match_images, prepare
from spherecorr.matching.readout import Ranked
from spherecorr.matching.settings import MatchSettings
from spherecorr.matching.similarity import ImageFeatures

NEAR = np.cos(np.radians(30))
POINTS = 60  # of a photograph
SHOWN = 5  # pairs of a category


def main() -> None:
    """Print the ranked pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, help="folder of `spherecorr data directions`")
    add_model_options(parser)
    parser.add_argument("--split", default="test")
    parser.add_argument("--source", default="Caltech-101", help="of the photographs, for the licence's sake")
    parser.add_argument("--of", type=Path, required=True, help="the photographs' own folder, whose table names sources")
    parser.add_argument("--categories", nargs="+", required=True)
    options = parser.parse_args()
    backbone, mapper = open_models(options)
    with (options.of / "viewpoints.csv").open(newline="") as file:
        sources = {row["image"]: row["source"] for row in csv.DictReader(file)}
    records = [
        record
        for record in read_split(options.labelled, options.split)
        if record.surface and sources[record.path.relative_to(options.labelled).as_posix()] == options.source
    ]
    settings = MatchSettings(candidates="foreground")
    for category in options.categories:
        own = [record for record in records if record.category == category]
        images = [prepare(backbone(record.path), mapper, settings) for record in own]
        known = [directions(record, image) for record, image in zip(own, images, strict=True)]
        found = []
        for i, j in permutations(range(len(own)), 2):
            points, truth = choose_points(known[i], images[i])
            if len(points) < POINTS // 3:
                continue
            result = match_images(images[i], images[j], points, settings, mapper.settings)
            raw, fused = (judge(part, truth, known[j], images[j]) for part in (result.raw, result.fused))
            mended = int((raw[1] & fused[0]).sum())
            found.append(
                (mended, int(fused[0].sum()), int(raw[0].sum()), len(points), own[i].path.name, own[j].path.name)
            )
        for mended, right, raw_right, points, source, target in sorted(found, reverse=True)[:SHOWN]:
            print(f"{category}: {source} -> {target}: of {points}, {mended} mended, raw {raw_right}, fused {right}")


def directions(record: ImageRecord, image: ImageFeatures) -> np.ndarray:
    """Directions under the centres of cells `[H, W, 3]`, 0 where they are not known."""
    columns, rows = image.framing.grid
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    x, y = np.floor(image.framing.to_pixel(cells)).astype(int).T
    width, height = record.size
    surface = record.load_surface() * record.load_mask()[..., None]
    read = surface[y.clip(0, height - 1), x.clip(0, width - 1)]
    length = np.linalg.norm(read, axis=-1, keepdims=True)
    return np.where(length > 0.5, read / np.maximum(length, 1e-6), 0).reshape(rows, columns, 3)


def choose_points(known: np.ndarray, image: ImageFeatures) -> tuple[np.ndarray, np.ndarray]:
    """Pixels `[N, 2]` of cells whose direction is known, evenly spread, and the directions `[N, 3]`."""
    rows, columns = np.nonzero(known.any(axis=-1))
    chosen = np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(int)
    cells = np.stack([columns[chosen], rows[chosen]], axis=1)
    return image.framing.to_pixel(cells), known[cells[:, 1], cells[:, 0]]


def judge(ranked: Ranked, truth: np.ndarray, known: np.ndarray, image: ImageFeatures) -> tuple[np.ndarray, np.ndarray]:
    """Bool `[N]`: which best matches are right, and which are mirrored."""
    columns, rows = image.framing.to_cell(ranked.xy[:, 0]).T
    there = known[rows, columns]
    own, other = (there * truth).sum(axis=1), (there * truth * MIRROR).sum(axis=1)
    return own > NEAR, (other > NEAR) & (other > own)


if __name__ == "__main__":
    main()

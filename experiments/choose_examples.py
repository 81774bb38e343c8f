r"""Choose the app's example pairs by measurement, and write `examples/`.

    spherecorr render renders --split test --count 240 --pairs 300 --size 448 --supersample 2 --seed 7 --studio \
        --categories car,aeroplane,horse,bus,cow,dog
    python experiments/choose_examples.py renders --categories car horse aeroplane bus cow dog

Matching goes as in the app, within the foreground. Of each category's pairs it takes the one where most keypoints, up
to three, are taken for their mirrored keypoint by raw features and found by the sphere and by both together; of those
the one where both together find most. The examples are therefore clear cases, not typical ones; what is typical
stands in the model card.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from spherecorr.backbones import load_backbone
from spherecorr.data.records import PairRecord, mirrored_name
from spherecorr.data.spair import SPair71k
from spherecorr.files import write_atomic
from spherecorr.matching.match import MatchResult, match, prepare
from spherecorr.matching.settings import MatchSettings
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.metrics import correct, symmetric_mistake
from spherecorr.sphere.checkpoint import load_sphere

SHOWN = 4  # points that are placed when an example opens


def judge(pair: PairRecord, result: MatchResult, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Per keypoint: taken for its twin by raw features and found by sphere and fusion; wrong by fusion."""
    truth = np.array([pair.target.keypoints[name] for name in names])
    twin = np.array([pair.target.keypoints.get(mirrored_name(name) or "") or (np.nan, np.nan) for name in names])
    pixels = 0.1 * pair.target.longer_side
    error, mirrored_error = (np.linalg.norm(result.raw.xy[:, 0] - place, axis=1) for place in (truth, twin))
    by_sphere, by_both = (
        correct(np.linalg.norm(ranked.xy[:, 0] - truth, axis=1), pixels) for ranked in (result.sphere, result.fused)
    )
    return symmetric_mistake(error, mirrored_error, pixels) & by_sphere & by_both, ~by_both


def describe(pair: PairRecord, names: list[str], mended: np.ndarray, wrong: np.ndarray) -> dict:
    """One entry of examples.json; mended keypoints come first among those shown."""
    order = sorted(range(len(names)), key=lambda i: (not mended[i], wrong[i]))
    category = pair.source.category
    return {
        "id": category,
        "title": f"{category.capitalize()}: left for right",
        "source": f"{category}-a.jpg",
        "target": f"{category}-b.jpg",
        "category": category,
        "target_box": pair.target.box,
        "keypoints": [
            {"name": name, "source": point, "target": pair.target.keypoints.get(name)}
            for name, point in pair.source.keypoints.items()
            if point or pair.target.keypoints.get(name)
        ],
        "show": [names[i] for i in order[:SHOWN]],
    }


def main() -> None:
    """Search, copy the pictures, write examples.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path)
    parser.add_argument("--categories", nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("examples"))
    options = parser.parse_args()
    sphere = load_sphere("mini")
    backbone = load_backbone(sphere.settings.source)
    best: dict[str, tuple[tuple[int, int], PairRecord, dict]] = {}
    as_the_app = MatchSettings(candidates="foreground")
    prepared: dict[str, ImageFeatures] = {}
    for pair in SPair71k(options.renders).pairs("test"):
        category = pair.source.category
        names = [n for n, p in pair.source.keypoints.items() if p and pair.target.keypoints.get(n)]
        if category not in options.categories or len(names) < SHOWN:
            continue
        for image in (pair.source, pair.target):
            if image.id not in prepared:
                prepared[image.id] = prepare(backbone(image.path), sphere, as_the_app)
        points = [pair.source.keypoints[name] for name in names]
        ends = prepared[pair.source.id], prepared[pair.target.id]
        result = match(*ends, points, sphere=sphere, settings=as_the_app)
        mended, wrong = judge(pair, result, names)
        score = (min(int(mended.sum()), 3), int((~wrong).sum()))
        if category not in best or score > best[category][0]:
            best[category] = score, pair, describe(pair, names, mended, wrong)
    for score, pair, entry in best.values():
        print(f"{entry['id']}: {pair.id}  mended {score[0]}, found {score[1]}  shows {entry['show']}")
        for image, name in ((pair.source, entry["source"]), (pair.target, entry["target"])):
            shutil.copyfile(image.path, options.out / name)
    entries = [best[category][2] for category in options.categories if category in best]
    write_atomic(options.out / "examples.json", (json.dumps(entries, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

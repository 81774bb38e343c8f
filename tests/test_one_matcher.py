"""App, API, `sc.match` and `evaluate` match with one matcher: the same points for the same settings."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import spherecorr as sc
from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.matching.match import prepare
from spherecorr.matching.settings import MatchSettings
from spherecorr.shipped import shipped_folder
from spherecorr.ui.engine import Engine
from spherecorr.ui.session import Controls
from spherecorr.ui.settings import AppSettings

FOLDER = shipped_folder("examples")
EXAMPLES = json.loads((FOLDER / "examples.json").read_text())


@pytest.fixture(scope="module")
def models():
    sphere = sc.load_sphere("mini", device="cpu")
    return sc.load_backbone(sphere.settings.source, device="cpu"), sphere


@pytest.fixture(scope="module")
def engine():
    return Engine(AppSettings(backbones=("mini",), device="cpu"))


def as_records(example: dict, images: dict) -> PairRecord:
    """The example as an annotated pair: every keypoint that both images show."""
    ends = []
    for side in ("source", "target"):
        points = {keypoint["name"]: keypoint[side] and tuple(keypoint[side]) for keypoint in example["keypoints"]}
        size = images[side].framing.image_size
        ends.append(ImageRecord(f"example/{side}", Path(example[side]), size, "example", None, points))
    return PairRecord(example["id"], *ends)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["id"])
def test_all_ways_find_the_same_points(models, engine, example):
    backbone, sphere = models
    images = {side: backbone(FOLDER / example[side], resolution=448) for side in ("source", "target")}
    pictures = [engine.open(FOLDER / example[side]) for side in ("source", "target")]
    pair = as_records(example, images)
    names = [name for name, point in pair.source.keypoints.items() if point]
    points = [pair.source.keypoints[name] for name in names]
    truth = np.array([pair.target.keypoints[name] or (np.nan, np.nan) for name in names])
    for alpha, foreground in product((0.0, 0.35, 1.0), (True, False)):
        settings = MatchSettings(alpha, candidates="foreground" if foreground else "content")
        by_package = sc.match(*images.values(), points, sphere=sphere, settings=settings)
        by_app = engine.match(*pictures, points, Controls("mini", "mini", foreground=foreground, alpha=alpha))
        np.testing.assert_array_equal(by_app.fused.xy, by_package.fused.xy)

        prepared = {f"example/{side}": prepare(images[side], sphere, settings) for side in images}
        features = {name: image.features for name, image in prepared.items()}
        spheres = {name: image.sphere for name, image in prepared.items()}
        objects = {name: image.object_cells for name, image in prepared.items()} if foreground else None
        table = score_pairs([pair], features, spheres, [alpha], settings=settings, objects=objects)
        error = np.linalg.norm(by_package.fused.xy[:, 0] - truth, axis=1)
        np.testing.assert_allclose(table.error[0], error, atol=1e-9)  # pixels; NaN where the target hides the keypoint


def test_a_soft_window_is_the_same_for_package_and_evaluation(models):
    backbone, sphere = models
    example = EXAMPLES[0]
    images = {side: backbone(FOLDER / example[side], resolution=448) for side in ("source", "target")}
    pair = as_records(example, images)
    names = [name for name, point in pair.source.keypoints.items() if point and pair.target.keypoints[name]]
    settings = MatchSettings(0.4, soft_window=3)
    found = sc.match(*images.values(), [pair.source.keypoints[n] for n in names], sphere=sphere, settings=settings)
    features = {f"example/{side}": image for side, image in images.items()}
    report = sc.evaluate([pair], features, sphere=sphere, alpha=0.4, settings=settings, resamples=0)
    plain = sc.evaluate([pair], features, sphere=sphere, alpha=0.4, resamples=0)
    error = np.linalg.norm(found.fused.xy[:, 0] - np.array([pair.target.keypoints[n] for n in names]), axis=1)
    threshold = 0.1 * max(pair.target.size)
    assert report.value("PCK", "fused") == pytest.approx(float((error < threshold).mean()))
    assert report.settings["matching"]["soft_window"] == 3 and plain.settings["matching"]["soft_window"] is None

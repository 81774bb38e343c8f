"""Scores of a whole dataset, on feature maps made by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.evaluation import Score, evaluate_kap, evaluate_pairs
from spherecorr.features import FeatureMap, FeatureSource, SphereMap
from spherecorr.geometry import pad

CELLS = 8  # a picture of 80 x 80 pixels in cells of 10
FRAME = pad((80, 80), 80, 10)
LEFT, RIGHT, NOSE = (1, 4), (6, 4), (4, 1)  # (col, row) of three parts


def centre(cell: tuple[int, int]) -> tuple[float, float]:
    return 10.0 * cell[0] + 5, 10.0 * cell[1] + 5


def record(name: str, keypoints: dict, category: str = "car") -> ImageRecord:
    points = {key: None if cell is None else centre(cell) for key, cell in keypoints.items()}
    # A box of 60 pixels: PCK@0.1 allows less than 6, so only the very cell is right.
    return ImageRecord(f"{category}/{name}", Path(name), (80, 80), category, (10, 10, 70, 50), points, 0)


def feature_map(wheels: tuple[float, float], noise: int) -> FeatureMap:
    """Three channels: wheel, nose, and a background that differs from cell to cell.

    Args:
        wheels: how much each of the left and the right wheel looks like a wheel.
        noise: seed of the background.
    """
    generator = torch.Generator().manual_seed(noise)
    features = torch.zeros(4, CELLS, CELLS)
    features[2:] = torch.rand(2, CELLS, CELLS, generator=generator) + 0.5
    for (column, row), vector in [
        (LEFT, (wheels[0], 0, 0.1, 0)),
        (RIGHT, (wheels[1], 0, 0, 0.1)),
        (NOSE, (0, 1, 0, 0)),
    ]:
        features[:, row, column] = torch.tensor(vector)
    return FeatureMap(features, FRAME, FeatureSource("by-hand", 4, 10, 0))


def sphere_map() -> SphereMap:
    """Left at +y, right at -y, the nose at +x, everything else at -z."""
    points = torch.zeros(3, CELLS, CELLS)
    points[2] = -1
    for (column, row), direction in [(LEFT, (0, 1, 0)), (RIGHT, (0, -1, 0)), (NOSE, (1, 0, 0))]:
        points[:, row, column] = torch.tensor(direction, dtype=torch.float32)
    return SphereMap(points, FRAME)


ALL = {"left_wheel": LEFT, "right_wheel": RIGHT, "nose": NOSE}


def swapped(feature: FeatureMap) -> FeatureMap:
    """The same picture in which the two wheels have exchanged their looks: raw features take one for the other."""
    features = feature.features.clone()
    (a, b), (c, d) = LEFT, RIGHT
    features[:, b, a], features[:, d, c] = feature.features[:, d, c], feature.features[:, b, a]
    return FeatureMap(features, FRAME, feature.source)


@pytest.fixture
def pair():
    """Two pictures of one object; in the second the wheels look like each other's."""
    source, target = record("a", ALL), record("b", ALL)
    features = {source.id: feature_map((1, 1), 0), target.id: swapped(feature_map((1, 1), 1))}
    return PairRecord("a-b", source, target), features, {name: sphere_map() for name in features}


def test_raw_takes_the_twin_and_the_sphere_the_right_one(pair):
    pair, features, spheres = pair
    report = evaluate_pairs([pair], features, spheres, [0, 0.5, 1])
    assert list(report) == ["all", "car"] and report["all"] == report["car"]
    assert report["all"][0] == Score(pck=1 / 3, symmetric=1.0, keypoints=3, with_twin=2)  # only the nose
    assert report["all"][0.5] == report["all"][1] == Score(pck=1.0, symmetric=0.0, keypoints=3, with_twin=2)


def test_raw_features_need_no_sphere(pair):
    pair, features, spheres = pair
    assert evaluate_pairs([pair], features, None, [0]) == {
        key: {0: scores[0]} for key, scores in evaluate_pairs([pair], features, spheres, [0, 1]).items()
    }


def test_only_keypoints_that_both_show_count(pair):
    _, features, spheres = pair
    source = record("a", {"left_wheel": LEFT, "right_wheel": None, "nose": NOSE, "tail": (7, 7)})
    target = record("b", {"left_wheel": LEFT, "right_wheel": RIGHT, "nose": None})
    report = evaluate_pairs([PairRecord("a-b", source, target)], features, spheres, [0])
    # The left wheel alone; its twin is in sight of the target, and raw features take it.
    assert report["all"][0] == Score(pck=0.0, symmetric=1.0, keypoints=1, with_twin=1)
    source_only_left = record("b", {"left_wheel": LEFT, "right_wheel": None})
    report = evaluate_pairs([PairRecord("a-b", source, source_only_left)], features, spheres, [0])
    assert report["all"][0] == Score(pck=0.0, symmetric=0.0, keypoints=1, with_twin=0)  # a mistake, but no twin to see


def test_the_threshold_is_a_share_of_the_targets_longer_side(pair):
    """The twin lies 50 pixels off, the box is 60 long: at 0.9 (54 pixels) raw's answers count as correct."""
    pair, features, spheres = pair
    assert evaluate_pairs([pair], features, spheres, [0], threshold=0.9)["all"][0].pck == 1
    assert evaluate_pairs([pair], features, spheres, [0], threshold=0.8)["all"][0].pck == pytest.approx(1 / 3)


def test_without_a_box_the_threshold_is_a_share_of_the_image(pair):
    """The image is 80 long: the twin's 50 pixels are within 0.7 of it, not within 0.6."""
    pair, features, spheres = pair
    boxless = PairRecord("a-b", pair.source, replace(pair.target, box=None))
    assert evaluate_pairs([boxless], features, spheres, [0], threshold=0.7)["all"][0].pck == 1
    assert evaluate_pairs([boxless], features, spheres, [0], threshold=0.6)["all"][0].pck == pytest.approx(1 / 3)


def test_keypoints_are_pooled_over_pairs_and_categories(pair):
    pair, features, spheres = pair
    twin_free = record("c", {"nose": NOSE}, category="cup"), record("d", {"nose": NOSE}, category="cup")
    for image in twin_free:
        features[image.id], spheres[image.id] = feature_map((0, 0), 2), sphere_map()
    report = evaluate_pairs([pair, PairRecord("c-d", *twin_free)], features, spheres, [0])
    assert report["cup"][0] == Score(pck=1.0, symmetric=0.0, keypoints=1, with_twin=0)
    assert report["all"][0] == Score(pck=2 / 4, symmetric=1.0, keypoints=4, with_twin=2)


def test_a_pair_without_common_keypoints_is_left_out(pair):
    pair, features, spheres = pair
    empty = PairRecord("a-b", record("a", {"nose": NOSE}), record("b", {"nose": None}))
    assert evaluate_pairs([empty, pair], features, spheres, [0]) == evaluate_pairs([pair], features, spheres, [0])
    with pytest.raises(DatasetError, match="There is nothing to score"):
        evaluate_pairs([empty], features, spheres, [0])


def test_kap_is_perfect_by_the_sphere_and_spoilt_by_raw_features_and_by_an_absent_keypoint(pair):
    both, features, spheres = pair
    assert evaluate_kap([both], features, spheres, 1) == {"all": 1.0, "car": 1.0}
    assert evaluate_kap([both], features, None, 0)["all"] < 0.8  # both wheels are surest of the wrong wheel
    lacking = PairRecord("a-b", both.source, record("b", {**ALL, "right_wheel": None}))
    assert evaluate_kap([lacking], features, spheres, 1)["all"] < 1.0  # its place is there, but hidden
    with pytest.raises(DatasetError, match="no pair has a keypoint"):
        evaluate_kap([PairRecord("a-b", record("a", {"nose": None}), both.target)], features, spheres, 1)

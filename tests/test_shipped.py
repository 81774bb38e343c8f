"""What ships keeps its promises: `mini` is small, its sphere fits it, and the examples show what they are there for."""

import json

import numpy as np
import pytest
from PIL import Image

from spherecorr.backbones import load_backbone
from spherecorr.data.records import mirrored_name
from spherecorr.matching.match import match
from spherecorr.metrics import correct, symmetric_mistake
from spherecorr.shipped import shipped_folder
from spherecorr.sphere.checkpoint import load_sphere

EXAMPLES = json.loads((shipped_folder("examples") / "examples.json").read_text())


@pytest.fixture(scope="module")
def mini():
    sphere = load_sphere("mini")
    return load_backbone(sphere.settings.source), sphere


def results(example, backbone, sphere):
    """Per shown keypoint of one example: taken for its twin by raw features; found by the sphere; found by fusion."""
    folder = shipped_folder("examples")
    keypoints = {keypoint["name"]: keypoint for keypoint in example["keypoints"]}
    names = [name for name in example["show"] if keypoints[name]["target"]]
    truth = np.array([keypoints[name]["target"] for name in names])
    twins = [keypoints.get(mirrored_name(name) or "", {}).get("target") for name in names]
    twins = np.array([twin or (np.nan, np.nan) for twin in twins])
    box = example["target_box"]
    threshold = 0.1 * max(box[2] - box[0], box[3] - box[1])
    images = (backbone(folder / example[side]) for side in ("source", "target"))
    points = [keypoints[name]["source"] for name in names]
    found = match(*images, points, sphere=sphere, candidates="foreground")  # as the app matches
    raw, by_sphere, by_both = (
        np.linalg.norm(ranked.xy[:, 0] - truth, axis=1) for ranked in (found.raw, found.sphere, found.fused)
    )
    mirrored_error = np.linalg.norm(found.raw.xy[:, 0] - twins, axis=1)
    return symmetric_mistake(raw, mirrored_error, threshold), correct(by_sphere, threshold), correct(by_both, threshold)


def test_mini_is_small_and_its_sphere_fits_it(mini):
    backbone, sphere = mini
    assert sum(p.numel() for p in backbone.model.parameters()) <= 6_000_000
    sphere.check(backbone.source)
    assert 0 < sphere.settings.alpha < 1


def test_there_are_four_to_six_examples_with_keypoints_inside_their_pictures():
    assert 4 <= len(EXAMPLES) <= 6
    for example in EXAMPLES:
        for side in ("source", "target"):
            with Image.open(shipped_folder("examples") / example[side]) as picture:
                size = picture.size
            points = np.array([k[side] for k in example["keypoints"] if k[side]])
            assert ((points >= 0) & (points <= size)).all()
        assert set(example["show"]) <= {keypoint["name"] for keypoint in example["keypoints"]}


def test_most_examples_show_raw_taking_a_part_for_its_twin_and_the_sphere_getting_it_right(mini):
    telling = 0
    for example in EXAMPLES:
        mistaken, by_sphere, by_fusion = results(example, *mini)
        telling += bool((mistaken & by_sphere & by_fusion).any())
    assert telling >= len(EXAMPLES) / 2

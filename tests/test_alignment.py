"""Pose alignment: a mirrored picture is recognised, and its keypoints are read where their partners lie."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

import spherecorr as sc
from spherecorr.cli import main
from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.inputs import EvaluationError
from spherecorr.features import FeatureMap
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.matching.alignment import align, instance_distance, mirrored_places

SIDE = 6
FRAME = resize_to_fit((60, 60), 60, 10)  # 6 x 6 cells of 10 pixels
SOURCE = FeatureSource("by-hand", 64, 10, 0)


def picture(seed: int = 0) -> FeatureMap:
    """Every cell looks like nothing else, not even like its mirror image."""
    features = torch.randn(64, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return FeatureMap(features, FRAME, SOURCE)


def flipped(of: FeatureMap) -> FeatureMap:
    return replace(of, features=of.features.flip(-1))


def unlike(seed: int) -> FeatureMap:
    """Features of a mirror image: a left-facing look is another look than the right-facing one."""
    return picture(seed + 100)


ALL = np.ones((SIDE, SIDE), dtype=bool)

# One object seen from its right (the source), and one from its left, whose features are those of the source's mirror
# image: what is left is right.
RIGHT, MIRROR = picture(0), unlike(0)
KEYPOINTS = {"left_ear": (15.0, 15.0), "right_ear": (35.0, 15.0), "nose": (5.0, 35.0), "tail": (55.0, 45.0)}
PARTNERS = {"left_ear": "right_ear", "right_ear": "left_ear"}


def record(name: str, keypoints: dict, **options) -> ImageRecord:
    return ImageRecord(f"cat/{name}", Path(name), (60, 60), "cat", None, keypoints, **options)


def turned(keypoints: dict) -> dict:
    """Of the object that faces the other way: partners have changed places, in the mirror image."""
    return {name: (60 - keypoints[PARTNERS.get(name, name)][0], keypoints[name][1]) for name in keypoints}


# The distance


def test_an_object_is_its_own_nearest_and_others_are_far():
    assert instance_distance(RIGHT, ALL, RIGHT, ALL) == pytest.approx(0, abs=1e-3)
    assert instance_distance(RIGHT, ALL, flipped(RIGHT), ALL) == pytest.approx(0, abs=1e-3)  # wherever its cells lie
    assert instance_distance(RIGHT, ALL, picture(1), ALL) > 1


def test_the_distance_by_hand():
    """Unit vectors e1, e2 against e1 and (e1 + e2) / sqrt 2: 0, and sqrt(2 - sqrt 2)."""
    eye = torch.eye(64)
    frame = resize_to_fit((20, 10), 20, 10)
    one = FeatureMap(eye[:, [0, 1]][:, None], frame, SOURCE)
    two = FeatureMap(torch.stack([eye[0], eye[0] + eye[1]], dim=1)[:, None], frame, SOURCE)
    both = np.ones((1, 2), dtype=bool)
    assert instance_distance(one, both, two, both) == pytest.approx(np.sqrt(2 - np.sqrt(2)) / 2, abs=1e-3)
    only_second = np.array([[False, True]])
    distance = np.sqrt(2 - np.sqrt(2))
    assert instance_distance(one, both, two, only_second) == pytest.approx(distance, abs=1e-3)
    assert instance_distance(one, only_second, two, both, "mutual") == pytest.approx(distance, abs=1e-3)
    # Mutual: e2's nearest is the second, whose own nearest is e1 (the first of equal ones), so e1 alone counts.
    assert instance_distance(one, both, two, both, "mutual") == pytest.approx(0, abs=1e-3)


def test_only_the_objects_cells_count():
    half = np.arange(SIDE) < 3
    cells = np.broadcast_to(half, (SIDE, SIDE))
    changed = RIGHT.features.clone()
    changed[..., 3:] = picture(5).features[..., 3:]
    other = replace(RIGHT, features=changed)
    assert instance_distance(RIGHT, cells, other, ALL) == pytest.approx(0, abs=1e-3)
    assert instance_distance(RIGHT, ~cells, other, ALL) > 1
    assert instance_distance(RIGHT, np.zeros_like(ALL), other, ALL) > 0.5  # no object: all cells


@pytest.mark.parametrize("by", ["nearest", "mutual"])
def test_the_nearer_of_a_picture_and_its_mirror_image_is_found(by):
    cells = {"source_cells": ALL, "target_cells": ALL, "by": by}
    same, opposite = (align(RIGHT, MIRROR, target, **cells) for target in (RIGHT, MIRROR))
    assert not same.mirrored and opposite.mirrored
    assert same.plain == pytest.approx(0, abs=1e-3) and opposite.mirror == pytest.approx(0, abs=1e-3)
    assert sc.align(RIGHT, MIRROR, MIRROR).mirrored  # without masks the foreground is guessed


def test_features_of_two_models_are_not_aligned():
    other = replace(RIGHT, source=replace(SOURCE, backbone="another"))
    with pytest.raises(SpherecorrError, match="different features: backbone by-hand and backbone another"):
        align(RIGHT, MIRROR, other)


# Keypoints


def test_keypoints_are_read_where_their_partners_lie():
    places = mirrored_places(KEYPOINTS, PARTNERS, 60)
    assert places == {"left_ear": (25, 15), "right_ear": (45, 15), "nose": (55, 35), "tail": (5, 45)}
    hidden = mirrored_places({**KEYPOINTS, "right_ear": None}, PARTNERS, 60)
    assert hidden.keys() == {"nose", "tail"}  # the hidden one is asked for by nobody, and its partner knows no place


# The evaluation


def scores(target_features: FeatureMap, target_points: dict, points: dict = KEYPOINTS, **options):
    pair = PairRecord("a-b", record("a", points), record("b", target_points))
    features = {"cat/a": RIGHT, "cat/b": target_features}
    return sc.evaluate([pair], features, resamples=0, protocols=("corrected",), thresholds=(0.05,), **options)


MIRRORED = {"cat/a": MIRROR, "cat/b": picture(7)}


@pytest.mark.parametrize("by", ["nearest", "mutual"])
def test_a_mirrored_images_matches_are_recovered(by):
    """The target looks like the source's mirror image; without alignment nothing there looks like the source."""
    report = scores(MIRROR, turned(KEYPOINTS), pose_align=by, mirrored=MIRRORED)
    assert report.value("PCK", "raw") == 1 and report.value("KAP", "raw", "macro") == 1
    assert report.settings["pose alignment"] == by
    assert scores(MIRROR, turned(KEYPOINTS)).value("PCK", "raw") == 0


def test_images_of_one_pose_are_matched_as_they_are():
    aligned = scores(RIGHT, KEYPOINTS, pose_align="nearest", mirrored=MIRRORED)
    assert aligned.value("PCK", "raw") == 1 == scores(RIGHT, KEYPOINTS).value("PCK", "raw")


def test_a_keypoint_whose_partner_is_hidden_is_matched_as_it_is():
    shown = {**KEYPOINTS, "right_ear": None}
    half = MIRROR.features.clone()
    half[:, 4, 2] = RIGHT.features[:, 1, 1]  # in the target, where the left ear's own look is
    target = {**turned(KEYPOINTS), "left_ear": (25.0, 45.0)}
    report = scores(replace(MIRROR, features=half), target, shown, pose_align="nearest", mirrored=MIRRORED)
    assert report.value("PCK", "raw") == 1


def test_what_pose_alignment_lacks_is_said(tmp_path):
    with pytest.raises(EvaluationError, match="Pose alignment compares mirror images; give the features of those, too"):
        scores(MIRROR, KEYPOINTS, pose_align="nearest")
    scores(MIRROR, KEYPOINTS, pose_align="nearest", mirrored=MIRRORED, out=tmp_path / "out")
    other = {**MIRRORED, "cat/a": picture(9)}
    with pytest.raises(EvaluationError, match="holds results of other mirror images"):
        scores(MIRROR, KEYPOINTS, pose_align="nearest", mirrored=other, out=tmp_path / "out")
    with pytest.raises(EvaluationError, match=r"settings \(pose alignment nearest; now pose alignment None"):
        scores(MIRROR, KEYPOINTS, out=tmp_path / "out")


# The commands


def test_a_bare_click_gets_a_hint(tmp_path, capsys):
    """An arrow to the right and one to the left: the matches stay, and the hint says that they face opposite ways."""
    image = Image.new("RGB", (160, 96), "#d8d8d8")
    draw = ImageDraw.Draw(image)
    draw.rectangle((16, 32, 95, 63), "red")
    draw.polygon([(96, 16), (144, 47), (96, 79)], "blue")
    image.save(tmp_path / "right.png")
    ImageOps.mirror(image).save(tmp_path / "left.png")
    click = ["--point", "120,47", "--device", "cpu", "--out", str(tmp_path / "out.json")]
    said = {}
    for target in ("right", "left"):
        files = [str(tmp_path / "right.png"), str(tmp_path / f"{target}.png")]
        assert main(["match", *files, *click, "--pose-align"]) == 0
        pose = json.loads((tmp_path / "out.json").read_text())["pose"]
        said[target] = capsys.readouterr().out
        assert pose["mirrored"] == (target == "left")
        assert min(pose["plain"], pose["mirror"]) == pytest.approx(0, abs=0.05)
    assert "mirrored?" in said["left"] and "mirrored?" not in said["right"]


def test_mirror_images_are_stored_beside_the_images(tmp_path, capsys):
    render = ["--split", "test", "--categories", "car", "--count", "6", "--pairs", "4", "--size", "64"]
    assert main(["render", str(tmp_path / "data"), *render, "--processes", "1"]) == 0
    command = ["eval", "renders", str(tmp_path / "data"), "--backbone", "mini", "--resolution", "64", "--device", "cpu"]
    command += ["--resamples", "0", "--out", str(tmp_path / "out"), "--pose-align", "--soft-window", "5"]
    assert main(command) == 0
    assert "mirrored where that is nearer to the target, by nearest cells" in capsys.readouterr().out
    from spherecorr.store import FeatureStore, StoreError

    store, backbone = FeatureStore(tmp_path / "out" / "features"), sc.load_backbone("mini", device="cpu")
    name = store.ids[0]
    image = sc.load_image(tmp_path / "data" / "JPEGImages" / f"{name}.jpg")
    mirrored = backbone(np.asarray(image)[:, ::-1].copy(), resolution=64, framing="pad")
    torch.testing.assert_close(store.mirror[name].features.float(), mirrored.features.float(), atol=2e-2, rtol=1e-2)
    assert list(store.mirror) == list(store) and len(store.mirror) == len(store)
    plain = ["--out", str(tmp_path / "plain"), "--resolution", "64", "--device", "cpu", "--split", "test"]
    assert main(["extract", "renders", str(tmp_path / "data"), "--backbone", "mini", *plain]) == 0
    with pytest.raises(StoreError, match="has no mirror images; extract whole pictures with --crops 2 --mirrored"):
        FeatureStore(tmp_path / "plain").mirror  # noqa: B018

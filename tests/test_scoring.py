"""Pairs with features made by hand or at random, and what the keypoint table says of them."""

from dataclasses import replace
from pathlib import Path

import literal_metrics as literal
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.data.symmetry import read_symmetry
from spherecorr.evaluation.scoring import ScoringError, score_pairs
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.matching.match import match_images
from spherecorr.matching.settings import MatchSettings
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.metrics import KAP_PROTOCOLS

SOURCE = FeatureSource("by-hand", 6, 10, 0)
FRAME = pad_to_square((50, 10), 50, 10)  # five cells of 10 pixels in a row: the middle row of 5 x 5
PARTS = {"nose": 0, "left_ear": 1, "right_ear": 3, "tail": 4}


def strip(name: str, looks: dict, shown: str = "nose left_ear right_ear tail", category: str = "cat"):
    """A picture whose part at cell i looks like `looks[part]`, and its record, which shows some parts.

    Padding looks like every part at once.
    """
    features = torch.zeros(6, 5, 5)
    features[:4] = 1.0
    features[:, 2] = 0
    features[5, 2, :] = 1.0
    for part, cell in PARTS.items():
        look = looks.get(part)
        if look is not None:
            features[:, 2, cell] = torch.eye(6)[look]
    points = {part: (10.0 * cell + 5, 5.0) if part in shown.split() else None for part, cell in PARTS.items()}
    # A box of 30 pixels in a picture of 50.
    record = ImageRecord(f"{category}/{name}", Path(name), (50, 10), category, (10, 0, 40, 10), points)
    return record, FeatureMap(features, FRAME, SOURCE)


OWN = {"nose": 0, "left_ear": 1, "right_ear": 2, "tail": 3}
SWAPPED = {**OWN, "left_ear": 2, "right_ear": 1}


def scored(target_looks: dict, shown: str = "nose left_ear right_ear tail", **options):
    (source, one), (target, other) = strip("a", OWN), strip("b", target_looks, shown)
    pair = PairRecord("a-b", source, target, {"occlusion": 1})
    return score_pairs([pair], {source.id: one, target.id: other}, None, [0], **options)


def test_each_source_keypoint_has_a_row_with_its_errors():
    table = scored(SWAPPED)
    assert table.keypoint.tolist() == ["nose", "left_ear", "right_ear", "tail"]
    assert table.present.all() and table.pair.tolist() == [0, 0, 0, 0]
    assert table.error.tolist() == [[0, 20, 20, 0]]  # the ears are taken for one another, two cells off
    assert np.array_equal(table.mirrored_error, [[np.nan, 0, 0, np.nan]], equal_nan=True)
    assert table.nearest_own.tolist() == [[True, False, False, True]]
    assert (table.box_side == 30).all() and (table.image_side == 50).all()
    assert (table.pair_ids, table.pair_categories, table.pair_attributes) == (("a-b",), ("cat",), ({"occlusion": 1},))


def test_the_padding_that_looks_like_every_part_is_never_matched():
    assert scored(OWN).error.tolist() == [[0, 0, 0, 0]]
    # Without its look in the strip any cell of it is as good; the first one is taken, not the padding.
    assert scored({**OWN, "tail": None}).error.tolist() == [[0, 0, 0, 40]]


def test_padding_that_counts_is_matched_like_the_picture():
    """As the public evaluations do: its first cell lies 20 pixels above the strip, 40 to the left of the tail."""
    errors = scored({**OWN, "tail": None}, settings=MatchSettings(candidates="all")).error
    assert errors[0].tolist() == [0, 0, 0, pytest.approx(np.hypot(40, 20))]


def test_an_absent_keypoint_has_no_error_and_its_best_cell_as_a_negative():
    table = scored(OWN, "nose left_ear")
    assert table.present.tolist() == [True, True, False, False]
    assert np.array_equal(table.error, [[0, 0, np.nan, np.nan]], equal_nan=True)
    assert table.mirrored_error[0, 2] == 20  # the right ear is hidden, its place two cells from the left ear
    assert np.isnan(table.mirrored_error[0, 1])
    assert np.array_equal(table.kap_positive[0, 0, 0], [1, 1, np.nan, np.nan], equal_nan=True)
    assert table.kap_negative[0, 0, 0].tolist() == [0, 0, 1, 1]
    assert not table.nearest_own[0, 2:].any()


def test_a_target_that_shows_nothing_still_counts_for_kap():
    table = scored(OWN, "")
    assert not table.present.any() and np.isnan(table.error).all() and np.isnan(table.kap_positive).all()
    assert (table.kap_negative[0, 0] == 1).all()


def test_a_source_that_shows_nothing_has_no_row_but_stays_a_pair():
    (source, one), (target, other) = strip("a", OWN, ""), strip("b", OWN)
    features = {source.id: one, target.id: other}
    there, back = PairRecord("a-b", source, target), PairRecord("b-a", target, source)
    table = score_pairs([there, back, there], features, None, [0])
    assert table.pair_ids == ("a-b", "b-a", "a-b") and table.pair.tolist() == [1, 1, 1, 1]
    assert score_pairs([there], features, None, [0]).error.shape == (1, 0)


def test_geometry_aware_keypoints_have_another_of_their_group_in_sight():
    assert scored(OWN).geometry_aware.tolist() == [False, True, True, False]
    assert not scored(OWN, "nose left_ear tail").geometry_aware.any()


def test_the_symmetry_of_numbered_keypoints_is_an_input(tmp_path):
    (tmp_path / "groups.json").write_text('{"cat": [[["nose", "tail"]]]}')
    table = scored(OWN, symmetry=read_symmetry(tmp_path / "groups.json"))
    assert table.geometry_aware.tolist() == [True, False, False, True]
    assert np.array_equal(table.mirrored_error, [[40, np.nan, np.nan, 40]], equal_nan=True)


def test_kap_thresholds_are_shares_of_the_box_or_of_the_image():
    """The keypoint's neighbour is 10 pixels off: within 0.35 of the box's 30, within 0.21 of the image's 50."""
    looks = {"nose": None, "left_ear": None, "right_ear": None, "tail": None}
    for sides, share in (("box", 10.5 / 30), ("image", 10.5 / 50)):
        (source, one), (target, other) = strip("a", OWN), strip("b", looks)
        other.features[:, 2, 0] = torch.eye(6)[1]  # the left ear's look is at the nose, one cell beside the left ear
        pair, maps = PairRecord("a-b", source, target), {source.id: one, target.id: other}
        options = {"sides": sides, "protocols": ["corrected"]}
        table = score_pairs([pair], maps, None, [0], thresholds=[share, 0.8 * share], **options)
        assert table.kap_positive[0, 0, :, 1].tolist() == [1, 0]
        assert table.kap_negative[0, 0, :, 1].tolist() == [0, 1]


def random_pairs(seed: int = 0, images: int = 5, cells: int = 8):
    """Pictures of all shapes with random features and sphere points; all pairs of them, in a random order."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    records, features, spheres = [], {}, {}
    for i in range(images):
        width, height = (8 * rng.integers(2, 13, 2)).tolist()
        side = max(width, height)
        framing = pad_to_square((width, height), 2 * side, 2 * side // cells)
        names = [f"{end}_{part}" for part in ("eye", "paw") for end in ("left", "right")] + ["nose"]
        points = rng.uniform(0, [width, height], (len(names), 2))
        keypoints = {n: tuple(p) if rng.random() < 0.7 else None for n, p in zip(names, points.tolist(), strict=True)}
        box = (0.0, 0.0, 0.7 * width, 0.9 * height) if i else None
        record = ImageRecord(f"cat/{i}", Path(str(i)), (width, height), "cat", box, keypoints)
        records.append(record)
        features[record.id] = FeatureMap(torch.randn(6, cells, cells, generator=generator).half(), framing, SOURCE)
        points = torch.nn.functional.normalize(torch.randn(3, cells, cells, generator=generator), dim=0)
        spheres[record.id] = SphereMap(points, framing)
    pairs = [PairRecord(f"{a.id}-{b.id}", a, b) for a in records for b in records if a is not b]
    return [pairs[i] for i in rng.permutation(len(pairs))], features, spheres


def test_the_table_equals_a_literal_reading_pair_by_pair():
    pairs, features, spheres = random_pairs()
    alphas, thresholds, protocols = (0.0, 0.3, 1.0), (0.3, 0.1, 0.02), tuple(KAP_PROTOCOLS)
    table = score_pairs(pairs, features, spheres, alphas, thresholds=thresholds, protocols=protocols)
    for number, pair in enumerate(pairs):
        names = [name for name, point in pair.source.keypoints.items() if point]
        mine = table.pair == number
        assert table.keypoint[mine].tolist() == names
        one, other = features[pair.source.id], features[pair.target.id]
        cells = one.framing.to_cell(np.array([pair.source.keypoints[name] for name in names]))
        truth = np.array([pair.target.keypoints[name] or (np.nan, np.nan) for name in names])
        raw = literal.similarity(one.features.double().numpy(), cells, other.features.double().numpy())
        ball = [spheres[image.id].points.double().numpy() for image in (pair.source, pair.target)]
        ball = literal.similarity(ball[0], cells, ball[1])
        for a, alpha in enumerate(alphas):
            rows = (1 - alpha) * raw + alpha * ball
            pixels = [share * pair.target.longer_side for share in thresholds]
            right = literal.pck(rows, other.framing, truth, pixels)
            assert np.array_equal(table.error[a, mine] < np.array(pixels)[:, None], right)
            for k, t in np.ndindex(len(protocols), len(thresholds)):
                scores, labels = literal.kap(rows, other.framing, truth, pixels[t], KAP_PROTOCOLS[protocols[k]])
                for kind, found in ((1, table.kap_positive), (0, table.kap_negative)):
                    expected = np.array(scores)[np.array(labels) == kind]
                    found = found[a, k, t, mine]
                    assert np.allclose(found[~np.isnan(found)], expected, atol=1e-6)


def test_matches_are_those_of_the_app():
    pairs, features, spheres = random_pairs(1)
    table = score_pairs(pairs, features, spheres, [0, 0.4, 1])
    for number, pair in enumerate(pairs):
        images = (ImageFeatures(features[image.id], spheres[image.id]) for image in (pair.source, pair.target))
        points = [point for point in pair.source.keypoints.values() if point]
        result = match_images(*images, points, MatchSettings(0.4))
        names = [name for name, point in pair.source.keypoints.items() if point]
        truth = np.array([pair.target.keypoints[name] or (np.nan, np.nan) for name in names])
        for a, ranked in enumerate((result.raw, result.fused, result.sphere)):
            expected = np.linalg.norm(ranked.xy[:, 0] - truth, axis=1)
            assert np.allclose(table.error[a, table.pair == number], expected, equal_nan=True)


def test_many_pairs_of_one_target_and_another_order_change_nothing():
    pairs, features, spheres = random_pairs(2)
    one = score_pairs(pairs * 20, features, spheres, [0, 0.5]).select(np.arange(len(pairs)))
    other = score_pairs(pairs[::-1], features, spheres, [0, 0.5]).select(np.arange(len(pairs))[::-1])
    for name in ("pair", "keypoint", "error", "mirrored_error", "nearest_own"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name.endswith("error"))
    # Products of matrices of other sizes round otherwise.
    assert np.allclose(one.kap_negative, other.kap_negative, atol=1e-6, equal_nan=True)


def test_scaling_a_target_scales_its_errors_and_nothing_else():
    pairs, features, spheres = random_pairs(3, images=2)
    plain = score_pairs(pairs[:1], features, spheres, [0, 0.5])
    target = pairs[0].target
    double = replace(
        target,
        size=(2 * target.size[0], 2 * target.size[1]),
        box=tuple(2 * side for side in target.box) if target.box else None,
        keypoints={name: point and (2 * point[0], 2 * point[1]) for name, point in target.keypoints.items()},
    )
    framing = features[target.id].framing
    framing = replace(framing, image_size=double.size, scale=(framing.scale[0] / 2, framing.scale[1] / 2))
    features[target.id] = replace(features[target.id], framing=framing)
    larger = score_pairs([replace(pairs[0], target=double)], features, spheres, [0, 0.5])
    assert np.allclose(larger.error, 2 * plain.error, equal_nan=True)
    assert np.array_equal(larger.kap_positive, plain.kap_positive, equal_nan=True)
    assert np.array_equal(larger.kap_negative, plain.kap_negative, equal_nan=True)


def test_l2_is_the_negated_distance_of_unit_features_and_of_sphere_points():
    pairs, features, spheres = random_pairs(4, images=2)
    pair = next(pair for pair in pairs if any(pair.source.keypoints.values()))
    options = {"settings": MatchSettings(fusion="l2"), "thresholds": [1e-6], "protocols": ["corrected"]}
    table = score_pairs([pair], features, spheres, [0, 0.3, 1], **options)
    one, other = features[pair.source.id], features[pair.target.id]
    for row, name in enumerate(table.keypoint):
        column, line = one.framing.to_cell(np.array(pair.source.keypoints[name]))
        unit, query = (normalize(values.float(), dim=0) for values in (other.features, one.features[:, line, column]))
        raw = -(unit - query[:, None, None]).norm(dim=0)
        points = [spheres[image.id].points for image in (pair.source, pair.target)]
        ball = -(points[1] - points[0][:, line, column, None, None]).norm(dim=0)
        for a, alpha in enumerate((0, 0.3, 1)):
            rows = ((1 - alpha) * raw + alpha * ball).numpy()
            highest = rows[other.framing.content_cells()].max()
            found = np.fmax(table.kap_positive[a, 0, 0, row], table.kap_negative[a, 0, 0, row])
            # Distances come out of squares here: near 0 half of float32's digits are left.
            assert found == pytest.approx(highest, abs=2e-3)


def test_what_is_missing_or_wrong_is_said_in_one_sentence():
    pairs, features, spheres = random_pairs(5)
    name = pairs[0].source.id
    without = {key: value for key, value in features.items() if key != name}
    other = replace(features[name], source=replace(SOURCE, layer=3))
    moved = replace(features[name], framing=replace(features[name].framing, image_size=(1, 2)))
    for message, arguments, options in (
        (f"no features of image '{name}'", (without, spheres, [0]), {}),
        (f"no sphere map of image '{name}'", (features, {}, [0.5]), {}),
        ("Alpha 0.5 needs sphere maps", (features, None, [0.5]), {}),
        ("between 0 and 1", (features, spheres, [1.5]), {}),
        ("between 0 and 1", (features, spheres, []), {}),
        ("different features", ({**features, name: other}, spheres, [0]), {}),
        (r"of a picture of \(1, 2\)", ({**features, name: moved}, spheres, [0]), {}),
        ("no KAP protocol 'public'", (features, spheres, [0]), {"protocols": ["public"]}),
        ("above 0", (features, spheres, [0]), {"thresholds": [0.1, 0]}),
    ):
        with pytest.raises(ScoringError, match=message):
            score_pairs(pairs, *arguments, **options)

"""Evaluation of a whole dataset: on feature maps made by hand, in parts and after a stop."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import spherecorr
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.data.symmetry import read_symmetry
from spherecorr.evaluation import evaluate as evaluation
from spherecorr.evaluation.evaluate import choose_alphas, evaluate
from spherecorr.evaluation.inputs import EvaluationError, read_pairs, spread
from spherecorr.evaluation.report import ReportError
from spherecorr.evaluation.scoring import ScoringError
from spherecorr.evaluation.viewpoint import evaluate_viewpoints
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.matching.settings import MatchSettings
from spherecorr.sphere.mapper import SphereMapper, SphereMismatchError
from spherecorr.sphere.settings import SphereSettings

CELLS = 8  # a picture of 80 x 80 pixels in cells of 10
FRAME = pad_to_square((80, 80), 80, 10)
SOURCE = FeatureSource("by-hand", 4, 10, 0)
PART = 10  # of the 30 pairs, 5 to a target: the same sums are made as in one part, to the last bit
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
    return FeatureMap(features, FRAME, SOURCE)


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


def many_pairs() -> tuple[list[PairRecord], dict[str, FeatureMap]]:
    """30 pairs of 6 pictures in 2 categories, with random features."""
    images = [record(str(i), ALL if i % 3 else {**ALL, "nose": None}, ("car", "dog")[i % 2]) for i in range(6)]
    features = {image.id: feature_map((1, 0.9), i) for i, image in enumerate(images)}
    pairs = [PairRecord(f"{a.id}-{b.id}", a, b, {"truncation": 1}) for a in images for b in images if a is not b]
    return pairs, features


def tiny_mapper() -> SphereMapper:
    torch.manual_seed(0)
    return SphereMapper(SphereSettings(4, width=8, source=SOURCE, alpha=0.4)).eval()


def figures(report) -> list:
    """All figures, NaN made comparable."""
    return [tuple("nan" if value != value else value for value in vars(score).values()) for score in report.scores]


def test_raw_takes_the_twin_and_the_sphere_the_right_one(pair):
    pair, features, spheres = pair
    report = spherecorr.evaluate([pair], features, sphere=spheres, alpha=0.5, resamples=0)
    assert report.similarities == ("raw", "sphere", "fused") and report.categories == ("car",)
    assert report.value("PCK", "raw") == pytest.approx(1 / 3)  # only the nose
    assert report.value("symmetric mistakes", "raw") == 1
    for name in ("sphere", "fused"):
        assert report.value("PCK", name) == 1 and report.value("symmetric mistakes", name) == 0
    assert report.find(metric="symmetric mistakes")[0].count == 2
    assert report.value("PCK", "fused - raw", "car") == pytest.approx(2 / 3)


def test_raw_features_need_no_sphere(pair):
    pair, features, spheres = pair
    alone = evaluate([pair], features, resamples=0)
    assert alone.similarities == ("raw",)
    both = evaluate([pair], features, sphere=spheres, resamples=0)
    assert alone.value("PCK", "raw") == both.value("PCK", "raw") and alone.value("KAP", "raw", "car") == both.value(
        "KAP", "raw", "car"
    )


def test_only_keypoints_that_both_show_count_for_pck_and_the_others_for_kap(pair):
    _, features, spheres = pair
    source = record("a", {"left_wheel": LEFT, "right_wheel": None, "nose": NOSE, "tail": (7, 7)})
    target = record("b", {"left_wheel": LEFT, "right_wheel": RIGHT, "nose": None})
    report = evaluate([PairRecord("a-b", source, target)], features, sphere=spheres, resamples=0)
    # The left wheel alone; the mirrored one is in sight of the target, and raw features take it.
    (pck,) = report.find(metric="PCK", similarity="raw", over="car", threshold=0.1)
    (kap,) = report.find(metric="KAP", similarity="raw", over="car", threshold=0.1, protocol="corrected")
    assert (pck.value, pck.count) == (0, 1) and report.value("symmetric mistakes", "raw") == 1
    assert (kap.count, kap.negatives) == (1, 3)  # nose and tail can only be found where they are not


def test_a_pair_without_common_keypoints_changes_nothing(pair):
    pair, features, _ = pair
    empty = PairRecord("empty", record("a", {"nose": None}), record("b", {"nose": NOSE}))
    with_empty, without = (evaluate(pairs, features, resamples=0) for pairs in ([empty, pair], [pair]))
    assert with_empty.value("PCK", "raw", "per image") == without.value("PCK", "raw", "per image")
    with pytest.raises(ReportError, match="There is nothing to score: no pair has a keypoint"):
        evaluate([empty], features)


def test_numbered_keypoints_take_their_symmetry_from_outside(pair, tmp_path):
    pair, features, _ = pair
    numbers = {"left_wheel": "0", "right_wheel": "1", "nose": "2"}
    source, target = (
        replace(image, keypoints={numbers[name]: point for name, point in image.keypoints.items()})
        for image in (pair.source, pair.target)
    )
    numbered = PairRecord("a-b", source, target)
    (tmp_path / "symmetry.json").write_text('{"car": [[["0", "1"]]]}')
    symmetry = read_symmetry(tmp_path / "symmetry.json")
    plain, told = (evaluate([numbered], features, symmetry=s, resamples=0) for s in (None, symmetry))
    assert plain.find(metric="symmetric mistakes")[0].count == plain.find(metric="geometry-aware PCK")[0].count == 0
    assert figures(told) == figures(evaluate([pair], features, resamples=0))  # whose names say it
    assert plain.settings["symmetry unknown"] == ["car"]
    assert "symmetric keypoints are not known, so nothing is counted that needs them: car" in plain.table()
    assert "symmetry unknown" not in told.settings and "not known" not in told.table()
    evaluate([numbered], features, out=tmp_path / "out")
    with pytest.raises(EvaluationError, match="holds results of other symmetry"):
        evaluate([numbered], features, symmetry=symmetry, out=tmp_path / "out")


def test_a_reader_is_asked_for_its_split_and_a_mapper_recommends_its_alpha():
    pairs, features = many_pairs()

    class Reader:
        def pairs(self, split, broken=None):
            return {"val": pairs}[split]

    report = evaluate(Reader(), features, split="val", sphere=tiny_mapper(), resamples=0)
    assert report.settings["alphas"] == [0, 1, 0.4] and report.settings["split"] == "val"
    assert report.settings["features"]["backbone"] == "by-hand" and report.settings["features"]["input_size"] == (
        80,
        80,
    )
    maps = {name: tiny_mapper().sphere_map(feature) for name, feature in features.items()}
    assert figures(evaluate(pairs, features, sphere=maps, alpha=0.4, resamples=0)) == figures(report)


def test_alphas():
    mapper = tiny_mapper()
    assert choose_alphas(None, None) == (0,) and choose_alphas(mapper, None) == (0, 1, 0.4)
    assert choose_alphas(mapper, (0.2, 1, 0.5)) == (0, 1, 0.2, 0.5) and choose_alphas({}, None) == (0, 1, 0.2)
    with pytest.raises(EvaluationError, match="there is no sphere"):
        choose_alphas(None, 0.2)
    with pytest.raises(EvaluationError, match=r"must lie between 0 and 1; got 1\.5"):
        choose_alphas(mapper, 1.5)


def test_parts_give_what_one_pass_gives(monkeypatch, tmp_path):
    pairs, features = many_pairs()
    whole = evaluate(pairs, features, sphere=tiny_mapper(), resamples=10)
    monkeypatch.setattr(evaluation, "PART", PART)
    assert figures(evaluate(pairs, features, sphere=tiny_mapper(), resamples=10, out=tmp_path)) == figures(whole)
    assert len(list((tmp_path / "parts").iterdir())) == 3


def test_a_stopped_run_goes_on_and_does_nothing_twice(monkeypatch, tmp_path):
    pairs, features = many_pairs()
    monkeypatch.setattr(evaluation, "PART", PART)
    scored = []

    def stop_after_one(parts):
        for part in parts:
            if len(scored) == 1:
                raise KeyboardInterrupt
            scored.append(part)
            yield part

    with pytest.raises(KeyboardInterrupt):
        evaluate(pairs, features, out=tmp_path, progress=stop_after_one)
    done = {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    assert len(done) == 1
    left = []
    report = evaluate(pairs, features, out=tmp_path, progress=lambda parts: left.extend(parts) or parts)
    assert len(left) == 2 and figures(report) == figures(evaluate(pairs, features))
    for name, content in done.items():
        assert (tmp_path / "parts" / name).read_bytes() == content
    again = []
    evaluate(pairs, features, out=tmp_path, progress=lambda parts: again.extend(parts) or parts)
    assert again == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"thresholds": (0.2,)}, r"settings \(thresholds"),
        ({"alpha": 0.7}, r"settings \(alphas \[.*; now alphas \["),
        ({"settings": MatchSettings(fusion="l2")}, r"settings \(fusion cosine; now fusion l2\)"),
        ({"settings": MatchSettings(candidates="all")}, "candidates content; now candidates all"),
        ({"settings": MatchSettings(soft_window=3)}, "soft_window None; now soft_window 3"),
        ({"sphere": None}, "and sphere"),
        ({"about": {"versions": {"spherecorr": "9"}}}, "versions"),
    ],
)
def test_results_of_other_settings_are_refused(tmp_path, change, named):
    pairs, features = many_pairs()
    call = {"sphere": tiny_mapper(), "resamples": 0}
    evaluate(pairs, features, out=tmp_path, **call)
    with pytest.raises(EvaluationError, match=f"'{tmp_path}' holds results of other .*{named}"):
        evaluate(pairs, features, out=tmp_path, **{**call, **change})
    report = evaluate(pairs, features, out=tmp_path, overwrite=True, **{**call, **change})
    assert figures(report) == figures(evaluate(pairs, features, **{**call, **change}))


def test_other_weights_and_other_pairs_are_other_settings(tmp_path):
    pairs, features = many_pairs()
    mapper = tiny_mapper()
    evaluate(pairs, features, sphere=mapper, out=tmp_path, resamples=0)
    with torch.no_grad():
        mapper.head.bias += 1
    with pytest.raises(EvaluationError, match="holds results of other sphere"):
        evaluate(pairs, features, sphere=mapper, out=tmp_path)
    with pytest.raises(EvaluationError, match="holds results of other annotations"):
        evaluate(pairs[::-1], features, sphere=tiny_mapper(), out=tmp_path)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(DatasetError, match=r"settings\.json' is not valid JSON"):
        evaluate(pairs, features, sphere=tiny_mapper(), out=tmp_path)


def test_features_that_are_missing_are_named_or_left_out(pair, tmp_path):
    pair, features, _ = pair
    other = PairRecord("b-c", pair.target, record("c", ALL))
    with pytest.raises(DatasetError, match="There are no features for image 'car/c', which pair 'b-c' names"):
        evaluate([pair, other], features)
    broken = []
    report = evaluate([pair, other], features, broken=broken, resamples=0)
    assert report.settings["pairs"] == 1 and report.settings["left out"]["count"] == len(broken) == 1
    assert "left out: 1; the first: There are no features for image 'car/c'" in report.table()
    evaluate([pair, other], features, broken=(broken := []), resamples=0, out=tmp_path)
    assert (tmp_path / "left-out.txt").read_text().splitlines() == broken


def test_nothing_to_evaluate_is_said(pair):
    pair, features, _ = pair
    with pytest.raises(EvaluationError, match="There are no pairs to evaluate"):
        evaluate([], features)
    with pytest.raises(ScoringError, match="There is no KAP protocol 'mine'; there are corrected, authors"):
        evaluate([pair], features, protocols=("mine",))


def test_a_mapper_of_another_backbone_is_refused(pair):
    pair, features, _ = pair
    mapper = SphereMapper(SphereSettings(4, width=8, source=replace(SOURCE, backbone="other")))
    with pytest.raises(SphereMismatchError, match="was trained on backbone 'other', not on 'by-hand'"):
        evaluate([pair], features, sphere=mapper)


def test_pictures_are_looked_for_before_anything_is_computed(tmp_path, pair):
    there, gone = tmp_path / "there.png", tmp_path / "gone.png"
    Image.new("RGB", (80, 80)).save(there)
    images = [replace(pair[0].source, path=path) for path in (there, gone)]
    pairs = [PairRecord("good", images[0], images[0]), PairRecord("bad", images[0], images[1])]

    class Reader:
        def pairs(self, split, broken=None):
            return pairs

    with pytest.raises(DatasetError, match=r"Pair 'bad' cannot be used: there is no picture '.*gone\.png'"):
        read_pairs(Reader(), "test")
    broken = []
    assert read_pairs(Reader(), "test", broken) == pairs[:1] and len(broken) == 1
    gone.write_bytes(b"no picture")
    assert read_pairs(Reader(), "test") == pairs  # decoded only where broken ones may be left out
    assert read_pairs(Reader(), "test", broken := []) == pairs[:1] and "cannot be read as a picture" in broken[0]
    Image.new("RGB", (80, 60)).save(gone)
    assert read_pairs(Reader(), "test", broken := []) == pairs[:1] and "80 x 60 pixels, its annotation" in broken[0]


def test_a_limit_is_spread_evenly():
    assert spread(list(range(10)), 5) == [0, 2, 4, 6, 8] and spread([1, 2], None) == spread([1, 2], 9) == [1, 2]
    with pytest.raises(EvaluationError, match="1 or more; got 0"):
        spread([1, 2], 0)


def test_viewpoints_of_datasets_without_pairs():
    """Three cars seen from two sides; the sphere sends what looks like a wheel to where the camera stands."""
    mapper = tiny_mapper()
    images = [replace(record(f"car{i}-{side}", ALL), azimuth=90.0 * side) for i in range(3) for side in range(2)]
    looks = {side: torch.rand(4, CELLS, CELLS, generator=torch.Generator().manual_seed(side)) for side in range(2)}
    features = {
        image.id: FeatureMap(looks[i % 2], FRAME, SOURCE) for i, image in enumerate(images)
    }  # fmt: skip
    report = evaluate_viewpoints(images, features, mapper)
    assert report.overall.images == 6 and report.overall.median == 0  # each finds the same view of another car
    features[images[0].id] = FeatureMap(looks[1], FRAME, SOURCE)
    assert evaluate_viewpoints(images, features, mapper).errors[images[0].id] == 90
    del features[images[0].id]
    with pytest.raises(DatasetError, match="There are no features for image 'car/car0-0'"):
        evaluate_viewpoints(images, features, mapper)
    report = evaluate_viewpoints(images, features, mapper, broken=(broken := []))
    assert report.overall.images == 5 and len(broken) == 1 and "car/car0-0" in broken[0]


def test_float16_features_score_as_float32():
    """Stores hold float16; features that differ clearly are matched alike."""
    pair = PairRecord("a-b", record("a", ALL), record("b", ALL))
    features = {
        image.id: FeatureMap(torch.randn(4, CELLS, CELLS, generator=torch.Generator().manual_seed(i)), FRAME, SOURCE)
        for i, image in enumerate((pair.source, pair.target))
    }
    half = {name: replace(feature, features=feature.features.half()) for name, feature in features.items()}
    full, halved = (evaluate([pair], maps, sphere=tiny_mapper(), resamples=0) for maps in (features, half))
    assert figures(full) == figures(halved)

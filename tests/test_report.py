"""Reports from tables of keypoints whose right answer can be counted by hand."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from spherecorr.evaluation.averages import AVERAGES, kap_averages, precision_recall, resample, share_averages
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.report import ReportError
from spherecorr.evaluation.summary import CURVE_THRESHOLDS, similarity_names, summarise
from spherecorr.evaluation.tables import Table, percent

NAN = float("nan")


def by_hand(pairs: dict[str, tuple], **changes) -> KeypointTable:
    """A table at one alpha, protocol and threshold; boxes of 100 px, so PCK@0.1 allows less than 10.

    Args:
        pairs: name -> (category, errors in px of its keypoints: NaN where the target lacks one).
        changes: of the table's fields.
    """
    errors = np.array([error for _, pair in pairs.values() for error in pair], dtype=float)
    rows = len(errors)
    present = ~np.isnan(errors)
    fields = {
        "alphas": (0.0,),
        "protocols": ("corrected",),
        "thresholds": (0.1,),
        "sides": "box",
        "fusion": "cosine",
        "candidates": "content",
        "soft_window": None,
        "pair_ids": tuple(pairs),
        "pair_categories": tuple(category for category, _ in pairs.values()),
        "pair_attributes": ({},) * len(pairs),
        "pair": np.repeat(np.arange(len(pairs)), [len(pair) for _, pair in pairs.values()]),
        "keypoint": np.array([f"part{i}" for i in range(rows)]),
        "present": present,
        "geometry_aware": np.zeros(rows, dtype=bool),
        "box_side": np.full(rows, 100.0),
        "image_side": np.full(rows, 300.0),
        "error": errors[None],
        "mirrored_error": np.full((1, rows), NAN),
        "nearest_own": np.ones((1, rows), dtype=bool),
        "kap_positive": np.where(present, 0.9, NAN)[None, None, None],
        "kap_negative": np.full((1, 1, 1, rows), 0.2),
    }
    return KeypointTable(**{**fields, **changes})


PAIRS = {"a": ("car", (0, 20, NAN)), "b": ("car", (0,)), "c": ("cup", (20, 20))}


@pytest.fixture
def random_table():
    """40 pairs of 3 categories with 6 keypoints each, at raw, sphere and fused."""
    generator = np.random.default_rng(0)
    pairs = {f"p{i}": (f"kind{i % 3}", tuple(generator.gamma(2, 10, 6))) for i in range(40)}
    table = by_hand(pairs)
    present = generator.random(240) < 0.7
    missing = np.where(present, 0, NAN)
    return replace(
        table,
        alphas=(0.0, 1.0, 0.2),
        thresholds=(0.1, 0.05),
        present=present,
        geometry_aware=present & (generator.random(240) < 0.5),
        error=generator.gamma(2, 8, (3, 240)) + missing,
        mirrored_error=generator.gamma(2, 20, (3, 240)) + np.where(generator.random(240) < 0.5, 0, NAN),
        nearest_own=generator.random((3, 240)) < 0.9,
        kap_positive=generator.random((3, 1, 2, 240)).round(1) + missing,  # rounded, so that many scores are equal
        kap_negative=generator.random((3, 1, 2, 240)).round(1),
        pair_attributes=tuple({"truncation": i % 2} for i in range(40)),
    )


def test_every_average_counts_what_its_name_says():
    report = summarise(by_hand(PAIRS), resamples=0)
    pck = {name: report.value("PCK", "raw", name) for name in (*AVERAGES, "car", "cup")}
    assert pck == pytest.approx(
        {
            "pooled": 2 / 5,
            "per image": (1 / 2 + 1 + 0) / 3,
            "macro": (2 / 3 + 0) / 2,
            "pair-weighted": (2 * 2 / 3 + 1 * 0) / 3,
            "car": 2 / 3,
            "cup": 0,
        }
    )
    assert {f.over: f.count for f in report.find(metric="PCK")} == {**dict.fromkeys(AVERAGES, 5), "car": 3, "cup": 2}
    assert report.settings["keypoints absent in the target"] == 1


def test_a_match_at_the_very_threshold():
    table = by_hand({"a": ("car", (10,))})
    assert summarise(table, resamples=0).value("PCK", "raw") == 0
    assert summarise(table, inclusive=True, resamples=0).value("PCK", "raw") == 1


def test_thresholds_by_box_or_by_image():
    """20 px are 0.2 of the box and 0.07 of the image."""
    table = by_hand({"a": ("car", (20,))})
    assert summarise(table, resamples=0).value("PCK", "raw") == 0
    assert summarise(replace(table, sides="image"), resamples=0).value("PCK", "raw") == 1
    boxless = replace(table, box_side=np.array([NAN]))
    assert summarise(boxless, resamples=0).value("PCK", "raw") == 1
    one_box = replace(by_hand({"a": ("car", (20, 20))}), box_side=np.array([NAN, 100]))
    said = [summarise(part, resamples=0).settings["threshold is a share of"] for part in (table, boxless, one_box)]
    assert said == ["the target's box", "the target image", "the target's box, or the image where there is none"]


def test_the_other_shares():
    table = by_hand(
        {"a": ("car", (1, 2, 50, 60))},
        geometry_aware=np.array([True, False, True, False]),
        nearest_own=np.array([[True, False, True, True]]),
        mirrored_error=np.array([[NAN, 90.0, 5.0, 20.0]]),
    )
    report = summarise(table, resamples=0)
    assert report.value("PCK-dagger", "raw") == 1 / 4  # the second is nearer to another keypoint
    assert report.value("geometry-aware PCK", "raw") == 1 / 2
    assert report.value("symmetric mistakes", "raw") == pytest.approx(1 / 3)  # three have a mirrored keypoint in sight
    assert report.find(metric="symmetric mistakes")[0].count == 3


def test_decoys_are_hidden_keypoints_matched_to_their_mirrored_keypoint():
    """Hidden: the first three, of which two have a mirrored keypoint in sight; the last is a symmetric mistake."""
    mirrored = np.array([[3.0, 30.0, NAN, 3.0]])
    report = summarise(by_hand({"a": ("car", (NAN, NAN, NAN, 50))}, mirrored_error=mirrored), resamples=0)
    for metric, value, count in (("decoys", 1 / 2, 2), ("symmetric mistakes", 1, 1)):
        (score,) = report.find(metric=metric, over="car")
        assert (score.value, score.count) == (value, count)
    text = report.table()
    assert "decoys raw" in text and "decoys: of the keypoints that the target hides" in text


def test_a_decoy_at_the_very_threshold():
    table = by_hand({"a": ("car", (NAN, 0))}, mirrored_error=np.array([[10.0, NAN]]))
    assert summarise(table, resamples=0).value("decoys", "raw") == 0
    assert summarise(table, inclusive=True, resamples=0).value("decoys", "raw") == 1


def test_a_match_near_both_is_no_symmetric_mistake():
    table = by_hand({"a": ("car", (3,))}, mirrored_error=np.array([[4.0]]))
    assert summarise(table, resamples=0).value("symmetric mistakes", "raw") == 0


def test_kap_of_scores_that_tell_all_is_1_and_confident_absent_keypoints_lower_it():
    table = by_hand(PAIRS)
    report = summarise(table, resamples=0)
    assert all(score.value == 1 for score in report.find(metric="KAP"))
    (car,) = report.find(metric="KAP", over="car")
    assert (car.count, car.negatives, car.positive_share) == (3, 4, 3 / 7)
    assert "5 positives of 11 (share 45.5)" in report.table()
    confident = table.kap_negative.copy()
    confident[..., 2] = 0.95  # the keypoint that the target lacks
    fooled = summarise(replace(table, kap_negative=confident), resamples=0)
    assert fooled.value("KAP", "raw", "car") == pytest.approx(3 / 4) and fooled.value("KAP", "raw", "cup") == 1
    assert fooled.value("KAP", "raw", "macro") == pytest.approx((3 / 4 + 1) / 2)
    assert fooled.value("KAP", "raw", "per image") == pytest.approx((2 / 3 + 1 + 1) / 3)


def test_kap_is_scikit_learns_average_precision(random_table):
    report = summarise(random_table, resamples=3)
    positive, negative = random_table.kap_positive[1, 0, 0], random_table.kap_negative[1, 0, 0]
    for kind in range(3):
        mine = random_table.pair % 3 == kind
        shown = mine & random_table.present
        scores = np.concatenate([positive[shown], negative[mine]])
        labels = np.repeat([1, 0], [shown.sum(), mine.sum()])
        expected = average_precision_score(labels, scores)
        assert report.value("KAP", "sphere", f"kind{kind}") == pytest.approx(expected, abs=1e-6)


def test_a_resample_is_the_score_of_the_pairs_drawn(random_table):
    """Counting a pair twice is the same as having it twice."""
    categories = np.arange(40) % 3
    weights = resample(categories, 1, seed=4)
    drawn = random_table.select(np.repeat(np.arange(40), weights[1].astype(int)))
    expected = summarise(drawn, resamples=0)

    pairs, present = random_table.pair, random_table.present
    hits = np.bincount(pairs, present & (random_table.error[0] < 10), minlength=40)[None]
    averages = share_averages(hits, np.bincount(pairs, present, minlength=40).astype(float), categories, weights)
    names = (*AVERAGES, "kind0", "kind1", "kind2")
    assert averages[:, 0, 1] == pytest.approx([expected.value("PCK", "raw", name) for name in names])

    positive, negative = random_table.kap_positive[0, 0, 0], random_table.kap_negative[0, 0, 0]
    scores = np.concatenate([positive[present], negative])
    labels = np.repeat([1, 0], [present.sum(), 240])
    averages = kap_averages(scores, labels, np.concatenate([pairs[present], pairs]), categories, weights)
    assert averages[:, 1] == pytest.approx([expected.value("KAP", "raw", name) for name in names], abs=1e-6)


def test_resamples_keep_the_categories_sizes():
    categories = np.array([0, 1, 1, 0, 1])
    weights = resample(categories, 50, seed=0)
    assert (weights[0] == 1).all() and (weights[:, categories == 0].sum(axis=1) == 2).all()
    assert (weights[:, categories == 1].sum(axis=1) == 3).all() and weights[1:].std() > 0
    assert (weights == resample(categories, 50, seed=0)).all() and (weights != resample(categories, 50, seed=1)).any()


def test_intervals_hold_the_scores_and_differences_their_own(random_table):
    report = summarise(random_table, resamples=200)
    for score in report.find(threshold=0.1):
        assert score.low <= score.value <= score.high
    raw, fused, gain = (report.value("PCK", name) for name in ("raw", "fused", "fused - raw"))
    assert gain == pytest.approx(fused - raw)
    # Pairs that are all alike leave nothing to chance.
    same = summarise(by_hand({name: ("car", (0, 20)) for name in "abcd"}), resamples=50)
    (score,) = same.find(metric="PCK", over="pooled")
    assert score.low == score.value == score.high == 0.5


def test_one_pair_drawn_again_and_again_has_no_interval():
    """The car has two pairs and the cup one; of decoys, each has one pair that counts."""
    mirrored = np.array([[NAN, NAN, 5, NAN, NAN, 5]])
    table = by_hand({"a": ("car", (0, 20, NAN)), "b": ("car", (0,)), "c": ("cup", (20, NAN))}, mirrored_error=mirrored)
    report = summarise(table, resamples=20)
    for metric in ("PCK", "KAP"):
        has = {score.over: np.isfinite([score.low, score.high]).all() for score in report.find(metric=metric)}
        assert has == {**dict.fromkeys(AVERAGES, True), "car": True, "cup": False}
    assert all(np.isnan(score.low) and score.value == 1 for score in report.find(metric="decoys"))
    assert next(line for line in report.table().splitlines() if line.startswith("decoys@0.1")).split()[2:] == [
        "100.0", "[-]", "2",
    ]  # fmt: skip

    alone = summarise(table.select(np.array([0, 2])), resamples=20)  # every category has one pair
    assert not any(np.isfinite([score.low, score.high]).any() for score in alone.scores)
    asked_for_none = summarise(table, resamples=0).table()
    assert "[-]" not in asked_for_none.split("Averages")[1]


def test_the_interval_is_as_wide_as_theory_says():
    """One keypoint per pair, half of them right: the standard error is sqrt(0.25 / n)."""
    report = summarise(by_hand({str(i): ("car", (20 * (i % 2),)) for i in range(400)}), resamples=2000)
    (score,) = report.find(metric="PCK", over="pooled")
    assert score.high - score.low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.1)  # of 2000 draws, within 10 %


def test_nothing_in_sight_is_undefined_and_no_error(tmp_path):
    report = summarise(by_hand({"a": ("car", (NAN, NAN)), "b": ("cup", (0,))}), resamples=20)
    assert np.isnan(report.value("PCK", "raw", "car")) and np.isnan(report.value("KAP", "raw", "car"))
    assert report.value("PCK", "raw", "macro") == report.value("KAP", "raw", "macro") == 1
    report.save(tmp_path)
    assert "NaN" not in (tmp_path / "report.json").read_text() and "nan" not in (tmp_path / "report.csv").read_text()
    with pytest.raises(ReportError, match="0 resamples or more; got -1"):
        summarise(by_hand(PAIRS), resamples=-1)
    with pytest.raises(ReportError, match="no pair has a keypoint in its source image"):
        summarise(by_hand({"a": ("car", ())}))


def test_difficulties_are_scores_of_their_pairs(random_table):
    report = summarise(random_table, resamples=0)
    for value in (0, 1):
        part = summarise(random_table.select(np.arange(40) % 2 == value), resamples=0)
        for metric in ("PCK", "symmetric mistakes", "decoys"):
            wanted = {"metric": metric, "similarity": "fused", "threshold": 0.05}
            (score,) = report.find(group="truncation", over=str(value), **wanted)
            (alone,) = part.find(over="pooled", **wanted)
            assert (score.value, score.count) == (pytest.approx(alone.value), alone.count) and alone.count > 0
    assert {group for group, _ in report.difficulties} == {"truncation"}


def test_names_of_similarities():
    assert similarity_names((0.0, 1.0, 0.2)) == ("raw", "sphere", "fused")
    assert similarity_names((0.2, 0.5, 0.0)) == ("fused 0.2", "fused 0.5", "raw")


def test_curves(random_table):
    report = summarise(random_table, resamples=0)
    curves = {(curve.kind, curve.similarity, curve.over): curve for curve in report.curves}
    assert len(curves) == 2 * 3 * 4
    pck = curves["PCK", "fused", "all"]
    assert pck.y[CURVE_THRESHOLDS.index(0.1)] == pytest.approx(report.value("PCK", "fused"), abs=1e-4)
    assert pck.y[0] == 0 and pck.y == sorted(pck.y)
    curve = curves["precision-recall", "raw", "kind1"]
    area = np.sum(np.diff(curve.x, prepend=0) * curve.y)
    assert area == pytest.approx(report.value("KAP", "raw", "kind1"), abs=1e-3)  # written with four decimals


def test_a_long_curve_is_thinned_between_its_ends():
    scores, labels = np.arange(10_000)[::-1], np.arange(10_000) % 2
    recall, precision = precision_recall(scores, labels, points=50)
    assert len(recall) <= 50 and recall[-1] == 1 and precision[-1] == 0.5 and (np.diff(recall) > 0).all()


def test_files_hold_every_score(random_table, tmp_path):
    report = summarise(random_table, resamples=20, settings={"dataset": "by hand", "left out": {"count": 2}})
    report.save(tmp_path / "new")
    document = json.loads((tmp_path / "new" / "report.json").read_text())
    assert document["settings"]["dataset"] == "by hand" and document["settings"]["fusion"] == "cosine"
    rows = list(csv.DictReader((tmp_path / "new" / "report.csv").open()))
    assert len(rows) == len(document["scores"]) == len(report.scores)
    for row, score in zip(rows, report.scores, strict=True):
        assert (row["metric"], row["over"], float(row["value"])) == (
            score.metric, score.over, pytest.approx(score.value, abs=1e-6),
        )  # fmt: skip
    assert {"symmetric mistakes", "decoys"} < {row["metric"] for row in rows}
    markdown = (tmp_path / "new" / "report.md").read_text()
    assert "- left out: count 2" in markdown and "- correct if: error < threshold" in markdown
    assert f"| kind0 | {report.find(metric='PCK', over='kind0')[0].count} |" in markdown


def test_a_report_is_shown_in_two_lines(random_table):
    report = summarise(random_table, resamples=0, settings={"checksum": "x" * 1000})
    first, second = repr(report).splitlines()
    counts = f"40 pairs, {report.settings['keypoints']} keypoints, 3 categories"
    assert first == f"Report({counts}; similarities raw, sphere, fused;"
    for metric, over in (("PCK", "pooled"), ("KAP", "macro")):
        values = ", ".join(percent(report.value(metric, name, over)) for name in report.similarities)
        assert f"{metric}@0.1 {over} {values}" in second


def test_the_printed_table_is_in_percent(random_table):
    text = summarise(random_table, resamples=0).table()
    line = next(line for line in text.splitlines() if line.startswith("PCK@0.1, macro"))
    report = summarise(random_table, resamples=0)
    assert line.split()[2:5] == [percent(report.value("PCK", name, "macro")) for name in ("raw", "sphere", "fused")]
    assert "PCK@0.05" not in text


def test_a_score_that_is_not_there_is_named(random_table):
    report = summarise(random_table, resamples=0)
    with pytest.raises(ReportError, match=r"The report has no PCK of 'fused' over 'kind9' at 0\.1"):
        report.value("PCK", "fused", "kind9")


def test_tables_as_text_and_markdown():
    table = Table("Title", ["", "a"], [["long name", "1.0"], ["b", "22.5"]])
    assert table.text() == "Title\n              a\nlong name   1.0\nb          22.5"
    assert table.markdown().splitlines()[2:] == ["|  | a |", "| --- | ---: |", "| long name | 1.0 |", "| b | 22.5 |"]
    assert percent(0.1234) == "12.3" and percent(0.1234, signed=True) == "+12.3" and percent(NAN) == "-"

"""One pair, keypoint by keypoint: a made pair on which raw features take each wheel for the other."""

from dataclasses import replace

import numpy as np
import pytest
from test_evaluation import ALL, feature_map, record, sphere_map, swapped

from spherecorr.data.records import PairRecord
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.one_pair import keypoint_scores
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.summary import summarise
from spherecorr.views.curves import pair_figure


def scored(target_keypoints=ALL, source_keypoints=ALL):
    """The table of the pair at raw and sphere, and the pair with its features and sphere maps."""
    source, target = record("a", source_keypoints), record("b", target_keypoints)
    pair = PairRecord("a-b", source, target)
    features = {source.id: feature_map((1, 1), 0), target.id: swapped(feature_map((1, 1), 1))}
    spheres = {name: sphere_map() for name in features}
    return score_pairs([pair], features, spheres, (0, 1)), (pair, features, spheres)


def verdicts(table, alpha):
    return {row.name: row.verdict for row in keypoint_scores(table, alpha)[1]}


def test_raw_features_confuse_the_twins_and_the_sphere_does_not():
    table, _ = scored()
    assert verdicts(table, 0) == {"left_wheel": "twin", "right_wheel": "twin", "nose": "right"}
    assert verdicts(table, 1) == dict.fromkeys(ALL, "right")
    (left, _, nose) = keypoint_scores(table, 0)[1]
    assert left.error == 50 and left.threshold == 6 and nose.error == 0  # five cells of 10 px; a box of 60 px


def test_a_hidden_keypoint_is_a_decoy_where_its_twin_is_taken():
    table, _ = scored({**ALL, "left_wheel": None})
    assert verdicts(table, 0) == {"left_wheel": "decoy", "right_wheel": "wrong", "nose": "right"}
    hidden = keypoint_scores(table, 0)[1][0]
    assert not hidden.present and hidden.positive is None and np.isnan(hidden.error)
    table, _ = scored({**ALL, "nose": None})
    assert verdicts(table, 1)["nose"] == "hidden"


def test_a_confident_hidden_keypoint_costs_kap():
    table, _ = scored({**ALL, "nose": None})
    kap, rows = keypoint_scores(table, 1)
    nose = rows[2]
    assert nose.negative == 1 and nose.outranked == 2  # both wheels score 1 where they are: not above
    assert kap < 1 and nose.kap_without == 1


def test_without_names_that_tell_sides_there_is_no_twin():
    named = {"1": ALL["left_wheel"], "2": ALL["right_wheel"]}
    table, _ = scored(named, named)
    assert set(verdicts(table, 0).values()) == {"wrong"}


@pytest.mark.parametrize("target", [ALL, {**ALL, "nose": None}, {**ALL, "left_wheel": None}])
def test_the_numbers_are_those_of_an_evaluation_of_that_pair(target):
    table, (pair, features, spheres) = scored(target)
    report = evaluate([pair], features, sphere=spheres, alpha=1.0, resamples=0)
    for alpha, name in enumerate(report.similarities):
        kap, rows = keypoint_scores(table, alpha)
        shown = [row for row in rows if row.present]
        assert kap == pytest.approx(report.value("KAP", name))
        assert np.mean([row.verdict == "right" for row in shown]) == pytest.approx(report.value("PCK", name))
        twins = report.find(metric="symmetric mistakes", similarity=name, over="pooled", threshold=0.1)[0]
        assert sum(row.verdict == "twin" for row in rows) == np.nan_to_num(twins.value * twins.count)


def test_the_area_below_a_drawn_line_is_kap():
    generator = np.random.default_rng(0)
    table, _ = scored({**ALL, "nose": None})
    scores = generator.random((2, *table.kap_positive.shape)).astype(np.float32)
    table = replace(
        table, kap_positive=np.where(np.isnan(table.kap_positive), np.nan, scores[0]), kap_negative=scores[1]
    )
    report = summarise(table, resamples=0)
    for trace, name in zip(pair_figure(report).data, report.similarities, strict=True):
        area = np.sum(np.diff(trace.x) * np.array(trace.y[1:]))  # steps go up or down first, then to the right
        assert area == pytest.approx(report.value("KAP", name), abs=1e-3)
        assert trace.line.shape == "vh" and trace.x[0] == 0

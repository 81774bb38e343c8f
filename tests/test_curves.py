"""Figures of an evaluation show the report's own numbers, and explain the KAP of one pair."""

import numpy as np
import pytest
from test_report import PAIRS, by_hand

from spherecorr.evaluation.one_pair import keypoint_scores
from spherecorr.evaluation.summary import summarise
from spherecorr.views.curves import (
    category_figure,
    keypoint_figure,
    pck_figure,
    precision_recall_figure,
    report_page,
)

NAN = float("nan")


def two_similarities(**changes):
    """The pairs of test_report by raw features, and by a sphere that is always right and always sure."""
    table = by_hand(PAIRS)
    present = table.present
    fields = {
        "alphas": (0.0, 1.0),
        "error": np.stack([table.error[0], np.where(present, 0.0, NAN)]),
        "mirrored_error": np.full((2, 6), NAN),
        "nearest_own": np.ones((2, 6), dtype=bool),
        "kap_positive": np.where(present, [[0.5] * 6, [0.9] * 6], NAN)[:, None, None],
        "kap_negative": np.array([[0.4, 0.7, 0.6, 0.1, 0.2, 0.3], [0.1] * 6])[:, None, None],
    }
    return by_hand(PAIRS, **{**fields, **changes})


@pytest.fixture(scope="module")
def report():
    return summarise(two_similarities(), resamples=20)


def lines(figure) -> dict:
    return {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}


def test_lines_are_the_reports_curves(report):
    drawn = lines(precision_recall_figure(report))
    assert drawn.keys() == {"raw", "sphere"}
    assert drawn["sphere"] == ([1], [1])  # everything found before anything false
    pck = lines(pck_figure(report, "car"))
    assert pck["raw"][1][-1] == pytest.approx(2 / 3, abs=1e-4)  # up to 0.2 the match that is 20 px off is wrong
    assert pck["sphere"][1][1:] == [1] * 40


def test_bars_are_the_categories_with_their_intervals(report):
    figure = category_figure(report)
    assert lines(figure)["raw"] == (["car", "cup"], [pytest.approx(2 / 3), 0])
    bars = figure.data[0]
    car, cup = report.find(metric="PCK", similarity="raw", group="category")
    assert bars.y[0] - bars.error_y.arrayminus[0] == pytest.approx(car.low)
    assert np.isnan([cup.low, bars.error_y.arrayminus[1]]).all()  # of one pair, which has no interval


def test_every_keypoint_of_a_pair_says_what_it_costs():
    table = two_similarities().select(np.array([0]))  # present, present, absent
    kap, rows = keypoint_scores(table)
    assert [(row.present, row.positive, row.negative) for row in rows] == [
        (True, 0.5, 0.4), (True, 0.5, 0.7), (False, None, 0.6),
    ]  # fmt: skip
    # In falling order: 0.7 false, 0.6 false, 0.5 twice right, 0.4 false.
    assert kap == pytest.approx(2 / 4)
    assert rows[2].kap_without == pytest.approx(2 / 3) and rows[1].kap_without == pytest.approx(1 / 2)
    assert keypoint_scores(table, alpha=1)[0] == 1


def test_a_pair_with_nothing_in_sight_has_no_kap():
    table = by_hand({"a": ("car", (NAN, NAN))})
    kap, rows = keypoint_scores(table)
    assert np.isnan(kap) and all(np.isnan(row.kap_without) for row in rows)
    assert "undefined" in keypoint_figure(kap, rows).layout.title.text


def test_the_keypoint_figure_marks_absent_ones():
    kap, rows = keypoint_scores(two_similarities().select(np.array([0])))
    figure = keypoint_figure(kap, rows)
    assert figure.layout.title.text == "KAP of this pair: 50.0"
    markers = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data if trace.name}
    assert markers["near the keypoint"] == {"part0": 0.5, "part2 (absent)": None, "part1": 0.5}
    assert markers["anywhere, though the target lacks it"]["part2 (absent)"] == 0.6
    assert list(figure.layout.yaxis.categoryarray) == ["part0", "part2 (absent)", "part1"]  # the surest mistake on top


def test_the_page_is_whole_in_one_file(report):
    page = report_page(report)
    assert page.count("plotly-graph-div") == 5 and "PCK@0.1, macro" in page
    assert 'src="http' not in page  # the script is inside

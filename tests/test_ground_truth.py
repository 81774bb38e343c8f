"""The panel "Ground truth" without a browser, on mini and the pairs that ship."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_evaluation import figures

from spherecorr.data.records import mirrored_name
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.matching.settings import MatchSettings
from spherecorr.ui.engine import Engine
from spherecorr.ui.ground_truth import GroundTruth
from spherecorr.ui.panels.ground_truth import COMPUTING, MIRRORED, NO_KEYPOINTS, Panel
from spherecorr.ui.session import MAX_POINTS, Controls, Session, Visit
from spherecorr.ui.settings import AppSettings

CAR = "Car: left for right"


@pytest.fixture(scope="module")
def truth():
    return GroundTruth(Engine(AppSettings(backbones=("mini",), device="cpu")))


def opened(truth, controls, chosen, category, number=1):
    """The session of a visit that has opened a pair, with its features computed."""
    session = Session()
    truth.open(session, controls, chosen, category, number)
    for picture in session.visit.pair:
        truth.engine.features(picture, controls)
    return session


def texts(html):
    """The cells of every table in a text, row by row, without marks."""
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)] for row in rows]


@pytest.mark.parametrize(("chosen", "category", "foreground"), [("0", CAR, True), ("1", "horse", False)])
def test_the_numbers_are_those_of_an_evaluation_of_that_pair(truth, chosen, category, foreground):
    controls = Controls("mini", "mini", alpha=0.4, foreground=foreground)
    session = opened(truth, controls, chosen, category)
    pair, engine = truth.shown(session.visit), truth.engine
    scores = truth.score(pair, session.visit.pair, controls)
    ids = pair.record.source.id, pair.record.target.id
    features = {name: engine.features(p, controls) for name, p in zip(ids, session.visit.pair, strict=True)}
    report = evaluate(
        [pair.record],
        features,
        sphere=engine.sphere(controls)[0],
        alpha=0.4,
        thresholds=(0.1,),
        protocols=("corrected",),
        settings=MatchSettings(candidates="foreground" if foreground else "content"),
        resamples=0,
    )
    assert figures(scores.report) == figures(report)
    assert scores.report.curves == report.curves
    drawn = texts(Panel(truth).draw(session, controls)[0])
    for column, name in enumerate(("raw", "sphere", "fused"), start=1):
        assert scores.found[name].pck == report.value("PCK", name)
        assert scores.found[name].kap == report.value("KAP", name)
        rows = {line[0]: line[column] for line in drawn}
        assert rows["KAP"] == f"{100 * report.value('KAP', name):.1f}"
        assert rows["right (PCK@0.1)"].endswith(f"{100 * report.value('PCK', name):.1f} %")


def test_what_is_drawn_lies_where_it_was_scored(truth):
    controls = Controls("mini", "mini", alpha=0.4)
    session = opened(truth, controls, "0", CAR)
    pair = truth.shown(session.visit)
    scores = truth.score(pair, session.visit.pair, controls)
    html = Panel(truth).draw(session, controls)[0]
    drawn = re.findall(r"<figure>.*?</figure>", html, re.S)
    assert len(drawn) == 4 and html.count("data:image/jpeg") == 2  # the target's picture is there once
    rows = [scores.found["raw"].rows[i] for i in scores.order]
    marks = re.findall(r"<g><title>(.*?)</title><(?:circle cx|rect x|polygon)", drawn[1])
    assert marks == [f"{row.name.replace('_', ' ')}: {row.verdict}" for row in rows]
    lines = np.array(re.findall(r'<line x1="(.*?)" y1="(.*?)" x2="(.*?)" y2="(.*?)"', drawn[1]), float)[::2]
    shown = [row for row in rows if row.present]
    assert np.hypot(*(lines[:, :2] - lines[:, 2:]).T) == pytest.approx([row.error for row in shown], abs=0.2)


def test_every_keypoint_of_the_source_has_a_row_and_a_hidden_one_its_score(truth):
    controls = Controls("mini", "mini", alpha=0.4)
    session = opened(truth, controls, "0", CAR)
    matches, kap, by_keypoint, by_recall = Panel(truth).draw(session, controls)
    record = truth.shown(session.visit).record
    shown = [name for name, point in record.source.keypoints.items() if point]
    hidden = [name for name in shown if record.target.keypoints[name] is None]
    rows = texts(matches)[6:]
    assert len(rows) == len(shown) and hidden
    for row, name in zip(rows[-len(hidden) :], hidden, strict=True):
        assert name.replace("_", " ") in row[0] and "not in the target" in row[0] and "score 0." in row[1]
        assert mirrored_name(name)
    assert f"Here {len(hidden)} of {len(shown)} keypoints are hidden." in kap
    assert by_keypoint["visible"] and len(by_keypoint["value"].layout.yaxis.categoryarray) == len(shown)
    assert [trace.name.split(",")[0] for trace in by_recall["value"].data] == ["raw", "sphere", "fused"]


def test_a_pair_opens_with_its_keypoints_as_points_those_in_both_first(truth):
    session = Session()
    text, kind = truth.open(session, Controls("mini"), "1", "horse", 3)
    record = truth.shown(session.visit).record
    points = [name for name, point in record.source.keypoints.items() if point]
    both = [record.source.keypoints[name] for name in points if record.target.keypoints[name]]
    assert len(session.visit.points) == min(MAX_POINTS, len(points))
    assert list(session.visit.points[: len(both)]) == [pytest.approx(point) for point in both[:MAX_POINTS]]
    assert f"{len(points)} keypoints, {len(both)} of them in the target too" in text and kind == "info"


def test_swapped_pictures_are_scored_the_other_way_round(truth):
    controls = Controls("mini", "mini")
    session = opened(truth, controls, "1", "bird")
    forth = truth.shown(session.visit).record
    session.visit = Visit(session.visit.target, session.visit.source)
    back = truth.shown(session.visit).record
    assert (back.source, back.target) == (forth.target, forth.source)
    assert "right (PCK@0.1)" in Panel(truth).draw(session, controls)[0]


def test_without_a_sphere_there_is_one_column(truth):
    controls = Controls("mini", "none")
    session = opened(truth, controls, "1", "bird")
    matches, kap, *_ = Panel(truth).draw(session, controls)
    assert texts(matches)[0] == ["", "raw"] and "alpha" not in matches and "raw similarity" in kap


@pytest.mark.parametrize("alpha", [0, 1])
def test_at_the_ends_of_alpha_fused_is_one_of_the_others(truth, alpha):
    controls = Controls("mini", "mini", alpha=alpha)
    session = opened(truth, controls, "1", "bird")
    for row in texts(Panel(truth).draw(session, controls)[0]):
        assert len(row) == 4 and (row[3] == row[1 + alpha] or row[3] == "fused")


def test_a_sentence_says_what_is_missing(truth):
    panel, controls = Panel(truth), Controls("mini", "mini", preset="balanced")
    session = Session()
    assert NO_KEYPOINTS in panel.draw(session, controls)[0]
    truth.open(session, controls, "1", "train", 1)
    matches, kap, *plots = panel.draw(session, controls)
    assert COMPUTING in matches and not kap and not any(plot["visible"] for plot in plots)
    session.visit = Visit(session.visit.source, session.visit.target.mirror())
    assert MIRRORED in panel.draw(session, controls)[0]
    other = truth.engine.open(truth.engine.settings.examples / "bus-b.jpg")
    session.visit = Visit(other, session.visit.source)
    assert NO_KEYPOINTS in panel.draw(session, controls)[0]


def test_the_menus_follow_each_other(truth):
    panel = Panel(truth)
    category, number = panel.choose_list("1")
    assert category["value"] == "aeroplane" and "train" in category["choices"]
    assert (number["maximum"], number["value"], number["visible"]) == (3, 1, True)
    assert not panel.choose_category("0", CAR)["visible"]  # one pair needs no slider
    category, number = panel.choose_any("1")
    assert truth.pairs("1").pair(category["value"], number["value"])

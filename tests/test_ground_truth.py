"""KAP explained on the app's examples."""

from __future__ import annotations

import pytest
from app_driver import values

from spherecorr.ui.engine import AppSettings, Engine
from spherecorr.ui.examples import read_examples
from spherecorr.ui.ground_truth import EXPLAINED, NO_KEYPOINTS, GroundTruth
from spherecorr.ui.handlers import Handlers
from spherecorr.ui.session import Controls, Session


@pytest.fixture(scope="module")
def app():
    engine = Engine(AppSettings(backbones=("mini",), device="cpu"))
    return engine, Handlers(engine)


def opened(handlers: Handlers, controls: Controls) -> Session:
    session = Session()
    handlers.open_example(session, controls, "car")
    handlers.settle(session, *values(controls))
    return session


def test_every_keypoint_of_an_example_is_in_the_plot(app):
    engine, handlers = app
    controls = Controls("mini", "mini", alpha=0.7)
    session = opened(handlers, controls)
    figure, text = GroundTruth(engine, handlers.examples).explain(session, controls)
    example = read_examples(engine.settings.examples)["car"]
    hidden = {name for name, point in example.target_keypoints.items() if point is None}
    shown = [name for name, point in example.source_keypoints.items() if point]
    expected = {f"{name} (absent)" if name in hidden else name for name in shown}
    assert text == EXPLAINED and set(figure.layout.yaxis.categoryarray) == expected
    assert figure.layout.title.text.startswith("KAP of this pair: ")


def test_alpha_changes_the_explanation(app):
    engine, handlers = app
    controls = Controls("mini", "mini", alpha=0.0)
    session = opened(handlers, controls)
    truth = GroundTruth(engine, handlers.examples)
    raw, fused = (truth.explain(session, Controls("mini", "mini", alpha=alpha))[0] for alpha in (0.0, 0.7))
    assert raw.layout.title.text != fused.layout.title.text


def test_without_annotated_keypoints_a_sentence_says_what_is_needed(app):
    engine, handlers = app
    controls = Controls("mini", "mini")
    session = opened(handlers, controls)
    handlers._mirror(session, {})
    assert GroundTruth(engine, handlers.examples).explain(session, controls) == (None, NO_KEYPOINTS)

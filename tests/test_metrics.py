"""PCK and symmetric mistakes on points worked out by hand."""

import numpy as np
import pytest

from spherecorr.metrics import correct, symmetric_mistake

HIDDEN = (np.nan, np.nan)
TRUTH = np.array([(100.0, 100.0)])


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ((100, 100), True),
        ((109.999, 100), True),  # just below the threshold of 10 pixels
        ((110, 100), False),  # at it: the comparison is strict
        ((110.001, 100), False),
        ((106, 107.999), True),  # 6, 8, 10: the distance is Euclidean
        ((106, 108), False),
    ],
)
def test_correct_is_closer_than_the_threshold(predicted, expected):
    assert correct(np.array([predicted]), TRUTH, 10.0).tolist() == [expected]


def test_a_hidden_keypoint_is_never_correct():
    truth = np.array([HIDDEN, (5, 5)])
    assert correct(np.array([(5.0, 5.0), (5.0, 5.0)]), truth, 1e9).tolist() == [False, True]


def test_every_keypoint_may_have_its_own_threshold():
    predicted = np.array([(103.0, 100.0), (103.0, 100.0)])
    assert correct(predicted, TRUTH.repeat(2, 0), np.array([2.0, 4.0])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("predicted", "truth", "twin", "expected"),
    [
        ((30, 0), (0, 0), (30, 0), True),  # on the twin
        ((0, 0), (0, 0), (30, 0), False),  # on the keypoint
        ((39.9, 0), (0, 0), (30, 0), True),  # within 10 pixels of the twin
        ((40, 0), (0, 0), (30, 0), False),  # at 10 pixels: neither part
        ((6, 0), (0, 0), (8, 0), True),  # both near: the nearer one counts
        ((4, 0), (0, 0), (8, 0), False),  # a tie is no mistake
        ((30, 0), HIDDEN, (30, 0), True),  # keypoint hidden: the twin decides
        ((30, 0), (0, 0), HIDDEN, False),  # no twin in sight
        ((30, 0), HIDDEN, HIDDEN, False),
    ],
)
def test_a_symmetric_mistake_is_on_the_twin_and_not_on_the_part(predicted, truth, twin, expected):
    values = (np.array([value], dtype=float) for value in (predicted, truth, twin))
    assert symmetric_mistake(*values, 10.0).tolist() == [expected]


def test_what_is_correct_and_a_mistake_at_once_is_both():
    """With twins closer than the threshold a match can be within it of both: right by PCK, yet on the wrong part."""
    predicted, truth, twin = np.array([(6.0, 0.0)]), np.array([(0.0, 0.0)]), np.array([(8.0, 0.0)])
    assert correct(predicted, truth, 10.0).all() and symmetric_mistake(predicted, truth, twin, 10.0).all()

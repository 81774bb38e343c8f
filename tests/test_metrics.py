"""PCK and symmetric mistakes at distances worked out by hand."""

import numpy as np
import pytest

from spherecorr.metrics import correct, symmetric_mistake

HIDDEN = np.nan


def test_correct_is_closer_than_the_threshold():
    assert correct(np.array([0, 9.999, 10, 10.001]), 10.0).tolist() == [True, True, False, False]


def test_at_the_threshold_is_correct_only_if_inclusive():
    assert correct(np.array([9.999, 10, 10.001]), 10.0, inclusive=True).tolist() == [True, True, False]


def test_a_hidden_keypoint_is_never_correct():
    assert correct(np.array([HIDDEN, 0]), 1e9).tolist() == [False, True]


def test_every_keypoint_may_have_its_own_threshold():
    assert correct(np.array([3.0, 3.0]), np.array([2.0, 4.0])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("error", "mirrored_error", "expected"),
    [
        (30, 0, True),  # on the mirrored keypoint
        (0, 30, False),  # on the keypoint
        (40, 9.999, True),  # within 10 pixels of the mirrored one
        (40, 10, False),  # at 10 pixels: neither part
        (6, 2, True),  # both near: the nearer one counts
        (4, 4, False),  # a tie is no mistake
        (HIDDEN, 0, True),  # keypoint hidden: the mirrored one decides
        (30, HIDDEN, False),  # no mirrored keypoint in sight
        (HIDDEN, HIDDEN, False),
    ],
)
def test_a_symmetric_mistake_is_on_the_mirrored_keypoint_and_not_on_the_keypoint(error, mirrored_error, expected):
    assert symmetric_mistake(np.array([error]), np.array([mirrored_error]), 10.0).tolist() == [expected]


def test_at_the_threshold_is_near_the_mirrored_keypoint_only_if_inclusive():
    assert symmetric_mistake(np.array([40.0]), np.array([10.0]), 10.0, inclusive=True).all()


def test_what_is_correct_and_a_mistake_at_once_is_both():
    """A keypoint may be closer to its mirrored one than the threshold: right by PCK, yet on the wrong side."""
    error, mirrored_error = np.array([6.0]), np.array([2.0])
    assert correct(error, 10.0).all() and symmetric_mistake(error, mirrored_error, 10.0).all()

"""A ball in the object's place: what its middle, right and top show from each side."""

import numpy as np
import pytest

from spherecorr.ball_labels import ball_directions

FRONT, LEFT, TOP = np.eye(3)


@pytest.mark.parametrize(
    ("azimuth", "towards", "right"),
    [(0, FRONT, LEFT), (90, LEFT, -FRONT), (180, -FRONT, -LEFT), (270, -LEFT, FRONT)],
)
def test_the_middle_faces_the_camera_and_the_rim_its_sides(azimuth, towards, right):
    ball = ball_directions(np.ones((101, 201), bool), azimuth)
    assert ball[50, 100] @ towards == pytest.approx(1)
    assert ball[50, 200] @ right > 0.98 and ball[50, 0] @ right < -0.98
    assert ball[0, 100] @ TOP > 0.98 and ball[100, 100] @ TOP < -0.98
    np.testing.assert_allclose(np.linalg.norm(ball, axis=-1), 1, atol=1e-6)


def test_from_above_the_middle_is_the_top():
    ball = ball_directions(np.ones((51, 51), bool), 0, elevation=90)
    assert ball[25, 25] @ TOP == pytest.approx(1)
    assert ball[50, 25] @ FRONT > 0.95  # the front lies below in the picture


def test_the_ball_fills_the_objects_box_and_specks_do_not_count():
    mask = np.zeros((60, 80), bool)
    mask[10:31, 20:61] = True
    mask[55, 75] = True
    ball = ball_directions(mask, 90)
    assert ball[20, 40] @ LEFT == pytest.approx(1)
    assert (ball.any(axis=-1) == (mask & (np.arange(60)[:, None] < 50))).all()


def test_a_mirror_image_seen_from_the_other_side_is_the_same_label():
    ball, other = (ball_directions(np.ones((20, 30), bool), azimuth) for azimuth in (40, -40))
    np.testing.assert_allclose(other, ball[:, ::-1] * (1, -1, 1), atol=1e-6)


def test_no_object_has_no_direction():
    assert not ball_directions(np.zeros((8, 8), bool), 0).any()

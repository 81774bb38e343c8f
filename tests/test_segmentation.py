"""Objects that a person marks in made pictures, where the right mask is plain to see."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from spherecorr.segmentation import SegmentationError, Stroke, segment


def scene(size=(240, 160), circles=((80, 80, 40),), seed=0):
    """Red discs (x, y, radius) on blurred green noise, and the mask of the first."""
    noise = np.random.default_rng(seed).integers(0, 60, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise + np.array([20, 120, 40], np.uint8)).filter(ImageFilter.GaussianBlur(1))
    truth = Image.new("L", size)
    for number, (x, y, radius) in enumerate(circles):
        disc = (x - radius, y - radius, x + radius, y + radius)
        ImageDraw.Draw(image).ellipse(disc, (200, 40, 30))
        if number == 0:
            ImageDraw.Draw(truth).ellipse(disc, 255)
    return image, np.asarray(truth) > 0


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_box_around_an_object_gives_its_mask():
    image, truth = scene()
    mask = segment(image, box=(30, 30, 130, 130))
    assert mask.shape == (160, 240) and mask.dtype == bool
    assert overlap(mask, truth) > 0.95


def test_a_stroke_or_a_click_on_an_object_gives_its_mask():
    image, truth = scene()
    assert overlap(segment(image, strokes=[Stroke(((55, 80), (80, 90), (105, 80)))]), truth) > 0.95
    assert overlap(segment(image, strokes=[Stroke(((80, 80),))]), truth) > 0.95


def test_a_stroke_over_the_background_takes_a_second_object_out():
    image, _ = scene(circles=((70, 80, 40), (180, 80, 40)))
    inside, outside = Stroke(((50, 80), (90, 80))), Stroke(((150, 80), (210, 80)), inside=False)
    both = segment(image, strokes=[inside])
    assert both[80, 70] and both[80, 180]
    corrected = segment(image, strokes=[inside, outside])
    assert corrected[80, 70] and not corrected[80, 180]


def test_nothing_outside_a_box_is_the_objects():
    image, _ = scene(circles=((70, 80, 40), (180, 80, 40)))
    mask = segment(image, box=(20, 30, 120, 130))
    assert mask[80, 70] and not mask[:, 120:].any()


def test_a_large_picture_is_segmented_at_a_bounded_size_and_the_mask_scaled_back():
    image, truth = scene()
    large = image.resize((2400, 1600), Image.Resampling.BICUBIC)
    mask = segment(large, box=(300, 300, 1300, 1300))
    assert mask.shape == (1600, 2400)
    assert overlap(mask, np.kron(truth, np.ones((10, 10), bool))) > 0.95


def test_the_same_marks_give_the_same_mask():
    image, _ = scene(circles=((80, 80, 40), (200, 40, 20)))
    np.testing.assert_array_equal(segment(image, box=(5, 5, 235, 155)), segment(image, box=(5, 5, 235, 155)))


def test_a_box_may_reach_beyond_the_picture():
    image, truth = scene(circles=((30, 80, 50),))
    assert overlap(segment(image, box=(-50, 20, 90, 140)), truth) > 0.95


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (400, 1)])
def test_pictures_that_are_hardly_there_are_no_crash(size):
    image = Image.new("RGB", size, "red")
    assert segment(image, strokes=[Stroke(((0.5, 0.5),))]).any()
    assert segment(image, box=(0, 0, *size)).all()


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({}, "Mark the object first"),
        ({"strokes": [Stroke(((5, 5),), inside=False)]}, "Mark the object first"),
        ({"box": (300, 10, 400, 100)}, "outside the picture of 240 x 160"),
        ({"box": (50, 50, 50, 90)}, "is empty"),
        ({"strokes": [Stroke(((5, 5), (500, 5)))]}, "500, 5 lies outside"),
        ({"strokes": [Stroke(((float("nan"), 5),))]}, "lies outside"),
        ({"strokes": [Stroke(())]}, "at least one point"),
    ],
)
def test_marks_that_tell_no_object_get_a_sentence(marks, words):
    with pytest.raises(SegmentationError, match=words):
        segment(scene()[0], **marks)

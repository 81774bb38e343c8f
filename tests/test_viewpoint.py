"""Azimuths from mean directions: a ring of cameras has no error, its mirror image a known one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.evaluation.viewpoint import azimuth_error, mean_direction, read_azimuth, viewpoint_report
from spherecorr.features import SphereMap
from spherecorr.geometry import resize_to_fit

AZIMUTHS = np.arange(0, 360, 45)


def view(instance: str, azimuth: float | None, category: str = "car", azimuth_bin: int | None = None) -> ImageRecord:
    name = f"{category}/{instance}-{azimuth if azimuth_bin is None else azimuth_bin}"
    seen = {"azimuth_bin": azimuth_bin, "azimuth": azimuth, "instance": instance}
    return ImageRecord(name, Path("a.jpg"), (64, 48), category, None, {}, **seen)


def ring(degrees) -> np.ndarray:
    """Directions around the equator, `[N, 3]`."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles), np.zeros(len(angles))], axis=1)


def directions(images: list[ImageRecord], degrees) -> dict[str, np.ndarray]:
    return dict(zip((image.id for image in images), ring(degrees), strict=True))


@pytest.fixture
def cars():
    """Two cars, seen from the same eight sides."""
    return [view(car, float(azimuth)) for car in ("car1", "car2") for azimuth in AZIMUTHS]


def test_a_sphere_that_knows_the_camera_has_no_error(cars):
    known = directions(cars, np.tile(AZIMUTHS, 2))
    for report in (viewpoint_report(cars, None, known), viewpoint_report(cars[:8], cars[8:], known)):
        assert set(report.errors.values()) == {0.0}
        assert (report.overall.median, report.overall.near, report.overall.reversed) == (0, 1, 0)
    assert report.overall.images == 8 and report.categories == {"car": report.overall}


def test_any_turn_of_the_whole_sphere_changes_nothing(cars):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    known = {name: turn @ direction for name, direction in directions(cars, np.tile(AZIMUTHS, 2)).items()}
    assert viewpoint_report(cars, None, known).overall.median == 0


def test_a_mirrored_car_is_off_by_twice_its_azimuth(cars):
    """Left taken for right: 0 and 180 are right, 45 is off by 90, 90 by 180."""
    mirrored = directions(cars, np.concatenate([AZIMUTHS, -AZIMUTHS]))
    report = viewpoint_report(cars[:8], cars[8:], mirrored)
    assert list(report.errors.values()) == [0, 90, 180, 90, 0, 90, 180, 90]
    assert (report.overall.median, report.overall.near, report.overall.reversed) == (90, 0.25, 0.25)


def test_front_for_rear_is_reversed(cars):
    report = viewpoint_report(cars[:8], cars[8:], directions(cars, np.concatenate([AZIMUTHS, AZIMUTHS + 180])))
    assert set(report.errors.values()) == {180.0} and report.overall.reversed == 1


def test_an_instance_is_never_compared_with_itself(cars):
    """The second car's views would fit each other best, but only the first car's count."""
    known = directions(cars[:8], AZIMUTHS) | {image.id: np.array([0.0, 1.0, 1e-3]) for image in cars[8:]}
    report = viewpoint_report(cars, None, known)
    assert [report.errors[image.id] for image in cars[8:]] == list(azimuth_error(AZIMUTHS, 90))


def test_an_image_of_no_named_instance_shows_its_own(cars):
    images = [replace(image, instance=None) for image in cars[:8]]
    report = viewpoint_report(images, None, directions(images, AZIMUTHS))
    assert set(report.errors.values()) == {45.0}  # each finds a neighbour, never itself


def test_categories_do_not_mix():
    images = [view("a1", 0.0, "car"), view("b1", 90.0, "cow")]
    asked = [view("a2", 90.0, "car"), view("b2", 90.0, "cow")]
    report = viewpoint_report(images, asked, directions([*images, *asked], [0, 90, 90, 90]))
    assert report.errors == {"car/a2-90.0": 90.0, "cow/b2-90.0": 0.0}
    assert {name: score.median for name, score in report.categories.items()} == {"car": 90.0, "cow": 0.0}


def test_bins_count_by_their_centre_and_images_without_a_viewpoint_do_not_count():
    images = [view("a", None, azimuth_bin=1), view("b", 60.0), view("c", None)]
    report = viewpoint_report(images, None, directions(images, [0, 0, 0]))
    assert report.errors == {"car/a-1": 7.5, "car/b-60.0": 7.5}


def test_what_gives_no_viewpoint_is_named(cars):
    known = directions(cars, np.tile(AZIMUTHS, 2)) | {"cow/cow1-0.0": np.ones(3)}
    for train, test, found, message in (
        (cars[:8], None, known, "'car' has no view of a second instance"),
        (cars[:8], [view("cow1", 0.0, "cow")], known, "'cow' has no training image with a viewpoint"),
        (cars, None, directions(cars[:8], AZIMUTHS), "Image 'car/car2-0.0' has no mean direction; compute one"),
        (cars, None, known | {"car/car2-0.0": np.zeros(3)}, "'car/car2-0.0' has no mean direction: its foreground is"),
        ([view("c", None)], None, known, "No image has a viewpoint"),
    ):
        with pytest.raises(DatasetError, match=message):
            viewpoint_report(train, test, found)


def test_the_mean_direction_is_that_of_the_object():
    points = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]]).T.reshape(3, 2, 2)
    sphere_map = SphereMap(points, resize_to_fit((32, 32), 32, 16))
    top = np.array([[True, True], [False, False]])
    np.testing.assert_allclose(mean_direction(sphere_map, top), np.sqrt([0.5, 0.5, 0]))
    assert not mean_direction(sphere_map, ~top).any() and not mean_direction(sphere_map, top & False).any()


def test_the_azimuth_goes_from_the_front_to_the_left():
    points = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]]).T.reshape(3, 2, 2)
    sphere_map = SphereMap(points, resize_to_fit((32, 32), 32, 16))
    front, left, right, top = np.eye(4, dtype=bool).reshape(4, 2, 2)
    assert [read_azimuth(sphere_map, cells) for cells in (front, left, right)] == [0, 90, 270]
    assert read_azimuth(sphere_map, front | left | top) == pytest.approx(45)
    assert read_azimuth(sphere_map, top) is None and read_azimuth(sphere_map, left | right) is None


@pytest.mark.parametrize(("first", "second", "error"), [(350, 10, 20), (0, 180, 180), (270, 90, 180), (-90, 270, 0)])
def test_azimuths_go_around(first, second, error):
    assert azimuth_error(np.array([first]), np.array([second])) == error

"""Where a sphere says the camera stands: the azimuth of the known view whose mean direction is nearest.

For datasets that annotate viewpoints and no keypoints. Nothing is fitted, so the score tells what the sphere knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spherecorr.data.reading import read_all
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import mask_to_cells
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import FeatureStore

NEAR = 30.0
"""Degrees within which a viewpoint counts as found."""
REVERSED = 90.0
"""Degrees above which the object is taken to face the other way."""


@dataclass(frozen=True)
class ViewpointScore:
    """How far the azimuths are off.

    Attributes:
        images: how many were asked.
        median: error in degrees, 0 to 180; random azimuths give 90.
        near: share of errors up to 30 degrees.
        reversed: share of errors above 90 degrees, front and rear confused.
    """

    images: int
    median: float
    near: float
    reversed: float


@dataclass(frozen=True)
class ViewpointReport:
    """Errors of the azimuth.

    Attributes:
        errors: image id -> degrees, 0 to 180.
        categories: category -> its score.
        overall: score of all images.
    """

    errors: dict[str, float]
    categories: dict[str, ViewpointScore]
    overall: ViewpointScore


def mean_direction(sphere_map: SphereMap, foreground: np.ndarray) -> np.ndarray:
    """The unit mean of an image's sphere points over its object: the paper's estimate of the viewpoint (L_vp).

    Args:
        sphere_map: of the image.
        foreground: boolean `[H, W]`.

    Returns:
        Float64 `[3]`; zeros where there is no foreground or its points cancel.
    """
    points = sphere_map.points.detach().double().cpu().numpy()
    total = points[:, np.asarray(foreground, dtype=bool)].sum(axis=1)
    length = np.linalg.norm(total)
    return total / length if length > 1e-9 else np.zeros(3)


def read_azimuth(sphere_map: SphereMap, foreground: np.ndarray) -> float | None:
    """The azimuth that an image's mean direction shows, on a sphere whose +x is the object's front and +y its left.

    Such are the mappers that were taught true directions, which have a `SphereSettings.mirror_angle`.

    Args:
        sphere_map: of the image.
        foreground: boolean `[H, W]`.

    Returns:
        Degrees in 0..360 from the object's front towards its left; None where there is no mean direction, or it points
        straight up or down.
    """
    x, y, _ = mean_direction(sphere_map, foreground)
    return float(np.degrees(np.arctan2(y, x)) % 360) if np.hypot(x, y) > 1e-9 else None


def evaluate_viewpoints(
    images: Sequence[ImageRecord],
    features: Mapping[str, FeatureMap],
    sphere: SphereMapper,
    *,
    broken: list[str] | None = None,
    progress: Callable[[Sequence], Iterable] = iter,
) -> ViewpointReport:
    """Score the azimuths that a sphere finds for images with a viewpoint, each against the views of other objects.

    The object is the image's mask where there is one, else what the mapper takes for foreground, else the whole image.

    Args:
        images: annotated with a viewpoint.
        features: image id -> feature map.
        sphere: the mapper.
        broken: a list that gets a sentence for every image that cannot be used, instead of an error.
        progress: wraps the images, to show progress.

    Raises:
        DatasetError: features missing for an image, a broken mask, or see `viewpoint_report`.
        SphereMismatchError: a mapper of another backbone.
        StoreError: a store that was made of other pictures.
    """
    if isinstance(features, FeatureStore):
        features.check(images)

    def directed(image: ImageRecord) -> tuple[ImageRecord, np.ndarray]:
        if image.id not in features:
            raise DatasetError(f"There are no features for image '{image.id}'.")
        found = sphere.sphere_map(features[image.id])
        foreground = mask_to_cells(image.load_mask(), found.framing) if image.mask else sphere.foreground(found)
        everything = np.ones(found.points.shape[1:], dtype=bool)
        direction = mean_direction(found, everything if foreground is None else foreground)
        return image, check_direction(image, direction)

    kept = read_all(directed, progress(images), broken)
    return viewpoint_report([image for image, _ in kept], None, {image.id: direction for image, direction in kept})


def viewpoint_report(
    train: Sequence[ImageRecord], test: Sequence[ImageRecord] | None, directions: Mapping[str, np.ndarray]
) -> ViewpointReport:
    """Predict each test image's azimuth as that of the nearest training image of its category.

    Images without a viewpoint are left out; of a bin, the centre counts.

    Args:
        train: images whose azimuths are known.
        test: images to be asked; None asks every training image, without the views of its own instance (see
            `ImageRecord.instance`).
        directions: image id -> `[3]` of `mean_direction`.

    Raises:
        DatasetError: an image without a direction, a category without training images or with one instance only,
            no image with a viewpoint.
    """
    asked = [image for image in (train if test is None else test) if image.viewpoint is not None]
    known = [image for image in train if image.viewpoint is not None]
    if not asked:
        raise DatasetError("No image has a viewpoint; this dataset cannot be scored by it.")
    errors: dict[str, float] = {}
    categories = dict.fromkeys(image.category for image in asked)
    for category in categories:
        ours = [image for image in asked if image.category == category]
        theirs = [image for image in known if image.category == category]
        similarity = _directions(ours, directions) @ _directions(theirs, directions).T
        if test is None:
            own = np.array([image.instance or image.id for image in ours])
            similarity[own[:, None] == own] = -np.inf
        if not (similarity.size and np.isfinite(similarity.max(axis=1)).all()):
            lacks = "no view of a second instance" if test is None else "no training image with a viewpoint"
            raise DatasetError(f"'{category}' has {lacks}; there is nothing to compare its views with.")
        nearest = np.array([image.viewpoint for image in theirs])[similarity.argmax(axis=1)]
        found = azimuth_error(nearest, np.array([image.viewpoint for image in ours]))
        errors |= {image.id: float(error) for image, error in zip(ours, found, strict=True)}
    scores = {name: _score([errors[image.id] for image in asked if image.category == name]) for name in categories}
    return ViewpointReport(errors, scores, _score(list(errors.values())))


def azimuth_error(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle in degrees between azimuths, 0 to 180."""
    return np.abs((np.asarray(first) - second + 180) % 360 - 180)


def check_direction(image: ImageRecord, direction: np.ndarray | None) -> np.ndarray:
    """Return an image's mean direction.

    Raises:
        DatasetError: there is none, or it is zero.
    """
    if direction is None:
        raise DatasetError(f"Image '{image.id}' has no mean direction; compute one for every image.")
    if not np.any(direction):
        raise DatasetError(f"Image '{image.id}' has no mean direction: its foreground is empty.")
    return direction


def _directions(images: Sequence[ImageRecord], directions: Mapping[str, np.ndarray]) -> np.ndarray:
    """`[N, 3]`."""
    return np.array([check_direction(image, directions.get(image.id)) for image in images]).reshape(-1, 3)


def _score(errors: Sequence[float]) -> ViewpointScore:
    values = np.array(errors)
    return ViewpointScore(
        images=len(values),
        median=float(np.median(values)),
        near=float((values <= NEAR).mean()),
        reversed=float((values > REVERSED).mean()),
    )

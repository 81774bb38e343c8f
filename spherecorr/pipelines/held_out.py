"""Photographs that are held out of a teaching: which they are, and how far a sphere's azimuths are off for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spherecorr.backbones import Backbone
from spherecorr.crops import Picture
from spherecorr.data.records import ImageRecord
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.viewpoint import azimuth_error, read_azimuth
from spherecorr.features import FeatureMap
from spherecorr.pipelines.common import Progress, silent
from spherecorr.pipelines.recipes import TeachRecipe
from spherecorr.sphere.mapper import SphereMapper

MIRRORED = "(mirrored)"  # behind the name of a photograph whose mirror image is asked
UNKNOWN = 90.0  # degrees that count where a sphere shows no direction: no better than chance


def hold_out(records: Sequence[ImageRecord], recipe: TeachRecipe) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """Deal photographs to those that teach, and those that are asked before and after.

    Held out is every n-th of those with a viewpoint in the order of category and azimuth, so that all directions are
    among them; within a direction chance decides. Photographs of one instance stay together; those without a viewpoint
    of an instance that is held out are in neither part.

    Raises:
        SpherecorrError: too few with a viewpoint.
    """
    known = [record for record in records if record.viewpoint is not None and record.quality > 0]
    shown = {_object(record): (record.category, record.viewpoint) for record in reversed(known)}
    least = 4 * recipe.fewest
    if len(shown) < least:
        raise SpherecorrError(
            f"Teaching takes photographs with a viewpoint of at least {least} objects, and there are {len(shown)}."
        )
    objects = [list(shown)[place] for place in np.random.default_rng(recipe.seed).permutation(len(shown))]
    objects.sort(key=lambda name: shown[name])
    count = max(recipe.fewest, round(recipe.held_out * len(objects)))
    asked = {objects[int((place + 0.5) * len(objects) / count)] for place in range(count)}
    return [r for r in records if _object(r) not in asked], [r for r in known if _object(r) in asked]


def _object(record: ImageRecord) -> tuple[str, str]:
    """What tells objects apart."""
    return record.category, record.instance or record.id


@dataclass(frozen=True, eq=False)
class View:
    """A held-out photograph or its mirror image: its name, its features and its azimuth in degrees."""

    name: str
    features: FeatureMap
    azimuth: float


def held_out_views(
    records: Sequence[ImageRecord], backbone: Backbone, resolution: int, mirrored: bool, progress: Progress = silent
) -> list[View]:
    """The views of some photographs with viewpoints.

    Of photographs that all face one way the mirror images tell whether a sphere knows more than that.
    """
    views = []
    for record in progress("held-out photographs", records):
        picture, azimuth = Picture(record.load_picture()), float(record.viewpoint or 0)
        views.append(View(record.id, backbone(picture.image, resolution=resolution), azimuth))
        if mirrored:
            image = picture.mirrored().image
            views.append(View(f"{record.id} {MIRRORED}", backbone(image, resolution=resolution), -azimuth % 360))
    return views


def azimuth_errors(views: Sequence[View], mapper: SphereMapper) -> dict[str, float]:
    """Name of a view -> degrees between its azimuth and what a sphere with true axes shows, see `read_azimuth`."""
    errors = {}
    for view in views:
        found = mapper.sphere_map(view.features)
        foreground = mapper.foreground(found)
        everything = np.ones(found.points.shape[1:], dtype=bool)
        azimuth = read_azimuth(found, everything if foreground is None else foreground)
        apart = UNKNOWN if azimuth is None else azimuth_error(np.array(azimuth), np.array(view.azimuth))
        errors[view.name] = float(apart)
    return errors

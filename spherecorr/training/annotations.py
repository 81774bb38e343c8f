"""Viewpoints and categories of the images to train on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spherecorr.data.records import DatasetError, ImageRecord

BIN = 45.0  # degrees
UPRIGHT = 90.0  # degrees of elevation at which there is no azimuth


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is known of M images as a whole.

    Attributes:
        azimuth: float `[M]` degrees; NaN where no viewpoint is known.
        elevation: float `[M]` degrees, NaN where unknown.
        quality: float `[M]`, weight of the viewpoint, 0..1; 0 where none is known.
        category: int `[M]`, index into `categories`.
        categories: names.
    """

    azimuth: Tensor
    elevation: Tensor
    quality: Tensor
    category: Tensor
    categories: tuple[str, ...]


def read_annotations(records: Sequence[ImageRecord], categories: Sequence[str] | None = None) -> Annotations:
    """Read viewpoints and categories.

    An azimuth that is known by its bin alone stands in the bin's middle. From straight above or below all azimuths are
    one viewpoint; where none is given, it is 0. Images without a viewpoint teach what is object and what is not.

    Args:
        records: images as they were taken; a mirror image would exchange left and right.
        categories: names in the order of their numbers; by default those of the records, sorted.

    Raises:
        DatasetError: no records, none with a viewpoint, or one without mask, or of a category that is not among the
            names.
    """
    if not records:
        raise DatasetError("There are no images to train on.")
    names = tuple(sorted({record.category for record in records}) if categories is None else categories)
    for record in records:
        if record.mask is None:
            raise DatasetError(f"'{record.path}' has no mask; training needs one for every image.")
        if not math.isfinite(_azimuth(record) or 0) or not math.isfinite(record.elevation or 0):
            raise DatasetError(f"'{record.path}' has an azimuth or elevation that is no finite number of degrees.")
        if record.category not in names:
            raise DatasetError(
                f"'{record.path}' is of the category '{record.category}', which is not trained; "
                f"there are {', '.join(names)}."
            )
    azimuths = [_azimuth(record) for record in records]
    if all(azimuth is None for azimuth in azimuths):
        raise DatasetError("None of the images has an azimuth; a sphere is trained on images with viewpoints.")
    known = zip(azimuths, records, strict=True)
    return Annotations(
        torch.tensor([math.nan if azimuth is None else azimuth for azimuth in azimuths], dtype=torch.float32),
        torch.tensor([math.nan if r.elevation is None else r.elevation for r in records], dtype=torch.float32),
        torch.tensor([0.0 if azimuth is None else r.quality for azimuth, r in known], dtype=torch.float32),
        torch.tensor([names.index(record.category) for record in records]),
        names,
    )


def _azimuth(record: ImageRecord) -> float | None:
    if record.azimuth is not None:
        return record.azimuth
    if record.azimuth_bin is not None:
        return (record.azimuth_bin + 0.5) * BIN
    return 0.0 if abs(record.elevation or 0) == UPRIGHT else None

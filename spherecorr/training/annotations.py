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
        azimuth: float `[M]` degrees.
        elevation: float `[M]` degrees, NaN where unknown.
        category: int `[M]`, index into `categories`.
        categories: names.
    """

    azimuth: Tensor
    elevation: Tensor
    category: Tensor
    categories: tuple[str, ...]


def read_annotations(records: Sequence[ImageRecord], categories: Sequence[str] | None = None) -> Annotations:
    """Read viewpoints and categories.

    An azimuth that is known by its bin alone stands in the bin's middle. From straight above or below all azimuths are
    one viewpoint; where none is given, it is 0.

    Args:
        records: images as they were taken; a mirror image would exchange left and right.
        categories: names in the order of their numbers; by default those of the records, sorted.

    Raises:
        DatasetError: no records, or one without mask or azimuth, or of a category that is not among the names.
    """
    if not records:
        raise DatasetError("There are no images to train on.")
    names = tuple(sorted({record.category for record in records}) if categories is None else categories)
    for record in records:
        if record.mask is None:
            raise DatasetError(f"'{record.path}' has no mask; training needs one for every image.")
        azimuth = _azimuth(record)
        if azimuth is None:
            raise DatasetError(f"'{record.path}' has no azimuth; a sphere is trained on images with a viewpoint.")
        if not math.isfinite(azimuth) or not math.isfinite(record.elevation or 0):
            raise DatasetError(f"'{record.path}' has an azimuth or elevation that is no finite number of degrees.")
        if record.category not in names:
            raise DatasetError(
                f"'{record.path}' is of the category '{record.category}', which is not trained; "
                f"there are {', '.join(names)}."
            )
    return Annotations(
        torch.tensor([_azimuth(record) for record in records], dtype=torch.float32),
        torch.tensor([math.nan if r.elevation is None else r.elevation for r in records], dtype=torch.float32),
        torch.tensor([names.index(record.category) for record in records]),
        names,
    )


def _azimuth(record: ImageRecord) -> float | None:
    if record.azimuth is not None:
        return record.azimuth
    if record.azimuth_bin is not None:
        return (record.azimuth_bin + 0.5) * BIN
    return 0.0 if abs(record.elevation or 0) == UPRIGHT else None

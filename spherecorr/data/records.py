"""What every dataset yields: images with annotations, and pairs of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spherecorr.errors import SpherecorrError

Point = tuple[float, float]


class DatasetError(SpherecorrError):
    """A dataset's file is missing or broken; the message names it."""


@dataclass(frozen=True)
class ImageRecord:
    """One annotated image.

    Attributes:
        id: `category/stem`.
        path: of the image file.
        size: (width, height) in pixels.
        category: of the object.
        box: (x0, y0, x1, y1) in pixels; None where thresholds go by the image.
        keypoints: name -> (x, y) in pixels, None where hidden.
        azimuth_bin: 0..7 in steps of 45 degrees; None where no viewpoint is annotated.
        azimuth: degrees of the camera from the object's front towards its left; None where only the bin is known.
        elevation: degrees of the camera above the object's horizon; None where unknown.
        mask: path of the segmentation, above 0 on the object; None if there is none.
        surface: path of the surface points of a render (see `render.dataset`); None for photographs.
        instance: the very object that is shown, of its category; None where every image is taken to show its own.
    """

    id: str
    path: Path
    size: tuple[int, int]
    category: str
    box: tuple[float, float, float, float] | None
    keypoints: dict[str, Point | None]
    azimuth_bin: int | None = None
    azimuth: float | None = None
    elevation: float | None = None
    mask: Path | None = None
    surface: Path | None = None
    instance: str | None = None

    @property
    def viewpoint(self) -> float | None:
        """The azimuth in degrees, the centre of its bin where only that is known; None without both."""
        if self.azimuth is None and self.azimuth_bin is not None:
            return self.azimuth_bin * 45 + 22.5
        return self.azimuth

    @property
    def longer_side(self) -> float:
        """Longer side of the box in pixels, of the image where there is no box: what PCK's thresholds are shares of."""
        if self.box is None:
            return float(max(self.size))
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def load_mask(self) -> np.ndarray:
        """Boolean `[h, w]`.

        Raises:
            DatasetError: the image has no mask, or its file cannot be read.
        """
        if self.mask is None:
            raise DatasetError(f"Image '{self.id}' has no mask.")
        return np.asarray(open_picture(self.mask).convert("L")) > 0

    def load_surface(self) -> np.ndarray:
        """Float32 `[h, w, 3]` in -1..1; meaningful on the mask only."""
        if self.surface is None:
            raise DatasetError(f"Image '{self.id}' has no surface points; only renders do.")
        return np.asarray(open_picture(self.surface), dtype=np.float32) / 127.5 - 1


@dataclass(frozen=True)
class PairRecord:
    """Two images to be matched, mostly of one category; `attributes` as annotated (viewpoint variation, ...)."""

    id: str
    source: ImageRecord
    target: ImageRecord
    attributes: dict[str, Any] = field(default_factory=dict)


def mirrored_name(keypoint: str) -> str | None:
    """`left_eye` -> `right_eye`, `front_left_paw` -> `front_right_paw`; None on the symmetry plane."""
    words = keypoint.split("_")
    for i, word in enumerate(words):
        if word in ("left", "right"):
            return "_".join([*words[:i], "right" if word == "left" else "left", *words[i + 1 :]])
    return None


def open_picture(path: Path) -> Image.Image:
    """Open and decode.

    Raises:
        DatasetError: the file is missing, broken or no picture.
    """
    try:
        image = Image.open(path)
        image.load()
        return image
    except OSError as error:
        raise DatasetError(f"'{path}' cannot be read as a picture ({error}).") from error

"""What every dataset yields: images with annotations, and pairs of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spherecorr.data.errors import DatasetError, of_a_dataset
from spherecorr.data.masks import read_mask
from spherecorr.images import ImageError, load_image, open_picture

Point = tuple[float, float]


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
        mask: path of the segmentation (see `masks.read_mask`); None if there is none.
        surface: path of the surface points of a render (see `render.dataset`), or of what stands for them on a
            photograph (see `dense_labels`); None without.
        instance: the very object that is shown, of its category; None where every image is taken to show its own.
        quality: how sure the viewpoint is, 0 to 1: the weight that training gives it.
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
    quality: float = 1.0

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

    def load_picture(self) -> Image.Image:
        """The picture, upright and RGB.

        Raises:
            DatasetError: the file is missing, broken, too small or too large, or has another size than annotated.
        """
        with of_a_dataset():
            picture = open_picture(self.path)
        if picture.size != tuple(self.size):
            found, said = (f"{width} x {height}" for width, height in (picture.size, self.size))
            raise DatasetError(f"'{self.path}' has {found} pixels, its annotation says {said}.")
        try:
            return load_image(picture)
        except ImageError as error:
            raise DatasetError(f"'{self.path}' cannot be used. {error}") from error

    def load_mask(self) -> np.ndarray:
        """Boolean `[h, w]`, True on the object; see `masks.read_mask`.

        Raises:
            DatasetError: the image has no mask, its file cannot be read, or what it means is ambiguous.
        """
        if self.mask is None:
            raise DatasetError(f"Image '{self.id}' has no mask.")
        return read_mask(self.mask, self.category)[0]

    def load_surface(self) -> np.ndarray:
        """Float32 `[h, w, 3]` in -1..1; meaningful on the mask only."""
        if self.surface is None:
            raise DatasetError(f"Image '{self.id}' has no surface points.")
        with of_a_dataset():
            surface = open_picture(self.surface)
        return np.asarray(surface, dtype=np.float32) / 127.5 - 1


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

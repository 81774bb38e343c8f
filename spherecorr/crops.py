"""What a crop for training shows: the part that is cut from a picture, and what each of its cells is taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image

from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.geometry import Framing, average_over_cells
from spherecorr.store_settings import Crop

Box: TypeAlias = tuple[int, int, int, int]

AREA = (0.5, 1.5)  # shares of the picture that the paper draws from; those above 1 cannot be met
RATIO = (3 / 4, 4 / 3)
TRIES = 10

LABELS = 5  # of a cell: coverage, background, and x, y, z of the surface's direction
MIRROR = np.array([1, -1, 1], dtype=np.float32)  # of a direction: what is left becomes right
SEEN = 0.05  # coverage from which the surface under a cell counts as known


@dataclass(frozen=True, eq=False)
class Picture:
    """An image in memory with its labels; the mask is bool `[h, w]`, the surface float32 `[h, w, 3]`."""

    image: Image.Image
    mask: np.ndarray | None = None
    surface: np.ndarray | None = None

    def cut(self, box: Box) -> Picture:
        """The part inside (left, top, right, bottom), in pixels."""
        left, top, right, bottom = box
        inside = np.s_[top:bottom, left:right]
        mask, surface = (None if values is None else values[inside] for values in (self.mask, self.surface))
        return Picture(self.image.crop(box), mask, surface)

    def mirrored(self) -> Picture:
        """Left for right: a mirror-symmetric object, seen from the other side; its surface's +y is its left again."""
        image = self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mask = None if self.mask is None else self.mask[:, ::-1]
        return Picture(image, mask, None if self.surface is None else self.surface[:, ::-1] * MIRROR)


def read_picture(record: ImageRecord, labels: bool) -> Picture:
    """Open an image, and with `labels` its mask and, on a render, its surface points.

    Raises:
        DatasetError: the image or its mask cannot be used or has another size than annotated, or the mask is missing
            or empty; the message names the file.
    """
    image = record.load_picture()
    if not labels:
        return Picture(image)
    mask = record.load_mask()
    if mask.shape != image.size[::-1]:
        found, said = f"{mask.shape[1]} x {mask.shape[0]}", f"{image.width} x {image.height}"
        raise DatasetError(f"The mask '{record.mask}' has {found} pixels, its image {said}.")
    if not mask.any():
        raise DatasetError(f"The mask '{record.mask}' is empty: no pixel is the object.")
    return Picture(image, mask, record.load_surface() if record.surface else None)


def crop_box(size: tuple[int, int], crop: Crop, smallest: float, rng: np.random.Generator) -> Box:
    """Draw the part of a picture that a crop shows.

    Args:
        size: (width, height) of the picture in pixels.
        crop: "whole" is all of it; "square" a square of at least `smallest` of its shorter side; "resized" the paper's
            rectangle (public training code): its share of the area is drawn from 0.5..1.5, the logarithm of its ratio
            of sides from 3/4..4/3, both uniformly, until it fits into the picture.
        smallest: see "square".
        rng: random generator.

    Returns:
        (left, top, right, bottom) in pixels.
    """
    if crop == "whole":
        return (0, 0, *size)
    if crop == "square":
        side = max(1, round(min(size) * rng.uniform(smallest, 1)))
        return _place(size, (side, side), rng)
    for _ in range(TRIES):
        area = size[0] * size[1] * rng.uniform(*AREA)
        ratio = np.exp(rng.uniform(*np.log(RATIO)))
        part = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < part[0] <= size[0] and 0 < part[1] <= size[1]:
            return _place(size, part, rng)
    # Nothing fitted: the middle of the picture, as much of it as the ratios allow.
    width = min(size[0], round(size[1] * RATIO[1]))
    height = min(size[1], round(size[0] / RATIO[0]))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def _place(size: tuple[int, int], part: tuple[int, int], rng: np.random.Generator) -> Box:
    left, top = (int(rng.integers(0, whole - side + 1)) for whole, side in zip(size, part, strict=True))
    return left, top, left + part[0], top + part[1]


def cell_labels(picture: Picture, framing: Framing) -> np.ndarray:
    """What each cell is taught.

    Ears, wing tips and wheels cover their cells in part only and must not be taught to be background: background is
    what neither touches the object nor lies beside a cell that does.

    Args:
        picture: with its mask.
        framing: of the picture.

    Returns:
        Float16 `[N, 5]`, row by row: the object's share of the cell; 1 on background, else 0; the unit direction of the
        surface's mean point, 0 where the picture has no surface points or the object covers less than 5 % of the cell.
    """
    if picture.mask is None:
        raise ValueError("Labels are read from a picture's mask, and it has none.")
    coverage = average_over_cells(picture.mask, framing)
    labels = np.zeros((*coverage.shape, LABELS), dtype=np.float16)
    labels[..., 0] = coverage
    labels[..., 1] = cv2.dilate(coverage, np.ones((3, 3))) == 0
    if picture.surface is not None:
        mean = average_over_cells(picture.surface * picture.mask[..., None], framing)
        length = np.linalg.norm(mean, axis=-1, keepdims=True)
        known = (coverage[..., None] >= SEEN) & (length > 0)
        labels[..., 2:] = np.divide(mean, length, out=np.zeros_like(mean), where=known)
    return labels.reshape(-1, LABELS)

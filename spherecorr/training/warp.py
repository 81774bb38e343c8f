"""Where the cells of one random crop of a picture lie in the next."""

from __future__ import annotations

import numpy as np

from spherecorr.crops import Box, crop_box
from spherecorr.geometry import Framing
from spherecorr.store_settings import StoreSettings


def crop_warp(
    size: tuple[int, int], settings: StoreSettings, rng: np.random.Generator, mirrored: bool = False
) -> np.ndarray:
    """The warp between the first two crops that a random generator gives of a picture.

    Args:
        size: (width, height) of the picture in pixels.
        settings: what the crops show.
        rng: random generator, as it was before the first crop was cut.
        mirrored: both crops are mirror images.

    Returns:
        See `warp_between`.
    """
    first, second = (crop_box(size, settings.crop, settings.smallest_crop, rng) for _ in range(2))
    return warp_between(first, second, settings, mirrored)


def warp_between(first: Box, second: Box, settings: StoreSettings, mirrored: bool = False) -> np.ndarray:
    """Where the centres of the first crop's cells lie in the second crop.

    Args:
        first: (left, top, right, bottom) in pixels of the picture.
        second: likewise.
        settings: how crops become grids.
        mirrored: both crops are mirror images.

    Returns:
        Float32 `[N, 2]`, row by row: continuous grid coordinates (column, row) in the second; NaN for cells on padding
        and where the second does not show the place.
    """
    framing, other = (settings.frame((box[2] - box[0], box[3] - box[1])) for box in (first, second))
    inside_first = framing.content_cells().reshape(-1)
    points = _flip(_centres(framing), framing, mirrored) + first[:2] - second[:2]
    inside = inside_first & ((points >= 0) & (points <= other.image_size)).all(axis=-1)
    return np.where(inside[:, None], other.to_grid(_flip(points, other, mirrored)), np.nan).astype(np.float32)


def _centres(framing: Framing) -> np.ndarray:
    """The centres of all cells, row by row, in pixels of the crop `[N, 2]`."""
    columns, rows = np.meshgrid(*map(np.arange, framing.grid))
    return framing.to_pixel(np.stack([columns, rows], axis=-1).reshape(-1, 2))


def _flip(points: np.ndarray, framing: Framing, mirrored: bool) -> np.ndarray:
    """Points of a crop -> those of its mirror image, and back."""
    return points * (-1, 1) + (framing.image_size[0], 0) if mirrored else points

"""The one place that turns image pixels into feature cells and back.

Image points are `(x, y)` floats in ORIGINAL image pixels. A pixel's centre lies at integer + 0.5, so an image of width
`w` spans `[0, w]`. Grid coordinates are the same idea at cell level: cell `(col, row)` spans `[col, col + 1]` and has
its centre at `col + 0.5`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from spherecorr.errors import SpherecorrError


@dataclass(frozen=True)
class Framing:
    """How an image became a grid of feature cells.

    Attributes:
        image_size: (width, height) of the original image in pixels.
        grid: (columns, rows) of the feature map.
        patch: side of one cell in pixels of the model's input.
        scale: (x, y) input pixels per original pixel.
        offset: (x, y) input pixels between the input's top-left corner and the image's.
        rule: "exact", or "authors" for the arithmetic of the paper's public evaluation: the source's cell is
            `floor(cells / side * x)` without a guard against rounding, and a cell is read half an input pixel before
            its centre.
    """

    image_size: tuple[int, int]
    grid: tuple[int, int]
    patch: int
    scale: tuple[float, float]
    offset: tuple[float, float] = (0.0, 0.0)
    rule: Literal["exact", "authors"] = "exact"

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height) of the model's input in pixels."""
        return self.grid[0] * self.patch, self.grid[1] * self.patch

    @property
    def content_size(self) -> tuple[int, int]:
        """(width, height) of the resized image inside the input, in whole input pixels."""
        if self.rule == "authors":
            return _authors_content(self.image_size, self.input_size[0])
        return round(self.image_size[0] * self.scale[0]), round(self.image_size[1] * self.scale[1])

    def to_grid(self, points: ArrayLike) -> np.ndarray:
        """Original pixels `[..., 2]` -> continuous grid coordinates `[..., 2]`."""
        return (np.asarray(points, dtype=np.float64) * self.scale + self.offset) / self.patch

    def from_grid(self, coordinates: ArrayLike) -> np.ndarray:
        """Continuous grid coordinates `[..., 2]` -> original pixels `[..., 2]`; the exact inverse of `to_grid`."""
        return (np.asarray(coordinates, dtype=np.float64) * self.patch - self.offset) / self.scale

    def to_cell(self, points: ArrayLike) -> np.ndarray:
        """Original pixels `[..., 2]` -> the integer (col, row) `[..., 2]` of the cell that holds them.

        Points on the image's far edges belong to the last cell that holds any of the image, not to padding.
        """
        if self.rule == "authors":
            inputs = np.asarray(points, dtype=np.float64) * self.scale + self.offset
            cells = np.floor(self.grid[0] / self.input_size[0] * inputs).astype(np.int64)
            return np.clip(cells, 0, np.array(self.grid) - 1)
        # Without the small steps a cell's edge could fall into the cell before it, by the last bit of a division.
        cells = np.floor(self.to_grid(points) + 1e-9).astype(np.int64)
        first = np.floor(self.to_grid((0, 0)) + 1e-9).astype(np.int64)
        last = np.ceil(self.to_grid(self.image_size) - 1e-9).astype(np.int64) - 1
        return np.clip(cells, first, last)

    def to_pixel(self, cells: ArrayLike) -> np.ndarray:
        """Integer (col, row) `[..., 2]` -> original pixels `[..., 2]` of the cells' centres."""
        middle = 0.5 if self.rule == "exact" else 0.5 - 0.5 / self.patch
        return self.from_grid(np.asarray(cells, dtype=np.float64) + middle)

    def check_points(self, points: ArrayLike) -> np.ndarray:
        """Return points as float64 `[N, 2]`; an empty list is allowed.

        Raises:
            SpherecorrError: not pairs of numbers, not finite, or outside the image.
        """
        try:
            points = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise SpherecorrError("Points must be a list of (x, y) pairs of numbers.") from error
        if points.size == 0:
            return points.reshape(0, 2)
        if points.ndim != 2 or points.shape[1] != 2:
            raise SpherecorrError(f"Points must be a list of (x, y) pairs; got an array of shape {points.shape}.")
        if not np.isfinite(points).all():
            raise SpherecorrError("A point has a coordinate that is not a finite number.")
        width, height = self.image_size
        for x, y in points:
            if not (0 <= x <= width and 0 <= y <= height):
                raise SpherecorrError(
                    f"Point ({x:g}, {y:g}) lies outside the image, which is {width} x {height} pixels."
                )
        return points

    def axes(self, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """Original pixels of every column `[cols]` and row `[rows]` of cells, `shift` cells from their first edges."""
        return _axes(self, shift)

    def content_cells(self) -> np.ndarray:
        """Boolean `[rows, cols]`: cells whose centre lies on the image, not on padding; at least one.

        Of an image that is thinner than a cell and lies on no centre, the cells that hold it.
        """
        return _content_cells(self)


# One framing is asked again and again: for every pair of its image, and for every match.
@lru_cache(maxsize=1024)
def _axes(framing: Framing, shift: float) -> tuple[np.ndarray, np.ndarray]:
    columns, rows = (np.stack([np.arange(side) + shift] * 2, axis=-1) for side in framing.grid)
    return _read_only(framing.from_grid(columns)[:, 0]), _read_only(framing.from_grid(rows)[:, 1])


@lru_cache(maxsize=1024)
def _content_cells(framing: Framing) -> np.ndarray:
    first, last = framing.to_cell((0, 0)), framing.to_cell(framing.image_size)
    inside = []
    for axis, centres in enumerate(framing.axes()):
        on_image = (centres >= 0) & (centres <= framing.image_size[axis])
        if not on_image.any():
            on_image[first[axis] : last[axis] + 1] = True
        inside.append(on_image)
    columns, rows = inside
    return _read_only(rows[:, None] & columns)


def _read_only(values: np.ndarray) -> np.ndarray:
    """The same array, which nobody who shares it can change."""
    values.flags.writeable = False
    return values


def resize_to_fit(image_size: tuple[int, int], resolution: int, patch: int) -> Framing:
    """Frame the whole image without padding: the long side becomes `resolution`, the aspect ratio is kept.

    Both sides are rounded to the nearest multiple of `patch`, at least one patch, so the scales may differ a little.
    """
    width, height = image_size
    factor = resolution / max(width, height)
    columns, rows = (max(1, round(side * factor / patch)) for side in (width, height))
    return Framing(image_size, (columns, rows), patch, (columns * patch / width, rows * patch / height))


def pad_to_square(image_size: tuple[int, int], resolution: int, patch: int) -> Framing:
    """Frame the image centred in a zero-padded square of `resolution` pixels, as the public evaluations do.

    Raises:
        SpherecorrError: `resolution` is not a multiple of `patch`.
    """
    cells = _whole_cells(resolution, patch)
    width, height = image_size
    factor = resolution / max(width, height)
    new_width, new_height = (max(1, round(side * factor)) for side in (width, height))
    offset = (float((resolution - new_width) // 2), float((resolution - new_height) // 2))
    return Framing(image_size, (cells, cells), patch, (new_width / width, new_height / height), offset)


def pad_as_authors(image_size: tuple[int, int], resolution: int, patch: int) -> Framing:
    """Frame as `pad_to_square`, with the arithmetic of the paper's public evaluation.

    Both axes are scaled by `resolution / longer side`, although the shorter side is rounded to whole pixels; a match is
    read half an input pixel before its cell's centre. For figures to compare with published ones.

    Raises:
        SpherecorrError: `resolution` is not a multiple of `patch`.
    """
    cells, factor = _whole_cells(resolution, patch), resolution / max(image_size)
    width, height = _authors_content(image_size, resolution)
    offset = float((resolution - width) // 2), float((resolution - height) // 2)
    return Framing(image_size, (cells, cells), patch, (factor, factor), offset, "authors")


def _authors_content(image_size: tuple[int, int], resolution: int) -> tuple[int, int]:
    longer = max(image_size)
    width, height = (int(np.around(resolution * side / longer)) for side in image_size)
    return max(1, width), max(1, height)


def stretch_to_square(image_size: tuple[int, int], resolution: int, patch: int) -> Framing:
    """Frame the image stretched to a square of `resolution` pixels, as the paper does with its crops in training.

    Raises:
        SpherecorrError: `resolution` is not a multiple of `patch`.
    """
    cells = _whole_cells(resolution, patch)
    width, height = image_size
    return Framing(image_size, (cells, cells), patch, (resolution / width, resolution / height))


FramingName = Literal["fit", "pad", "authors"]
FRAMINGS: dict[FramingName, Callable[[tuple[int, int], int, int], Framing]] = {
    "fit": resize_to_fit,
    "pad": pad_to_square,
    "authors": pad_as_authors,
}


def _whole_cells(resolution: int, patch: int) -> int:
    if resolution % patch:
        raise SpherecorrError(f"Resolution {resolution} is not a multiple of the patch size {patch}.")
    return resolution // patch


def frame_image(image: Image.Image, framing: Framing) -> np.ndarray:
    """Resize (and pad with black) an RGB image into the model's input.

    Returns:
        uint8 `[height, width, 3]` of `framing.input_size`.
    """
    resized = np.asarray(image.resize(framing.content_size, Image.Resampling.LANCZOS))
    width, height = framing.input_size
    left, top = (int(side) for side in framing.offset)
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    canvas[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
    return canvas


def average_over_cells(values: np.ndarray, framing: Framing) -> np.ndarray:
    """Mean of pixel values `[h, w]` or `[h, w, C]` over each cell: float32 `[rows, cols]` or `[rows, cols, C]`.

    Padding counts as 0.
    """
    resized = cv2.resize(values.astype(np.float32), framing.content_size, interpolation=cv2.INTER_AREA)
    width, height = framing.input_size
    left, top = (int(side) for side in framing.offset)
    canvas = np.zeros((height, width, *values.shape[2:]), dtype=np.float32)
    canvas[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
    columns, rows = framing.grid
    return canvas.reshape(rows, framing.patch, columns, framing.patch, *values.shape[2:]).mean(axis=(1, 3))


def mask_to_cells(mask: np.ndarray, framing: Framing) -> np.ndarray:
    """Boolean image mask `[h, w]` in original pixels -> boolean `[rows, cols]`: cells covered by more than half."""
    return average_over_cells(mask, framing) > 0.5


def cells_to_image(
    values: np.ndarray, framing: Framing, size: tuple[int, int] | None = None, smooth: bool = True
) -> np.ndarray:
    """Spread cell values `[rows, cols]` or `[rows, cols, C]` over the image, padding cut away.

    Args:
        values: float array at cell level.
        framing: the framing of the cells.
        size: (width, height) of the result; the original image's by default.
        smooth: interpolate between cell centres; otherwise cells show as blocks.
    """
    width, height = size or framing.image_size
    step_x, step_y = framing.image_size[0] / width, framing.image_size[1] / height
    across = np.stack([(np.arange(width) + 0.5) * step_x, np.zeros(width)], axis=-1)
    down = np.stack([np.zeros(height), (np.arange(height) + 0.5) * step_y], axis=-1)
    values = values.astype(np.float32)
    if not smooth:
        return values[framing.to_cell(down)[:, 1][:, None], framing.to_cell(across)[:, 0]]
    # cv2.remap counts cell centres as integers; our grid coordinates have them at + 0.5.
    xs, ys = framing.to_grid(across)[:, 0] - 0.5, framing.to_grid(down)[:, 1] - 0.5
    map_x, map_y = np.meshgrid(xs.astype(np.float32), ys.astype(np.float32))
    return cv2.remap(values, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

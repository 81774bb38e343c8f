"""Dense labels from weak ones: a photograph's category, viewpoint and mask -> the direction of the surface per pixel.

Renders of the same category, seen from about the same side and with a silhouette like the photograph's, say which
directions lie where in the silhouette's box. Their mean is the photograph's label where they agree. Not in the paper,
whose only label for a photograph is the viewpoint of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spherecorr.crops import MIRROR
from spherecorr.data.records import DatasetError, ImageRecord

SIDE = 32  # cells of a silhouette's box along each side
WITHIN = 30.0  # degrees of azimuth between a photograph and the renders that are compared with it
TAKEN = 12  # silhouettes that are averaged
SPECK = 20  # times smaller than the largest part of a mask
AGREEMENT = 0.85  # length of the mean of unit directions from which on it counts: about 30 degrees apart


@dataclass(frozen=True, eq=False)
class Templates:
    """Renders of one category in the frames of their silhouettes' boxes, each also mirrored.

    Attributes:
        azimuth: float `[T]` degrees.
        silhouettes: float32 `[T, SIDE * SIDE]`, share of each cell that the object covers.
        directions: float16 `[T, SIDE * SIDE, 3]`, unit vectors, 0 off the object.
        stretch: float `[T]`, logarithm of the boxes' width over height.
    """

    azimuth: np.ndarray
    silhouettes: np.ndarray
    directions: np.ndarray
    stretch: np.ndarray


def make_templates(renders: Sequence[ImageRecord]) -> dict[str, Templates]:
    """Category -> its templates.

    Args:
        renders: with masks, surface points and azimuths in degrees.

    Raises:
        DatasetError: none of the images has surface points, or a file is broken.
    """
    found: dict[str, list[tuple]] = {}
    for record in renders:
        if record.surface is None or record.azimuth is None:
            continue
        mask = record.load_mask()
        box = _box(mask)
        surface = record.load_surface()
        for sign in (1, -1):
            silhouette = _shrink(mask[box].astype(np.float32))
            directions = _unit(_shrink(surface[box] * mask[box][..., None]))
            if sign < 0:
                silhouette, directions = silhouette[:, ::-1], directions[:, ::-1] * MIRROR
            row = sign * record.azimuth % 360, silhouette.ravel(), directions.reshape(-1, 3), _stretch(box)
            found.setdefault(record.category, []).append(row)
    if not found:
        raise DatasetError("None of these images has surface points and an azimuth; directions are read from renders.")
    templates = {}
    for category, rows in found.items():
        azimuth, silhouettes, directions, stretch = (np.stack(column) for column in zip(*rows, strict=True))
        templates[category] = Templates(azimuth, silhouettes.astype(np.float32), directions.astype(np.float16), stretch)
    return templates


def label_directions(mask: np.ndarray, azimuth: float, templates: Templates) -> np.ndarray:
    """The directions of a photograph's object.

    Args:
        mask: bool `[h, w]`, of its object.
        azimuth: degrees.
        templates: of its category.

    Returns:
        Float32 `[h, w, 3]`, unit vectors; 0 off the object, and where the renders do not agree or are too few.
    """
    directions = np.zeros((*mask.shape, 3), dtype=np.float32)
    mask = main_parts(mask)
    apart = np.abs((templates.azimuth - azimuth + 180) % 360 - 180)
    near = np.flatnonzero(apart <= WITHIN)
    if len(near) < TAKEN or not mask.any():
        return directions
    box = _box(mask)
    silhouette = _shrink(mask[box].astype(np.float32)).ravel()
    both = np.minimum(templates.silhouettes[near], silhouette).sum(axis=1)
    either = np.maximum(templates.silhouettes[near], silhouette).sum(axis=1)
    alike = both / either - 0.5 * np.abs(templates.stretch[near] - _stretch(box))
    best = near[np.argsort(-alike)[:TAKEN]]
    chosen = templates.directions[best].astype(np.float32)
    seen = chosen.any(axis=-1).sum(axis=0)[:, None]
    mean = chosen.sum(axis=0) / np.maximum(seen, 1)
    sure = (np.linalg.norm(mean, axis=-1, keepdims=True) >= AGREEMENT) & (2 * seen >= TAKEN)
    grid = _unit(mean * sure).reshape(SIDE, SIDE, 3)
    height, width = mask[box].shape
    large = cv2.resize(grid, (width, height), interpolation=cv2.INTER_NEAREST)
    directions[box] = large * mask[box][..., None]
    return directions


def main_parts(mask: np.ndarray) -> np.ndarray:
    """A mask `[h, w]` without the specks of a model's masks: parts below a twentieth of the largest are left out."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 3:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    return np.isin(labels, 1 + np.flatnonzero(areas * SPECK >= areas.max()))


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around the object."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _stretch(box: tuple[slice, slice]) -> float:
    rows, columns = box
    return float(np.log((columns.stop - columns.start) / (rows.stop - rows.start)))


def _shrink(values: np.ndarray) -> np.ndarray:
    return cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _unit(values: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.divide(values, length, out=np.zeros_like(values), where=length > 1e-6)

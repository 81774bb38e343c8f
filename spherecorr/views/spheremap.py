"""Sphere maps as colours: each point has its colour on the surface; on the sphere x, y, z are red, green, blue."""

from __future__ import annotations

import numpy as np
from PIL import Image

from spherecorr.features import SphereMap
from spherecorr.sphere.surface import SURFACES
from spherecorr.views.pca import paint_cells


def sphere_picture(sphere: SphereMap, foreground: np.ndarray | None, size: tuple[int, int]) -> Image.Image:
    """Paint each cell in the colour of its place on the sphere; no fit is needed, so all images share the colours.

    Args:
        sphere: points `[dim, H, W]` of one image.
        foreground: boolean `[H, W]`, or None for all cells.
        size: (width, height) of the picture.
    """
    points = sphere.points.float().cpu()
    colours = SURFACES[sphere.surface].colours(points.permute(1, 2, 0)).numpy()
    return paint_cells(np.clip(colours, 0, 1), sphere.framing, foreground, size)

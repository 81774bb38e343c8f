"""Feature maps as colours: the joint PCA of two images, and cells painted over an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from spherecorr.features import FeatureMap, component_colours, joint_pca
from spherecorr.geometry import Framing, cells_to_image


def paint_cells(
    colours: np.ndarray, framing: Framing, foreground: np.ndarray | None, size: tuple[int, int]
) -> Image.Image:
    """Paint every cell in its colour, over black outside the foreground.

    Args:
        colours: `[H, W, 3]` in 0..1.
        framing: of the cells.
        foreground: boolean `[H, W]`, or None for all cells.
        size: (width, height) of the picture, which shows the whole image.
    """
    if foreground is not None:
        colours = colours * foreground[..., None]
    return Image.fromarray((cells_to_image(colours, framing, size, smooth=False) * 255).round().astype(np.uint8))


def pca_pictures(
    maps: list[FeatureMap], foregrounds: list[np.ndarray] | None, sizes: list[tuple[int, int]]
) -> list[Image.Image]:
    """Paint the first three principal components of several images as red, green and blue.

    The components are fitted on all images together, so the same colour means the same feature in each.

    Args:
        maps: feature maps of one backbone.
        foregrounds: boolean `[H, W]` per map, or None for all cells.
        sizes: (width, height) of each picture.
    """
    components = joint_pca(maps, foregrounds)
    masks: Sequence[np.ndarray | None] = foregrounds or (None,) * len(maps)
    return [
        paint_cells(component_colours(values), feature_map.framing, mask, size)
        for values, feature_map, mask, size in zip(components, maps, masks, sizes, strict=True)
    ]

"""Dense labels where nothing else is known: a ball in the object's place, seen from the photograph's viewpoint.

For kinds of which there are no renders (see `dense_labels`). A ball has no head and no legs, but its front and rear,
left and right, top and bottom lie where the object's do: enough to tie a sphere to the object's axes, and to keep it
from drawing all of a picture together at its mean. Not in the paper.
"""

from __future__ import annotations

import numpy as np

from spherecorr.dense_labels import main_parts

RIM = 0.02  # squared depth that is added, so that the corners of the mask's box face the camera a little, too


def ball_directions(mask: np.ndarray, azimuth: float, elevation: float = 0.0) -> np.ndarray:
    """The directions of a ball that fills the box around an object.

    Args:
        mask: bool `[h, w]`, of the object; specks do not count.
        azimuth: degrees of the camera from the object's front towards its left.
        elevation: degrees of the camera above the object's horizon.

    Returns:
        Float32 `[h, w, 3]`, unit vectors (+x front, +y left, +z up) on the object; 0 off it.
    """
    directions = np.zeros((*mask.shape, 3), dtype=np.float32)
    mask = main_parts(mask)
    if not mask.any():
        return directions
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = mask[box].shape
    across = (2 * np.arange(width) + 1) / width - 1
    up = 1 - (2 * np.arange(height)[:, None] + 1) / height
    towards = np.sqrt(np.clip(1 - across**2 - up**2, 0, None) + RIM)
    turn, rise = np.radians(azimuth), np.radians(elevation)
    right = np.array([-np.sin(turn), np.cos(turn), 0])
    camera = np.array([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)])
    ball = across[..., None] * right + up[..., None] * np.cross(camera, right) + towards[..., None] * camera
    ball /= np.linalg.norm(ball, axis=-1, keepdims=True)
    directions[box] = ball * mask[box][..., None]
    return directions

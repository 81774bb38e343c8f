"""What stands behind an object: clouds of colour, a pale backdrop, or a part of a photograph."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

CROPS = 8  # of a photograph, of which the emptiest is taken
PAINTED = 128  # pixels of a side at which objects are painted over; what fills them is smooth
RIM = 5  # pixels around an object that are painted over with it, at that size


def procedural_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 `[size, size, 3]`: a plain colour, or two of them with clouds in between."""
    first, second = rng.uniform(25, 255, (2, 3)).astype(np.float32)
    if rng.random() < 0.3:
        second = first
    half = (size + 1) // 2  # clouds are soft
    clouds = np.zeros((half, half), dtype=np.float32)
    for n in (2, 5, 13, 40):
        noise = rng.standard_normal((n, n), np.float32) / n**0.7
        clouds += cv2.resize(noise, (half, half), interpolation=cv2.INTER_CUBIC)
    share = cv2.normalize(clouds, np.empty_like(clouds), 0, 1, cv2.NORM_MINMAX)
    colours = (first + (second - first) * share[..., None]).astype(np.uint8)
    return cv2.resize(colours, (size, size), interpolation=cv2.INTER_LINEAR)


def studio_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 `[size, size, 3]`: a pale backdrop that darkens towards the floor, for pictures that people look at."""
    top = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.04, 0.14), rng.uniform(0.9, 0.97)))
    share = np.linspace(0, 1, size)[:, None, None] ** 2
    pixels = np.broadcast_to(top * (1 - 0.22 * share), (size, size, 3))
    return (pixels * 255).astype(np.uint8)


def photo_background(
    photo: np.ndarray, size: int, rng: np.random.Generator, mask: np.ndarray | None = None
) -> np.ndarray:
    """A random square crop of a photograph `[h, w, 3]`, scaled to `[size, size, 3]`.

    With the mask `[h, w]` of its object, the emptiest of some random crops is taken, and what it shows of the object is
    painted over from around it (Telea 2004).
    """
    height, width = photo.shape[:2]
    if mask is None:
        top, left, side = _square(height, width, rng)
    else:
        squares = [_square(height, width, rng) for _ in range(CROPS)]
        top, left, side = min(squares, key=lambda s: mask[s[0] : s[0] + s[2], s[1] : s[1] + s[2]].mean())
    inside = np.s_[top : top + side, left : left + side]
    crop = cv2.resize(photo[inside], (size, size), interpolation=cv2.INTER_AREA)
    if mask is not None and mask[inside].any():
        crop = _paint_over(crop, cv2.resize(mask[inside].astype(np.uint8), (size, size)) > 0)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _square(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int]:
    """Top, left and side of a square with half of the shorter side or more."""
    side = int(min(height, width) * rng.uniform(0.5, 1.0))
    return int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1)), side


def _paint_over(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill what the mask covers, and a rim around it, from what lies around."""
    size = picture.shape[0]
    small = cv2.resize(picture, (PAINTED, PAINTED), interpolation=cv2.INTER_AREA)
    hole = cv2.dilate(cv2.resize(mask.astype(np.uint8), (PAINTED, PAINTED)), np.ones((RIM, RIM), np.uint8))
    if hole.all():
        return np.full_like(picture, picture.reshape(-1, 3).mean(axis=0).astype(np.uint8))
    filled = cv2.resize(cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA), (size, size), interpolation=cv2.INTER_CUBIC)
    covered = cv2.resize(hole, (size, size), interpolation=cv2.INTER_NEAREST).astype(bool)
    return np.where(covered[..., None], filled, picture)

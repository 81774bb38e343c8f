"""What stands behind an object: clouds of colour, a pale backdrop, or a part of a photograph."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np


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


def photo_background(photo: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square crop of a photograph `[h, w, 3]`, scaled to `[size, size, 3]`."""
    height, width = photo.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 1.0))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    crop = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return crop[:, ::-1] if rng.random() < 0.5 else crop

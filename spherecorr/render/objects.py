"""The categories that can be made without any file."""

from __future__ import annotations

import numpy as np

from spherecorr.render.animals import cat, cow, dog, horse, sheep
from spherecorr.render.shapes import Shape
from spherecorr.render.vehicles import aeroplane, bus, car

CATEGORIES = {
    "aeroplane": aeroplane, "bus": bus, "car": car, "cat": cat, "cow": cow, "dog": dog, "horse": horse, "sheep": sheep,
}  # fmt: skip


def make_shape(category: str, rng: np.random.Generator) -> Shape:
    """A random object of a category.

    Raises:
        ValueError: no such category.
    """
    if category not in CATEGORIES:
        raise ValueError(f"There is no procedural '{category}'. Choose from: {', '.join(CATEGORIES)}.")
    return CATEGORIES[category](rng)

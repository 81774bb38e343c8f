"""The categories that can be made without any file."""

from __future__ import annotations

import numpy as np

from spherecorr.render.animals import cat, cow, dog, horse, sheep
from spherecorr.render.birds import bird
from spherecorr.render.boats import boat
from spherecorr.render.furniture import chair
from spherecorr.render.shapes import Shape
from spherecorr.render.trains import train
from spherecorr.render.two_wheelers import bicycle, motorbike
from spherecorr.render.vehicles import aeroplane, bus, car

CATEGORIES = {
    "aeroplane": aeroplane, "bicycle": bicycle, "bird": bird, "boat": boat, "bus": bus, "car": car, "cat": cat,
    "chair": chair, "cow": cow, "dog": dog, "horse": horse, "motorbike": motorbike, "sheep": sheep, "train": train,
}  # fmt: skip


def make_shape(category: str, rng: np.random.Generator) -> Shape:
    """A random object of a category.

    Raises:
        ValueError: no such category.
    """
    if category not in CATEGORIES:
        raise ValueError(f"There is no procedural '{category}'. Choose from: {', '.join(CATEGORIES)}.")
    return CATEGORIES[category](rng)

"""The categories that can be made without any file."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np

from spherecorr.errors import SpherecorrError
from spherecorr.render.aeroplanes import aeroplane
from spherecorr.render.animals import cat, cow, dog, horse, sheep
from spherecorr.render.birds import bird
from spherecorr.render.boats import boat
from spherecorr.render.deform import deform_shape, pose_animal
from spherecorr.render.furniture import chair
from spherecorr.render.shapes import Shape
from spherecorr.render.trains import train
from spherecorr.render.two_wheelers import bicycle, motorbike
from spherecorr.render.vehicles import bus, car

CATEGORIES = {
    "aeroplane": aeroplane, "bicycle": bicycle, "bird": bird, "boat": boat, "bus": bus, "car": car, "cat": cat,
    "chair": chair, "cow": cow, "dog": dog, "horse": horse, "motorbike": motorbike, "sheep": sheep, "train": train,
}  # fmt: skip


DEFORMED, POSED = 0.5, 0.25
ANIMALS = ("cat", "cow", "dog", "horse", "sheep")


def make_shape(category: str, rng: np.random.Generator) -> Shape:
    """A random object of a category; every second is deformed, every fourth animal is bent as well.

    Raises:
        SpherecorrError: no such category.
    """
    if category not in CATEGORIES:
        raise SpherecorrError(f"There is no procedural '{category}'. Choose from: {', '.join(CATEGORIES)}.")
    shape = CATEGORIES[category](rng)
    if category in ANIMALS and rng.random() < POSED:
        shape = pose_animal(shape, rng)
    return deform_shape(shape, rng) if rng.random() < DEFORMED else shape


@cache
def keypoint_names(category: str) -> tuple[str, ...]:
    """Every keypoint name of a category's objects, sorted."""
    shapes = (CATEGORIES[category](np.random.default_rng(seed)) for seed in range(64))
    return tuple(sorted({name for shape in shapes for name in shape.keypoints}))


class ProceduralObjects:
    """All categories that can be made without any file."""

    kind = "procedural"
    categories = tuple(CATEGORIES)
    files: ClassVar[dict[str, list[str]]] = {}
    keypoint_names = staticmethod(keypoint_names)
    make = staticmethod(make_shape)

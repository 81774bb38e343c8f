"""A folder of painted photographs: an animal of two colours, its head red and its tail blue, seen from four sides."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 128
FACES = {0: ("red", "red"), 90: ("red", "blue"), 180: ("blue", "blue"), 270: ("blue", "red")}
"""Azimuth -> colours of the left and the right half of the picture's object."""


def paint(path: Path, azimuth: int, rng: np.random.Generator) -> np.ndarray:
    """One photograph: a box on legs somewhere near the middle, on grey noise; returns where it is, bool `[h, w]`."""
    ground = rng.integers(150, 190, size=(SIDE, SIDE, 1)).repeat(3, axis=2).astype(np.uint8)
    image = Image.fromarray(ground)
    draw = ImageDraw.Draw(image)
    left, top = (int(value) for value in rng.integers(24, 36, size=2))
    right, bottom, middle = left + 64, top + 48, left + 32
    for colour, box in zip(FACES[azimuth], ((left, middle), (middle, right)), strict=True):
        draw.rectangle((box[0], top, box[1], bottom), colour)
    draw.rectangle((left, bottom, left + 10, bottom + 16), "black")
    draw.rectangle((right - 10, bottom, right, bottom + 16), "black")
    image.save(path)
    return (np.asarray(image) != ground).any(axis=-1)


def folder_of(root: Path, count: int, more: str = "") -> Path:
    """A folder with viewpoints.csv; each of the four sides is seen equally often."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    lines = ["image,category,azimuth,quality,mask"]
    for number in range(count):
        azimuth = list(FACES)[number % 4]
        paint(root / "images" / f"{number:02d}.png", azimuth, rng)
        lines.append(f"images/{number:02d}.png,pony,{azimuth},good,")
    (root / "viewpoints.csv").write_text("\n".join([*lines, more]))
    return root

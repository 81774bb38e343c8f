"""Colours of procedural objects: materials, paint, and the pattern over a coat."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

Colour = np.ndarray  # [3], sRGB 0..1

GLASS = np.array([0.16, 0.2, 0.25])
RUBBER = np.array([0.07, 0.07, 0.08])
DARK = np.array([0.12, 0.12, 0.13])


@dataclass(frozen=True, eq=False)
class Pattern:
    """A second colour laid over a coat where a sum of plane waves over the object is high (patches, stripes).

    Attributes:
        colour: sRGB 0..1.
        waves: `[K, 3]` wave vectors in radians per unit of the object.
        phases: `[K]`.
        threshold: of the mean of the waves, -1..1; above 1 the pattern is never seen.
    """

    colour: Colour
    waves: np.ndarray
    phases: np.ndarray
    threshold: float


def random_pattern(rng: np.random.Generator, colour: Colour, share: float, frequency: float) -> Pattern:
    """Patches of `colour` on a `share` of the objects; `frequency` in radians per unit."""
    waves = rng.normal(size=(6, 3)) * frequency
    threshold = rng.uniform(0.0, 0.35) if rng.random() < share else 2.0
    return Pattern(colour, waves, rng.uniform(0, 2 * np.pi, 6), threshold)


def random_paint(rng: np.random.Generator) -> Colour:
    """The paint of a vehicle: any hue, often nearly grey."""
    saturation = rng.uniform(0.4, 0.95) if rng.random() < 0.65 else rng.uniform(0, 0.12)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.25, 0.97)))


def random_coat(rng: np.random.Generator, hues: list[tuple[float, float, float]]) -> Colour:
    """A colour near one of some (hue, saturation, value), all 0..1: fur, feathers, wood."""
    hue, saturation, value = hues[rng.integers(len(hues))]
    jitter = rng.normal(size=3) * [0.015, 0.06, 0.09]
    return np.array(
        colorsys.hsv_to_rgb((hue + jitter[0]) % 1, *np.clip([saturation + jitter[1], value + jitter[2]], 0.02, 0.98))
    )

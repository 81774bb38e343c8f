"""Engines of procedural aeroplanes: jets, propellers, and a fighter's intakes and nozzles.

Lengths are in tenths of the fuselage.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, Colour
from spherecorr.render.shapes import ShapeBuilder, box, ellipsoid, tube


def _jet(builder: ShapeBuilder, at, size: float, long: float, colour: Colour) -> None:
    """An engine on each side with a dark mouth and its keypoint; `at` is its middle."""
    path = np.asarray(at) + np.array([[0.5, 0, 0], [0.42, 0, 0], [-0.1, 0, 0], [-0.5, 0, 0]]) * long
    builder.add_both(tube(path, np.array([0.86, 1, 0.95, 0.55])[:, None] * size * np.ones(2)), colour)
    mouth = path[0] + [0.01, 0, 0]
    builder.add_both(tube([mouth, mouth + [0.02, 0, 0]], np.full((2, 2), size * 0.74)), DARK)
    builder.add_both(tube([path[-1], path[-1] - [0.2, 0, 0]], [[size * 0.4] * 2, [size * 0.15] * 2]), DARK)
    builder.keypoint_pair("engine", mouth + [0.02, 0, 0])


def _propeller(rng, hub, reach: float, blades: int):
    """Blades about x."""
    start = rng.uniform(0, np.pi)
    for turn in start + np.arange(blades) * 2 * np.pi / blades:
        out = np.array([0, np.cos(turn), np.sin(turn)])
        yield tube([hub, hub + out * reach * 0.6, hub + out * reach], [[0.07, 0.03], [0.13, 0.03], [0.07, 0.02]],
                   (0.4, -out[2], out[1]), 6)  # fmt: skip


def engines(builder: ShapeBuilder, rng, kind: str, radius: float, root, chord: float, tip, trim: Colour) -> None:
    """Engines of one kind (see `PlanePlan`) on a fuselage with a wing from `root` to `tip`, `[3]` each."""
    colour = trim if rng.random() < 0.35 else np.full(3, rng.uniform(0.45, 0.85))
    if kind == "wing":
        size = radius * rng.uniform(0.38, 0.6)
        for share in (0.33,) if rng.random() < 0.75 else (0.6, 0.3):
            at = root + (tip - root) * share + [size * 0.6, 0, -size * 1.15]
            _jet(builder, at, size * (1 if share < 0.5 else 0.9), size * rng.uniform(2.4, 3.4), colour)
            builder.add_both(box(at + [-size * 0.8, 0, size], (size * 1.8, 0.08, size * 0.7)), colour)
    elif kind == "rear":
        size = radius * rng.uniform(0.4, 0.58)
        at = np.array([rng.uniform(-3.2, -2.2), radius * 0.75 + size, radius * rng.uniform(0.4, 0.7)])
        _jet(builder, at, size, size * rng.uniform(3.0, 4.2), colour)
        builder.add_both(box(at * [1, 0.75, 1], (size * 2, size * 1.5, 0.12)), colour)
    elif kind == "wing-propellers":
        size = radius * rng.uniform(0.35, 0.5)
        at = root + (tip - root) * rng.uniform(0.26, 0.36) + [0.2, 0, -0.05]
        builder.add_both(tube(at + [[0.9, 0, 0], [0.7, 0, 0], [-0.4, 0, 0], [-1.6, 0, 0]],
                              np.array([[0.5], [0.9], [1], [0.3]]) * size * np.ones(2)), colour)  # fmt: skip
        hub = at + [0.95, 0, 0]
        builder.add_both(ellipsoid(hub, (0.3, size * 0.45, size * 0.45)), DARK)
        for part in _propeller(rng, hub, rng.uniform(0.8, 1.2), int(rng.integers(3, 5))):
            builder.add_both(part, DARK)
        builder.keypoint_pair("engine", hub + [0.3, 0, 0])
    elif kind == "nose":
        hub = np.array([5.05, 0, builder.keypoints["nose"][2]])
        builder.add(ellipsoid(hub, (0.4, radius * 0.32, radius * 0.32)), colour)
        builder.keypoint("nose", hub + [0.4, 0, 0])
        for part in _propeller(rng, hub + [0.1, 0, 0], radius * rng.uniform(1.5, 2.1), int(rng.integers(2, 5))):
            builder.add(part, DARK)
    elif kind == "inside":
        size = radius * rng.uniform(0.4, 0.6)
        y = size * 1.02 if rng.random() < 0.5 else 0.0
        nozzle = np.array([[-4.6, y, 0.2 * radius], [-5.1, y, 0.2 * radius], [-5.35, y, 0.2 * radius]])
        builder.add_both(tube(nozzle, [[size] * 2, [size] * 2, [size * 0.8] * 2], smooth=False), DARK * 1.8)
        intake = np.array([[rng.uniform(0.8, 2.0), radius * 1.0, -0.1 * radius], [-2.5, radius * 0.8, 0]])
        builder.add_both(
            tube(intake, [[radius * 0.35, radius * 0.6], [radius * 0.5, radius * 0.6]], segments=8, smooth=False),
            colour,
        )
        mouth = intake[0] + [0.02, 0, 0]
        builder.add_both(tube([mouth, mouth + [0.02, 0, 0]], [[radius * 0.28, radius * 0.5]] * 2, segments=8), DARK)
        for share in (0.4, 0.7, 1.0)[: rng.integers(0, 4)]:  # stores under the wings, and at their tips
            at = root + (tip - root) * share - [0.3, 0, 0.25 * (share < 1)]
            store = at + np.array([[0.8, 0, 0], [0.5, 0, 0], [-0.9, 0, 0]])
            builder.add_both(tube(store, [[0.02] * 2, [0.1] * 2, [0.1] * 2], segments=8), np.full(3, 0.75))

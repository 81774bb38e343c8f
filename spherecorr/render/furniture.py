"""Procedural chairs: the front is where a sitting person looks.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, random_coat, random_paint, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, ellipsoid, loft, tube

WOOD = [(0.07, 0.6, 0.4), (0.09, 0.5, 0.65), (0.06, 0.55, 0.22), (0.1, 0.3, 0.8)]


def chair(rng: np.random.Generator) -> Shape:
    """Kitchen chairs, armchairs and swivel chairs."""
    half, deep = rng.uniform(0.19, 0.27), rng.uniform(0.18, 0.25)
    seat, tall = rng.uniform(0.4, 0.5), rng.uniform(0.3, 0.62)
    thick, lean = rng.uniform(0.025, 0.1), rng.uniform(0.0, 0.16)
    frame = random_coat(rng, WOOD) if rng.random() < 0.6 else random_paint(rng) * 0.8
    cover = frame if rng.random() < 0.4 else random_paint(rng)
    builder = ShapeBuilder("chair", random_pattern(rng, random_paint(rng), 0.3, 3.0))
    rear_half = half * rng.uniform(0.8, 1.0)
    corners = np.array([[deep, half], [deep, -half], [-deep, -rear_half], [-deep, rear_half]])
    edge = [
        np.insert(corners * share, 2, z, axis=1)
        for share, z in ((0.96, seat - thick), (1, seat - thick / 2), (0.97, seat))
    ]
    builder.add(loft(edge, smooth=False), cover, True)
    builder.keypoint_pair("seat_front", (deep, half, seat - thick / 2))
    builder.keypoint_pair("seat_rear", (-deep, rear_half, seat - thick / 2))
    builder.keypoint("seat_middle", (0, 0, seat))

    top = np.array([-deep - lean, rear_half * rng.uniform(0.8, 1.1), seat + tall])
    foot = np.array([-deep, rear_half * 0.94, seat - thick])
    _back(builder, rng, foot, top, frame, cover)
    builder.keypoint_pair("back_top", top + [0, 0.015, 0])
    if rng.random() < 0.7:
        _legs(builder, rng, deep, half, rear_half, seat - thick, frame)
    else:
        _swivel(builder, rng, seat - thick, half)
    if rng.random() < 0.4:
        rest, end = seat + rng.uniform(0.16, 0.24), deep * rng.uniform(0.5, 0.95)
        y, back = half + 0.02, -deep - lean * (rest - seat) / tall
        arm = [(back, y, rest), (end, y, rest)]
        builder.add_both(tube(arm, [[0.03, 0.018]] * 2, smooth=False), frame)
        builder.add_both(
            tube([(end - 0.03, y, rest), (end - 0.05, half * 0.98, seat - thick)], [[0.017] * 2] * 2), frame
        )
        builder.keypoint_pair("arm_front", (end, y, rest))
    return builder.build()


def _back(builder: ShapeBuilder, rng, foot: np.ndarray, top: np.ndarray, frame: np.ndarray, cover: np.ndarray) -> None:
    """Two posts with a panel, rungs, or bars between them."""
    builder.add_both(tube([foot, top], [[0.018, 0.018]] * 2, (1, 0, 0)), frame)

    def across(share: float, half_height: float, depth: float, colour: np.ndarray) -> None:
        centre = foot + (top - foot) * share
        ends = [centre * [1, side, 1] for side in (-1, 0, 1)] - np.array([[0, 0, 0], [0.02, 0, 0], [0, 0, 0]])
        builder.add(tube(ends, [[depth, half_height]] * 3, (1, 0, 0), segments=10), colour, True)

    height = top[2] - foot[2]
    across(0.96, 0.04 * height + 0.015, 0.016, frame)
    kind = rng.choice(["panel", "rungs", "bars"])
    if kind == "panel":
        low = rng.uniform(0.2, 0.5)
        across((low + 1) / 2, height * (1 - low) * 0.48, rng.uniform(0.015, 0.04), cover)
    elif kind == "rungs":
        for share in np.linspace(0.35, 0.8, rng.integers(2, 4)):
            across(share, 0.04 * height + 0.01, 0.014, frame)
    else:
        for y in np.linspace(-0.7, 0.7, rng.integers(3, 7)):
            builder.add(tube([foot * [1, y, 1], top * [1, y, 1]], [[0.01, 0.01]] * 2, (1, 0, 0), 8), frame)
    builder.keypoint("back_top_middle", top * [1, 0, 1] - [0.02, 0, -0.04 * height * 0.2 - 0.015])


def _legs(builder: ShapeBuilder, rng, deep: float, half: float, rear_half: float, height: float, frame) -> None:
    """Four legs, straight or spread, often joined by rungs."""
    spread, thick = rng.uniform(0, 0.06), rng.uniform(0.013, 0.026)
    feet = {}
    for name, x, y in (("front", deep * 0.92, half * 0.92), ("rear", -deep * 0.92, rear_half * 0.92)):
        out = np.sign(x) * spread
        feet[name] = np.array([x + out, y + spread * 0.6, 0.0])
        builder.add_both(tube([(x, y, height), feet[name]], [[thick] * 2, [thick * 0.75] * 2], (1, 0, 0), 8), frame)
        builder.keypoint_pair(f"{name}_foot", feet[name])
    if rng.random() < 0.5:
        level = np.array([0, 0, height * rng.uniform(0.25, 0.6)])
        ends = [feet["front"] * [0.97, 0.97, 1] + level, feet["rear"] * [0.97, 0.97, 1] + level]
        builder.add_both(tube(ends, [[0.01, 0.01]] * 2, segments=8), frame)


def _swivel(builder: ShapeBuilder, rng, height: float, half: float) -> None:
    """A column on a star of five feet with castors, one of them straight ahead."""
    metal = DARK if rng.random() < 0.6 else np.array([0.7, 0.7, 0.72])
    builder.add(tube([(0, 0, height), (0, 0, 0.08)], [[0.03, 0.03]] * 2), metal)
    reach = half * rng.uniform(1.0, 1.3)
    for angle in np.radians([0, 72, 144, 216, 288]):
        out = np.array([np.cos(angle), np.sin(angle), 0]) * reach
        builder.add(tube([(0, 0, 0.1), out + [0, 0, 0.06]], [[0.025, 0.02]] * 2, (0.3, 0.2, 1), 8), metal)
        builder.add(ellipsoid(out + [0, 0, 0.03], (0.03, 0.03, 0.03)), DARK)
    builder.keypoint("front_castor", (reach + 0.03, 0, 0.03))
    builder.keypoint_pair("castor", (reach * np.cos(np.radians(72)), reach * np.sin(np.radians(72)) + 0.03, 0.03))

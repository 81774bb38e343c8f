"""Procedural locomotives and driving cars: steam engines, diesel engines, commuter and high-speed trains.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, GLASS, random_paint, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, block, box, ellipsoid, loft, tube

LAMP = np.array([0.97, 0.95, 0.8])
RED = np.array([0.75, 0.08, 0.08])
STEEL = np.array([0.35, 0.35, 0.37])


def train(rng: np.random.Generator) -> Shape:
    """The leading vehicle of a train: its front has lamps and a windscreen or a boiler, its rear a gangway."""
    builder = ShapeBuilder("train", random_pattern(rng, random_paint(rng), 0.15, 1.0))
    if rng.random() < 0.25:
        _steam(builder, rng)
    else:
        _coach(builder, rng)
    return builder.build()


def _coach(builder: ShapeBuilder, rng) -> None:
    """A box with a nose: flat for commuters, stepped for diesel engines, long for high speed."""
    length, half = rng.uniform(10, 17), rng.uniform(1.3, 1.55)
    floor, roof = rng.uniform(0.75, 1.0), rng.uniform(3.3, 4.1)
    nose = rng.choice([rng.uniform(0.05, 0.5), rng.uniform(0.8, 2.0), rng.uniform(3.0, 5.0)])
    paint, trim = random_paint(rng), random_paint(rng)
    front, rear = length / 2, -length / 2
    belt = floor + (roof - floor) * rng.uniform(0.4, 0.5)
    shoulder = front - nose

    # The body's section runs round from the left sill to the right one; it sinks and narrows along the nose.
    share = np.array([0, 0, 0.3, 0.7, 1.0])
    x = np.array([rear, shoulder, shoulder + nose * 0.3, shoulder + nose * 0.7, front])
    fall = (roof - floor) * (min(nose, 3.5) / 3.5) * 0.62 * share**1.3
    narrow = half * (1 - 0.3 * share**2 * min(nose, 2) / 2)
    across = narrow[:, None] * [1, 1, 0.85, 0, -0.85, -1, -1]
    up = np.stack([0 * x + floor, roof - 0.35 - fall, roof - 0.1 - fall, roof - fall], axis=1)[:, [0, 1, 2, 3, 2, 1, 0]]
    builder.add(loft(np.stack([np.repeat(x[:, None], 7, 1), across, up], axis=-1), smooth=False), paint, True)
    stripe = floor + (belt - floor) * rng.uniform(0.2, 0.7)
    builder.add(box(((rear + shoulder) / 2, 0, stripe), (shoulder - rear - 0.1, 2 * half + 0.02, 0.25)), trim)
    _windows(builder, rng, (rear + 0.6, shoulder - 0.6), half, belt, roof - 0.75)
    builder.add(box((rear, 0, (floor + roof) / 2), (0.3, half * 0.9, (roof - floor) * 0.8)), DARK)  # gangway

    if nose > 2.5:  # the windscreen lies on the slope
        at = shoulder + nose * np.array([0.12, 0.12, 0.55, 0.55])
        slope = np.interp(at, x, roof - fall) + 0.02
        screen = np.stack([at, half * 0.62 * np.array([1, -1, -1, 1]), slope], axis=1)
        builder.add(loft([screen, screen + [0.06, 0, 0.06]], smooth=False), GLASS)
        builder.keypoint("windscreen_bottom", (at[-1] + 0.06, 0, slope[-1] + 0.06))
    else:
        top = roof - fall[-1]
        builder.add(box((front, 0, top - 0.65), (0.08, narrow[-1] * 1.5, 0.7)), GLASS)
        builder.keypoint("windscreen_bottom", (front + 0.04, 0, top - 0.98))
    lamp = (front - 0.02, narrow[-1] * 0.7, floor + 0.45)
    builder.add_both(ellipsoid(lamp, (0.1, 0.2, 0.16)), LAMP)
    builder.keypoint_pair("headlight", (lamp[0] + 0.1, *lamp[1:]))
    builder.add_both(box((rear, half * 0.75, floor + 0.4), (0.08, 0.25, 0.25)), RED)
    builder.keypoint_pair("taillight", (rear - 0.04, half * 0.75, floor + 0.4))
    builder.keypoint_pair("roof_rear", (rear, half * 0.97, roof - 0.3))
    builder.keypoint_pair("roof_front", (shoulder, half * 0.97, roof - 0.3))
    builder.keypoint_pair("sill_rear", (rear, half, floor + 0.02))
    builder.keypoint_pair("sill_front", (front, narrow[-1], floor + 0.02))
    builder.keypoint("roof_middle", ((rear + shoulder) / 2, 0, roof))
    for end, at in (("front", front - 0.24 * length), ("rear", rear + 0.18 * length)):
        _bogie(builder, end, at, half, floor)
    if rng.random() < 0.5:  # a pantograph
        foot = np.array([rear + 0.3 * length, half * 0.4, roof])
        elbow, top = foot + [-1.0, 0, 0.6], foot + [0.1, 0.2, 1.2]
        builder.add_both(tube([foot, elbow, top], [[0.06, 0.06]] * 3, segments=6), DARK)
        builder.add(box((top[0], 0, top[2]), (0.15, 2 * top[1] + 0.3, 0.08)), DARK)


def _windows(builder: ShapeBuilder, rng, ends: tuple[float, float], half: float, low: float, high: float) -> None:
    """A row of windows and doors on both sides; engines have a few only."""
    count = rng.integers(2, 11)
    edges = np.linspace(*ends, count + 1)
    width = (edges[1] - edges[0]) * rng.uniform(0.5, 0.85)
    for x in (edges[1:] + edges[:-1]) / 2:
        builder.add(box((x, 0, (low + high) / 2), (min(width, 2.2), 2 * half + 0.03, high - low)), GLASS)


def _bogie(builder: ShapeBuilder, end: str, x: float, half: float, floor: float) -> None:
    """Two axles under one end, with the keypoint `<end>_bogie` in the middle of its side."""
    radius, y = floor * 0.48, half * 0.72
    builder.add_both(box((x, y + 0.08, radius * 1.15), (2.9, 0.18, radius * 0.8)), STEEL)
    for axle in (x - 1, x + 1):
        builder.add_both(tube([(axle, y - 0.1, radius), (axle, y + 0.05, radius)], [[radius] * 2] * 2, (1, 0, 0)), DARK)
    builder.add(box((x, 0, floor - 0.1), (1.2, half, 0.4)), DARK)
    builder.keypoint_pair(f"{end}_bogie", (x, y + 0.17, radius * 1.15))


def _steam(builder: ShapeBuilder, rng) -> None:
    """A boiler with a chimney before a cab, on large driving wheels."""
    length, half = rng.uniform(8, 12), rng.uniform(1.2, 1.45)
    floor, size = rng.uniform(1.2, 1.5), rng.uniform(0.75, 1.0)
    front, rear = length / 2, -length / 2
    paint = np.array([0.1, 0.1, 0.11]) if rng.random() < 0.5 else random_paint(rng) * 0.8
    trim = random_paint(rng)
    axis, cab = floor + size, rear + rng.uniform(0.24, 0.34) * length
    boiler = [(cab - 0.2, 0, axis), (front - 0.7, 0, axis), (front - 0.55, 0, axis)]
    builder.add(tube(boiler, [[size] * 2, [size] * 2, [size * 0.88] * 2], segments=18), paint, True)
    builder.add(box((0, 0, floor - 0.15), (length - 0.4, half * 1.9, 0.3)), trim)
    roof = floor + 2 * size + rng.uniform(0.4, 0.9)
    builder.add(block((rear, cab, half, floor), (rear, cab, half, roof)), paint, True)
    builder.add(
        block((rear - 0.3, cab + 0.3, half * 1.05, roof), (rear - 0.3, cab + 0.3, half * 0.8, roof + 0.2)), trim
    )
    builder.add(box(((rear + cab) / 2, 0, roof - 0.5), ((cab - rear) * 0.5, 2 * half + 0.03, 0.6)), GLASS)
    chimney = np.array([front - rng.uniform(0.9, 1.6), 0, axis + size * 0.9])
    tall = np.array([0, 0, rng.uniform(0.6, 1.3)])
    builder.add(
        tube([chimney, chimney + tall, chimney + tall + [0, 0, 0.1]], [[0.24, 0.24], [0.3, 0.3], [0.36, 0.36]]), DARK
    )
    builder.add(ellipsoid((0.05 * length, 0, axis + size), (0.4, 0.4, 0.4)), trim)
    lamp = np.array([front - 0.55, 0, axis + size * 0.2])
    builder.add(ellipsoid(lamp, (0.2, 0.24, 0.24)), LAMP)
    builder.add(box((front - 0.1, 0, floor - 0.25), (0.2, half * 2, 0.4)), RED)
    for x, name in ((front, "front"), (rear, "rear")):
        out = 0.25 if name == "front" else -0.25
        builder.add_both(
            tube([(x - out, half * 0.7, floor - 0.25), (x + out, half * 0.7, floor - 0.25)], [[0.2] * 2] * 2), STEEL
        )
        builder.keypoint_pair(f"buffer_{name}", (x + out, half * 0.7, floor - 0.25))
    radius = floor * 0.5
    spots = np.linspace(cab, 0.18 * length, rng.integers(2, 4))
    for x in spots:
        builder.add_both(
            tube([(x, half * 0.75, radius), (x, half * 0.92, radius)], [[radius] * 2] * 2, (1, 0, 0), 20), trim
        )
    rod = [(spots[0], half * 0.97, radius * 0.8), (spots[-1], half * 0.97, radius * 0.8)]
    builder.add_both(tube(rod, [[0.06, 0.06]] * 2, segments=6), STEEL)
    for x in (front - 0.16 * length, front - 0.26 * length):
        builder.add_both(
            tube([(x, half * 0.7, radius * 0.6), (x, half * 0.85, radius * 0.6)], [[radius * 0.6] * 2] * 2, (1, 0, 0)),
            DARK,
        )
    builder.keypoint("chimney_top", chimney + tall + [0, 0, 0.1])
    builder.keypoint("lamp", lamp + [0.2, 0, 0])
    builder.keypoint_pair("roof_rear", (rear - 0.3, half * 1.05, roof + 0.02))
    builder.keypoint_pair("roof_front", (cab + 0.3, half * 1.05, roof + 0.02))
    builder.keypoint_pair("sill_rear", (rear, half, floor + 0.02))
    builder.keypoint_pair("driving_wheel", (spots[-1], half * 0.92, radius))

"""Locomotives with steam or diesel engines, and what trains stand on and draw their current with.

Lengths are in metres.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, GLASS, random_paint
from spherecorr.render.shapes import ShapeBuilder, block, box, ellipsoid, tube

LAMP = np.array([0.97, 0.95, 0.8])
RED = np.array([0.75, 0.08, 0.08])
STEEL = np.array([0.35, 0.35, 0.37])


def bogie(builder: ShapeBuilder, end: str, x: float, half: float, floor: float) -> None:
    """Two axles under one end, with the keypoint `<end>_bogie` in the middle of its side."""
    radius, y = floor * 0.48, half * 0.72
    builder.add_both(box((x, y + 0.08, radius * 1.15), (2.9, 0.18, radius * 0.8)), STEEL)
    for axle in (x - 1, x + 1):
        builder.add_both(tube([(axle, y - 0.1, radius), (axle, y + 0.05, radius)], [[radius] * 2] * 2, (1, 0, 0)), DARK)
    builder.add(box((x, 0, floor - 0.1), (1.2, half, 0.4)), DARK)
    builder.keypoint_pair(f"{end}_bogie", (x, y + 0.17, radius * 1.15))


def pantograph(builder: ShapeBuilder, rng, x: float, half: float, roof: float) -> None:
    """Two arms on a roof that hold a bar to the wire."""
    foot, tall = np.array([x, half * 0.4, roof]), rng.uniform(0.7, 1.6)
    elbow, top = foot + [-1.0, 0, tall * 0.5], foot + [0.1, 0.2, tall]
    builder.add_both(tube([foot, elbow, top], [[0.06, 0.06]] * 3, segments=6), DARK)
    builder.add(box((top[0], 0, top[2]), (0.15, 2 * top[1] + 0.3, 0.08)), DARK)


def diesel(builder: ShapeBuilder, rng) -> tuple[float, float, float]:
    """A locomotive: a cab, perhaps behind a bonnet, and a long engine room; returns its rear, half width and roof."""
    length, half = rng.uniform(9, 14), rng.uniform(1.3, 1.5)
    floor, roof = rng.uniform(1.0, 1.3), rng.uniform(3.4, 4.2)
    front, rear = length / 2, -length / 2
    paint, trim = random_paint(rng), random_paint(rng)
    bonnet, cab = rng.choice([rng.uniform(0.1, 0.5), rng.uniform(1.2, 3.0)]), rng.uniform(1.6, 2.4)
    low = floor + (roof - floor) * rng.uniform(0.5, 0.65)
    cab_front, cab_rear = front - 0.3 - bonnet, front - 0.3 - bonnet - cab
    builder.add(box((0, 0, floor - 0.12), (length, 2 * half, 0.28)), trim)
    builder.add(
        block((cab_front, front - 0.3, half * 0.85, floor), (cab_front, front - 0.45, half * 0.8, low)), paint, True
    )
    builder.add(block((cab_rear, cab_front, half, floor), (cab_rear, cab_front, half, low)), paint, True)
    builder.add(
        block((cab_rear, cab_front, half, low), (cab_rear + 0.1, cab_front - 0.35, half * 0.85, roof)), paint, True
    )
    builder.add(box((cab_front - 0.17, 0, (low + roof) / 2), (0.4, half * 1.5, (roof - low) * 0.5)), GLASS)
    builder.add(
        box(((cab_front + cab_rear) / 2, 0, (low + roof) / 2 - 0.1), (cab * 0.5, half * 1.95, (roof - low) * 0.45)),
        GLASS,
    )
    narrow = half * rng.choice([1.0, rng.uniform(0.65, 0.85)])
    hood = roof - rng.uniform(0.05, 0.6)
    builder.add(block((rear + 0.3, cab_rear, narrow, floor), (rear + 0.35, cab_rear, narrow * 0.9, hood)), paint, True)
    for x in np.linspace(rear + 1.2, cab_rear - 1.0, rng.integers(2, 6)):
        builder.add(box((x, 0, floor + (hood - floor) * 0.65), (0.6, narrow * 1.98, (hood - floor) * 0.35)), DARK * 2)
        builder.add(box((x, 0, hood), (0.8, narrow * 0.9, 0.25)), DARK * 2)
    rail = [(rear + 0.2, half * 0.97, floor + 0.9), (cab_rear, half * 0.97, floor + 0.9)]
    if narrow < half:
        builder.add_both(tube(rail, [[0.04, 0.04]] * 2, segments=6), LAMP)
    lamp = (front - 0.3 if bonnet > 0.6 else cab_front, half * 0.55, floor + 0.5)
    builder.add_both(ellipsoid(lamp, (0.12, 0.2, 0.2)), LAMP)
    builder.keypoint_pair("headlight", (lamp[0] + 0.12, *lamp[1:]))
    builder.add_both(box((rear + 0.28, narrow * 0.7, floor + 0.4), (0.1, 0.25, 0.25)), RED)
    builder.keypoint_pair("taillight", (rear + 0.23, narrow * 0.7, floor + 0.4))
    builder.keypoint("windscreen_bottom", (cab_front + 0.03, 0, (low + roof) / 2 - (roof - low) * 0.25))
    builder.keypoint_pair("roof_rear", (rear + 0.35, narrow * 0.9, hood))
    builder.keypoint_pair("roof_front", (cab_front - 0.35, half * 0.85, roof))
    builder.keypoint_pair("sill_rear", (rear, half, floor))
    builder.keypoint_pair("sill_front", (front, half, floor))
    for name, x in (("front", front), ("rear", rear)):
        out = 0.25 if name == "front" else -0.25
        path = [(x - out, half * 0.65, floor - 0.15), (x + out, half * 0.65, floor - 0.15)]
        builder.add_both(tube(path, [[0.18] * 2] * 2), STEEL)
        builder.keypoint_pair(f"buffer_{name}", path[1])
        bogie(builder, name, x * 0.62, half, floor)
    builder.add(box((0, 0, floor * 0.6), (length * 0.22, half * 1.5, floor * 0.6)), DARK * 1.5)  # fuel tank
    if rng.random() < 0.35:
        pantograph(builder, rng, rear + 0.3 * length, half, hood)
    return rear, half, roof


def steam(builder: ShapeBuilder, rng) -> tuple[float, float, float]:
    """A boiler before a cab, on large driving wheels, often with a tender; returns its rear, half width and roof."""
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
    if rng.random() < 0.4:  # a cowcatcher
        low, high = (front - 0.1, front + 0.9, half * 0.4, 0.15), (front - 0.1, front + 0.1, half * 0.9, floor - 0.2)
        builder.add(block(low, high), trim if rng.random() < 0.5 else DARK)
    if rng.random() < 0.6:  # a tender
        end = rear - rng.uniform(2.5, 4.0)
        builder.add(block((end, rear - 0.3, half, floor), (end, rear - 0.3, half, floor + 1.4)), paint, True)
        builder.add(box(((end + rear) / 2, 0, floor + 1.45), (rear - end - 0.8, half * 1.5, 0.3)), DARK)
        for x in np.linspace(end + 0.6, rear - 0.9, 3):
            builder.add_both(tube([(x, half * 0.7, 0.45), (x, half * 0.85, 0.45)], [[0.45] * 2] * 2, (1, 0, 0)), DARK)
        rear = end
    return rear, half, roof - 0.2

"""Procedural cars and buses: each call gives another one, with its keypoints.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, GLASS, RUBBER, Colour, random_paint, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, block, box, ellipsoid, tube


def _wheels(builder: ShapeBuilder, axles: dict[str, float], half_width: float, radius: float, hub: Colour) -> None:
    """A wheel at both ends of each axle, touching z = 0, with the keypoint `<axle>_wheel` on the hub."""
    for axle, x in axles.items():
        thickness = radius * 0.32
        outer, inner = half_width + 0.02, half_width - 2 * thickness
        rim = np.array([[x, inner, radius], [x, inner + 0.02, radius], [x, outer - 0.02, radius], [x, outer, radius]])
        tyre = np.array([0.9, 1, 1, 0.9])[:, None] * radius * np.ones(2)
        builder.add_both(tube(rim, tyre, side=(1, 0, 0), segments=18), RUBBER)
        cap = np.array([[x, outer - 0.01, radius], [x, outer + 0.012, radius]])
        builder.add_both(tube(cap, np.full((2, 2), radius * 0.6), side=(1, 0, 0), segments=12, smooth=False), hub)
        builder.keypoint_pair(f"{axle}_wheel", (x, outer + 0.012, radius))


def _lights(builder: ShapeBuilder, front: float, rear: float, half_width: float, z: float, size: float) -> None:
    """Head and tail lights with keypoints, set `size` inwards from the sides."""
    y = half_width - size * 0.75
    builder.add_both(ellipsoid((front, y, z), (0.05, size * 0.6, size * 0.45)), np.array([0.97, 0.95, 0.8]))
    builder.add_both(box((rear, y, z + size * 0.3), (0.05, size, size * 0.8)), np.array([0.75, 0.08, 0.08]))
    builder.keypoint_pair("headlight", (front + 0.05, y, z))
    builder.keypoint_pair("taillight", (rear - 0.025, y, z + size * 0.3))


def car(rng: np.random.Generator) -> Shape:
    """Sedans, hatchbacks, estates, off-roaders, vans and pick-ups, by their proportions."""
    length, half = rng.uniform(3.4, 5.0), rng.uniform(0.8, 0.98)
    wheel, floor = rng.uniform(0.28, 0.42), rng.uniform(0.16, 0.32)
    belt = floor + wheel + rng.uniform(0.25, 0.5)
    roof = belt + rng.uniform(0.38, 0.7)
    front, rear = length / 2, -length / 2
    hood, boot = rng.uniform(0.14, 0.32) * length, rng.choice([0.02, rng.uniform(0.12, 0.35)]) * length
    rake, drop = rng.uniform(0.25, 0.8), rng.uniform(0.05, 0.6)
    paint, hub = random_paint(rng), np.full(3, rng.uniform(0.45, 0.85))
    builder = ShapeBuilder("car", random_pattern(rng, random_paint(rng), 0.12, 2.0))

    nose = rng.uniform(0.05, 0.22)
    builder.add(
        block((rear + 0.08, front - 0.1, half * 0.96, floor), (rear, front, half, (floor + belt) / 2)), paint, True
    )
    builder.add(
        block((rear, front, half, (floor + belt) / 2), (rear + 0.05, front - nose, half * 0.93, belt)), paint, True
    )
    cabin_front, cabin_rear = front - hood, rear + boot
    inset = rng.uniform(0.78, 0.9)
    top_front, top_rear = cabin_front - rake, cabin_rear + drop
    builder.add(
        block((cabin_rear, cabin_front, half * 0.92, belt), (top_rear, top_front, half * inset, roof - 0.05)), GLASS
    )
    roof_paint = paint if rng.random() < 0.8 else random_paint(rng)
    builder.add(
        block(
            (top_rear, top_front, half * inset, roof - 0.06),
            (top_rear + 0.08, top_front - 0.08, half * inset * 0.95, roof),
        ),
        roof_paint,
    )
    for share in (0.0, rng.uniform(0.4, 0.6), 1.0):  # pillars
        low = cabin_rear + share * (cabin_front - cabin_rear)
        high = top_rear + share * (top_front - top_rear)
        pillar = [(low, half * 0.93, belt - 0.02), (high, half * inset * 1.01, roof - 0.03)]
        builder.add_both(tube(pillar, np.full((2, 2), 0.045), side=(1, 0, 0), segments=6, smooth=False), paint)
    axles = {"front": front - rng.uniform(0.15, 0.21) * length, "rear": rear + rng.uniform(0.15, 0.22) * length}
    _wheels(builder, axles, half, wheel, hub)
    light_z = floor + (belt - floor) * rng.uniform(0.5, 0.68)
    _lights(builder, front - 0.02, rear + 0.01, half, light_z, rng.uniform(0.16, 0.3))
    builder.add(box((front - 0.02, 0, floor + 0.14), (0.1, half * 1.3, 0.14)), DARK)
    builder.add(box((front, 0, light_z), (0.03, half * 0.8, 0.1)), DARK)
    plate = np.array([0.9, 0.9, 0.85])
    builder.add(box((rear - 0.01, 0, light_z - 0.02), (0.04, 0.5, 0.12)), plate)
    mirror = (cabin_front - 0.12, half * 1.06, belt + 0.08)
    builder.add_both(ellipsoid(mirror, (0.07, 0.1, 0.08)), paint if rng.random() < 0.5 else DARK)
    builder.keypoint_pair("mirror", (mirror[0] + 0.03, mirror[1] + 0.08, mirror[2]))
    builder.keypoint_pair("windscreen_top", (top_front, half * inset * 0.97, roof - 0.04))
    builder.keypoint_pair("rear_window_top", (top_rear, half * inset * 0.97, roof - 0.04))
    builder.keypoint_pair("hood_corner", (front - nose, half * 0.92, belt))
    builder.keypoint("front_plate", (front + 0.03, 0, floor + 0.14))
    builder.keypoint("rear_plate", (rear - 0.03, 0, light_z - 0.02))
    return builder.build()


def bus(rng: np.random.Generator) -> Shape:
    """City buses and coaches."""
    length, half = rng.uniform(7, 12), rng.uniform(1.15, 1.3)
    floor, roof = rng.uniform(0.3, 0.5), rng.uniform(2.7, 3.4)
    belt = floor + (roof - floor) * rng.uniform(0.32, 0.48)
    front, rear = length / 2, -length / 2
    paint, trim = random_paint(rng), random_paint(rng)
    builder = ShapeBuilder("bus", random_pattern(rng, trim, 0.2, 1.5))
    lean = rng.uniform(0, 0.35)
    builder.add(block((rear, front, half, floor), (rear, front, half, belt)), paint, True)
    builder.add(
        block((rear + 0.05, front - 0.05, half * 0.98, belt), (rear + 0.1, front - lean, half * 0.96, roof - 0.3)),
        GLASS,
    )
    builder.add(
        block((rear, front - lean * 0.9, half, roof - 0.35), (rear + 0.1, front - lean - 0.1, half * 0.94, roof)),
        paint if rng.random() < 0.6 else trim,
        True,
    )
    builder.add(block((rear - 0.01, rear + 1.2, half * 1.003, belt - 0.1), (rear, rear + 1.2, half, roof - 0.3)), paint)
    for x in np.linspace(rear + 1.2, front - 0.6, rng.integers(5, 9)):
        builder.add_both(box((x, half * 0.97, (belt + roof) / 2 - 0.15), (0.09, 0.07, roof - belt - 0.3)), paint)
    door = box((front - 1.0, -half, (floor + roof) / 2 - 0.2), (0.9, 0.05, roof - floor - 0.6))
    builder.add(door, GLASS * 1.3)  # passengers board on the right
    _wheels(
        builder,
        {"front": front - 0.2 * length, "rear": rear + 0.24 * length},
        half,
        rng.uniform(0.45, 0.56),
        np.full(3, 0.6),
    )
    _lights(builder, front + 0.0, rear, half, floor + 0.4, rng.uniform(0.3, 0.42))
    mirror = (front + 0.12, half + 0.14, belt + (roof - belt) * 0.45)
    builder.add_both(box(mirror, (0.1, 0.12, 0.5)), DARK)
    builder.keypoint_pair("mirror", (mirror[0] + 0.05, mirror[1], mirror[2]))
    builder.keypoint_pair("roof_front", (front - lean - 0.05, half * 0.95, roof - 0.05))
    builder.keypoint_pair("roof_rear", (rear + 0.06, half * 0.96, roof - 0.05))
    builder.keypoint_pair("bumper_front", (front, half * 0.95, floor + 0.03))
    builder.keypoint_pair("bumper_rear", (rear, half * 0.95, floor + 0.03))
    builder.keypoint("windscreen_bottom", (front, 0, belt - 0.02))
    return builder.build()

"""Procedural bicycles and motorbikes.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, GLASS, RUBBER, random_paint, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, block, box, ellipsoid, loft, plate, ring, tube

CHROME = np.array([0.7, 0.7, 0.73])
LAMP = np.array([0.97, 0.95, 0.8])
RED = np.array([0.75, 0.08, 0.08])


def _bar(builder: ShapeBuilder, path, radius: float, colour: np.ndarray) -> None:
    """A round bar on the plane of symmetry or across it."""
    path = np.asarray(path, dtype=float)
    side = (1, 0, 0) if np.ptp(path[:, 1]) > np.ptp(path[:, 0]) else (0, 1, 0)
    builder.add(tube(path, np.full((len(path), 2), radius), side, segments=8), colour)


def _bars(builder: ShapeBuilder, path, radius: float, colour: np.ndarray) -> None:
    """A round bar on the left and its mirror image."""
    builder.add_both(tube(path, np.full((len(path), 2), radius), (0.3, 0.2, 1), segments=8), colour)


def bicycle(rng: np.random.Generator) -> Shape:
    """City, touring, mountain, racing, folding and BMX bicycles: frame, bars, tyres, fittings and luggage vary."""
    wheel, tyre = rng.uniform(0.28, 0.36), rng.choice([rng.uniform(0.013, 0.02), rng.uniform(0.02, 0.045)])
    base, size = rng.uniform(0.95, 1.15), rng.uniform(0.42, 0.62)
    small = rng.random() < 0.15
    if small:  # folding bicycles and BMX
        wheel, base, size = rng.uniform(0.17, 0.24), rng.uniform(0.85, 1.0), rng.uniform(0.25, 0.4)
    paint, thick = random_paint(rng), rng.uniform(0.02, 0.032)
    builder = ShapeBuilder("bicycle", random_pattern(rng, random_paint(rng), 0.0, 1.0))
    radius = wheel + tyre
    rear, front = np.array([-base / 2, 0, radius]), np.array([base / 2, 0, radius])
    for hub, name in ((front, "front"), (rear, "rear")):
        _spoked_wheel(builder, hub, wheel, tyre, int(rng.integers(7, 12)))
        builder.keypoint_pair(f"{name}_hub", hub + [0, 0.07, 0])
    builder.keypoint("front_tyre", front + [radius, 0, 0])
    builder.keypoint("rear_tyre", rear - [radius, 0, 0])

    crank = np.array([-base * rng.uniform(0.06, 0.12), 0, radius * rng.uniform(0.78, 0.92)])
    lean = rng.uniform(0.25, 0.38)
    seat = crank + np.array([-lean, 0, 1.0]) * size
    fork = rng.uniform(0.04, 0.09)
    head = np.array([front[0] - fork - 0.32 * (size + 0.1), 0, seat[2] + rng.uniform(-0.05, 0.04)])
    neck = head + np.array([0.04, 0, -0.13])
    step_through = rng.random() < 0.3
    for path in (
        [crank, seat],
        [crank, neck],
        [head, neck],
        [(seat * 0.45 + crank * 0.55) if step_through else seat, head],
    ):
        _bar(builder, path, thick, paint)
    for end in (crank, seat):
        _bars(builder, [end + [0, 0.02, 0], rear + [0, 0.06, 0]], thick * 0.6, paint)
    _bars(
        builder,
        [neck + [0, 0.05, 0], front * 0.4 + neck * 0.6 + [0, 0.06, 0], front + [0, 0.06, 0]],
        thick * 0.7,
        paint,
    )
    builder.keypoint("head_top", head + [0, 0, 0.02])

    saddle = seat + np.array([-lean, 0, 1.0]) * (rng.uniform(0.05, 0.4) if small else rng.uniform(0.08, 0.25))
    _bar(builder, [seat, saddle], thick * 0.8, CHROME)
    width = rng.uniform(0.07, 0.11)
    outline = np.array([[-0.13, 0.7], [-0.1, 1.0], [0.0, 0.6], [0.14, 0.2]])
    sections = [
        [(x, y * width, z) for y, z in ((w, 0.02), (0.6 * w, 0.05), (-0.6 * w, 0.05), (-w, 0.02), (0, -0.01))]
        for x, w in outline
    ]
    builder.add(loft(np.array(sections) + saddle), DARK if rng.random() < 0.7 else np.array([0.45, 0.25, 0.12]))
    builder.keypoint("saddle_nose", saddle + [0.14, 0, 0.05])
    builder.keypoint_pair("saddle_rear", saddle + [-0.1, width, 0.025])

    _bicycle_bar(builder, rng, head + np.array([0.02, 0, rng.uniform(0.04, 0.12)]), head, thick)
    sprocket = [crank - [0, 0.07, 0], crank - [0, 0.06, 0]]  # the chain runs on the right
    builder.add(tube(sprocket, [[0.09, 0.09]] * 2, (1, 0, 0), 16), CHROME)
    _bar(builder, [crank - [0, 0.07, -0.08], rear - [0, 0.05, -0.03]], 0.008, DARK)
    _bar(builder, [crank - [0, 0.07, 0.08], rear - [0, 0.05, 0.03]], 0.008, DARK)
    turn = rng.uniform(0, 2 * np.pi)
    for sign, name in ((1, "left"), (-1, "right")):
        reach = sign * 0.17 * np.array([np.cos(turn), 0, np.sin(turn)])
        hub, pedal = crank + [0, sign * 0.09, 0], crank + reach + [0, sign * 0.1, 0]
        _bar(builder, [hub, (hub + pedal) / 2, pedal], 0.014, CHROME)
        builder.add(box(pedal + [0, sign * 0.05, 0], (0.09, 0.09, 0.025)), DARK)
        builder.keypoint(f"{name}_pedal", pedal + [0, sign * 0.095, 0])
    if rng.random() < 0.45:  # mudguards
        for hub, start, stop in ((front, 0.25, 0.85), (rear, 0.15, 1.05)):
            angle = np.linspace(start, stop, 8)[:, None] * np.pi
            arc = hub + (radius + 0.035) * np.concatenate([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
            builder.add(tube(arc, np.tile([0.035, 0.008], (8, 1)), segments=8), paint)
    if rng.random() < 0.35:  # a rack over the rear wheel
        builder.add(box((rear[0], 0, 2 * radius + 0.08), (0.34, 0.12, 0.015)), DARK)
        _bars(builder, [rear + [0, 0.06, 0], rear + [-0.05, 0.06, radius + 0.08]], 0.008, DARK)
        if rng.random() < 0.5:  # bags beside the wheel
            builder.add_both(box(rear + [-0.03, 0.13, radius * 0.75], (0.3, 0.12, 0.3)), random_paint(rng))
    if rng.random() < 0.2:  # a basket before the bars
        low, high = head[2] - 0.08, head[2] + rng.uniform(0.1, 0.18)
        ends = head[0] + 0.1, head[0] + 0.38
        builder.add(block((*ends, 0.12, low), (ends[0], ends[1] + 0.05, 0.17, high)), CHROME * rng.uniform(0.2, 0.9))
    return builder.build()


def _spoked_wheel(builder: ShapeBuilder, hub: np.ndarray, wheel: float, tyre: float, spokes: int) -> None:
    builder.add(ring(hub, wheel, tyre), RUBBER)
    builder.add(ring(hub, wheel - tyre, tyre * 0.5), CHROME)
    builder.add(tube([hub - [0, 0.07, 0], hub + [0, 0.07, 0]], [[0.025, 0.025]] * 2, (1, 0, 0), 8), CHROME)
    for angle in np.arange(spokes) * np.pi / spokes:
        out = np.array([np.cos(angle), 0, np.sin(angle)]) * (wheel - tyre)
        _bar(builder, [hub - out, hub + out], 0.005, CHROME)


def _bicycle_bar(builder: ShapeBuilder, rng, stem: np.ndarray, head: np.ndarray, thick: float) -> None:
    """Handlebars: swept back, straight, or dropped; the grips' ends are keypoints."""
    half = rng.uniform(0.2, 0.34)
    kind = rng.choice(["city", "straight", "dropped"])
    if kind == "city":
        path = [stem, stem + [0.06, half * 0.6, 0.05], stem + [-0.12, half, 0.03], stem + [-0.22, half, 0.02]]
    elif kind == "straight":
        path = [stem, stem + [0.02, half * 0.5, 0.0], stem + [-0.04, half, 0.0]]
    else:
        half *= 0.75
        path = [
            stem,
            stem + [0.02, half, 0],
            stem + [0.13, half, -0.04],
            stem + [0.08, half, -0.14],
            stem + [-0.02, half, -0.15],
        ]
    _bar(builder, [head, stem], thick * 0.8, CHROME)
    builder.add_both(tube(path, np.full((len(path), 2), 0.015), (0.2, 0.1, 1), 8), CHROME)
    builder.add_both(tube(path[-2:], [[0.02, 0.02]] * 2, (0.2, 0.1, 1), 8), DARK)
    builder.keypoint_pair("grip", path[-1])


MOTORBIKES = {"roadster": 0.27, "cruiser": 0.22, "racer": 0.2, "tourer": 0.12, "trail": 0.09, "scooter": 0.1}


def motorbike(rng: np.random.Generator) -> Shape:
    """Roadsters, cruisers, racers, tourers with luggage, trail bikes and scooters."""
    return motorbike_of(str(rng.choice(list(MOTORBIKES), p=list(MOTORBIKES.values()))), rng)


def motorbike_of(kind: str, rng: np.random.Generator) -> Shape:
    """A motorbike of one of `MOTORBIKES`."""
    wheel, tyre = {
        "cruiser": (rng.uniform(0.2, 0.26), rng.uniform(0.07, 0.1)), "trail": (rng.uniform(0.25, 0.3), 0.05),
        "scooter": (rng.uniform(0.12, 0.16), rng.uniform(0.05, 0.07)),
    }.get(kind, (rng.uniform(0.2, 0.27), rng.uniform(0.06, 0.09)))  # fmt: skip
    radius = wheel + tyre
    base = {"cruiser": rng.uniform(1.5, 1.8), "scooter": rng.uniform(1.15, 1.35)}.get(kind, rng.uniform(1.25, 1.55))
    paint, trim = random_paint(rng), DARK if rng.random() < 0.5 else random_paint(rng)
    builder = ShapeBuilder("motorbike", random_pattern(rng, random_paint(rng), 0.25, 2.0))
    rear, front = np.array([-base / 2, 0, radius]), np.array([base / 2, 0, radius])
    for hub, name in ((front, "front"), (rear, "rear")):
        builder.add(ring(hub, wheel, tyre), RUBBER)
        builder.add(
            tube([hub - [0, 0.04, 0], hub + [0, 0.04, 0]], [[wheel * 0.75] * 2] * 2, (1, 0, 0), 16), CHROME * 0.8
        )
        builder.add(tube([hub - [0, 0.11, 0], hub + [0, 0.11, 0]], [[0.05, 0.05]] * 2, (1, 0, 0), 10), DARK)
        builder.keypoint_pair(f"{name}_hub", hub + [0, 0.11, 0])
    builder.keypoint("front_tyre", front + [radius, 0, 0])
    builder.keypoint("rear_tyre", rear - [radius, 0, 0])

    seat_z = {"scooter": rng.uniform(0.68, 0.78), "cruiser": radius + rng.uniform(0.28, 0.38)}.get(
        kind, radius + rng.uniform(0.38, 0.55)
    )
    rake = {"cruiser": rng.uniform(0.55, 0.9), "racer": rng.uniform(0.3, 0.45)}.get(kind, rng.uniform(0.3, 0.6))
    head_z = seat_z + (rng.uniform(0.25, 0.35) if kind == "scooter" else rng.uniform(0.15, 0.3))
    head = np.array([front[0] - rake * (head_z - radius), 0, head_z])
    _bars(builder, [front + [0, 0.11, 0], head + [0, 0.1, 0]], 0.03, CHROME)
    _bars(builder, [rear + [0, 0.1, 0], (-0.1, 0.1, radius + 0.05)], 0.035, DARK)
    _fenders(builder, front, rear, radius, tyre, paint)

    if kind == "scooter":
        _scooter(builder, rng, front, rear, radius, seat_z, head, paint)
        _cockpit(builder, rng, head, paint, kind)
        return builder.build()
    if kind == "tourer" or rng.random() < 0.08:
        cases = paint if rng.random() < 0.6 else DARK
        builder.add_both(box(rear + [0.0, 0.25, 0.22], (0.5, 0.22, 0.36)), cases)
        if rng.random() < 0.6:
            builder.add(box((rear[0] - 0.08, 0, seat_z + 0.25), (0.36, 0.4, 0.3)), cases)
    engine = np.array([rng.uniform(-0.05, 0.1), 0, radius + 0.02])
    if kind == "racer":  # side panels down to the belly
        outline = [(-0.25, radius - 0.1), (0.35, radius - 0.1), (head[0] + 0.1, head[2] - 0.05), (0.1, seat_z - 0.05)]
        for y in (-0.19, 0.19):
            builder.add(plate(outline, 0.06, y), paint, True)
    builder.add(box(engine, (0.5, 0.3, 0.32)), CHROME * rng.uniform(0.3, 0.9))
    for level in np.linspace(-0.1, 0.3, 5):  # cooling fins
        builder.add(box(engine + [0.08, 0, level], (0.32, 0.4 - 0.2 * abs(level), 0.03)), CHROME * 0.7)
    _bar(builder, [head - [0.02, 0, 0.08], engine + [0.2, 0, 0.2], engine + [0.25, 0, -0.15]], 0.04, trim)
    _bars(
        builder,
        [
            engine + [0.25, 0.14, 0.05],
            engine + [0.3, 0.18, -0.15],
            engine + [-0.1, 0.2, -0.2],
            rear + [-0.15, 0.2, 0.0],
        ],
        0.05,
        CHROME,
    )
    builder.keypoint_pair("exhaust", rear + [-0.15, 0.2, 0.0])

    tank_rear, tall, wide = engine[0] - 0.18, rng.uniform(0.2, 0.32), rng.uniform(0.13, 0.2)
    x = np.linspace(tank_rear, head[0] - 0.02, 5)
    bulge = np.array([0.5, 0.9, 1, 0.85, 0.4])
    centre = np.stack([x, 0 * x, np.linspace(seat_z, head_z - 0.08, 5) + 0.02], axis=1)
    builder.add(tube(centre, np.stack([bulge * wide, bulge * tall / 2], axis=1)), paint, True)
    builder.keypoint("tank_top", builder.top(x[2], 0.0))
    builder.keypoint_pair("tank_side", centre[2] + [0, wide, 0])
    tail = np.array([rear[0] - rng.uniform(-0.1, 0.15), 0, seat_z + rng.uniform(0.0, 0.2)])
    saddle = np.array([[tank_rear + 0.08, 0, seat_z], [tank_rear - 0.2, 0, seat_z - 0.03], tail + [0.15, 0, 0], tail])
    builder.add(tube(saddle, [[0.1, 0.06], [0.16, 0.08], [0.13, 0.07], [0.06, 0.04]]), DARK)
    builder.add(tube(saddle[1:] - [0, 0, 0.09], [[0.1, 0.07], [0.11, 0.07], [0.05, 0.04]]), paint, True)
    builder.add(box(tail - [0.02, 0, 0.08], (0.06, 0.16, 0.07)), RED)
    builder.keypoint("tail", tail - [0.05, 0, 0.08])
    builder.keypoint("seat_middle", builder.top(tank_rear - 0.2, 0.0))
    builder.keypoint_pair("seat_side", saddle[1] + [0, 0.16, 0])
    _cockpit(builder, rng, head, paint, kind)
    return builder.build()


def _scooter(builder: ShapeBuilder, rng, front, rear, radius: float, seat_z: float, head, paint) -> None:
    """A leg shield, a floor to put the feet on, and a body under the seat that hides the engine."""
    floor = radius + rng.uniform(0.0, 0.08)
    shield = np.array([(front[0] - 0.36, 0, floor), (front[0] - 0.33, 0, floor + 0.25), head - [0.02, 0, 0.02]])
    builder.add(tube(shield, [[0.2, 0.03], [0.24, 0.05], [0.15, 0.06]]), paint, True)
    builder.add(box(((front[0] - 0.36) * 0.5 - 0.1, 0, floor), (front[0] - 0.1, 0.34, 0.06)), DARK)
    middle = rear[0] + 0.15
    body = np.array([[middle + 0.42, 0, floor + 0.1], [middle + 0.2, 0, seat_z - 0.22], [middle - 0.2, 0, seat_z - 0.2],
                     [rear[0] - 0.28, 0, seat_z - 0.12]])  # fmt: skip
    builder.add(tube(body, [[0.14, 0.12], [0.2, 0.19], [0.2, 0.17], [0.1, 0.08]]), paint, True)
    seat = [(middle + 0.38, 0, seat_z - 0.04), (middle + 0.1, 0, seat_z), (rear[0] - 0.2, 0, seat_z + 0.02)]
    builder.add(tube(seat, [[0.1, 0.05], [0.16, 0.07], [0.12, 0.05]]), DARK)
    builder.add(box((rear[0] - 0.3, 0, seat_z - 0.13), (0.05, 0.16, 0.08)), RED)
    builder.keypoint("tail", (rear[0] - 0.325, 0, seat_z - 0.13))
    builder.keypoint("seat_middle", builder.top(middle + 0.1, 0.0))
    builder.keypoint_pair("seat_side", (middle + 0.1, 0.16, seat_z))
    if rng.random() < 0.4:
        builder.add(box((rear[0] - 0.3, 0, seat_z + 0.22), (0.34, 0.36, 0.28)), random_paint(rng))


def _fenders(builder: ShapeBuilder, front: np.ndarray, rear: np.ndarray, radius: float, tyre: float, paint) -> None:
    for hub, start, stop in ((front, 0.3, 0.8), (rear, 0.3, 1.0)):
        angle = np.linspace(start, stop, 8)[:, None] * np.pi
        arc = hub + (radius + 0.04) * np.concatenate([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
        builder.add(tube(arc, np.tile([tyre * 1.15, 0.012], (8, 1)), segments=8), paint, True)


def _cockpit(builder: ShapeBuilder, rng, head: np.ndarray, paint: np.ndarray, kind: str) -> None:
    """Handlebars, headlight, mirrors, and for racers a fairing with a screen."""
    half, rise, back = rng.uniform(0.32, 0.45), rng.uniform(0.02, 0.2), rng.uniform(0.05, 0.3)
    if kind == "cruiser":
        rise = rng.uniform(0.12, 0.45)
    elif kind == "racer":
        rise = rng.uniform(-0.08, 0.04)
    top = head + np.array([0.0, 0, 0.06])
    path = [
        top,
        top + [0.02, half * 0.4, rise],
        top + [-back * 0.5, half * 0.75, rise],
        top + [-back, half, rise * 0.9],
    ]
    builder.add_both(tube(path, np.full((4, 2), 0.022), (0.2, 0.1, 1), 8), CHROME)
    builder.add_both(tube(path[-2:], [[0.03, 0.03]] * 2, (0.2, 0.1, 1), 8), DARK)
    builder.keypoint_pair("grip", path[-1])
    lamp = head + np.array([0.16, 0, -0.04])
    size = rng.uniform(0.08, 0.12)
    if rng.random() < {"racer": 1.0, "tourer": 0.7, "roadster": 0.25}.get(kind, 0.0):
        nose = [head + [-0.05, 0, -0.1], head + [0.12, 0, -0.08], lamp + [0.06, 0, 0]]
        builder.add(tube(nose, [[0.2, 0.25], [0.19, 0.22], [0.11, 0.12]]), paint, True)
        screen = [(head[0] + 0.16, head[2] + 0.1), (head[0] - 0.02, head[2] + 0.36), (head[0] - 0.05, head[2] + 0.1)]
        builder.add(plate(screen, 0.26), GLASS)
        lamp = lamp + np.array([0.03, 0, 0])
    builder.add(ellipsoid(lamp, (0.07, size, size)), LAMP)
    builder.add(ellipsoid(lamp - [0.03, 0, 0], (0.08, size * 1.1, size * 1.1)), DARK)
    builder.keypoint("headlight", lamp + [0.07, 0, 0])
    mirror = path[2] + np.array([0.05, 0.03, 0.16])
    _bars(builder, [path[2], mirror], 0.01, DARK)
    builder.add_both(ellipsoid(mirror, (0.03, 0.07, 0.05)), DARK)
    builder.keypoint_pair("mirror", mirror + [0, 0.07, 0])

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


KINDS = {"steam": 0.25, "diesel": 0.15, "high_speed": 0.2, "commuter": 0.25, "tram": 0.15}


def train(rng: np.random.Generator) -> Shape:
    """A train: a locomotive or a driving coach, often with more wagons behind it."""
    return train_of(str(rng.choice(list(KINDS), p=list(KINDS.values()))), rng)


def train_of(kind: str, rng: np.random.Generator) -> Shape:
    """A train of one of `KINDS`."""
    builder = ShapeBuilder("train", random_pattern(rng, random_paint(rng), 0.15, 1.0))
    if kind == "steam":
        rear, half, roof = _steam(builder, rng)
    elif kind == "diesel":
        rear, half, roof = _diesel(builder, rng)
    else:
        rear, half, roof = _coach(builder, rng, kind)
    if rng.random() < 0.4:
        _wagons(builder, rng, int(rng.integers(1, 3)), rear, half, roof, like=kind)
    return builder.build()


def _section(half: float, floor: float, roof: float, round_roof: float) -> np.ndarray:
    """A coach's outline `[9, 2]` of (y, z), from the left sill over the roof to the right one."""
    edge = roof - round_roof
    left = [(half * 0.96, floor), (half, floor + 0.3), (half * 0.97, edge), (half * 0.72, roof - 0.25 * round_roof)]
    return np.array([*left, (0, roof), *[(-y, z) for y, z in left[::-1]]])


def _coach(builder: ShapeBuilder, rng, kind: str) -> tuple[float, float, float]:
    """A driving coach with a flat, a rounded or a long pointed front; returns its rear, half width and roof."""
    length, half = {"tram": rng.uniform(7, 12)}.get(kind, rng.uniform(10, 18)), rng.uniform(1.25, 1.55)
    floor, roof = (rng.uniform(0.4, 0.7) if kind == "tram" else rng.uniform(0.75, 1.0)), rng.uniform(3.2, 4.1)
    nose = {
        "high_speed": rng.uniform(2.5, 6.5), "tram": rng.uniform(0.3, 1.4),
        "commuter": rng.choice([rng.uniform(0.05, 0.4), rng.uniform(0.6, 1.8)]),
    }[kind]  # fmt: skip
    paint, trim = random_paint(rng), random_paint(rng)
    if rng.random() < 0.4:
        paint = paint * 0.25 + 0.7
    front, rear = length / 2, -length / 2
    belt = floor + (roof - floor) * rng.uniform(0.38, 0.5)
    shoulder = front - nose
    drop = {"high_speed": rng.uniform(0.6, 0.8), "tram": rng.uniform(0.0, 0.25)}.get(kind, rng.uniform(0.0, 0.35))
    power = rng.uniform(1.3, 2.6) if kind == "high_speed" else rng.uniform(2.0, 4.0)

    # The body's section sinks and narrows along the nose.
    share = np.array([0, 0, 0.2, 0.4, 0.6, 0.8, 0.93, 1.0])
    x = np.concatenate([[rear], shoulder + nose * share[1:]])
    full = roof - floor
    height = full * (1 - drop * share**power)
    narrow = 1 - (0.5 if kind == "high_speed" else rng.uniform(0.05, 0.3)) * share**2.5 * min(nose, 2) / 2
    outline = _section(half, floor, roof, rng.uniform(0.2, 0.8))
    body = np.stack([
        np.column_stack([np.full(9, at), outline[:, 0] * n, floor + (outline[:, 1] - floor) * h / full])
        for at, h, n in zip(x, height, narrow, strict=True)
    ])  # fmt: skip
    shell = loft(body, smooth=False)
    if rng.random() < 0.5:
        upper, lower = shell.split((0, 0, 1), belt - rng.choice([0.0, 1.0]))
        builder.add(upper, paint, True)
        builder.add(lower, trim, True)
    else:
        builder.add(shell, paint, True)
        stripe = floor + (belt - floor) * rng.uniform(0.25, 0.7)
        builder.add(box(((rear + shoulder) / 2, 0, stripe), (shoulder - rear - 0.1, 2 * half + 0.02, 0.25)), trim)
    _windows(builder, rng, (rear + 0.6, shoulder - 0.3), half, belt, roof - 0.75)
    builder.add(box((rear, 0, (floor + roof) / 2), (0.3, half * 0.9, full * 0.8)), DARK)  # gangway
    _windscreen(builder, rng, x, floor + height, half * narrow, belt)
    lamp_z = floor + min(0.45 + rng.uniform(0, 0.2), height[-1] * 0.6)
    lamp = (front - 0.02, half * narrow[-1] * 0.7, lamp_z)
    builder.add_both(ellipsoid(lamp, (0.1, 0.2, 0.16)), LAMP)
    builder.keypoint_pair("headlight", (lamp[0] + 0.1, *lamp[1:]))
    builder.add_both(box((rear, half * 0.75, floor + 0.4), (0.08, 0.25, 0.25)), RED)
    builder.keypoint_pair("taillight", (rear - 0.04, half * 0.75, floor + 0.4))
    builder.keypoint_pair("roof_rear", body[0, 2])
    builder.keypoint_pair("roof_front", body[1, 2])
    builder.keypoint_pair("sill_rear", body[0, 0])
    builder.keypoint_pair("sill_front", body[-1, 0])
    builder.keypoint("roof_middle", ((rear + shoulder) / 2, 0, roof))
    for end, at in (("front", front - max(0.2 * length, nose * 0.9)), ("rear", rear + 0.18 * length)):
        _bogie(builder, end, at, half, floor)
    if kind == "high_speed" or rng.random() < 0.5:  # skirts
        builder.add(
            block((rear + 0.2, shoulder, half * 0.9, floor * 0.45), (rear + 0.2, shoulder, half * 0.95, floor + 0.05)),
            trim * 0.6,
        )
    if rng.random() < 0.4:
        builder.add(box((0, 0, roof + 0.15), (rng.uniform(1, 0.6 * length), half, 0.3)), np.full(3, 0.5))
    if rng.random() < (0.8 if kind == "tram" else 0.4):
        _pantograph(builder, rng, rear + rng.uniform(0.2, 0.5) * length, half, roof)
    return rear, half, roof


def _windscreen(builder: ShapeBuilder, rng, x, top, half, belt: float) -> None:
    """A pane that follows the nose from near the roof down to the belt line or the slope's foot."""
    along = np.linspace(0, 1, 12)
    at = x[1] + (x[-1] - x[1]) * along
    height, wide = np.interp(at, x, top), np.interp(at, x, half)
    foot = int(np.argmax(height < belt + 0.1)) or 11
    if height[foot] > belt + 0.1:  # a steep front: the pane stands on it
        upper = min(height[-1] - 0.25, top[0] - 0.45)
        pane = box((x[-1], 0, (belt + upper) / 2), (0.1, wide[-1] * rng.uniform(1.4, 1.8), max(upper - belt, 0.5)))
        builder.add(pane, GLASS)
        builder.keypoint("windscreen_bottom", (x[-1] + 0.05, 0, (belt + upper) / 2 - max(upper - belt, 0.5) / 2))
        return
    chosen = np.arange(max(1, foot - int(rng.integers(3, 7))), foot + 1)
    width = wide[chosen] * rng.uniform(0.55, 0.7)
    left, right = (
        np.stack([at[chosen], width, height[chosen] - 0.02], 1),
        np.stack([at[chosen], -width, height[chosen] - 0.02], 1),
    )
    over = np.array([0.03, 0, 0.1])
    builder.add(loft(np.stack([left, left + over, right + over, right], axis=1), smooth=False), GLASS)
    builder.keypoint("windscreen_bottom", (at[foot], 0, height[foot] - 0.02) + over)


def _diesel(builder: ShapeBuilder, rng) -> tuple[float, float, float]:
    """A locomotive: a cab at the front or behind a bonnet, and a long engine room; returns rear, half width and roof."""
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
        _bogie(builder, name, x * 0.62, half, floor)
    builder.add(box((0, 0, floor * 0.6), (length * 0.22, half * 1.5, floor * 0.6)), DARK * 1.5)  # fuel tank
    if rng.random() < 0.35:
        _pantograph(builder, rng, rear + 0.3 * length, half, hood)
    return rear, half, roof


def _pantograph(builder: ShapeBuilder, rng, x: float, half: float, roof: float) -> None:
    foot, tall = np.array([x, half * 0.4, roof]), rng.uniform(0.7, 1.6)
    elbow, top = foot + [-1.0, 0, tall * 0.5], foot + [0.1, 0.2, tall]
    builder.add_both(tube([foot, elbow, top], [[0.06, 0.06]] * 3, segments=6), DARK)
    builder.add(box((top[0], 0, top[2]), (0.15, 2 * top[1] + 0.3, 0.08)), DARK)


def _wagons(builder: ShapeBuilder, rng, count: int, rear: float, half: float, roof: float, like: str) -> None:
    """What the first vehicle pulls: coaches of its own kind, or behind engines also open wagons and tanks."""
    floor = 0.95 if like != "tram" else 0.55
    paint, trim = random_paint(rng), random_paint(rng)
    freight = like in ("steam", "diesel") and rng.random() < 0.4
    for _ in range(count):
        length = rng.uniform(5, 8) if freight else rng.uniform(8, 13)
        front = rear - 0.35
        rear = front - length
        middle = (front + rear) / 2
        builder.add(box((front + 0.2, 0, floor + 0.1), (0.8, 0.3, 0.3)), DARK)
        if freight and rng.random() < 0.4:
            path = [(rear + 0.2, 0, floor + half), (front - 0.2, 0, floor + half)]
            builder.add(tube(path, [[half * 0.95] * 2] * 2, segments=16), random_paint(rng), True)
            builder.add(box((middle, 0, floor), (length, half * 1.6, 0.25)), DARK)
        elif freight:
            top = floor + rng.choice([rng.uniform(0.8, 1.4), rng.uniform(2.0, 2.6)])
            builder.add(block((rear, front, half, floor), (rear, front, half, top)), random_paint(rng), True)
        else:
            outline = _section(half, floor, roof - 0.1, 0.5)
            ends = [np.insert(outline, 0, x, axis=1) for x in (rear, front)]
            builder.add(loft(np.array(ends), smooth=False), paint, True)
            _windows(builder, rng, (rear + 0.5, front - 0.5), half, floor + 1.1, roof - 0.8)
            builder.add(box((middle, 0, floor + 0.6), (length - 0.1, 2 * half + 0.03, 0.25)), trim)
        for x in (rear + 0.22 * length, front - 0.22 * length):
            builder.add(box((x, 0, floor * 0.5), (1.8, half * 1.5, floor * 0.7)), DARK)


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


def _steam(builder: ShapeBuilder, rng) -> tuple[float, float, float]:
    """A boiler with a chimney before a cab, on large driving wheels, often with a tender; returns its rear, half width
    and roof.
    """
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

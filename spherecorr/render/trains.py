"""Procedural locomotives and driving cars: steam engines, diesel engines, commuter and high-speed trains.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, GLASS, random_paint, random_pattern
from spherecorr.render.engines import LAMP, RED, bogie, diesel, pantograph, steam
from spherecorr.render.shapes import Shape, ShapeBuilder, block, box, ellipsoid, loft, tube

KINDS = {"steam": 0.25, "diesel": 0.15, "high_speed": 0.2, "commuter": 0.25, "tram": 0.15}


def train(rng: np.random.Generator) -> Shape:
    """A train: a locomotive or a driving coach, often with more wagons behind it."""
    return train_of(str(rng.choice(list(KINDS), p=list(KINDS.values()))), rng)


def train_of(kind: str, rng: np.random.Generator) -> Shape:
    """A train of one of `KINDS`."""
    builder = ShapeBuilder("train", random_pattern(rng, random_paint(rng), 0.15, 1.0))
    if kind == "steam":
        rear, half, roof = steam(builder, rng)
    elif kind == "diesel":
        rear, half, roof = diesel(builder, rng)
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
        bogie(builder, end, at, half, floor)
    if kind == "high_speed" or rng.random() < 0.5:  # skirts
        builder.add(
            block((rear + 0.2, shoulder, half * 0.9, floor * 0.45), (rear + 0.2, shoulder, half * 0.95, floor + 0.05)),
            trim * 0.6,
        )
    if rng.random() < 0.4:
        builder.add(box((0, 0, roof + 0.15), (rng.uniform(1, 0.6 * length), half, 0.3)), np.full(3, 0.5))
    if rng.random() < (0.8 if kind == "tram" else 0.4):
        pantograph(builder, rng, rear + rng.uniform(0.2, 0.5) * length, half, roof)
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

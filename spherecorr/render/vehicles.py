"""Procedural cars and buses: each call gives another one, with its keypoints.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spherecorr.render.colours import DARK, GLASS, RUBBER, Colour, random_paint, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, block, box, ellipsoid, tube

Range = tuple[float, float]


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


@dataclass(frozen=True)
class CarPlan:
    """Ranges of one kind of car: metres, but hood and boot as shares of its length.

    Attributes:
        share: of all cars.
        length: from bumper to bumper.
        wheel: radius.
        floor: height over the ground.
        side: height of the sides over the wheels' tops.
        glass: height of the windows.
        hood: before the windscreen.
        boot: behind the rear window.
        rake: how far the windscreen leans back.
        drop: how far the rear window leans forward.
        bed: an open bed instead of a boot.
    """

    share: float
    length: Range
    wheel: Range
    floor: Range
    side: Range
    glass: Range
    hood: Range
    boot: Range
    rake: Range
    drop: Range
    bed: bool = False


CARS = {
    "saloon": CarPlan(0.24, (4.2, 5.1), (0.29, 0.34), (0.17, 0.25), (0.28, 0.42), (0.4, 0.52), (0.2, 0.3),
                      (0.16, 0.26), (0.4, 0.85), (0.3, 0.7)),
    "hatchback": CarPlan(0.2, (3.2, 4.3), (0.28, 0.34), (0.17, 0.26), (0.3, 0.45), (0.42, 0.6), (0.14, 0.24),
                         (0.01, 0.05), (0.35, 0.8), (0.1, 0.5)),
    "estate": CarPlan(0.1, (4.3, 5.0), (0.29, 0.35), (0.17, 0.26), (0.3, 0.42), (0.42, 0.55), (0.2, 0.28),
                      (0.01, 0.03), (0.4, 0.8), (0.1, 0.4)),
    "off-roader": CarPlan(0.14, (3.8, 5.0), (0.36, 0.46), (0.3, 0.45), (0.34, 0.5), (0.45, 0.62), (0.16, 0.27),
                          (0.01, 0.04), (0.1, 0.6), (0.03, 0.25)),
    "van": CarPlan(0.1, (4.0, 5.8), (0.3, 0.37), (0.2, 0.32), (0.4, 0.65), (0.65, 1.1), (0.03, 0.14), (0.0, 0.02),
                   (0.3, 0.9), (0.02, 0.15)),
    "sports": CarPlan(0.12, (3.8, 4.7), (0.3, 0.36), (0.1, 0.17), (0.16, 0.3), (0.3, 0.42), (0.26, 0.4), (0.03, 0.25),
                      (0.6, 1.0), (0.5, 1.1)),
    "pick-up": CarPlan(0.1, (4.7, 5.7), (0.34, 0.46), (0.28, 0.45), (0.32, 0.5), (0.42, 0.55), (0.2, 0.28),
                       (0.3, 0.42), (0.25, 0.6), (0.05, 0.2), True),
}  # fmt: skip


def car(rng: np.random.Generator) -> Shape:
    """Saloons, hatchbacks, estates, off-roaders, vans, sports cars and pick-ups."""
    return car_of(str(rng.choice(list(CARS), p=[plan.share for plan in CARS.values()])), rng)


def car_of(kind: str, rng: np.random.Generator) -> Shape:
    """A car of one of `CARS`."""
    plan = CARS[kind]
    length, half = rng.uniform(*plan.length), rng.uniform(0.8, 0.98)
    wheel, floor = rng.uniform(*plan.wheel), rng.uniform(*plan.floor)
    belt = max(floor + 0.1, wheel * 1.2) + wheel * 0.5 + rng.uniform(*plan.side) * 0.8
    roof = belt + rng.uniform(*plan.glass)
    front, rear = length / 2, -length / 2
    hood, boot = rng.uniform(*plan.hood) * length, rng.uniform(*plan.boot) * length
    rake, drop = rng.uniform(*plan.rake), rng.uniform(*plan.drop)
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
    inset = rng.uniform(0.78, 0.9) if kind not in ("van", "off-roader") else rng.uniform(0.86, 0.94)
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
    _fittings(builder, rng, plan, (rear, half, belt, roof), (cabin_rear, top_rear, top_front, inset), paint)
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


def _fittings(builder: ShapeBuilder, rng, plan: CarPlan, sizes, cabin, paint: Colour) -> None:
    """What some cars carry: a bed, rails and a box on the roof, a spare wheel, a spoiler, a lamp bar, blind sides."""
    rear, half, belt, roof = sizes
    cabin_rear, top_rear, top_front, inset = cabin
    if plan.bed:
        builder.add(box(((rear + cabin_rear) / 2, 0, belt), (cabin_rear - rear - 0.3, half * 1.6, 0.04)), DARK)
        for y in (-1, 1):
            wall = ((rear + cabin_rear) / 2, y * half * 0.9, belt + 0.08)
            builder.add(box(wall, (cabin_rear - rear - 0.05, 0.1, 0.2)), paint)
        builder.add(box((rear + 0.08, 0, belt + 0.08), (0.1, half * 1.8, 0.2)), paint)
    elif plan is CARS["van"] and rng.random() < 0.6:
        end = top_rear + (top_front - top_rear) * 0.6
        blind = (cabin_rear - 0.01, end, half * 0.935, belt), (top_rear - 0.01, end, half * inset * 1.02, roof - 0.05)
        builder.add(block(*blind), paint, True)
    if plan in (CARS["estate"], CARS["off-roader"]) and rng.random() < 0.5:
        rail = [(top_rear + 0.1, half * inset * 0.85, roof + 0.05), (top_front - 0.1, half * inset * 0.85, roof + 0.05)]
        builder.add_both(tube(rail, [[0.025, 0.03]] * 2, segments=6), DARK)
        if rng.random() < 0.4:
            builder.add(box(((top_rear + top_front) / 2, 0, roof + 0.2), (1.2, half, 0.28)), random_paint(rng))
    if plan is CARS["off-roader"] and rng.random() < 0.35:
        builder.add(tube([(rear - 0.2, 0, belt), (rear, 0, belt)], [[0.33] * 2] * 2, (0, 1, 0)), RUBBER)
    if plan is CARS["sports"] and rng.random() < 0.5:
        builder.add(box((rear + 0.15, 0, belt + 0.22), (0.28, half * 1.8, 0.04)), paint)
        builder.add_both(box((rear + 0.15, half * 0.6, belt + 0.1), (0.15, 0.04, 0.25)), DARK)
    if rng.random() < 0.1:
        builder.add(box(((top_rear + top_front) / 2, 0, roof + 0.06), (0.25, half * 0.9, 0.13)), random_paint(rng))


BUSES = {"city": 0.35, "coach": 0.25, "double_decker": 0.2, "mini": 0.12, "bonnet": 0.08}


def bus(rng: np.random.Generator) -> Shape:
    """City buses, coaches, double-deckers, minibuses, and school buses with a bonnet."""
    return bus_of(str(rng.choice(list(BUSES), p=list(BUSES.values()))), rng)


def bus_of(kind: str, rng: np.random.Generator) -> Shape:
    """A bus of one of `BUSES`."""
    lengths, heights = {
        "city": ((8, 12.5), (2.6, 3.1)), "coach": ((9, 13), (3.0, 3.7)), "double_decker": ((8, 11.5), (3.9, 4.6)),
        "mini": ((4.8, 7.0), (2.3, 2.9)), "bonnet": ((7.5, 10.5), (2.7, 3.1)),
    }[kind]  # fmt: skip
    length, half = rng.uniform(*lengths), rng.uniform(1.1, 1.3)
    floor = rng.uniform(0.3, 0.5)
    roof = floor + rng.uniform(*heights) - 0.3
    lower = min(roof, floor + rng.uniform(2.2, 2.6)) if kind == "double_decker" else roof
    belt = floor + (lower - floor) * (rng.uniform(0.5, 0.6) if kind == "coach" else rng.uniform(0.32, 0.48))
    front, rear = length / 2, -length / 2
    paint, trim = random_paint(rng), random_paint(rng)
    if kind == "bonnet" and rng.random() < 0.6:
        paint = np.array([0.95, 0.68, 0.08])
    builder = ShapeBuilder("bus", random_pattern(rng, trim, 0.2, 1.5))
    lean = rng.uniform(0, 0.35) if kind != "coach" else rng.uniform(0.15, 0.7)
    wheel = rng.uniform(0.45, 0.56) if kind != "mini" else rng.uniform(0.34, 0.42)
    axles = {"front": front - rng.uniform(0.14, 0.26) * length, "rear": rear + rng.uniform(0.18, 0.3) * length}
    light_x = front
    if kind == "bonnet":
        axles["front"], light_x = front + 0.45, front + 1.4
        high = floor + (belt - floor) * 1.05
        engine = (front - 0.1, front + 1.4, half * 0.85, floor), (front - 0.1, front + 1.3, half * 0.7, high)
        builder.add(block(*engine), paint, True)
    builder.add(block((rear, front, half, floor), (rear, front, half, belt)), paint, True)
    if kind == "double_decker":
        _deck(builder, rng, rear, front, half, belt, lower - 0.25, 0.0, paint)
        rise = lower + 0.45
        builder.add(block((rear, front, half, lower - 0.28), (rear, front - lean * 0.5, half, rise)), trim, True)
        _deck(builder, rng, rear, front - lean * 0.5, half, rise, roof - 0.3, lean * 0.5, paint)
    else:
        _deck(builder, rng, rear, front, half, belt, roof - 0.3, lean, paint)
    builder.add(
        block((rear, front - lean * 0.9, half, roof - 0.35), (rear + 0.1, front - lean - 0.1, half * 0.94, roof)),
        paint if rng.random() < 0.6 else trim,
        True,
    )
    builder.add(
        block((rear - 0.01, rear + 1.0, half * 1.003, belt - 0.1), (rear, rear + 1.0, half, lower - 0.3)), paint
    )
    if rng.random() < 0.6:
        stripe = floor + (belt - floor) * rng.uniform(0.3, 0.9)
        builder.add(box((0, 0, stripe), (length - 0.05, 2 * half + 0.015, rng.uniform(0.08, 0.35))), trim)
    if rng.random() < 0.5 and kind != "double_decker":
        builder.add(
            box((rng.uniform(-0.3, 0.2) * length, 0, roof + 0.1), (rng.uniform(1.0, 2.6), half * 1.2, 0.25)),
            paint * 0.9,
        )
    doors = [front - 0.9] if kind in ("coach", "bonnet", "mini") else [front - 0.9, rng.uniform(-0.1, 0.1) * length]
    for x in doors:
        door = box((x, -half, (floor + lower) / 2 - 0.2), (0.9, 0.05, lower - floor - 0.6))
        builder.add(door, GLASS * 1.3)  # passengers board on the right
    if kind in ("city", "double_decker") or rng.random() < 0.3:
        sign = (front - (0 if kind == "double_decker" else lean * 0.9) - 0.1, 0, lower - 0.22)
        builder.add(box(sign, (0.3, half * 1.3, 0.26)), np.array([0.95, 0.6, 0.1]) * rng.uniform(0.2, 1))
    _wheels(builder, axles, half, wheel, np.full(3, 0.6))
    _lights(builder, light_x, rear, half * (0.85 if kind == "bonnet" else 1), floor + 0.4, rng.uniform(0.3, 0.42))
    mirror = (front + 0.12, half + 0.14, belt + (lower - belt) * 0.45)
    builder.add_both(box(mirror, (0.1, 0.12, 0.5)), DARK)
    builder.keypoint_pair("mirror", (mirror[0] + 0.05, mirror[1], mirror[2]))
    builder.keypoint_pair("roof_front", (front - lean - 0.05, half * 0.95, roof - 0.05))
    builder.keypoint_pair("roof_rear", (rear + 0.06, half * 0.96, roof - 0.05))
    low_x = light_x if kind == "bonnet" else front
    builder.keypoint_pair("bumper_front", (low_x, half * (0.82 if kind == "bonnet" else 0.95), floor + 0.03))
    builder.keypoint_pair("bumper_rear", (rear, half * 0.95, floor + 0.03))
    builder.keypoint("windscreen_bottom", builder.outermost((front - 1, 0, belt + 0.05), (1, 0, 0)))
    return builder.build()


def _deck(
    builder: ShapeBuilder, rng, rear: float, front: float, half: float, low: float, high: float, lean, paint
) -> None:
    """A band of windows with posts between them, and a slanting windscreen."""
    builder.add(
        block((rear + 0.05, front - 0.05, half * 0.98, low), (rear + 0.1, front - max(lean, 0.05), half * 0.96, high)),
        GLASS,
    )
    for x in np.linspace(rear + 1.2, front - 0.6, rng.integers(4, 10)):
        builder.add_both(box((x, half * 0.97, (low + high) / 2), (0.09, 0.07, high - low)), paint)

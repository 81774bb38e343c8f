"""Procedural boats and ships, by their hulls and what stands on them.

Lengths are in tenths of the hull's length; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import GLASS, random_coat, random_paint, random_pattern
from spherecorr.render.hulls import Hull, HullPlan, add_hull
from spherecorr.render.rigs import fore_and_aft, pole, square_rig
from spherecorr.render.shapes import Shape, ShapeBuilder, block, box, curve, ring, tube
from spherecorr.render.ships import decks, freight, speedboat, workboat, yacht

TIMBER = [(0.07, 0.6, 0.45), (0.09, 0.5, 0.65), (0.06, 0.55, 0.3)]
WHITE, BOTTOM = np.array([0.93, 0.92, 0.88]), [(0.02, 0.7, 0.45), (0.6, 0.5, 0.3), (0.0, 0.0, 0.12)]

_OPEN = HullPlan((1.4, 2.3), (1.0, 1.8), (0.2, 1.2), (0.0, 0.4), (0.5, 0.9), (0.2, 1.2), (1.6, 2.6), "chine", True)
_SLIM = HullPlan(
    (0.55, 1.0), (0.6, 1.1), (0.3, 1.4), (0.3, 1.4), (0.0, 0.0), (0.1, 0.8), (1.6, 2.2), "round", True, 3.0
)
_SAIL = HullPlan((1.2, 1.8), (1.0, 1.7), (0.2, 0.8), (0.0, 0.3), (0.3, 0.85), (0.3, 1.5), (1.5, 2.0), "round")
_MOTOR = HullPlan((1.3, 2.0), (1.1, 1.9), (0.2, 1.1), (0.0, 0.2), (0.75, 1.0), (0.6, 2.0), (1.9, 3.0), "chine")
_WORK = HullPlan((1.4, 2.1), (1.1, 2.0), (0.6, 2.0), (0.0, 0.7), (0.4, 0.9), (0.2, 1.2), (2.2, 3.5), "round")
_TALL = HullPlan((1.1, 1.6), (1.2, 2.0), (0.2, 1.0), (0.4, 1.8), (0.4, 0.75), (0.4, 1.2), (2.0, 3.2), "round")
_LONG = HullPlan((0.8, 1.3), (0.6, 1.0), (1.2, 2.8), (1.0, 2.5), (0.0, 0.0), (0.3, 1.2), (1.6, 2.2), "round", True, 3.5)
_SHIP = HullPlan((0.6, 1.0), (0.7, 1.3), (0.2, 0.6), (0.0, 0.2), (0.5, 0.9), (0.3, 1.0), (2.6, 4.5), "box")

HULLS = {
    "rowing": (0.13, _OPEN), "canoe": (0.05, _SLIM), "longship": (0.09, _LONG), "sloop": (0.16, _SAIL),
    "ketch": (0.08, _SAIL), "speedboat": (0.08, _MOTOR), "yacht": (0.11, _MOTOR), "workboat": (0.1, _WORK),
    "square-rigged": (0.1, _TALL), "liner": (0.06, _SHIP), "freighter": (0.04, _SHIP),
}  # fmt: skip


def boat(rng: np.random.Generator) -> Shape:
    """Rowing boats, canoes, longships, sailing yachts, motor boats, trawlers, tall ships, liners and freighters."""
    return boat_of(str(rng.choice(list(HULLS), p=[share for share, _ in HULLS.values()])), rng)


def boat_of(kind: str, rng: np.random.Generator) -> Shape:
    """A boat of one of `HULLS`."""
    wooden = rng.random() < {"rowing": 0.6, "canoe": 0.6, "longship": 0.95, "square-rigged": 0.7}.get(kind, 0.15)
    paint = random_coat(rng, TIMBER) if wooden else (WHITE if rng.random() < 0.4 else random_paint(rng))
    builder = ShapeBuilder("boat", random_pattern(rng, random_paint(rng), 0.5 if kind == "longship" else 0.15, 2.5))
    low = random_coat(rng, BOTTOM) if rng.random() < 0.6 else paint
    inside = random_coat(rng, TIMBER) if rng.random() < 0.6 else WHITE * rng.uniform(0.5, 1.0)
    hull = add_hull(
        builder, rng, HULLS[kind][1], paint, low, inside, random_paint(rng) if rng.random() < 0.6 else paint
    )
    if kind in ("rowing", "canoe"):
        _benches(builder, rng, hull)
    elif kind == "longship":
        _longship(builder, rng, hull, paint)
    elif kind in ("sloop", "ketch"):
        mast = rng.uniform(0.2, 1.6)
        fore_and_aft(builder, rng, hull, [mast] if kind == "sloop" else [mast, rng.uniform(-3.6, -2.2)])
        _coach_roof(builder, rng, hull, mast)
    elif kind == "square-rigged":
        square_rig(builder, rng, hull, int(rng.integers(2, 4)))
    elif kind == "liner":
        decks(builder, rng, hull, int(rng.integers(2, 7)))
    else:
        {"speedboat": speedboat, "yacht": yacht, "workboat": workboat, "freighter": freight}[kind](builder, rng, hull)
    return builder.build()


def _coach_roof(builder: ShapeBuilder, rng, hull: Hull, mast: float) -> None:
    """The low cabin of a sailing boat."""
    rear, front, half = rng.uniform(-2.5, -1.2), mast + rng.uniform(0.3, 1.5), hull.half.max() * 0.55
    low, high = hull.deck(0) - 0.1, hull.deck(0) + rng.uniform(0.3, 0.6)
    builder.add(block((rear, front, half, low), (rear, front - 0.5, half * 0.88, high)), WHITE)
    pane = (rear + 0.4, front - 0.7, half * 0.97, high - 0.22), (rear + 0.4, front - 0.8, half * 0.93, high - 0.08)
    builder.add(block(*pane), GLASS)
    builder.keypoint_pair("cabin_rear", (rear, half * 0.88, high))


def _benches(builder: ShapeBuilder, rng, hull: Hull) -> None:
    """Benches across the boat, often a pair of oars, sometimes an outboard or a lifebuoy."""
    wood = random_coat(rng, TIMBER)
    for x in np.linspace(-3.2, 2.6, rng.integers(2, 5)):
        level = hull.deck(x) - 0.35
        builder.add(box((x, 0, level), (rng.uniform(0.4, 0.8), hull.width(x) * 1.75, 0.12)), wood)
    if rng.random() < 0.55:
        _oar(builder, rng.uniform(-0.8, 0.8), hull, rng.uniform(-1.2, 0.8), rng.uniform(0.9, 2.0), wood)
    if rng.random() < 0.2:
        builder.add(box((hull.x[0] - 0.1, 0, hull.rim[0] + 0.3), (0.6, 0.5, 0.9)), np.full(3, 0.15))
    if rng.random() < 0.15:
        builder.add(ring((hull.x[0] - 0.15, 0, hull.rim[0] * 0.7), 0.4, 0.13, (1, 0, 0)), np.array([0.9, 0.35, 0.1]))


def _oar(
    builder: ShapeBuilder, x: float, hull: Hull, sweep: float, reach: float, wood, name: str = "oar_blade"
) -> None:
    """An oar on each side, from over the rim into the water."""
    half, deck = hull.width(x), hull.deck(x)
    grip, blade = np.array([x, half * 0.4, deck + 0.35]), np.array([x + sweep, half + reach, 0.1])
    builder.add_both(tube([grip, blade], [[0.06, 0.06]] * 2, (1, 0, 0), 6), wood)
    builder.add_both(tube([blade * 0.75 + grip * 0.25, blade], [[0.2, 0.05]] * 2, (1, 0, 0), 6), wood)
    if name:
        builder.keypoint_pair(name, blade)


def _longship(builder: ShapeBuilder, rng, hull: Hull, paint) -> None:
    """Stems that curl at both ends, the front one perhaps with a head; shields, oars, and mostly one square sail."""
    for end, sign in ((-1, 1), (0, -1)):
        foot, tall = np.array([hull.x[end], 0, hull.rim[end] - 0.2]), rng.uniform(0.5, 2.0)
        outline = np.array([[0, 0, 0], [0.25, 0, 0.6 * tall], [0.1, 0, tall], [0.5, 0, 1.1 * tall]])
        points = foot + outline * [sign, 1, 1]
        builder.add(tube(curve(points, 7), np.linspace(0.16, 0.1, 7)[:, None] * np.ones(2), segments=8), paint)
        snout = points[-1] + np.array([[-0.2, 0, 0], [0.25, 0, -0.1]]) * [sign, 1, 1]
        builder.add(tube(snout, [[0.16, 0.2], [0.06, 0.08]]), paint)
    wood, side = random_coat(rng, TIMBER), rng.uniform(0.6, 1.4)
    for number, x in enumerate(np.linspace(-2.8, 2.4, rng.integers(4, 9))):
        if rng.random() < 0.75:
            _oar(builder, x, hull, -0.5, side, wood, "oar_blade" if number == 1 else "")
        shield = np.array([x + 0.3, hull.width(x + 0.3), hull.deck(x + 0.3) - 0.1])
        builder.add_both(tube([shield, shield + [0, 0.1, 0]], [[0.26] * 2] * 2, (1, 0, 0), 10), random_paint(rng))
    if rng.random() < 0.8:
        square_rig(builder, rng, hull, 1)
    else:
        pole(builder, (0, 0, 0.3), (0, 0, 5), 0.12, wood)
        builder.keypoint("mast_top", (0, 0, 5))

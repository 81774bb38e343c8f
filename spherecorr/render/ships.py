"""What stands on the hulls of motor boats and ships: cabins, wheelhouses, decks of a liner, freight with a bridge.

Lengths are in tenths of the hull's length.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, GLASS, Colour, random_paint
from spherecorr.render.hulls import Hull
from spherecorr.render.rigs import pole
from spherecorr.render.shapes import ShapeBuilder, block, box, ring, tube

WHITE = np.array([0.93, 0.92, 0.88])
ORANGE = np.array([0.9, 0.35, 0.1])


def _house(builder: ShapeBuilder, ends, half: float, low: float, high: float, lean: float, paint: Colour, taper=0.95):
    """A storey with a band of windows under its roof; its front leans back by `lean`. Returns the roof's ends."""
    rear, front = ends
    sill = low + (high - low) * 0.45
    middle, top = front - lean * 0.45, front - lean
    builder.add(block((rear, front, half, low), (rear, middle, half * (1 + taper) / 2, sill)), paint, True)
    edge = half * (1 + taper) / 2
    lintel = high - (high - low) * 0.12
    builder.add(
        block((rear + 0.05, middle - 0.03, edge * 0.97, sill), (rear + 0.05, top, half * taper * 0.97, lintel)), GLASS
    )
    builder.add(block((rear, top + 0.1, half * taper, lintel), (rear, top, half * taper, high)), paint)
    for share in (0.0, 0.35, 0.7, 1.0):  # posts
        low_x, high_x = rear + 0.08 + share * (middle - rear - 0.16), rear + 0.08 + share * (top - rear - 0.12)
        post = [(low_x, edge * 0.97, sill), (high_x, half * taper * 0.98, lintel)]
        builder.add_both(tube(post, [[0.06, 0.06]] * 2, (1, 0, 0), 6), paint)
    return rear, top


def _roof_corners(builder: ShapeBuilder, ends, half: float, z: float) -> None:
    builder.keypoint_pair("roof_front", (ends[1], half, z))
    builder.keypoint_pair("roof_rear", (ends[0], half, z))


def _mast(builder: ShapeBuilder, x: float, low: float, height: float) -> None:
    """A short mast with a crosstree."""
    pole(builder, (x, 0, low), (x, 0, low + height), 0.08, DARK)
    pole(builder, (x, -0.3, low + height * 0.7), (x, 0.3, low + height * 0.7), 0.04, DARK)
    builder.keypoint("mast_top", (x, 0, low + height))


def speedboat(builder: ShapeBuilder, rng, hull: Hull) -> None:
    """A windscreen, seats, and an outboard engine."""
    x, half = rng.uniform(-0.5, 1.2), hull.width(0.5) * 0.8
    deck, high = hull.deck(x), rng.uniform(0.6, 1.1)
    for sign in (1, -1):
        foot, top = np.array([x, sign * half, deck]), np.array([x - 0.7, sign * half * 0.9, deck + high])
        back = np.array([x - 1.8, sign * half, deck])
        builder.add(tube([foot, top, back], [[0.05, 0.05]] * 3, segments=6), DARK)
    builder.add(block((x - 0.1, x, half, deck), (x - 0.75, x - 0.7, half * 0.9, deck + high)), GLASS)
    cover = random_paint(rng)
    for seat in np.linspace(x - 1.4, -3.9, rng.integers(1, 4)):
        builder.add(box((seat, 0, deck + 0.1), (0.8, half * 1.5, 0.5)), cover)
        builder.add(box((seat - 0.4, 0, deck + 0.4), (0.2, half * 1.5, 0.7)), cover)
    for y in [0.0] if rng.random() < 0.7 else [-0.5, 0.5]:
        builder.add(box((hull.x[0] - 0.25, y, hull.rim[0] + 0.25), (0.7, 0.5, 1.0)), DARK)
        builder.add(box((hull.x[0] - 0.25, y, hull.rim[0] * 0.45), (0.25, 0.15, hull.rim[0])), DARK)
    _roof_corners(builder, (x - 1.8, x - 0.7), half, deck)


def yacht(builder: ShapeBuilder, rng, hull: Hull) -> None:
    """A long low cabin, forward or aft, often with a second one or a flybridge over it."""
    paint = WHITE if rng.random() < 0.75 else random_paint(rng)
    rear = rng.uniform(-4.2, -1.8)
    front = rear + rng.uniform(3.2, 5.5)
    half = hull.width(front) * 0.9 if front > 2 else hull.half.max() * 0.8
    low = hull.deck(rear) - 0.1
    high = hull.deck(front) + rng.uniform(0.8, 1.3)
    ends = _house(builder, (rear, front), half, low, high, rng.uniform(0.8, 2.2), paint, 0.88)
    roof, top = half * 0.88, high
    if rng.random() < 0.55:
        second = (ends[0] + rng.uniform(0.2, 0.8), ends[1] - rng.uniform(0.1, 0.8))
        top = high + rng.uniform(0.7, 1.0)
        ends = _house(builder, second, roof * 0.85, high, top, rng.uniform(0.5, 1.2), paint, 0.85)
        roof *= 0.85 * 0.85
    _roof_corners(builder, ends, roof, top)
    _mast(builder, ends[0] + 0.3 * (ends[1] - ends[0]), top, rng.uniform(0.5, 1.6))
    _rails(builder, hull, 0.5, 4.8)


def _rails(builder: ShapeBuilder, hull: Hull, start: float, stop: float) -> None:
    """A rail on posts along the rim."""
    at = np.linspace(start, stop, 6)
    foot = np.array([(x, hull.width(x) * 0.95, hull.deck(x)) for x in at])
    builder.add_both(tube(foot + [0, 0, 0.45], np.full((6, 2), 0.025), (0, 0, 1), 6), np.full(3, 0.75))
    for post in foot[::2]:
        builder.add_both(tube([post, post + [0, 0, 0.45]], [[0.02, 0.02]] * 2, segments=6), np.full(3, 0.75))


def workboat(builder: ShapeBuilder, rng, hull: Hull) -> None:
    """A wheelhouse forward or aft, a mast with a boom, and perhaps a net drum, a funnel or a gantry: trawlers, tugs."""
    paint = WHITE if rng.random() < 0.6 else random_paint(rng)
    front = rng.choice([rng.uniform(1.0, 2.8), rng.uniform(-2.4, -1.0)])
    rear, half = front - rng.uniform(1.6, 2.8), hull.half.max() * rng.uniform(0.5, 0.72)
    base = hull.deck(front)
    low = base + rng.choice([0.0, rng.uniform(0.5, 0.9)])
    if low > base:
        builder.add(
            block((rear - 0.8, front + 0.4, half, base - 0.3), (rear - 0.8, front + 0.3, half, low)), paint, True
        )
    high = low + rng.uniform(1.1, 1.6)
    ends = _house(builder, (rear, front), half * 0.85, low - 0.2, high, rng.uniform(-0.2, 0.5), paint, 0.97)
    _roof_corners(builder, ends, half * 0.85 * 0.97, high)
    _mast(builder, rear + 0.3, high, rng.uniform(1.0, 2.8))
    other = -1.0 if front > 0 else 1.0
    if rng.random() < 0.6:
        end = (other * rng.uniform(2.8, 4.2), 0, high + rng.uniform(0.2, 1.6))
        pole(builder, ((rear + front) / 2, 0, high), end, 0.07, DARK)
        pole(builder, end, (end[0], 0, hull.deck(end[0]) + 0.6), 0.03, DARK)
    if rng.random() < 0.5:
        x = other * rng.uniform(2.6, 3.4)
        y = hull.width(x) * 0.7
        builder.add(tube([(x, -y, hull.deck(x) + 0.3), (x, y, hull.deck(x) + 0.3)], [[0.45] * 2] * 2, (1, 0, 0)), DARK)
    if rng.random() < 0.4:
        x = rear - 0.4
        builder.add(tube([(x, 0, base), (x - 0.15, 0, high + 0.3)], [[0.3, 0.4]] * 2, segments=12), random_paint(rng))
    for x in np.linspace(-3.0, 2.5, 4)[: rng.integers(0, 5)]:  # tyres as fenders
        builder.add_both(ring((x, hull.width(x) + 0.05, hull.deck(x) - 0.3), 0.28, 0.1), DARK)


def decks(builder: ShapeBuilder, rng, hull: Hull, floors: int) -> None:
    """Decks with rows of windows that step back at both ends, lifeboats, funnels: liners, ferries, cruise ships."""
    paint = WHITE if rng.random() < 0.75 else random_paint(rng)
    rear, front, half = rng.uniform(-4.7, -3.9), rng.uniform(1.6, 3.6), hull.half.max() * 0.95
    step, low = rng.uniform(0.34, 0.5), hull.deck(0) - 0.05
    for floor in range(floors):
        half = min(half, max(hull.width(front) * 1.05, hull.half.max() * 0.6))
        sill = low + step * 0.42
        lean = rng.uniform(0.0, 0.25)
        builder.add(block((rear, front, half, low), (rear, front - lean / 2, half, sill)), paint, True)
        pane = half * 0.985
        builder.add(block((rear, front - lean / 2 - 0.05, pane, sill), (rear, front - lean, pane, low + step)), GLASS)
        for x in np.arange(rear + 0.3, front - 0.5, 0.75):
            builder.add(box((x, 0, low + step * 0.7), (0.25, half * 1.99, step * 0.62)), paint)
        builder.add(box(((rear + front) / 2, 0, low + step), (front - rear + 0.1, half * 2, 0.05)), paint)
        low += step
        if floor == 0 and rng.random() < 0.6:
            for x in np.linspace(rear + 1, front - 1, rng.integers(2, 6)):
                boat = [(x - 0.35, half, low + 0.15), (x, half + 0.05, low + 0.15), (x + 0.35, half, low + 0.15)]
                builder.add_both(tube(boat, [[0.05] * 2, [0.14] * 2, [0.05] * 2], segments=8), ORANGE)
        ends = rear, front - lean
        rear, front, half = rear + rng.uniform(0.0, 0.7), front - rng.uniform(0.1, 0.8), half * rng.uniform(0.9, 1.0)
    builder.add(box(((ends[0] + ends[1]) / 2, 0, low + 0.03), (ends[1] - ends[0], half * 1.9, 0.06)), paint)
    _roof_corners(builder, ends, half * 0.95, low + 0.05)
    colour, tall, wide = random_paint(rng), rng.uniform(0.5, 1.4), rng.uniform(0.2, 0.5)
    for place in np.linspace(0.2, 0.7, int(rng.integers(1, 4))):
        x = ends[0] + place * (ends[1] - ends[0])
        stack = tube([(x, 0, low), (x - 0.15, 0, low + tall)], [[wide * 0.6, wide]] * 2, segments=12)
        builder.add(stack, colour)
        builder.add(tube([(x - 0.15, 0, low + tall), (x - 0.16, 0, low + tall + 0.1)], [[wide * 0.6, wide]] * 2), DARK)
    _mast(builder, ends[1] - 0.4, low, rng.uniform(0.5, 1.5))


def freight(builder: ShapeBuilder, rng, hull: Hull) -> None:
    """Stacks of containers, or hatches with cranes, before a bridge near the stern, or behind one near the bow."""
    half, forward = hull.half.max() * 0.9, rng.random() < 0.15
    rear = 2.4 if forward else rng.uniform(-4.5, -4.0)
    front, deck = rear + rng.uniform(0.9, 1.4), hull.deck(rear + 0.5)
    high = deck + rng.uniform(1.2, 2.4)
    width = min(half, hull.width(front) * 0.95)
    builder.add(block((rear, front, width, deck - 0.3), (rear, front - 0.1, width, high)), WHITE, True)
    for level in np.arange(deck + 0.3, high - 0.2, 0.4):
        builder.add(box(((rear + front) / 2 + 0.02, 0, level), (front - rear - 0.05, width * 2.01, 0.12)), GLASS)
    ends = _house(builder, (rear + 0.1, front), width * 1.05, high, high + 0.5, 0.15, WHITE, 1.0)
    _roof_corners(builder, ends, width * 1.05, high + 0.5)
    _mast(builder, rear + 0.5, high + 0.5, rng.uniform(0.5, 1.2))
    x = rear + 0.1 if not forward else -3.5
    stack = tube([(x, 0, deck), (x - 0.1, 0, high + 0.5)], [[0.25, 0.35]] * 2, segments=10)
    builder.add(stack, random_paint(rng))
    span = (-4.3, 2.2) if forward else (front + 0.2, 4.0)
    if rng.random() < 0.65:
        fullest, long = int(rng.integers(1, 6)), rng.uniform(0.9, 1.4)
        for x in np.arange(span[0] + long / 2, span[1] - long / 2, long + 0.08):
            for tier in range(max(0, fullest - int(rng.integers(0, 3)))):
                for side in (-1, 1):
                    y = min(half, hull.width(x)) / 2
                    at = (x, side * y, hull.deck(0) + 0.2 + 0.4 * tier)
                    builder.add(box(at, (long, 2 * y - 0.03, 0.39)), random_paint(rng))
    else:
        for x in np.linspace(span[0] + 0.9, span[1] - 0.9, int(rng.integers(2, 4))):
            builder.add(box((x, 0, hull.deck(x) + 0.1), (1.2, half, 0.4)), random_paint(rng))
            top = np.array([x + 0.8, 0, hull.deck(x) + rng.uniform(1.4, 2.4)])
            pole(builder, (x + 0.8, 0, hull.deck(x)), top, 0.13, DARK)
            pole(builder, top - [0, 0, 0.9], top + [-1.5, 0, 0.2], 0.07, DARK)

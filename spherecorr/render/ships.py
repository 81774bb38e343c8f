"""What stands on the hulls of larger ships: square sails, decks of a liner, freight with a bridge."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spherecorr.render.colours import DARK, GLASS, random_paint
from spherecorr.render.shapes import ShapeBuilder, block, box, plate, tube

CANVAS = np.array([0.9, 0.86, 0.76])
WHITE = np.array([0.93, 0.92, 0.88])


def square_rig(builder: ShapeBuilder, rng, length: float, half: float, depth: float, masts: int) -> None:
    """Masts with sails across the ship, bellied forward; with several, a jib on the bowsprit and a raised stern."""
    places = [0.0] if masts == 1 else np.linspace(-0.28, 0.27, masts)
    height = rng.uniform(0.5, 0.85) * length / (1 if masts == 1 else 1.3)
    cloth = CANVAS if rng.random() < 0.7 else random_paint(rng)
    for number, share in enumerate(np.asarray(places) * length):
        top = depth + height * (rng.uniform(0.7, 0.9) if number == 0 and masts > 1 else 1.0)
        builder.add(tube([(share, 0, depth - 0.2), (share, 0, top)], [[0.1, 0.1], [0.05, 0.05]], segments=8), DARK)
        tiers = 1 if masts == 1 else int(rng.integers(2, 4))
        edges = np.linspace(depth + 0.18 * height, top * 0.96, tiers + 1)
        for low, high in pairwise(edges):
            width = half * rng.uniform(1.1, 1.7) * (1 - 0.25 * (low - depth) / height)
            belly = 0.12 * (high - low)
            builder.add(
                tube(
                    [
                        (share + 0.15, 0, low + 0.1),
                        (share + 0.15 + belly, 0, (low + high) / 2),
                        (share + 0.15, 0, high),
                    ],
                    [[width, 0.04], [width * 0.97, 0.04], [width * 0.88, 0.04]],
                    segments=10,
                ),
                cloth,
                True,
            )
        builder.keypoint("mast_top", (share, 0, top))
    if masts > 1:
        bow = (length * 0.5, 0, depth + 0.6)
        end = (length * 0.68, 0, depth + 1.2)
        builder.add(tube([bow, end], [[0.08, 0.08], [0.04, 0.04]], segments=8), DARK)
        front = places[-1] * length
        builder.add(plate([end[::2], (front + 0.3, depth + 0.9), (front + 0.2, depth + height * 0.8)], 0.03), cloth)
        stern = (-length * 0.49, -length * 0.3, half * 0.8)
        builder.add(block((*stern, depth - 0.1), (*stern, depth + rng.uniform(0.5, 1.1))), random_paint(rng))


def decks(builder: ShapeBuilder, rng, length: float, half: float, depth: float) -> None:
    """Decks that step back at both ends, rows of windows, and a funnel or two behind the middle."""
    paint, floors, step = WHITE if rng.random() < 0.7 else random_paint(rng), int(rng.integers(2, 5)), 0.55
    rear, front, side = -0.42 * length, rng.uniform(0.15, 0.32) * length, half * 0.85
    for floor in range(floors):
        low = depth + floor * step
        builder.add(block((rear, front, side, low), (rear, front - 0.15, side, low + step * 0.45)), paint, True)
        builder.add(
            block((rear, front - 0.15, side * 0.98, low + step * 0.45), (rear, front - 0.2, side * 0.98, low + step)),
            GLASS,
        )
        rear, front, side = rear + rng.uniform(0.2, 0.9), front - rng.uniform(0.2, 1.0), side * rng.uniform(0.88, 1.0)
    roof = depth + floors * step
    builder.add(block((rear, front, side, roof), (rear, front, side, roof + 0.1)), paint)
    builder.keypoint_pair("roof_front", (front, side, roof + 0.1))
    builder.keypoint_pair("roof_rear", (rear, side, roof + 0.1))
    colour = random_paint(rng)
    for place in np.linspace(0.3, 0.6, int(rng.integers(1, 3))):
        x = rear + place * (front - rear)
        builder.add(
            tube([(x, 0, roof), (x - 0.2, 0, roof + rng.uniform(0.7, 1.4))], [[0.3, 0.4]] * 2, segments=12), colour
        )


def freight(builder: ShapeBuilder, rng, length: float, half: float, depth: float) -> None:
    """Stacks of containers before a bridge near the stern, or before none but a crane's mast."""
    high, side = rng.uniform(1.4, 2.4), half * 0.8
    rear = -0.44 * length
    front = rear + rng.uniform(0.1, 0.18) * length
    builder.add(block((rear, front, side, depth - 0.1), (rear, front, side, depth + high)), WHITE, True)
    builder.add(
        block((rear, front, side * 1.1, depth + high), (rear, front - 0.1, side * 1.1, depth + high + 0.35)), GLASS
    )
    builder.add(
        block((rear, front, side * 1.1, depth + high + 0.35), (rear, front, side * 1.1, depth + high + 0.45)), WHITE
    )
    builder.keypoint_pair("roof_front", (front, side * 1.1, depth + high + 0.45))
    builder.keypoint_pair("roof_rear", (rear, side * 1.1, depth + high + 0.45))
    mast = ((rear + front) / 2, 0, depth + high + rng.uniform(0.8, 1.6))
    builder.add(tube([(mast[0], 0, depth + high), mast], [[0.08, 0.08], [0.05, 0.05]], segments=8), DARK)
    builder.keypoint("mast_top", mast)
    long = rng.uniform(0.8, 1.3)
    for x in np.arange(front + 0.3 + long / 2, 0.34 * length, long + 0.12):
        stack = int(rng.integers(0, 4))
        for tier in range(stack):
            builder.add(box((x, 0, depth + 0.25 + 0.5 * tier), (long, 2 * side, 0.48)), random_paint(rng))

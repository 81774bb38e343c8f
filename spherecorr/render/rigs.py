"""Masts and sails of procedural boats: triangular ones that swing to one side, and square ones across the ship.

Lengths are in tenths of the hull's length.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spherecorr.render.colours import DARK, Colour, random_coat, random_paint
from spherecorr.render.hulls import Hull
from spherecorr.render.shapes import Part, ShapeBuilder, block, loft, tube, unit

CANVAS = np.array([0.9, 0.86, 0.76])
WHITE = np.array([0.93, 0.92, 0.88])
SPAR = [(0.07, 0.6, 0.3), (0.09, 0.4, 0.7), (0.1, 0.05, 0.85), (0.0, 0.0, 0.15)]


def cloth(low_start, low_end, high_end, high_start, belly) -> Part:
    """A sail between four corners `[3]`, filled by the wind along `belly` `[3]`; two equal corners make a triangle."""
    corners = [np.asarray(corner, dtype=float) for corner in (low_start, low_end, high_end, high_start)]
    belly = np.asarray(belly, dtype=float)
    up, across = np.linspace(0, 1, 5)[:, None, None], np.linspace(0, 1, 5)[None, :, None]
    low = corners[0] + (corners[1] - corners[0]) * across
    high = corners[3] + (corners[2] - corners[3]) * across
    surface = low + (high - low) * up + belly * 4 * across * (1 - across) * (0.35 + 0.65 * np.sin(np.pi * up))
    thickness = unit(belly) * 0.02
    return loft(np.concatenate([surface + thickness, surface[:, ::-1] - thickness], axis=1))


def pole(builder: ShapeBuilder, foot, top, radius: float, colour: Colour) -> None:
    """A spar or a stay that thins towards its top."""
    side = (0, 1, 0) if abs(top[1] - foot[1]) < abs(top[2] - foot[2]) + abs(top[0] - foot[0]) else (1, 0, 0)
    builder.add(tube([foot, top], [[radius] * 2, [radius * 0.6] * 2], side, 6), colour)


def _canvas(rng) -> Colour:
    return (WHITE, CANVAS, random_paint(rng))[rng.choice(3, p=[0.5, 0.2, 0.3])]


def fore_and_aft(builder: ShapeBuilder, rng, hull: Hull, places) -> None:
    """A mast with a triangular or gaffed sail at each of some places, jibs before the first; the tallest comes first.

    Args:
        builder: takes the parts and keypoints.
        rng: draws heights, cuts and the side of the wind.
        hull: to stand on.
        places: x of the masts, from the front to the rear.
    """
    spar, sail = random_coat(rng, SPAR), _canvas(rng)
    most = np.arcsin(min(hull.half.max() / 4.0, 1.0))  # so that booms stay over the hull, and its sides the outermost
    swing = rng.choice([-1, 1]) * most * rng.choice([rng.uniform(0, 0.2), rng.uniform(0.2, 1.0)])
    height, gaff, furled = rng.uniform(8, 14), rng.random() < 0.25, rng.random() < 0.15
    bow = np.array([hull.x[-1] + rng.choice([0.0, rng.uniform(0.3, 1.6)]), 0, hull.rim[-1] + 0.1])
    if bow[0] > hull.x[-1] + 0.2:
        pole(builder, (hull.x[-1] - 0.8, 0, hull.rim[-1]), bow, 0.09, spar)
    aft = np.array([-np.cos(swing), np.sin(swing), 0])
    lee = np.array([np.sin(swing), np.cos(swing), 0]) * (np.sign(swing) or 1)
    for number, x in enumerate(places):
        deck = hull.deck(x)
        top = deck + height * (1.0 if number == 0 else rng.uniform(0.55, 1.0))
        pole(builder, (x, 0, deck - 0.3), (x, 0, top), 0.1, spar)
        room = x - (places[number + 1] if number + 1 < len(places) else hull.x[0] - 0.3)
        boom, low = min(room * 0.92, rng.uniform(3.2, 5.2)), deck + rng.uniform(0.5, 1.0)
        start = np.array([x, 0, low])
        end = start + aft * boom
        pole(builder, start, end, 0.07, spar)
        if not furled:
            peak = np.array([x, 0, deck + (top - deck) * (0.72 if gaff else 0.96)])
            head = peak + (aft * boom * 0.6 + [0, 0, (top - deck) * 0.2] if gaff else aft * 0.15)
            builder.add(cloth(start + aft * 0.1, end, head, peak + aft * 0.1, lee * boom * 0.08), sail, True)
        else:
            builder.add(tube([start + [0, 0, 0.15], end + [0, 0, 0.15]], [[0.16, 0.2]] * 2), sail)
        if number == 0:
            builder.keypoint("mast_top", (x, 0, top))
            builder.keypoint("boom_end", end)
            head = np.array([x, 0, deck + (top - deck) * rng.uniform(0.7, 0.95)])
            pole(builder, bow, (x, 0, top), 0.025, DARK)
            if not furled:
                clew = np.array([x + rng.uniform(-1.2, 0.6), lee[1] * 0.8, deck + rng.uniform(0.4, 0.9)])
                jib = sail if rng.random() < 0.7 else random_paint(rng)
                start = bow + [0, 0, 0.15]
                builder.add(cloth(start, clew, head, head + [0.05, 0, 0], lee * rng.uniform(0.2, 0.5)), jib)
        pole(builder, (hull.x[0] + 0.1, 0, hull.rim[0]), (x, 0, top), 0.02, DARK)


def square_rig(builder: ShapeBuilder, rng, hull: Hull, masts: int) -> None:
    """Masts with sails across the ship, bellied forward; with several, jibs on a bowsprit and a raised stern."""
    places = [rng.uniform(-0.4, 0.6)] if masts == 1 else np.linspace(-3.0, 2.9, masts)
    height = rng.uniform(5.0, 8.0) if masts == 1 else rng.uniform(5.0, 8.5)
    sail, spar, half = _canvas(rng), random_coat(rng, SPAR), hull.half.max()
    brace = np.radians(rng.normal(0, 14))
    across = np.array([-np.sin(brace), np.cos(brace), 0])
    ahead = np.array([np.cos(brace), np.sin(brace), 0])
    tallest = masts // 2
    for number, x in enumerate(places):
        deck = hull.deck(x)
        top = deck + height * (1.0 if number == tallest else rng.uniform(0.75, 0.95))
        pole(builder, (x, 0, deck - 0.5), (x, 0, top), 0.13, spar)
        tiers = 1 if masts == 1 else int(rng.integers(2, 5))
        edges = np.linspace(deck + rng.uniform(0.12, 0.35) * height, top * 0.97, tiers + 1)
        wide = half * (rng.uniform(1.5, 2.6) if masts == 1 else rng.uniform(1.3, 1.9))
        for tier, (low, high) in enumerate(pairwise(edges)):
            foot, head = wide * (1 - 0.17 * tier), wide * (1 - 0.17 * (tier + 0.8))
            at, yard = np.array([x + 0.18, 0, low + 0.12 * (high - low)]), np.array([x + 0.18, 0, high])
            belly = ahead * min(0.35 * (high - low), 1.0)
            builder.add(
                cloth(at + across * foot, at - across * foot, yard - across * head, yard + across * head, belly),
                sail,
                True,
            )
            ends = [yard + across * head * 1.08, yard - across * head * 1.08]
            builder.add(tube(ends, [[0.07, 0.07]] * 2, (0, 0, 1), 6), spar)
        if number == tallest:
            builder.keypoint("mast_top", (x, 0, top))
        for sign in (-1, 1):  # shrouds
            pole(builder, (x - 0.3, sign * hull.width(x - 0.3), deck), (x, 0, top * 0.75), 0.03, DARK)
    if masts > 1:
        bow, front = np.array([hull.x[-1] - 0.5, 0, hull.rim[-1]]), places[-1]
        end = bow + [rng.uniform(2, 3), 0, rng.uniform(0.6, 1.5)]
        pole(builder, bow, end, 0.12, spar)
        deck = hull.deck(front)
        for share in (1.0, 0.55):
            start = bow + (end - bow) * share
            head = np.array([front + 0.2, 0, deck + height * rng.uniform(0.6, 0.8)])
            builder.add(cloth(start, (front + 1.2, 0.3, deck + 0.5), head, head + [0.05, 0, 0], (0, 0.3, 0)), sail)
        stern, width = hull.x[0], hull.width(-3.8)
        wall = (stern + 0.05, stern + rng.uniform(1.6, 2.6), width * 0.95)
        high = hull.deck(-4) + rng.uniform(0.3, 0.9)
        builder.add(block((*wall, hull.deck(-3.5) - 0.3), (*wall[:2], width * 0.85, high)), random_coat(rng, SPAR))

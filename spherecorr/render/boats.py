"""Procedural boats: motor boats, fishing boats, sailing boats and rowing boats, by what stands on the hull.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import DARK, GLASS, random_coat, random_paint, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, block, box, loft, plate, ring, tube
from spherecorr.render.ships import decks, freight, square_rig

TIMBER = [(0.07, 0.6, 0.45), (0.09, 0.5, 0.65), (0.06, 0.55, 0.3)]
WHITE = np.array([0.93, 0.92, 0.88])


KINDS = ("motor", "fishing", "sailing", "ketch", "rowing", "square-rigged", "longship", "liner", "freighter")
SHARES = (0.14, 0.1, 0.16, 0.12, 0.1, 0.12, 0.08, 0.1, 0.08)


def boat(rng: np.random.Generator) -> Shape:
    """A hull with a pointed bow, and one of nine kinds of rig or superstructure on it."""
    kind = rng.choice(KINDS, p=SHARES)
    large, open_ended = kind in ("liner", "freighter", "square-rigged"), kind == "longship"
    length, half = rng.uniform(9, 16) if large else rng.uniform(4.5, 9), rng.uniform(0.8, 1.6)
    depth, sheer = rng.uniform(0.7, 1.9) if large else rng.uniform(0.5, 1.3), rng.uniform(0.1, 0.9)
    paint = random_coat(rng, TIMBER) if rng.random() < 0.3 else random_paint(rng)
    builder = ShapeBuilder("boat", random_pattern(rng, random_paint(rng), 0.15, 1.5))
    share = np.array([0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.88, 1.0])  # from the stern to the bow
    x = length * (share - 0.5)
    transom = 0.06 if open_ended else rng.uniform(0.55, 0.95)
    beam = half * np.array([transom, 0.6 if open_ended else 0.93, 1, 1, 0.94, 0.74, 0.42, 0.04])
    rise = rng.uniform(0.0, 0.7) if kind in ("square-rigged", "longship") else 0.0  # of the stern
    rim = depth + sheer * share**2 + rise * (1 - share) ** 3
    x_rim = x + rng.uniform(0.02, 0.16) * length * share**4  # the bow leans forward
    _hull(builder, x, x_rim, beam, rim, paint, random_coat(rng, TIMBER) if rng.random() < 0.6 else WHITE)
    builder.add_both(tube(np.stack([x_rim, beam, rim], 1), np.full((8, 2), 0.06), (0, 0, 1), 8), random_paint(rng))
    builder.keypoint("bow", (x_rim[-1] + 0.05, 0, rim[-1]))
    builder.keypoint("keel_front", (x[5], 0, 0))
    builder.keypoint("keel_rear", (x[0], 0, 0))
    builder.keypoint_pair("stern", (x_rim[0], beam[0], rim[0] + 0.05))
    builder.keypoint_pair("quarter", (x_rim[2], beam[2] + 0.05, rim[2]))
    builder.keypoint_pair("shoulder", (x_rim[5], beam[5] + 0.05, rim[5]))
    builder.keypoint_pair("chine", (x[0], beam[0] * 0.75, rim[0] * 0.35))

    if kind in ("motor", "fishing"):
        _cabin(builder, rng, length, half, depth, fishing=kind == "fishing")
    elif kind in ("sailing", "ketch"):
        _sails(builder, rng, length, half, depth, two=kind == "ketch")
    elif kind in ("square-rigged", "longship"):
        square_rig(builder, rng, length, half, depth, masts=1 if open_ended else int(rng.integers(2, 4)))
    elif kind == "liner":
        decks(builder, rng, length, half, depth)
    elif kind == "freighter":
        freight(builder, rng, length, half, depth)
    else:
        _oars(builder, rng, length, half, depth)
    return builder.build()


def _hull(builder: ShapeBuilder, x, x_rim, beam, rim, paint: np.ndarray, deck: np.ndarray) -> None:
    """Sections from the stern to the bow: left rim, left chine, keel, right chine, right rim."""
    across = beam[:, None] * [1, 0.75, 0, -0.75, -1]
    up = rim[:, None] * [1, 0.35, 0, 0.35, 1] + (1 - np.array([1, 0.35, 0, 0.35, 1])) * (x > x[5])[:, None] * 0.3
    along = x[:, None] + (x_rim - x)[:, None] * [1, 0.3, 0, 0.3, 1]
    builder.add(loft(np.stack([along, across, up], axis=-1), smooth=False), paint, True)
    top = np.stack([x_rim, 0.97 * beam, rim + 0.01], axis=1)
    # A deck just over the hull's own lid.
    builder.add(loft(np.stack([top, top * [1, -1, 1], top * [1, -1, 1] - [0, 0, 0.02], top - [0, 0, 0.02]], 1)), deck)


def _cabin(builder: ShapeBuilder, rng, length: float, half: float, depth: float, fishing: bool) -> None:
    """A wheelhouse with a windscreen; fishing boats carry a mast and a net drum, motor boats an outboard."""
    paint, height = WHITE if rng.random() < 0.6 else random_paint(rng), rng.uniform(0.9, 1.5)
    front = rng.uniform(0.05, 0.25) * length
    rear, side = front - rng.uniform(0.22, 0.4) * length, half * rng.uniform(0.55, 0.72)
    low, high = depth - 0.1, depth + height
    middle = depth + height * 0.45
    lean = rng.uniform(-0.15, 0.6)
    builder.add(block((rear, front, side, low), (rear, front, side, middle)), paint, True)
    builder.add(block((rear, front, side * 0.97, middle), (rear, front - lean, side * 0.93, high)), GLASS)
    roof = (rear - 0.15, front - lean + 0.15, side, high)
    builder.add(block(roof, (roof[0], roof[1], side, high + 0.1)), paint)
    for share in (0.0, 0.5, 1.0):
        foot = (rear + share * (front - rear), side * 0.98, middle)
        builder.add_both(
            tube([foot, (foot[0] - lean * share, side * 0.95, high)], [[0.05, 0.05]] * 2, (1, 0, 0)), paint
        )
    builder.keypoint_pair("roof_front", (roof[1], side, high + 0.1))
    builder.keypoint_pair("roof_rear", (roof[0], side, high + 0.1))
    stern = -length / 2
    if fishing:
        mast = (rear + 0.3, 0, high + rng.uniform(0.9, 1.8))
        builder.add(tube([(rear + 0.3, 0, high), mast], [[0.07, 0.07], [0.04, 0.04]], segments=8), DARK)
        builder.add(tube([(rear + 0.3, 0, high + 0.2), (stern + 0.4, 0, high + 0.5)], [[0.05, 0.05]] * 2), DARK)
        drum = [(stern + 0.9, y * half * 0.45, depth + 0.35) for y in (-1, 1)]
        builder.add(tube(drum, [[0.3, 0.3]] * 2, (1, 0, 0)), random_coat(rng, TIMBER))
        builder.keypoint("mast_top", mast)
    else:
        builder.add(box((stern - 0.2, 0, depth * 0.95), (0.4, 0.36, 0.6)), DARK)
        builder.add(box((stern - 0.2, 0, depth * 0.3), (0.15, 0.1, depth)), DARK)


def _sails(builder: ShapeBuilder, rng, length: float, half: float, depth: float, two: bool = False) -> None:
    """A mast with a mainsail behind it and a jib before it, perhaps a second, lower one, and a low cabin."""
    mast, height = rng.uniform(0.02, 0.22) * length, rng.uniform(0.8, 1.45) * length
    if two:
        back, lower = rng.uniform(-0.36, -0.22) * length, depth + height * rng.uniform(0.55, 0.95)
        builder.add(tube([(back, 0, depth - 0.1), (back, 0, lower)], [[0.07, 0.07], [0.04, 0.04]], segments=8), DARK)
        mizzen, rear = WHITE if rng.random() < 0.7 else random_paint(rng), back - rng.uniform(0.15, 0.25) * length
        builder.add(plate([(back - 0.06, depth + 0.6), (back - 0.06, lower * 0.97), (rear, depth + 0.6)], 0.03), mizzen)
    top, low = depth + height, depth + rng.uniform(0.5, 0.9)
    builder.add(tube([(mast, 0, depth - 0.1), (mast, 0, top)], [[0.08, 0.08], [0.04, 0.04]], segments=8), DARK)
    sail = WHITE if rng.random() < 0.7 else random_paint(rng)
    end = mast - rng.uniform(0.25, 0.35 if two else 0.48) * length
    builder.add(tube([(mast, 0, low - 0.05), (end, 0, low - 0.05)], [[0.05, 0.05]] * 2, segments=8), DARK)
    builder.add(plate([(mast - 0.06, low), (mast - 0.06, top * 0.97), (end, low)], 0.03), sail, True)
    bow = 0.48 * length
    jib = WHITE if rng.random() < 0.6 else random_paint(rng)
    builder.add(plate([(bow, depth + 0.3), (mast + 0.15, depth + 0.6), (mast + 0.1, top * 0.85)], 0.03), jib)
    cabin, side = (-0.2 * length, mast + 0.08 * length), half * 0.55
    builder.add(block((*cabin, side, depth), (cabin[0], cabin[1] - 0.3, side * 0.9, depth + 0.4)), WHITE)
    builder.keypoint("mast_top", (mast, 0, top))
    builder.keypoint("boom_end", (end, 0, low - 0.05))
    builder.keypoint_pair("cabin_rear", (cabin[0], side * 0.9, depth + 0.4))


def _oars(builder: ShapeBuilder, rng, length: float, half: float, depth: float) -> None:
    """Benches across the boat, an oar on each side, and often a lifebuoy at the stern."""
    wood = random_coat(rng, TIMBER)
    for x in np.array([-0.25, 0.0, 0.2]) * length:
        builder.add(box((x, 0, depth + 0.12), (0.35, half * 1.6, 0.08)), wood)
    sweep, reach = rng.uniform(-0.5, 0.3) * half, rng.uniform(1.3, 1.9) * half
    blade = np.array([sweep, half + reach, depth * 0.15])
    grip = np.array([0.1, half * 0.25, depth + 0.45])
    builder.add_both(tube([grip, blade], [[0.05, 0.05]] * 2, segments=8), wood)
    builder.add_both(tube([blade * 0.8 + grip * 0.2, blade], [[0.16, 0.04]] * 2, (1, 0, 0), 8), random_paint(rng))
    builder.keypoint_pair("oar_blade", blade)
    if rng.random() < 0.6:
        builder.add(ring((-0.5 * length - 0.08, 0, depth * 0.7), 0.3, 0.09, (1, 0, 0)), np.array([0.9, 0.35, 0.1]))

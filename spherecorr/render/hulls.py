"""Hulls of procedural boats, from canoes to freighters, open or decked.

Lengths are in tenths of the hull's length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spherecorr.render.colours import Colour
from spherecorr.render.shapes import ShapeBuilder, loft, tube

Range = tuple[float, float]
SECTIONS = {  # half widths and heights from the rim to the keel, as shares
    "round": ((1, 1), (0.99, 0.6), (0.9, 0.28), (0.55, 0.06), (0, 0)),
    "chine": ((1, 1), (0.93, 0.6), (0.82, 0.25), (0.45, 0.1), (0, 0)),
    "box": ((1, 1), (1, 0.6), (0.98, 0.2), (0.85, 0.02), (0, 0)),
}
INNER = ((0.9, 1), (0.72, 0.35), (-0.72, 0.35), (-0.9, 1))


@dataclass(frozen=True)
class HullPlan:
    """Ranges of a hull's proportions, in tenths of its length.

    Attributes:
        half: half its width.
        depth: from the keel to the rim amidships.
        bow_rise: of the rim at the bow.
        stern_rise: of the rim at the stern.
        transom: width of the stern as a share of the whole width; 0 is pointed.
        rake: how far the bow leans forward.
        bluff: exponent of the bow's outline: 1.5 is sharp, 4 is blunt.
        section: of `SECTIONS`.
        open: without a deck.
        curl: exponent of both rises; high ones lift only the ends.
    """

    half: Range
    depth: Range
    bow_rise: Range
    stern_rise: Range
    transom: Range
    rake: Range
    bluff: Range
    section: str
    open: bool = False
    curl: float = 2.0


@dataclass(frozen=True, eq=False)
class Hull:
    """A hull's rim: places along it `[n]` from the stern to the bow, half widths and heights there."""

    x: np.ndarray
    half: np.ndarray
    rim: np.ndarray

    def width(self, x: float) -> float:
        """Half the width at the rim."""
        return float(np.interp(x, self.x, self.half))

    def deck(self, x: float) -> float:
        """Height of the rim."""
        return float(np.interp(x, self.x, self.rim))


def add_hull(builder: ShapeBuilder, rng, plan: HullPlan, paint: Colour, low: Colour, deck: Colour, trim: Colour):
    """A hull with its keypoints; half of them end at the water, as boats in pictures do.

    Args:
        builder: takes the parts and keypoints.
        rng: draws the proportions.
        plan: their ranges.
        paint: of the sides.
        low: of the part at the water.
        deck: of the deck, or of the inside.
        trim: of the rim.

    Returns:
        its `Hull`.
    """
    half, depth, bow, stern, transom, rake, bluff = (
        rng.uniform(*bounds)
        for bounds in (plan.half, plan.depth, plan.bow_rise, plan.stern_rise, plan.transom, plan.rake, plan.bluff)
    )
    share = np.array([0, 0.06, 0.15, 0.3, 0.45, 0.6, 0.74, 0.85, 0.93, 1.0])
    aft, fore = np.clip(1 - share / 0.45, 0, 1), np.clip((share - 0.45) / 0.55, 0, 1)
    beam = half * np.maximum(1 - (1 - transom) * aft ** (2 if transom else bluff) - fore**bluff, 0.03)
    rim = depth + bow * fore**plan.curl + stern * aft**plan.curl
    x = 10 * (share - 0.5)
    x_rim = x + rake * fore**3 - rng.uniform(0, 0.3 if transom else 0.8) * rake * aft**3
    keel = depth * (0.45 * fore**4 + (0.4 if not transom else 0.1) * aft**4)
    side = np.array(SECTIONS[plan.section], dtype=float)
    across = np.concatenate([side, side[-2::-1] * [-1, 1]])
    if plan.open:
        across = np.concatenate([across, np.array(INNER)[::-1]])
    water = rng.choice([0.0, rng.uniform(0.15, 0.4)]) * depth
    z = np.maximum(keel[:, None] + (rim - keel)[:, None] * across[:, 1], water)
    along = x[:, None] + (x_rim - x)[:, None] * across[:, 1]
    body = loft(np.stack([along, beam[:, None] * across[:, 0], z], axis=-1), smooth=False)
    if plan.open:
        builder.add(body, paint, True)
    else:
        wet = np.append(np.tile(across[:, 1] <= rng.choice([0.3, 0.6]), len(x)), [False, False])[body.faces].all(axis=1)
        builder.add(body.only(~wet), paint, True)
        builder.add(body.only(wet), low)
    if not plan.open:
        top = np.stack([x_rim, 0.97 * beam, rim + 0.01], axis=1)
        lid = np.stack([top, top * [1, -1, 1], top * [1, -1, 1] - [0, 0, 0.02], top - [0, 0, 0.02]], 1)
        builder.add(loft(lid, smooth=False), deck)
    edge = np.stack([x_rim, beam, rim], 1)
    builder.add_both(tube(edge, np.full((len(x), 2), rng.uniform(0.04, 0.1)), (0, 0, 1), 6), trim)
    builder.keypoint("bow", (x_rim[-1], 0, rim[-1]))
    builder.keypoint("keel_front", (along[6, 4], 0, z[6, 4]))
    builder.keypoint("keel_rear", (along[0, 4], 0, z[0, 4]))
    builder.keypoint_pair("stern", (x_rim[0], beam[0], rim[0]))
    builder.keypoint_pair("quarter", (x_rim[3], beam[3], rim[3]))
    builder.keypoint_pair("shoulder", (x_rim[6], beam[6], rim[6]))
    builder.keypoint_pair("chine", (along[0, 2], beam[0] * across[2, 0], z[0, 2]))
    return Hull(x_rim, beam, rim)

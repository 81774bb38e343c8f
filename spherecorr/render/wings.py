"""Wings and tails of procedural birds: folded, half open, raised or spread.

Lengths are in units of the trunk's length; `along` and `above` are the trunk's axes, `[3]`.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import Colour
from spherecorr.render.shapes import ShapeBuilder, blade, curve, loft, tube

LEFT = np.array([0.0, 1.0, 0.0])


def tail(
    builder: ShapeBuilder, along, above, girth: float, length: float, half: float, lift: float, fork: float, colour
) -> None:
    """A fan behind the trunk.

    Args:
        builder: takes the parts and keypoints.
        along: the trunk's axis, forward.
        above: the trunk's axis, upwards.
        girth: of the trunk.
        length: of the outer feathers.
        half: half the width of its end.
        lift: degrees that it rises from the trunk's axis.
        fork: how much shorter (a swallow) or, below 0, longer (a pigeon) the middle is, as a share of `length`.
        colour: of its feathers.
    """
    angle = np.radians(lift)
    direction = -along * np.cos(angle) + above * np.sin(angle)
    root = -along * 0.4 + above * girth * 0.15
    corner, middle = root + direction * length + LEFT * half, root + direction * length * (1 - fork)
    outline = np.array([root, root + LEFT * max(0.05, half * 0.35), corner, middle])
    thickness = 0.015 * np.cross(direction, LEFT)
    builder.add_both(loft([outline - thickness, outline + thickness], smooth=False), colour)
    builder.keypoint_pair("tail_corner", corner)
    builder.keypoint("tail_end", middle)


def folded_wings(builder: ShapeBuilder, rng, along, above, girth: float, colour: Colour) -> None:
    """Wings along the sides, from the shoulder to the root of the tail or beyond it."""
    reach, droop = rng.uniform(0.5, 0.8), rng.uniform(-0.1, 0.25) * girth
    stations = np.array([[0.36, 0.1, 0.62], [0.22, 0.15, 0.8], [-0.05, 0.15, 0.84], [-0.32, 0.2, 0.62]])
    hand = np.array([-reach, 0.25, 0.16])
    x, z, y = np.concatenate([stations, hand[None]]).T
    drop = droop * np.linspace(0, 1, 5)
    path = x[:, None] * along + (z * girth - drop)[:, None] * above + (y * girth)[:, None] * LEFT
    radii = np.array([[0.12, 0.25], [0.2, 0.6], [0.2, 0.68], [0.14, 0.42], [0.03, 0.1]]) * girth
    builder.add_both(tube(path, radii, LEFT, 12), colour, True)
    builder.keypoint_pair("wing_tip", path[-1])
    _on_wing(builder, path[0] - along * 0.035, path[2])


def _on_wing(builder: ShapeBuilder, shoulder, middle) -> None:
    builder.keypoint_pair("shoulder", builder.outermost(shoulder * [1, 0.1, 1], LEFT))
    builder.keypoint_pair("wing_middle", builder.outermost(middle * [1, 0.1, 1], LEFT))


def open_wings(
    builder: ShapeBuilder, rng, along, above, girth: float, colour: Colour, lift: float, bend: float, folded: float
) -> None:
    """Wings away from the body, with an arm, a wrist and a hand that is broad with fingers, or pointed.

    Args:
        builder: takes the parts and keypoints.
        rng: draws span, chord and shape.
        along: the trunk's axis, forward.
        above: the trunk's axis, upwards.
        girth: of the trunk.
        colour: of the arm; the hand is darker or lighter.
        lift: degrees of the arm above the horizon.
        bend: degrees by which the hand is raised more.
        folded: 0 for fully spread wings, 1 for hands that point backwards.
    """
    span, chord = rng.uniform(0.75, 1.7) * (1 - 0.35 * folded), rng.uniform(0.28, 0.6)
    pointed = rng.random() < 0.5
    flat = unit_side(above, lift)
    hand = unit_side(above, lift + bend)
    sweep = np.array([0.0, 0.06, 0.1, 0.02, -0.1, -0.28]) * rng.uniform(0.5, 1.4)
    shoulder = along * 0.3 + above * girth * 0.45 + LEFT * girth * 0.35
    share = np.array([0, 0.2, 0.42, 0.62, 0.82, 1.0]) * span
    arm = np.minimum(share, share[2])
    back = sweep * min(span, 1.2) - folded * np.maximum(share - share[2], 0) * 1.3
    hand_out = np.maximum(share - share[2], 0) * (1 - 0.75 * folded)
    leading = shoulder + arm[:, None] * flat + hand_out[:, None] * hand + back[:, None] * along
    shape = np.array([0.9, 1.0, 0.95, 0.8, 0.5, 0.06] if pointed else [0.9, 1.0, 1.0, 0.95, 0.8, 0.4])
    chords, thick = chord * shape, np.array([0.07, 0.06, 0.05, 0.03, 0.02, 0.012])
    tone = np.clip(colour * rng.choice([0.45, 0.75, 1.3]), 0, 1)
    builder.add_both(
        blade(curve(leading[:4], 7), curve_of(chords[:4], 7), curve_of(thick[:4], 7), -along), colour, True
    )
    builder.add_both(blade(leading[3:], chords[3:], thick[3:], -along), tone)
    tip = leading[-1]
    if not pointed:  # fingers
        for step, turn in enumerate(np.radians([0, 18, 36, 54])):
            root = tip - along * chords[-1] * (0.05 + 0.28 * step)
            reach = 0.15 * span * (1 - 0.12 * step)
            end = root + (hand * np.cos(turn) - along * np.sin(turn)) * reach
            builder.add_both(
                blade([root - (end - root) * 0.4, end], [chord * 0.3, chord * 0.1], [0.015, 0.01], -along), tone
            )
            tip = end if step == 0 else tip
    builder.keypoint_pair("wing_tip", tip)
    builder.keypoint_pair("shoulder", leading[0] * 0.5 + leading[1] * 0.5)
    builder.keypoint_pair("wing_middle", leading[2])


def unit_side(above, lift: float) -> np.ndarray:
    """A direction to the left that rises by some degrees."""
    return LEFT * np.cos(np.radians(lift)) + above * np.sin(np.radians(lift))


def curve_of(values: np.ndarray, count: int) -> np.ndarray:
    """Values `[n]` spread over `count` places."""
    return np.interp(np.linspace(0, len(values) - 1, count), np.arange(len(values)), values)

"""Procedural birds: perched or in flight.

Lengths are in units of the trunk's length; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import colorsys

import numpy as np

from spherecorr.render.colours import DARK, Colour, random_coat, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, ellipsoid, loft, tube

FEATHERS = [(0.07, 0.5, 0.35), (0.1, 0.3, 0.7), (0.6, 0.15, 0.45), (0.0, 0.0, 0.12), (0.1, 0.04, 0.93)]
LONG = 0.45  # of a neck, in lengths of the trunk
HORN = [(0.1, 0.8, 0.85), (0.08, 0.5, 0.3), (0.03, 0.75, 0.75)]


PLANS = ("flying", "landing", "perched", "upright", "wader", "swimming")
SHARES = (0.3, 0.1, 0.3, 0.08, 0.14, 0.08)


def bird(rng: np.random.Generator) -> Shape:
    """Songbirds, gulls, waders, ducks, cranes, owls: proportions vary; wings are folded, raised or spread."""
    plan = rng.choice(PLANS, p=SHARES)
    flying, wader = plan == "flying", plan == "wader"
    girth = rng.uniform(0.3, 0.42) if plan == "upright" else rng.uniform(0.17, 0.32)
    neck = rng.uniform(0.4, 1.0) if wader else rng.choice([rng.uniform(0.0, 0.12), rng.uniform(0.1, 0.45)])
    pitch = np.radians({"flying": rng.uniform(-8, 20), "upright": rng.uniform(50, 80)}.get(plan, rng.uniform(-2, 50)))
    along = np.array([np.cos(pitch), 0, np.sin(pitch)])
    above = np.array([-np.sin(pitch), 0, np.cos(pitch)])
    coat, wing = _plumage(rng), _plumage(rng)
    belly, beak = random_coat(rng, FEATHERS), random_coat(rng, HORN)
    builder = ShapeBuilder("bird", random_pattern(rng, _plumage(rng), 0.3, 5.0))

    share = np.array([-0.55, -0.42, -0.2, 0.05, 0.3, 0.45, 0.52])
    profile = np.array([0.18, 0.5, 0.85, 1.0, 0.85, 0.55, 0.3]) * girth
    builder.add(tube(share[:, None] * along, np.stack([profile * 0.92, profile], axis=1), segments=16), coat, True)
    builder.add(
        tube((share[1:] * 0.93)[:, None] * along - above * girth * 0.12, np.full((6, 2), 0.9) * profile[1:, None]),
        belly,
    )
    builder.keypoint("back", along * 0.05 + above * girth)
    builder.keypoint("breast", along * 0.45 - above * girth * 0.5)
    head, skull = _head(builder, rng, along, neck, girth, coat, beak)
    builder.keypoint("crown", head + [0, 0, skull])
    _tail(builder, rng, along, above, girth, wing)
    if flying or plan == "landing":
        _spread_wings(builder, rng, along, above, girth, wing, raised=plan == "landing")
    else:
        _folded_wings(builder, rng, along, above, girth, wing)
    if not flying and plan != "swimming":
        _bird_legs(builder, rng, along, above, girth, beak, tall=wader)
    return builder.build()


def _plumage(rng: np.random.Generator) -> Colour:
    """Mostly a dull colour, sometimes a bright one."""
    if rng.random() < 0.65:
        return random_coat(rng, FEATHERS)
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.9)))


def _head(builder: ShapeBuilder, rng, along, neck: float, girth: float, coat: Colour, beak: Colour):
    """Neck, head, eyes and beak; returns the head's centre and radius."""
    skull = rng.uniform(0.13, 0.18)
    rise = np.radians(rng.uniform(30, 90) if neck > LONG else rng.uniform(30, 75))
    shoulder = along * 0.38
    head = along * 0.5 + np.array([np.cos(rise), 0, np.sin(rise)]) * (neck + skull * 0.6)
    slim = 0.55 if neck > LONG else 1.0
    bow = np.array([rng.uniform(-0.12, 0.12), 0, 0]) * (neck > LONG)
    path = [shoulder, (shoulder + head) / 2 + bow, head]
    middle = slim * (girth * 0.7 + skull) / 2.3
    builder.add(tube(path, [[girth * 0.72] * 2, [middle] * 2, [skull * 0.8 * slim] * 2]), coat, True)
    builder.add(ellipsoid(head, (skull * 1.1, skull, skull)), coat if rng.random() < 0.7 else _plumage(rng))
    length, deep = rng.choice([rng.uniform(0.07, 0.15), rng.uniform(0.15, 0.4)]), skull * rng.uniform(0.22, 0.5)
    droop = np.array([1, 0, -rng.uniform(0, 0.35)])
    tip = head + [skull * 0.95, 0, -skull * 0.1] + droop * length
    root = head + np.array([skull * 0.75, 0, -skull * 0.05])
    builder.add(
        tube([root, root * 0.5 + tip * 0.5, tip], [[deep * 0.8, deep], [deep * 0.5, deep * 0.6], [0.008, 0.008]]), beak
    )
    builder.keypoint("beak_tip", tip)
    eye = head + np.array([skull * 0.45, skull * 0.84, skull * 0.25])
    builder.add_both(ellipsoid(eye, np.full(3, skull * 0.16)), DARK * 0.5)
    builder.keypoint_pair("eye", eye + [0, skull * 0.14, 0])
    return head, skull


def _feathers(root_front, root_rear, tip_front, tip_rear, thickness: float):
    """A flat, slightly thick surface between two edges."""
    outline = np.array([root_front, root_rear, tip_rear, tip_front], dtype=float)
    normal = np.cross(outline[1] - outline[0], outline[3] - outline[0])
    normal *= thickness / 2 / np.linalg.norm(normal)
    return loft([outline - normal, outline + normal], smooth=False)


def _tail(builder: ShapeBuilder, rng, along, above, girth: float, colour: Colour) -> None:
    """A fan behind the trunk, narrow or wide, long or short."""
    length, half = rng.uniform(0.25, 0.65), rng.uniform(0.05, 0.24)
    root = -along * 0.42 + above * girth * 0.25
    direction = -along + np.array([0, 0, rng.uniform(-0.1, 0.25)])
    end, side = root + direction * length, np.array([0, 1.0, 0])
    fork = direction * rng.uniform(-0.06, 0.1)
    builder.add_both(_feathers(root + side * 0.06, root, end + side * half, end - fork, 0.025), colour)
    builder.keypoint_pair("tail_corner", end + side * half)
    builder.keypoint("tail_end", end - fork)


def _folded_wings(builder: ShapeBuilder, rng, along, above, girth: float, colour: Colour) -> None:
    """Wings along the sides, from the shoulder to beyond the trunk's end."""
    reach, drop = rng.uniform(0.6, 0.85), rng.uniform(0.0, 0.12)
    y = np.array([0, 1.0, 0])
    shoulder = along * 0.3 + above * girth * 0.15 + y * girth * 0.72
    middle = -along * 0.05 + above * girth * 0.05 + y * girth * 0.95
    tip = -along * (reach - 0.1) + above * (girth * 0.2 - drop) + y * girth * 0.25
    radii = np.array([[0.3, 0.55], [0.22, 0.8], [0.05, 0.15]]) * girth
    builder.add_both(tube([shoulder, middle, tip], radii, (0, 1, 0), 10), colour, True)
    builder.keypoint_pair("wing_tip", tip)
    builder.keypoint_pair("shoulder", shoulder + along * 0.005 + y * girth * 0.28)
    builder.keypoint_pair("wing_middle", middle + y * girth * 0.22)


def _spread_wings(builder: ShapeBuilder, rng, along, above, girth: float, colour: Colour, raised: bool = False) -> None:
    """Wings out to both sides, raised or lowered, with a bend at the wrist."""
    span, chord = rng.uniform(0.6, 1.7), rng.uniform(0.16, 0.42)
    lift, sweep = np.radians(rng.uniform(35, 80) if raised else rng.uniform(-30, 60)), rng.uniform(-0.2, 0.5)
    out = np.array([0, np.cos(lift), np.sin(lift)])
    bend = np.radians(rng.uniform(-30, 10)) + lift
    outer = np.array([0, np.cos(bend), np.sin(bend)])
    front = along * 0.28 + above * girth * 0.4 + out * girth * 0.5
    rear = front - along * chord * 1.4
    wrist = front + out * span * 0.45 + along * 0.08
    behind = wrist - along * chord * 1.3
    tip = wrist + outer * span * 0.55 - along * sweep
    builder.add_both(_feathers(front, rear, wrist, behind, 0.04), colour, True)
    builder.add_both(_feathers(wrist, behind, tip, tip - along * chord * 0.35 - outer * 0.03, 0.025), colour * 0.8)
    builder.keypoint_pair("wing_tip", tip)
    builder.keypoint_pair("shoulder", front)
    builder.keypoint_pair("wing_middle", wrist)


def _bird_legs(builder: ShapeBuilder, rng, along, above, girth: float, colour: Colour, tall: bool = False) -> None:
    """Two legs with three toes forward and one back."""
    height = rng.uniform(0.6, 1.3) if tall else rng.choice([rng.uniform(0.12, 0.3), rng.uniform(0.3, 0.75)])
    hip = -along * 0.02 - above * girth * 0.75 + np.array([0, girth * 0.42, 0])
    ankle = hip + np.array([rng.uniform(-0.08, 0.05), 0, -height * 0.5])
    foot = np.array([0.02, girth * 0.42, hip[2] - height])
    builder.add_both(tube([hip + above * 0.05, ankle, foot], [[0.05, 0.06], [0.022, 0.022], [0.018, 0.018]]), colour)
    for turn in np.radians([-30, 0, 30, 180]):
        toe = foot + np.array([np.cos(turn), np.sin(turn), 0]) * (0.12 if turn < 3 else 0.07)
        builder.add_both(tube([foot, toe], [[0.016, 0.014], [0.008, 0.008]], (0.1, 0.2, 1), 6), colour)
    builder.keypoint_pair("foot", foot + [0.01, 0, 0.015])

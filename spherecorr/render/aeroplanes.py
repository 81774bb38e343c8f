"""Procedural aeroplanes: airliners, business jets, propeller planes, biplanes, fighters and gliders.

Lengths are in tenths of the fuselage; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spherecorr.render.colours import DARK, GLASS, RUBBER, Colour, random_paint, random_pattern
from spherecorr.render.plane_engines import engines
from spherecorr.render.shapes import Shape, ShapeBuilder, blade, box, ellipsoid, tube

Range = tuple[float, float]


@dataclass(frozen=True)
class PlanePlan:
    """Ranges of the proportions of one kind of aeroplane, in tenths of its length; angles in degrees.

    Attributes:
        share: of all aeroplanes.
        radius: of the fuselage.
        nose: length of its nose.
        tail: length over which it narrows to the rear.
        span: of one wing.
        chord: of the wing's root.
        taper: chord of the tip as a share of the root's.
        sweep: of the leading edge.
        dihedral: of the wing above the horizon.
        place: of the wing's leading edge at the root, from the middle forward.
        height: of the wing's root: -1 is the fuselage's bottom, 1 its top.
        fin: height of the fin.
        stabiliser: its height: 0 at the fuselage, 1 on top of the fin.
        engines: "wing", "wing-propellers", "rear", "nose" or "inside".
        gear: share with wheels down.
        canopy: "cabin" windows flush with the nose, or a "bubble".
    """

    share: float
    radius: Range
    nose: Range
    tail: Range
    span: Range
    chord: Range
    taper: Range
    sweep: Range
    dihedral: Range
    place: Range
    height: Range
    fin: Range
    stabiliser: tuple[float, ...]
    engines: str
    gear: float
    canopy: str


PLANS = {
    "airliner": PlanePlan(0.26, (0.42, 0.65), (0.9, 1.5), (2.5, 3.8), (3.6, 5.2), (1.5, 2.3), (0.2, 0.4), (22, 37),
                          (3, 8), (0.3, 1.6), (-0.75, -0.5), (1.3, 2.0), (0.0, 0.0), "wing", 0.6, "cabin"),
    "business_jet": PlanePlan(0.12, (0.4, 0.55), (1.1, 1.8), (2.8, 4.0), (3.6, 5.0), (1.3, 1.9), (0.25, 0.5), (8, 32),
                              (2, 6), (-0.4, 0.8), (-0.8, -0.6), (1.2, 1.7), (1.0, 1.0, 0.6), "rear", 0.5, "cabin"),
    "low_propeller": PlanePlan(0.15, (0.45, 0.75), (0.8, 1.8), (4.0, 5.5), (4.2, 6.0), (1.5, 2.3), (0.45, 1.0), (-3, 8),
                               (3, 9), (1.2, 2.4), (-0.8, -0.5), (1.1, 1.8), (0.0, 0.0, 0.2), "nose", 0.75, "bubble"),
    "high_propeller": PlanePlan(0.14, (0.5, 0.75), (0.8, 1.8), (4.2, 5.5), (5.0, 7.0), (1.4, 2.0), (0.55, 1.0), (-2, 5),
                                (0, 4), (1.4, 2.4), (0.9, 1.05), (1.2, 1.8), (0.0, 0.0), "nose", 0.95, "cabin"),
    "turboprop": PlanePlan(0.07, (0.45, 0.6), (0.9, 1.4), (2.8, 4.0), (4.6, 5.8), (1.2, 1.7), (0.4, 0.6), (0, 6),
                           (0, 5), (0.6, 1.4), (-0.7, 0.95), (1.5, 2.1), (0.0, 1.0), "wing-propellers", 0.5, "cabin"),
    "biplane": PlanePlan(0.08, (0.5, 0.75), (0.5, 1.2), (4.2, 5.5), (4.5, 6.2), (1.4, 2.0), (0.8, 1.0), (-2, 8),
                         (0, 4), (1.6, 2.6), (-0.85, -0.6), (1.0, 1.5), (0.0, 0.1), "nose", 0.95, "open"),
    "fighter": PlanePlan(0.14, (0.4, 0.6), (2.2, 3.6), (1.2, 2.4), (2.4, 3.8), (2.4, 4.6), (0.1, 0.35), (28, 58),
                         (-4, 3), (0.2, 1.8), (-0.3, 0.5), (1.1, 1.8), (-0.2, 0.0), "inside", 0.4, "bubble"),
    "glider": PlanePlan(0.04, (0.3, 0.42), (1.5, 2.2), (4.5, 6.0), (7.5, 10.5), (0.9, 1.3), (0.3, 0.5), (-1, 3),
                        (2, 6), (1.2, 2.0), (0.3, 0.9), (1.0, 1.4), (1.0, 0.0), "none", 0.2, "bubble"),
}  # fmt: skip


def aeroplane(rng: np.random.Generator) -> Shape:
    """Airliners, business jets, light planes with propellers, biplanes, fighters and gliders."""
    return aeroplane_of(str(rng.choice(list(PLANS), p=[plan.share for plan in PLANS.values()])), rng)


def aeroplane_of(kind: str, rng: np.random.Generator) -> Shape:
    """An aeroplane of one of `PLANS`."""
    plan = PLANS[kind]
    paint, trim = random_paint(rng), random_paint(rng)
    if rng.random() < (0.75 if plan.canopy == "cabin" else 0.35):
        paint = paint * 0.25 + 0.72
    builder = ShapeBuilder("aeroplane", random_pattern(rng, trim, 0.5 if kind == "fighter" else 0.12, 1.5))
    radius = rng.uniform(*plan.radius)
    _fuselage(builder, rng, plan, radius, paint, trim)
    root, chord, tip = _wings(builder, rng, plan, radius, paint, trim)
    if kind == "biplane":
        _upper_wings(builder, rng, root, chord, tip, radius, paint, trim)
    _tail(builder, rng, plan, radius, paint, trim)
    engines(builder, rng, plan.engines, radius, root, chord, tip, trim)
    if rng.random() < plan.gear:
        _gear(builder, rng, radius, root, tail_wheel=plan.engines == "nose" and rng.random() < 0.5)
    return builder.build()


def _fuselage(builder: ShapeBuilder, rng, plan: PlanePlan, radius: float, paint: Colour, trim: Colour) -> None:
    """A tube that narrows to both ends, with a canopy or cabin windows, perhaps with a stripe or another belly."""
    nose, tail, droop = rng.uniform(*plan.nose), rng.uniform(*plan.tail), rng.uniform(0.1, 0.35)
    rise, blunt = rng.uniform(0.1, 0.6), 0.75 if plan.engines == "nose" else 0.12
    x = np.array(
        [-5, -5 + tail * 0.12, -5 + tail * 0.5, -5 + tail, 5 - nose, 5 - nose * 0.55, 5 - nose * 0.22, 4.97, 5]
    )
    end = 0.75 if plan.engines == "inside" else 0.14
    share = np.array([end * 0.8, end + 0.08, max(0.62, end), 1, 1, 0.9, 0.64, blunt + 0.1, blunt * 0.5])
    if plan.engines == "nose":
        share[5:7] = 0.92, 0.85
    z = radius * np.array([rise, rise * 0.88, rise * 0.4, 0, 0, -0.3 * droop, -droop, -1.4 * droop, -1.5 * droop])
    deep = rng.uniform(0.95, 1.35) if plan.canopy != "cabin" else rng.uniform(0.95, 1.1)
    body = tube(np.stack([x, 0 * x, z], 1), np.stack([share * radius, share * radius * deep], 1), segments=18)
    if rng.random() < 0.5:
        upper, lower = body.split((0, 0, 1), -radius * rng.uniform(0.1, 0.6))
        builder.add(upper, paint, True)
        builder.add(lower, trim if rng.random() < 0.6 else np.full(3, 0.6))
    else:
        builder.add(body, paint, True)
    builder.keypoint("nose", (5, 0, z[-1]))
    builder.keypoint("tail", (-5, 0, z[0]))
    back = 5 - nose
    if plan.canopy == "cabin":
        at = 5 - nose * rng.uniform(0.55, 0.7) if plan.engines != "nose" else back - rng.uniform(0.2, 0.8)
        local = np.interp(at, x, share) * radius
        top = np.interp(at, x, z) + local * deep
        if plan.engines == "nose":  # a glazed cabin under or behind the wing
            sink = np.array([0.5, 0, 0, 0.6]) * radius
            deck = np.stack([at + np.array([-1.9, -1.6, -0.7, 0.2]), 0 * sink, top - sink], axis=1)
            sizes = np.array([[0.3, 0.3], [0.85, 0.5], [0.85, 0.5], [0.5, 0.2]]) * radius
            builder.add(tube(deck, sizes, segments=12, smooth=False), GLASS)
        else:
            builder.add(ellipsoid((at - 0.05, 0, top - 0.42 * local), (0.4, local * 0.9, local * 0.36)), GLASS)
            builder.add_both(box((at - 0.6, radius * 0.985, radius * 0.25), (0.25, 0.06, radius * 0.9)), paint * 0.7)
            for place in np.arange(-4.6 + tail, back - 0.6, rng.choice([0.25, 0.5])):
                builder.add_both(box((place, radius * 0.97, radius * 0.22), (0.12, 0.05, radius * 0.26)), GLASS)
        builder.keypoint("cockpit", builder.top(at - 0.05, 0))
        return
    place, long = back - rng.uniform(0.2, 1.2) + (0.6 if plan.engines == "inside" else -0.2), rng.uniform(0.7, 1.3)
    top = np.interp(place, x, z) + np.interp(place, x, share) * radius * deep
    if plan.canopy == "bubble":
        builder.add(ellipsoid((place, 0, top - 0.05), (long, radius * 0.6, radius * rng.uniform(0.5, 0.8))), GLASS)
        builder.add(box((place + 0.2, 0, top), (0.06, radius * 1.2, radius * 0.7)), paint)
    else:
        builder.add(ellipsoid((place, 0, top - 0.05), (0.5, radius * 0.5, 0.1)), DARK)
        builder.add(box((place + 0.5, 0, top + 0.1), (0.05, radius * 0.7, 0.3)), GLASS)
        builder.add(ellipsoid((place - 1.0, 0, top - 0.1), (0.9, radius * 0.5, radius * 0.3)), paint)
    builder.keypoint("cockpit", builder.top(place, 0))


def _wings(builder: ShapeBuilder, rng, plan: PlanePlan, radius: float, paint: Colour, trim: Colour):
    """Both wings with marked tips, perhaps winglets; returns a wing's root, its chord, and the tip."""
    span, chord, taper = rng.uniform(*plan.span), rng.uniform(*plan.chord), rng.uniform(*plan.taper)
    sweep, lift = np.radians(rng.uniform(*plan.sweep)), np.radians(rng.uniform(*plan.dihedral))
    root = np.array([rng.uniform(*plan.place), 0, rng.uniform(*plan.height) * radius])
    tip = root + span * np.array([-np.tan(sweep), 1.0, np.tan(lift)])
    share = np.array([0, 0.25, 0.5, 0.75, 0.93, 1.0])[:, None]
    leading = root + (tip - root) * share
    chords = chord * (1 + (taper - 1) * share[:, 0])
    crank = rng.uniform(0.0, 0.35) * (share[:, 0] < 0.2) * (plan.engines == "wing")
    chords = chords * (1 + crank)
    if taper < 0.5 or rng.random() < 0.5:
        chords[-1] *= 0.6
    thick = chords * rng.uniform(0.09, 0.15)
    colour = paint if rng.random() < 0.6 else (np.full(3, 0.65) if rng.random() < 0.6 else trim)
    builder.add_both(blade(leading[:5], chords[:5], thick[:5]), colour, True)
    builder.add_both(blade(leading[4:], chords[4:], thick[4:] * 1.05), trim if rng.random() < 0.4 else colour)
    if plan.engines in ("wing", "rear") and rng.random() < 0.45:
        up = tip + [-chords[-1] * 0.6, rng.uniform(0.05, 0.25), rng.uniform(0.4, 0.8)]
        builder.add_both(blade([tip, up], [chords[-1], chords[-1] * 0.5], [0.06, 0.03]), trim)
    side = np.sqrt(max(1 - min(abs(root[2]) / radius, 1) ** 2, 0.05)) * radius
    at = root + (tip - root) * side / span
    builder.keypoint_pair("wing_tip", tip)
    builder.keypoint_pair("wing_root_front", at)
    builder.keypoint_pair("wing_root_rear", at - [np.interp(side / span, share[:, 0], chords), 0, 0])
    return root, chord, tip


def _upper_wings(
    builder: ShapeBuilder, rng, root, chord: float, tip, radius: float, paint: Colour, trim: Colour
) -> None:
    """A second pair over the first, with struts."""
    offset = np.array([rng.uniform(0.0, 0.7), 0, radius * rng.uniform(2.2, 3.0)])
    builder.add_both(blade([root + offset, tip * [1, 1, 1] + offset], [chord] * 2, [chord * 0.1] * 2), paint, True)
    for share, back in ((0.25, 0.2), (0.72, 0.2), (0.72, 0.75)):
        low = root + (tip - root) * share - [chord * back, 0, 0]
        builder.add_both(tube([low, low + offset], [[0.06, 0.04]] * 2, (1, 0, 0), 6), trim)


def _tail(builder: ShapeBuilder, rng, plan: PlanePlan, radius: float, paint: Colour, trim: Colour) -> None:
    """A fin, or a fighter's two, and the stabilisers."""
    height, chord = rng.uniform(*plan.fin), rng.uniform(1.1, 1.7)
    sweep = rng.uniform(0.5, 1.1) if plan.engines in ("wing", "rear", "inside") else rng.uniform(0.1, 0.6)
    foot = np.array([-5 + chord + rng.uniform(0.0, 0.4), 0, radius * 0.4])
    twin = plan.engines == "inside" and rng.random() < 0.55
    out = np.array([0, rng.uniform(0.1, 0.5), 0]) if twin else np.zeros(3)
    foot = foot + np.array([0, radius * 0.7, 0]) * twin
    top = foot + np.array([-height * sweep, 0, height]) + out
    fin = blade([foot, foot * 0.5 + top * 0.5, top], chord * np.array([1, 0.75, 0.5]), [0.16, 0.12, 0.06])
    if twin:
        builder.add_both(fin, trim)
    else:
        builder.add(fin, trim)
        if rng.random() < 0.4:
            builder.add(
                blade([foot + [chord * 0.9, 0, 0], foot + [0, 0, height * 0.3]], [chord, chord * 0.8], [0.1, 0.1]), trim
            )
    builder.keypoint("fin_top", top * [1, 0, 1] if not twin else _between(builder, foot))
    level = rng.choice(plan.stabiliser)
    at = foot * [1, 0, 1] + (top - foot) * [1, 0, 1] * level - [chord * 0.1, 0, 0]
    if level < 0.3:
        at[2] = radius * (0.25 + level)
    span, size = rng.uniform(1.2, 1.9), chord * rng.uniform(0.65, 0.95) * (0.7 if level > 0.5 else 1)
    ends = [at, at + [-span * rng.uniform(0.05, 0.6), span, span * rng.uniform(-0.02, 0.12)]]
    builder.add_both(
        blade(ends, [size, size * rng.uniform(0.4, 0.9)], [0.12, 0.05]), paint if rng.random() < 0.6 else trim
    )
    builder.keypoint_pair("stabiliser_tip", ends[1])


def _between(builder: ShapeBuilder, foot) -> np.ndarray:
    """The fuselage's top between two fins."""
    return builder.top(foot[0] - 0.4, 0.0)


def _gear(builder: ShapeBuilder, rng, radius: float, root, tail_wheel: bool) -> None:
    """Wheels under the nose, or under the tail, and a pair under the wings' roots."""
    ground, size = -radius * rng.uniform(1.7, 2.5), rng.uniform(0.2, 0.36)
    mains = root[0] - rng.uniform(0.3, 0.7) if tail_wheel else root[0] - rng.uniform(0.9, 1.4)
    other = (-4.4, ground * 0.25, size * 0.5) if tail_wheel else (rng.uniform(3.4, 4.2), ground, size * 0.8)
    y = radius * rng.uniform(0.9, 1.8)
    hip = np.array([mains, min(y, radius * 0.8), -radius * 0.5])
    wheel = np.array([mains, y, ground + size])
    builder.add_both(tube([hip, wheel], [[0.08, 0.08]] * 2, (1, 0, 0), 8), DARK)
    builder.add_both(tube([wheel - [0, 0.1, 0], wheel + [0, 0.1, 0]], [[size] * 2] * 2, (1, 0, 0), 14), RUBBER)
    if rng.random() < 0.2:  # spats
        spat = wheel + np.array([[0.5, 0, 0], [0.2, 0, 0.02], [-0.7, 0, 0.1]])
        builder.add_both(tube(spat, np.array([[0.3, 0.4], [0.7, 1.0], [0.2, 0.3]]) * size), np.full(3, 0.8))
    x, low, size = other
    foot = np.array([x, 0, low + size])
    builder.add(tube([(x, 0, -0.2 * radius), foot], [[0.06, 0.06]] * 2, segments=8), DARK)
    builder.add(tube([foot - [0, 0.08, 0], foot + [0, 0.08, 0]], [[size] * 2] * 2, (1, 0, 0), 14), RUBBER)

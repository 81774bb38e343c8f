"""Procedural birds: one build, and the proportions of a dozen kinds, at rest or in flight.

Lengths are in units of the trunk's length; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from spherecorr.render.colours import DARK, Colour, random_coat, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, blade, curve, ellipsoid, tube
from spherecorr.render.wings import folded_wings, open_wings, tail

FEATHERS = [(0.07, 0.5, 0.35), (0.1, 0.3, 0.7), (0.6, 0.15, 0.45), (0.0, 0.0, 0.12), (0.1, 0.04, 0.93)]
HORN = [(0.1, 0.8, 0.85), (0.08, 0.5, 0.3), (0.03, 0.75, 0.75), (0.0, 0.0, 0.15)]
LONG = 0.4  # of a neck, in lengths of the trunk
Range = tuple[float, float]


@dataclass(frozen=True)
class BirdPlan:
    """Ranges of the proportions of one kind of bird; lengths in units of the trunk's, angles in degrees.

    Attributes:
        share: of all birds.
        pitch: of the trunk above the horizon.
        girth: half height of the trunk.
        skull: radius of the head.
        neck: length between trunk and head.
        rise: of the neck above the horizon.
        beak: length.
        hook: how far its tip is drawn down, as a share of its length.
        leg: length; 0 for birds on water or with drawn-in feet.
        tail: length.
        fan: half width of the tail's end.
        lift: of the tail over the trunk's axis.
        wings: "folded", "half", "raised" or "spread", one of them by chance.
        comb: share of birds with a comb or a crest.
    """

    share: float
    pitch: Range
    girth: Range
    skull: Range
    neck: Range
    rise: Range
    beak: Range
    hook: Range
    leg: Range
    tail: Range
    fan: Range
    lift: Range
    wings: tuple[str, ...]
    comb: float = 0.0


REST, FLIGHT = ("folded", "folded", "folded", "folded", "half", "raised"), ("spread", "spread", "spread", "raised")
PLANS = {
    "songbird": BirdPlan(0.15, (5, 50), (0.25, 0.36), (0.2, 0.27), (0.0, 0.05), (30, 70), (0.06, 0.17), (0, 0.2),
                         (0.12, 0.4), (0.3, 0.65), (0.04, 0.12), (-8, 35), REST, 0.15),
    "crow": BirdPlan(0.1, (0, 40), (0.21, 0.28), (0.13, 0.18), (0.05, 0.2), (35, 75), (0.1, 0.25), (0, 0.4),
                     (0.15, 0.45), (0.3, 0.6), (0.06, 0.14), (-8, 10), REST),
    "fowl": BirdPlan(0.08, (0, 30), (0.3, 0.42), (0.1, 0.13), (0.25, 0.5), (60, 88), (0.07, 0.11), (0.1, 0.4),
                     (0.25, 0.5), (0.3, 0.75), (0.06, 0.3), (20, 85), ("folded",), 0.8),
    "raptor": BirdPlan(0.08, (45, 78), (0.22, 0.32), (0.16, 0.23), (0.0, 0.08), (40, 85), (0.09, 0.15), (0.5, 0.9),
                       (0.15, 0.3), (0.3, 0.55), (0.07, 0.16), (-15, 5), REST),
    "owl": BirdPlan(0.04, (62, 82), (0.29, 0.37), (0.26, 0.33), (0.0, 0.02), (70, 88), (0.04, 0.08), (0.6, 1.0),
                    (0.08, 0.16), (0.15, 0.3), (0.08, 0.14), (-10, 5), REST, 0.3),
    "parrot": BirdPlan(0.06, (40, 78), (0.2, 0.29), (0.19, 0.25), (0.0, 0.06), (50, 85), (0.1, 0.18), (0.8, 1.1),
                       (0.08, 0.16), (0.45, 1.1), (0.04, 0.1), (-8, 5), REST, 0.2),
    "penguin": BirdPlan(0.04, (76, 88), (0.23, 0.31), (0.13, 0.17), (0.02, 0.1), (75, 89), (0.1, 0.2), (0, 0.4),
                        (0.06, 0.12), (0.1, 0.18), (0.04, 0.08), (-5, 10), ("folded", "half")),
    "wader": BirdPlan(0.14, (-8, 40), (0.17, 0.27), (0.09, 0.13), (0.45, 1.0), (50, 95), (0.15, 0.55), (0, 0.9),
                      (0.6, 1.4), (0.15, 0.35), (0.05, 0.14), (-12, 5), ("folded", "folded", "folded", "raised")),
    "ostrich": BirdPlan(0.03, (0, 20), (0.32, 0.42), (0.09, 0.12), (0.7, 1.1), (70, 95), (0.1, 0.18), (0, 0.2),
                        (0.9, 1.3), (0.2, 0.4), (0.1, 0.2), (-20, 10), ("folded", "half")),
    "duck": BirdPlan(0.1, (-3, 18), (0.24, 0.34), (0.13, 0.17), (0.1, 0.3), (45, 85), (0.14, 0.22), (0, 0.1),
                     (0.0, 0.2), (0.15, 0.3), (0.06, 0.12), (0, 30), ("folded", "folded", "folded", "raised")),
    "swan": BirdPlan(0.04, (-3, 10), (0.26, 0.33), (0.1, 0.13), (0.55, 1.0), (60, 95), (0.14, 0.2), (0, 0.2),
                     (0.0, 0.0), (0.15, 0.25), (0.06, 0.1), (5, 30), ("folded", "folded", "half")),
    "flyer": BirdPlan(0.12, (-10, 35), (0.15, 0.25), (0.11, 0.17), (0.0, 0.25), (-5, 35), (0.07, 0.25), (0, 0.8),
                      (0.0, 0.0), (0.25, 0.55), (0.05, 0.28), (-8, 10), FLIGHT),
    "crane_in_flight": BirdPlan(0.02, (-5, 15), (0.14, 0.2), (0.08, 0.11), (0.45, 0.9), (-8, 15), (0.15, 0.4), (0, 0.5),
                                (0.0, 0.0), (0.15, 0.3), (0.06, 0.12), (-5, 5), FLIGHT),
}  # fmt: skip


def bird(rng: np.random.Generator) -> Shape:
    """Songbirds, crows, fowl, raptors, owls, parrots, penguins, waders, ostriches, ducks, swans, birds in flight."""
    return bird_of(str(rng.choice(list(PLANS), p=[plan.share for plan in PLANS.values()])), rng)


def bird_of(kind: str, rng: np.random.Generator) -> Shape:
    """A bird of one of `PLANS`."""
    plan = PLANS[kind]
    pitch, girth = np.radians(rng.uniform(*plan.pitch)), rng.uniform(*plan.girth)
    along, above = np.array([np.cos(pitch), 0, np.sin(pitch)]), np.array([-np.sin(pitch), 0, np.cos(pitch)])
    coat, wing = _plumage(rng), _plumage(rng)
    if rng.random() < 0.4:
        wing = np.clip(coat * rng.uniform(0.5, 1.2), 0, 1)
    belly = random_coat(rng, FEATHERS) if rng.random() < 0.65 else coat
    horn = random_coat(rng, HORN)
    builder = ShapeBuilder("bird", random_pattern(rng, _plumage(rng), 0.3, rng.choice([5.0, 14.0])))
    _trunk(builder, rng, along, above, girth, coat, belly)
    _head(builder, rng, plan, along, above, girth, (coat, belly, horn))
    fork = rng.choice([rng.uniform(-0.3, 0.0), rng.uniform(0.0, 0.35)])
    length, half, lift = (rng.uniform(*bounds) for bounds in (plan.tail, plan.fan, plan.lift))
    tail(builder, along, above, girth, length, half, lift, fork, wing)
    wings = rng.choice(plan.wings)
    if wings == "folded":
        folded_wings(builder, rng, along, above, girth, wing)
    else:
        lift, bend, fold = {
            "spread": (rng.uniform(-25, 40), rng.uniform(-35, 20), rng.uniform(0, 0.4)),
            "raised": (rng.uniform(35, 75), rng.uniform(-25, 15), rng.uniform(0, 0.5)),
            "half": (rng.uniform(-25, 40), rng.uniform(-35, 0), rng.uniform(0.7, 1.0)),
        }[wings]
        open_wings(builder, rng, along, above, girth, wing, lift, bend, fold)
    leg = rng.uniform(*plan.leg)
    if leg > 0.05:
        _standing_legs(builder, rng, along, above, girth, leg, (coat, horn))
    elif kind == "crane_in_flight":
        path = [-along * 0.25 - above * girth * 0.4 + [0, 0.06, 0], -along * rng.uniform(0.9, 1.3) + [0, 0.05, 0]]
        builder.add_both(tube(path, [[0.035, 0.035], [0.02, 0.02]]), horn)
        builder.keypoint_pair("foot", path[1])
    return builder.build()


def _plumage(rng: np.random.Generator) -> Colour:
    """Mostly a dull colour, sometimes a bright one."""
    if rng.random() < 0.7:
        return random_coat(rng, FEATHERS)
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.9)))


def _trunk(builder: ShapeBuilder, rng, along, above, girth: float, coat: Colour, belly: Colour) -> None:
    """An egg, blunt in front, with a paler or darker underside."""
    share = np.array([-0.56, -0.5, -0.4, -0.25, -0.05, 0.15, 0.32, 0.44, 0.51, 0.53])
    profile = np.array([0.08, 0.26, 0.5, 0.78, 0.97, 1.0, 0.9, 0.66, 0.35, 0.1]) * girth
    sag = np.array([0.3, 0.28, 0.2, 0.08, 0, 0, 0, 0.05, 0.1, 0.1]) * girth
    path = share[:, None] * along + sag[:, None] * above
    upper, lower = tube(path, np.stack([profile * 0.92, profile], axis=1), segments=18).split(
        above, -girth * rng.uniform(0.05, 0.4)
    )
    builder.add(upper, coat, True)
    builder.add(lower, belly)
    builder.keypoint("back", builder.outermost(along * 0.02, above))


def _head(builder: ShapeBuilder, rng, plan: BirdPlan, along, above, girth: float, colours) -> None:
    """Neck, head, eyes and beak. The head looks aside every third time; long necks bow, or reach for the ground."""
    coat, belly, horn = colours
    neck, skull = rng.uniform(*plan.neck), rng.uniform(*plan.skull)
    rise = rng.uniform(*plan.rise)
    if neck > 0.2 and plan.leg[1] > 0 and rng.random() < 0.12:
        rise = rng.uniform(-50, -10)
    rise = np.radians(rise)
    yaw = np.radians(rng.normal(0, 35)) if rng.random() < 0.35 else 0.0
    yaw = np.clip(yaw, -1.3, 1.3)
    base = along * 0.33 + above * girth * 0.2
    head = base + along * 0.12 + np.array([np.cos(rise), 0, np.sin(rise)]) * (neck + skull * 0.75 + 0.05)
    bow = np.array([rng.uniform(-0.2, 0.25), 0, 0]) * max(0, neck - 0.25)
    slim = skull * (0.55 if neck > LONG else 0.85)
    path = curve([along * 0.1, base * 0.55 + head * 0.45 + bow + along * 0.05, head - bow * 0.5, head], 9)
    share = np.linspace(0, 1, 9)
    radii = slim + (girth * 0.88 - slim) * np.clip(1 - share * (1.9 if neck > LONG else 1.15), 0, 1) ** 1.3
    front, rear = tube(path, np.stack([radii, radii], axis=1)).split(
        (1, 0, -0.4), 10 if rng.random() < 0.5 else head[0] * 0.8
    )
    builder.add(rear, coat, True)
    if len(front.faces):
        builder.add(front, belly)
    builder.keypoint("breast", builder.outermost(along * 0.2 - above * girth * 0.2, along * 0.8 - above * 0.3))

    gaze, aside = np.array([np.cos(yaw), np.sin(yaw), 0]), np.array([-np.sin(yaw), np.cos(yaw), 0])
    up = np.array([0, 0, 1.0])
    angle = np.linspace(0.02, np.pi - 0.02, 9)
    cap = coat if rng.random() < 0.6 else _plumage(rng)
    ball = tube(head - np.cos(angle)[:, None] * gaze * skull * 1.15, np.sin(angle)[:, None] * np.full(2, skull), aside)
    builder.add(ball, cap)
    builder.keypoint("crown", builder.outermost(head, up))
    length, hook, deep = rng.uniform(*plan.beak), rng.uniform(*plan.hook), skull * rng.uniform(0.3, 0.5)
    wide = deep * (1.6 if plan is PLANS["duck"] or plan is PLANS["swan"] else 0.75)
    dip = rng.uniform(0.0, 0.3)
    root = head + gaze * skull * 0.8 - up * skull * 0.12
    share = np.array([0, 0.35, 0.7, 1.0])[:, None]
    straight = skull * 0.3 + length
    line = root + share * straight * (gaze - up * dip) - share**2.5 * up * hook * straight * 0.7
    tip = 0.35 if wide > deep else 0.1
    radii = np.array([[wide, deep], [wide * 0.85, deep * 0.75], [wide * 0.7, deep * 0.45], [wide * tip, deep * 0.12]])
    builder.add(tube(line, radii, aside), horn)
    builder.keypoint("beak_tip", line[-1])
    for sign, name in ((1, "left"), (-1, "right")):
        eye = head + gaze * skull * 0.5 + sign * aside * skull * 0.82 + up * skull * 0.25
        builder.add(ellipsoid(eye, np.full(3, skull * 0.17), 6, 10), DARK * 0.5)
        builder.keypoint(f"{name}_eye", eye + sign * aside * skull * 0.15)
    if rng.random() < plan.comb:
        red = np.array([0.75, 0.08, 0.08]) if plan is PLANS["fowl"] else cap
        tall = skull * rng.uniform(0.25, 0.6)
        edge = [head + gaze * skull * 0.7 + up * skull * 0.5, head - gaze * skull * 0.3 + up * (skull + tall)]
        builder.add(blade(edge, [skull * 1.4, skull * 0.5], [skull * 0.4, skull * 0.1], -gaze), red)


def _standing_legs(builder: ShapeBuilder, rng, along, above, girth: float, height: float, colours) -> None:
    """Two legs with a feathered thigh, three toes forward and one back; long ones may be mid-stride."""
    coat, horn = colours
    y = girth * rng.uniform(0.3, 0.5)
    hip = np.array([0, y, 0]) - along * rng.uniform(0.0, 0.12) - above * girth * 0.6
    ground = hip[2] - girth * 0.3 - height
    thick = 0.02 if height > 0.5 else 0.028
    stride = rng.normal() * 0.14 * height if rng.random() < 0.5 else 0.0
    for sign, name in ((1, "left"), (-1, "right")):
        side = np.array([1, sign, 1])
        foot = np.array([hip[0] + 0.05 + sign * stride, y, ground])
        heel = np.array([hip[0] - 0.08 - 0.05 * height + sign * stride * 0.4, y, ground + height * 0.52])
        builder.add(
            tube(
                [hip * side, (hip * 0.4 + heel * 0.6) * side],
                [[0.4 * girth, 0.5 * girth], [thick * 1.5] * 2],
                segments=10,
            ),
            coat,
        )
        builder.add(
            tube(
                [(hip * 0.5 + heel * 0.5) * side, heel * side, foot * side],
                [[thick * 1.4] * 2, [thick * 1.1] * 2, [thick] * 2],
                segments=8,
            ),
            horn,
        )
        for turn in np.radians([-32, 0, 32, 180]):
            toe = foot * side + np.array([np.cos(turn), np.sin(turn), 0]) * (0.13 if turn < 3 else 0.07)
            builder.add(tube([foot * side, toe], [[0.02, 0.018], [0.01, 0.01]], (0.1, 0.2, 1), 6), horn)
        builder.keypoint(f"{name}_foot", foot * side + [0.01, 0, 0.015])

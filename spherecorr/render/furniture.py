"""Procedural chairs: the front is where a sitting person looks.

Lengths are in metres for readability; `ShapeBuilder.build` scales every object to the unit sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spherecorr.render.colours import DARK, random_coat, random_paint, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, block, ellipsoid, loft, tube

WOOD = [(0.07, 0.6, 0.4), (0.09, 0.5, 0.65), (0.06, 0.55, 0.22), (0.1, 0.3, 0.8)]
Range = tuple[float, float]


@dataclass(frozen=True)
class ChairPlan:
    """Ranges of one kind of chair, in metres.

    Attributes:
        share: of all chairs.
        half: half the seat's width.
        deep: half the seat's depth.
        seat: its height.
        tall: height of the back over the seat.
        thick: of the seat.
        lean: how far the back's top lies behind its foot.
        backs: kinds of backs, one of them by chance.
        bases: kinds of what stands on the ground.
        arms: share with armrests.
        cushion: share with a cushion.
    """

    share: float
    half: Range
    deep: Range
    seat: Range
    tall: Range
    thick: Range
    lean: Range
    backs: tuple[str, ...]
    bases: tuple[str, ...]
    arms: float
    cushion: float


PLANS = {
    "dining": ChairPlan(0.36, (0.19, 0.24), (0.18, 0.23), (0.42, 0.5), (0.4, 0.75), (0.02, 0.06), (0.0, 0.12),
                        ("rungs", "bars", "panel", "splat", "grid"), ("legs",), 0.15, 0.35),
    "office": ChairPlan(0.22, (0.22, 0.27), (0.2, 0.25), (0.42, 0.56), (0.4, 0.75), (0.06, 0.12), (0.02, 0.16),
                        ("pad", "pad", "shell"), ("star",), 0.65, 0.0),
    "armchair": ChairPlan(0.16, (0.26, 0.36), (0.24, 0.32), (0.36, 0.44), (0.35, 0.65), (0.12, 0.2), (0.05, 0.2),
                          ("upholstered",), ("stubs", "skirt"), 1.0, 0.6),
    "shell": ChairPlan(0.1, (0.2, 0.25), (0.19, 0.24), (0.4, 0.47), (0.3, 0.45), (0.02, 0.05), (0.04, 0.14),
                       ("shell",), ("legs", "sled", "pedestal"), 0.25, 0.1),
    "bar_stool": ChairPlan(0.06, (0.16, 0.2), (0.16, 0.2), (0.62, 0.8), (0.15, 0.4), (0.03, 0.08), (0.0, 0.08),
                           ("panel", "rungs", "shell"), ("legs", "pedestal"), 0.1, 0.1),
    "lounge": ChairPlan(0.1, (0.24, 0.3), (0.25, 0.32), (0.28, 0.38), (0.5, 0.8), (0.04, 0.12), (0.2, 0.45),
                        ("panel", "bars", "rungs"), ("legs", "sled"), 0.6, 0.4),
}  # fmt: skip


def chair(rng: np.random.Generator) -> Shape:
    """Dining chairs, office chairs, armchairs, shells, bar stools with a back, and lounge chairs."""
    return chair_of(str(rng.choice(list(PLANS), p=[plan.share for plan in PLANS.values()])), rng)


def chair_of(kind: str, rng: np.random.Generator) -> Shape:
    """A chair of one of `PLANS`."""
    plan = PLANS[kind]
    half, deep, seat, tall, thick, lean = (
        rng.uniform(*bounds) for bounds in (plan.half, plan.deep, plan.seat, plan.tall, plan.thick, plan.lean)
    )
    frame = random_coat(rng, WOOD) if rng.random() < 0.6 else random_paint(rng) * 0.8
    if kind == "office" or (plan.bases != ("legs",) and rng.random() < 0.4):
        frame = DARK if rng.random() < 0.6 else np.full(3, 0.7)
    cover = frame if rng.random() < 0.4 and kind == "dining" else random_paint(rng)
    builder = ShapeBuilder("chair", random_pattern(rng, random_paint(rng), 0.3, 3.0))
    rear_half = half * rng.uniform(0.8, 1.0)
    _seat(builder, rng, (half, rear_half, deep, seat, thick), cover, rng.random() < plan.cushion)

    top = np.array([-deep - lean, rear_half * rng.uniform(0.8, 1.1), seat + tall])
    foot = np.array([-deep, rear_half * 0.94, seat - thick])
    back = str(rng.choice(plan.backs))
    _back(builder, rng, foot, top, frame, cover, back)
    base = str(rng.choice(plan.bases))
    if base in ("star", "pedestal"):
        _swivel(builder, rng, seat - thick, half, star=base == "star")
    else:
        _legs(builder, rng, deep, half, rear_half, seat - thick, frame, base)
    if rng.random() < plan.arms:
        _arms(builder, rng, (half, deep, seat, thick), lean / tall, frame, cover, upholstered=back == "upholstered")
    return builder.build()


def _seat(builder: ShapeBuilder, rng, sizes, cover: np.ndarray, cushion: bool) -> None:
    """A seat with cut or round corners, perhaps with a cushion on it."""
    half, rear_half, deep, seat, thick = sizes
    cut = rng.choice([0.03, rng.uniform(0.05, 0.35)])
    corners = np.array([
        [deep, half * (1 - cut)], [deep, -half * (1 - cut)], [deep * (1 - cut), -half], [-deep * (1 - cut), -rear_half],
        [-deep, -rear_half * (1 - cut)], [-deep, rear_half * (1 - cut)], [-deep * (1 - cut), rear_half],
        [deep * (1 - cut), half],
    ])  # fmt: skip
    levels = ((0.96, seat - thick), (1, seat - thick * 0.6), (1, seat - thick * 0.3), (0.95, seat))
    builder.add(loft([np.insert(corners * share, 2, z, axis=1) for share, z in levels], smooth=False), cover, True)
    builder.keypoint_pair("seat_front", (*corners[0], seat - thick / 2))
    builder.keypoint_pair("seat_rear", (*corners[6], seat - thick / 2))
    if cushion:
        high, soft = rng.uniform(0.03, 0.09), random_paint(rng)
        pads = ((0.9, 0), (0.96, 0.5 * high), (0.85, high), (0.5, high * 1.15))
        builder.add(loft([np.insert(corners * share, 2, seat + z, axis=1) for share, z in pads]), soft, True)
    builder.keypoint("seat_middle", builder.top(0.0, 0.0))


def _arms(builder: ShapeBuilder, rng, sizes, lean: float, frame, cover, upholstered: bool) -> None:
    """Armrests: thick and padded, on a post, or in one loop from the back to the seat."""
    half, deep, seat, thick = sizes
    rest, end = seat + rng.uniform(0.16, 0.26), deep * rng.uniform(0.5, 0.95)
    back, y = -deep - lean * (rest - seat), half + 0.02
    if upholstered:
        wide = rng.uniform(0.05, 0.1)
        outline = [
            (-deep * 1.05, seat - thick),
            (end, seat - thick),
            (end, rest - 0.03),
            (-deep * 1.1, rest + rng.uniform(0, 0.08)),
        ]
        sections = [[(x, at, z) for x, z in outline] for at in (half - 0.01, half + wide)]
        builder.add_both(loft(sections, smooth=False), cover, True)
        rolled = [(back, half + wide / 2, rest), (end + 0.01, half + wide / 2, rest - 0.03)]
        builder.add_both(tube(rolled, [[wide * 0.65, 0.04]] * 2), cover, True)
        builder.keypoint_pair("arm_front", rolled[1])
        return
    wide = rng.choice([0.018, rng.uniform(0.025, 0.045)])
    builder.add_both(tube([(back, y, rest), (end, y, rest)], [[wide, 0.016]] * 2, smooth=False), frame)
    post = [(end - 0.02, y, rest), (end - 0.02, y, seat)] if rng.random() < 0.5 else [(0.0, y, rest), (0.0, y, seat)]
    low = (post[1][0], half * 0.9, seat - thick * 0.7)
    builder.add_both(tube([*post, low], [[0.016] * 2] * 3, (1, 0, 0), 8), frame)
    builder.keypoint_pair("arm_front", (end, y, rest))


def _back(builder: ShapeBuilder, rng, foot: np.ndarray, top: np.ndarray, frame, cover, kind: str) -> None:
    """Posts with a panel, rungs, bars, a splat or a grid; a pad on a stem; a shell; or an upholstered wall."""
    height, half = top[2] - foot[2], top[1]

    def across(share: float, half_height: float, depth: float, colour: np.ndarray, bow: float = 0.02) -> None:
        centre = foot + (top - foot) * share
        ends = [centre * [1, side, 1] - [bow * (1 - side**2), 0, 0] for side in (-1, -0.5, 0, 0.5, 1)]
        builder.add(tube(ends, [[depth, half_height]] * 5, (1, 0, 0), segments=10), colour, True)

    if kind in ("pad", "shell", "upholstered"):
        low = {"pad": rng.uniform(0.2, 0.45), "shell": 0.05, "upholstered": 0.1}[kind]
        thick = {"pad": rng.uniform(0.025, 0.05), "shell": 0.015, "upholstered": rng.uniform(0.05, 0.09)}[kind]
        bow, narrow = rng.uniform(0.0, 0.07), rng.uniform(0.6, 1.0)
        sections = []
        for share in np.linspace(low, 1, 6):
            at = foot + (top - foot) * share
            wide = half * (1 - (1 - narrow) * max(0, (share - 0.5) * 2) ** 2) * (0.85 if share in (low, 1) else 1)
            y = np.linspace(-1, 1, 5)
            front = np.stack([at[0] + thick - bow * (1 - y**2), y * wide, 0 * y + at[2]], 1)
            sections.append(np.concatenate([front, front[::-1] - [2 * thick, 0, 0]]))
        builder.add(loft(sections), cover, True)
        if kind == "pad":
            stem = [
                (-0.05, 0, foot[2]),
                (foot[0] - 0.06, 0, foot[2]),
                foot * [1, 0, 1] + (top - foot) * [0.5, 0, 0.55] - [0.05, 0, 0],
            ]
            builder.add(tube(stem, [[0.035, 0.014]] * 3), frame)
        corner = sections[-1][4] * 0.5 + sections[-1][5] * 0.5
        builder.keypoint_pair("back_top", corner)
        builder.keypoint("back_top_middle", sections[-1][[2, 7]].mean(axis=0))
        return
    thick = rng.uniform(0.012, 0.03)
    builder.add_both(tube([foot, top], [[thick] * 2] * 2, (1, 0, 0), 8), frame)
    bow = rng.uniform(0, 0.04)
    across(0.96, rng.uniform(0.02, 0.06) * height + 0.012, 0.016, frame, bow)
    if kind == "panel":
        low = rng.uniform(0.15, 0.5)
        across((low + 1) / 2, height * (1 - low) * 0.48, rng.uniform(0.015, 0.04), cover)
    elif kind == "rungs":
        for share in np.linspace(0.3, 0.8, rng.integers(2, 5)):
            across(share, 0.04 * height + 0.008, 0.012, frame)
    else:
        across(0.3, 0.015 + 0.02 * height, 0.012, frame)
        if kind == "splat":
            wide = rng.uniform(0.2, 0.5) * half
            ends = [(foot + (top - foot) * share) * [1, 0, 1] - [0.01, 0, 0] for share in (0.28, 0.6, 0.97)]
            builder.add(tube(ends, [[wide, 0.01], [wide * rng.uniform(0.5, 1.2), 0.01], [wide, 0.01]]), cover)
        else:
            for y in np.linspace(-0.75, 0.75, rng.integers(3, 8)):
                bar = [(foot + (top - foot) * share) * [1, y, 1] for share in (0.3, 0.97)]
                builder.add(tube(bar, [[0.009, 0.009]] * 2, (1, 0, 0), 8), frame)
        if kind == "grid":
            across(0.65, 0.012, 0.01, frame)
    builder.keypoint_pair("back_top", top)
    rail = (foot + (top - foot) * 0.96) * [1, 0, 1]
    builder.keypoint("back_top_middle", builder.outermost(rail - [bow, 0, 0], (0, 0, 1)))


def _legs(builder: ShapeBuilder, rng, deep: float, half: float, rear_half: float, height: float, frame, kind) -> None:
    """Four legs, straight or spread, often joined by rungs; short ones; a skirt to the ground; or two sled runners."""
    spread, thick = rng.uniform(0, 0.07), rng.choice([rng.uniform(0.01, 0.016), rng.uniform(0.016, 0.035)])
    if kind == "skirt":
        low = (-deep * 0.95, deep * 0.95, half * 0.97, 0.02)
        builder.add(block(low, (*low[:3], height + 0.01)), frame)
        height = 0.05
    feet, square = {}, 4 if rng.random() < 0.5 else 8
    for name, x, y in (("front", deep * 0.92, half * 0.92), ("rear", -deep * 0.92, rear_half * 0.92)):
        out = np.sign(x) * spread
        feet[name] = np.array([x + out, y + spread * 0.6, 0.0])
        path = [(x, y, height), feet[name]]
        builder.add_both(tube(path, [[thick] * 2, [thick * 0.75] * 2], (1, 0.001, 0), square, smooth=square > 4), frame)
        builder.keypoint_pair(f"{name}_foot", feet[name])
    if kind == "sled":
        builder.add_both(tube([feet["front"], feet["rear"]], [[thick * 0.8] * 2] * 2, segments=8), frame)
    elif kind == "legs" and rng.random() < 0.55:
        level = np.array([0, 0, height * rng.uniform(0.2, 0.6)])
        ends = [feet["front"] * [0.97, 0.97, 1] + level, feet["rear"] * [0.97, 0.97, 1] + level]
        builder.add_both(tube(ends, [[0.01, 0.01]] * 2, segments=8), frame)
        for end in ends if rng.random() < 0.6 else []:
            builder.add(
                tube([end + [0, 0, 0.02], end * [1, -1, 1] + [0, 0, 0.02]], [[0.01, 0.01]] * 2, (1, 0, 0), 8), frame
            )


def _swivel(builder: ShapeBuilder, rng, height: float, half: float, star: bool) -> None:
    """A column on a star of five feet with castors, one of them straight ahead, or on a round plate."""
    metal = DARK if rng.random() < 0.6 else np.array([0.7, 0.7, 0.72])
    builder.add(tube([(0, 0, height), (0, 0, 0.08)], [[0.03, 0.03]] * 2), metal)
    reach = half * rng.uniform(1.0, 1.3)
    if not star:
        plate = [(0, 0, 0.0), (0, 0, 0.02), (0, 0, 0.07)]
        builder.add(tube(plate, [[reach * 0.85] * 2, [reach * 0.85] * 2, [0.03] * 2], segments=20), metal)
        return
    for angle in np.radians([0, 72, 144, 216, 288]):
        out = np.array([np.cos(angle), np.sin(angle), 0]) * reach
        builder.add(tube([(0, 0, 0.1), out + [0, 0, 0.06]], [[0.025, 0.02]] * 2, (0.3, 0.2, 1), 8), metal)
        builder.add(ellipsoid(out + [0, 0, 0.03], (0.03, 0.03, 0.03)), DARK)
    builder.keypoint("front_castor", (reach + 0.03, 0, 0.03))
    builder.keypoint_pair("castor", (reach * np.cos(np.radians(72)), reach * np.sin(np.radians(72)) + 0.03, 0.03))

"""Procedural quadrupeds: one body plan, and each species' ranges of proportions and colours."""

from __future__ import annotations

import numpy as np

from spherecorr.render.colours import random_coat, random_pattern
from spherecorr.render.shapes import Shape, ShapeBuilder, ellipsoid, tube

DARK = np.array([0.1, 0.09, 0.09])


BROWN, SAND, GREY, BLACK, WHITE = (
    (0.07, 0.6, 0.4),
    (0.1, 0.45, 0.75),
    (0.08, 0.06, 0.5),
    (0.07, 0.2, 0.12),
    (0.1, 0.06, 0.93),
)


def _quadruped(
    category: str,
    rng: np.random.Generator,
    *,
    leg: tuple[float, float],
    girth: tuple[float, float],
    neck: tuple[float, float],
    neck_pitch: tuple[float, float],
    muzzle: tuple[float, float],
    head: tuple[float, float],
    ear: tuple[float, float],
    ear_spread: tuple[float, float],
    tail: tuple[float, float],
    tail_pitch: tuple[float, float],
    colours: list[tuple[float, float, float]],
    patches: float,
    horns: float = 0.0,
    mane: float = 0.0,
) -> Shape:
    """A four-legged animal. Lengths are in units of the trunk's length, angles in degrees above the horizon."""

    def pick(bounds: tuple[float, float]) -> float:
        return rng.uniform(*bounds)

    coat, second = random_coat(rng, colours), random_coat(rng, [*colours, WHITE, BLACK])
    builder = ShapeBuilder(category, random_pattern(rng, second, patches, 5.0))
    legs, body = pick(leg), pick(girth)
    belly = legs + body * 0.2
    centre_z = belly + body * 0.8
    x = np.array([-0.53, -0.5, -0.38, -0.1, 0.2, 0.4, 0.5, 0.53])
    across = np.array([0.25, 0.6, 0.95, 1.0, 1.0, 0.9, 0.55, 0.2]) * body * 0.85
    tall = np.array([0.3, 0.7, 1.0, 1.05, 1.05, 1.0, 0.65, 0.2]) * body
    sag = np.array([0.05, 0.06, 0.03, -0.03, -0.02, 0.03, 0.06, 0.06]) * body
    builder.add(tube(np.stack([x, 0 * x, centre_z + sag], 1), np.stack([across, tall], 1), segments=18), coat, True)
    builder.keypoint("back_middle", (0, 0, centre_z + body * 1.02))
    builder.keypoint_pair("shoulder", (0.36, body * 0.78, centre_z))
    builder.keypoint_pair("hip", (-0.4, body * 0.78, centre_z))

    pitch, turn = np.radians(pick(neck_pitch)), rng.normal() * 0.12
    forward = np.array([np.cos(turn), np.sin(turn), 0.0])
    withers = np.array([0.43, 0, centre_z + body * 0.45])
    along = forward * np.cos(pitch) + np.array([0, 0, np.sin(pitch)])
    poll = withers + along * pick(neck)
    thick = body * rng.uniform(0.45, 0.62)
    skull = pick(head)
    radii = np.stack([np.linspace(thick, skull * 0.75, 4), np.linspace(thick * 1.25, skull * 0.9, 4)], 1)
    builder.add(tube(np.linspace(withers - along * 0.12, poll, 4), radii), coat, True)
    builder.keypoint("withers", builder.top(0.33, 0.0))

    dip = np.radians(rng.uniform(5, 35))
    gaze = forward * np.cos(dip) - np.array([0, 0, np.sin(dip)])
    aside, above = np.cross([0, 0, 1.0], forward), np.cross(gaze, np.cross([0, 0, 1.0], forward))
    reach = pick(muzzle)
    nose = poll + gaze * (skull + reach)
    profile = np.array([[0.55, 0.6], [1, 1], [0.95, 0.95], [0.6, 0.62], [0.48, 0.45], [0.2, 0.2]]) * skull
    steps = np.array([-0.9, -0.4, 0.4, 1.0 + 0.3 * reach / skull, 0.85 + reach / skull, 1.0 + reach / skull]) * skull
    builder.add(tube(poll + gaze * steps[:, None], profile, side=aside), coat, True)
    builder.add(ellipsoid(nose - gaze * skull * 0.12, np.full(3, skull * 0.3)), DARK)
    builder.keypoint("nose", nose + gaze * skull * 0.15)
    tuft, horned = rng.uniform(0.5, 0.75), rng.random() < horns
    for sign, name in ((1, "left"), (-1, "right")):
        eye = poll + gaze * skull * 0.55 + sign * aside * skull * 0.85 + above * skull * 0.4
        builder.add(ellipsoid(eye, np.full(3, skull * 0.17)), DARK * 0.5)
        builder.keypoint(f"{name}_eye", eye + sign * aside * skull * 0.14)
        base = poll - gaze * skull * 0.25 + sign * aside * skull * tuft + above * skull * 0.6
        spread = np.radians(pick(ear_spread))
        tip = base + (above * np.cos(spread) + sign * aside * np.sin(spread)) * pick(ear)
        builder.add(
            tube(
                [base, (base + tip) / 2, tip],
                np.array([[0.3, 0.12], [0.34, 0.1], [0.06, 0.05]]) * skull * 1.2,
                side=gaze,
            ),
            coat,
        )
        builder.keypoint(f"{name}_ear_base", base + above * skull * 0.1)
        builder.keypoint(f"{name}_ear_tip", tip)
        if horned:
            bend = base + gaze * skull * 0.2 + sign * aside * skull * 0.9 + above * skull * 0.3
            horn = [base + gaze * skull * 0.2, bend, bend + above * skull * 0.8 + sign * aside * skull * 0.1]
            builder.add(
                tube(horn, np.array([[0.16, 0.16], [0.13, 0.13], [0.03, 0.03]]) * skull * 1.3, side=gaze),
                np.array([0.85, 0.8, 0.65]),
            )
    if rng.random() < mane:
        crest = np.linspace(withers + [0, 0, thick], poll + above * skull * 0.8, 4)
        builder.add(tube(crest, np.array([[0.05, 0.2]] * 4) * thick * 1.4), second * 0.6)

    foot = second if rng.random() < 0.4 else coat * 0.35
    for x_leg, end, bend in ((0.38, "front", 1.0), (-0.42, "back", -1.0)):
        for sign, name in ((1, "left"), (-1, "right")):
            swing = rng.normal() * 0.22 * legs
            hip = np.array([x_leg, sign * body * 0.5, centre_z - body * 0.2])
            paw = np.array([x_leg + swing, sign * body * 0.5, abs(swing) * 0.15])
            knee = hip * 0.5 + paw * 0.5 + np.array([bend * 0.04 - (0.05 if end == "back" else 0), 0, 0])
            thigh = body * rng.uniform(0.3, 0.42)
            limb = np.array([hip, hip * 0.5 + knee * 0.5, knee, paw + [0, 0, 0.06], paw])
            girths = np.array([[1, 1.25], [0.75, 0.9], [0.45, 0.48], [0.33, 0.36], [0.36, 0.42]]) * thigh
            builder.add(tube(limb, girths), coat, True)
            builder.add(tube([paw + [0.01, 0, 0.05], paw], np.array([[0.42, 0.5], [0.45, 0.56]]) * thigh), foot)
            builder.keypoint(f"{name}_{end}_knee", knee + np.array([0.0, sign * thigh * 0.42, 0]))
            builder.keypoint(f"{name}_{end}_paw", paw + np.array([0, sign * thigh * 0.42, 0.025]))

    lift = np.radians(pick(tail_pitch))
    root = np.array([-0.52, 0, centre_z + body * 0.4])
    tip = root + np.array([-np.cos(lift), rng.normal() * 0.2, np.sin(lift)]) * pick(tail)
    sides = np.array([[0.16, 0.16], [0.13, 0.13], [0.1, 0.1]]) * body
    builder.add(tube([root + [0.04, 0, 0], (root + tip) / 2 + [-0.02, 0, 0.02], tip], sides), coat)
    builder.keypoint("tail_base", builder.top(-0.5, 0.0))
    builder.keypoint("tail_tip", tip)
    return builder.build()


def horse(rng: np.random.Generator) -> Shape:
    """Long legs, long raised neck, hanging tail, mane."""
    return _quadruped(
        "horse", rng, leg=(0.62, 0.8), girth=(0.2, 0.26), neck=(0.38, 0.52), neck_pitch=(35, 62), muzzle=(0.2, 0.28),
        head=(0.085, 0.1), ear=(0.1, 0.15), ear_spread=(5, 25), tail=(0.4, 0.6), tail_pitch=(-80, -50),
        colours=[BROWN, SAND, BLACK, WHITE, GREY], patches=0.2, mane=0.9,
    )  # fmt: skip


def cow(rng: np.random.Generator) -> Shape:
    """Heavy trunk, level neck, horns more often than not, patches."""
    return _quadruped(
        "cow", rng, leg=(0.4, 0.56), girth=(0.25, 0.31), neck=(0.2, 0.3), neck_pitch=(0, 32), muzzle=(0.16, 0.22),
        head=(0.1, 0.125), ear=(0.11, 0.16), ear_spread=(65, 100), tail=(0.4, 0.55), tail_pitch=(-88, -65),
        colours=[BROWN, BLACK, WHITE, SAND], patches=0.6, horns=0.65,
    )  # fmt: skip


def sheep(rng: np.random.Generator) -> Shape:
    """Round and woolly, thin dark legs, short tail."""
    return _quadruped(
        "sheep", rng, leg=(0.3, 0.42), girth=(0.28, 0.36), neck=(0.18, 0.26), neck_pitch=(15, 45), muzzle=(0.11, 0.16),
        head=(0.09, 0.11), ear=(0.1, 0.15), ear_spread=(75, 115), tail=(0.1, 0.2), tail_pitch=(-80, -45),
        colours=[WHITE, SAND, GREY, BLACK], patches=0.1, horns=0.15,
    )  # fmt: skip


def dog(rng: np.random.Generator) -> Shape:
    """Many builds: muzzle, ears, legs and tail vary widely."""
    return _quadruped(
        "dog", rng, leg=(0.3, 0.65), girth=(0.16, 0.24), neck=(0.16, 0.28), neck_pitch=(25, 60), muzzle=(0.08, 0.2),
        head=(0.1, 0.14), ear=(0.1, 0.2), ear_spread=(5, 120), tail=(0.25, 0.5), tail_pitch=(-30, 75),
        colours=[BROWN, SAND, BLACK, WHITE, GREY], patches=0.35,
    )  # fmt: skip


def cat(rng: np.random.Generator) -> Shape:
    """Round head, short muzzle, pricked ears, long tail."""
    return _quadruped(
        "cat", rng, leg=(0.35, 0.5), girth=(0.14, 0.19), neck=(0.12, 0.2), neck_pitch=(15, 50), muzzle=(0.03, 0.07),
        head=(0.12, 0.15), ear=(0.11, 0.15), ear_spread=(5, 30), tail=(0.5, 0.8), tail_pitch=(-20, 75),
        colours=[GREY, SAND, BLACK, WHITE, BROWN], patches=0.5,
    )  # fmt: skip

"""The body of procedural four-legged animals: trunk, neck, head, legs and tail from a build and a pose.

Lengths are in units of the trunk's length, angles in degrees above the horizon. The trunk's middle stands over x = 0.
"""

from __future__ import annotations

import numpy as np

from spherecorr.render.shapes import Shape, ShapeBuilder, curve, ellipsoid, ring, tube, unit
from spherecorr.render.species import Pose

DARK = np.array([0.1, 0.09, 0.09])
UP, LEFT = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])


def quadruped(category: str, build: dict, pose: Pose, paints) -> Shape:
    """An animal of a build in a pose.

    Args:
        category: its name.
        build: from `draw_build`.
        pose: from `draw_pose`.
        paints: the coat's colour, a second one, the `Pattern`, the marking ("plain", "underside" or "saddle"), and
            whether feet and muzzle have the second colour.
    """
    builder = ShapeBuilder(category, paints[2])
    body, leg = build["girth"], build["leg"]
    attach = leg + 0.8 * body  # height of the legs' joints with the trunk
    low = body * 0.75
    if pose.kind == "sit":
        slope, rear = np.arcsin(np.clip((attach - low) / 0.8, 0.6, 0.9)), low
    elif pose.kind == "lie":
        slope, rear = 0.05, low
    else:
        slope, rear = 0.0, attach
    along, above = np.array([np.cos(slope), 0, np.sin(slope)]), np.array([-np.sin(slope), 0, np.cos(slope)])
    middle = np.array([-0.42, 0, rear]) + along * 0.42 + above * body * 0.2
    _trunk(builder, build, middle, along, above, paints)
    poll, gaze, aside = _neck(builder, build, pose, middle, along, above, paints)
    _head(builder, build, poll, gaze, aside, paints)
    _legs(builder, build, pose, middle, along, above, paints)
    _tail(builder, build, pose, middle, along, above, paints)
    return builder.build()


def _two_tone(builder: ShapeBuilder, part, segments: int, paints) -> None:
    """A tube of the coat, marked with the second colour below or above.

    The faces are chosen by their place around the tube, which is the same in all poses.
    """
    coat, second, _, marking, _ = paints
    if marking == "plain":
        builder.add(part, coat, True)
        return
    around = np.sin(np.linspace(0, 2 * np.pi, segments, endpoint=False))
    height = np.append(np.tile(around, (len(part.vertices) - 2) // segments), [0.0, 0.0])[part.faces].mean(axis=1)
    upper = height > {"underside": -0.3, "saddle": 0.35}[marking]
    builder.add(part.only(upper), second if marking == "saddle" else coat, True)
    builder.add(part.only(~upper), second if marking == "underside" else coat, True)


def _trunk(builder: ShapeBuilder, build: dict, middle, along, above, paints) -> None:
    """Deep at the chest, drawn in at the loins."""
    body, tuck = build["girth"], build["tuck"]
    x = np.array([-0.55, -0.51, -0.42, -0.22, 0.05, 0.25, 0.4, 0.5, 0.55])
    tall = np.array([0.25, 0.62, 0.92, 0.92 * tuck + 0.05, 0.95, 1.06, 1.0, 0.7, 0.25]) * body
    wide = np.array([0.25, 0.6, 0.9, 0.85, 0.95, 1.0, 0.9, 0.6, 0.2]) * body * build["width"]
    lift = np.array([0.1, 0.1, 0.05, (1 - tuck) * 0.6, 0.03, -0.04, 0.0, 0.06, 0.1]) * body
    path = middle + x[:, None] * along + lift[:, None] * above
    part = tube(path, np.stack([wide, tall], 1), segments=18)
    _two_tone(builder, part, 18, paints)
    builder.keypoint("back_middle", builder.outermost(middle, above))
    for name, at in (("shoulder", 0.36), ("hip", -0.42)):
        builder.keypoint_pair(name, builder.outermost(middle + along * at, LEFT))


def _neck(builder: ShapeBuilder, build: dict, pose: Pose, middle, along, above, paints):
    """The neck from the withers to the poll; returns the poll, and where the head looks and has its left."""
    body, skull = build["girth"], build["head"]
    pitch = np.radians(build["neck_pitch"]) + pose.neck
    if pose.kind == "graze":
        pitch = np.radians(-48) + pose.neck * 0.5
    if pose.kind == "sit":
        pitch = np.clip(pitch + 0.35, 0.5, 1.45)
    turn = pose.turn
    direction = np.array([np.cos(pitch) * np.cos(turn), np.cos(pitch) * np.sin(turn), np.sin(pitch)])
    withers = middle + along * 0.4 + above * body * 0.3
    poll = withers + direction * (build["neck"] + body * 0.25)
    thick = body * build["neck_girth"]
    share = np.linspace(0, 1, 6)
    path = curve([withers - along * 0.16 - above * body * 0.3, withers + direction * 0.05, poll], 6)
    slim = skull * 0.78
    radii = np.stack([slim + (thick - slim) * (1 - share) ** 1.3, slim + (thick * 1.45 - slim) * (1 - share) ** 1.3], 1)
    radii[0] *= 0.55  # under the trunk's skin
    _two_tone(builder, tube(path, radii, segments=14), 14, paints)
    builder.keypoint("withers", builder.outermost(middle + along * 0.34, above))
    if build["mane"]:
        crest = path[1:] + np.cross(direction, LEFT) * radii[1:, 1:] * 0.8
        builder.add(tube(crest, np.array([[0.05, 0.3]] * 5) * thick * 1.2), paints[1] * 0.6)
    if build["collar"]:
        at = path[3] * 0.6 + path[4] * 0.4
        axis = unit(path[4] - path[3])
        builder.add(ring(at, float(radii[3:5].mean()) * 1.02, 0.02, axis, 16), np.array([0.75, 0.1, 0.12]))
    yaw = np.clip(turn + pose.yaw, -1.15, 1.15)
    nod = -np.radians(build["dip"]) + np.clip(pose.nod, -0.6, 0.5)
    if pose.kind == "graze":
        nod -= 0.7
    gaze = np.array([np.cos(nod) * np.cos(yaw), np.cos(nod) * np.sin(yaw), np.sin(nod)])
    return poll, gaze, np.array([-np.sin(yaw), np.cos(yaw), 0])


def _head(builder: ShapeBuilder, build: dict, poll, gaze, aside, paints) -> None:
    """Skull, muzzle, nose, eyes, ears and horns."""
    coat, second, _, _, marked = paints
    skull, reach, snout = build["head"], build["muzzle"], build["snout"]
    above = np.cross(gaze, aside)
    steps = np.array([-1.0, -0.8, -0.3, 0.3, 0.75])
    profile = np.array([[0.3, 0.3], [0.75, 0.75], [1, 1], [0.95, 0.92], [0.62, 0.62]]) * skull
    builder.add(tube(poll + gaze * steps[:, None] * skull, profile, aside), coat, True)
    start, end = 0.3 * skull, skull * 0.75 + reach
    share = np.array([0, 0.35, 0.8, 0.95, 1.0])
    drop = -above * skull * 0.25
    path = poll + drop + gaze * (start + (end - start) * share)[:, None]
    sizes = np.array([[0.85, 0.75], [0.9 * snout + 0.1, 0.62], [snout, 0.5], [snout * 0.8, 0.42], [snout * 0.4, 0.2]])
    builder.add(tube(path, sizes * skull, aside), second if marked else coat, True)
    nose = path[-1] + above * skull * 0.2
    builder.add(ellipsoid(nose - gaze * skull * 0.05, np.full(3, skull * 0.24), 7, 10), DARK)
    builder.keypoint("nose", nose + gaze * skull * 0.18)
    for sign, name in ((1, "left"), (-1, "right")):
        side = sign * aside
        eye = poll + gaze * skull * 0.5 + side * skull * 0.68 + above * skull * 0.35
        builder.add(ellipsoid(eye, np.full(3, skull * 0.18), 6, 10), DARK * 0.5)
        builder.keypoint(f"{name}_eye", eye + side * skull * 0.15)
        base = poll - gaze * skull * 0.25 + side * skull * 0.62 + above * skull * 0.62
        long = build["ear"]
        bend, tip = {
            "erect": (above * 0.5 + side * 0.12, above + side * 0.22),
            "half": (above * 0.55 + side * 0.2, above * 0.5 + side * 0.35 + gaze * 0.45),
            "level": (side * 0.55 + above * 0.1, side - above * 0.15),
            "floppy": (side * 0.4 + above * 0.05, side * 0.5 - above * 0.9 + gaze * 0.1),
        }[build["ears"]]
        path = curve([base - above * skull * 0.15, base + bend * long, base + tip * long], 5)
        broad = (0.4, 0.46, 0.48, 0.36, 0.12) if build["ears"] == "floppy" else (0.38, 0.4, 0.34, 0.2, 0.04)
        builder.add(tube(path, np.array([broad, [0.14, 0.12, 0.1, 0.08, 0.04]]).T * skull * 1.15, gaze, 10),
                    second if marked and build["ears"] == "floppy" else coat)  # fmt: skip
        builder.keypoint(f"{name}_ear_base", path[1])
        builder.keypoint(f"{name}_ear_tip", path[-1])
        if build["horns"]:
            start = base + gaze * skull * 0.2
            bow = start + side * skull * 0.9 + above * skull * 0.3
            horn = [start, bow, bow + above * skull * 0.9 + side * skull * 0.1]
            builder.add(tube(curve(horn, 5), np.linspace(0.2, 0.04, 5)[:, None] * np.full(2, skull), gaze, 8),
                        np.array([0.85, 0.8, 0.65]))  # fmt: skip


def _joints(build: dict, pose: Pose, hip, end: str, swing: float) -> np.ndarray:
    """The leg's hip or shoulder, knee or elbow, hock or wrist, and paw `[4, 3]`, in the plane of the hip."""
    tall, leg = hip[2], build["leg"] + build["girth"] * 0.8
    if end == "front" and pose.kind == "lie":
        offsets = [(0, tall), (-0.22 * leg, 0.16 * tall + 0.05), (0.12 * leg, 0.05), (0.42 * leg, 0.03)]
    elif end == "back" and pose.kind in ("sit", "lie"):
        fold = 0.55 * leg
        offsets = [(0, tall), (0.75 * fold, max(0.45 * fold, 0.4 * tall)), (-0.1 * fold, 0.05), (0.55 * fold, 0.03)]
    elif end == "front":
        offsets = [(0, tall), (-0.05 * leg, 0.6 * tall), (0.02 * leg, 0.35 * tall), (0, 0.0)]
    else:
        bend = build["bend"]
        offsets = [(0, tall), (0.1 * leg * bend, 0.56 * tall), (-0.14 * leg * bend, 0.3 * tall), (-0.06 * leg, 0.0)]
    joints = np.array([(x, 0.0, z) for x, z in offsets]) + [hip[0], hip[1], 0]
    reach = np.array([0, 0.3, 0.7, 1.0]) * swing * leg
    raised = np.array([0, 0.1, 0.6, 1.0]) * max(0.0, -swing) * 0.35 * leg
    return joints + reach[:, None] * [1, 0, 0] + raised[:, None] * UP


def _legs(builder: ShapeBuilder, build: dict, pose: Pose, middle, along, above, paints) -> None:
    coat, second, _, _, marked = paints
    body, thigh = build["girth"], build["thigh"] * build["girth"]
    foot = second if marked else coat * 0.45
    for number, (sign, name, end) in enumerate(
        [(1, "left", "front"), (-1, "right", "front"), (1, "left", "back"), (-1, "right", "back")]
    ):
        at = 0.38 if end == "front" else -0.42
        wide = 0.52 if pose.kind not in ("sit", "lie") or end == "front" else 0.72
        hip = middle + along * at - above * body * 0.2
        hip = np.array([hip[0], sign * body * wide * build["width"] * 1.1, hip[2]])
        joints = _joints(build, pose, hip, end, pose.swing[number])
        path = np.concatenate([joints[:1], (joints[:1] + joints[1:2]) / 2, joints[1:], joints[-1:] + [0.02, 0, 0]])
        path[-2, 2] += 0.04
        path[0, 1] *= 0.8  # inside the trunk
        girths = np.array([[0.45, 0.9], [0.8, 1.2], [0.6, 0.75], [0.38, 0.42], [0.32, 0.36], [0.32, 0.36]]) * thigh
        if end == "back":
            girths[1:3] *= [1, 1.2]
        builder.add(tube(path, girths, segments=12), coat, True)
        toe = joints[-1] + np.array([0.05, 0, 0.03]) * (1 if build["leg"] < 0.6 else 0.4)
        builder.add(ellipsoid(toe, (0.06 + 0.15 * thigh, 0.45 * thigh, 0.035), 6, 10), foot)
        bent = 3 if end == "front" else 2
        knee = path[bent] + np.array([0, sign * girths[bent, 0], 0])
        builder.keypoint(f"{name}_{end}_knee", knee)
        builder.keypoint(f"{name}_{end}_paw", toe + np.array([0, sign * 0.44 * thigh, 0]))


def _tail(builder: ShapeBuilder, build: dict, pose: Pose, middle, along, above, paints) -> None:
    """Straight, hanging, a sickle, or curled over the back."""
    body, long = build["girth"], build["tail"]
    root = middle - along * 0.5 + above * body * 0.45
    lift = np.radians(build["tail_pitch"]) - (0.7 if pose.kind == "sit" else 0)
    if pose.kind in ("sit", "lie"):
        lift = max(lift, -0.15)
    out = -np.array([np.cos(pose.wag), np.sin(pose.wag), 0])
    kind = build["tails"]
    if kind == "curled":
        angle = np.linspace(-0.3, 3.9, 8)[:, None]
        path = root + long * 0.28 * (np.sin(angle) * out + (1 - np.cos(angle)) * UP)
    elif kind == "hanging":
        fall = -UP if pose.kind not in ("sit", "lie") else out * 0.9
        path = curve(
            [
                root,
                root + out * 0.08 + fall * 0.05,
                root + out * 0.14 + fall * long * 0.5,
                root + out * 0.12 + fall * long,
            ],
            8,
        )
    else:
        straight = out * np.cos(lift) + UP * np.sin(lift)
        rise = UP * (0.35 if kind == "sickle" else 0.0) * long
        path = curve([root, root + straight * long * 0.5, root + straight * long * 0.85 + rise], 8)
    path[:, 2] = np.maximum(path[:, 2], 0.03)
    full = np.array([0.7, 0.9, 1.0, 1.0, 0.95, 0.8, 0.55, 0.2]) * build["bushy"] * body * 0.3
    side = LEFT if abs(pose.wag) < 1 else UP
    path = np.concatenate([[root + along * 0.05 - above * body * 0.1], path[1:]])
    builder.add(tube(path, np.stack([full, full], 1), side, 10), paints[0], True)
    builder.keypoint("tail_base", builder.outermost(middle - along * 0.49, above))
    builder.keypoint("tail_tip", path[-1])

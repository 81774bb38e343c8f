"""What is drawn by chance of a four-legged animal: its build, from the ranges of its species, and its pose.

Lengths are in units of the trunk's length, angles in degrees above the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Species:
    """Ranges of proportions, and shares of kinds of ears, tails and poses.

    Attributes:
        leg: from the ground to the belly.
        girth: half height of the trunk.
        neck: length.
        neck_pitch: of the neck.
        muzzle: length before the skull.
        head: radius of the skull.
        ear: length.
        ears: share of "erect", "half" (tipped), "level" and "floppy" ones.
        tail: length.
        tail_pitch: of the tail; "hanging" and "curled" ones have their own.
        tails: "straight", "sickle", "hanging" or "curled", one of them by chance.
        bushy: thickness of the tail; 1 is a third of the trunk's.
        poses: share of "stand", "walk", "sit", "lie" and "graze".
        neck_girth: of the neck at the shoulders, as a share of the trunk's.
        snout: width of the muzzle as a share of the skull's.
        bend: of the hind legs; 1 is a dog's.
        horns: share of animals with horns.
        mane: share with a mane.
        collar: share with a collar.
    """

    leg: Range
    girth: Range
    neck: Range
    neck_pitch: Range
    muzzle: Range
    head: Range
    ear: Range
    ears: dict[str, float]
    tail: Range
    tail_pitch: Range
    tails: tuple[str, ...]
    bushy: Range
    poses: dict[str, float]
    neck_girth: Range = (0.45, 0.65)
    snout: Range = (0.48, 0.72)
    bend: float = 1.0
    horns: float = 0.0
    mane: float = 0.0
    collar: float = 0.0


@dataclass(frozen=True)
class Pose:
    """How an animal holds itself; angles in radians.

    Attributes:
        kind: "stand", "walk", "sit", "lie" or "graze".
        turn: of the neck to the left.
        yaw: of the head to the left, beyond the neck's.
        nod: of the head upwards, beyond its build's.
        neck: of the neck upwards, beyond its build's.
        swing: of the four feet forward, as a share of the legs' length.
        wag: of the tail to the left.
    """

    kind: str
    turn: float = 0.0
    yaw: float = 0.0
    nod: float = 0.0
    neck: float = 0.0
    swing: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    wag: float = 0.0


def draw_pose(species: Species, rng: np.random.Generator | None) -> Pose:
    """A random pose; without `rng`, that of an animal that stands and looks ahead."""
    if rng is None:
        return Pose("stand")
    kind = str(rng.choice(list(species.poses), p=list(species.poses.values())))
    swing = rng.normal(size=4) * {"walk": 0.3, "stand": 0.06, "graze": 0.08}.get(kind, 0.03)
    turned = rng.random() < 0.5
    turn, yaw, nod, neck, wag = rng.normal(size=5) * (0.25, 0.5 if turned else 0.08, 0.2, 0.15, 0.3)
    return Pose(kind, np.clip(turn, -0.5, 0.5), np.clip(yaw, -0.8, 0.8), nod, neck, tuple(swing), wag)


def draw_build(species: Species, rng: np.random.Generator) -> dict:
    """The proportions of one animal: numbers by the names of the species' ranges, and its kinds of ears and tail."""
    drawn = {
        name: rng.uniform(*getattr(species, name))
        for name in ("leg", "girth", "neck", "neck_pitch", "muzzle", "head", "ear", "tail", "tail_pitch", "bushy",
                     "neck_girth", "snout")
    }  # fmt: skip
    for name in ("horns", "mane", "collar"):
        drawn[name] = rng.random() < getattr(species, name)
    drawn["ears"] = str(rng.choice(list(species.ears), p=list(species.ears.values())))
    drawn["tails"] = str(rng.choice(species.tails))
    drawn["dip"], drawn["thigh"], drawn["tuck"] = rng.uniform(3, 30), rng.uniform(0.34, 0.48), rng.uniform(0.6, 1.0)
    drawn["width"], drawn["bend"] = rng.uniform(0.7, 0.92), species.bend
    return drawn

"""Procedural quadrupeds: each species' ranges of proportions, colours and poses. See `render.quadruped`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spherecorr.render.colours import random_coat, random_pattern
from spherecorr.render.quadruped import quadruped
from spherecorr.render.shapes import Shape
from spherecorr.render.species import Species, draw_build, draw_pose

BROWN, SAND, GREY, BLACK, WHITE = (
    (0.07, 0.6, 0.4),
    (0.1, 0.45, 0.75),
    (0.08, 0.06, 0.5),
    (0.07, 0.2, 0.12),
    (0.1, 0.06, 0.93),
)
HORSE = Species(
    leg=(0.6, 0.8), girth=(0.2, 0.26), neck=(0.38, 0.54), neck_pitch=(35, 65), muzzle=(0.2, 0.28), head=(0.09, 0.115),
    ear=(0.1, 0.15), ears={"erect": 1.0}, tail=(0.4, 0.65), tail_pitch=(-82, -40), tails=("hanging",), bushy=(0.7, 1.3),
    poses={"stand": 0.55, "walk": 0.35, "lie": 0.02, "graze": 0.08}, mane=0.9,
    neck_girth=(0.62, 0.85), snout=(0.68, 0.88), bend=0.45,
)  # fmt: skip
COW = Species(
    leg=(0.38, 0.56), girth=(0.25, 0.32), neck=(0.2, 0.32), neck_pitch=(-5, 32), muzzle=(0.16, 0.22),
    head=(0.1, 0.125), ear=(0.11, 0.17), ears={"level": 1.0}, tail=(0.4, 0.55), tail_pitch=(-88, -65),
    tails=("hanging",), bushy=(0.25, 0.4), poses={"stand": 0.55, "walk": 0.2, "lie": 0.13, "graze": 0.12}, horns=0.6,
    neck_girth=(0.55, 0.75), snout=(0.72, 0.95), bend=0.4,
)  # fmt: skip
SHEEP = Species(
    leg=(0.26, 0.42), girth=(0.28, 0.37), neck=(0.16, 0.28), neck_pitch=(10, 50), muzzle=(0.1, 0.17),
    head=(0.09, 0.115), ear=(0.1, 0.16), ears={"level": 0.8, "floppy": 0.2}, tail=(0.1, 0.22), tail_pitch=(-85, -45),
    tails=("hanging",), bushy=(0.6, 1.2), poses={"stand": 0.55, "walk": 0.2, "lie": 0.12, "graze": 0.13}, horns=0.2,
    neck_girth=(0.55, 0.85), snout=(0.6, 0.8), bend=0.4,
)  # fmt: skip
CAT = Species(
    leg=(0.33, 0.5), girth=(0.14, 0.21), neck=(0.1, 0.2), neck_pitch=(15, 60), muzzle=(0.03, 0.07), head=(0.12, 0.16),
    ear=(0.11, 0.16), ears={"erect": 1.0}, tail=(0.45, 0.8), tail_pitch=(-50, 80),
    tails=("straight", "sickle", "hanging"), bushy=(0.4, 1.2),
    poses={"stand": 0.3, "walk": 0.25, "sit": 0.25, "lie": 0.2},
)  # fmt: skip
DOG = Species(
    leg=(0.33, 0.6), girth=(0.17, 0.24), neck=(0.14, 0.28), neck_pitch=(25, 65), muzzle=(0.1, 0.2), head=(0.11, 0.15),
    ear=(0.12, 0.2), ears={"erect": 0.35, "floppy": 0.5, "half": 0.15}, tail=(0.25, 0.5), tail_pitch=(-50, 75),
    tails=("straight", "sickle", "hanging"), bushy=(0.4, 1.1),
    poses={"stand": 0.36, "walk": 0.16, "sit": 0.28, "lie": 0.2}, collar=0.2,
)  # fmt: skip
BREEDS = {
    "mixed": (0.3, DOG),
    "sheepdog": (0.12, replace(DOG, girth=(0.2, 0.27), muzzle=(0.14, 0.2), tails=("hanging", "sickle"), bushy=(1, 1.7),
                               neck_girth=(0.6, 0.85))),
    "dachshund": (0.07, replace(DOG, leg=(0.1, 0.18), girth=(0.13, 0.18), head=(0.09, 0.12), muzzle=(0.13, 0.2),
                                ears={"floppy": 1.0}, tails=("straight", "sickle"), bushy=(0.3, 0.5))),
    "greyhound": (0.08, replace(DOG, leg=(0.62, 0.85), girth=(0.15, 0.2), neck=(0.25, 0.36), head=(0.085, 0.1),
                                muzzle=(0.16, 0.24), ears={"half": 0.7, "floppy": 0.3}, tails=("hanging",),
                                bushy=(0.2, 0.4), neck_girth=(0.35, 0.5))),
    "spitz": (0.12, replace(DOG, girth=(0.19, 0.26), head=(0.12, 0.15), muzzle=(0.09, 0.14), ears={"erect": 1.0},
                            tails=("curled", "curled", "sickle"), bushy=(0.9, 1.5), neck_girth=(0.6, 0.8))),
    "pug": (0.11, replace(DOG, leg=(0.28, 0.48), girth=(0.22, 0.3), neck=(0.1, 0.16), head=(0.15, 0.19),
                          muzzle=(0.02, 0.06), ears={"floppy": 0.7, "half": 0.3}, tails=("curled", "straight"),
                          tail=(0.12, 0.25))),
    "toy": (0.08, replace(DOG, leg=(0.3, 0.45), girth=(0.17, 0.24), head=(0.16, 0.2), muzzle=(0.05, 0.1),
                          ear=(0.14, 0.24), ears={"erect": 0.6, "floppy": 0.4}, bushy=(0.4, 1.4))),
    "spotted": (0.12, replace(DOG, leg=(0.48, 0.64), ears={"floppy": 1.0}, muzzle=(0.13, 0.19))),
}  # fmt: skip


def _animal(
    category: str, species: Species, rng, colours, patches: float, size: tuple[float, ...] = (5.0, 9.0)
) -> Shape:
    """An animal in a pose; where its surface points lie is told by the same animal standing still."""
    coat, second = random_coat(rng, colours), random_coat(rng, [*colours, WHITE, BLACK])
    build, pose = draw_build(species, rng), draw_pose(species, rng)
    pattern = random_pattern(rng, second, patches, rng.choice(size))
    markings = (
        ["plain", "plain", "underside", "saddle"] if category in ("cat", "dog") else ["plain"] * 4 + ["underside"]
    )
    paints = (coat, second, pattern, str(rng.choice(markings)), rng.random() < 0.4)
    standing = quadruped(category, build, draw_pose(replace(species, poses={"stand": 1.0}), None), paints)
    return replace(quadruped(category, build, pose, paints), canonical=standing.canonical)


def horse(rng: np.random.Generator) -> Shape:
    """Long legs, long raised neck, hanging tail, mane; some graze."""
    return _animal("horse", HORSE, rng, [BROWN, SAND, BLACK, WHITE, GREY], 0.2)


def cow(rng: np.random.Generator) -> Shape:
    """Heavy trunk, level neck, horns more often than not, patches; some graze or lie."""
    return _animal("cow", COW, rng, [BROWN, BLACK, WHITE, SAND], 0.6)


def sheep(rng: np.random.Generator) -> Shape:
    """Round and woolly, thin dark legs, short tail; some graze or lie."""
    return _animal("sheep", SHEEP, rng, [WHITE, WHITE, SAND, GREY, BLACK], 0.1)


def cat(rng: np.random.Generator) -> Shape:
    """Round head, short muzzle, pricked ears, long tail; many sit or lie."""
    return _animal("cat", CAT, rng, [GREY, SAND, BLACK, WHITE, BROWN], 0.5, (5.0, 12.0))


def dog(rng: np.random.Generator) -> Shape:
    """Eight builds from dachshunds to greyhounds; they stand, walk, sit and lie."""
    return dog_of(str(rng.choice(list(BREEDS), p=[share for share, _ in BREEDS.values()])), rng)


def dog_of(breed: str, rng: np.random.Generator) -> Shape:
    """A dog of one of `BREEDS`."""
    if breed == "spotted":
        return _animal("dog", BREEDS[breed][1], rng, [WHITE], 1.0, (14.0, 20.0))
    return _animal("dog", BREEDS[breed][1], rng, [BROWN, SAND, BLACK, WHITE, GREY], 0.35)

"""Building blocks of procedural objects: tubes, boxes, discs, and the builder that collects them.

Frame of every object: +x forward (its front), +y its left, +z up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Colour = np.ndarray  # [3], sRGB 0..1


@dataclass(frozen=True, eq=False)
class Pattern:
    """A second colour laid over a coat where a sum of plane waves over the object is high (patches, stripes).

    Attributes:
        colour: sRGB 0..1.
        waves: `[K, 3]` wave vectors in radians per unit of the object.
        phases: `[K]`.
        threshold: of the mean of the waves, -1..1; above 1 the pattern is never seen.
    """

    colour: Colour
    waves: np.ndarray
    phases: np.ndarray
    threshold: float


def random_pattern(rng: np.random.Generator, colour: Colour, chance: float, frequency: float) -> Pattern:
    """Patches of `colour` on a share `chance` of the objects; `frequency` in radians per unit."""
    waves = rng.normal(size=(6, 3)) * frequency
    threshold = rng.uniform(0.0, 0.35) if rng.random() < chance else 2.0
    return Pattern(colour, waves, rng.uniform(0, 2 * np.pi, 6), threshold)


@dataclass(frozen=True, eq=False)
class Shape:
    """One object, centred on its bounding box and scaled so that its farthest vertex lies at distance 1.

    Attributes:
        category: SPair-71k's name of its category.
        vertices: `[V, 3]`.
        faces: int `[F, 3]`.
        normals: `[F, 3, 3]` one per face corner.
        colours: `[F, 3]` sRGB 0..1.
        coat: bool `[F]`, faces that carry the pattern.
        pattern: laid over the coat.
        keypoints: name -> `[3]`, a point on the surface.
    """

    category: str
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    coat: np.ndarray
    pattern: Pattern
    keypoints: dict[str, np.ndarray]

    @property
    def half_extents(self) -> np.ndarray:
        """Half the side lengths `[3]` of the bounding box."""
        return np.abs(self.vertices).max(axis=0)


@dataclass
class Part:
    """A piece of surface in one colour; smooth parts get vertex normals, others face normals."""

    vertices: np.ndarray
    faces: np.ndarray
    smooth: bool

    def mirrored(self) -> Part:
        """The same part on the object's other side (y -> -y)."""
        return Part(self.vertices * [1, -1, 1], self.faces[:, ::-1], self.smooth)


def tube(path, radii, side=(0.0, 1.0, 0.0), segments: int = 14, smooth: bool = True) -> Part:
    """A closed tube with elliptic sections along a path: bodies, necks, legs, wings.

    Args:
        path: `[n, 3]` centres of the sections.
        radii: `[n, 2]` half widths along `side` and across it.
        side: direction of the first radius; must not run along the path.
        segments: corners of a section (4 gives a diamond).
        smooth: shade as a round surface.
    """
    path, radii = np.asarray(path, dtype=float), np.asarray(radii, dtype=float)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    across = np.asarray(side) - tangent * (tangent @ np.asarray(side))[:, None]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(tangent, across)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    ring = (
        path[:, None]
        + across[:, None] * (radii[:, :1] * np.cos(angle))[..., None]
        + up[:, None] * (radii[:, 1:] * np.sin(angle))[..., None]
    )
    vertices = np.concatenate([ring.reshape(-1, 3), path[:1], path[-1:]])
    first = np.arange(len(path) - 1)[:, None] * segments + np.arange(segments)
    after = np.arange(len(path) - 1)[:, None] * segments + (np.arange(segments) + 1) % segments
    a, b, c, d = first.ravel(), after.ravel(), (after + segments).ravel(), (first + segments).ravel()
    around, following = np.arange(segments), (np.arange(segments) + 1) % segments
    last = (len(path) - 1) * segments
    start = np.stack([np.full(segments, len(vertices) - 2), following, around], axis=1)
    end = np.stack([np.full(segments, len(vertices) - 1), last + around, last + following], axis=1)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1), start, end])
    return Part(vertices, faces, smooth)


def ellipsoid(centre, radii, rings: int = 9, segments: int = 14) -> Part:
    """An ellipsoid with half axes `radii` along x, y, z."""
    angle = np.linspace(0.02, np.pi - 0.02, rings)
    path = np.asarray(centre) + np.stack([-np.cos(angle) * radii[0], 0 * angle, 0 * angle], axis=1)
    return tube(path, np.sin(angle)[:, None] * np.asarray(radii)[None, 1:], segments=segments)


def block(corners_low, corners_high) -> Part:
    """A six-sided block between two rectangles, the lower and the upper one.

    Args:
        corners_low: (x0, x1, half width, z) of the lower rectangle, symmetric about y = 0.
        corners_high: the same for the upper one.
    """
    vertices = []
    for x0, x1, half, z in (corners_low, corners_high):
        vertices += [(x0, -half, z), (x1, -half, z), (x1, half, z), (x0, half, z)]
    return _six_sides(np.array(vertices))


def box(centre, size) -> Part:
    """An upright box of side lengths `size` around `centre`."""
    x, y, z = np.asarray(size) / 2
    corners = [(-x, -y, -z), (x, -y, -z), (x, y, -z), (-x, y, -z), (-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)]
    return _six_sides(np.array(corners) + np.asarray(centre))


def _six_sides(vertices: np.ndarray) -> Part:
    quads = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return Part(vertices, np.array(faces), smooth=False)


@dataclass
class ShapeBuilder:
    """Collects the parts and keypoints of one object."""

    category: str
    pattern: Pattern
    parts: list[tuple[Part, Colour, bool]] = field(default_factory=list)
    keypoints: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, part: Part, colour: Colour, coat: bool = False) -> None:
        """Add one part; `coat` parts carry the object's pattern."""
        self.parts.append((part, np.asarray(colour, dtype=float), coat))

    def add_both(self, part: Part, colour: Colour, coat: bool = False) -> None:
        """Add a part and its mirror image."""
        self.add(part, colour, coat)
        self.add(part.mirrored(), colour, coat)

    def keypoint(self, name: str, point) -> None:
        """Name a point of the surface on the plane of symmetry."""
        self.keypoints[name] = np.asarray(point, dtype=float)

    def keypoint_pair(self, name: str, point) -> None:
        """Name a point of the left side and its mirror image, as `left_<name>` and `right_<name>`."""
        self.keypoint(f"left_{name}", point)
        self.keypoint(f"right_{name}", np.asarray(point) * [1, -1, 1])

    def build(self) -> Shape:
        """Join the parts, centre and scale them."""
        counts = np.cumsum([0] + [len(part.vertices) for part, _, _ in self.parts])
        vertices = np.concatenate([part.vertices for part, _, _ in self.parts])
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        centre = (low + high) / 2
        radius = np.linalg.norm(vertices - centre, axis=1).max()
        return Shape(
            self.category,
            (vertices - centre) / radius,
            np.concatenate([part.faces + start for (part, _, _), start in zip(self.parts, counts, strict=False)]),
            np.concatenate([_corner_normals(part) for part, _, _ in self.parts]),
            np.concatenate([np.tile(colour, (len(part.faces), 1)) for part, colour, _ in self.parts]),
            np.concatenate([np.full(len(part.faces), coat) for part, _, coat in self.parts]),
            self.pattern,
            {name: (point - centre) / radius for name, point in self.keypoints.items()},
        )


def _corner_normals(part: Part) -> np.ndarray:
    """Unit normals `[F, 3, 3]`: the face's own, or for smooth parts the mean of the faces around each vertex."""
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    by_area = np.cross(b - a, c - a)
    if part.smooth:
        at_vertex = np.zeros_like(part.vertices)
        for corner in range(3):
            np.add.at(at_vertex, part.faces[:, corner], by_area)
        normals = at_vertex[part.faces]
    else:
        normals = np.repeat(by_area[:, None], 3, axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)

"""Objects to render, and building blocks of procedural ones: tubes, rings, boxes, and the builder that collects them.

Frame of every object: +x forward (its front), +y its left, +z up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from spherecorr.render.colours import Colour, Pattern


@dataclass(frozen=True, eq=False)
class Shape:
    """One object, scaled so that its farthest vertex lies at distance 1; y = 0 is its plane of symmetry.

    Attributes:
        category: SPair-71k's name of its category.
        vertices: `[V, 3]`.
        faces: int `[F, 3]`.
        canonical: float32 `[V, 3]`, -1..1: where each vertex lies on the undeformed object, as a share of the bounding
            box's half extents. It means the same on all objects of a category.
        normals: float32 `[F, 3, 3]`, one per face corner.
        colours: float32 `[F, 3]`, sRGB 0..1.
        coat: bool `[F]`, faces that carry the pattern.
        pattern: laid over the coat.
        keypoints: name -> `[3]`, a point on the surface.
    """

    category: str
    vertices: np.ndarray
    faces: np.ndarray
    canonical: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    coat: np.ndarray
    pattern: Pattern
    keypoints: dict[str, np.ndarray]


@dataclass
class Part:
    """A piece of surface in one colour; smooth parts get vertex normals, others face normals."""

    vertices: np.ndarray
    faces: np.ndarray
    smooth: bool

    def mirrored(self) -> Part:
        """The same part on the object's other side (y -> -y)."""
        return Part(self.vertices * [1, -1, 1], self.faces[:, ::-1], self.smooth)

    def split(self, normal, offset: float) -> tuple[Part, Part]:
        """The faces before and behind a plane, by their centres: bellies, waterlines, stripes.

        Args:
            normal: of the plane.
            offset: of the plane along `normal`.
        """
        before = self.vertices[self.faces].mean(axis=1) @ np.asarray(normal, dtype=float) > offset
        return self.only(before), self.only(~before)

    def only(self, chosen: np.ndarray) -> Part:
        """The part's faces where `chosen` `[F]` is true, with their vertices."""
        used, faces = np.unique(self.faces[chosen], return_inverse=True)
        return Part(self.vertices[used], faces.reshape(-1, 3), self.smooth)


def tube(path, radii, side=(0.0, 1.0, 0.0), segments: int = 14, smooth: bool = True) -> Part:
    """A closed tube with elliptic sections along a path: bodies, necks, legs, wings.

    Args:
        path: `[n, 3]` centres of the sections.
        radii: `[n, 2]` half widths along `side` and across it.
        side: direction of the first radius; must not run along the path.
        segments: corners of a section (4 gives a diamond).
        smooth: shade as a round surface.
    """
    path, radii, side = (np.asarray(values, dtype=float) for values in (path, radii, side))
    tangent = unit(np.diff(path, axis=0, prepend=path[:1]) + np.diff(path, axis=0, append=path[-1:]))
    across = unit(side - tangent * (tangent @ side)[:, None])
    up = cross(tangent, across)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    ring = (
        path[:, None]
        + across[:, None] * (radii[:, :1] * np.cos(angle))[..., None]
        + up[:, None] * (radii[:, 1:] * np.sin(angle))[..., None]
    )
    return loft(ring, smooth)


def loft(sections, smooth: bool = True) -> Part:
    """A closed surface through sections with equally many corners: hulls, cabs, cushions.

    Args:
        sections: `[n, k, 3]`, each star-shaped around its centre.
        smooth: shade as a round surface.
    """
    sections = np.asarray(sections, dtype=float)
    vertices = np.concatenate([sections.reshape(-1, 3), sections[[0, -1]].mean(axis=1)])
    return Part(vertices, _loft_faces(*sections.shape[:2]), smooth)


@cache
def _loft_faces(sections: int, segments: int) -> np.ndarray:
    """Faces of a loft whose vertices are its sections, one after the other, then the centres of both ends."""
    around, following = np.arange(segments), (np.arange(segments) + 1) % segments
    start = np.arange(sections - 1)[:, None] * segments
    a, b = (start + around).ravel(), (start + following).ravel()
    first, last = sections * segments, (sections - 1) * segments
    caps = [
        (np.full(segments, first), following, around),
        (np.full(segments, first + 1), last + around, last + following),
    ]
    walls = [(a, b, b + segments), (a, b + segments, a + segments)]
    return np.concatenate([np.stack(corners, axis=1) for corners in (*walls, *caps)])


def ring(centre, radius: float, thickness: float, axis=(0.0, 1.0, 0.0), segments: int = 24) -> Part:
    """A ring of round section around an axis: tyres, rims, lifebuoys. `radius` is that of the section's centre."""
    axis = np.asarray(axis, dtype=float)
    first = unit(cross(axis, np.roll(axis, 1)))
    second = cross(axis, first)
    angle = np.linspace(0, 2 * np.pi, segments + 1)[:, None]
    path = np.asarray(centre) + radius * (first * np.cos(angle) + second * np.sin(angle))
    return tube(path, np.full((segments + 1, 2), thickness), axis, segments=8)


def plate(outline, thickness: float, y: float = 0.0) -> Part:
    """An upright board along x, of a star-shaped `outline` `[k, 2]` of (x, z): sails, fins, guards."""
    outline = np.asarray(outline, dtype=float)
    sides = [np.insert(outline, 1, y + side, axis=1) for side in (-thickness / 2, thickness / 2)]
    return loft(sides, smooth=False)


def blade(leading, chords, thickness, backwards=(-1.0, 0.0, 0.0), smooth: bool = True) -> Part:
    """A thin surface from root to tip, such as a wing or a fin; its sections are thickest at a third of their chord.

    Args:
        leading: `[n, 3]` of the leading edge.
        chords: `[n]` from the leading to the trailing edge.
        thickness: `[n]`.
        backwards: direction of the chords.
        smooth: shade as a round surface.
    """
    leading, chords, thickness = (np.asarray(values, dtype=float) for values in (leading, chords, thickness))
    backwards = unit(np.asarray(backwards, dtype=float))
    out = unit(np.diff(leading, axis=0, prepend=leading[:1]) + np.diff(leading, axis=0, append=leading[-1:]))
    below = unit(cross(np.broadcast_to(backwards, out.shape), out)) * (thickness / 2)[:, None]
    third, trailing = leading + backwards * chords[:, None] * 0.33, leading + backwards * chords[:, None]
    return loft(np.stack([leading, third + below, trailing, third - below], axis=1), smooth)


def curve(points, count: int) -> np.ndarray:
    """`[count, 3]` on a smooth curve through some points (a Catmull-Rom spline, evenly spaced in its parameter)."""
    points = np.asarray(points, dtype=float)
    points = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    at = np.linspace(0, len(points) - 3, count)
    piece = np.minimum(at.astype(int), len(points) - 4)
    t = (at - piece)[:, None]
    a, b, c, d = (points[piece + i] for i in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


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

    def outermost(self, start, direction) -> np.ndarray:
        """The point `[3]` where a ray leaves the parts so far for good; `start` if it meets none (Moeller-Trumbore)."""
        start, direction = np.asarray(start, dtype=float), np.asarray(direction, dtype=float)
        first, second, third = np.concatenate([part.vertices[part.faces] for part, _, _ in self.parts]).swapaxes(0, 1)
        second, third, start_at = second - first, third - first, start - first
        across = cross(np.broadcast_to(direction, third.shape), third)
        area = (second * across).sum(axis=1)
        area = np.where(np.abs(area) > 1e-12, area, np.inf)  # faces along the ray are not met
        along = cross(start_at, second)
        u, v = (start_at * across).sum(axis=1) / area, along @ direction / area
        distance = (third * along).sum(axis=1) / area
        met = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (distance > 0)
        return start + direction * distance[met].max(initial=0.0)

    def top(self, x: float, y: float) -> np.ndarray:
        """The highest point `[3]` of the parts so far over (x, y)."""
        return self.outermost((x, y, -1e3), (0, 0, 1))

    def build(self) -> Shape:
        """Join the parts, centre them in x and z, and scale them."""
        parts, colours, coats = zip(*self.parts, strict=True)
        counts = [len(part.faces) for part in parts]
        starts = np.cumsum([0] + [len(part.vertices) for part in parts])
        vertices = np.concatenate([part.vertices for part in parts])
        faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)])
        centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2 * [1, 0, 1]
        radius = np.linalg.norm(vertices - centre, axis=1).max()
        vertices = (vertices - centre) / radius
        smooth = np.repeat([part.smooth for part in parts], counts)
        return Shape(
            self.category,
            vertices,
            faces,
            (vertices / np.abs(vertices).max(axis=0)).astype(np.float32),
            corner_normals(vertices, faces, np.where(smooth, -1.0, 1.0)),
            np.repeat(np.array(colours, dtype=np.float32), counts, axis=0),
            np.repeat(coats, counts),
            self.pattern,
            {name: (point - centre) / radius for name, point in self.keypoints.items()},
        )


def corner_normals(vertices: np.ndarray, faces: np.ndarray, crease: np.ndarray | float) -> np.ndarray:
    """Unit normals `[F, 3, 3]`, float32: the mean of the faces around each vertex, or the face's own at an edge.

    Args:
        vertices: `[V, 3]`.
        faces: int `[F, 3]`.
        crease: for each face or all, the cosine between both below which the face's own is taken: -1 shades a face as a
            part of a round surface, 1 as a flat one.
    """
    corners = vertices[faces]
    by_area = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = [np.bincount(faces.ravel(), np.repeat(by_area[:, axis], 3), len(vertices)) for axis in range(3)]
    around, own = unit(np.stack(sums, axis=1))[faces], unit(by_area)[:, None]
    flat = (around * own).sum(axis=-1) < np.reshape(crease, (-1, 1))
    return np.where(flat[..., None], own, around).astype(np.float32)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products along the last axis; for few vectors many times faster than `np.cross`."""
    return a[..., [1, 2, 0]] * b[..., [2, 0, 1]] - a[..., [2, 0, 1]] * b[..., [1, 2, 0]]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors scaled to length 1 along the last axis; those of no length stay as they are."""
    return vectors / np.sqrt(np.maximum((vectors * vectors).sum(axis=-1, keepdims=True), 1e-24))

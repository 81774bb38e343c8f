"""Smooth random deformations, alike on both sides of an object: other proportions of one plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from trimesh.triangles import closest_point, points_to_barycentric

from spherecorr.render.shapes import Shape, corner_normals

NECK, BELLY = 0.45, -0.25  # of an animal, as shares of its half extents: where its neck and its legs begin
EDGE = 1e-6  # distance up to which faces count as equally near
CREASE = 0.77  # cosine of 40 degrees: faces that meet at less are shaded as one round surface


def deform(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stretch, taper and bend points `[N, 3]` in -1..1 smoothly, and alike on both sides of y = 0."""
    x, y, z = points.T
    lean, slim = rng.uniform(-0.18, 0.18, 2)
    bent = points * np.exp(rng.uniform(-0.25, 0.25, 3))
    bent[:, 1:] *= (1 + lean * x)[:, None]
    bent[:, :2] *= (1 + slim * z)[:, None]
    waves, phases = rng.normal(size=(4, 3)) * 1.6, rng.uniform(0, 2 * np.pi, (4, 1))
    sizes = rng.normal(size=(4, 3)) * 0.03
    for (kx, ky, kz), phase, size in zip(waves, phases, sizes, strict=True):
        wave = np.sin(kx * x + kz * z + phase)
        bent[:, [0, 2]] += (wave * np.cos(ky * y))[:, None] * size[[0, 2]]
        bent[:, 1] += wave * np.sin(ky * y) * size[1]  # odd in y, so that the plane of symmetry stays
    return bent


def deform_shape(shape: Shape, rng: np.random.Generator) -> Shape:
    """An object of other proportions; its parts and keypoints keep their places on it."""
    return _moved(shape, lambda points: deform(points, rng))


def pose_animal(shape: Shape, rng: np.random.Generator) -> Shape:
    """A four-legged animal that turns and lowers its head, and lies or sits; its parts keep their names."""
    yaw, nod = np.radians(rng.normal(0, 30)), np.radians(rng.normal(0, 18))
    front, rear = rng.choice([1.0, 1.0, rng.uniform(0.15, 0.5)]), rng.choice([1.0, 1.0, rng.uniform(0.15, 0.5)])

    def pose(points: np.ndarray) -> np.ndarray:
        x, y, z = points.T
        weight = np.clip((x - NECK) / (1 - NECK), 0, 1) ** 0.7
        turn, tilt = yaw * weight, nod * weight
        ahead = x - NECK
        along = ahead * np.cos(turn) - y * np.sin(turn)
        across = np.where(weight > 0, ahead * np.sin(turn) + y * np.cos(turn), y)
        along = np.where(weight > 0, along, ahead)
        height = z - 0.3
        up = np.where(weight > 0, height * np.cos(tilt) + along * np.sin(tilt), height)
        along = np.where(weight > 0, along * np.cos(tilt) - height * np.sin(tilt), along)
        z = up + 0.3
        share = front + (rear - front) * np.clip((0.6 - x) / 1.2, 0, 1)  # of the legs' length that is left
        legs = np.clip(z, -1, BELLY)
        return np.stack([along + NECK, across, z - (1 - share) * (legs + 1)], axis=1)

    return _moved(shape, pose)


def _moved(shape: Shape, move: Callable[[np.ndarray], np.ndarray]) -> Shape:
    """A shape whose vertices, as shares of its half extents, were moved; centred and scaled anew."""
    half = np.abs(shape.vertices).max(axis=0)
    vertices = move(shape.vertices / half) * half
    vertices = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2 * [1, 0, 1]
    vertices = vertices / np.linalg.norm(vertices, axis=1).max()
    keypoints = {name: _follow(point, shape, vertices) for name, point in shape.keypoints.items()}
    normals = corner_normals(vertices, shape.faces, CREASE)
    return replace(shape, vertices=vertices, normals=normals, keypoints=keypoints)


def _follow(point: np.ndarray, shape: Shape, vertices: np.ndarray) -> np.ndarray:
    """Where a point of the surface comes to lie with the face that it lies on; on an edge, with all that meet there."""
    triangles = shape.vertices[shape.faces]
    near = closest_point(triangles, np.broadcast_to(point, (len(triangles), 3)))
    distance = np.linalg.norm(near - point, axis=1)
    faces = np.flatnonzero(distance <= distance.min() + EDGE)
    corners = points_to_barycentric(triangles[faces], near[faces])
    return (corners[..., None] * vertices[shape.faces[faces]]).sum(axis=1).mean(axis=0)

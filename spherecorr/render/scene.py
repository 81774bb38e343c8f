"""One picture of one object: camera, rays, light, and everything that is known exactly about each pixel."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from spherecorr.render.shapes import Shape

KEYPOINT_TOLERANCE = 0.04  # of the object's radius: how far under the first hit a visible keypoint may lie


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at the object's centre.

    Attributes:
        azimuth: degrees around +z, from the object's front (0) towards its left (90).
        elevation: degrees above the horizon.
        roll: degrees in the image plane.
        distance: from the object's centre, in radii of the object.
        focal: in pixels.
        centre: (x, y) pixel where the object's centre is seen.
        size: side of the square picture in pixels.
    """

    azimuth: float
    elevation: float
    roll: float
    distance: float
    focal: float
    centre: tuple[float, float]
    size: int

    @property
    def position(self) -> np.ndarray:
        """`[3]` in the object's frame."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        flat = np.cos(elevation)
        return self.distance * np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors right, up (in the image) and forward (into it)."""
        forward = -self.position / self.distance
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        roll = np.radians(self.roll)
        return right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll), forward

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points `[N, 3]` -> pixels `[N, 2]`."""
        right, up, forward = self.axes()
        offset = points - self.position
        depth = offset @ forward
        return np.stack([offset @ right, -(offset @ up)], axis=1) / depth[:, None] * self.focal + self.centre

    def rays(self) -> np.ndarray:
        """Unit directions `[size * size, 3]` through the pixel centres, row by row."""
        right, up, forward = self.axes()
        pixels = np.arange(self.size) + 0.5
        x, y = (pixels - self.centre[0]) / self.focal, (pixels - self.centre[1]) / self.focal
        directions = forward + x[None, :, None] * right - y[:, None, None] * up
        return (directions / np.linalg.norm(directions, axis=-1, keepdims=True)).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class Rendering:
    """A picture and the truth about it.

    Attributes:
        image: uint8 `[S, S, 3]`.
        mask: bool `[S, S]`, the object's pixels.
        surface: float32 `[S, S, 3]`, the point of the object under each pixel as a share of the bounding box's half
            extents (-1..1 on each axis); 0 on the background.
        keypoints: name -> (x, y) pixel, None where hidden or outside the picture.
        camera: where it was taken from.
        category: of the object.
    """

    image: np.ndarray
    mask: np.ndarray
    surface: np.ndarray
    keypoints: dict[str, tuple[float, float] | None]
    camera: Camera
    category: str


def random_camera(shape: Shape, size: int, rng: np.random.Generator, azimuth: float | None = None) -> Camera:
    """A camera that sees the whole object, at 55 to 92 % of the picture's side, anywhere in the picture."""
    azimuth = rng.uniform(0, 360) if azimuth is None else azimuth
    elevation, roll = abs(rng.normal() * 16) - 3, rng.normal() * 3
    camera = Camera(azimuth, min(elevation, 50), roll, rng.uniform(2.8, 5.0), 1.0, (0.0, 0.0), size)
    seen = camera.project(shape.vertices)
    low, high = seen.min(axis=0), seen.max(axis=0)
    focal = size * rng.uniform(0.55, 0.92) / (high - low).max()
    room = size - (high - low) * focal
    centre = -low * focal + room * rng.uniform(0.05, 0.95, 2)
    return Camera(azimuth, camera.elevation, roll, camera.distance, focal, (float(centre[0]), float(centre[1])), size)


def render(shape: Shape, camera: Camera, background: np.ndarray, rng: np.random.Generator) -> Rendering:
    """Cast one ray per pixel.

    Args:
        shape: the object.
        camera: the view.
        background: uint8 `[S, S, 3]`.
        rng: draws the light.
    """
    caster = RayMeshIntersector(trimesh.Trimesh(shape.vertices, shape.faces, process=False))
    directions = camera.rays()
    face = caster.intersects_first(np.broadcast_to(camera.position, directions.shape), directions)
    hit = face >= 0
    points, corners = _hit_points(shape, face[hit], camera.position, directions[hit])
    light = _random_light(camera, rng)
    strength = rng.uniform(0.35, 0.6)

    normals = np.einsum("nc,ncd->nd", corners, shape.normals[face[hit]])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals *= -np.sign((normals * directions[hit]).sum(axis=1, keepdims=True))  # surfaces are seen from both sides
    lit = np.maximum(normals @ light, 0) * ~_in_shadow(caster, points + normals * 0.01, light)
    glance = np.maximum(((2 * (normals @ light)[:, None] * normals - light) * -directions[hit]).sum(axis=1), 0)
    shade = (1 - strength) * (0.8 + 0.2 * normals[:, 2]) + 1.25 * strength * lit
    colours = _surface_colours(shape, face[hit], points) * shade[:, None] + (0.25 * lit * glance**20)[:, None]

    pixels = background.reshape(-1, 3) / 255.0
    pixels = (
        pixels * (1 - 0.55 * strength / 0.6 * _ground_shadow(shape, caster, camera, directions, hit, light))[:, None]
    )
    pixels[hit] = colours
    size = camera.size
    surface = np.zeros((size * size, 3), dtype=np.float32)
    surface[hit] = points / shape.half_extents
    image = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8).reshape(size, size, 3)
    return Rendering(
        image,
        hit.reshape(size, size),
        surface.reshape(size, size, 3),
        visible_keypoints(shape, camera, caster),
        camera,
        shape.category,
    )


def visible_keypoints(
    shape: Shape, camera: Camera, caster: RayMeshIntersector
) -> dict[str, tuple[float, float] | None]:
    """Project the keypoints; those with a surface in front of them, or outside the picture, are None."""
    names, points = list(shape.keypoints), np.array(list(shape.keypoints.values()))
    towards = points - camera.position
    distance = np.linalg.norm(towards, axis=1)
    directions = towards / distance[:, None]
    face = caster.intersects_first(np.broadcast_to(camera.position, directions.shape), directions)
    depth = np.full(len(points), np.inf)
    hit = face >= 0
    first, _ = _hit_points(shape, face[hit], camera.position, directions[hit])
    depth[hit] = np.linalg.norm(first - camera.position, axis=1)
    pixels = camera.project(points)
    seen = (depth > distance - KEYPOINT_TOLERANCE) & ((pixels >= 0) & (pixels < camera.size)).all(axis=1)
    return {n: (float(x), float(y)) if s else None for n, (x, y), s in zip(names, pixels, seen, strict=True)}


def procedural_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 `[size, size, 3]`: a plain colour, or two of them with clouds in between."""
    first, second = rng.uniform(0.1, 1.0, (2, 3))
    if rng.random() < 0.3:
        second = first
    clouds = sum(
        cv2.resize(rng.normal(size=(n, n)), (size, size), interpolation=cv2.INTER_CUBIC) / n**0.7
        for n in (2, 5, 13, 40)
    )
    share = (clouds - clouds.min()) / (np.ptp(clouds) + 1e-12)
    pixels = first + (second - first) * share[..., None]
    return (np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def studio_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 `[size, size, 3]`: a pale backdrop that darkens towards the floor, for pictures that people look at."""
    top = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.04, 0.14), rng.uniform(0.9, 0.97)))
    share = np.linspace(0, 1, size)[:, None, None] ** 2
    pixels = np.broadcast_to(top * (1 - 0.22 * share), (size, size, 3))
    return (pixels * 255).astype(np.uint8)


def photo_background(photo: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square crop of a photograph `[h, w, 3]`, scaled to `[size, size, 3]`."""
    height, width = photo.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 1.0))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    crop = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _hit_points(shape: Shape, face: np.ndarray, origin: np.ndarray, directions: np.ndarray):
    """Where rays meet the planes of their faces: points `[N, 3]` and barycentric coordinates `[N, 3]`."""
    a, b, c = (shape.vertices[shape.faces[face, i]] for i in range(3))
    plane = np.cross(b - a, c - a)
    denominator = (plane * directions).sum(axis=1)
    denominator = np.where(np.abs(denominator) < 1e-12, 1e-12, denominator)
    points = origin + directions * ((plane * (a - origin)).sum(axis=1) / denominator)[:, None]
    area = (plane * plane).sum(axis=1)
    area = np.where(area < 1e-20, 1.0, area)
    second = (np.cross(points - a, c - a) * plane).sum(axis=1) / area
    third = (np.cross(b - a, points - a) * plane).sum(axis=1) / area
    return points, np.stack([1 - second - third, second, third], axis=1)


def _surface_colours(shape: Shape, face: np.ndarray, points: np.ndarray) -> np.ndarray:
    pattern = shape.pattern
    waves = np.sin(points @ pattern.waves.T + pattern.phases).mean(axis=1)
    patch = shape.coat[face] & (waves > pattern.threshold)
    return np.where(patch[:, None], pattern.colour, shape.colours[face])


def _random_light(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """A unit vector towards the light: above, and not straight from behind the object."""
    light = rng.normal(size=3) * 0.6 + camera.position / camera.distance * 0.7 + [0, 0, 1.2]
    light[2] = abs(light[2])
    return light / np.linalg.norm(light)


def _in_shadow(caster: RayMeshIntersector, points: np.ndarray, light: np.ndarray) -> np.ndarray:
    return caster.intersects_any(points, np.broadcast_to(light, points.shape)) if len(points) else np.zeros(0, bool)


def _ground_shadow(shape, caster, camera: Camera, directions: np.ndarray, hit: np.ndarray, light: np.ndarray):
    """Shadow 0..1 per pixel on the plane under the object, softened; only background pixels can have one."""
    ground = shape.vertices[:, 2].min()
    down = ~hit & (directions[:, 2] < -0.02)
    points = (
        camera.position + directions * ((ground - camera.position[2]) / np.minimum(directions[:, 2], -1e-6))[:, None]
    )
    near = down & (np.linalg.norm(points[:, :2], axis=1) < 2.5)
    shadow = np.zeros(len(directions), dtype=np.float32)
    shadow[near] = _in_shadow(caster, points[near], light)
    size = camera.size
    return cv2.GaussianBlur(shadow.reshape(size, size), (0, 0), size / 80).reshape(-1)

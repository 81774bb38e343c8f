"""One picture of one object: camera, rays, light, and everything that is known exactly about each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from spherecorr.render.rays import RayCaster
from spherecorr.render.shapes import Shape, unit

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

    def rays(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Directions `[len(y) * len(x), 3]` through pixels, row by row, 1 long along the camera's axis; float32."""
        right, up, forward = (axis.astype(np.float32) for axis in self.axes())
        x, y = (((at - c) / self.focal).astype(np.float32)[:, None] for at, c in zip((x, y), self.centre, strict=True))
        return ((forward + x * right) - (y * up)[:, None]).reshape(-1, 3)


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
    caster = RayCaster(shape.vertices, shape.faces)
    light = _random_light(camera, rng)
    strength = rng.uniform(0.35, 0.6)
    daylight = 1 - np.float32(0.92 * strength) * _ground_shadow(shape, caster, camera, light)
    image = cv2.multiply(background, cv2.merge([daylight] * 3), dtype=cv2.CV_8U)
    mask = np.zeros(image.shape[:2], dtype=bool)
    surface = np.zeros(image.shape, dtype=np.float32)

    window = _window(shape, camera)
    directions = camera.rays(*(np.arange(side.start, side.stop) + 0.5 for side in window[::-1]))
    face, corners, distance = caster.first(camera.position, directions)
    hit = face >= 0
    mask[window] = seen = hit.reshape(mask[window].shape)
    face, corners, directions = face[hit], corners[hit], directions[hit]
    points = camera.position.astype(np.float32) + directions * distance[hit, None]
    directions = unit(directions)
    normals = unit(_interpolate(shape.normals[face], corners))
    normals *= -np.sign((normals * directions).sum(axis=1, keepdims=True))  # surfaces are seen from both sides
    colours = _shade(shape, face, points, normals, directions, light, strength, caster)
    image[window][seen] = (255 * np.clip(colours, 0, 1)).round()
    surface[window][seen] = _interpolate(shape.canonical[shape.faces[face]], corners)
    return Rendering(
        image,
        mask,
        surface,
        visible_keypoints(shape, camera, caster),
        camera,
        shape.category,
    )


def visible_keypoints(shape: Shape, camera: Camera, caster: RayCaster) -> dict[str, tuple[float, float] | None]:
    """Project the keypoints; those with a surface in front of them, or outside the picture, are None."""
    names, points = list(shape.keypoints), np.array(list(shape.keypoints.values()))
    towards = points - camera.position
    _, _, first = caster.first(camera.position, towards)  # in lengths of `towards`; far away where nothing is met
    hidden = (1 - first) * np.linalg.norm(towards, axis=1) > KEYPOINT_TOLERANCE
    pixels = camera.project(points)
    seen = ~hidden & ((pixels >= 0) & (pixels < camera.size)).all(axis=1)
    return {n: (float(x), float(y)) if s else None for n, (x, y), s in zip(names, pixels, seen, strict=True)}


def _window(shape: Shape, camera: Camera) -> tuple[slice, slice]:
    """The rows and columns that the object lies in."""
    seen = camera.project(shape.vertices)
    low = np.clip(np.floor(seen.min(axis=0)), 0, camera.size).astype(int)
    high = np.clip(np.ceil(seen.max(axis=0)), 0, camera.size).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _interpolate(at_corners: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Values at the corners of faces `[N, 3, 3]` and barycentric coordinates `[N, 3]` -> values in between `[N, 3]`."""
    return sum(at_corners[:, i] * corners[:, i, None] for i in range(3))


def _shade(shape, face, points, normals, directions, light, strength: float, caster: RayCaster) -> np.ndarray:
    """Colours `[N, 3]`, about 0..1: light from all around, from one side, and a little gloss."""
    along = normals @ light
    lit = np.maximum(along, 0) * ~caster.blocked(points + normals * 0.01, light)
    glance = np.maximum(((2 * along[:, None] * normals - light) * -directions).sum(axis=1), 0)
    brightness = (1 - strength) * (0.8 + 0.2 * normals[:, 2]) + 1.25 * strength * lit
    return _surface_colours(shape, face, points) * brightness[:, None] + (0.25 * lit * glance**20)[:, None]


def _surface_colours(shape: Shape, face: np.ndarray, points: np.ndarray) -> np.ndarray:
    colours, pattern = shape.colours[face], shape.pattern
    if pattern.threshold <= 1:
        waves = np.sin(points @ pattern.waves.T.astype(np.float32) + pattern.phases.astype(np.float32)).mean(axis=1)
        colours[shape.coat[face] & (waves > pattern.threshold)] = pattern.colour
    return colours


def _random_light(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """A unit vector towards the light: above, and not straight from behind the object."""
    light = rng.normal(size=3) * 0.6 + camera.position / camera.distance * 0.7 + [0, 0, 1.2]
    light[2] = abs(light[2])
    return unit(light).astype(np.float32)


def _ground_shadow(shape: Shape, caster: RayCaster, camera: Camera, light: np.ndarray) -> np.ndarray:
    """Shadow 0..1 `[S, S]` on the plane under the object, softened; cast at every second pixel, since it is soft."""
    ground = shape.vertices[:, 2].min()
    side = (camera.size + 1) // 2
    at = (np.arange(side) + 0.5) * camera.size / side
    directions = camera.rays(at, at)
    reach = np.float32(ground - camera.position[2]) / np.minimum(directions[:, 2], -1e-6)
    points = camera.position.astype(np.float32) + directions * reach[:, None]
    outline = shape.vertices[:, :2] - light[:2] / light[2] * (shape.vertices[:, 2:] - ground)
    low, high = np.maximum(outline.min(axis=0), -2.5), np.minimum(outline.max(axis=0), 2.5)
    near = (directions[:, 2] < -0.02) & ((points[:, :2] > low) & (points[:, :2] < high)).all(axis=1)
    shadow = np.zeros(side * side, dtype=np.float32)
    shadow[near] = caster.blocked(points[near], light)
    soft = cv2.GaussianBlur(shadow.reshape(side, side), (0, 0), side / 80)
    return cv2.resize(soft, (camera.size, camera.size), interpolation=cv2.INTER_LINEAR)

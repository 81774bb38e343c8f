"""Rays against a triangle mesh, through Embree."""

from __future__ import annotations

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene


class RayCaster:
    """A mesh that rays can be cast against; both sides of a face count.

    Args:
        vertices: `[V, 3]`, of a size near 1: Embree counts in single precision.
        faces: int `[F, 3]`.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray):
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, vertices.astype(np.float32), faces.astype(np.int32))

    def first(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The first face that each ray meets.

        Args:
            origins: `[N, 3]`, or `[3]` for all.
            directions: `[N, 3]` of any length.

        Returns:
            Face indices `[N]`, -1 where there is none; barycentric coordinates of the meeting point `[N, 3]`; its
            distance from the origin `[N]` in lengths of the direction.
        """
        found = self._scene.run(*_as_rays(origins, directions), output=True)
        second, third = found["u"], found["v"]
        return found["primID"], np.stack([1 - second - third, second, third], axis=1), found["tfar"]

    def blocked(self, origins: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Which rays from `origins` `[N, 3]` towards `direction` `[3]` meet any face: bool `[N]`."""
        return self._scene.run(*_as_rays(origins, direction), query="OCCLUDED") >= 0


def _as_rays(origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as contiguous float32 `[N, 3]`, as Embree takes them."""
    shape = np.broadcast_shapes(np.shape(origins), np.shape(directions))
    first, second = (np.broadcast_to(rays, shape) for rays in (origins, directions))
    return np.ascontiguousarray(first, dtype=np.float32), np.ascontiguousarray(second, dtype=np.float32)

"""Objects from a folder of meshes: every view deforms, paints and patterns one of them anew.

FOLDER/<category>/*.glb or *.obj, with +x forward (the object's front), +y its left and +z up, at any scale. Colours are
taken as plain sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from spherecorr.files import list_files
from spherecorr.render.colours import random_paint, random_pattern
from spherecorr.render.deform import CREASE, deform
from spherecorr.render.mesh_files import MeshError, read_faces
from spherecorr.render.rays import RayCaster
from spherecorr.render.shapes import Shape, corner_normals

ENDINGS = (".glb", ".obj")
DEAL = ("trn", "test", "val", "trn", "trn", "trn")  # of a category's files, over and over


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh as it was read, centred on its bounding box.

    Attributes:
        vertices: `[V, 3]`, as shares of the bounding box's half extents.
        half_extents: `[3]`, the longest 1.
        faces: int `[F, 3]`.
        palette: float32 `[C, 3]`, the different colours, sRGB 0..1.
        colour: int `[F]`, each face's row of the palette.
        keypoints: name -> a face, and barycentric coordinates `[3]` on it.
    """

    vertices: np.ndarray
    half_extents: np.ndarray
    faces: np.ndarray
    palette: np.ndarray
    colour: np.ndarray
    keypoints: dict[str, tuple[int, np.ndarray]]


class MeshObjects:
    """The meshes of one split. A split holds files of its own, so its objects are never seen in another.

    A category's files, in the order of their names' hashes, are dealt to trn, test, val, trn, trn, trn and over again.

    Args:
        folder: has a folder for each category.
        split: "trn", "val" or "test".

    Raises:
        MeshError: no such folder, no mesh for this split in it, or a category's name that SPair's layout cannot hold.
    """

    def __init__(self, folder: str | Path, split: str):
        folder = Path(folder)
        if not folder.is_dir():
            raise MeshError(f"There is no folder '{folder}' of meshes.")
        paths = [path for path in list_files(folder, "*/*") if path.suffix.lower() in ENDINGS]
        if not paths:
            raise MeshError(f"There is no {' or '.join(ENDINGS)} file in '{folder}/<category>/'.")
        for name in {path.parent.name for path in paths}:
            if "-" in name or ":" in name:
                raise MeshError(
                    f"The category '{name}' in '{folder}' cannot be named in SPair's layout: write it without - and :."
                )
        by_category: dict[str, list[Path]] = {}
        for path in sorted(paths, key=lambda path: sha256(path.name.encode()).digest()):
            by_category.setdefault(path.parent.name, []).append(path)
        dealt = {c: [p for i, p in enumerate(f) if DEAL[i % len(DEAL)] == split] for c, f in by_category.items()}
        self._paths = {category: dealt[category] for category in sorted(dealt) if dealt[category]}
        self.kind = f"mesh for split {split}, category"
        if not self._paths:
            raise MeshError(
                f"'{folder}' has too few meshes for split {split}: a category's second file goes to test, "
                "its third to val, and the others of the first six to trn."
            )

    @property
    def categories(self) -> tuple[str, ...]:
        """Those with a mesh in this split, sorted."""
        return tuple(self._paths)

    @property
    def files(self) -> dict[str, list[str]]:
        """Category -> names of this split's files."""
        return {category: [path.name for path in paths] for category, paths in self._paths.items()}

    def keypoint_names(self, category: str) -> tuple[str, ...]:
        """The same for all categories: directions from the object's centre."""
        return tuple(sorted(keypoint_directions()))

    def make(self, category: str, rng: np.random.Generator) -> Shape:
        """One of a category's meshes, deformed and painted at random."""
        paths = self._paths[category]
        return vary(load_mesh(paths[rng.integers(len(paths))]), category, rng)


def keypoint_directions() -> dict[str, np.ndarray]:
    """Name -> direction `[3]` in shares of the half extents: 26, such as front_left_upper, rear or left."""
    names = (("rear", "", "front"), ("right", "", "left"), ("lower", "", "upper"))
    found = {}
    for signs in product((-1, 0, 1), repeat=3):
        if any(signs):
            words = (names[axis][sign + 1] for axis, sign in enumerate(signs))
            found["_".join(filter(None, words))] = np.array(signs, dtype=float)
    return found


@lru_cache(maxsize=256)
def load_mesh(path: Path) -> Mesh:
    """Read a mesh, with its colours and keypoints.

    Raises:
        MeshError: the file cannot be read, or holds no surface that has a length, a width and a height.
    """
    triangles, colours = read_faces(path)
    vertices = triangles.reshape(-1, 3)
    if (
        len(vertices) == 0
        or not np.isfinite(vertices).all()
        or np.ptp(vertices, axis=0).min() <= 1e-6 * np.ptp(vertices)
    ):
        raise MeshError(f"'{path}' holds no surface that has a length, a width and a height.")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    half = (high - low) / 2
    vertices = (vertices - (low + high) / 2) / half
    # The same point is one vertex, so that faces of different parts and colours are shaded as one surface.
    vertices, faces = np.unique(vertices.round(6), axis=0, return_inverse=True)
    palette, colour = np.unique(colours, axis=0, return_inverse=True)
    faces, half = faces.reshape(-1, 3), half / half.max()
    keypoints = _find_keypoints(vertices, faces)
    return Mesh(vertices, half, faces, palette.astype(np.float32) / 255, colour.reshape(-1), keypoints)


def _find_keypoints(vertices: np.ndarray, faces: np.ndarray) -> dict[str, tuple[int, np.ndarray]]:
    """What rays from outside to the centre meet first, in directions whose mirror image meets something, too."""
    directions = keypoint_directions()
    outside = 2 * np.array(list(directions.values()))
    face, corners, distance = RayCaster(vertices, faces).first(outside, -outside)
    met = {n for n, f, d in zip(directions, face, distance, strict=True) if f >= 0 and d < 1}
    swap = {"left": "right", "right": "left"}
    paired = {name for name in met if "_".join(swap.get(word, word) for word in name.split("_")) in met}
    return {n: (f, c) for n, f, c in zip(directions, face, corners, strict=True) if n in paired}


def vary(mesh: Mesh, category: str, rng: np.random.Generator) -> Shape:
    """Another object of a mesh's kind: deformed, painted and patterned; left and right stay mirror images."""
    vertices = deform(mesh.vertices, rng) * mesh.half_extents
    vertices -= (vertices.min(axis=0) + vertices.max(axis=0)) / 2 * [1, 0, 1]
    vertices /= np.linalg.norm(vertices, axis=1).max()
    main = np.bincount(mesh.colour).argmax()
    return Shape(
        category,
        vertices,
        mesh.faces,
        mesh.vertices.astype(np.float32),
        corner_normals(vertices, mesh.faces, CREASE),
        repaint(mesh.palette, rng)[mesh.colour],
        mesh.colour == main,
        random_pattern(rng, random_paint(rng), 0.25, 3.0),
        {name: corners @ vertices[mesh.faces[face]] for name, (face, corners) in mesh.keypoints.items()},
    )


def repaint(palette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other colours `[C, 3]`, float32: mostly another hue, and another brightness and saturation."""
    hue, saturation, value = cv2.cvtColor(palette[None], cv2.COLOR_RGB2HSV)[0].T
    count = len(palette)
    turn = rng.uniform(0, 360) if rng.random() < 0.6 else 0.0
    hue = (hue + turn + rng.normal(size=count) * 10) % 360
    saturation = saturation * rng.uniform(0.4, 1.3)
    value = value * rng.uniform(0.6, 1.25) + rng.normal(size=count) * 0.05
    changed = np.stack([hue, np.clip(saturation, 0, 1), np.clip(value, 0.03, 1)], axis=1).astype(np.float32)
    return cv2.cvtColor(changed[None], cv2.COLOR_HSV2RGB)[0]

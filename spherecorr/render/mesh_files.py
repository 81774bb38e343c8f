"""GLB and OBJ files as triangles with colours.

A face's colour is the product of what its file gives: texture, the material's colour, colours by vertex; grey where it
gives none. All are taken as plain sRGB. Of an OBJ file's material only the texture counts where there is one, as many
such files leave `Kd` at any value beside it.
"""

from __future__ import annotations

import codecs
import json
import struct
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange.obj import load_obj
from trimesh.resolvers import FilePathResolver
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from spherecorr.errors import SpherecorrError

GREY = 102 / 255
COMPRESSIONS = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_meshopt_compression": "meshopt",
}
SPECULAR = "KHR_materials_pbrSpecularGlossiness"


class MeshError(SpherecorrError):
    """A folder of meshes lacks something, or a file is no mesh; the message names it."""


def read_faces(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The triangles of a file's surfaces `[F, 3, 3]`, float64, and their colours `[F, 3]`, 0..255.

    Raises:
        MeshError: the file cannot be read, or is stored in a way that is not read here, such as by Draco.
    """
    try:
        parts = (_read_glb if path.suffix.lower() == ".glb" else _read_obj)(path)
    except MeshError:
        raise
    except Exception as error:  # trimesh's parsers fail in many ways
        raise MeshError(f"'{path}' cannot be read as a mesh ({type(error).__name__}: {error}).") from error
    triangles = [np.zeros((0, 3, 3)), *(part for part, _ in parts)]
    return np.concatenate(triangles), np.concatenate([np.zeros((0, 3)), *(colours for _, colours in parts)])


def _read_glb(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    content = BytesIO(_plain_glb(path))
    scene: Any = trimesh.load(content, file_type="glb", resolver=FilePathResolver(str(path)), force="scene")
    colours = {  # by name, as a scene's copies of its meshes lose the colours by vertex
        name: _face_colours(mesh.faces, mesh.visual, _vertex_colours(mesh.visual))
        for name, mesh in scene.geometry.items()
        if isinstance(mesh, trimesh.Trimesh)
    }
    parts = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh)]
    return [(part.triangles, colours[part.metadata["name"]]) for part in parts]


def _plain_glb(path: Path) -> bytes:
    """A file with its materials written in such a way that trimesh reads all of their colours.

    Raises:
        MeshError: the vertices are stored in a way that trimesh takes for other numbers.
    """
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    header = json.loads(content[20 : 20 + length])
    for extension in COMPRESSIONS.keys() & set(header.get("extensionsRequired", ())):
        raise MeshError(f"'{path}' is compressed with {COMPRESSIONS[extension]}: save it without compression.")
    materials = header.setdefault("materials", [])
    for material in materials:
        colours = material.get("extensions", {}).pop(SPECULAR, {})
        names = {"diffuseFactor": "baseColorFactor", "diffuseTexture": "baseColorTexture"}
        material.setdefault("pbrMetallicRoughness", {}).update({names[k]: v for k, v in colours.items() if k in names})
    for primitive in (primitive for mesh in header.get("meshes", []) for primitive in mesh["primitives"]):
        for name in ("POSITION", "TEXCOORD_0"):
            accessor = header["accessors"][primitive["attributes"][name]] if name in primitive["attributes"] else {}
            if accessor.get("normalized") or "sparse" in accessor:
                raise MeshError(f"'{path}' stores {name} quantised or sparse: save it with plain 32-bit floats.")
        # Beside a material, trimesh gives colours by vertex as they are; alone, as bytes modulo 256.
        primitive.setdefault("material", len(materials))
    materials.append({})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + length :]
    return struct.pack("<4s4I", content[:4], 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest


def _vertex_colours(visual) -> np.ndarray | None:
    """`[V, 3]`, 0..1, of a GLB file's mesh."""
    colours = visual.vertex_attributes.get("color")
    if colours is None:
        return None
    share = colours / np.iinfo(colours.dtype).max if colours.dtype.kind == "u" else colours
    return np.clip(share[:, :3], 0, 1)


def _read_obj(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    found = load_obj(StringIO(_decode(path.read_bytes())), resolver=_Companions(str(path)))
    parts = []
    for part in found.get("geometry", {"": found}).values():  # older versions of trimesh give a single part as it is
        if len(part.get("faces", ())):
            mesh = trimesh.Trimesh(part["vertices"], part["faces"], process=False)
            colours = part.get("vertex_colors")
            if colours is not None:
                colours = np.clip(colours / 255 if colours.max() > 1 else colours, 0, 1)
            parts.append((mesh.triangles, _face_colours(mesh.faces, part["visual"], colours)))
    return parts


class _Companions(FilePathResolver):
    """The files beside an OBJ file: materials, whatever their encoding, and textures."""

    def get(self, name: str) -> bytes:
        content = super().get(name)
        return _decode(content).encode() if name.lower().endswith(".mtl") else content


def _decode(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _face_colours(faces: np.ndarray, visual, vertex_colours: np.ndarray | None) -> np.ndarray:
    """`[F, 3]`, 0..255: the mean over the corners."""
    factors = _material_colours(visual) if isinstance(visual, TextureVisuals) else []
    if vertex_colours is not None:
        factors.append(vertex_colours)
    shares = np.prod(np.broadcast_arrays(*factors), axis=0) if factors else np.full(3, GREY)
    colours = (shares * 255).round()
    return np.tile(colours, (len(faces), 1)) if colours.ndim == 1 else colours[faces].mean(axis=1).round()


def _material_colours(visual: TextureVisuals) -> list[np.ndarray]:
    """What is to be multiplied, 0..1: the texture at the vertices `[V, 3]`, and the material's colour `[3]`."""
    material, factors = visual.material, []
    pbr = isinstance(material, PBRMaterial)
    image = material.baseColorTexture if pbr else material.image
    # Where there is none, trimesh may put one of its own, which came from no file and has no format.
    if image is not None and image.format and visual.uv is not None:
        factors.append(material.to_color(visual.uv)[:, :3] / 255)
    if pbr and material.baseColorFactor is not None:
        factors.append(material.baseColorFactor[:3] / 255)
    elif not pbr and not factors and "kd" in material.kwargs:
        factors.append(material.diffuse[:3] / 255)
    return factors

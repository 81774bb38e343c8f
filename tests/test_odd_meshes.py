"""Mesh files as other programs write them: their colours read rightly, or a sentence that names the file."""

import json
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from spherecorr.render.meshes import MeshError, MeshObjects, load_mesh

RED, GREY, WHITE = [204, 26, 26], [102, 102, 102], [255, 255, 255]
BOX = trimesh.creation.box((2, 1, 0.8))
CORNERS = np.float32(BOX.vertices)
FACES = np.uint16(BOX.faces)
COMPONENTS = {"uint8": 5121, "uint16": 5123, "float32": 5126}


def write_glb(path: Path, attributes: dict[str, np.ndarray], header: dict | None = None, primitive: dict | None = None):
    """One mesh of these attributes with BOX's faces, written by hand; the headers' entries are added or replaced."""
    arrays = {**attributes, "indices": FACES.ravel()}
    views, accessors, binary = [], [], b""
    for number, array in enumerate(arrays.values()):
        kind = "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}"
        whole = {"normalized": True} if array.dtype.kind == "u" and kind != "SCALAR" else {}
        accessors.append(
            {"bufferView": number, "componentType": COMPONENTS[str(array.dtype)], "count": len(array), "type": kind}
            | whole
        )
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes})
        binary += array.tobytes() + b"\0" * (-array.nbytes % 4)
    drawn = {"attributes": {name: n for n, name in enumerate(attributes)}, "indices": len(attributes)}
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [drawn | (primitive or {})]}],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        **(header or {}),
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


def write_obj(folder: Path, name="box.obj", colours="", uv=True, top="", material=None) -> Path:
    """BOX as text; `colours` are added to each vertex, `top` comes before all, `material` is the text of box.mtl."""
    lines = [f"v {x} {y} {z} {colours}" for x, y, z in CORNERS]
    lines += [f"vt {x} {y}" for x, y, _ in CORNERS] if uv else []
    lines += ["usemtl paint"] if material else []
    lines += ["f " + " ".join(f"{n}/{n}" if uv else str(n) for n in face) for face in FACES + 1]
    if material:
        (folder / "box.mtl").write_text(f"newmtl paint\n{material}\n", encoding="utf-8")
        top += "mtllib box.mtl\n"
    (folder / name).write_text(top + "\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def colours_of(path: Path) -> list[list[int]]:
    mesh = load_mesh(path)
    assert len(mesh.faces) == 12
    np.testing.assert_allclose(mesh.half_extents, [1, 0.5, 0.4], atol=1e-6)
    return (mesh.palette * 255).round().astype(int).tolist()


# GLB


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("materials", [[], [{}], [{"pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1]}}]])
def test_colours_by_vertex_count_whatever_their_numbers_and_beside_a_white_material(
    tmp_path, kind, channels, materials
):
    whole = np.iinfo(kind).max if kind != "float32" else 1
    colours = (np.array([*RED, 255])[:channels] / 255 * whole).round(6 if kind == "float32" else 0).astype(kind)
    path = write_glb(
        tmp_path / "box.glb",
        {"POSITION": CORNERS, "COLOR_0": np.tile(colours, (8, 1))},
        {"materials": materials} if materials else {},
        {"material": 0} if materials else {},
    )
    assert colours_of(path) == [RED]


def test_texture_material_and_colours_by_vertex_are_multiplied(tmp_path):
    """White, half red, and full and half brightness at the rear and at the front."""
    texture = Image.new("RGB", (1, 1), "white")
    texture.save(tmp_path / "white.png")
    bright = np.where(CORNERS[:, :1] < 0, 1.0, 0.5).repeat(3, axis=1)
    path = write_glb(
        tmp_path / "box.glb",
        {"POSITION": CORNERS, "TEXCOORD_0": CORNERS[:, :2], "COLOR_0": np.float32(bright)},
        {
            "materials": [
                {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [0.8, 0.4, 0, 1]}}
            ],
            "textures": [{"source": 0}],
            "images": [{"uri": "white.png"}],
        },
        {"material": 0},
    )
    mesh = load_mesh(path)
    ends = {
        end: np.unique(mesh.palette[mesh.colour][(mesh.vertices[mesh.faces][..., 0] == end).all(axis=1)], axis=0)
        for end in (-1, 1)
    }
    np.testing.assert_allclose(ends[-1] * 255, [[204, 102, 0]], atol=1e-3)
    np.testing.assert_allclose(ends[1] * 255, [[102, 51, 0]], atol=1e-3)


@pytest.mark.parametrize("factor", [{}, {"baseColorFactor": [0.8, 0.1, 0.1, 1]}])
def test_a_missing_texture_leaves_the_materials_colour(tmp_path, factor):
    path = write_glb(
        tmp_path / "box.glb",
        {"POSITION": CORNERS, "TEXCOORD_0": CORNERS[:, :2]},
        {
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, **factor}}],
            "textures": [{"source": 0}],
            "images": [{"uri": "nothere.png"}],
        },
        {"material": 0},
    )
    assert colours_of(path) == [RED if factor else GREY]


def test_an_older_material_gives_its_diffuse_colour(tmp_path):
    gloss = {"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [0.8, 0.1, 0.1, 1]}}
    material = {"materials": [{"extensions": gloss}], "extensionsUsed": list(gloss)}
    assert colours_of(write_glb(tmp_path / "box.glb", {"POSITION": CORNERS}, material, {"material": 0})) == [RED]


def test_compression_is_named(tmp_path, caplog):
    name = "KHR_draco_mesh_compression"
    path = write_glb(tmp_path / "box.glb", {"POSITION": CORNERS}, {"extensionsRequired": [name]})
    with caplog.at_level(logging.WARNING), pytest.raises(MeshError) as mistake:
        load_mesh(path)
    assert str(mistake.value) == f"'{path}' is compressed with Draco: save it without compression." and not caplog.text


def test_quantised_positions_are_refused(tmp_path):
    path = write_glb(tmp_path / "box.glb", {"POSITION": np.uint16((CORNERS + 1) * 20_000)})
    with pytest.raises(MeshError, match=r"box\.glb' stores POSITION quantised or sparse: save it with plain 32-bit"):
        load_mesh(path)


@pytest.mark.parametrize("extents", [(0, 0, 0), (2, 1, 0), (0, 1, 0)])
def test_what_has_no_extent_is_no_object(tmp_path, extents):
    path = write_glb(tmp_path / "box.glb", {"POSITION": np.sign(CORNERS) * np.float32(extents)})
    with pytest.raises(MeshError, match=r"box\.glb' holds no surface that has a length, a width and a height"):
        load_mesh(path)


@pytest.mark.parametrize("name", ["box.glb", "box.obj"])
@pytest.mark.parametrize("content", [b"", b"glTF", b"\xff\xfe\x00", bytes(40), b"f 1 2 3\n", b"v 1 2 3\nf 7 8 9\n"])
def test_what_is_no_mesh_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeshError, match=name):
        load_mesh(tmp_path / name)


# OBJ


@pytest.mark.parametrize(
    ("material", "colour"),
    [
        ("Kd 0.8 0.1 0.1", RED),
        ("Kd 0.8 0.1 0.1\nmap_Kd nothere.png", RED),
        ("Kd 1 1 1\nmap_Kd C:\\textures\\body paint.png", WHITE),
        ("map_Kd nothere.png", GREY),
        ("Kd 0 0 0\nmap_Kd red.png", RED),  # a texture counts alone
    ],
)
@pytest.mark.parametrize("uv", [True, False])
def test_a_material_gives_its_colour_where_there_is_no_texture(tmp_path, material, colour, uv):
    Image.new("RGB", (4, 4), tuple(RED)).save(tmp_path / "red.png")
    if "red.png" in material and not uv:
        colour = [0, 0, 0]
    assert colours_of(write_obj(tmp_path, uv=uv, material=material)) == [colour]


@pytest.mark.parametrize("colours", ["0.8 0.1 0.1", "204 26 26"])
@pytest.mark.parametrize("material", [None, "Kd 1 1 1", "Ka 0 0 0"])
@pytest.mark.parametrize("uv", [True, False])
def test_obj_colours_by_vertex_count_beside_a_material(tmp_path, colours, material, uv):
    assert colours_of(write_obj(tmp_path, colours=colours, material=material, uv=uv)) == [RED]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_is_read(tmp_path, encoding):
    path = write_obj(tmp_path, top="" if encoding == "utf-8-sig" else "# grün\n", material="Kd 0.8 0.1 0.1")
    for file in (path, tmp_path / "box.mtl"):
        file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
    assert colours_of(path) == [RED]


# Companions


def test_companions_change_nothing(tmp_path):
    for n in range(7):
        (tmp_path / "car").mkdir(exist_ok=True)
        write_obj(tmp_path / "car", f"{n}.obj", uv=False)
    splits = ("trn", "val", "test")
    before = [MeshObjects(tmp_path, split).files for split in splits]
    for n in range(7):
        (tmp_path / "car" / f"._{n}.obj").write_bytes(b"\0\5\x16\7")
    for name in ("__MACOSX/car.obj", "__MACOSX/car/0.obj", ".ipynb_checkpoints/0.obj", "car/Thumbs.db", "car/.9.obj/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [MeshObjects(tmp_path, split).files for split in splits] == before


# A collection of such files

UNREADABLE = {
    "fail/glb_draco.glb": "Draco",
    "pass/obj_comma_decimals.obj": "cannot be read as a mesh",
    **dict.fromkeys(
        ["pass/glb_geo_offset.glb", "pass/glb_lines.glb", "pass/glb_points.glb", "pass/obj_empty.obj",
         "pass/obj_flat.obj", "pass/obj_nan.obj", "pass/obj_no_faces.obj"],
        "holds no surface",
    ),
}  # fmt: skip
GREEN, PAINT, PALE = [30, 200, 30], [200, 30, 30], [130, 130, 130]
COLOURS = {
    "fail/glb_color0_u16.glb": RED,
    "fail/glb_color0_u8_default_material.glb": RED,
    "fail/glb_color0_u8_white_factor.glb": RED,
    "fail/glb_spec_gloss.glb": RED,
    "fail/glb_white_texture_red_factor.glb": PAINT,
    "fail/obj_bom.obj": GREY,
    "fail/obj_kd_uv.obj": RED,
    "fail/obj_missing_texture.obj": RED,
    "fail/obj_missing_texture_white_kd.obj": WHITE,
    "pass/glb_color0_f32.glb": RED,
    "pass/glb_color0_f32_vec3.glb": RED,
    "pass/glb_color0_u8_no_material.glb": RED,
    "pass/glb_color0_u8_vec3.glb": RED,
    "pass/glb_factor_raw.glb": RED,
    "pass/glb_mirrored_node.glb": GREY,
    "pass/glb_no_indices.glb": GREY,
    "pass/glb_no_material.glb": GREY,
    "pass/glb_no_uv_factor.glb": PAINT,
    "pass/glb_strip.glb": GREY,
    "pass/glb_texture.glb": GREEN,
    "pass/glb_texture_L.glb": PALE,
    "pass/glb_texture_LA.glb": PALE,
    "pass/glb_texture_P.glb": GREEN,
    "pass/glb_texture_RGBA.glb": GREEN,
    "pass/glb_two_instances.glb": GREY,
    "pass/glb_uv_factor_only.glb": PAINT,
    "pass/obj_free_form.obj": GREY,
    "pass/obj_kd.obj": RED,
    "pass/obj_kd_tr.obj": RED,
    "pass/obj_latin1.obj": GREY,
    "pass/obj_line_continuation.obj": GREY,
    "pass/obj_missing_mtl.obj": GREY,
    "pass/obj_negative_indices.obj": GREY,
    "pass/obj_ngon.obj": GREY,
    "pass/obj_plain.obj": GREY,
    "pass/obj_quads.obj": GREY,
    "pass/obj_stray_vertex.obj": GREY,
    "pass/obj_utf16.obj": GREY,
    "pass/obj_vertex_colours.obj": RED,
    "pass/obj_vertex_colours_255.obj": RED,
    "pass/obj_windows_newlines.obj": GREY,
}


@pytest.mark.parametrize("name", COLOURS)
def test_collected_files_have_one_colour(test_data, name):
    mesh = load_mesh(test_data / "data/odd_files/meshes" / name)
    assert np.isfinite(mesh.half_extents).all() and mesh.keypoints
    # Files with bytes hold 25 for a tenth of 255, those with shares are rounded to 26.
    np.testing.assert_allclose(mesh.palette * 255, [COLOURS[name]], atol=1)


@pytest.mark.parametrize("name", UNREADABLE)
def test_collected_files_that_are_no_objects(test_data, name):
    path = test_data / "data/odd_files/meshes" / name
    with pytest.raises(MeshError, match=UNREADABLE[name]) as mistake:
        load_mesh(path)
    assert str(path) in str(mistake.value)

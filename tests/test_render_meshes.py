"""Meshes as objects: read as they are, dealt to splits by file, varied without losing left, right and keypoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from spherecorr.cli import main
from spherecorr.data.records import mirrored_name
from spherecorr.data.spair import SPair71k
from spherecorr.errors import SpherecorrError
from spherecorr.render.dataset import render_dataset
from spherecorr.render.meshes import (
    MeshObjects,
    deform,
    keypoint_directions,
    load_mesh,
    repaint,
    vary,
)
from spherecorr.render.scene import Camera, render
from spherecorr.render.settings import RenderSettings

RED, BLUE = (200, 30, 20, 255), (10, 40, 220, 255)


def ball(extents=(1, 1, 1), colour=RED) -> trimesh.Trimesh:
    """An ellipsoid off the origin, for the reader to centre."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    mesh.apply_scale(np.array(extents))
    mesh.apply_translation((5, 6, 7))
    mesh.visual.vertex_colors = np.tile(np.uint8(colour), (len(mesh.vertices), 1))
    return mesh


def toy(shift: float = 0.5) -> trimesh.Scene:
    """A long red body with a blue cabin, which is nearer to the front the larger `shift` is."""
    body, cabin = trimesh.creation.box((4, 2, 1)), trimesh.creation.box((1, 1, 1))
    cabin.apply_translation((shift, 0, 1))
    for part, colour in ((body, RED), (cabin, BLUE)):
        part.visual.vertex_colors = np.tile(np.uint8(colour), (len(part.vertices), 1))
    return trimesh.Scene([body, cabin])


@pytest.fixture
def folder(tmp_path) -> Path:
    """Seven cars and a sheep."""
    for category, count in (("car", 7), ("sheep", 1)):
        (tmp_path / "meshes" / category).mkdir(parents=True)
        for n in range(count):
            toy(0.2 * n).export(tmp_path / "meshes" / category / f"{n}.{'glb' if n % 2 else 'obj'}")
    return tmp_path / "meshes"


# Reading


@pytest.mark.parametrize("ending", ["glb", "obj"])
def test_a_mesh_is_centred_and_keeps_its_proportions_and_colours(tmp_path, ending):
    toy().export(tmp_path / f"toy.{ending}")
    mesh = load_mesh(tmp_path / f"toy.{ending}")
    np.testing.assert_allclose(mesh.half_extents, [1, 0.5, 0.5], atol=1e-6)  # 4 by 2 by 2
    np.testing.assert_allclose(mesh.vertices.min(axis=0), -1)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), 1)
    assert len(mesh.faces) == 24 and len(mesh.vertices) == 16
    np.testing.assert_allclose(mesh.palette * 255, [BLUE[:3], RED[:3]], atol=1e-3)
    heights = mesh.vertices[mesh.faces][..., 2].max(axis=1)
    assert set(mesh.colour[heights > 0]) == {0} and (mesh.colour[heights <= 0] == 1).sum() == 12


def test_a_texture_gives_the_colours_under_the_corners(tmp_path):
    texture = Image.new("RGB", (2, 1))
    texture.putpixel((0, 0), RED[:3])
    texture.putpixel((1, 0), BLUE[:3])
    mesh = trimesh.creation.box((2, 1, 1))
    uv = np.where(mesh.vertices[:, :1] > 0, [[0.99, 0.5]], [[0.01, 0.5]])  # the front half is blue
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=texture)
    mesh.visual = trimesh.visual.TextureVisuals(uv, material=material)
    mesh.export(tmp_path / "box.glb")
    read = load_mesh(tmp_path / "box.glb")
    front = (read.vertices[read.faces][..., 0] > 0).all(axis=1)
    np.testing.assert_allclose(read.palette[read.colour][front] * 255, [BLUE[:3]] * 2, atol=1)


@pytest.mark.parametrize("ending", ["glb", "obj"])
def test_a_material_gives_its_colour(tmp_path, ending):
    mesh = trimesh.creation.box((2, 1, 1))
    mesh.visual = trimesh.visual.TextureVisuals(material=trimesh.visual.material.SimpleMaterial(diffuse=RED))
    mesh.export(tmp_path / f"box.{ending}")
    np.testing.assert_allclose(load_mesh(tmp_path / f"box.{ending}").palette * 255, [RED[:3]], atol=1)


def test_keypoints_are_where_rays_towards_the_centre_meet_a_ball(tmp_path):
    """On the unit ball, that is the direction itself, at length 1."""
    ball((3, 2, 1)).export(tmp_path / "ball.glb")
    mesh = load_mesh(tmp_path / "ball.glb")
    directions = keypoint_directions()
    assert len(directions) == 26 and mesh.keypoints.keys() == directions.keys()
    for name, (face, corners) in mesh.keypoints.items():
        point = corners @ mesh.vertices[mesh.faces[face]]
        np.testing.assert_allclose(point, directions[name] / np.linalg.norm(directions[name]), atol=0.02)


def test_the_directions_say_what_they_are_called():
    directions = keypoint_directions()
    assert directions["front"].tolist() == [1, 0, 0] and directions["left"].tolist() == [0, 1, 0]
    assert directions["rear_right_lower"].tolist() == [-1, -1, -1]
    for name, direction in directions.items():
        assert directions[mirrored_name(name) or name].tolist() == (direction * [1, -1, 1]).tolist()


def test_a_direction_counts_only_where_its_mirror_image_meets_something_too(tmp_path):
    """A wall on the right and a pole on the left: only straight from the side are both met."""
    wall, pole = trimesh.creation.box((2, 0.1, 2)), trimesh.creation.box((0.1, 0.1, 2))
    wall.apply_translation((0, -1, 0))
    pole.apply_translation((0, 1, 0))
    trimesh.Scene([wall, pole]).export(tmp_path / "wall.glb")
    assert {"left", "right"} <= load_mesh(tmp_path / "wall.glb").keypoints.keys() <= {
        "left", "right", "left_upper", "right_upper", "left_lower", "right_lower"
    }  # fmt: skip


# Splits


def test_no_file_is_in_two_splits(folder):
    files = {split: MeshObjects(folder, split).files for split in ("trn", "val", "test")}
    cars = [name for split in files.values() for name in split["car"]]
    assert sorted(cars) == sorted(path.name for path in (folder / "car").iterdir())
    assert {split: len(files[split]["car"]) for split in files} == {"trn": 5, "val": 1, "test": 1}
    assert [split for split in files if "sheep" in files[split]] == ["trn"]  # its only file
    assert MeshObjects(folder, "val").categories == ("car",)


def test_the_splits_go_by_the_names_alone(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (folder / "car").rename(tmp_path / "other" / "van")
    moved = MeshObjects(tmp_path / "other", "test").files["van"]
    (tmp_path / "other" / "van").rename(folder / "car")
    assert moved == MeshObjects(folder, "test").files["car"]


# Variation


@pytest.mark.parametrize("seed", range(5))
def test_deformed_objects_stay_symmetric(seed):
    points = np.random.default_rng(99).uniform(-1, 1, (200, 3))
    bent = deform(points, np.random.default_rng(seed))
    mirrored = deform(points * [1, -1, 1], np.random.default_rng(seed))
    np.testing.assert_allclose(mirrored, bent * [1, -1, 1], atol=1e-12)
    assert 0.02 < np.abs(bent - points).mean() < 0.5


def test_deformed_objects_are_not_folded():
    """The volume that three small steps span keeps its sign everywhere."""
    points = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 3), axis=-1).reshape(-1, 3)
    for seed in range(50):
        steps = [
            deform(points + 1e-4 * axis, np.random.default_rng(seed)) - deform(points, np.random.default_rng(seed))
            for axis in np.eye(3)
        ]
        assert np.linalg.det(np.stack(steps, axis=1)).min() > 0


def test_variations_differ_and_keep_the_canonical_surface(tmp_path):
    ball((2, 1, 1)).export(tmp_path / "ball.glb")
    mesh = load_mesh(tmp_path / "ball.glb")
    first, again, other = (vary(mesh, "ball", np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.colours, again.colours)
    assert np.abs(first.vertices - other.vertices).max() > 0.05
    assert np.abs(first.colours - other.colours).max() > 0.05
    for shape in (first, other):
        assert np.linalg.norm(shape.vertices, axis=1).max() == pytest.approx(1)
        np.testing.assert_allclose(shape.canonical, mesh.vertices, atol=1e-6)
        for name, point in shape.keypoints.items():
            np.testing.assert_allclose(shape.keypoints[mirrored_name(name) or name], point * [1, -1, 1], atol=0.02)


def test_a_deformed_ball_shows_each_keypoint_at_its_own_direction(tmp_path):
    ball((2, 1, 1)).export(tmp_path / "ball.glb")
    shape = vary(load_mesh(tmp_path / "ball.glb"), "ball", np.random.default_rng(0))
    camera = Camera(40, 20, 0, 4.0, 320.0, (100.0, 100.0), 200)
    rendering = render(shape, camera, np.zeros((200, 200, 3), np.uint8), np.random.default_rng(0))
    seen = {name: pixel for name, pixel in rendering.keypoints.items() if pixel}
    assert {"front", "left", "front_left_upper"} <= seen.keys() and not {"rear", "right", "lower"} & seen.keys()
    inside = {name: (int(x), int(y)) for name, (x, y) in seen.items() if rendering.mask[int(y), int(x)]}
    assert len(inside) >= len(seen) - 2  # but for those on the outline
    for name, (x, y) in inside.items():
        direction = keypoint_directions()[name]
        # Within half a pixel, which is more of the surface where it is seen obliquely.
        assert rendering.surface[y, x] @ direction / np.linalg.norm(direction) > 0.98


def test_painting_anew_keeps_greys_grey_and_colours_in_range():
    palette = np.array([[0.5, 0.5, 0.5], [0.8, 0.1, 0.1]], dtype=np.float32)
    for seed in range(10):
        grey, paint = repaint(palette, np.random.default_rng(seed))
        assert np.ptp(grey) < 1e-6 and np.ptp(paint) > 0.1
        assert grey.min() >= 0 and paint.max() <= 1


# Renders on disk


SETTINGS = RenderSettings(count=6, pairs=3, size=64, seed=3)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_renders_of_meshes_are_a_dataset_and_a_stopped_run_goes_on(folder, tmp_path, capsys):
    out = tmp_path / "renders"
    command = ["render", str(out), "--meshes", str(folder), "--size", "64", "--processes", "1", "--count", "6"]
    assert main([*command, "--pairs", "3"]) == 0
    assert f"wrote split trn to {out}" in capsys.readouterr().out
    settings = json.loads((out / "render-trn.json").read_text())
    assert settings["files"] == MeshObjects(folder, "trn").files and settings["categories"] == ["car", "sheep"]
    images = SPair71k(out).images("trn")
    assert len(images) == 6 and {image.category for image in images} == {"car", "sheep"}
    for image in images:
        assert image.elevation is not None and image.load_mask().any() and image.surface.exists()
        assert set(image.keypoints) == set(keypoint_directions())
    whole = files(out)
    (out / "ImageAnnotation/car/trn_car_000002.json").unlink()
    (out / "SurfacePoints/car/trn_car_000002.png").write_bytes(b"half")
    assert main([*command, "--pairs", "3"]) == 0
    assert files(out) == whole


def test_procedural_objects_and_meshes_need_a_folder_each(folder, tmp_path):
    render_dataset(tmp_path / "out", RenderSettings(count=2, pairs=1, categories=("car",), size=64), processes=1)
    before = files(tmp_path / "out")
    settings = RenderSettings(split="val", count=2, pairs=1, size=64, meshes=str(folder))
    with pytest.raises(SpherecorrError, match=r"has other keypoints of 'car': meshes and procedural objects need a"):
        render_dataset(tmp_path / "out", settings, processes=1)
    assert files(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("split", "arguments", "message"),
    [
        ("trn", ["--meshes", "nowhere"], "There is no folder 'nowhere' of meshes."),
        ("trn", ["--meshes", "empty"], "There is no .glb or .obj file in 'empty/<category>/'."),
        ("val", ["--categories", "sheep"], "There is no mesh for split val, category 'sheep'. Choose from: car."),
        ("val", ["--meshes", "single"], "'single' has too few meshes for split val"),
        ("trn", ["--meshes", "broken"], "'broken/car/a.glb' cannot be read as a mesh ("),
        ("trn", ["--meshes", "flat"], "'flat/car/a.obj' holds no surface that has a length, a width and a height."),
        ("trn", ["--meshes", "dash"], "The category 'pick-up' in 'dash' cannot be named in SPair's layout"),
    ],
)
def test_mistakes_are_said_in_one_sentence(folder, monkeypatch, capfd, split, arguments, message):
    monkeypatch.chdir(folder.parent)
    for name in ("empty", "single/car", "broken/car", "flat/car", "dash/pick-up"):
        Path(name).mkdir(parents=True)
    for name in ("single/car", "dash/pick-up"):
        toy().export(f"{name}/a.glb")
    Path("broken/car/a.glb").write_text("no mesh")
    Path("flat/car/a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    size = ["--size", "64", "--count", "4", "--pairs", "1", "--processes", "1"]
    assert main(["render", "out", "--meshes", "meshes", "--split", split, *size, *arguments]) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("spherecorr: ") and message in error


def test_collected_meshes(test_data):
    """Every mesh of a real collection can be read and drawn, and most show keypoints on both sides."""
    paths = sorted((test_data / "data/meshes").glob("*/*.glb"))
    assert len(paths) == 48
    pairs = []
    for n, path in enumerate(paths):
        shape = vary(load_mesh(path), path.parent.name, np.random.default_rng(n))
        camera = Camera(30 * n, 15, 0, 4.0, 100.0, (32.0, 32.0), 64)
        rendering = render(shape, camera, np.zeros((64, 64, 3), np.uint8), np.random.default_rng(n))
        assert rendering.mask.mean() > 0.02 and len(shape.keypoints) >= 8, path
        pairs.append(sum("left" in name for name in shape.keypoints))
    assert np.median(pairs) == 9

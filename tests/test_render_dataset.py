"""Renders on disk: SPair-71k's layout, the same bytes from the same seed, and runs that can be repeated."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from spherecorr.data.records import mirrored_name
from spherecorr.errors import SpherecorrError
from spherecorr.render.dataset import render_dataset, render_object
from spherecorr.render.objects import CATEGORIES, ProceduralObjects, keypoint_names, make_shape
from spherecorr.render.settings import RenderSettings

OBJECTS = ProceduralObjects()
SETTINGS = RenderSettings(split="val", count=6, pairs=3, categories=("car", "dog"), size=64, seed=5)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small rendered split."""
    root = tmp_path_factory.mktemp("renders")
    render_dataset(root, SETTINGS, processes=1)
    return root


def files(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def annotation(root, path: str) -> dict:
    return json.loads((root / path).read_text())


def test_the_layout_is_that_of_spair(root):
    """Only keypoints.json, the settings and SurfacePoints are additions."""
    stems = {"car": ["val_car_000000", "val_car_000002", "val_car_000004"], "dog": [f"val_dog_00000{i}" for i in "135"]}
    pairs = (root / "Layout" / "large" / "val.txt").read_text().split()
    expected = {"Layout/large/val.txt", "keypoints.json", "render-val.json"}
    for category, names in stems.items():
        for folder, ending in [("JPEGImages", "jpg"), ("ImageAnnotation", "json"), ("Segmentation", "png")]:
            expected |= {f"{folder}/{category}/{name}.{ending}" for name in names}
        expected |= {f"SurfacePoints/{category}/{name}.png" for name in names}
    assert set(files(root)) == expected | {f"PairAnnotation/val/{pair}.json" for pair in pairs}
    assert len(pairs) == 6 and len(set(pairs)) == 6


def test_an_image_annotation(root):
    record = annotation(root, "ImageAnnotation/dog/val_dog_000001.json")
    assert record["filename"] == "val_dog_000001.jpg" and record["category"] == "dog"
    assert (record["image_width"], record["image_height"], record["image_depth"]) == (64, 64, 3)
    assert list(record["kps"]) == [str(n) for n in range(30)]  # SPair's 30 keys are always there
    assert record["azimuth_id"] == int(record["azimuth"] // 45) and 0 <= record["azimuth"] < 360
    mask = np.asarray(Image.open(root / "Segmentation/dog/val_dog_000001.png"))
    assert set(np.unique(mask)) == {0, 255}
    rows, columns = np.nonzero(mask)
    assert record["bndbox"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_the_files_show_what_the_renderer_knows(root):
    rendering = render_object(OBJECTS, "dog", [5, 1, 1], SETTINGS, [])  # seed, number of the split, number of the image
    record = annotation(root, "ImageAnnotation/dog/val_dog_000001.json")
    names = annotation(root, "keypoints.json")["dog"]
    found = {names[int(key)]: point for key, point in record["kps"].items() if point}
    expected = {name: pixel for name, pixel in rendering.keypoints.items() if pixel}
    assert found.keys() == expected.keys() and len(found) > 5
    for name, point in found.items():
        np.testing.assert_allclose(point, expected[name], atol=0.006)  # written with two decimals
    mask = np.asarray(Image.open(root / "Segmentation/dog/val_dog_000001.png")) > 0
    assert np.array_equal(mask, rendering.mask)
    surface = np.asarray(Image.open(root / "SurfacePoints/dog/val_dog_000001.png")) / 127.5 - 1
    np.testing.assert_allclose(surface[mask], rendering.surface[mask], atol=0.5 / 127.5 + 1e-4)
    picture = np.asarray(Image.open(root / "JPEGImages/dog/val_dog_000001.jpg")).astype(float)
    assert np.abs(picture - rendering.image).mean() < 8  # JPEG


def test_a_pair_annotation_lists_the_keypoints_that_both_show(root):
    name = (root / "Layout/large/val.txt").read_text().split()[-1]
    pair = annotation(root, f"PairAnnotation/val/{name}.json")
    number, source, target = name.split(":")[0].split("-")
    assert name == f"{pair['pair_id']:06d}-{source}-{target}:{pair['category']}" and int(number) == 5
    assert (pair["src_imname"], pair["trg_imname"]) == (f"{source}.jpg", f"{target}.jpg")
    first, second = (annotation(root, f"ImageAnnotation/dog/{stem}.json") for stem in (source, target))
    assert pair["kps_ids"] == [k for k in first["kps"] if first["kps"][k] and second["kps"][k]]
    assert pair["src_kps"] == [first["kps"][k] for k in pair["kps_ids"]]
    assert pair["trg_bndbox"] == second["bndbox"] and pair["src_imsize"] == [64, 64, 3]


def test_every_image_is_a_source_before_any_is_one_again(root):
    sources = [line.split("-")[1] for line in (root / "Layout/large/val.txt").read_text().split()]
    assert sorted(sources) == sorted({*sources}) and len(sources) == SETTINGS.count


@pytest.mark.parametrize("category", CATEGORIES)
def test_keypoint_names_are_whole_and_fit_spairs_30_keys(category):
    names = keypoint_names(category)
    assert len(names) <= 30 and list(names) == sorted(names)
    assert all(mirrored_name(name) in (None, *names) for name in names)
    for seed in range(100, 140):  # objects that the list was not made from
        assert set(make_shape(category, np.random.default_rng(seed)).keypoints) <= set(names)


def test_the_same_seed_gives_the_same_bytes_whatever_the_processes(root, tmp_path):
    render_dataset(tmp_path, SETTINGS, processes=2)
    assert files(tmp_path) == files(root)


def test_seeds_and_splits_draw_other_objects():
    pictures = [render_object(OBJECTS, "car", seed, SETTINGS, []).image for seed in ([5, 1, 0], [6, 1, 0], [5, 0, 0])]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])


def test_an_interrupted_run_is_completed_and_what_is_there_is_kept(root, tmp_path):
    render_dataset(tmp_path, SETTINGS, processes=1)
    whole = files(tmp_path)
    kept = tmp_path / "JPEGImages/dog/val_dog_000001.jpg"
    kept.write_bytes(b"kept")  # complete by its annotation: not rendered again
    (tmp_path / "ImageAnnotation/dog/val_dog_000003.json").unlink()  # stopped before its last file
    (tmp_path / "JPEGImages/dog/val_dog_000003.jpg").unlink()
    (tmp_path / "Layout/large/val.txt").unlink()
    render_dataset(tmp_path, SETTINGS, processes=1)
    assert kept.read_bytes() == b"kept"
    assert files(tmp_path) == {**whole, "JPEGImages/dog/val_dog_000001.jpg": b"kept"}


def test_a_killed_run_leaves_no_process_and_ends_alike_when_repeated(root, tmp_path):
    """Killed without warning after the first picture; the repeated command writes what one run would have written."""
    settings = replace(SETTINGS, count=60)
    code = f"""
from pathlib import Path
from spherecorr.render.dataset import render_dataset
from spherecorr.render.settings import RenderSettings
render_dataset(Path({str(tmp_path / "killed")!r}), {settings!r})"""
    command = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    while not list((tmp_path / "killed").glob("ImageAnnotation/*/*.json")):
        assert command.poll() is None
        time.sleep(0.005)
    command.kill()
    command.communicate(timeout=30)  # until the last process that could write to it has ended
    assert not (tmp_path / "killed" / "Layout").exists()  # stopped midway
    for folder in ("killed", "whole"):
        render_dataset(tmp_path / folder, settings, processes=1)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_two_splits_share_a_folder_and_keep_their_names(root, tmp_path):
    render_dataset(tmp_path, replace(SETTINGS, count=2, pairs=1, categories=("car",)), processes=1)
    render_dataset(tmp_path, replace(SETTINGS, split="test", count=2, pairs=1, categories=("dog",)), processes=1)
    assert {"car", "dog"} <= annotation(tmp_path, "keypoints.json").keys()
    assert {path.name for path in (tmp_path / "Layout/large").iterdir()} == {"val.txt", "test.txt"}


def test_settings_are_written_and_others_refused(root):
    written = annotation(root, "render-val.json")
    assert written == {**asdict(SETTINGS), "categories": ["car", "dog"], "files": {}}
    before = files(root)
    with pytest.raises(SpherecorrError, match=r"render-val.json' was made with other settings\. Choose another folder"):
        render_dataset(root, replace(SETTINGS, seed=6))
    assert files(root) == before


def test_photographs_serve_as_backgrounds(tmp_path):
    folder = tmp_path / "photos" / "deeper"
    folder.mkdir(parents=True)
    Image.new("RGB", (80, 50), (255, 0, 0)).save(folder / "red.png")
    settings = replace(SETTINGS, backgrounds=str(tmp_path / "photos"))
    red = 0
    for index in range(12):
        rendering = render_object(OBJECTS, "dog", [0, 0, index], settings, [(str(folder / "red.png"), None)])
        background = rendering.image[~rendering.mask]
        red += bool((background[:, 1:] == 0).all())
    assert 2 <= red <= 10  # every second one, at random
    render_dataset(tmp_path / "out", replace(settings, count=4, pairs=1), processes=1)


def backgrounds_of(photo) -> list[np.ndarray]:
    """The pictures of twelve renders, about half of which stand before the photograph."""
    settings = replace(SETTINGS, backgrounds=str(photo.parent))
    return [render_object(OBJECTS, "dog", [0, 0, index], settings, [(str(photo), None)]).image for index in range(12)]


def test_a_photograph_is_one_picture_however_it_is_stored(tmp_path):
    """As 8-bit RGB, as 16-bit grey, turned by EXIF, and with a palette."""
    grey = np.random.default_rng(0).integers(0, 256, (50, 80), dtype=np.uint8)
    plain = Image.fromarray(grey).convert("RGB")
    plain.save(tmp_path / "plain.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    turn = Image.Exif()
    turn[274] = 6  # to be shown turned a quarter to the right
    plain.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=turn)
    plain.quantize(256, dither=Image.Dither.NONE).save(tmp_path / "palette.png")
    expected = backgrounds_of(tmp_path / "plain.png")
    for name in ("deep", "turned", "palette"):
        np.testing.assert_array_equal(backgrounds_of(tmp_path / f"{name}.png"), expected, err_msg=name)


def test_a_broken_photograph_is_named(tmp_path):
    Image.new("RGB", (80, 50), "red").save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:300])
    with pytest.raises(SpherecorrError, match=r"cut\.jpg"):
        backgrounds_of(tmp_path / "cut.jpg")


def test_companions_of_photographs_change_nothing(tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name, colour in (("a.jpg", "red"), ("sub/b.jpg", "blue")):
        Image.new("RGB", (80, 50), colour).save(tmp_path / "photos" / name)
    settings = replace(SETTINGS, backgrounds=str(tmp_path / "photos"))
    render_dataset(tmp_path / "clean", settings, processes=1)
    for name in ("._a.jpg", "sub/._b.jpg", "__MACOSX/a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "Thumbs.db"):
        (tmp_path / "photos" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"no picture")
    render_dataset(tmp_path / "cluttered", settings, processes=1)
    assert files(tmp_path / "cluttered") == files(tmp_path / "clean")


def test_supersampling_smooths_and_keeps_the_labels_in_place(tmp_path):
    """At two rays a pixel each way, the labels are those of a picture of twice the size, scaled down."""
    settings = replace(SETTINGS, supersample=2, count=2, pairs=1, categories=("dog",))
    render_dataset(tmp_path, settings, processes=1)
    rendering = render_object(OBJECTS, "dog", [5, 1, 0], settings, [])
    assert rendering.image.shape == (128, 128, 3)
    record = annotation(tmp_path, "ImageAnnotation/dog/val_dog_000000.json")
    points = [point for point in rendering.keypoints.values() if point]
    found = [point for point in record["kps"].values() if point]
    np.testing.assert_allclose(sorted(found), np.array(sorted(points)) / 2, atol=0.006)
    mask = np.asarray(Image.open(tmp_path / "Segmentation/dog/val_dog_000000.png"))
    assert mask.shape == (64, 64)
    assert np.mean(mask > 0) == pytest.approx(rendering.mask.mean(), abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": ("car", "unicorn")}, "There is no procedural 'unicorn'. Choose from: aeroplane"),
        ({"split": "train"}, "The split must be one of trn, val, test; got 'train'."),
        ({"backgrounds": "nowhere"}, "There is no .jpg or .png picture in 'nowhere' or below it."),
        ({"count": 3}, "2 categories take a count of at least 4 and at least 1 pair; got 3 and 3."),
        ({"pairs": 0}, "at least 1 pair; got 6 and 0."),
        ({"size": 8}, "Pictures need at least 32 pixels a side; got 8."),
    ],
)
def test_mistakes_are_said_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(SpherecorrError) as mistake:
        render_dataset(tmp_path, replace(SETTINGS, **change))
    assert message in str(mistake.value) and "\n" not in str(mistake.value)
    assert not list(tmp_path.iterdir())


def test_masks_of_backgrounds_lie_under_the_photographs_paths(tmp_path):
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    (photos / "dog").mkdir(parents=True)
    (masks / "dog").mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (80, 50), (0, 200, 0)).save(photos / "dog" / f"{name}.jpg")
    mask = np.zeros((50, 80), np.uint8)
    mask[10:40, 20:60] = 255
    Image.fromarray(mask).save(masks / "dog" / "a.png")
    settings = replace(SETTINGS, backgrounds=str(photos), background_masks=str(masks), count=4, pairs=1)
    render_dataset(tmp_path / "out", settings, processes=1)
    with pytest.raises(
        SpherecorrError, match=r"No picture in '.*photos' has a mask in '.*nowhere' under the same path"
    ):
        render_dataset(tmp_path / "none", replace(settings, background_masks=str(tmp_path / "nowhere")), processes=1)
    with pytest.raises(SpherecorrError, match="Masks of backgrounds need the backgrounds"):
        render_dataset(tmp_path / "none", replace(settings, backgrounds=None), processes=1)

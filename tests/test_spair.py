"""The reader of SPair-71k's layout: a real annotation, our own renders, and files that are missing or broken."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spherecorr.data.records import DatasetError, ImageRecord, mirrored_name
from spherecorr.data.spair import Renders, SPair71k, SPairU
from spherecorr.render.dataset import render_dataset
from spherecorr.render.settings import RenderSettings


def write(path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def image_annotation(stem: str, **changes) -> dict:
    points = {str(k): None for k in range(30)} | {"0": [10, 20], "3": [30, 5]}
    size = {"image_width": 64, "image_height": 48}
    return {"filename": f"{stem}.jpg", **size, "category": "bird", "bndbox": [1, 2, 60, 40], "kps": points} | {
        "azimuth_id": 6,
        **changes,
    }


NAME = "000000-one-two:bird"
PAIR = {"src_imname": "one.jpg", "trg_imname": "two.jpg", "category": "bird", "viewpoint_variation": 2, "mirror": 0}


@pytest.fixture
def tree(tmp_path):
    """The smallest dataset: one pair of two images of a bird, one of them with a mask."""
    for stem in ("one", "two"):
        write(tmp_path / f"ImageAnnotation/bird/{stem}.json", image_annotation(stem))
        (tmp_path / "JPEGImages/bird").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(tmp_path / f"JPEGImages/bird/{stem}.jpg")
    mask = Image.fromarray((np.arange(64)[None] < 20).repeat(48, 0).astype(np.uint8) * 3)
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])  # SPair's masks are pictures with a palette
    (tmp_path / "Segmentation/bird").mkdir(parents=True)
    mask.save(tmp_path / "Segmentation/bird/one.png")
    write(tmp_path / f"PairAnnotation/test/{NAME}.json", PAIR)
    write(tmp_path / "Layout/large/test.txt", f"{NAME}\n")
    return tmp_path


def test_a_small_tree(tree):
    data = SPair71k(tree)
    assert data.categories == ["bird"]
    (pair,) = data.pairs("test")
    assert pair.id == NAME and pair.attributes == {"viewpoint_variation": 2, "mirror": 0}
    one, two = pair.source, pair.target
    assert (one.id, two.id) == ("bird/one", "bird/two")
    assert one.path == tree / "JPEGImages/bird/one.jpg" and one.path.is_file()
    assert (one.size, one.box, one.azimuth_bin, one.azimuth) == ((64, 48), (1, 2, 60, 40), 6, None)
    assert one.keypoints["3"] == (30, 5) and one.keypoints["4"] is None and len(one.keypoints) == 30
    assert data.images("test") == [one]  # the sources, once each


def test_the_numbers_of_spair_are_known_those_of_renders_and_spair_u_are_not(tree):
    assert SPair71k(tree).symmetry["bird"].mirrored["1"] == "2"  # wings
    shutil.copytree(tree / "ImageAnnotation", tree / "ExtraImageAnnotation")
    assert SPairU(tree).symmetry == Renders(tree).symmetry == {}
    write(tree / "keypoints.json", {"bird": ["nose"]})
    assert SPair71k(tree).symmetry == {}  # names say it


def test_masks(tree):
    (pair,) = SPair71k(tree).pairs("test")
    mask = pair.source.load_mask()
    assert mask.shape == (48, 64) and mask[:, :20].all() and not mask[:, 20:].any()
    with pytest.raises(DatasetError, match="Image 'bird/two' has no mask"):
        pair.target.load_mask()
    with pytest.raises(DatasetError, match="Image 'bird/one' has no surface points"):
        pair.source.load_surface()
    (tree / "Segmentation/bird/one.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"one\.png' cannot be read as a picture"):
        pair.source.load_mask()


def test_surface_points_are_coded_from_minus_one_to_one(tree):
    Image.fromarray(np.array([[[0, 255, 51]]], np.uint8)).save(tree / "surface.png")
    (pair,) = SPair71k(tree).pairs("test")
    surface = replace(pair.source, surface=tree / "surface.png").load_surface()
    np.testing.assert_allclose(surface, [[[-1, 1, -0.6]]], atol=1e-6)


def test_an_image_is_read_once_however_many_pairs_show_it(tree):
    second = "000001-one-two:bird"
    write(tree / f"PairAnnotation/test/{second}.json", PAIR)
    write(tree / "Layout/large/test.txt", f"{NAME}\n{second}\n")
    first, again = SPair71k(tree).pairs("test")
    assert first.source is again.source
    assert len(SPair71k(tree).images("test")) == 1


def test_the_same_stem_in_two_categories_is_two_images(tree):
    """SPair shows some photographs in two categories, with other keypoints."""
    write(tree / "ImageAnnotation/cat/one.json", image_annotation("one", category="cat"))
    other = "000001-one-one:cat"
    write(tree / f"PairAnnotation/test/{other}.json", {**PAIR, "trg_imname": "one.jpg", "category": "cat"})
    write(tree / "Layout/large/test.txt", f"{NAME}\n{other}\n")
    assert [image.id for image in SPair71k(tree).images("test")] == ["bird/one", "cat/one"]


def test_a_real_annotation_of_spair(test_data, tmp_path):
    """The real pair's target is annotated; its source gets a copy under its own name."""
    samples = test_data / "data" / "spair_format"
    name = "000010-2008_002719-2009_001056:aeroplane"
    folder = tmp_path / "ImageAnnotation/aeroplane"
    folder.mkdir(parents=True)
    for stem in ("2009_001056", "2008_002719"):
        shutil.copy(samples / "ImageAnnotation-aeroplane-2009_001056.json", folder / f"{stem}.json")
    (tmp_path / "PairAnnotation/test").mkdir(parents=True)
    shutil.copy(
        samples / f"PairAnnotation-{name.replace(':', '_')}.json", tmp_path / f"PairAnnotation/test/{name}.json"
    )
    write(tmp_path / "Layout/large/test.txt", f"{name}\n")

    (pair,) = SPair71k(tmp_path).pairs("test")
    target = pair.target
    assert pair.id == name and target.id == "aeroplane/2009_001056"
    assert target.size == (500, 334) and target.box == (14, 71, 483, 220) and target.azimuth_bin == 5
    # The pair's own list of common keypoints is the image's, key by key.
    document = json.loads((tmp_path / f"PairAnnotation/test/{name}.json").read_text())
    assert [list(target.keypoints[key]) for key in document["kps_ids"]] == document["trg_kps"]
    assert sum(point is not None for point in target.keypoints.values()) == 16
    assert pair.attributes["viewpoint_variation"] == 1 and pair.attributes["occlusion"] == 0


def test_renders_are_read_with_names_azimuths_and_surfaces(tmp_path):
    settings = RenderSettings(split="trn", count=4, pairs=2, categories=("car",), size=64)
    render_dataset(tmp_path, settings, processes=1)
    data = SPair71k(tmp_path)
    for image in data.images("trn"):
        assert isinstance(image, ImageRecord) and image.category == "car"
        assert {"left_headlight", "right_headlight", "front_plate"} <= image.keypoints.keys()
        assert all(mirrored_name(name) in (None, *image.keypoints) for name in image.keypoints)
        assert image.azimuth_bin == image.azimuth // 45
        mask, surface = image.load_mask(), image.load_surface()
        assert mask.shape == (64, 64) and surface.shape == (64, 64, 3) and surface.dtype == np.float32
        assert np.abs(surface).max() <= 1
        x0, y0, x1, y1 = image.box
        assert mask[y0:y1, x0:x1].sum() == mask.sum()
        # A left part has y > 0 in the object's frame: the surface under its pixel is on the left half.
        for name, point in image.keypoints.items():
            if point and name.startswith(("left_front_wheel", "left_headlight", "left_mirror")):
                x, y = (int(v) for v in point)
                assert not mask[y, x] or surface[y, x, 1] > 0


@pytest.mark.parametrize(
    ("name", "mirrored"), [("left_eye", "right_eye"), ("right_eye", "left_eye"), ("nose", None), ("3", None)]
)
def test_mirrored_names(name, mirrored):
    assert mirrored_name(name) == mirrored


IMAGE, PAIRS = "ImageAnnotation/bird/one.json", f"PairAnnotation/test/{NAME}.json"


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (IMAGE, None, "one.json' cannot be read (No such file or directory)."),
        (IMAGE, "{", "one.json' is not valid JSON (Expecting property name"),
        (IMAGE, "[]", "one.json' is no image annotation of SPair-71k."),
        (IMAGE, {**image_annotation("one"), "kps": [1, 2]}, "one.json' is no image annotation of SPair-71k."),
        (IMAGE, {"category": "bird"}, "one.json' lacks the key 'filename'."),
        (IMAGE, {k: v for k, v in image_annotation("one").items() if k != "kps"}, "one.json' lacks the key 'kps'."),
        (PAIRS, None, f"{NAME}.json' cannot be read (No such file or directory)."),
        (PAIRS, "", f"{NAME}.json' is not valid JSON (Expecting value"),
        (PAIRS, "[]", f"{NAME}.json' is no pair annotation of SPair-71k."),
        (PAIRS, {"category": "bird", "src_imname": "one.jpg"}, f"{NAME}.json' lacks the key 'trg_imname'."),
        ("Layout/large/test.txt", None, "test.txt' is missing."),
        ("Layout/large/test.txt", "one two", "lists 'one', which is not of the form number-source-target:category."),
        ("keypoints.json", "{", "keypoints.json' is not valid JSON"),
    ],
)
def test_a_broken_file_is_named_in_one_sentence(tree, path, content, message):
    (tree / path).unlink(missing_ok=True)
    if content is not None:
        write(tree / path, content)
    with pytest.raises(DatasetError) as mistake:
        SPair71k(tree).pairs("test")
    assert message in str(mistake.value) and "\n" not in str(mistake.value)


def test_binary_rubbish_is_named_too(tree):
    (tree / IMAGE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"one\.json' is not valid JSON"):
        SPair71k(tree).images("test")


def test_an_unknown_split_and_another_folder(tree):
    with pytest.raises(DatasetError, match="There is no split 'train'; SPair-71k has trn, val, test"):
        SPair71k(tree).images("train")
    with pytest.raises(DatasetError, match="has no folder ImageAnnotation: it is not in SPair-71k's layout"):
        SPair71k(tree / "Layout")

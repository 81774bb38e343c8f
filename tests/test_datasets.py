"""Each dataset's layout as a hand-made tree, read; what is broken is named. (Others in files of their own.)"""

import csv
import json
import pickle
import shutil
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from spherecorr.crops import read_picture
from spherecorr.data.ap10k import AP10K
from spherecorr.data.awa_pose import AwaPose
from spherecorr.data.check import check_split
from spherecorr.data.folder import Eth80, Folder, eth80_viewpoint
from spherecorr.data.freiburg_cars import FreiburgCars
from spherecorr.data.proposal_flow import PFPascal, PFWillow
from spherecorr.data.records import DatasetError
from spherecorr.data.spair import SPair71k, SPairU
from spherecorr.training.annotations import read_annotations


def picture(path, size=(64, 48), mode="RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, "white").save(path)


def write(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def table(path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def refuses(read, *parts: str) -> None:
    """Reading names every part in one line."""
    with pytest.raises(DatasetError) as mistake:
        read()
    assert all(part in str(mistake.value) for part in parts), str(mistake.value)
    assert "\n" not in str(mistake.value)


# SPair-71k's small layout and SPair-U


def spair_image(stem: str, **points) -> dict:
    size = {"image_width": 64, "image_height": 48}
    box = {"bndbox": [1, 2, 60, 40], "azimuth_id": 6, "category": "bird"}
    return {"filename": f"{stem}.jpg", **size, **box, "kps": {"0": [10, 20], "1": None, **points}}


@pytest.fixture
def spair(tmp_path):
    """Two images in three pairs, one of them in the small layout, and SPair-U's points on the same images."""
    pair = {"category": "bird", "occlusion": 1, "scale_variation": 2}
    names = {"0-a-b:bird": "ab", "1-b-a:bird": "ba", "2-a-a:bird": "aa"}
    for stem in "ab":
        write(tmp_path / f"ImageAnnotation/bird/{stem}.json", spair_image(stem))
        write(tmp_path / f"ExtraImageAnnotation/bird/{stem}.json", spair_image(stem, **{"1": [30, 30]}))
        picture(tmp_path / f"JPEGImages/bird/{stem}.jpg")
    for name, (source, target) in names.items():
        annotation = {**pair, "src_imname": f"{source}.jpg", "trg_imname": f"{target}.jpg"}
        write(tmp_path / f"PairAnnotation/test/{name}.json", annotation)
    write(tmp_path / "ExtraPairAnnotation/test/0-a-b:bird.json", {**pair, "src_imname": "a.jpg", "trg_imname": "b.jpg"})
    write(tmp_path / "Layout/large/test.txt", "\n".join(names))
    write(tmp_path / "Layout/small/test.txt", "1-b-a:bird")
    return tmp_path


def test_spairs_layouts_and_splits(spair):
    assert SPair71k(spair).splits == ("test",)
    assert len(SPair71k(spair).pairs("test")) == 3
    (pair,) = SPair71k(spair, layout="small").pairs("test")
    assert pair.id == "1-b-a:bird" and pair.attributes == {"occlusion": 1, "scale_variation": 2}


def test_spair_u_has_other_points_on_the_same_pictures(spair):
    (extra,), (plain, *_) = SPairU(spair).pairs("test"), SPair71k(spair).pairs("test")
    assert extra.source.path == plain.source.path
    assert plain.source.keypoints == {"0": (10, 20), "1": None}
    assert extra.source.keypoints == {"0": (10, 20), "1": (30, 30)}
    refuses(lambda: SPairU(spair).pairs("trn"), "There is no split 'trn'; SPair-U has test")
    refuses(lambda: SPairU(spair / "Layout"), "has no folder ExtraImageAnnotation")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kps": {"0": [66, 20]}}, "a.json' has the keypoint '0' at (66, 20), outside the image of 64 x 48 pixels"),
        ({"kps": {"0": [10, float("nan")]}}, "has the keypoint '0' at (10, nan), outside"),
        ({"bndbox": [5, 2, 5, 40]}, "a.json' has a box without size: (5, 2, 5, 40)"),
        ({"bndbox": [5, 2, 5]}, "a.json' has a size, a box, a keypoint or a viewpoint that is no number"),
        ({"azimuth_id": 8}, "a.json' has the azimuth bin 8, which is none of 0 to 7"),
        ({"azimuth": float("nan")}, "a.json' has the azimuth nan, which is no number of degrees"),
        ({"azimuth": "left"}, "a.json' has a size, a box, a keypoint or a viewpoint that is no number"),
        ({"elevation": 91}, "a.json' has the elevation 91, which is not -90 to 90 degrees"),
    ],
)
def test_geometry_is_checked_and_broken_pairs_can_be_left_out(spair, changes, message):
    write(spair / "ImageAnnotation/bird/a.json", {**spair_image("a"), **changes})
    refuses(lambda: SPair71k(spair).pairs("test"), message)
    broken = []
    assert SPair71k(spair).pairs("test", broken) == [] and len(broken) == 3 and message in broken[0]


def test_masks_made_elsewhere_count_instead_of_the_datasets_own(spair, tmp_path):
    picture(spair / "Segmentation/bird/b.png", mode="L")
    picture(tmp_path / "masks/bird/a.png", mode="L")
    (own, *_), (given, *_) = SPair71k(spair).pairs("test"), SPair71k(spair, masks=tmp_path / "masks").pairs("test")
    assert own.source.mask is None and own.target.mask == spair / "Segmentation/bird/b.png"
    assert given.source.mask == tmp_path / "masks/bird/a.png" and given.target.mask is None


def test_a_keypoint_on_the_rim_is_inside(spair):
    write(spair / "ImageAnnotation/bird/a.json", spair_image("a", **{"0": [64, 48]}))
    assert SPair71k(spair).images("test")[0].keypoints["0"] == (64, 48)


def test_a_copy_without_layout_has_the_pairs_that_are_annotated(spair):
    with_layout = SPair71k(spair)
    pairs, images = with_layout.pairs("test"), with_layout.images("test")
    shutil.rmtree(spair / "Layout")
    data = SPair71k(spair)
    assert data.splits == ("test",) and data.pairs("test") == pairs and data.images("test") == images
    refuses(lambda: SPair71k(spair).pairs("val"), "val.txt' is missing")
    assert SPair71k(spair, layout="small").splits == ()  # which pairs these are, only Layout tells


def test_a_layout_counts_where_there_is_one(spair):
    shutil.copytree(spair / "PairAnnotation/test", spair / "PairAnnotation/val")
    assert SPair71k(spair).splits == ("test",)
    refuses(lambda: SPair71k(spair).pairs("val"), "val.txt' is missing")


def test_a_picture_without_azimuth_has_its_keypoints(spair):
    annotation = spair_image("a")
    del annotation["azimuth_id"]
    write(spair / "ImageAnnotation/bird/a.json", annotation)
    (pair, *_) = SPair71k(spair).pairs("test")
    assert pair.source.keypoints["0"] == (10, 20) and pair.source.viewpoint is None


# PF-PASCAL and PF-WILLOW


@pytest.fixture
def pascal(tmp_path):
    for stem in "ab":
        picture(tmp_path / f"PF/{stem}.jpg")
    row = {"source_image": "PF/a.jpg", "target_image": "PF/b.jpg", "class": 20}
    table(tmp_path / "image_pairs/test_pairs.csv", [{**row, "XA": "1;2.5", "YA": "3;4", "XB": "5;6", "YB": "7;8"}])
    table(tmp_path / "image_pairs/train_pairs.csv", [{**row, "flip": 0}, {**row, "flip": 1}])
    return tmp_path


def test_pf_pascal(pascal):
    data = PFPascal(pascal)
    assert data.splits == ("trn", "test") and len(data.categories) == 20
    (pair,) = data.pairs("test")
    assert pair.source.keypoints == {"0": (1, 3), "1": (2.5, 4)} and pair.target.keypoints == {"0": (5, 7), "1": (6, 8)}
    assert pair.source.category == "tvmonitor" and pair.source.box is None and pair.source.size == (64, 48)
    plain, flipped = data.pairs("trn")
    assert plain.source.keypoints == {} and plain.attributes == {"flip": False} and flipped.attributes == {"flip": True}
    assert [image.id for image in data.images("trn")] == ["tvmonitor/a", "tvmonitor/b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": 21}, "test_pairs.csv, line 2' has the class '21', which is not 1 to 20"),
        ({"XA": "1;2;3"}, "line 2' has 3 x and 2 y coordinates"),
        ({"XA": "1", "YA": "1"}, "line 2' has 1 points in one image and 2 in the other"),
        ({"XA": "1;wide"}, "line 2' has a coordinate that is no number"),
        ({"XB": "5;99"}, "line 2' has the keypoint '1' at (99, 8), outside the image of 64 x 48 pixels"),
        ({"target_image": "PF/c.jpg"}, "c.jpg' cannot be read as a picture"),
    ],
)
def test_pf_pascal_names_what_is_broken(pascal, changes, message):
    row = {"source_image": "PF/a.jpg", "target_image": "PF/b.jpg", "class": 20}
    points = {"XA": "1;2.5", "YA": "3;4", "XB": "5;6", "YB": "7;8"}
    table(pascal / "image_pairs/test_pairs.csv", [{**row, **points, **changes}])
    refuses(lambda: PFPascal(pascal).pairs("test"), message)


def test_tables_that_are_none(pascal):
    path = pascal / "image_pairs/test_pairs.csv"
    for content, message in (
        ("source_image,target_image\n", "test_pairs.csv' lacks the column 'class'"),
        ("source_image,target_image,class\nPF/a.jpg\n", "line 2' has another number of fields than the header"),
        ("source_image,target_image,class\nPF/a.jpg,PF/b.jpg,1\n", "line 2' has neither points (XA, YA, XB, YB) nor"),
    ):
        write(path, content)
        refuses(lambda: PFPascal(pascal).pairs("test"), message)
    path.write_bytes(b"\xff\xfe\x00")
    refuses(lambda: PFPascal(pascal).pairs("test"), "test_pairs.csv' is no text file")
    refuses(lambda: PFPascal(pascal).pairs("val"), "val_pairs.csv' cannot be read (No such file or directory)")
    refuses(lambda: PFPascal(pascal / "PF"), "has none of image_pairs/{train,val,test}_pairs.csv")


def test_blank_rows_of_a_spreadsheet_are_no_rows(pascal):
    path = pascal / "image_pairs/test_pairs.csv"
    (pair,) = PFPascal(pascal).pairs("test")
    header, row = path.read_text().splitlines()
    blank = "," * header.count(",")
    path.write_text("\n".join(["", blank, header, "", blank, row, f" {blank} ", ",", blank + ",,", ""]))
    assert PFPascal(pascal).pairs("test") == [pair]
    path.write_text("\n".join([blank, header, "", row.replace("PF/a.jpg", "PF/gone.jpg")]))
    refuses(lambda: PFPascal(pascal).pairs("test"), "gone.jpg' cannot be read as a picture")
    path.write_text("\n".join([blank, header, "", row + ",more"]))
    refuses(lambda: PFPascal(pascal).pairs("test"), "line 4' has another number of fields than the header")
    path.write_text(blank)
    refuses(lambda: PFPascal(pascal).pairs("test"), "test_pairs.csv' lacks the column 'source_image'")


def test_pf_willow(tmp_path):
    row = {"imageA": "PF-dataset/car(G)/a.png", "imageB": "PF-dataset/car(G)/b.png"}
    row |= {f"{axis}{side}{i}": 2 * i + (axis == "Y") for axis in "XY" for side in "AB" for i in range(1, 11)}
    for name in ("imageA", "imageB"):
        picture(tmp_path / row[name])
    table(tmp_path / "test_pairs_pf.csv", [row])
    data = PFWillow(tmp_path)
    (pair,) = data.pairs("test")
    assert data.categories == ["car(G)"] and pair.id == "car(G)/a-car(G)/b"
    assert len(pair.source.keypoints) == 10 and pair.target.keypoints["9"] == (20, 21)
    assert pair.target.box == (2, 3, 20, 21)  # around the points
    table(tmp_path / "test_pairs_pf.csv", [{**row, **{f"XA{i}": 7 for i in range(1, 11)}}])
    refuses(lambda: data.pairs("test"), "test_pairs_pf.csv, line 2' has a box without size: (7, 3, 7, 21)")
    refuses(lambda: PFWillow(tmp_path / "PF-dataset"), "test_pairs_pf.csv' is missing")


# Freiburg static cars, a folder, ETH-80


def test_freiburg_cars(tmp_path):
    picture(tmp_path / "images/car_07/0001.jpg")
    picture(tmp_path / "images/car_07/0002.jpg")
    picture(tmp_path / "instance_masks/car_07/0001.png", mode="L")
    write(tmp_path / "annotations/7_annot.txt", "car_07/0001.jpg 1 2 60 40 100\ncar_07/0002.jpg 1 2 60 40 360\n")
    first, second = FreiburgCars(tmp_path).images("all")
    assert (first.id, first.box, first.azimuth, first.azimuth_bin) == ("car/car_07-0001", (1, 2, 60, 40), 100, 2)
    assert first.load_mask().all() and second.mask is None and (second.azimuth, second.azimuth_bin) == (0, 0)
    assert first.instance == second.instance == "car_07"
    for line, message in (
        ("car_07/0001.jpg 1 2 60 40", "7_annot.txt, line 1' is not of the form car/file x0 y0 x1 y1 azimuth"),
        ("car_07/0001.jpg 1 2 1 40 5", "7_annot.txt, line 1' has a box without size: (1, 2, 1, 40)"),
        ("car_07/0003.jpg 1 2 60 40 5", "0003.jpg' cannot be read as a picture"),
    ):
        write(tmp_path / "annotations/7_annot.txt", line)
        refuses(lambda: FreiburgCars(tmp_path).images("all"), message)
    picture(tmp_path / "images/car_10/0001.jpg")
    broken = []
    FreiburgCars(tmp_path).images("all", broken)
    assert "10_annot.txt' cannot be read" in broken[0] and "0003.jpg" in broken[1]
    refuses(lambda: FreiburgCars(tmp_path / "images"), "has no folder annotations")


def test_freiburgs_archive_has_the_cars_beside_their_annotations(tmp_path):
    root = tmp_path / "cars"
    picture(root / "car_007/0001.png")
    write(root / "annotations/7_annot.txt", "car_007/0001.png 1 2 60 40 45\n")
    picture(tmp_path / "masks/car/car_007-0001.png", mode="L")
    (image,) = FreiburgCars(root, masks=tmp_path / "masks").images("all")
    assert (image.id, image.path) == ("car/car_007-0001", root / "car_007/0001.png")
    assert (image.azimuth, image.azimuth_bin) == (45, 1)  # the bins' edges are at 0, 45, ...
    assert image.mask == tmp_path / "masks/car/car_007-0001.png"


def test_a_folder_of_ones_own(tmp_path):
    picture(tmp_path / "photos/a.jpg")
    picture(tmp_path / "masks/a.png", mode="L")
    row = {"image": "photos/a.jpg", "category": "mug", "azimuth": "-30", "azimuth_bin": "", "elevation": "12.5"}
    rows = [{**row, "mask": "masks/a.png", "instance": "my mug"}]
    rows += [{**row, "category": "cup", "azimuth": "", "azimuth_bin": "3", "elevation": "", "mask": "", "instance": ""}]
    table(tmp_path / "viewpoints.csv", rows)
    mug, cup = Folder(tmp_path).images("all")
    assert Folder(tmp_path).categories == ["cup", "mug"] and (mug.id, cup.id) == ("mug/photos-a", "cup/photos-a")
    assert (mug.azimuth, mug.azimuth_bin, cup.azimuth, cup.azimuth_bin) == (330, 7, None, 3)
    assert (mug.elevation, cup.elevation) == (12.5, None) and (mug.instance, cup.instance) == ("my mug", None)
    assert mug.load_mask().all() and cup.mask is None and mug.box is None
    picture(tmp_path / "better/cup/photos-a.png", mode="L")
    assert [image.mask for image in Folder(tmp_path, masks=tmp_path / "better").images("all")] == [
        None,
        tmp_path / "better/cup/photos-a.png",
    ]
    for changes, message in (
        ({"azimuth": "nan"}, "viewpoints.csv, line 2' has the azimuth 'nan', which is no number"),
        ({"azimuth": "", "mask": ""}, "line 2' has neither an azimuth nor an azimuth_bin of 0 to 7"),
        ({"azimuth": "", "azimuth_bin": "8"}, "line 2' has the azimuth bin 8, which is none of 0 to 7"),
        ({"elevation": "high"}, "line 2' has the elevation 'high', which is no number of degrees"),
        ({"elevation": "-91"}, "line 2' has the elevation -91.0, which is not -90 to 90 degrees"),
        ({"mask": "masks/b.png"}, "line 2' names the mask 'masks/b.png', which is missing"),
        ({"image": "photos/b.jpg"}, "b.jpg' cannot be read as a picture"),
        ({"image": ""}, "viewpoints.csv, line 2' names no image"),
    ):
        table(tmp_path / "viewpoints.csv", [{**rows[0], **changes}])
        refuses(lambda: Folder(tmp_path).images("all"), message)
    refuses(lambda: Folder(tmp_path / "photos"), "viewpoints.csv' is missing")


@pytest.mark.parametrize(
    ("name", "azimuth", "elevation"),
    [
        ("car1-090-000", 270, 0),  # faces right: the camera sees its right side
        ("car1-090-090", 0, 0),  # faces the camera
        ("car1-045-180", 90, 45),  # faces left
        ("car1-090-270", 180, 0),
        ("car1-000-000", None, 90),
    ],
)
def test_eth80_azimuths_become_spairs(tmp_path, name, azimuth, elevation):
    assert eth80_viewpoint(tmp_path / f"{name}.jpg") == (azimuth, elevation)


def test_a_folders_picture_with_a_mask_needs_no_viewpoint(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    Image.new("L", (64, 48), 255).save(tmp_path / "mask.png")
    rows = [
        {"image": "a.png", "category": "mug", "azimuth": "", "mask": "mask.png", "quality": "skip"},
        {"image": "b.png", "category": "mug", "azimuth": 90, "mask": "mask.png", "quality": "fair"},
    ]
    table(tmp_path / "viewpoints.csv", rows)
    first, second = Folder(tmp_path).images("all")
    assert (first.azimuth, first.azimuth_bin, first.quality) == (None, None, 0.0)
    assert (second.azimuth, second.quality) == (90, 0.5)
    known = read_annotations([first, second])
    assert known.azimuth.isnan().tolist() == [True, False] and known.quality.tolist() == [0.0, 0.5]
    for changes, message in (
        ({"mask": ""}, "has neither an azimuth nor an azimuth_bin"),
        ({"quality": "poor"}, "has the quality 'poor', which is none of good, fair, skip and 0 to 1"),
        ({"surface": "none.png"}, "names the surface 'none.png', which is missing"),
    ):
        table(tmp_path / "viewpoints.csv", [{**rows[0], **{"surface": ""}, **changes}])
        refuses(lambda: Folder(tmp_path).images("all"), message)


def test_eth80(tmp_path, test_data):
    images = Eth80(test_data / "data" / "eth80").images("all")
    assert Counter(image.category for image in images) == dict.fromkeys(("car", "cow", "dog", "horse"), 7 * 41)
    assert all(image.size == (256, 256) and image.mask for image in images)
    assert 0.05 < np.mean([image.load_mask().mean() for image in images[:41]]) < 0.6
    assert {image.azimuth_bin for image in images if image.elevation == 90} == {None}
    picture(tmp_path / "car/car1.jpg")
    refuses(lambda: Eth80(tmp_path).images("all"), "car1.jpg' is not named like ETH-80's pictures")
    refuses(lambda: Eth80(tmp_path / "car"), "has no pictures such as car1/car1-090-045.png of ETH-80")


def test_eth80s_archive_has_a_folder_for_each_object(tmp_path):
    picture(tmp_path / "cup10/cup10-090-045.png", size=(256, 256))
    picture(tmp_path / "cup10/maps/cup10-090-045-map.png", size=(256, 256), mode="L")
    (image,) = Eth80(tmp_path).images("all")
    assert Eth80(tmp_path).categories == ["cup"]
    assert (image.id, image.azimuth, image.azimuth_bin, image.elevation) == ("cup/cup10-090-045", 315, 7, 0)
    assert image.load_mask().all() and image.instance == "cup10"


# What is hidden beside the files


def hide(root) -> None:
    """Put a companion beside every file, and hidden folders into every folder."""
    for path in [path for path in root.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / "Thumbs.db").write_bytes(b"\0")
        for name in ("__MACOSX", ".ipynb_checkpoints"):
            shutil.copytree(folder, folder / name, ignore=lambda *_: ("__MACOSX", ".ipynb_checkpoints", ".DS_Store"))


def test_companions_change_nothing_in_spair(spair):
    def read(root):
        data = SPair71k(root)
        extra = SPairU(root)
        return data.categories, data.splits, data.pairs("test"), extra.categories, extra.pairs("test")

    before = read(spair)
    hide(spair)
    assert read(spair) == before
    shutil.rmtree(spair / "Layout")
    assert read(spair) == before


def test_companions_change_nothing_in_freiburg_cars_and_eth80(tmp_path):
    picture(tmp_path / "cars/car_07/0001.jpg")
    write(tmp_path / "cars/annotations/7_annot.txt", "car_07/0001.jpg 1 2 60 40 100\n")
    picture(tmp_path / "eth80/cup10/cup10-090-045.png")
    cars, cups = FreiburgCars(tmp_path / "cars").images("all"), Eth80(tmp_path / "eth80").images("all")
    hide(tmp_path)
    assert FreiburgCars(tmp_path / "cars").images("all") == cars and len(cars) == 1
    assert Eth80(tmp_path / "eth80").images("all") == cups and Eth80(tmp_path / "eth80").categories == ["cup"]


def test_companions_change_nothing_in_awa_pose_and_ap10k(tmp_path):
    animal = {"a1": {"nose": [10, 10], "tail_end": [20, 10], "neck_base": [15, 9], "bbox": [1, 1, 60, 40]}}
    (tmp_path / "awa/Annotations/fox").mkdir(parents=True)
    for stem in ("fox_1", "fox_2"):
        (tmp_path / f"awa/Annotations/fox/{stem}.pickle").write_bytes(pickle.dumps(animal))
        picture(tmp_path / f"awa/JPEGImages/fox/{stem}.jpg")
    coco = {"categories": [{"id": 1, "name": "fox", "supercategory": "dogs"}], "annotations": [], "images": []}
    for i in range(60):
        coco["images"].append({"id": i, "file_name": f"{i:03}.jpg", "width": 64, "height": 48})
        annotation = {"id": i, "image_id": i, "category_id": 1, "bbox": [1, 2, 50, 40], "keypoints": [9, 9, 2] * 17}
        coco["annotations"].append(annotation)
    write(tmp_path / "ap10k/annotations/ap10k-train-split1.json", coco)

    def read():
        awa, ap10k = AwaPose(tmp_path / "awa"), AP10K(tmp_path / "ap10k")
        return awa.categories, awa.pairs("test"), ap10k.images("test"), len(ap10k.pairs("test"))

    before = read()
    assert before[0] == ["fox"] and len(before[1]) == 1 and len(before[2]) == 30
    hide(tmp_path)
    assert read() == before


# Broken pictures and masks


def test_a_picture_that_pillow_has_other_errors_for_is_left_out(tmp_path):
    """A broken chunk (SyntaxError), a size that no picture has (DecompressionBombError), and one too small to use."""
    for name in "abcd":
        picture(tmp_path / f"{name}.png")
    content = (tmp_path / "a.png").read_bytes()
    broken_chunk = content[: content.index(b"IDAT") - 4] + b"\0\0\0\1" + content[content.index(b"IDAT") :]
    (tmp_path / "a.png").write_bytes(broken_chunk)
    header = struct.pack(">4sIIBBBBB", b"IHDR", 20_000, 20_000, 8, 2, 0, 0, 0)
    (tmp_path / "b.png").write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    picture(tmp_path / "c.png", size=(1, 200))
    table(tmp_path / "viewpoints.csv", [{"image": f"{name}.png", "category": "mug", "azimuth": 0} for name in "abcd"])
    broken = []
    count = check_split(Folder(tmp_path), "all", broken)
    assert count.names == {"mug/d"}
    assert [sentence.split("'")[1] for sentence in broken] == [str(tmp_path / f"{name}.png") for name in "abc"]
    assert "is only 1 x 200 pixels" in broken[2]


def test_masks_are_counted_by_how_they_are_read(spair):
    for stem, values in (("a", [0, 3, 15]), ("b", [0, 255])):
        path = spair / f"Segmentation/bird/{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.resize(np.array(values, np.uint8), (48, 64))).save(path)
    count = check_split(SPair71k(spair), "test")
    assert count.mask_kinds == {"class map": 1, "binary": 1} and count.masks == 2
    Image.fromarray(np.resize(np.array([0, 15], np.uint8), (48, 64))).save(spair / "Segmentation/bird/a.png")
    refuses(lambda: check_split(SPair71k(spair), "test"), "a.png'", "15 (person)", "'bird' is none of them")


def test_a_crop_names_its_broken_picture(spair):
    (pair, *_) = SPair71k(spair).pairs("test")
    (spair / "JPEGImages/bird/a.jpg").write_bytes(b"no picture")
    refuses(lambda: read_picture(pair.source, labels=False), str(spair / "JPEGImages/bird/a.jpg"))

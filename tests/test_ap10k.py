"""AP-10K: a hand-made COCO file, its division into splits, and the pairs that are drawn."""

import json
import re
from collections import Counter
from itertools import combinations

import pytest

from spherecorr.data.ap10k import AP10K, KEYPOINTS
from spherecorr.data.pairing import draw
from spherecorr.data.records import DatasetError, mirrored_name

FAMILIES = {"fox": "Canidae", "wolf": "Canidae", "cow": "Bovidae"}


def ap10k(root, per_species: int, **changes) -> None:
    """All species have so many images, of a common size, with everything visible but the left eye."""
    points = [0, 0, 0] + [n for i in range(1, 17) for n in (i, 2 * i, 2)]
    images, annotations = [], []
    for number in range(per_species * len(FAMILIES)):
        entry = {"id": number, "image_id": number, "category_id": number % 3, "bbox": [1, 2, 30, 40], "iscrowd": 0}
        annotations.append({**entry, "keypoints": points, **(changes if number == 0 else {})})
        images.append({"id": number, "file_name": f"{number:05}.jpg", "width": 64, "height": 48})
    categories = [{"id": i, "name": name, "supercategory": FAMILIES[name]} for i, name in enumerate(FAMILIES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations/ap10k-train-split1.json").write_text(json.dumps(content))


def test_ap10k_divides_every_species_anew(tmp_path):
    ap10k(tmp_path, 52)
    data = AP10K(tmp_path)
    assert data.categories == ["cow", "fox", "wolf"] and data.families == FAMILIES
    for split, count in (("trn", 2), ("val", 20), ("test", 30)):
        assert Counter(image.category for image in data.images(split)) == dict.fromkeys(FAMILIES, count)
    assert [image.id for image in data.images("trn")][:2] == ["cow/00002", "cow/00005"]  # the first file names
    (image, *_) = data.images("test")
    assert image.box == (1, 2, 31, 42) and image.path == tmp_path / "data" / f"{image.path.stem}.jpg"
    assert image.keypoints["left_eye"] is None and image.keypoints["right_back_paw"] == (16, 32)
    assert len(KEYPOINTS) == 17 and sum(mirrored_name(name) in KEYPOINTS for name in KEYPOINTS) == 14


def test_ap10k_pairs_within_and_across_species(tmp_path):
    ap10k(tmp_path, 52)
    data = AP10K(tmp_path)
    assert len(data.pairs("val")) == 3 * 190 and len(data.pairs("test")) == 3 * 435  # all two of 20, of 30
    for split, count in (("val-cross-species", 400), ("test-cross-species", 900)):
        pairs = data.pairs(split)  # of 20 * 20 and of 30 * 30 there are as many as wanted
        assert len({pair.id for pair in pairs}) == len(pairs) == count
        assert {(pair.source.category, pair.target.category) for pair in pairs} == {("fox", "wolf")}
    for split, count in (("val-cross-family", 20), ("test-cross-family", 30)):
        pairs = data.pairs(split)
        assert len(pairs) == count and {pair.source.category for pair in pairs} == {"cow"}
        assert [pair.id for pair in pairs] == [pair.id for pair in AP10K(tmp_path).pairs(split)]


@pytest.mark.parametrize("changes", [{"iscrowd": 1}, {"keypoints": [5, 5, 2, 6, 6, 2] + [7, 7, 1] * 15}])
def test_ap10k_leaves_out_crowds_and_images_with_two_keypoints(tmp_path, changes):
    ap10k(tmp_path, 5, **changes)
    ids = [image.id for image in AP10K(tmp_path).images("test")]
    assert len(ids) == 14 and "fox/00000" not in ids


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 2, 0, 40]}, "split1.json, annotation 0' has a box without size"),
        ({"keypoints": [90, 5, 2] * 17}, "annotation 0' has the keypoint 'left_eye' at (90, 5), outside"),
        ({"keypoints": [9, 5, 2] * 16}, "annotation 0' has 48 numbers for 17 keypoints"),
        ({"category_id": 9}, "split1.json' lacks the key 9"),
    ],
)
def test_ap10k_names_what_is_broken(tmp_path, changes, message):
    ap10k(tmp_path, 1, **changes)
    with pytest.raises(DatasetError, match=re.escape(message)):
        AP10K(tmp_path).images("test")


def test_ap10k_refuses_other_files_and_splits(tmp_path):
    with pytest.raises(DatasetError, match=re.escape("has no annotations/ap10k-*-split1.json")):
        AP10K(tmp_path)
    ap10k(tmp_path, 1)
    with pytest.raises(DatasetError, match=re.escape("There is no split 'train'; AP-10K has trn, val, test")):
        AP10K(tmp_path).images("train")
    (tmp_path / "annotations/ap10k-train-split1.json").write_text("{")
    with pytest.raises(DatasetError, match=re.escape("ap10k-train-split1.json' is not valid JSON")):
        AP10K(tmp_path).images("test")


def test_draws_are_even_and_differ_by_seed():
    pairs = list(combinations(range(5), 2))
    assert sorted(draw(pairs, 99, "0")) == pairs and draw(pairs, 0, "0") == []
    assert draw(pairs, 3, "0") == draw(pairs, 10, "0")[:3]
    counts = Counter(item for seed in range(2000) for item in draw(pairs, 1, str(seed)))
    assert set(counts) == set(pairs) and max(counts.values()) < 300  # 200 each, 14 standard deviation
    assert draw(range(100), 5, "42") == [47, 63, 29, 93, 14]  # the published lists hang on this

"""Things are known by what they are: the same under another path, another under the same name."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from spherecorr.backbones.vit import VitBackbone
from spherecorr.data.identity import file_digests, records_digest
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.inputs import EvaluationError
from spherecorr.evaluation.viewpoint import evaluate_viewpoints
from spherecorr.extraction import extract
from spherecorr.identity import FeatureSource, digest, file_digest
from spherecorr.matching.settings import MatchSettings
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store import FeatureStore
from spherecorr.store_settings import StoreError, StoreSettings


def test_a_file_is_known_by_its_content(tmp_path):
    one, copy, other = (tmp_path / name for name in ("one", "copy", "other"))
    one.write_bytes(b"weights")
    shutil.copy(one, copy)
    other.write_bytes(b"weight!")
    assert file_digest(one) == file_digest(copy) != file_digest(other)
    one.write_bytes(b"others, and longer")  # under the same name
    assert file_digest(one) != file_digest(copy)


def test_chunks_do_not_run_into_each_other():
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"]) != digest([b"abc"])


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        ({}, []),
        ({"backbone": "moved"}, []),  # the same weights at another path
        ({"weights": "b"}, ["weights"]),
        ({"weights": None}, []),  # not known: the name decides
        ({"weights": None, "backbone": "other"}, ["backbone"]),
        ({"layer": 2, "norm": True}, ["layer", "norm"]),
    ],
)
def test_features_are_compared_by_weights_and_by_name_where_these_are_not_known(change, differences):
    source = FeatureSource("here", 8, 16, 1, weights="a")
    other = replace(source, **change)
    assert source.differs_from(other) == other.differs_from(source) == differences


def pictures(folder: Path, seed: int) -> list[ImageRecord]:
    """Two pictures with masks, whose ids are the same in every folder."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    records = []
    for name in ("a", "b"):
        path, mask = folder / f"{name}.png", folder / f"{name}-mask.png"
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
        Image.fromarray(np.repeat(np.repeat([[255, 0]], 64, 0), 32, 1).astype(np.uint8)).save(mask)
        keypoints = {"nose": (20.0, 20.0), "tail": (40.0, 50.0)}
        records.append(ImageRecord(f"car/{name}", path, (64, 64), "car", (8, 8, 56, 56), keypoints, 3, mask=mask))
    return records


@pytest.fixture(scope="module")
def backbone() -> VitBackbone:
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 0}
    return VitBackbone(timm.create_model("vit_tiny_patch16_224", **shape, dynamic_img_size=True), "tiny", device="cpu")


def test_annotations_count_and_paths_do_not(tmp_path):
    here, there = pictures(tmp_path / "here", 0), pictures(tmp_path / "there", 0)
    assert records_digest(here) == records_digest(there) != records_digest(here[::-1])
    corrected = replace(here[0], keypoints={**here[0].keypoints, "nose": (21.0, 20.0)})
    assert records_digest([corrected]) != records_digest(here[:1])


def test_masks_count_where_there_are_labels(tmp_path):
    (record, _) = pictures(tmp_path / "here", 0)
    assert file_digests(record, labels=False).keys() == {"picture"}
    assert file_digests(record, labels=True).keys() == {"picture", "mask"}
    record.path.unlink()
    with pytest.raises(DatasetError, match=r"a\.png' cannot be read \(No such file"):
        file_digests(record, labels=False)


def test_a_store_that_moved_with_its_pictures_is_the_same(tmp_path, backbone):
    settings = StoreSettings(backbone.source, 64, labels=True)
    store = extract(pictures(tmp_path / "here", 0), backbone, settings, tmp_path / "store")
    shutil.move(tmp_path / "here", tmp_path / "moved")
    shutil.move(tmp_path / "store", tmp_path / "elsewhere")
    moved = [replace(r, path=tmp_path / "moved" / r.path.name, mask=tmp_path / "moved" / r.mask.name) for r in
             pictures(tmp_path / "remade", 0)]  # fmt: skip
    again = extract(moved, backbone, settings, tmp_path / "elsewhere")
    assert again.digest == store.digest


def test_swapped_stores_of_equal_ids_are_refused(tmp_path, backbone):
    folders = [pictures(tmp_path / name, seed) for seed, name in enumerate(("one", "other"))]
    settings = StoreSettings(backbone.source, 64)
    stores = [extract(records, backbone, settings, tmp_path / f"store{i}") for i, records in enumerate(folders)]
    assert stores[0].digest != stores[1].digest
    pair = PairRecord("a-b", *folders[0])
    evaluate([pair], stores[0], resamples=0)
    message = "store1' was made with another picture of 'car/a' than '.*one/a.png'"
    with pytest.raises(StoreError, match=message):
        evaluate([pair], stores[1], resamples=0)
    with pytest.raises(StoreError, match=message):
        extract(folders[0], backbone, settings, tmp_path / "store1")


def test_viewpoints_are_not_read_from_another_datasets_store(tmp_path, backbone):
    one, other = (pictures(tmp_path / name, seed) for seed, name in enumerate(("one", "other")))
    store = extract(other, backbone, StoreSettings(backbone.source, 64), tmp_path / "store")
    mapper = SphereMapper(SphereSettings(32, source=backbone.source)).eval()
    with pytest.raises(StoreError, match=r"made with another picture of 'car/a' than '.*one/a\.png'"):
        evaluate_viewpoints(one, store, mapper)


def test_other_masks_make_another_store_of_training_labels(tmp_path, backbone):
    records = pictures(tmp_path / "here", 0)
    settings = StoreSettings(backbone.source, 64, labels=True)
    extract(records, backbone, settings, tmp_path / "store")
    masks = pictures(tmp_path / "masks", 0)
    Image.new("L", (64, 64), 255).save(masks[1].mask)
    changed = [replace(record, mask=new.mask) for record, new in zip(records, masks, strict=True)]
    with pytest.raises(StoreError, match="made with another mask of 'car/b'"):
        FeatureStore(tmp_path / "store").check(changed)
    plain = extract(records, backbone, StoreSettings(backbone.source, 64), tmp_path / "plain")
    plain.check(changed)  # no labels, no masks


def test_an_unfinished_store_takes_a_mended_picture_but_no_other_that_is_done(tmp_path, backbone):
    records = pictures(tmp_path / "here", 0)
    settings = StoreSettings(backbone.source, 64)
    good = records[1].path.read_bytes()
    records[1].path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"b\.png"):
        extract(records, backbone, settings, tmp_path / "store", batch=1)
    first = records[0].path.read_bytes()
    records[0].path.write_bytes(good)
    with pytest.raises(StoreError, match="made with another picture of 'car/a'"):
        extract(records, backbone, settings, tmp_path / "store", batch=1)
    records[0].path.write_bytes(first)
    records[1].path.write_bytes(good)
    assert len(extract(records, backbone, settings, tmp_path / "store", batch=1)) == 2


def test_results_are_refused_where_keypoints_features_or_masks_have_changed(tmp_path, backbone):
    records = pictures(tmp_path / "here", 0)
    features = {record.id: backbone(record.path) for record in records}
    settings = MatchSettings(candidates="mask")

    def run(records, features=features):
        pair = PairRecord("a-b", *records)
        return evaluate([pair], features, settings=settings, out=tmp_path / "run", resamples=0)

    run(records)
    run([replace(record, path=Path("moved")) for record in records])  # where a picture lies does not count
    corrected = replace(records[0], keypoints={"nose": (1.0, 2.0)})
    with pytest.raises(EvaluationError, match="holds results of other annotations"):
        run([corrected, records[1]])
    with pytest.raises(EvaluationError, match="holds results of other features"):
        run(records, {name: replace(found, features=-found.features) for name, found in features.items()})
    Image.new("L", (64, 64), 255).save(records[1].mask)
    with pytest.raises(EvaluationError, match="holds results of other masks"):
        run(records)

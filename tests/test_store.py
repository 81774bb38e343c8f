"""Feature stores: the features that a backbone gives, resumed byte for byte, refused in one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from spherecorr.backbones.vit import VitBackbone
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.errors import SpherecorrError
from spherecorr.extraction import cut_crops, extract, size_on_disk
from spherecorr.geometry import pad_to_square
from spherecorr.store import FeatureStore
from spherecorr.store_settings import StoreError, StoreSettings

SIZES = [(96, 64), (64, 96), (96, 96), (96, 64), (70, 64), (96, 64), (64, 96)]


def tiny_backbone() -> VitBackbone:
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape, dynamic_img_size=True)
    return VitBackbone(model, "tiny", device="cpu")


def noise(folder: Path) -> list[ImageRecord]:
    """Pictures of several sizes, each with a mask of its left half."""
    rng = np.random.default_rng(0)
    records = []
    for i, (width, height) in enumerate(SIZES):
        path, mask = folder / f"{i}.png", folder / f"{i}-mask.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        Image.fromarray(np.repeat([[255, 0]], height, axis=0).repeat(width // 2, axis=1).astype(np.uint8)).save(mask)
        records.append(ImageRecord(f"noise/{i}", path, (width, height), "noise", None, {}, 0, mask=mask))
    return records


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("noise"))


def settings(backbone: VitBackbone, **changes) -> StoreSettings:
    return StoreSettings(backbone.source, 96, **changes)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("framing", ["pad", "fit"])
def test_a_store_gives_what_the_backbone_gives(tmp_path, records, backbone, framing):
    store = extract(records, backbone, settings(backbone, framing=framing), tmp_path / "store", batch=2)
    assert list(store) == list(store.ids) == [record.id for record in records]
    assert len(store) == len(records) and "noise/0" in store and "noise/x" not in store
    for record in records:
        found, expected = store[record.id], backbone(record.path, resolution=96, framing=framing)
        assert found.framing == expected.framing and found.source == expected.source
        assert found.features.dtype == torch.float16
        # Half precision, and batches of other sizes sum in another order.
        torch.testing.assert_close(found.features.float(), expected.features, atol=5e-3, rtol=1e-3)
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"index.json", "features.npy"}
    assert not (tmp_path / "store.partial").exists()
    with pytest.raises(KeyError):
        store["noise/x"]


def test_nothing_is_copied_until_it_is_touched(tmp_path, records, backbone):
    store = extract(records, backbone, settings(backbone), tmp_path / "store")
    feature_map = store["noise/3"]
    tokens = store.tokens("noise/3")
    assert feature_map.features.data_ptr() == tokens.ctypes.data
    assert feature_map.tokens().data_ptr() == tokens.ctypes.data and feature_map.tokens().is_contiguous()
    before = content(store.folder)
    feature_map.features.zero_()  # a careless user
    assert content(store.folder) == before
    assert np.load(store.folder / "features.npy").shape == (len(records) * 36, 32)  # readable without spherecorr


def test_the_batch_is_made_of_images_of_one_size(tmp_path, records, backbone, monkeypatch):
    seen, whole = [], backbone.extract
    monkeypatch.setattr(backbone, "extract", lambda inputs: seen.append(inputs.shape[:3]) or whole(inputs))
    extract(records, backbone, settings(backbone, framing="fit"), tmp_path / "store", batch=2)
    # Inputs of 64 x 96, 96 x 64, 96 x 80 and 96 x 96 pixels.
    assert seen == [(2, 96, 64), (2, 64, 96), (1, 64, 96), (1, 80, 96), (1, 96, 96)]


def test_the_size_on_disk_is_known_before(tmp_path, records, backbone):
    wanted = settings(backbone, crops=3, crop="square", smallest_crop=0.5, labels=True)
    store = extract(records, backbone, wanted, tmp_path / "store")
    assert size_on_disk(records, wanted, backbone) == store.features.nbytes + store.labels.nbytes
    assert store.features.shape == (len(records) * 3 * 36, 32) and store.labels.shape == (len(records) * 3 * 36, 5)


def test_views_are_the_seeds_and_the_images_own(tmp_path, records, backbone):
    wanted = settings(backbone, crops=2, crop="resized", labels=True)
    store = extract(records, backbone, wanted, tmp_path / "store")
    for i, record in enumerate(records):
        inputs, labels = cut_crops(record, wanted, np.random.default_rng((0, i)))
        for crop in range(2):
            expected = backbone.extract(inputs[crop : crop + 1])[0].flatten(1).T
            torch.testing.assert_close(
                torch.from_numpy(store.tokens(record.id, crop)).float(), expected, atol=5e-3, rtol=1e-3
            )
        first = i * 2 * 36
        assert np.array_equal(store.labels[first : first + 72], labels.reshape(-1, 5))
    assert not np.array_equal(store.tokens("noise/0", 0), store.tokens("noise/0", 1))
    other = extract(records, backbone, replace(wanted, seed=1), tmp_path / "other")
    assert not np.array_equal(store.features, other.features)


def test_a_store_of_crops_is_not_for_matching(tmp_path, records, backbone):
    store = extract(records, backbone, settings(backbone, crop="square", smallest_crop=0.5), tmp_path / "store")
    with pytest.raises(StoreError, match=r"store' holds crops for training; matching takes whole images"):
        store["noise/0"]


# Resuming after a stop

CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
import spherecorr.extraction as extraction
import spherecorr.store_writing as store_writing
from test_store import noise, settings, tiny_backbone
from pathlib import Path
def slowly(images):
    for image in images:
        time.sleep(0.15)
        yield image
backbone = tiny_backbone()
store_writing.SAVE_EVERY = 0
wanted = settings(backbone, crops=2, crop="resized", labels=True)
extraction.extract(noise(Path(sys.argv[2])), backbone, wanted, sys.argv[3], batch=4, progress=slowly)
"""


def test_a_killed_extraction_goes_on_to_the_same_bytes(tmp_path, backbone):
    (tmp_path / "pictures").mkdir()
    records = noise(tmp_path / "pictures")
    wanted = settings(backbone, crops=2, crop="resized", labels=True)
    whole = extract(records, backbone, wanted, tmp_path / "whole", batch=4)
    folder, progress = tmp_path / "store", tmp_path / "store.partial" / "progress.json"
    arguments = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / "pictures"), str(folder)]
    child = subprocess.Popen(arguments, env=os.environ)
    while not (progress.exists() and json.loads(progress.read_text())["images"]):
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = json.loads(progress.read_text())["images"]
    assert 0 < done < len(records)
    with pytest.raises(StoreError, match=rf"store' is incomplete, with {done} of 7 images; rerun the command"):
        FeatureStore(folder)
    begun = []
    extract(records, backbone, wanted, folder, batch=4, progress=lambda left: begun.extend(left) or left)
    assert len(begun) == len(records) - done
    assert content(folder) == content(whole.folder)


def test_an_error_on_the_way_keeps_what_is_done(tmp_path, backbone):
    (tmp_path / "pictures").mkdir()
    records = noise(tmp_path / "pictures")
    broken = records[4].path.read_bytes()
    records[4].path.write_bytes(broken[:100])
    with pytest.raises(SpherecorrError, match=r"4\.png'"):
        extract(records, backbone, settings(backbone), tmp_path / "store", batch=2)
    assert json.loads((tmp_path / "store.partial/progress.json").read_text()) == {"images": 4}
    records[4].path.write_bytes(broken)
    extract(records, backbone, settings(backbone), tmp_path / "store", batch=2)
    whole = extract(records, backbone, settings(backbone), tmp_path / "whole", batch=2)
    assert content(tmp_path / "store") == content(whole.folder)


def test_a_stop_just_before_the_end_costs_nothing(tmp_path, records, backbone):
    whole = extract(records, backbone, settings(backbone), tmp_path / "store")
    before = content(whole.folder)
    (tmp_path / "store/progress.json").write_text('{"images": 7}')
    (tmp_path / "store").rename(tmp_path / "store.partial")
    begun = []
    extract(records, backbone, settings(backbone), tmp_path / "store", progress=lambda left: begun.extend(left) or left)
    assert begun == [] and content(tmp_path / "store") == before


def test_a_store_that_is_there_is_opened(tmp_path, records, backbone):
    extract(records, backbone, settings(backbone), tmp_path / "store")
    written = (tmp_path / "store/features.npy").stat().st_mtime_ns
    assert extract(records, backbone, settings(backbone), tmp_path / "store").ids[0] == "noise/0"
    assert (tmp_path / "store/features.npy").stat().st_mtime_ns == written


# What is refused


def test_other_settings_are_refused_and_both_are_named(tmp_path, records, backbone):
    extract(records, backbone, settings(backbone), tmp_path / "store")
    other = replace(settings(backbone), resolution=64, source=replace(backbone.source, layer=0))
    message = r"store' has resolution 96, layer 1; resolution 64, layer 0 needs another folder"
    with pytest.raises(StoreError, match=message):
        FeatureStore(tmp_path / "store", expected=other)
    with pytest.raises(StoreError, match="has seed 0; seed 1 needs another folder"):
        extract(records, backbone, settings(backbone, seed=1), tmp_path / "store")
    with pytest.raises(StoreError, match="was made of other images"):
        extract(records[:-1], backbone, settings(backbone), tmp_path / "store")
    assert FeatureStore(tmp_path / "store", expected=settings(backbone)).settings == settings(backbone)


def test_an_unfinished_store_of_other_settings_is_refused(tmp_path, records, backbone):
    extract(records, backbone, settings(backbone), tmp_path / "store").folder.rename(tmp_path / "store.partial")
    with pytest.raises(StoreError, match=r"store\.partial' has seed 0; seed 1 needs another folder"):
        extract(records, backbone, settings(backbone, seed=1), tmp_path / "store")


def test_damage_is_named(tmp_path, records, backbone):
    folder = extract(records, backbone, settings(backbone), tmp_path / "store").folder
    with (folder / "features.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(StoreError, match=r"features\.npy' is missing or damaged; delete"):
        FeatureStore(folder)
    (folder / "index.json").write_text("{")
    with pytest.raises(StoreError, match=r"index\.json' is damaged; delete"):
        FeatureStore(folder)
    with pytest.raises(StoreError, match=r"There is no feature store in .*nowhere'; `spherecorr extract` makes one"):
        FeatureStore(tmp_path / "nowhere")


def test_a_disk_without_room_is_noticed_before_anything_is_computed(tmp_path, records, backbone):
    wanted = settings(backbone, crops=10**12, crop="square")
    with pytest.raises(
        StoreError, match=r"cannot be written \(No space left on device\)\. It takes 16128000\.00 GB, and .* GB"
    ):
        extract(records, backbone, wanted, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_features_beyond_half_precision_are_refused(tmp_path, records, backbone, monkeypatch):
    whole = backbone.extract
    monkeypatch.setattr(backbone, "extract", lambda inputs: whole(inputs) * 1e6)
    with pytest.raises(StoreError, match="The features of 'noise/0' are no finite numbers of half precision"):
        extract(records, backbone, settings(backbone), tmp_path / "store")


def test_mistakes_in_what_is_asked_for(tmp_path, records, backbone):
    folder = tmp_path / "store"
    with pytest.raises(StoreError, match="There are no images to compute features of"):
        extract([], backbone, settings(backbone), folder)
    with pytest.raises(
        StoreError, match="Every other crop is to be mirrored, and there is one crop; ask for --crops 2"
    ):
        extract(records, backbone, settings(backbone, labels=True, mirrored=True), folder)
    with pytest.raises(StoreError, match="The image 'noise/0' is listed 2 times; each is stored once"):
        extract([*records, records[0]], backbone, settings(backbone), folder)
    with pytest.raises(StoreError, match=r"The backbone gives .*layer=1.* store is to hold .*layer=0"):
        extract(records, backbone, replace(settings(backbone), source=replace(backbone.source, layer=0)), folder)
    with pytest.raises(DatasetError, match=r"0\.png' has no mask; training needs one for every image"):
        extract([replace(records[0], mask=None)], backbone, settings(backbone, labels=True), folder)
    with pytest.raises(DatasetError, match=r"0\.png' has 96 x 64 pixels, its annotation says 96 x 96"):
        extract([replace(records[0], size=(96, 96))], backbone, settings(backbone), folder)
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="full' is there already and is no feature store"):
        extract(records, backbone, settings(backbone), full)
    assert (full / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 100}, "Resolution 100 is not a multiple of the patch size 16"),
        ({"resolution": 8}, "Resolution 8 is smaller than one patch, which has 16 pixels"),
        ({"crops": 0}, "A picture has one crop or more"),
        ({"crops": 2}, "several differ only with the crop 'square' or 'resized'"),
        ({"crops": 3, "labels": True, "mirrored": True}, "several differ only with the crop"),
        ({"smallest_crop": 0}, "The smallest crop is a share above 0 and at most 1; got 0"),
        ({"smallest_crop": 1.5}, "The smallest crop is a share above 0 and at most 1; got 1.5"),
        ({"framing": "fit", "labels": True}, "labels and crops need the framing 'pad', not 'fit'"),
        ({"framing": "fit", "crop": "resized"}, "labels and crops need the framing 'pad', not 'fit'"),
    ],
)
def test_mistakes_in_the_settings(backbone, change, message):
    with pytest.raises(SpherecorrError, match=message):
        replace(settings(backbone), **change)


def test_views_are_framed_as_the_settings_say(backbone):
    assert settings(backbone).frame((96, 48)) == pad_to_square((96, 48), 96, 16)
    assert settings(backbone, framing="fit").frame((96, 48)).grid == (6, 3)
    stretched = settings(backbone, crop="resized").frame((96, 48))
    assert stretched.grid == (6, 6) and stretched.scale == (1, 2) and stretched.offset == (0, 0)

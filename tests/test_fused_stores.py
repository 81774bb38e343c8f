"""Joined backbones from the store to the report: two tiny ViTs of different grids, and a tiny Stable Diffusion."""

import json
from dataclasses import replace

import pytest
import timm
import torch
from test_diffusion_weights import folder as diffusion_folder  # noqa: F401 - a fixture
from test_diffusion_weights import local
from timm.models import save_for_hf

import spherecorr as sc
from spherecorr.backbones import BACKBONES, TimmSpec, load_backbone
from spherecorr.cli import main
from spherecorr.data.registry import open_dataset
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.inputs import EvaluationError
from spherecorr.extraction import extract, size_on_disk
from spherecorr.features import FeatureMap
from spherecorr.identity import FeatureSource
from spherecorr.matching.settings import MatchSettings
from spherecorr.pipelines.common import load_models
from spherecorr.pipelines.evaluate import evaluate_matches
from spherecorr.pipelines.extract import extract_features
from spherecorr.pipelines.settings import Models
from spherecorr.render.dataset import render_dataset
from spherecorr.render.settings import RenderSettings
from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store import FeatureStore
from spherecorr.store_settings import StoreError, StoreSettings

ALL = "tiny-sd+sixteen+fourteen"
SMALL = {"steps": 4, "batch": 4, "tokens": 0, "log_every": 2, "save_every": 2, "validate_every": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    for split in ("trn", "val", "test"):
        render_dataset(folder / "data", RenderSettings(split, 5, 4, ("car",), size=64), 1)
    return folder / "data"


@pytest.fixture
def names(tmp_path, diffusion_folder, monkeypatch):  # noqa: F811
    """The tiny models under names of the registry."""
    monkeypatch.setitem(BACKBONES, "tiny-sd", local(diffusion_folder))
    for name, factory, patch, dim in (
        ("sixteen", "vit_tiny_patch16_224", 16, 32),
        ("fourteen", "vit_small_patch14_dinov2", 14, 64),
    ):
        torch.manual_seed(patch)
        shape = {"depth": 2, "embed_dim": dim, "num_heads": 2, "img_size": 4 * patch, "num_classes": 0}
        model = timm.create_model(factory, **shape)
        save_for_hf(model, str(tmp_path / name), model_args=shape, safe_serialization=True)
        spec = TimmSpec(name, str(tmp_path / name), name, 0.1, patch, dim, "none", shipped=True)
        monkeypatch.setitem(BACKBONES, name, spec)


def records(data):
    dataset = open_dataset("renders", data)
    return list({image.id: image for pair in dataset.pairs("test") for image in (pair.source, pair.target)}.values())


def halved(features: FeatureMap) -> FeatureMap:
    """In the precision of a store."""
    parts = tuple(replace(part, features=part.features.half()) for part in features.parts)
    return replace(features, features=features.features.half(), parts=parts)


def test_a_store_gives_what_the_backbones_give(names, data, tmp_path):
    backbone = load_backbone(ALL, device="cpu")
    told = []
    store = extract_features("renders", data, tmp_path / "store", backbone=ALL, split="test", device="cpu",
                             settings={"resolution": 64}, notify=told.append)  # fmt: skip
    assert [source.backbone for source in (store.settings.source, *store.settings.parts)] == [
        *("sixteen", "fourteen"),
        *("tiny-sd",) * 3,
    ]
    for record in records(data):
        stored, live = store[record.id], halved(backbone(record.path, resolution=64, framing="pad"))
        for one, other in zip((stored, *stored.parts), (live, *live.parts), strict=True):
            assert (one.framing, one.source) == (other.framing, other.source)
            assert torch.equal(one.features, other.features)
    grids = [part.framing.grid for part in (stored, *stored.parts)]
    assert grids == [(4, 4), (4, 4), (4, 4), (2, 2), (1, 1)]
    arrays = [store.features, *store.parts]
    assert size_on_disk(records(data), store.settings, backbone) == sum(array.nbytes for array in arrays)
    assert told == [f"{len(store)} images, 0.00 GB in {tmp_path / 'store'}"]


@pytest.mark.parametrize("fusion", ["cosine", "l2"])
def test_an_evaluation_from_a_store_is_that_of_live_features(names, data, tmp_path, fusion):
    extraction = ["extract", "renders", str(data), "--split", "test", "--backbone", ALL, "--resolution", "64"]
    assert main([*extraction, "--device", "cpu", "--out", str(tmp_path / "store")]) == 0
    backbone = load_backbone(ALL, device="cpu")
    torch.manual_seed(0)
    sphere = SphereMapper(SphereSettings(32, source=backbone.source, resolution=64)).eval()
    save_sphere(sphere, tmp_path / "sphere")
    matching = MatchSettings(fusion=fusion, co_pca=3)
    models = Models("fourteen+sixteen", str(tmp_path / "sphere"), device="cpu")
    dataset = open_dataset("renders", data)
    with pytest.raises(EvaluationError, match=r"of backbone sixteen\+fourteen\+tiny-sd; --backbone"):
        evaluate_matches(dataset, "test", tmp_path / "no", models, store=tmp_path / "store")
    models = replace(models, backbone="sixteen+tiny-sd+fourteen")  # diffusion models come last, wherever they stand
    stored = evaluate_matches(dataset, "test", tmp_path / "a", models, store=tmp_path / "store", matching=matching)
    computed = evaluate_matches(
        dataset, "test", tmp_path / "b", replace(models, backbone=ALL, resolution=64), matching=matching
    )
    features = {record.id: halved(backbone(record.path, resolution=64, framing="pad")) for record in records(data)}
    live = evaluate(dataset, features, sphere=load_sphere(tmp_path / "sphere", device="cpu"), settings=matching)
    assert stored.table() == computed.table() == live.table()
    assert stored.settings["matching"]["co_pca"] == 3 and len(stored.settings["parts"]) == 4
    alone = {name: replace(found, parts=()) for name, found in features.items()}
    assert evaluate(dataset, alone, settings=matching).settings["matching"].keys() == {
        *("fusion", "candidates", "soft_window", "temperature")
    }


def test_a_sphere_is_trained_on_the_vit_and_used_beside_all(names, data, tmp_path):
    told = []
    mapper = sc.train(
        [("renders", data)], tmp_path / "run", backbone=ALL, validation=("renders", data), settings=SMALL,
        crops={"resolution": 64}, device="cpu", notify=told.append,
    )  # fmt: skip
    assert mapper.settings.source.backbone == "sixteen"
    assert told[0] == "Training takes the features of sixteen alone, so nothing else is stored."
    assert FeatureStore(tmp_path / "run/features").settings.parts == ()
    assert len(FeatureStore(tmp_path / "run/held-out").settings.parts) == 4
    best = str(tmp_path / "run/best")
    report = evaluate_matches(
        open_dataset("renders", data), "test", tmp_path / "out", Models(ALL, best, 64, "cpu"), limit=2
    )
    assert len(report.settings["alphas"]) == 3


def test_a_sphere_gets_the_tokens_it_was_trained_on(names, tmp_path):
    source = load_backbone("fourteen", layer=0, position_embedding="dinov2", device="cpu").source
    save_sphere(SphereMapper(SphereSettings(64, source=source)), tmp_path / "sphere")
    for name in ("fourteen", "tiny-sd+fourteen", "fourteen+sixteen", None):
        backbone, sphere = load_models(name, str(tmp_path / "sphere"), "cpu")
        assert backbone.source == source, name
        sphere.check(backbone.source)
    other, _ = load_models("sixteen+fourteen", str(tmp_path / "sphere"), "cpu")
    assert other.source.backbone == "sixteen" and other.source.layer == 1


def test_an_extraction_that_stopped_goes_on_to_the_same_bytes(names, data, tmp_path):
    backbone = load_backbone("sixteen+tiny-sd", device="cpu")
    settings = StoreSettings(backbone.source, 64, "fit", parts=backbone.parts)
    whole = extract(records(data), backbone, settings, tmp_path / "whole")

    def two(left):
        yield from left[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(records(data), backbone, settings, tmp_path / "store", progress=two)
    assert json.loads((tmp_path / "store.partial/progress.json").read_text()) == {"images": 2}
    left = []
    store = extract(records(data), backbone, settings, tmp_path / "store", progress=lambda i: left.extend(i) or i)
    assert len(left) == len(store) - 2
    for file in whole.folder.iterdir():
        assert (store.folder / file.name).read_bytes() == file.read_bytes()
    assert store.digest == whole.digest and len(list(store.folder.iterdir())) == 5


def test_other_parts_are_refused(names, data, tmp_path):
    backbone = load_backbone("sixteen+fourteen", device="cpu")
    settings = StoreSettings(backbone.source, 64, parts=backbone.parts)
    extract(records(data), backbone, settings, tmp_path / "store")
    with pytest.raises(StoreError, match=r"has parts fourteen \(layer 1, weights \w+\); parts none needs another"):
        extract(records(data), backbone, replace(settings, parts=()), tmp_path / "store")
    other = (replace(backbone.parts[0], layer=0),)
    with pytest.raises(StoreError, match="the store is to hold"):
        extract(records(data), backbone, replace(settings, parts=other), tmp_path / "new")
    with pytest.raises(StoreError, match="Training takes one map of an image"):
        replace(settings, labels=True)


def test_a_store_of_one_map_says_nothing_of_parts(names, data, tmp_path):
    backbone = load_backbone("sixteen+fourteen", device="cpu")
    store = extract(records(data), backbone, StoreSettings(backbone.source, 64), tmp_path / "store")
    alone = load_backbone("sixteen", device="cpu")
    same = extract(records(data), alone, StoreSettings(alone.source, 64), tmp_path / "alone")
    for name in ("index.json", "features.npy"):
        assert (store.folder / name).read_bytes() == (same.folder / name).read_bytes()
    assert "part" not in (store.folder / "index.json").read_text()
    assert StoreSettings(FeatureSource("a", 4, 16, 0), 64).as_record().keys().isdisjoint({"parts"})

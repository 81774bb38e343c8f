"""Whole tasks as library functions: what a notebook calls, without the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from timm.models import save_for_hf

import spherecorr as sc
from spherecorr.data.records import DatasetError
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.pipelines.evaluate import evaluate_matches, save_report
from spherecorr.pipelines.extract import extract_features
from spherecorr.pipelines.match import match_images
from spherecorr.pipelines.prepare import check_dataset
from spherecorr.pipelines.reproduce import reproduce
from spherecorr.pipelines.settings import Models
from spherecorr.render.dataset import render_dataset
from spherecorr.render.settings import RenderSettings
from spherecorr.sphere.domain import domain_of, load_domain, save_domain
from spherecorr.store import FeatureStore

EVERY = {"log_every": 5, "save_every": 5, "validate_every": 10}
SMALL = {"steps": 10, "batch": 4, "tokens": 0, **EVERY}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Renders of two splits, and a tiny backbone."""
    folder = tmp_path_factory.mktemp("pipelines")
    for split in ("trn", "val", "test"):
        render_dataset(folder / "data", RenderSettings(split, 6, 3, ("car", "dog"), size=64), 1)
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(folder / "backbone"), model_args=shape, safe_serialization=True)
    return folder


@pytest.fixture
def data(folder) -> tuple[str, Path]:
    return "renders", folder / "data"


@pytest.fixture
def backbone(folder) -> str:
    return f"local-dir:{folder / 'backbone'}"


@pytest.fixture
def watched():
    """A progress that keeps the titles and how much there was to do, and a list of sentences."""
    seen: list[tuple[str, int]] = []

    def progress(title, items):
        seen.append((title, len(items)))
        return items

    return seen, progress


def train(data, out, backbone, **choices):
    choices = {"settings": SMALL, "crops": {"resolution": 64}, "device": "cpu", **choices}
    return sc.train([data], out, backbone=backbone, **choices)


def test_train_evaluate_and_match_in_a_notebook(data, backbone, tmp_path, watched, capsys):
    seen, progress = watched
    told: list[str] = []
    mapper = train(data, tmp_path / "run", backbone, validation=data, notify=told.append, progress=progress)
    assert isinstance(mapper, sc.SphereMapper) and mapper.settings.categories == ("car", "dog")
    assert ("features", 6) in seen and ("held-out features", 6) in seen
    (sentence,) = told
    assert sentence == f"6 images, 0.00 GB in {tmp_path / 'run' / 'features'}"
    best = tmp_path / "run" / "best"

    models = Models(sphere=str(best), device="cpu")  # which brings its backbone along
    dataset, out = sc.open_dataset(*data), tmp_path / "report"
    settings = EvaluationSettings(resamples=0, thresholds=(0.2,))
    report = evaluate_matches(dataset, "test", out, models, settings=settings, limit=4, progress=progress)
    save_report(report, out)
    assert report.settings["limit"] == "4 of 6 pairs, evenly spread" and report.settings["thresholds"] == [0.2]
    assert {path.name for path in out.glob("report.*")} == {"report.md", "report.json", "report.csv", "report.html"}
    assert seen[-1] == ("scoring", 1)

    pair = dataset.pairs("test")[0]
    point = next(point for point in pair.source.keypoints.values() if point)
    found = match_images(pair.source.path, pair.target.path, [point], models)
    assert found.result.fused.xy.shape == (1, 1, 2) and found.about["settings"]["alpha"] == mapper.settings.alpha
    assert capsys.readouterr().out == ""


def test_training_takes_records_and_pairs_as_it_takes_names(data, backbone, tmp_path):
    dataset = sc.open_dataset(*data)
    named = train(data, tmp_path / "named", backbone, validation=data)
    given = train(dataset.images("trn"), tmp_path / "given", backbone, validation=dataset.pairs("val"))
    for one, other in zip(named.parameters(), given.parameters(), strict=True):
        assert torch.equal(one, other)
    first, second = ((tmp_path / name / "metrics.jsonl").read_text() for name in ("named", "given"))
    assert first == second


def test_a_sphere_remembers_what_it_was_trained_on_and_a_match_says_what_is_unlike_it(backbone, tmp_path):
    render_dataset(tmp_path / "data", RenderSettings("trn", 40, 20, ("car", "dog"), size=96), 1)
    mapper = train(("renders", tmp_path / "data"), tmp_path / "run", backbone, crops={"resolution": 96})
    domain, last = domain_of(mapper), tmp_path / "run" / "last"
    assert domain is not None and load_domain(last / "domain.safetensors").threshold == pytest.approx(domain.threshold)
    images = [record.path for record in sc.open_dataset("renders", tmp_path / "data").images("trn")[:2]]

    def notes(threshold):
        save_domain(replace(domain, threshold=threshold), last / "domain.safetensors")
        found = match_images(*images, [(5, 5)], Models(backbone, str(last), 96, "cpu"))
        assert found.about["notes"] == found.notes
        return found.notes

    assert notes(2.0) == ()
    (sentence,) = notes(-1.0)
    assert sentence.startswith("The source and the target are unlike the pictures") and "(car, dog)" in sentence


def test_changes_reach_the_run(data, backbone, tmp_path):
    train(
        data,
        tmp_path / "run",
        backbone,
        weights={"viewpoint": 2.0},
        sphere={"width": 64, "alpha": 0.4},
        crops={"resolution": 64, "smallest_crop": 0.5, "crops": 2},
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["mapper"]["width"], config["mapper"]["alpha"]) == (64, 0.4)
    assert config["training"]["weights"]["viewpoint"] == 2 and config["training"]["weights"]["reconstruction"] == 1
    assert (config["data"]["crop"], config["data"]["crops"]) == ("square", 2)


def test_what_does_not_fit_is_said_before_anything_is_written(data, backbone, tmp_path):
    for choices, message in (
        ({"weights": {"colour": 1.0}}, "There is no loss 'colour'"),
        ({"backbone": None}, "Name the backbone"),
        ({"stores": ["a", "b"]}, "There are 1 --data and 2 --store"),
    ):
        with pytest.raises(SpherecorrError, match=message):
            train(data, tmp_path / "run", **{"backbone": backbone, **choices})
    assert not (tmp_path / "run").exists()


def test_stored_features_score_as_computed_ones(data, backbone, tmp_path):
    store = extract_features(*data, tmp_path / "store", backbone=backbone, split="test", settings={"resolution": 64})
    assert isinstance(store, FeatureStore)
    models = Models(backbone, "none", 64, "cpu")
    dataset, settings = sc.open_dataset(*data), EvaluationSettings(resamples=0)
    computed = evaluate_matches(dataset, "test", tmp_path / "a", models, settings=settings)
    stored = evaluate_matches(dataset, "test", tmp_path / "b", models, store=tmp_path / "store", settings=settings)
    assert computed.value("PCK", "raw") == stored.value("PCK", "raw")
    assert not (tmp_path / "b" / "features").exists()
    with pytest.raises(SpherecorrError, match="is of resolution 64"):
        evaluate_matches(dataset, "test", tmp_path / "c", Models(resolution=96), store=tmp_path / "store")


def test_reproduce_uses_the_public_arithmetic(data, backbone, tmp_path):
    models = Models(backbone, resolution=64, device="cpu")
    found = reproduce("spair", data[1], tmp_path / "out", models, settings=EvaluationSettings(resamples=0))
    assert FeatureStore(tmp_path / "out" / "features").settings.framing == "authors"
    assert found.tables and (tmp_path / "out" / "published.md").is_file() and (tmp_path / "out" / "report.md").is_file()


def test_datasets_are_counted_split_by_split(data):
    told = {}
    total = check_dataset(*data, counted=lambda split, count: told.update({split: count.pairs}))
    assert told == {"trn": 6, "val": 6, "test": 6} and (total.images, total.categories) == (18, 2)
    with pytest.raises(DatasetError, match="There is no split 'all'"):
        check_dataset(*data, split="all")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": (0.1, 0.0)}, "Thresholds are shares of a side, above 0; got 0."),
        ({"resamples": -1}, "The number of resamples is 0 or more; got -1."),
    ],
)
def test_settings_of_an_evaluation_are_checked(changes, message):
    with pytest.raises(SpherecorrError, match=message):
        EvaluationSettings(**changes)

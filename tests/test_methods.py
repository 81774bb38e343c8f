"""The panel Methods: the same matches as `spherecorr compare`, what each method says, and what is computed when."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import spherecorr as sc
from spherecorr.cli import main
from spherecorr.data.spair import SPair71k
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.inputs import find_mirrors
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_to_square, resize_to_fit
from spherecorr.matching.alignment import align
from spherecorr.matching.co_pca import join_levels
from spherecorr.matching.match import match_images
from spherecorr.pipelines.settings import METHODS, Models
from spherecorr.sphere.checkpoint import save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store import FeatureStore
from spherecorr.ui.engine import Engine
from spherecorr.ui.methods import COMPUTING, Methods, carried
from spherecorr.ui.panels.methods import PAPERS
from spherecorr.ui.session import NO_SPHERE, Controls, Visit


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_app):
    """Square renders of two categories, an untrained atlas for each, and an untrained sphere of single images."""
    folder = tmp_path_factory.mktemp("methods")
    render = ["--split", "test", "--categories", "car,dog", "--count", "10", "--pairs", "5", "--size", "64"]
    assert main(["render", str(folder / "data"), *render, "--processes", "1"]) == 0
    source = sc.load_backbone(tiny_app.backbones[0], device="cpu").source
    torch.manual_seed(0)
    for name in ("car", "dog"):
        plane = SphereSettings(source.dim, source=source, surface="plane", alpha=1.0)
        save_sphere(SphereMapper(plane), folder / "asic" / name / "best")
    save_sphere(SphereMapper(SphereSettings(source.dim, source=source)), folder / "deil")
    return folder


@pytest.fixture(scope="module")
def pairs(folder):
    return SPair71k(folder / "data").pairs("test")


@pytest.fixture(scope="module")
def settings(tiny_app, folder, pairs):
    """Of an app whose examples are these pairs."""
    listing = [
        {
            "id": pair.id,
            "title": pair.id,
            "source": str(pair.source.path),
            "target": str(pair.target.path),
            "category": pair.source.category,
            "keypoints": [],
            "show": [],
        }
        for pair in pairs
    ]
    (folder / "examples.json").write_text(json.dumps(listing))
    return replace(tiny_app, examples=folder, asic=folder / "asic", deil=folder / "deil")


@pytest.fixture
def everywhere(settings):
    """Control values with which all of a picture may be matched, as in an evaluation."""
    return Controls(settings.backbones[0], settings.spheres[0], foreground=False, alpha=0.35)


def opened(engine, pair, controls):
    """A visit to a pair, with its features computed; names and places of the keypoints that its source shows."""
    visit = Visit(engine.open(pair.source.path), engine.open(pair.target.path))
    for picture in visit.pair:
        engine.features(picture, controls)
    shown = {name: point for name, point in pair.source.keypoints.items() if point}
    return visit, list(shown), tuple(shown.values())


def images_of(pairs):
    return list({image.id: image for pair in pairs for image in (pair.source, pair.target)}.values())


def mirrored(pair, store, mirrors):
    """Whether compare takes the mirror image of the pair's source."""
    source, target = pair.source.id, pair.target.id
    cells = {"source_cells": mirrors.objects[source], "target_cells": mirrors.objects[target]}
    return align(store[source], mirrors.features[source], store[target], **cells).mirrored


class OnStore(Engine):
    """An engine whose features are those of a store: rounded to half precision, to the bit."""

    def __init__(self, settings, store):
        super().__init__(settings)
        self.store = store

    def _extract_features(self, picture, controls, framing="fit"):
        path = Path(picture.path)
        return (self.store.mirror if picture.mirrored else self.store)[f"{path.parent.name}/{path.stem}"]


def test_the_panels_matches_are_those_of_compare(folder, settings, pairs, everywhere, monkeypatch):
    monkeypatch.setattr("spherecorr.pipelines.compare.COST_PAIRS", 1)  # what methods cost is not asked here
    models = Models(settings.backbones[0], settings.spheres[0], 448, "cpu")
    quick = EvaluationSettings(thresholds=(0.1,), resamples=0)
    related = {"asic": folder / "asic", "deil": folder / "deil"}
    sc.compare(SPair71k(folder / "data"), "test", folder / "out", models, settings=quick, **related)
    engine = OnStore(settings, FeatureStore(folder / "out" / "features"))
    methods = Methods(engine)
    tables = {name: KeypointTable.load(folder / "out" / name / "parts" / "00000.npz") for name in METHODS}
    mirrors = find_mirrors("nearest", None, images_of(pairs), engine.store, None)
    compared = dict.fromkeys(METHODS, 0)
    for pair in pairs:
        visit, names, points = opened(engine, pair, everywhere)
        methods.compute(visit, everywhere)
        rows = methods.rows(visit, points, everywhere)
        assert [row.name for row in rows] == list(METHODS)
        truth = np.array([pair.target.keypoints[name] or (np.nan, np.nan) for name in names], dtype=float)
        for row in rows:
            if row.name == "pose-aligned" and mirrored(pair, engine.store, mirrors):
                continue  # these keypoints have names, so that compare reads them in the mirror image
            table = tables[row.name]
            own = table.pair == table.pair_ids.index(pair.id)
            assert list(table.keypoint[own]) == names
            share = {"fused": 0.35, "sphere": 1.0, "asic": 1.0, "deil": 1.0}.get(row.name, 0.0)
            expected = table.error[table.alphas.index(share)][own]
            np.testing.assert_allclose(np.linalg.norm(row.matches - truth, axis=1), expected, atol=1e-4)
            compared[row.name] += int(np.isfinite(expected).sum())
    assert min(compared.values()) > 10
    assert len({tuple(np.nan_to_num(table.error[-1])) for table in tables.values()}) > 4  # methods differ


def test_raw_sphere_and_fused_are_the_pages_own_matches(settings, pairs, everywhere):
    engine = Engine(settings)
    for foreground in (True, False):
        controls = replace(everywhere, foreground=foreground)
        visit, _, points = opened(engine, pairs[0], controls)
        result = engine.match(*visit.pair, points, controls)
        rows = {row.name: row.matches for row in Methods(engine).rows(visit, points, controls)}
        for name in ("raw", "sphere", "fused"):
            np.testing.assert_array_equal(rows[name], getattr(result, name).xy[:, 0])


def test_what_takes_long_is_computed_once_for_each_pair(settings, pairs, everywhere):
    engine = Engine(settings)
    methods = Methods(engine)
    visit, _, points = opened(engine, pairs[0], everywhere)
    assert methods.missing(visit, everywhere) == ["debiased", "pose-aligned"]
    waiting = [row.name for row in methods.rows(visit, points, everywhere) if row.said == COMPUTING]
    assert waiting == ["debiased", "pose-aligned"]

    extracted, extract = [], engine._extract
    engine._extract = lambda picture, *more: extracted.append((picture.key, *more[1:])) or extract(picture, *more)
    methods.compute(visit, everywhere)
    padded = [key for key, *framing in extracted if framing == ["pad"]]
    assert (
        len(set(padded)) == len(padded) == len({image for pair in pairs for image in (pair.source.id, pair.target.id)})
    )
    assert [key for key, *framing in extracted if framing != ["pad"]] == [visit.source.mirror().key]
    extracted.clear()
    assert methods.missing(visit, everywhere) == []
    methods.compute(visit, replace(everywhere, alpha=0.9))
    assert all(row.matches is not None for row in methods.rows(visit, points, replace(everywhere, alpha=0.9)))
    other, _, _ = opened(engine, pairs[1], everywhere)
    extracted.clear()
    methods.compute(other, everywhere)
    assert extracted == [(other.source.mirror().key,)]  # the bias is there


def test_each_row_says_what_the_method_decided(settings, pairs, everywhere):
    engine = Engine(settings)
    methods = Methods(engine)
    visit, _, points = opened(engine, pairs[0], everywhere)
    turned = replace(visit, target=visit.source.mirror())  # a source whose mirror image is the very target
    for picture in turned.pair:
        engine.features(picture, everywhere)
    methods.compute(turned, everywhere)
    said = {row.name: row.said for row in methods.rows(turned, points, everywhere)}
    assert re.match(
        r"The mirrored source matched better: yes \(distance 0\.00\d; as it is 0\.[1-9]", said["pose-aligned"]
    )
    assert said["asic"] == f"By the atlas of {pairs[0].source.category}." and said["fused"] == "Alpha 0.35."
    assert f"the mean over the app's {len(images_of(pairs))} example pictures" in said["debiased"]
    chosen = {row.name: row.said for row in methods.rows(turned, points, everywhere, "dog")}
    assert chosen["asic"] == "By the atlas of dog."


def test_what_cannot_be_had_says_why(tiny_app, settings, pairs, everywhere, tmp_path):
    few = Engine(replace(tiny_app, asic=settings.asic))  # whose example pair is of a category without atlas
    methods, controls = Methods(few), replace(everywhere, sphere=NO_SPHERE)
    visit = Visit(*(few.open(tiny_app.examples / name) for name in ("a.png", "b.png")))
    for picture in visit.pair:
        few.features(picture, controls)
    methods.compute(visit, controls)
    said = {row.name: (row.said, row.matches) for row in methods.rows(visit, ((100, 100),), controls)}
    assert list(said) == ["raw", "debiased", "pose-aligned", "sphere", "fused", "asic"]
    assert said["debiased"] == ("A position bias is the mean over pictures, at least 8; the app has 2 examples.", None)
    assert said["fused"][0].startswith("No sphere is chosen.") and said["fused"][1] is None
    assert said["asic"] == ("There is no atlas for 'blocks'; there are car, dog.", None)
    own = replace(visit, source=few.open(pairs[0].source.path))
    few.features(own.source, controls)
    said = {row.name: row.said for row in methods.rows(own, ((10, 10),), controls)}
    assert said["asic"] == "The category of these pictures is not known; choose its atlas above."
    with pytest.raises(SpherecorrError, match="holds no folder of a category with a checkpoint"):
        Methods(Engine(replace(settings, asic=tmp_path)))


class OnLevels(Engine):
    """An engine whose features are two levels of one model, so that pairs have to be joined."""

    def _extract_features(self, picture, controls, framing="fit"):
        first = super()._extract_features(picture, controls, framing)
        second = first.features.flip(0)[:24, ::2, ::2] ** 2
        framing = resize_to_fit(first.framing.image_size, 448, 32)
        return replace(first, parts=(FeatureMap(second, framing, replace(first.source, dim=24, patch=32)),))


def test_levels_are_joined_once_for_a_pair_of_pictures(settings, pairs, everywhere, monkeypatch):
    joined = []
    monkeypatch.setattr("spherecorr.ui.engine.join_levels", lambda *pair: joined.append(pair) or join_levels(*pair))
    engine, controls = OnLevels(settings), everywhere
    visit, _, points = opened(engine, pairs[0], controls)
    first = engine.match(*visit.pair, points, controls)
    engine.match(*visit.pair, points[:2], replace(controls, alpha=0.8, foreground=True))
    rows = {row.name: row for row in Methods(engine).rows(visit, points, controls)}
    assert len(joined) == 1
    images = (engine.image(picture, controls) for picture in visit.pair)
    alone = match_images(*images, points, engine.match_settings(controls))  # which joins them itself
    np.testing.assert_array_equal(first.fused.xy, alone.fused.xy)
    np.testing.assert_array_equal(rows["raw"].matches, alone.raw.xy[:, 0])
    engine.match(*visit.pair[::-1], ((1, 1),), controls)
    assert len(joined) == 2
    methods = Methods(engine)
    methods.compute(visit, controls)
    said = {row.name: row.said for row in methods.rows(visit, points, controls)}
    assert said["debiased"].startswith("Features of several parts, as ") and len(joined) == 2


def test_papers_are_those_of_the_docs():
    text = (Path(__file__).parent.parent / "docs" / "related.md").read_text()
    assert PAPERS.keys() <= METHODS.keys() and all(f"({address})" in text for _, address in PAPERS.values())


def test_an_object_is_the_same_in_another_framing():
    cells = np.zeros((14, 28), dtype=bool)
    cells[3:9, 5:20] = True
    own, padded = resize_to_fit((100, 50), 448, 16), pad_to_square((100, 50), 448, 16)
    expected = np.zeros((28, 28), dtype=bool)
    expected[7 + 3 : 7 + 9, 5:20] = True
    np.testing.assert_array_equal(carried(cells, own, padded), expected)
    np.testing.assert_array_equal(carried(np.ones_like(cells), own, padded), padded.content_cells())

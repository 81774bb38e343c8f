"""`spherecorr compare`: all methods on tiny renders, what is kept of each, and what is refused."""

import csv
import io
import json
import math
import shutil

import pytest
import torch
from PIL import Image

import spherecorr as sc
from spherecorr.backbones.debiasing import DebiasedFeatures, estimate_position_bias
from spherecorr.cli import main
from spherecorr.data.spair import Renders, SPair71k
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.cost import measure_cost
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.pipelines.settings import METHODS, Models
from spherecorr.sphere.checkpoint import save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store import FeatureStore

QUICK = EvaluationSettings(thresholds=(0.2, 0.1), resamples=20)
MODELS = Models("mini", "mini", 64, "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Renders of two categories, an untrained atlas for each, and an untrained sphere."""
    folder = tmp_path_factory.mktemp("compare")
    render = ["--split", "test", "--categories", "car,dog", "--count", "10", "--pairs", "5", "--size", "64"]
    assert main(["render", str(folder / "data"), *render, "--processes", "1"]) == 0
    source = sc.load_backbone("mini", device="cpu").source
    torch.manual_seed(0)
    for name in ("car", "dog"):
        plane = SphereSettings(source.dim, source=source, surface="plane", alpha=1.0, resolution=64)
        save_sphere(SphereMapper(plane), folder / "asic" / name / "last")
    save_sphere(SphereMapper(SphereSettings(source.dim, source=source, alpha=1.0)), folder / "deil")
    return folder


@pytest.fixture(scope="module")
def compared(folder):
    """The comparison of all methods, and its folder."""
    out = folder / "out"
    return compare(folder, out), out


def compare(folder, out, **options):
    options = {"models": MODELS, "settings": QUICK, "asic": folder / "asic", "deil": folder / "deil", **options}
    return sc.compare(SPair71k(folder / "data"), "test", out, **options)


def test_every_method_is_what_evaluate_says_of_it(folder, compared):
    comparison, out = compared
    assert list(comparison.methods) == list(METHODS)
    pairs, store = SPair71k(folder / "data").pairs("test"), FeatureStore(out / "features")
    mini, deil = sc.load_sphere("mini", device="cpu"), sc.load_sphere(folder / "deil", device="cpu")
    alone = {"raw": {}, "sphere": {"sphere": mini}, "fused": {"sphere": mini}, "deil": {"sphere": deil}}
    plain = {"thresholds": QUICK.thresholds, "protocols": ("corrected",), "resamples": 0}
    found = {name: result.score("PCK").value for name, result in comparison.methods.items()}
    for name, options in alone.items():
        similarity = "sphere" if name == "deil" else name
        assert found[name] == sc.evaluate(pairs, store, **options, **plain).value("PCK", similarity)
    debiased = DebiasedFeatures(store, estimate_position_bias(store.values()))
    assert found["debiased"] == sc.evaluate(pairs, debiased, **plain).value("PCK", "raw")
    atlases = {name: sc.load_sphere(folder / "asic" / name / "last", device="cpu") for name in ("car", "dog")}
    maps = {name: atlases[name.split("/")[0]].sphere_map(store[name]) for name in store}
    assert found["asic"] == sc.evaluate(pairs, store, sphere=maps, alpha=1.0, **plain).value("PCK", "sphere")
    settings = comparison.methods["pose-aligned"].report.settings
    assert settings["pose alignment"] == "nearest" and settings["soft window"] == 5


def test_files_hold_every_method(compared):
    comparison, out = compared
    text = (out / "comparison.md").read_text()
    assert all(f"| {name} |" in text for name in METHODS) and "KAP@0.2, macro | PCK@0.2 |" in text
    rows = list(csv.DictReader(io.StringIO((out / "comparison.csv").read_text())))
    assert {row["method"] for row in rows} == set(METHODS)
    (row,) = (
        row
        for row in rows
        if [row[key] for key in ("method", "metric", "over", "threshold")] == ["fused", "PCK", "pooled", "0.2"]
    )
    score = comparison.methods["fused"].score("PCK")
    assert float(row["value"]) == pytest.approx(score.value, abs=1e-5) and row["count"] == str(score.count)
    assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
    with Image.open(out / "comparison.png") as figure:
        assert figure.format == "PNG" and len(figure.convert("RGB").getcolors(1 << 20)) > 5
    assert str(comparison) == comparison.table().text()


def test_a_comparison_goes_on_where_it_was_stopped(folder, compared):
    first, out = compared
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/parts/*")}
    costs = {path: path.read_text() for path in out.glob("*/cost.json")}
    shutil.rmtree(out / "debiased")
    shown = []

    def progress(title, items):
        shown.append((title, len(items)))
        return items

    again = compare(folder, out, progress=progress)
    assert [entry for entry in shown if entry[1]] == [("debiased", 1)]  # one part of pairs; all else was there
    after = {path: path.stat().st_mtime_ns for path in out.glob("*/parts/*")}
    assert before.keys() == after.keys() and {path.parts[-3] for path in after if after[path] != before[path]} == {
        "debiased"
    }
    kept = {path: text for path, text in costs.items() if path.parts[-2] != "debiased"}
    assert all(path.read_text() == text for path, text in kept.items())
    scores = [[row[1:5] for row in found.table().rows] for found in (first, again)]
    assert scores[0] == scores[1]


def test_other_inputs_are_refused_by_name(folder, compared, tmp_path):
    _, out = compared
    torch.manual_seed(1)
    source = sc.load_backbone("mini", device="cpu").source
    save_sphere(SphereMapper(SphereSettings(source.dim, source=source, alpha=1.0)), tmp_path / "other")
    with pytest.raises(SpherecorrError, match=r"deil' holds results of other sphere\. Choose another folder, or over"):
        compare(folder, out, methods=["deil"], deil=tmp_path / "other")
    compare(folder, tmp_path / "new", methods=["deil"])
    compare(folder, tmp_path / "new", methods=["deil"], deil=tmp_path / "other", overwrite=True)
    compare(folder, tmp_path / "new", methods=["raw"], limit=3, overwrite=True)  # of fewer images
    assert len(FeatureStore(tmp_path / "new" / "features")) < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["raw", "magic"]}, "There is no method 'magic'; there are raw, debiased, pose-aligned, sphere, "),
        ({"methods": ["asic"], "asic": None}, "The method asic needs a mapper; name its folder with --asic"),
        ({"methods": ["fused"], "models": Models("mini", "none", 64, "cpu")}, "The method fused needs a mapper; .*--s"),
        ({"asic": "data"}, "'data' holds no folder of a category with a checkpoint; train with --preset asic"),
    ],
)
def test_methods_that_cannot_be_had(folder, tmp_path, options, message):
    with pytest.raises(SpherecorrError, match=message):
        compare(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_numbered_keypoints_have_no_partners_until_somebody_says_so(folder, tmp_path):
    shutil.copytree(folder / "data", tmp_path / "data")
    (tmp_path / "data" / "keypoints.json").unlink()  # the keys of the annotations remain, which are numbers
    options = {"models": Models("mini", "none", 64, "cpu"), "settings": QUICK}
    data = Renders(tmp_path / "data")
    with pytest.raises(SpherecorrError, match="none of these has a partner by its name; say with --symmetry"):
        sc.compare(data, "test", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    (tmp_path / "symmetry.json").write_text('{"car": [[["0", "1"]]]}')
    sc.compare(data, "test", tmp_path / "out", symmetry=tmp_path / "symmetry.json", **options)
    assert not (tmp_path / "other").exists()
    assert list(sc.compare(data, "test", tmp_path / "other", methods=["raw"], **options).methods) == ["raw"]


def test_a_dataset_without_pairs_is_refused(tmp_path, capsys):
    (tmp_path / "viewpoints.csv").write_text("image,category,azimuth\na.png,car,0\n")
    assert main(["compare", "folder", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "Methods are compared on pairs with keypoints; a folder has none." in capsys.readouterr().err


def test_a_category_without_atlas_is_named(folder, tmp_path):
    shutil.copytree(folder / "asic" / "car", tmp_path / "asic" / "car")
    with pytest.raises(SpherecorrError, match="There is no atlas for 'dog'; there are car"):
        compare(folder, tmp_path / "out", methods=["asic"], asic=tmp_path / "asic")


def test_what_can_be_had_is_compared_by_the_command(folder, tmp_path, capsys):
    command = ["compare", "renders", str(folder / "data"), "--backbone", "mini", "--sphere", "none", "--device", "cpu"]
    command += ["--resolution", "64", "--resamples", "0", "--out", str(tmp_path / "out"), "--limit", "4"]
    assert main(command) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0].startswith("4 pairs, ") and lines[0].endswith("; mini")
    assert [line.split()[0] for line in lines[2:5]] == ["raw", "debiased", "pose-aligned"]
    assert said.endswith(f"wrote comparison.md, comparison.csv, comparison.png to {tmp_path / 'out'}\n")


# What a method costs


def test_costs_are_medians_without_the_first(monkeypatch):
    clock = iter([0.0, 9.0, 10.0, 10.2, 11.0, 11.4, 20.0, 25.0])
    monkeypatch.setattr("spherecorr.evaluation.cost.time.perf_counter", lambda: next(clock))
    done = []
    cost = measure_cost(["a", "b", "c"], ["pair"], done.append, done.append, torch.device("cpu"))
    assert done == ["a", "b", "c", "pair"]
    assert cost.image_seconds == pytest.approx(0.3) and cost.pair_seconds == pytest.approx(5)  # one pair has no other
    assert cost.device == "cpu" and (math.isnan(cost.peak_bytes) or cost.peak_bytes > 1e7)


def test_memory_is_that_of_the_work_itself():
    def take(size: int) -> None:
        assert torch.ones(size, dtype=torch.uint8)[-1] == 1

    little, much = (measure_cost([size], [1], take, take, torch.device("cpu")) for size in (10**6, 3 * 10**8))
    if math.isnan(little.peak_bytes):
        pytest.skip("this system does not tell a process's peak memory")
    assert much.peak_bytes - little.peak_bytes > 2e8
    # A later peak is measured anew, not the process's highest ever.
    assert measure_cost([1], [1], take, take, torch.device("cpu")).peak_bytes < much.peak_bytes - 2e8


def test_costs_are_kept_as_json(compared):
    _, out = compared
    cost = json.loads((out / "raw" / "cost.json").read_text())
    assert cost.keys() == {"image_seconds", "pair_seconds", "peak_bytes", "device", "threads"}

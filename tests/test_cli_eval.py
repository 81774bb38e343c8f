"""`spherecorr eval` and `reproduce` from a dataset on disk to the report, with a tiny real backbone and sphere."""

import csv
import json
import math
import re
import shlex
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from test_report import by_hand
from timm.models import save_for_hf

from spherecorr.backbones import load_backbone
from spherecorr.cli import main
from spherecorr.data.registry import DATASETS
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation import evaluate as evaluation
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.published import BY_CATEGORY, CATEGORIES, PER_IMAGE, RAW, SPHERE
from spherecorr.evaluation.reproduction import compare, published_change, signature
from spherecorr.evaluation.summary import summarise
from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Renders of three of SPair-71k's categories in its layout, a tiny backbone and a sphere for it."""
    folder = tmp_path_factory.mktemp("eval")
    render = ["--split", "test", "--categories", "bus,car,dog", "--count", "12", "--pairs", "6", "--size", "64"]
    assert main(["render", str(folder / "data"), *render, "--processes", "1"]) == 0
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 64, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(folder / "backbone"), model_args=shape, safe_serialization=True)
    source = load_backbone(f"local-dir:{folder / 'backbone'}", device="cpu").source
    save_sphere(SphereMapper(SphereSettings(64, source=source, alpha=0.35, resolution=64)), folder / "sphere")
    return folder


@pytest.fixture
def run(folder, tmp_path, capsys):
    """Run `eval` (or another command) on the renders; returns exit code, stdout and stderr."""

    def run(*arguments: str, command: tuple[str, ...] = ("eval", "renders"), data=None, out=None):
        place = [str(data or folder / "data")] if command[0] == "eval" else ["--root", str(data or folder / "data")]
        device = ["--device", "cpu", "--resamples", "20", "--out", str(out or tmp_path / "out")]
        try:
            code = main([*command, *place, *device, *arguments])
        except SystemExit as leave:  # argparse leaves this way
            code = leave.code
        return code, *capsys.readouterr()

    return run


def models(folder) -> list[str]:
    return ["--backbone", f"local-dir:{folder / 'backbone'}", "--sphere", str(folder / "sphere")]


def figures(path) -> list[list]:
    return json.loads(path.read_text())["scores"]


def test_a_dataset_becomes_a_report(folder, run, tmp_path):
    code, text, _ = run(*models(folder))
    assert code == 0 and "18 pairs" in text and "alpha 0, 1, 0.35" in text
    out = tmp_path / "out"
    assert text.endswith(f"wrote report.md, report.json, report.csv and report.html to {out}\n")

    backbone = load_backbone(f"local-dir:{folder / 'backbone'}", device="cpu")
    pairs = SPair71k(folder / "data").pairs("test")
    images = {image.id: image for pair in pairs for image in (pair.source, pair.target)}
    features = {name: backbone(image.path, resolution=64, framing="pad") for name, image in images.items()}
    expected = evaluate(pairs, features, sphere=load_sphere(folder / "sphere", device="cpu"), resamples=0)
    with (out / "report.csv").open() as file:
        rows = {
            tuple(row[k] for k in ("metric", "similarity", "over", "threshold")): row for row in csv.DictReader(file)
        }
    for name in ("raw", "sphere", "fused"):
        for over in ("pooled", "macro", "car"):
            assert float(rows["PCK", name, over, "0.1"]["value"]) == pytest.approx(
                expected.value("PCK", name, over), abs=1e-6
            )
    settings = json.loads((out / "report.json").read_text())["settings"]
    assert settings["features"]["input_size"] == [64, 64] and settings["versions"].keys() >= {"spherecorr", "torch"}
    assert settings["fusion"] == "cosine" and settings["threshold is a share of"] == "the target's box"


def test_the_same_command_goes_on_and_another_is_refused(folder, run, tmp_path):
    assert run(*models(folder))[0] == 0
    before = (tmp_path / "out" / "report.json").read_text()
    part = next((tmp_path / "out" / "parts").iterdir())
    kept = part.stat().st_mtime_ns
    code, _, error = run(*models(folder))
    assert code == 0 and (tmp_path / "out" / "report.json").read_text() == before
    assert part.stat().st_mtime_ns == kept and "features:" not in error  # nothing was computed again
    code, _, error = run(*models(folder), "--alpha", "0.2,0.5")
    said = error.splitlines()[-1]
    assert (
        code == 2
        and "holds results of other settings (alphas [0.0, 1.0, 0.35]; now alphas [0.0, 1.0, 0.2, 0.5]" in said
    )
    code, text, _ = run(*models(folder), "--alpha", "0.2,0.5", "--overwrite")
    assert code == 0 and "fused 0.2" in text and "fused 0.5 - raw" in text


def test_features_come_from_a_store(folder, run, tmp_path):
    store = tmp_path / "store"
    extract = ["--split", "test", "--resolution", "64", "--device", "cpu", *models(folder)[:2]]
    assert main(["extract", "renders", str(folder / "data"), "--out", str(store), *extract]) == 0
    assert run(*models(folder), out=tmp_path / "computed")[0] == 0
    assert run("--store", str(store), "--sphere", str(folder / "sphere"), out=tmp_path / "stored")[0] == 0
    assert figures(tmp_path / "computed" / "report.json") == figures(tmp_path / "stored" / "report.json")
    assert not (tmp_path / "stored" / "features").exists()
    code, _, error = run("--store", str(store), "--resolution", "96", *models(folder), out=tmp_path / "other")
    assert code == 2 and f"The store '{store}' is of resolution 64; --resolution says otherwise." in error


def test_a_limit_is_stated(folder, run, tmp_path):
    code, text, _ = run(*models(folder), "--limit", "7")
    assert code == 0 and "7 pairs" in text and "limited to 7 of 18 pairs, evenly spread" in text
    assert "- limit: 7 of 18 pairs, evenly spread" in (tmp_path / "out" / "report.md").read_text()


def test_thresholds_and_comparison_are_stated(folder, run):
    choices = ["--inclusive", "--fusion", "l2", "--sides", "image", "--candidates", "all"]
    code, text, _ = run(*models(folder), "--thresholds", "0.15,0.3", *choices)
    assert code == 0 and "shares of the target image; correct if error <= threshold" in text
    assert "similarity l2" in text and "matches lie on any cell, padding included" in text
    assert "PCK@0.15, macro" in text


def test_without_a_sphere_there_is_raw_alone(folder, run):
    code, text, _ = run(*models(folder)[:2])
    assert code == 0 and "fused" not in text and "alpha 0; matches lie on the image, never on padding\n" in text


@pytest.fixture
def broken(folder, tmp_path):
    """The renders, of which one picture is gone and one is no picture."""
    shutil.copytree(folder / "data", tmp_path / "data")
    pictures = sorted((tmp_path / "data" / "JPEGImages").rglob("*.jpg"))
    pictures[0].unlink()
    pictures[-1].write_bytes(b"no picture")
    return tmp_path / "data", pictures[0], pictures[-1]


def test_broken_pictures_are_named_or_left_out(folder, run, broken):
    data, gone, spoilt = broken
    code, _, error = run(*models(folder), data=data)
    assert code == 2 and f"there is no picture '{gone}'" in error.splitlines()[-1]
    code, text, _ = run(*models(folder), "--skip-broken", data=data)
    said = re.search(r"left out: (\d+); the first: (.*)", text)
    uses = sum(
        {pair.source.path, pair.target.path} & {gone, spoilt} != set() for pair in SPair71k(data).pairs("test")
    )  # fmt: skip
    assert code == 0 and int(said[1]) == uses > 0 and "cannot be used: " in said[2]
    assert f"{18 - uses} pairs" in text


def first_keypoint_outside(annotation: dict) -> dict:
    name = next(name for name, point in annotation["kps"].items() if point)
    return {**annotation, "kps": {**annotation["kps"], name: [900, 5]}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "cannot be read"),  # pairs name an image that is not annotated
        (lambda annotation: {**annotation, "bndbox": [5, 5, 5, 9]}, "has a box without size: (5, 5, 5, 9)"),
        (first_keypoint_outside, "at (900, 5), outside the image of 64 x 64 pixels"),
        (lambda annotation: {**annotation, "image_width": 63}, "has 64 x 64 pixels, its annotation says 63 x 64"),
    ],
)
def test_broken_annotations_are_named_or_left_out(folder, run, tmp_path, change, message):
    data = shutil.copytree(folder / "data", tmp_path / "data")
    image = SPair71k(data).pairs("test")[-1].source
    path = data / "ImageAnnotation" / f"{image.id}.json"
    uses = sum(path.stem in name for name in (data / "Layout" / "large" / "test.txt").read_text().split())
    annotation = json.loads(path.read_text())
    path.write_text(json.dumps(change(annotation))) if change else path.unlink()
    code, text, _ = run(*models(folder), "--skip-broken", data=data)
    left_out = (tmp_path / "out" / "left-out.txt").read_text().splitlines()
    assert code == 0 and f"left out: {uses}; the first: {left_out[0]}" in text and f"{18 - uses} pairs" in text
    assert len(left_out) == uses > 0 and all(message in line and path.stem in line for line in left_out)
    code, _, error = run(*models(folder), data=data, out=tmp_path / "strict")
    assert code == 2 and path.stem in error.splitlines()[-1]


def test_pairs_are_told_apart_by_their_difficulty(folder, run, tmp_path):
    data = shutil.copytree(folder / "data", tmp_path / "data")
    expected = {0: 0, 1: 0}
    for i, pair in enumerate(SPair71k(data).pairs("test")):
        path = data / "PairAnnotation" / "test" / f"{pair.id}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": i % 2}))
        both = [name for name, point in pair.source.keypoints.items() if point and pair.target.keypoints.get(name)]
        expected[i % 2] += len(both)
    code, text, _ = run(*models(folder), data=data)
    rows = [line.split() for line in text.splitlines() if line.startswith("truncation ")]
    assert code == 0 and {int(row[1]): int(row[2]) for row in rows} == expected


KILLED = """
import os, signal, sys
from spherecorr import cli
from spherecorr.evaluation import evaluate as evaluation

calls, score = [], evaluation.score_pairs

def dying(*pairs, **choices):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(*pairs, **choices)

evaluation.PART, evaluation.score_pairs = 4, dying
cli.main(sys.argv[1:])
"""


def test_a_killed_evaluation_goes_on(folder, run, tmp_path, monkeypatch):
    (tmp_path / "killed.py").write_text(KILLED)
    command = ["eval", "renders", str(folder / "data"), "--device", "cpu", "--out", "out", *models(folder)]
    ended = subprocess.run([sys.executable, "killed.py", *command], capture_output=True, timeout=300, cwd=tmp_path)
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    assert ended.returncode == -signal.SIGKILL and sorted(parts) == ["00000.npz", "00001.npz"]
    monkeypatch.setattr(evaluation, "PART", 4)
    code, _, error = run(*models(folder))
    assert code == 0 and "features:" not in error
    assert {name: (tmp_path / "out" / "parts" / name).stat().st_mtime_ns for name in parts} == parts
    assert run(*models(folder), out=tmp_path / "whole")[0] == 0
    assert figures(tmp_path / "out" / "report.json") == figures(tmp_path / "whole" / "report.json")


TWO = """
import os, sys
from pathlib import Path
from spherecorr import cli
from spherecorr.evaluation import evaluate as evaluation

mine, score = [], evaluation.score_pairs

def counting(pairs, *others, **choices):
    mine.append(len(pairs))
    return score(pairs, *others, **choices)

evaluation.PART, evaluation.score_pairs = 4, counting
assert cli.main(sys.argv[1:]) == 0
Path(f"scored-by-{os.environ['RANK']}").write_text(str(mine))
"""


def test_two_processes_share_the_parts_and_write_what_one_writes(folder, run, tmp_path, monkeypatch):
    pytest.importorskip("accelerate")
    monkeypatch.setattr(evaluation, "PART", 4)  # the same parts, so that the same sums are made to the last bit
    assert run(*models(folder), out=tmp_path / "one")[0] == 0
    (tmp_path / "two.py").write_text(TWO)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [
        "two.py",
        "eval",
        "renders",
        str(folder / "data"),
        "--device",
        "cpu",
        "--resamples",
        "20",
        "--out",
        "two",
    ]
    shown = subprocess.run(
        [*launch, *command, *models(folder)], check=True, capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert shown.stdout.count("18 pairs") == 1  # one of them speaks
    assert [(tmp_path / f"scored-by-{i}").read_text() for i in (0, 1)] == ["[4, 4, 2]", "[4, 4]"]
    assert figures(tmp_path / "one" / "report.json") == figures(tmp_path / "two" / "report.json")


# Viewpoints


def test_a_folder_with_viewpoints_is_scored_by_them(folder, run, tmp_path):
    data = tmp_path / "views"
    data.mkdir()
    lines = ["image,category,instance,azimuth"]
    for car, colour in enumerate(("red", "blue", "green")):
        for azimuth in (0, 90):
            name = f"car{car}-{azimuth}.png"
            picture = Image.new("RGB", (64, 64), "grey")
            picture.paste(colour, (8, 8, 56, 24 + azimuth // 4))
            picture.save(data / name)
            lines.append(f"{name},car,car{car},{azimuth}")
    (data / "viewpoints.csv").write_text("\n".join(lines))
    code, text, error = run(*models(folder), command=("eval", "folder"), data=data)
    assert code == 0, error
    row = next(line.split() for line in text.splitlines() if line.startswith("car "))
    document = json.loads((tmp_path / "out" / "viewpoints.json").read_text())
    assert row[1] == "6" and float(row[2]) == pytest.approx(document["overall"]["median"], abs=0.05)
    assert len(document["errors"]) == 6 and document["settings"]["sphere"] == str(folder / "sphere")
    code, _, error = run(*models(folder)[:2], command=("eval", "folder"), data=data, out=tmp_path / "raw")
    assert code == 2 and "Viewpoints are read from a sphere" in error and not (tmp_path / "raw").exists()
    (data / "car0-0.png").write_bytes((data / "car0-0.png").read_bytes()[:-40])
    arguments = [*models(folder), "--skip-broken", "--limit", "4"]
    code, text, _ = run(*arguments, command=("eval", "folder"), data=data, out=tmp_path / "sound")
    document = json.loads((tmp_path / "sound" / "viewpoints.json").read_text())
    assert code == 0 and "left out: 1; the first: " in text and len(document["errors"]) == 4
    assert document["settings"]["limit"] == "4 of 5 images, evenly spread"


# The published table


def test_reproduce_sets_ours_beside_the_published_rows(folder, run, tmp_path):
    code, text, _ = run(*models(folder), "--resolution", "64", command=("reproduce", "spair"))
    assert code == 0
    ours = next(line.split() for line in text.splitlines() if line.startswith("ours: fused"))
    with (tmp_path / "out" / "report.csv").open() as file:
        rows = {
            tuple(row[k] for k in ("metric", "similarity", "over", "threshold")): row for row in csv.DictReader(file)
        }
    car = 100 * float(rows["PCK", "fused", "car", "0.1"]["value"])
    assert ours[2 + CATEGORIES.index("car")] == f"{car:.1f}"
    assert ours[2 + CATEGORIES.index("cat")] == "-"  # not among the renders
    less = next(line for line in text.splitlines() if line.startswith(f"fused less {SPHERE}"))
    assert less.removeprefix(f"fused less {SPHERE}").split()[CATEGORIES.index("car")] == f"{car - 71.1:+.1f}"
    assert re.search(r"\d of 3 signs agree, rank correlation", text) and "KAP@0.1 corrected, macro" in text
    published = (tmp_path / "out" / "published.md").read_text()
    assert "Published rows with a sphere mix it with SD+DINOv2." in published
    assert f"| {SPHERE} [2] |" in published and "less DINOv2-B" not in published  # ours is no DINOv2


def test_published_rows_are_whole_and_make_the_signature():
    assert all(len(row.values) == len(CATEGORIES) == 18 for row in BY_CATEGORY)
    assert {row.method for row in PER_IMAGE if not row.supervised} >= {RAW, SPHERE}
    change = published_change()
    assert "tvmonitor" not in change and len(change) == 17  # the sphere's is not known
    assert [name for name, points in change.items() if points < 0] == ["bicycle", "bottle", "person", "pottedplant"]
    assert max(change, key=change.get) == "bus" and change["bus"] == 19.9


def test_published_rows_have_the_averages_that_are_known_of_them():
    """A slip in copying a number would show here; the pairs are those of SPair-71k's test split."""
    pairs = np.array([690, 650, 702, 702, 870, 644, 564, 600, 646, 640, 600, 600, 702, 650, 862, 664, 756, 692])
    assert pairs.sum() == DATASETS["spair"].pairs["test"]
    rows = {row.method: row.values for row in BY_CATEGORY}
    for method, macro, weighted in (("DINOv2-B", 56.24, 55.42), (RAW, 63.33, 63.06)):
        assert np.mean(rows[method]) == pytest.approx(macro, abs=0.005)
        assert np.average(rows[method], weights=pairs) == pytest.approx(weighted, abs=0.005)
    assert np.mean([value for value in rows[SPHERE] if value is not None]) == pytest.approx(67.67, abs=0.005)


def report_with(gains: dict[str, float]):
    """A report in which the sphere moves each category's PCK from one half by so many points."""
    pairs = {name: (name, (0,) * 100 + (50,) * 100) for name in gains}
    table = by_hand(pairs)
    right = np.concatenate([np.arange(200) < 100 + 2 * gain for gain in gains.values()])
    double = {name: np.repeat(getattr(table, name), 2, axis=0) for name in ("mirrored_error", "nearest_own")}
    double |= {name: np.repeat(getattr(table, name), 2, axis=0) for name in ("kap_positive", "kap_negative")}
    errors = np.stack([table.error[0], np.where(right, 0.0, 50.0)])
    thresholds = (0.1, 0.05, 0.01)
    double |= {name: np.repeat(double[name], 3, axis=2) for name in ("kap_positive", "kap_negative")}
    return summarise(
        by_hand(pairs, alphas=(0.0, 0.2), thresholds=thresholds, error=errors, **double), resamples=0
    )  # fmt: skip


def test_a_sphere_that_changes_as_published_has_the_signature():
    found = signature(report_with({name: round(points) for name, points in published_change().items() if points > 1}))
    assert found.agree == len(found.categories) == 13 and found.rank_correlation > 0.95  # whole points share ranks
    opposite = signature(report_with({name: -round(points) for name, points in published_change().items()}))
    assert opposite.agree == 0 and opposite.rank_correlation < -0.95
    assert math.isnan(signature(report_with({"car": 10, "bus": 3})).rank_correlation)


def test_raw_features_of_dinov2_are_set_against_its_row():
    tables = compare(report_with({"car": 10}), "dinov2-b")
    (row,) = [row for row in tables[0].rows if row[0] == "raw less DINOv2-B"]
    assert row[1 + CATEGORIES.index("car")] == f"{50 - 51.5:+.1f}" and row[-1] == f"{50 - 55.6:+.1f}"
    (per_image,) = [row for row in tables[1].rows if row[0] == "raw less DINOv2-B"]
    assert per_image[3] == f"{50 - 53.9:+.1f}"


# Mistakes and help


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "train"], "There is no split 'train'; renders has trn, val, test."),
        (["--split", "val"], "val.txt' is missing."),
        (["--alpha", "1.5"], "alpha is the sphere's share and must lie between 0 and 1; got 1.5."),
        (["--alpha", "x"], "numbers are written as 0.2,0.5; got 'x'"),
        (["--thresholds", "0"], "Thresholds are shares of a side, above 0; got 0."),
        (["--limit", "0"], "A limit is a number of pairs, 1 or more; got 0."),
        (["--resamples", "-1"], "The number of resamples is 0 or more; got -1."),
        (["--symmetry", "nowhere.json"], "'nowhere.json' cannot be read"),
        (["--masks", "nowhere"], "There is no folder 'nowhere'."),
        (["--sphere", "mini"], "This sphere mapper takes features of 192 channels"),
        (["--sphere", "none", "--alpha", "0.5"], "alpha is a sphere's share, and there is no sphere."),
        (["--store", "nowhere"], "There is no feature store in 'nowhere'"),
        (["--backbone", "unheard-of"], "There is no backbone 'unheard-of'"),
    ],
)
def test_mistakes_are_one_line(folder, run, tmp_path, arguments, message):
    code, _, error = run(*models(folder), *arguments)
    said = [line for line in error.splitlines() if line.startswith("spherecorr: ")]
    assert code == 2 and len(said) == 1 and message in said[0] and "Traceback" not in error
    assert not (tmp_path / "out").exists()  # nothing was computed for nothing


def test_a_store_that_lacks_an_image_is_named(folder, run, tmp_path):
    store = tmp_path / "store"
    one = tmp_path / "one"
    (one / "car").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(one / "car" / "x.png")
    extract = ["--out", str(store), "--resolution", "64", "--device", "cpu", *models(folder)[:2]]
    (one / "viewpoints.csv").write_text("image,category,azimuth\ncar/x.png,car,0")
    assert main(["extract", "folder", str(one), *extract]) == 0
    code, _, error = run("--store", str(store), "--sphere", str(folder / "sphere"))
    assert code == 2 and re.search(r"There are no features for image 'bus/test_\w+', which pair '.*' names", error)


@pytest.mark.parametrize("command", ["eval", "reproduce"])
def test_each_help_closes_with_an_example_that_runs(command, folder, tmp_path, monkeypatch, capsys):
    """On a smaller dataset and model; of an option given twice the last counts."""
    with pytest.raises(SystemExit) as leave:
        main([command, "--help"])
    assert leave.value.code == 0
    example = capsys.readouterr().out.split("example:\n")[1].replace("\\\n", " ")
    program, *arguments = shlex.split(example)
    assert (program, arguments[0]) == ("spherecorr", command)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "SPair-71k").symlink_to(folder / "data")
    monkeypatch.chdir(tmp_path)
    smaller = [*models(folder), "--resolution", "64", "--device", "cpu", "--resamples", "0"]
    assert "data/SPair-71k" in arguments and main([*arguments, *smaller]) == 0
    (report,) = (tmp_path / "runs").glob("*/report.json")
    assert json.loads(report.read_text())["settings"]["alphas"][:3] == [0, 1, 0.2]

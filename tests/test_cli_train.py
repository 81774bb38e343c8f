"""The commands that render, distil and train at tiny sizes: most in this process, those to be killed in their own."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

from spherecorr.backbones import load_backbone
from spherecorr.cli import build_parser, main
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.summary import summarise
from spherecorr.render.settings import RenderSettings
from spherecorr.sphere.checkpoint import load_sphere
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.pretrain_settings import PretrainSettings
from spherecorr.training.settings import LossWeights, TrainSettings

RENDER = ["--categories", "car,dog", "--count", "6", "--pairs", "3", "--size", "64", "--processes", "1"]
PRETRAIN = ["--layers", "1,2", "--depth", "1", "--resolution", "64", "--window", "2", "--batch", "2", "--steps", "40"]
TRAIN = ["--resolution", "64", "--steps", "60", "--batch", "4", "--tokens", "0", "--seed", "7", "--alpha", "0.4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Renders of two splits, and a tiny teacher."""
    folder = tmp_path_factory.mktemp("train")
    for split in ("trn", "val"):
        assert main(["render", str(folder / "renders"), "--split", split, *RENDER]) == 0
    torch.manual_seed(0)
    shape = {"depth": 3, "embed_dim": 128, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(folder / "teacher"), model_args=shape, safe_serialization=True)
    return folder


@pytest.fixture
def run(folder, capsys):
    """Run a command on the folder's files; returns exit code, stdout and stderr."""
    teacher = f"local-dir:{folder / 'teacher'}"
    inputs = {
        "render": RENDER,
        "pretrain": ["--images", str(folder / "renders" / "JPEGImages"), "--teacher", teacher, *PRETRAIN],
        "train": ["--data", "renders", str(folder / "renders"), "--backbone", teacher, "--device", "cpu", *TRAIN],
    }

    def run(command: str, out, *arguments: str):
        try:
            code = main([command, str(out), *inputs[command], *arguments])
        except SystemExit as leave:  # argparse leaves this way
            code = leave.code
        return code, *capsys.readouterr()

    run.inputs = inputs
    return run


def test_render_writes_a_dataset(folder):
    data = SPair71k(folder / "renders")
    assert data.categories == ["car", "dog"]
    for split in ("trn", "val"):
        assert len(data.images(split)) == len(data.pairs(split)) == 6
        assert json.loads((folder / "renders" / f"render-{split}.json").read_text())["size"] == 64


def test_pretrain_writes_a_backbone(folder, run, tmp_path):
    code, out, _ = run("pretrain", tmp_path / "small", "--seed", "3")
    assert code == 0
    assert out.endswith(f"wrote {tmp_path / 'small'}, to be used as --backbone local-dir:{tmp_path / 'small'}\n")
    training = json.loads((tmp_path / "small" / "config.json").read_text())["training"]
    settings = PretrainSettings(depth=1, layers=(1, 2), resolution=64, window=2, batch=2, steps=40, seed=3)
    assert training == json.loads(json.dumps(dataclasses.asdict(settings)))
    backbone = load_backbone(f"local-dir:{tmp_path / 'small'}", device="cpu")
    assert backbone(folder / "renders/JPEGImages/car/trn_car_000000.jpg").features.shape[0] == 192

    # Another begins as its teacher, which is now of the student's own architecture; 40 steps do not take it far away.
    start = ["--teacher", f"local-dir:{tmp_path / 'small'}", "--layers", "0", "--start", "teacher"]
    assert run("pretrain", tmp_path / "again", *start, "--learning-rate", "1e-6")[0] == 0
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["training"]["start"] == "teacher"
    first, again = (load_backbone(f"local-dir:{tmp_path / name}", device="cpu") for name in ("small", "again"))
    pictures = np.random.default_rng(0).integers(0, 256, size=(2, 64, 64, 3), dtype=np.uint8)
    torch.testing.assert_close(again.extract(pictures), first.extract(pictures), atol=0.05, rtol=0.05)


def test_train_writes_a_sphere_that_tells_how_it_was_made(folder, run, tmp_path):
    weights = "viewpoint=2,surface=1"
    code, out, _ = run("train", tmp_path / "run", "--weights", weights, "--width", "32", "--positions", "frame")
    assert code == 0 and out.startswith("6 images, 0.00 GB in ")
    assert out.endswith(
        f"wrote {tmp_path / 'run'}, with the mapper to be used as --sphere {tmp_path / 'run' / 'last'}\n"
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 60]
    assert lines[0].keys() == {"step", "reconstruction", "viewpoint", "distance", "orientation", "surface"}
    config = json.loads((tmp_path / "run" / "last" / "config.json").read_text())
    assert config["training"]["weights"] == dataclasses.asdict(LossWeights(viewpoint=2, surface=1))
    assert (config["training"]["images"], config["training"]["steps"], config["training"]["seed"]) == (6, 60, 7)
    assert config["data"] == {
        "names": ["renders"], "splits": ["trn"], "resolution": 64, "crop": "whole", "smallest_crop": 1.0, "crops": 1,
        "mirrored": False, "live": False,
    }  # fmt: skip
    assert "spherecorr" in config["versions"] and "metrics" not in config

    sphere = load_sphere(tmp_path / "run" / "last", device="cpu")
    source = load_backbone(f"local-dir:{folder / 'teacher'}", device="cpu").source
    assert sphere.settings == SphereSettings(
        128, width=32, positions="frame", source=source, resolution=64, alpha=0.4, categories=("car", "dog")
    )


def test_held_out_pairs_choose_the_best(folder, run, tmp_path):
    every = ["--log-every", "20", "--save-every", "20", "--validate-every", "20"]
    code, out, _ = run("train", tmp_path / "run", "--val", "renders", str(folder / "renders"), *every)
    assert code == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    validations = {line["step"]: line for line in lines if "validation_kap_fused" in line}
    assert list(validations) == [20, 40, 60]
    best = json.loads((tmp_path / "run" / "best" / "config.json").read_text())
    assert best["metrics"]["kap_fused"] == max(line["validation_kap_fused"] for line in validations.values())
    assert {line["validation_pck_raw"] for line in validations.values()} == {best["metrics"]["pck_raw"]}
    assert f"best, step {best['step']}  kap_fused {100 * best['metrics']['kap_fused']:.1f}  " in out
    assert f"--sphere {tmp_path / 'run' / 'best'}\n" in out

    # The figures are those of any evaluation of this checkpoint.
    pairs = SPair71k(folder / "renders").pairs("val")
    backbone = load_backbone(f"local-dir:{folder / 'teacher'}", device="cpu")
    sphere = load_sphere(tmp_path / "run" / "best", device="cpu")
    images = {image.id: image.path for pair in pairs for image in (pair.source, pair.target)}
    features = {name: backbone(path, resolution=64, framing="pad") for name, path in images.items()}
    spheres = {name: sphere.sphere_map(feature_map) for name, feature_map in features.items()}
    report = summarise(score_pairs(pairs, features, spheres, [0, 0.4, 1]), resamples=0)
    for figure, name in (("pck_fused", "fused"), ("pck_sphere", "sphere"), ("pck_raw", "raw")):
        # Stored features are rounded to half precision, which can move single keypoints.
        assert best["metrics"][figure] == pytest.approx(report.value("PCK", name), abs=0.05)


def test_the_same_seed_trains_the_same_sphere(run, tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run("train", tmp_path / name, "--seed", seed, "--smallest-crop", "0.7", "--crops", "2")[0] == 0
    first, again, other = ((tmp_path / name / "last" / "model.safetensors").read_bytes() for name in "abc")
    assert first == again != other


def test_the_same_command_goes_on_and_another_is_refused(run, tmp_path):
    assert run("train", tmp_path / "run")[0] == 0
    code, _, error = run("train", tmp_path / "run")
    assert code == 0 and "features" not in error  # neither extracted nor trained again
    code, _, error = run("train", tmp_path / "run", "--batch", "3")
    assert code == 2 and "holds a run with other settings: training.batch is 4 there and 3 here." in error
    code, _, error = run("train", tmp_path / "run", "--resolution", "96")
    assert code == 2 and "64" in error and "96" in error


def begin(*command: str) -> subprocess.Popen:
    """Start a command of this environment in a process of its own, on one core."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def one_thread():
    """Sums depend on the number of threads in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_killed_training_ends_as_one_that_was_not(folder, run, tmp_path, one_thread):
    options = ["--crops", "2", "--smallest-crop", "0.7", "--tokens", "10", "--weights", "surface=1,background=1"]
    options += ["--val", "renders", str(folder / "renders"), "--foreground-weight", "3", "--optimiser", "muon"]
    options += ["--log-every", "5", "--save-every", "10", "--validate-every", "20"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run("train", whole, *options)[0] == 0
    process = begin("spherecorr", "train", str(killed), *run.inputs["train"], *options)
    while not (killed / "state.pt").is_file() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # and not 0: it was not done yet
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "reconstr')  # as if it was killed while writing a line
    (killed / "state.pt.partial").write_bytes(b"half")
    assert run("train", killed, *options)[0] == 0
    names = ("config.json", "metrics.jsonl", "last/model.safetensors", "best/model.safetensors", "best/config.json")
    assert all((killed / name).read_bytes() == (whole / name).read_bytes() for name in names)


def test_two_processes_train_as_one(run, tmp_path, capsys):
    """By the line that the help shows: on their halves of each batch, the losses and the weights of one process."""
    pytest.importorskip("accelerate")
    options = ["--weights", "orientation=1,surface=1,background=1", "--tokens", "10", "--foreground-weight", "3"]
    options += ["--steps", "20", "--log-every", "5"]
    options += ["--save-every", "10", "--validate-every", "20"]
    (line,) = re.findall(r"accelerate launch .*(?= \.\.\.)", helps("train", capsys))
    launch, rest = line.split("launch")
    command = [*launch.split(), "launch", "--main_process_port", "0", *rest.split()]  # any port that is free
    assert begin(*command, str(tmp_path / "two"), *run.inputs["train"], *options).wait(timeout=240) == 0
    assert run("train", tmp_path / "one", *options)[0] == 0
    for one, two in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        assert two == pytest.approx(one, abs=1e-4)
    one, two = (load_sphere(tmp_path / name / "last", device="cpu") for name in ("one", "two"))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_training_takes_a_store_that_is_there(folder, run, tmp_path):
    teacher, store = f"local-dir:{folder / 'teacher'}", tmp_path / "store"
    stored = ["--labels", "--crop", "square", "--crops", "2", "--resolution", "64", "--device", "cpu"]
    arguments = ["extract", "renders", str(folder / "renders"), "--split", "trn", "--backbone", teacher]
    assert main([*arguments, "--smallest-crop", "0.5", *stored, "--out", str(store)]) == 0
    assert run("train", tmp_path / "run", "--store", str(store))[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["crop"] == "square" and config["data"]["crops"] == 2
    assert not (tmp_path / "run" / "features").exists()
    code, _, error = run("train", tmp_path / "other", "--store", str(store), "--crop", "whole", "--crops", "1")
    assert code == 2 and "square" in error and not (tmp_path / "other").exists()


def test_several_datasets_are_trained_as_one(folder, run, tmp_path):
    """Each with its own store; the mapper knows the categories of both."""
    more = tmp_path / "more"
    assert main(["render", str(more), *RENDER, "--categories", "dog,horse"]) == 0
    assert run("train", tmp_path / "run", "--data", "renders", str(more), "--steps", "5")[0] == 0
    assert {path.name for path in (tmp_path / "run").glob("features*")} == {"features", "features2"}
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["names"] == ["renders", "renders"] and config["training"]["images"] == 12
    mapper = load_sphere(tmp_path / "run" / "last", device="cpu")
    assert mapper.settings.categories == ("car", "dog", "horse")

    stores = [tmp_path / "run" / name for name in ("features", "features2")]
    again = ["--data", "renders", str(more), "--steps", "5", "--store", str(stores[0])]
    code, _, error = run("train", tmp_path / "again", *again)
    assert code == 2 and "There are 2 --data and 1 --store; each has its own." in error
    assert run("train", tmp_path / "again", *again, "--store", str(stores[1]))[0] == 0
    for name in ("last/model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_a_small_dataset_may_have_more_views_than_the_first(folder, run, tmp_path):
    """Photographs, of which there are few, count for more when each is cut several times."""
    teacher, renders = f"local-dir:{folder / 'teacher'}", str(folder / "renders")
    cut = ["--labels", "--crop", "square", "--smallest-crop", "0.5", "--resolution", "64", "--device", "cpu"]
    stores = []
    for crops in ("1", "3"):
        store = str(tmp_path / crops)
        extra = ["--crops", crops, "--seed", crops, "--out", store]
        assert main(["extract", "renders", renders, "--split", "trn", "--backbone", teacher, *cut, *extra]) == 0
        stores += ["--store", store]
    assert run("train", tmp_path / "run", "--data", "renders", renders, *stores, "--steps", "5")[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["images"] == 12 and config["data"]["crops"] == 1
    whole = str(tmp_path / "whole")
    assert (
        main(
            ["extract", "renders", renders, "--split", "trn", "--backbone", teacher, *cut[:1], *cut[5:], "--out", whole]
        )
        == 0
    )
    other = ["--store", stores[1], "--store", whole]
    code, _, error = run("train", tmp_path / "other", "--data", "renders", renders, *other, "--steps", "5")
    assert code == 2 and "crop whole" in error


def test_fresh_views_need_no_store(run, tmp_path):
    arguments = ["--live", "--crop", "resized", "--steps", "5"]
    assert run("train", tmp_path / "run", *arguments)[0] == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"config.json", "last", "metrics.jsonl", "state.pt"}
    assert not (tmp_path / "run" / "features").exists()


def test_a_trained_sphere_serves_the_match_command(folder, run, tmp_path, capsys):
    assert run("train", tmp_path / "run")[0] == 0
    images = [str(folder / f"renders/JPEGImages/car/val_car_00000{i}.jpg") for i in (0, 2)]
    assert (
        main(["match", *images, "--point", "30,30", "--sphere", str(tmp_path / "run" / "last"), "--device", "cpu"]) == 0
    )
    assert capsys.readouterr().out.split()[:4] == ["source", "raw", "sphere", "fused"]


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("render", ["--categories", "car,unicorn"], "There is no procedural 'unicorn'"),
        ("render", ["--count", "3"], "take a count of at least 4"),
        ("render", ["--split", "train"], "The split must be one of trn, val, test; got 'train'."),
        ("render", ["--backgrounds", "nowhere"], "There is no .jpg or .png picture in 'nowhere'"),
        ("pretrain", ["--images", "nowhere"], "There are no pictures in nowhere or below."),
        ("pretrain", ["--layers", "3,x"], "layers are written as 3,5,7,9; got '3,x'"),
        ("pretrain", ["--layers", "1,5"], "The teacher has the layers 0 to 2; asked for (1, 5)."),
        ("pretrain", ["--architecture", "resnet50"], "The student must be a plain ViT of timm; 'resnet50' is none."),
        ("pretrain", ["--teacher", "dinov2-xxl"], "There is no backbone 'dinov2-xxl'"),
        ("pretrain", ["--start", "teacher"], "the teacher has no cls_token like that of 'vit_tiny_patch16_224' with 1"),
        ("pretrain", ["--steps", "5"], "Distillation takes at least 40 steps"),
        ("train", ["--data", "spair", "nowhere"], "There is no folder 'nowhere'."),
        ("train", ["--data", "spare", "nowhere"], "There is no dataset 'spare'"),
        ("train", ["--split", "test"], "test.txt' is missing."),
        ("train", ["--val", "renders", "nowhere"], "There is no folder 'nowhere'."),
        ("train", ["--val", "folder", "{pictures}"], "--val takes a dataset with pairs; a folder has none."),
        ("train", ["--depth", "0"], "A mapper's depth is a whole number from 1 to 64; got 0."),
        ("train", ["--weights", "viewpoint"], "weights are written as viewpoint=5,surface=1; got 'viewpoint'"),
        ("train", ["--weights", "colour=1"], "There is no loss 'colour'; there are reconstruction, viewpoint"),
        ("train", ["--weights", "viewpoint=-1"], "A loss's weight is 0 or more"),
        ("train", ["--alpha", "2"], "alpha is the sphere's share and must lie between 0 and 1; got 2."),
        ("train", ["--width", "200"], "A mapper's width must be a multiple of 64, or below 128; got 200."),
        ("train", ["--resolution", "100"], "Resolution 100 is not a multiple of the patch size 16."),
        ("train", ["--smallest-crop", "0"], "The smallest crop is a share above 0 and at most 1; got 0."),
        ("train", ["--steps", "0"], "Steps, batch, triplets and log_every are 1 or more"),
        ("train", ["--store", "nowhere", "--crops", "0"], "A picture has one crop or more"),
        ("train", ["--preset", "slow"], "invalid choice: 'slow'"),
        ("train", ["--device", "abacus"], "There is no device 'abacus' on this machine."),
        ("train", ["--positions", "image"], "invalid choice: 'image'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(run, tmp_path, command, arguments, message):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "viewpoints.csv").write_text("image,category,azimuth\n")
    arguments = [argument.format(pictures=tmp_path / "pictures") for argument in arguments]
    code, _, error = run(command, tmp_path / "out", *arguments)
    said = [line for line in error.splitlines() if line.startswith("spherecorr: ")]
    assert code == 2 and len(said) == 1 and message in said[0]
    assert "Traceback" not in error and not (tmp_path / "out").exists()


def test_other_renders_do_not_mix_with_those_that_are_there(folder, run):
    code, _, error = run("render", folder / "renders", "--seed", "1")
    assert code == 2 and "was made with other settings. Choose another folder, or delete this one." in error


def test_a_picture_without_mask_is_named(folder, run, tmp_path):
    for part in ("ImageAnnotation", "JPEGImages", "PairAnnotation", "Layout", "keypoints.json"):
        (tmp_path / part).symlink_to(folder / "renders" / part)
    code, _, error = run("train", tmp_path / "out", "--data", "renders", str(tmp_path))
    assert code == 2 and re.search(r"spherecorr: '.*/(car|dog)/trn_\w+\.jpg' has no mask; ", error)


def test_what_is_broken_is_named_or_left_out(folder, run, tmp_path, capsys):
    data = shutil.copytree(folder / "renders", tmp_path / "renders")
    (first, second, *_) = sorted((data / "JPEGImages" / "car").glob("trn_*.jpg"))
    first.write_bytes(b"no picture")
    (data / "Segmentation" / "car" / f"{second.stem}.png").unlink()
    val = ["--val", "renders", str(data)]
    command = [str(data) if word == str(folder / "renders") else word for word in run.inputs["train"]]
    command = ["train", str(tmp_path / "run"), *command, *val, "--steps", "5"]
    assert main(command) == 2 and "/car/trn_" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--skip-broken"]) == 0
    assert "left out: 2; the first: " in capsys.readouterr().out
    left_out = (tmp_path / "run" / "left-out.txt").read_text().splitlines()
    unread, unmasked = sorted(left_out, key=lambda line: "has no mask" in line)
    assert str(first) in unread and f"'{second}' has no mask" in unmasked
    assert json.loads((tmp_path / "run" / "config.json").read_text())["training"]["images"] == 4
    assert load_sphere(tmp_path / "run" / "last", device="cpu").settings.categories == ("car", "dog")


def test_other_masks_than_a_stores_are_refused(folder, run, tmp_path):
    assert run("train", tmp_path / "run", "--steps", "5")[0] == 0
    masks = shutil.copytree(folder / "renders" / "Segmentation", tmp_path / "masks")
    for path in masks.rglob("*.png"):
        Image.new("L", Image.open(path).size, 255).save(path)
    store = ["--store", str(tmp_path / "run" / "features"), "--masks", str(masks), "--steps", "5"]
    code, _, error = run("train", tmp_path / "other", *store)
    assert code == 2 and "was made with another mask of" in error and str(masks) in error


def test_pictures_are_found_below_and_without_regard_to_case(run, tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.JPG", "deep/b.png", "deep/c.webp"):
        Image.new("RGB", (64, 64), "red").save(tmp_path / name)
    (tmp_path / "deep" / "notes.txt").write_text("no picture")
    code, _, error = run("pretrain", tmp_path / "out", "--images", str(tmp_path))
    assert code == 0 and "3/3" in error  # tqdm counts them


def helps(command: str, capsys) -> str:
    with pytest.raises(SystemExit) as leave:
        main([command, "--help"])
    assert leave.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["render", "pretrain", "train"])
def test_each_help_closes_with_examples_that_parse(command, capsys):
    example = helps(command, capsys).split("example:\n")[1].replace("\\\n", " ")
    for line in example.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert (program, arguments[0]) == ("spherecorr", command)
        build_parser().parse_args(arguments)


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("render", RenderSettings()),
        ("pretrain", PretrainSettings()),
        ("train", TrainSettings(SphereSettings(64))),
        ("train", SphereSettings(64)),
    ],
)
def test_help_tells_the_settings_own_defaults(command, settings, capsys):
    """Options without a value keep the dataclass's default, and the help's number is that one."""
    words = " ".join(helps(command, capsys).split("options:")[1].split("example:")[0].split())
    told = dict(re.findall(r"--([a-z-]+) (?:(?!--[a-z]).)*?\(default: ([^)]*)\)", words))
    special = {
        "None": (
            "half of the backbone's",
            "all",
            "procedural objects",
            "plain and clouded ones",
            "photographs as they are",
        )
    }
    found = 0
    for field in dataclasses.fields(settings):
        name, value = field.name.replace("_", "-"), getattr(settings, field.name)
        if name not in told:
            continue
        text = ",".join(map(str, value)) if name == "layers" else str(value)
        assert told[name] in special.get(text, (text,)), name
        found += 1
    assert found >= {"render": 8, "pretrain": 10, "train": 5}[command]


def test_help_tells_the_papers_weights(capsys):
    words = " ".join(helps("train", capsys).split())
    assert ", ".join(f"{name}={weight}" for name, weight in vars(LossWeights()).items()) in words


def test_two_fresh_crops_of_an_image_teach_equivariance(run, tmp_path):
    crops = ["--live", "--crop", "square", "--smallest-crop", "0.6"]
    weights = "reconstruction=0,viewpoint=0,distance=0,orientation=0,equivariance=1"
    code, _, error = run("train", tmp_path / "run", *crops, "--weights", weights, "--steps", "20", "--log-every", "10")
    assert code == 0, error
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(line.keys() == {"step", "equivariance"} for line in lines)
    stored = ["--crop", "square", "--smallest-crop", "0.6", "--weights", weights]
    code, _, error = run("train", tmp_path / "stored", *stored)
    assert code == 2 and "equivariance" in error


@pytest.mark.parametrize("change", ["keypoints", "azimuth", "mask", "picture"])
def test_a_run_on_data_that_has_changed_is_refused(folder, tmp_path, capsys, change):
    data = shutil.copytree(folder / "renders", tmp_path / "renders")
    models = ["--backbone", f"local-dir:{folder / 'teacher'}", "--device", "cpu", "--resolution", "64"]
    short = ["--steps", "10", "--log-every", "5", "--save-every", "5", "--validate-every", "5"]
    command = ["train", str(tmp_path / "run"), "--data", "renders", str(data), *models, *short]
    assert main(command) == 0
    stem = min(path.stem for path in (data / "ImageAnnotation" / "car").glob("trn_*.json"))
    expected = f"was made with another {change} of 'car/{stem}'"
    if change in ("keypoints", "azimuth"):
        path = data / "ImageAnnotation" / "car" / f"{stem}.json"
        annotation = json.loads(path.read_text())
        corrected = {"azimuth": 12.0} if change == "azimuth" else {"kps": {**annotation["kps"], "0": [1.0, 2.0]}}
        path.write_text(json.dumps({**annotation, **corrected}))
        expected = "holds a run on other data"
    else:
        folders = {"mask": ("Segmentation", "png"), "picture": ("JPEGImages", "jpg")}
        name, ending = folders[change]
        path = data / name / "car" / f"{stem}.{ending}"
        with Image.open(path) as picture:
            flipped = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        flipped.save(path)
    capsys.readouterr()
    assert main(command) == 2
    assert expected in capsys.readouterr().err

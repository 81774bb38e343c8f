"""What README promises runs and is true."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import timm
from packaging.requirements import Requirement
from photographs import folder_of
from PIL import Image
from timm.models import save_for_hf

from spherecorr.backbones import BACKBONES, load_backbone
from spherecorr.cli import build_parser, main
from spherecorr.sphere.checkpoint import load_sphere

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
_, FRONT_MATTER, TEXT = README.split("---\n", 2)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def two_images(tmp_path, monkeypatch):
    """A working folder with the images that the examples name."""
    for name in ("left", "right"):
        pixels = np.random.default_rng(0).integers(0, 256, size=(200, 224, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_examples_run(two_images, capsys):
    matching, measuring = blocks("python")
    names = {}
    exec(matching, names)
    # The shapes that its comments state.
    matches = names["matches"]
    assert matches.raw.xy.shape == matches.fused.xy.shape == matches.sphere.xy.shape == (1, 5, 2)
    assert matches.fused.score.shape == (1, 5) and matches.symmetric_mistake.shape == (1,)
    assert names["left"].features.ndim == 3

    few = ["--split", "val", "--categories", "car,dog", "--count", "4", "--pairs", "2", "--size", "64"]
    assert main(["render", "data/renders", *few]) == 0
    capsys.readouterr()
    exec(measuring, names)
    assert "4 pairs" in capsys.readouterr().out
    assert 0 <= names["report"].value("PCK", "fused", "per image") <= 1


COMMANDS = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]


def own_commands() -> list[list[str]]:
    """What follows `spherecorr` in each line that calls it, alone or under another program."""
    return [shlex.split(line.split("spherecorr ", 1)[1]) for line in COMMANDS if re.search(r"(^| )spherecorr ", line)]


def test_the_commands_exist():
    assert "pip install -r requirements.txt && python app.py" in COMMANDS
    assert 'pip install -e ".[test]" && python -m pytest' in COMMANDS
    known = set("app match render train pretrain extract eval reproduce compare download data".split())
    assert {arguments[0] for arguments in own_commands()} == known
    for arguments in own_commands():
        build_parser().parse_args(arguments)  # leaves with an error if an option is not there


def test_the_match_command_runs(two_images):
    (arguments,) = [arguments for arguments in own_commands() if arguments[0] == "match"]
    assert main(arguments) == 0
    assert {path.name for path in two_images.iterdir()} == {"left.jpg", "right.jpg", "matches.json", "matches.png"}


def test_the_commands_on_renders_run_one_after_the_other(tmp_path, monkeypatch):
    """At tiny sizes (of an option given twice the last counts), with a tiny backbone in place of the real ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "photos" / "red.jpg")
    shape = {"depth": 10, "embed_dim": 64, "num_heads": 1, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(tmp_path / "tiny"), model_args=shape, safe_serialization=True)
    smaller = {
        "render": ["--count", "28", "--pairs", "2", "--size", "64", "--processes", "1"],
        "train": ["--backbone", "local-dir:tiny", "--resolution", "64", "--steps", "20", "--device", "cpu"],
        "pretrain": [
            "--teacher",
            "local-dir:tiny",
            "--resolution",
            "64",
            "--depth",
            "1",
            "--steps",
            "40",
            "--batch",
            "1",
        ],
        "eval": [
            "--backbone",
            "local-dir:tiny",
            "--sphere",
            "data/sphere/best",
            "--resolution",
            "64",
            "--device",
            "cpu",
        ],
        "compare": ["--sphere", "data/sphere/best", "--resolution", "64", "--device", "cpu"],
    }
    shown = [arguments for arguments in own_commands() if arguments[0] in smaller and "spair" not in arguments]
    commands = [arguments for arguments in shown if "--recipe" not in arguments]
    assert [arguments[0] for arguments in commands] == ["render", "render", "train", "pretrain", "eval", "compare"]
    for arguments in commands:
        assert main([*arguments, *smaller[arguments[0]]]) == 0
    assert (tmp_path / "runs" / "renders" / "report.md").is_file()
    assert (tmp_path / "runs" / "compare" / "comparison.png").is_file()
    assert load_sphere("data/sphere/last", device="cpu").settings.source.backbone == "local-dir:tiny"
    assert load_backbone("local-dir:data/backbone", device="cpu").source.dim == 192

    few = ["--backbone", "local-dir:tiny", "--resolution", "64", "--steps", "5", "--tokens", "0", "--device", "cpu"]
    more = {"teach": few, "photographs": [*few, "--renders", "data/renders", "--optimiser", "adamw"]}
    recipes = [arguments for arguments in shown if "--recipe" in arguments]
    assert [arguments[arguments.index("--recipe") + 1] for arguments in recipes] == list(more)
    for arguments, options in zip(recipes, more.values(), strict=True):
        folder_of(tmp_path / arguments[arguments.index("folder") + 1], 12)
        assert main([*arguments, *options]) == 0
        assert load_sphere(arguments[1], device="cpu").settings.source.backbone == "local-dir:tiny"


def test_the_backbone_table_is_the_registry():
    section = TEXT.split("## Backbones")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{info.name}` | {info.title} | {info.parameters:g} | {info.patch} | {info.dim} | {info.licence} |"
        for info in BACKBONES.values()
    ]


def test_the_space_runs_a_gradio_that_requirements_allow():
    settings = dict(line.split(": ", 1) for line in FRONT_MATTER.strip().splitlines())
    requirements = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines()]
    (gradio,) = [requirement for requirement in requirements if requirement.name == "gradio"]
    assert settings["sdk_version"] in gradio.specifier
    assert settings["license"] == "apache-2.0" and (ROOT / "LICENSE").read_text().strip().startswith("Apache License")


def test_links_into_the_repository_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT) + re.findall(r"`((?:spherecorr|tests)/[\w/.]+)`", TEXT)
    assert {target for target in targets if not (ROOT / target).exists()} == set()


@pytest.mark.parametrize("page", ["benchmarks/README.md", "experiments/README.md", "checkpoints/mini-sphere/README.md"])
def test_other_pages_name_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = {(ROOT / page).parent / target for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)}
    scripts = {ROOT / path for path in re.findall(r"(?:benchmarks|experiments|docs)/\w+\.py", text)}
    rows = {(ROOT / page).parent / name for name in re.findall(r"^\| `(\w+\.py)`", text, flags=re.MULTILINE)}
    assert links and {path for path in links | scripts | rows if not path.exists()} == set()


@pytest.mark.parametrize("folder", ["benchmarks", "experiments", "docs"])
def test_scripts_say_how_to_run_them(folder):
    shared = {"literal_metrics.py", "held_out.py", "device_crops.py"}  # no scripts: others import them
    for path in (ROOT / folder).glob("*.py"):
        assert path.name in shared or f"python {folder}/{path.name}" in path.read_text(encoding="utf-8"), path

"""What README and the pages on training and evaluation promise runs, one command after the other."""

import re
from argparse import _SubParsersAction
from fnmatch import fnmatch

import numpy as np
import pytest
import timm
from packaging.requirements import Requirement
from pages import ROOT, blocks, lines, own_commands, read
from photographs import folder_of
from PIL import Image
from timm.models import save_for_hf

from spherecorr.backbones import BACKBONES, load_backbone
from spherecorr.cli import build_parser, main
from spherecorr.sphere.checkpoint import load_sphere

README = read("README.md")


@pytest.fixture
def two_images(tmp_path, monkeypatch):
    """A working folder with the images that the examples name."""
    for name in ("left", "right"):
        pixels = np.random.default_rng(0).integers(0, 256, size=(200, 224, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_short():
    assert len(README.splitlines()) <= 200


def test_the_python_example_runs(two_images):
    matching, _ = blocks("README.md", "python")  # the other asks a running app, see test_api.py
    names = {}
    exec(matching, names)
    # The shapes that its comments state.
    matches = names["matches"]
    assert matches.raw.xy.shape == matches.fused.xy.shape == matches.sphere.xy.shape == (1, 5, 2)
    assert matches.fused.score.shape == (1, 5) and matches.symmetric_mistake.shape == (1,)
    assert names["left"].features.ndim == 3


def test_the_python_of_evaluation_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = ["--split", "val", "--categories", "car", "--count", "4", "--pairs", "2", "--size", "64"]
    assert main(["render", "data/renders", *few]) == 0
    (measuring,) = blocks("docs/evaluation.md", "python")
    names = {}
    exec(measuring, names)
    assert "2 pairs" in capsys.readouterr().out
    assert 0 <= names["report"].value("PCK", "fused", "per image") <= 1
    assert {path.name for path in (tmp_path / "runs/mine").iterdir()} == {"report.json", "report.md", "report.csv"}


def test_the_commands_exist():
    assert "pip install -r requirements.txt && python app.py" in lines("README.md")
    assert 'pip install -e ".[test]" && python -m pytest' in lines("README.md")
    assert {arguments[0] for arguments in own_commands("README.md")} == {"match", "app", "render", "train", "eval"}
    for arguments in own_commands("README.md"):
        build_parser().parse_args(arguments)  # leaves with an error if an option is not there


def test_every_command_is_shown_somewhere():
    text = "\n".join(read(f"docs/{path.name}") for path in (ROOT / "docs").glob("*.md")) + README
    (known,) = (action.choices for action in build_parser()._actions if isinstance(action, _SubParsersAction))
    assert {command for command in known if f"spherecorr {command} " not in text} == set()


def test_the_match_command_runs(two_images):
    (arguments,) = [arguments for arguments in own_commands("README.md") if arguments[0] == "match"]
    assert main(arguments) == 0
    assert {path.name for path in two_images.iterdir()} == {"left.jpg", "right.jpg", "matches.json", "matches.png"}


SMALLER = {
    "render": "--categories car,dog --count 28 --pairs 2 --size 64 --processes 1",
    "train": "--backbone local-dir:tiny --resolution 64 --steps 20 --device cpu",
    "pretrain": "--teacher local-dir:tiny --resolution 64 --depth 1 --steps 40 --batch 1",
    "eval": "--backbone local-dir:tiny --sphere data/sphere/best --resolution 64 --device cpu",
    "compare": "--sphere data/sphere/best --resolution 64 --device cpu",
}
"""Of an option given twice the last counts."""


def test_the_commands_on_renders_run_one_after_the_other(tmp_path, monkeypatch):
    """At tiny sizes, with a tiny backbone in place of the real ones; those of README, then those that are new."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "photos" / "red.jpg")
    shape = {"depth": 10, "embed_dim": 64, "num_heads": 1, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(tmp_path / "tiny"), model_args=shape, safe_serialization=True)
    pages = ("README.md", "docs/training.md", "docs/evaluation.md")
    shown = [arguments for page in pages for arguments in own_commands(page) if arguments[0] in SMALLER]
    shown = [arguments for arguments in shown if "spair" not in arguments]
    commands = {" ".join([*arguments, SMALLER[arguments[0]]]): arguments for arguments in shown}
    plain = [command for command, arguments in commands.items() if "--recipe" not in arguments]
    wanted = ["render", "render", "train", "eval", "train", "pretrain", "compare"]
    assert [command.split()[0] for command in plain] == wanted
    for command in plain:
        assert main(command.split()) == 0
    assert (tmp_path / "runs" / "renders" / "report.md").is_file()
    assert (tmp_path / "runs" / "compare" / "comparison.png").is_file()
    assert load_sphere("data/sphere/last", device="cpu").settings.source.backbone == "local-dir:tiny"
    assert load_backbone("local-dir:data/backbone", device="cpu").source.dim == 192

    few = "--backbone local-dir:tiny --resolution 64 --steps 5 --tokens 0 --device cpu".split()
    more = {"teach": few, "photographs": [*few, "--renders", "data/renders", "--optimiser", "adamw"]}
    recipes = {arguments[1]: arguments for arguments in commands.values() if "--recipe" in arguments}
    assert [arguments[arguments.index("--recipe") + 1] for arguments in recipes.values()] == list(more)
    for (out, arguments), options in zip(recipes.items(), more.values(), strict=True):
        folder_of(tmp_path / arguments[arguments.index("folder") + 1], 12)
        assert main([*arguments, *options]) == 0
        assert load_sphere(out, device="cpu").settings.source.backbone == "local-dir:tiny"


def test_the_backbones_are_those_of_the_registry():
    """Names (a star stands for several), sizes and licences; docs/which-features.md has a row for each."""
    table = README.split("## Backbones")[1].split("\n\n")[1]
    listed = []
    for row in table.splitlines()[2:]:
        names, _, parameters, channels, _, licence = (cell.strip() for cell in row.strip("|").split("|"))
        patterns = re.findall(r"`(.+?)`", names)
        own = [name for name in BACKBONES if any(fnmatch(name, pattern) for pattern in patterns)]
        assert own and {BACKBONES[name].licence for name in own} == {licence}, row
        for said, attribute in ((parameters, "parameters"), (channels, "dim")):
            sizes = [getattr(BACKBONES[name], attribute) for name in own]
            assert said == " to ".join(dict.fromkeys(f"{size:g}" for size in (min(sizes), max(sizes)))), row
        listed += own
    assert sorted(listed) == sorted(BACKBONES)


def test_the_space_runs_a_gradio_that_requirements_allow():
    front_matter = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)[1]
    settings = dict(line.split(": ", 1) for line in front_matter.strip().splitlines())
    requirements = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines()]
    (gradio,) = [requirement for requirement in requirements if requirement.name == "gradio"]
    assert settings["sdk_version"] in gradio.specifier
    assert settings["license"] == "apache-2.0" and (ROOT / "LICENSE").read_text().strip().startswith("Apache License")

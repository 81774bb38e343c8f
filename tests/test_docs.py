"""What the pages promise runs and is true: their Python, their commands, their recipes, their links."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pages import ROOT, anchors, blocks, links, own_commands, prose, read

from spherecorr.backbones import BACKBONES
from spherecorr.cli import build_parser

FOLDERS = ("", "docs/", "benchmarks/", "experiments/", "examples/", "notebooks/", "checkpoints/*/")
PAGES = sorted(str(path.relative_to(ROOT)) for folder in FOLDERS for path in ROOT.glob(f"{folder}*.md"))
DOCS = [page for page in PAGES if page.startswith("docs/")]
RUN = ["docs/method.md", "docs/metrics.md", "docs/extend.md"]
ELSEWHERE = [
    "docs/evaluation.md",
    "docs/api.md",
]  # run after renders are made (test_readme), and on a server (test_api)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(str(path.resolve().relative_to(ROOT))), link


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *DOCS])
def test_files_that_are_named_exist(page):
    named = re.findall(r"`((?:spherecorr|tests|docs|benchmarks|experiments|examples)/[\w/.-]+)`", prose(page))
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", DOCS)
def test_commands_are_understood(page):
    for arguments in own_commands(page):
        build_parser().parse_args(arguments)  # leaves with an error if an option is not there


def test_every_python_block_is_run_somewhere():
    with_python = [page for page in DOCS if blocks(page, "python")]
    assert set(with_python) <= {*RUN, *ELSEWHERE}


@pytest.mark.parametrize("page", RUN)
def test_the_python_examples_run(page, tmp_path, monkeypatch):
    for side, name in (("a", "left"), ("b", "right")):
        shutil.copy(ROOT / f"examples/car-photo-{side}.jpg", tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page, "python"):
        if not block.startswith("# spherecorr/"):  # a file of a recipe, see below
            exec(block, names)
            check_comments(block, names)


def check_comments(block: str, names: dict) -> None:
    """A line that is an expression, with a list in its comment, has these values."""
    for expression, said in re.findall(r"^(\w+\(.*\))  # (\[[^]]*\])", block, flags=re.MULTILINE):
        assert eval(expression, names).tolist() == eval(said), expression


def apply_recipes(page: str, root: Path) -> None:
    """Write the files and the changed lines of a page's recipes under `root`."""
    for block in blocks(page, "diff", "python"):
        first, rest = block.split("\n", 1)
        if first.startswith("--- "):
            change(root / first.removeprefix("--- "), rest.splitlines())
        elif first.startswith("# spherecorr/"):
            path = root / first.removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(rest, encoding="utf-8")


def change(path: Path, lines: list[str]) -> None:
    """Lines with " " and "-" stand in the file once, one after the other; those with " " and "+" replace them."""
    old, new = ("".join(f"{line[1:]}\n" for line in lines if line[:1] in kept) for kept in (" -", " +"))
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} has {text.count(old)} times:\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


FOLLOWED = """
import json
import gradio as gr
import torch
import spherecorr as sc
from PIL import Image
from spherecorr.backbones import BACKBONES, availability
from spherecorr.cli.base import NAMES
from spherecorr.sphere.losses import spread_loss
from spherecorr.training.objectives import TERMS, weighted_terms
from spherecorr.training.settings import LossWeights

assert BACKBONES["deit3-s"].dim == 384 and availability("mean-colour").here
colours = sc.load_backbone("mean-colour")

image = Image.new("RGB", (64, 64), "red")
image.paste("blue", (32, 0, 64, 64))
for name in "ab":
    image.save(f"{name}.png")
points = {"left_ear": [[8, 8], [8, 8]], "right_ear": [[40, 8], None]}
with open("pairs.json", "w") as file:
    json.dump([{"source": "a.png", "target": "b.png", "category": "cat", "points": points}], file)
marked = sc.open_dataset("marked", ".")
features = {image.id: colours(image.path, resolution=64) for image in marked.images("test")}
assert (len(features), marked.categories) == (2, ["cat"]) and "marked" in NAMES
assert sc.evaluate(marked, features, split="test", resamples=0).value("PCK", "raw") == 1

from spherecorr.ui.blocks import build_demo  # with the panel

assert "Coverage" in [block.label for block in build_demo().blocks.values() if isinstance(block, gr.Tab)]

assert list(TERMS) == list(LossWeights.__dataclass_fields__) and weighted_terms(LossWeights(spread=1))
together, apart = torch.eye(3)[[0, 0]][None], torch.eye(3)[[0, 1]][None]
mask = torch.ones(1, 2, dtype=torch.bool)
assert spread_loss(apart, mask) < spread_loss(together, mask) == 0
"""


def test_the_recipes_work(tmp_path):
    """Followed to the letter in a copy of the code, in a process of its own."""
    ignore = shutil.ignore_patterns("__pycache__")
    copy = shutil.copytree(ROOT / "spherecorr", tmp_path / "spherecorr", ignore=ignore)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    apply_recipes("docs/extend.md", copy.parent)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", FOLLOWED], cwd=tmp_path, env=environment, check=True)


def test_the_backbone_tables_are_the_registry():
    section = read("docs/which-features.md").split("## Backbones")[1].split("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{info.name}` | {info.title} | {info.parameters:g} | {info.patch} | {info.dim} | {info.licence} |"
        for info in BACKBONES.values()
    ]


def test_the_citation_is_whole():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "type", "license"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0" and citation["version"] == version()
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors", "year", "collection-title", "start", "end"} <= paper.keys()
    assert all({"family-names", "given-names"} <= author.keys() for author in paper["authors"])
    bibtex = re.sub(r"\s+", " ", read("README.md").split("```bibtex")[1])
    assert f"{{{paper['title']}}}" in bibtex and f"{{{paper['start']}--{paper['end']}}}" in bibtex
    authors = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    assert f"{{{authors}}}" in bibtex


def test_the_changelog_knows_this_version():
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", read("CHANGELOG.md"), flags=re.MULTILINE)
    assert headings[0] == ("Unreleased", "") and headings[1][0] == version() and all(date for _, date in headings[1:])
    kinds = set(re.findall(r"^### (.+)$", read("CHANGELOG.md"), flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def version() -> str:
    (found,) = re.findall(
        r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return found


@pytest.mark.parametrize("page", ["benchmarks/README.md", "experiments/README.md"])
def test_pages_on_scripts_name_scripts_that_exist(page):
    text = read(page)
    scripts = {ROOT / path for path in re.findall(r"(?:benchmarks|experiments|docs)/\w+\.py", text)}
    rows = {(ROOT / page).parent / name for name in re.findall(r"^\| `(\w+\.py)`", text, flags=re.MULTILINE)}
    assert scripts | rows and {path for path in scripts | rows if not path.exists()} == set()


@pytest.mark.parametrize("folder", ["benchmarks", "experiments", "docs"])
def test_scripts_say_how_to_run_them(folder):
    shared = {"literal_metrics.py", "held_out.py", "device_crops.py"}  # no scripts: others import them
    shared |= {"page_client.py", "tiny_models.py", "watched_app.py"}
    shared |= {f"hostile_{part}.py" for part in ("files", "inputs", "places", "stage")}
    for path in (ROOT / folder).glob("*.py"):
        assert path.name in shared or f"python {folder}/{path.name}" in path.read_text(encoding="utf-8"), path

"""How the house is built: which part may know which, how large files grow, and what an import costs."""

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spherecorr

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "spherecorr"
SOURCES = sorted(PACKAGE.rglob("*.py"))
CHECKPOINTS = sorted(path for path in ROOT.glob("checkpoints/*") if path.is_dir())

# What each part of the package may import from the package. Dependencies point down this list only.
GROUND = {"device", "errors", "identity", "files", "geometry", "hub", "images", "markup", "shipped", "transfer"}
MODELS = GROUND | {"features"}
RESULTS = MODELS | {"backbones", "sphere", "matching"}
ARROWS = {
    **{part: {"errors"} for part in GROUND},
    "hub": {"errors", "transfer"},
    "parallel": {"device"},
    "segmentation": {"errors"},
    "features": {"geometry", "identity", "markup"},
    "backbones": MODELS,
    "sphere": MODELS,
    "matching": {"features", "geometry", "identity", "markup", "sphere"},
    "metrics": {"errors", "geometry"},
    "data": {"files", "geometry", "identity", "images", "transfer"},
    "render": {"data", "files", "geometry", "images", "shipped"},
    "masking": {"data", "device", "files", "images"},
    "store_settings": {"geometry", "identity"},
    "crops": {"data", "geometry", "images", "store_settings"},
    "dense_labels": {"crops", "data"},
    "ball_labels": {"dense_labels"},
    "proposals": {"features", "geometry", "matching", "segmentation", "sphere"},
    "store": {"crops", "data", "features", "geometry", "identity", "store_settings"},
    "store_writing": {"crops", "files", "store", "store_settings"},
    "extraction": {"backbones", "crops", "data", "files", "geometry", "store", "store_settings", "store_writing"},
    "evaluation": RESULTS | {"data", "metrics", "parallel", "store"},
    "training": RESULTS | {"crops", "data", "evaluation", "extraction", "parallel", "store", "store_settings"},
    "views": {"evaluation", "features", "geometry", "images", "matching", "sphere"},
    "ui": RESULTS
    | {
        "data",
        "evaluation",
        "files",
        "geometry",
        "images",
        "metrics",
        "pipelines",
        "proposals",
        "segmentation",
        "training",
        "views",
    },
    "pipelines": RESULTS
    | {
        "ball_labels",
        "crops",
        "data",
        "dense_labels",
        "evaluation",
        "extraction",
        "masking",
        "parallel",
        "proposals",
        "render",
        "store",
        "store_settings",
        "training",
        "views",
    },
    "cli": RESULTS
    | {"data", "evaluation", "parallel", "pipelines", "render", "store_settings", "training", "ui", "views"},
}


def imports(path: Path) -> set[str]:
    """All modules that a file imports anywhere, absolute and dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from spherecorr import geometry` imports a module, `from spherecorr.geometry import Framing` a name.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_parts(path: Path) -> set[str]:
    """The parts of spherecorr that a file imports: 'geometry', 'sphere', ..."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("spherecorr.")} - {"__version__"}


def libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_dependencies_point_down(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        assert {name.rpartition(".")[0] for name in imports(path)} - {"importlib", "typing"} == set(HOMES.values())
    elif part == "__main__":
        assert own_parts(path) == {"cli"}
    else:
        assert part in ARROWS, f"say in ARROWS what '{part}' may import"
        assert own_parts(path) <= ARROWS[part] | {part, "errors"}


def test_there_is_no_circle_and_the_picture_of_the_imports_is_current():
    import import_graph

    graph = import_graph.imports_of()
    import_graph.floors(graph)  # raises on a circle
    drawn = (ROOT / "docs" / "import_graph.svg").read_text(encoding="utf-8")
    assert drawn == import_graph.draw(graph), "run python docs/import_graph.py"


def test_the_losses_know_nothing_but_tensors_and_surfaces():
    known = {name.rpartition(".")[0] for name in imports(PACKAGE / "sphere" / "losses.py") if "spherecorr" in name}
    assert known == {"spherecorr.sphere.surface"}
    assert own_parts(PACKAGE / "sphere" / "surface.py") == set()


def test_gradio_stays_in_the_ui():
    users = {path.relative_to(PACKAGE).parts[0] for path in SOURCES if "gradio" in libraries(path)}
    assert users == {"ui"}


def test_readers_and_renderer_need_no_torch():
    for path in SOURCES:
        if path.relative_to(PACKAGE).parts[0] in ("data", "render"):
            assert not libraries(path) & {"torch", "timm"}, path


def test_torchvision_makes_masks_and_nothing_else():
    assert [relative(path) for path in SOURCES if "torchvision" in libraries(path)] == ["spherecorr/masking.py"]


@pytest.mark.parametrize("folder", ["spherecorr", "tests", "benchmarks", "experiments", "docs", "notebooks"])
def test_files_stay_readable(folder):
    lengths = {relative(path): len(path.read_text("utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > 500} == {}


HOMES = spherecorr._HOMES


def test_lazy_names_are_those_that_static_tools_see():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    assert {alias.name: node.module for node in block.body for alias in node.names} == HOMES
    assert spherecorr.__all__ == sorted(HOMES)
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("name", spherecorr.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(spherecorr, name).__doc__


def loaded_by(code: str) -> set[str]:
    """Modules in a fresh interpreter after some code."""
    code = f"{code}\nimport sys\nprint('modules:', *sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split("modules:")[1].split())


HEAVY = {"torch", "timm", "gradio", "sklearn", "diffusers", "plotly", "cv2", "numpy", "PIL"}


@pytest.mark.parametrize(
    "code",
    [
        "import spherecorr",
        "import spherecorr.cli; spherecorr.cli.build_parser()",
        "import sys; sys.argv = ['spherecorr', '--help']\ntry: import spherecorr.__main__\nexcept SystemExit: pass",
    ],
)
def test_help_and_import_load_nothing_heavy(code):
    modules = loaded_by(code)
    assert "spherecorr" in modules
    assert not modules & HEAVY


COMMANDS = "app, match, render, extract, pretrain, train, import, eval, reproduce, compare, download, push".split(", ")
COMMANDS += [f"data {action}" for action in ("check", "pairs", "masks", "directions")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_loads_nothing_heavy(command):
    ask = f"import spherecorr.cli as c\ntry: c.main({[*command.split(), '--help']})\nexcept SystemExit: pass"
    assert not loaded_by(ask) & HEAVY


def test_every_command_is_listed_above():
    from spherecorr.cli import build_parser

    assert {command.split()[0] for command in COMMANDS} == set(subcommands(build_parser()))
    assert {command.split()[1] for command in COMMANDS if " " in command} == set(
        subcommands(subcommands(build_parser())["data"])
    )


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser, by name."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


def test_commands_are_short():
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in (PACKAGE / "cli").glob("*.py")}
    assert {name: length for name, length in lengths.items() if length >= 150} == {}


def test_pipelines_print_nothing():
    for path in (PACKAGE / "pipelines").glob("*.py"):
        assert "argparse" not in libraries(path)
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        assert not [call for call in calls if ast.unparse(call.func) in ("print", "tqdm")], path


def test_asking_for_a_backbone_list_needs_no_torch():
    assert not loaded_by("from spherecorr.backbones import BACKBONES") & HEAVY


def test_the_package_lists_all_its_folders():
    """A folder that setuptools is not told of is missing from an installed package, and only there."""
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for path in SOURCES:
        if path.name == "__init__.py":
            assert f'"{".".join(path.parent.relative_to(ROOT).parts)}"' in listed
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            (patterns,) = re.findall(rf'^"{".".join(path.parent.relative_to(ROOT).parts)}" = \[(.*)\]$', listed, re.M)
            assert any(path.match(pattern) for pattern in re.findall(r'"(.*?)"', patterns)), path


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=relative)
def test_shipped_checkpoints_are_whole_and_small(folder):
    files = {path.name for path in folder.iterdir()}
    assert files - {"domain.safetensors"} == {"model.safetensors", "config.json", "README.md"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 15_000_000

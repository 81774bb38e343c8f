"""The stored notebooks: whole, small, and without traces of a machine. `.ci/run` executes them."""

import ast
import base64
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

import spherecorr
from spherecorr.data.examples import example_pairs
from spherecorr.data.records import DatasetError
from spherecorr.shipped import shipped_folder

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"/(?:tmp|home|root|usr|opt|work|var|workspaces?|Users)/|[A-Z]:\\\\|0x[0-9a-f]{6,}|ipykernel_\d")
TOOLS = "%", "!", "get_ipython"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path):
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def outputs(path):
    return [output for cell in code_cells(path) for output in cell["outputs"]]


def pictures(path):
    """JPEG and PNG files of a notebook's outputs."""
    for output in outputs(path):
        for kind in ("image/jpeg", "image/png"):
            if kind in output.get("data", {}):
                yield base64.b64decode(output["data"][kind])


def text_of(output):
    """What a person reads of an output, pictures and plots left out."""
    data = output.get("data", {})
    parts = [output.get("text", ""), *(data.get(kind, "") for kind in ("text/plain", "text/html"))]
    return re.sub(r"base64,[\w+/=]+", "", "".join("".join(part) for part in parts))


def test_there_are_five_in_order():
    assert [path.name[:3] for path in NOTEBOOKS] == ["01_", "02_", "03_", "04_", "05_"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_every_cell_ran_in_order_and_none_failed(self, path):
        cells = code_cells(path)
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert {output["output_type"] for output in outputs(path)} <= {"stream", "display_data", "execute_result"}
        assert [output for output in outputs(path) if output.get("name") == "stderr"] == []
        assert sum(bool(cell["outputs"]) for cell in cells) > len(cells) / 2

    def test_it_tells_nothing_of_the_machine(self, path):
        for cell in read(path)["cells"]:
            assert cell["metadata"] == {}
            assert not MACHINE.search("".join(cell["source"]))
        assert [found for output in outputs(path) if (found := MACHINE.search(text_of(output)))] == []
        assert read(path)["metadata"] == {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }

    def test_it_is_small_and_shows_something_where_no_script_runs(self, path):
        assert path.stat().st_size < 600_000
        found = list(pictures(path))
        assert len(found) >= 2 and max(map(len, found)) < 100_000
        for encoded in found:
            with Image.open(io.BytesIO(encoded)) as picture:
                assert picture.width <= 1000
        for output in outputs(path):
            if any("plotly" in kind for kind in output.get("data", {})):
                assert "image/jpeg" in output["data"]
            assert "<script" not in "".join(output.get("data", {}).get("text/html", ""))

    def test_its_code_is_python_and_uses_names_that_are_there(self, path):
        for cell in code_cells(path):
            source = "".join(cell["source"])
            assert not any(line.startswith(TOOLS) for line in source.splitlines())
            tree = ast.parse(source)
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sc":
                    assert node.attr in spherecorr.__all__
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spherecorr"):
                    home = ROOT / node.module.replace(".", "/")
                    assert home.with_suffix(".py").is_file() or home.is_dir(), node.module

    def test_its_links_lead_somewhere(self, path):
        text = "\n".join("".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")
        links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)
        assert [link for link in links if not (path.parent / link).exists()] == []
        assert "@@" not in text


def test_every_notebook_leads_to_the_next():
    for path, following in pairwise(NOTEBOOKS):
        assert f"({following.name})" in path.read_text(encoding="utf-8")


def test_the_example_pairs_are_records():
    pairs = example_pairs(shipped_folder("examples"))
    images = {image.id for pair in pairs.values() for image in (pair.source, pair.target)}
    assert len(images) == 2 * len(pairs) and {"car", "bus", "horse"} <= pairs.keys()
    car = pairs["car"]
    assert car.source.id == "car/car-a" and car.source.load_picture().size == car.source.size
    assert car.target.box == (123, 123, 397, 348) and car.source.box is None
    assert car.source.keypoints["left_front_wheel"] and car.target.keypoints["left_front_wheel"] is None


def test_a_folder_without_examples_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"examples\.json"):
        example_pairs(tmp_path)

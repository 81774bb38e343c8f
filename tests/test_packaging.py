"""Wheel and sdist, each installed in a clean environment and used from another folder.

It builds packages and starts apps for a minute or two, so it runs only when asked for: `SPHERECORR_TEST_PACKAGING=1
python -m pytest -n 0 tests/test_packaging.py`. PyTorch and other libraries are those of the environment that runs it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parent.parent
SHIPPED = ("spherecorr", "checkpoints", "examples")
SECONDS_TO_START = 120

pytestmark = pytest.mark.skipif(
    "SPHERECORR_TEST_PACKAGING" not in os.environ, reason="SPHERECORR_TEST_PACKAGING is not set"
)


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The repository's files."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def built(tmp_path_factory, tracked) -> dict[str, Path]:
    """The wheel and the sdist of a copy of the checkout, which stays clean."""
    folder = tmp_path_factory.mktemp("build")
    for name in tracked:
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "source" / name)
    python = new_environment(folder / "builder", reuse=False)
    run(python, "-m", "pip", "install", "--quiet", "build")
    run(python, "-m", "build", "--outdir", folder / "dist", folder / "source")
    (wheel,), (sdist,) = (list((folder / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    return {"wheel": wheel, "sdist": sdist}


def new_environment(folder: Path, *, reuse: bool) -> Path:
    """The Python of a new virtual environment; with `reuse` it sees this one's libraries, but not its spherecorr."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    if reuse:
        own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        Path(own, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(*command: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True, env=clean(), **options
    )


def clean() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))}


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(request, built, tmp_path_factory) -> Path:
    """The `bin` folder of an environment that has spherecorr from the wheel, or from the sdist."""
    python = new_environment(tmp_path_factory.mktemp(request.param) / "venv", reuse=True)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", built[request.param])
    return python.parent


def test_everything_that_the_package_reads_is_inside(built, tracked):
    wanted = {name for name in tracked if name.startswith(SHIPPED) and not name.endswith("examples/screenshot.png")}
    with zipfile.ZipFile(built["wheel"]) as wheel:
        inside = {name.replace("spherecorr/checkpoints/", "checkpoints/").replace("spherecorr/examples/", "examples/")
                  for name in wheel.namelist()}  # fmt: skip
    assert wanted <= inside
    assert {name.split("/")[0] for name in inside if ".dist-info" not in name} == set(SHIPPED)
    with tarfile.open(built["sdist"]) as sdist:
        assert wanted | {"requirements.txt", "pyproject.toml", "LICENSE"} <= {
            name.partition("/")[2] for name in sdist.getnames()
        }


def test_the_command_matches_two_examples_from_another_folder(installed, tmp_path):
    where = run(installed / "python", "-c", "import spherecorr; print(spherecorr.__file__)", cwd=tmp_path).stdout
    package = Path(where.strip()).parent
    assert package.is_relative_to(installed.parent)
    pair = (package / "examples" / "car-a.jpg", package / "examples" / "car-b.jpg")
    run(
        installed / "spherecorr",
        "match",
        *pair,
        "--point",
        "112,103",
        "--out",
        "m.json",
        "--figure",
        "m.png",
        cwd=tmp_path,
    )
    assert json.loads((tmp_path / "m.json").read_text())["matches"][0]["fused"]
    assert (tmp_path / "m.png").stat().st_size > 10_000


def test_the_app_answers_from_another_folder(installed, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [str(installed / "spherecorr"), "app", "--port", str(port)]
    app = subprocess.Popen(command, cwd=tmp_path, env=clean(), start_new_session=True)
    try:
        assert "spherecorr" in fetch(f"http://127.0.0.1:{port}/", app)
        script = next(installed.parent.rglob("spherecorr/ui/page/main.js"))
        assert fetch(f"http://127.0.0.1:{port}/gradio_api/file={script}", app) == script.read_text()
    finally:
        os.killpg(app.pid, signal.SIGTERM)
        app.wait(30)


def fetch(url: str, app: subprocess.Popen) -> str:
    """What the app answers once it does."""
    end = time.time() + SECONDS_TO_START
    while True:
        try:
            with urlopen(url, timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            assert app.poll() is None and time.time() < end, "the app does not answer"
            time.sleep(0.5)

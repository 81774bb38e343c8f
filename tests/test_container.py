"""The Dockerfile: what it says, and its steps run without Docker.

The steps install PyTorch anew, so they run only when asked for: `SPHERECORR_TEST_CONTAINER=1 python -m pytest -n 0
tests/test_container.py`, as root on Linux. TORCH_INDEX names another index for PyTorch, as it does as a build argument.
"""

import fnmatch
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECONDS_TO_START = 120


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: ("RUN", "pip install ..."), ..."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def files() -> list[str]:
    """What `COPY . .` copies of the repository's files."""
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    ignored = [line for line in text.splitlines() if line and not line.startswith("#")]

    def left_out(name: str) -> bool:
        parts = name.split("/")
        starts = ["/".join(parts[:i]) for i in range(1, len(parts) + 1)]
        return any(
            fnmatch.fnmatch(start if "**/" not in pattern else f"/{start}", pattern.replace("**/", "*/"))
            for start in starts  # each folder on the way may be left out
            for pattern in ignored
            if "/" in pattern or "/" not in start
        )

    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in listed.stdout.splitlines() if not left_out(name)]


def test_the_image_is_small_unprivileged_and_answers_where_it_says():
    found = steps()
    (torch,) = (text for kind, text in found if kind == "RUN" and "torch" in text)
    assert torch == "pip install torch torchvision ${TORCH_INDEX:+--index-url $TORCH_INDEX}"
    kinds = [kind for kind, _ in found]
    assert ("USER", "user") in found and kinds.index("USER") < kinds.index("COPY") < kinds.index("CMD")
    told = dict(found)
    assert told["EXPOSE"] == "7860" and ":7860/" in told["HEALTHCHECK"] and '"7860"' in told["CMD"]


def test_the_image_holds_what_the_app_needs_and_no_more():
    copied = set(files())
    tops = {name.split("/")[0] for name in copied}
    assert {"spherecorr", "checkpoints", "examples", "requirements.txt", "app.py", "LICENSE"} <= tops
    assert not tops & {"tests", "docs", "benchmarks", "experiments", "notebooks", "data", ".git", ".ci"}
    assert {"checkpoints/mini-sphere/model.safetensors", "examples/examples.json"} <= copied
    assert {name for name in copied if name.endswith((".js", ".css"))}


@pytest.mark.skipif("SPHERECORR_TEST_CONTAINER" not in os.environ, reason="SPHERECORR_TEST_CONTAINER is not set")
def test_its_steps_in_a_clean_environment_give_an_app_that_answers(tmp_path):
    """A fresh virtual environment stands for the base image, and a folder for its root.

    User 1000 runs the command, where that user may enter the folder of this Python.
    """
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "base"], check=True)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HF_", "GRADIO", "VIRTUAL"))
    }
    environment |= {"PATH": f"{tmp_path / 'base' / 'bin'}:{environment['PATH']}", "HOME": str(home)}
    port = free_port()
    health = ""
    for kind, text in steps():
        text = text.replace("/home/user", str(home)).replace("7860", str(port))
        if kind == "WORKDIR":
            folder = Path(text)
            folder.mkdir(parents=True)
        elif kind == "ENV":
            pairs = (pair.split("=", 1) for pair in shlex.split(text) if not pair.startswith("PATH"))
            environment |= dict(pairs)
        elif kind == "ARG":
            name, value = text.split("=", 1)
            environment.setdefault(name, value)
        elif kind == "COPY":
            copy(text.split()[-2], folder)
        elif kind == "RUN" and not text.startswith("useradd"):
            subprocess.run(text, shell=True, cwd=folder, env=environment, check=True)
        elif kind == "HEALTHCHECK":
            health = text.split("CMD", 1)[1]
        elif kind == "CMD":
            command = [part.strip('"') for part in text.strip("[]").split(", ")]
    for path in (home, *home.rglob("*")):
        os.chown(path, 1000, 1000)
    as_user = {"user": 1000, "group": 1000, "extra_groups": []} if is_open_to_all(sys.executable) else {}
    app = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **as_user)
    try:
        end = time.time() + SECONDS_TO_START
        while subprocess.run(health, shell=True, env=environment, cwd=folder, stderr=subprocess.DEVNULL).returncode:
            assert app.poll() is None and time.time() < end, "the app does not answer"
            time.sleep(1)
    finally:
        os.killpg(app.pid, signal.SIGTERM)
        app.wait(30)


def is_open_to_all(program: str) -> bool:
    """Whether root may have another user run it: a Python below root's own folder may not be entered."""
    path = Path(program).resolve()
    return os.geteuid() == 0 and all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def copy(what: str, folder: Path) -> None:
    for name in files() if what == "." else [what]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]

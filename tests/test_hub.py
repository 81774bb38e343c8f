"""The Hub's files, with and without a network; a small server of this test plays the Hub."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

FETCH = """
import sys, time
import huggingface_hub
from spherecorr.hub import HubError, fetch_file
start = time.perf_counter()
try:
    print("path", fetch_file(*sys.argv[1:]))
except HubError as error:
    print("error", error)
print(time.perf_counter() - start)
"""


def fetch(home: Path, endpoint: str, repository: str, *arguments: str, **environment: str) -> tuple[str, float]:
    """Fetch in a process of its own, where huggingface_hub reads these settings; returns the outcome and seconds.

    The arguments are a filename and, perhaps, a revision.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment = {**inherited, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1", **environment}
    command = [sys.executable, "-c", FETCH, repository, *arguments]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    return lines[0], float(lines[1])


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# The files there are, and the commit that each one is of, which is also its content.
COMMITS = {
    "/somebody/model/resolve/main/config.json": "0" * 40,
    "/somebody/model/resolve/v1/config.json": "1" * 40,
    "/somebody/model/resolve/main/unet/config.json": "0" * 40,
}


class Hub(BaseHTTPRequestHandler):
    """One public repository with two files, one of them in two revisions, one gated repository, nothing else."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        content = b"{}"
        if self.path == "/":
            self.send_response(200)
        elif self.path in COMMITS:
            content = COMMITS[self.path].encode()
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMITS[self.path])
            self.send_header("ETag", f'"{COMMITS[self.path]}"')
        else:
            known = self.path.startswith("/somebody/model/")
            gated = self.path.startswith("/somebody/gated/")
            missing = "RevisionNotFound" if "/v9/" in self.path else "EntryNotFound" if known else "RepoNotFound"
            self.send_response(403 if gated else 404)
            self.send_header("X-Error-Code", "GatedRepo" if gated else missing)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def playing_hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_is_downloaded_once_and_then_needs_no_network(tmp_path):
    with playing_hub() as endpoint:
        first, _ = fetch(tmp_path, endpoint, "somebody/model", "config.json")
    assert Path(first.removeprefix("path ")).read_text() == "0" * 40
    again, seconds = fetch(tmp_path, endpoint, "somebody/model", "config.json")  # the server is gone
    assert again == first
    assert seconds < 2


def test_a_revision_has_files_of_its_own_and_a_filename_may_have_folders(tmp_path):
    with playing_hub() as endpoint:
        for arguments in (("config.json",), ("config.json", "v1"), ("unet/config.json",)):
            fetch(tmp_path, endpoint, "somebody/model", *arguments)
        missing, _ = fetch(tmp_path, endpoint, "somebody/model", "config.json", "v9")
    assert missing == "error 'somebody/model' cannot be used: it has no revision 'v9'."

    def kept(*arguments: str) -> Path:  # the server is gone
        return Path(fetch(tmp_path, endpoint, "somebody/model", *arguments)[0].removeprefix("path "))

    assert kept("config.json").read_text() == "0" * 40
    assert kept("config.json", "v1").read_text() == "1" * 40
    assert kept("unet/config.json") == kept("config.json").parent / "unet" / "config.json"
    outcome, _ = fetch(tmp_path, endpoint, "somebody/model", "other.json", "v1")
    assert "run `hf download somebody/model --revision v1` beforehand" in outcome


@pytest.mark.parametrize(
    ("repository", "filename", "words"),
    [
        ("somebody/gated", "config.json", "is gated: ask for access"),
        ("somebody/other", "config.json", "does not exist, or is private"),
        ("somebody/model", "model.safetensors", "has no file model.safetensors"),
    ],
)
def test_what_the_hub_does_not_give_gets_one_sentence(tmp_path, repository, filename, words):
    with playing_hub() as endpoint:
        outcome, _ = fetch(tmp_path, endpoint, repository, filename)
    assert outcome.startswith("error")
    assert words in outcome


def test_without_network_the_answer_comes_at_once_and_leaves_nothing_behind(tmp_path):
    with socket.socket() as silent:  # takes connections, never answers: the slowest kind of no network
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        outcome, seconds = fetch(tmp_path, endpoint, "somebody/model", "config.json")
        assert f"'somebody/model' is not on this machine and {endpoint} does not answer" in outcome
        assert seconds < 20  # huggingface_hub alone would try again for 46 s
    outcome, seconds = fetch(tmp_path, endpoint, "somebody/model", "config.json")  # nobody listens any more
    assert "does not answer" in outcome
    assert seconds < 2
    outcome, seconds = fetch(tmp_path, endpoint, "somebody/model", "config.json", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in outcome
    assert seconds < 2
    assert files_in(tmp_path) == []


def test_what_is_no_id_is_said_to_be_none(tmp_path):
    outcome, _ = fetch(tmp_path, "http://127.0.0.1:9", "a/b/c", "config.json")
    assert "'a/b/c' is no id of the Hugging Face Hub" in outcome

"""Files of GitHub; a small server of this test plays it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from spherecorr import hub
from spherecorr.hub import HubError, cached_file, fetch_file

CONTENT = bytes(range(256)) * 100


class GitHub(BaseHTTPRequestHandler):
    """One repository with one file in two revisions; another file breaks off until it is `whole`."""

    whole = False

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        content = {
            "/somebody/model/raw/HEAD/ckpts/best.pth": CONTENT,
            "/somebody/model/raw/v1/ckpts/best.pth": b"old",
            "/somebody/model/raw/HEAD/cut.pth": CONTENT if self.whole else CONTENT[:100],
        }.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(CONTENT if "cut" in self.path else content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def github(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(hub, "GITHUB", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield monkeypatch
    server.shutdown()
    server.server_close()


def test_a_file_is_downloaded_once_and_kept_by_revision(github):
    assert cached_file("github:somebody/model", "ckpts/best.pth") is None
    path = fetch_file("github:somebody/model", "ckpts/best.pth")
    assert path.read_bytes() == CONTENT
    assert fetch_file("github:somebody/model", "ckpts/best.pth", "v1").read_bytes() == b"old"
    github.setattr(constants, "HF_HUB_OFFLINE", True)
    assert cached_file("github:somebody/model", "ckpts/best.pth") == path
    assert fetch_file("github:somebody/model", "ckpts/best.pth") == path


def test_what_github_does_not_have_is_one_sentence_and_leaves_nothing_behind(github, tmp_path):
    with pytest.raises(HubError, match=r"/somebody/model/raw/HEAD/other\.pth answers 404 \(Not Found\). Retry later"):
        fetch_file("github:somebody/model", "other.pth")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_breaks_off_is_gone_on_with(github, tmp_path):
    with pytest.raises(HubError, match=r"/cut\.pth broke off after 100 of 25,600 bytes"):
        fetch_file("github:somebody/model", "cut.pth")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["cut.pth.partial"]
    steps = []
    github.setattr(GitHub, "whole", True)
    path = fetch_file("github:somebody/model", "cut.pth", report=lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT and steps[-1] == ("cut.pth", len(CONTENT), len(CONTENT))


def test_without_network_a_copy_can_be_put_into_its_place(github, tmp_path):
    github.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"HF_HUB_OFFLINE is set.*put a copy at .*best\.pth") as raised:
        fetch_file("github:somebody/model", "ckpts/best.pth")
    path = tmp_path / "github--somebody--model" / "HEAD" / "ckpts" / "best.pth"
    assert str(path) in str(raised.value)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"copy")
    assert fetch_file("github:somebody/model", "ckpts/best.pth") == path

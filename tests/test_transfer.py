"""One file's download: what others may not see of it, and that two of them don't disturb each other."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_download import CONTENT, server  # noqa: F401 - a fixture

from spherecorr.transfer import DownloadError, answers, fetch


class Elsewhere(BaseHTTPRequestHandler):
    """Sends whoever asks by the one name of this machine on to its other name."""

    seen: list[tuple[str, str | None]] = []  # noqa: RUF012 - emptied by the fixture

    def do_GET(self):
        host = self.headers["Host"]
        self.seen.append((host.partition(":")[0], self.headers.get("Authorization")))
        moved = host.startswith("127.0.0.1") and self.path == "/moved"
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("Location", f"http://localhost:{self.server.server_port}/file")
        self.send_header("Content-Length", "0" if moved else "4")
        self.end_headers()
        self.wfile.write(b"" if moved else b"file")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    host = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    Elsewhere.seen.clear()
    yield f"http://127.0.0.1:{host.server_port}"
    host.shutdown()
    host.server_close()


def test_a_token_goes_to_no_other_server(elsewhere, tmp_path):
    path = fetch(f"{elsewhere}/moved", tmp_path / "file", headers={"Authorization": "Bearer secret"})
    assert path.read_bytes() == b"file"
    assert Elsewhere.seen == [("127.0.0.1", "Bearer secret"), ("localhost", None)]


def test_two_at_once_fetch_a_file_once(server, tmp_path):  # noqa: F811
    url, path = f"{server.url}/data.bin", tmp_path / "data.bin"
    came, go_on = threading.Event(), threading.Event()

    def hold(name, done, total):
        came.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch, url, path, None, hold)
        assert came.wait(20)
        second = pool.submit(fetch, url, path)
        with pytest.raises(FutureTimeout):
            second.result(0.2)  # it waits
        go_on.set()
        assert first.result(20) == second.result(20) == path
    assert path.read_bytes() == CONTENT and len(server.asked) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["data.bin"]


def test_a_digest_is_checked_and_what_is_damaged_is_not_kept(server, tmp_path):  # noqa: F811
    url = f"{server.url}/data.bin"
    fetch(url, tmp_path / "right", sha256=hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(DownloadError, match=r"was damaged on its way: its SHA-256 is [0-9a-f]{64}, not 0123"):
        fetch(url, tmp_path / "wrong", sha256="0123")
    assert [file.name for file in tmp_path.iterdir()] == ["right"]


def test_whether_a_server_answers(server):  # noqa: F811
    assert answers(server.url)  # by an error, as it knows no such request
    server.shutdown()
    server.server_close()
    assert not answers(server.url)

"""A small server that plays the Hub and a file host, as slowly as a test wants."""

import hashlib
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
DINOV2_S, DINOV2_B, DINOV3_S, DINO_S = (
    f"timm/{model}"
    for model in (
        "vit_small_patch14_dinov2.lvd142m",
        "vit_base_patch14_dinov2.lvd142m",
        "vit_small_patch16_dinov3.lvd1689m",
        "vit_small_patch16_224.dino",
    )
)
GATED = "timm/vit_large_patch14_dinov2.lvd142m"


def weights(repository: str) -> str:
    """Path of a repository's weights on the host."""
    return f"/{repository}/resolve/main/model.safetensors"


class SlowHost(ThreadingHTTPServer):
    """Serves `files` by path; of each at most `upto` bytes until `gate` is set."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {weights(name): CONTENT for name in (DINOV2_S, DINOV2_B, DINOV3_S, DINO_S)}
        self.gate = threading.Event()
        self.upto = 1_000_000
        self.tags: dict[str, str] = {}  # by path, where they are not the digest
        self.sizes: dict[str, int] = {}  # by path, where it says another than the true one
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def open(self):
        """Whoever waits gets the rest."""
        self.gate.set()


class Handler(BaseHTTPRequestHandler):
    server: SlowHost

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        if self.path in self.server.files:
            self.server.asked.append((self.path, self.headers.get("Range")))
        self.answer()

    def answer(self):
        if self.path == "/":
            return self.head(200, 0)
        if self.path.startswith(f"/{GATED}/"):
            return self.head(403, 0, {"X-Error-Code": "GatedRepo"})
        if self.path not in self.server.files:
            return self.head(404, 0, {"X-Error-Code": "EntryNotFound"})
        content = self.server.files[self.path]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        size = self.server.sizes.get(self.path, len(content)) - start
        tag = self.server.tags.get(self.path) or hashlib.sha256(content).hexdigest()
        self.head(206 if asked else 200, size, {"X-Repo-Commit": "0" * 40, "ETag": f'"{tag}"'})
        if self.command == "GET":
            first = max(start, self.server.upto)
            self.wfile.write(content[start:first])
            self.wfile.flush()
            self.server.gate.wait(20)
            self.wfile.write(content[first:])

    def head(self, code, size, more=None):
        self.send_response(code)
        for name, value in {"Content-Length": str(size), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@contextmanager
def slow_host(monkeypatch, folder):
    """A host that this process and its children take for the Hub; their cache lies in the folder."""
    host = SlowHost()
    host.handle_error = lambda *arguments: None  # whoever was killed does not read on
    threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    for name, value in {"HF_ENDPOINT": host.url, "HF_HOME": str(folder), "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    yield host
    host.open()
    host.shutdown()
    host.server_close()

"""A process that serves the app and writes down each file and address that it touches outside what it may."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
SETTLED = "settled"
"""A file beside the list: from its appearance on, only what was touched before it, and what is served, may be read."""
READ = ("open", "os.listdir", "os.scandir")
WRITTEN = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "shutil.move", "os.symlink", "os.link")
RUN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pty.spawn")


def watch(listing: Path, may_read: tuple[str, ...], may_write: tuple[str, ...]) -> None:
    """Write every forbidden access of this process to a file, from now on and for good.

    Args:
        listing: one line an access; `SETTLED` beside it ends the time in which anything may be read.
        may_read: folders.
        may_write: folders.
    """
    known: set[str] = set()
    settled = listing.with_name(SETTLED)
    state = {"settled": False, "inside": False}

    def forbidden(event: str, arguments: tuple) -> str | None:
        if event in RUN or (event == "socket.connect" and not _is_local(arguments[1])):
            return f"{event} {arguments!r:.200}"
        if event not in READ + WRITTEN or not arguments or not isinstance(arguments[0], str | bytes | os.PathLike):
            return None
        if (
            event in ("os.remove", "os.rmdir") and arguments[-1] >= 0
        ):  # a part of shutil.rmtree, which is watched itself
            return None
        path = os.path.realpath(os.fsdecode(arguments[0]))
        writes = event in WRITTEN or (event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & 3))
        if writes:
            return None if path.startswith(may_write) else f"{event} for writing {path}"
        if not state["settled"]:
            known.add(path)
            return None
        return None if path in known or path.startswith(may_read) else f"{event} {path}"

    def hook(event: str, arguments: tuple) -> None:
        if state["inside"] or event not in (*READ, *WRITTEN, *RUN, "socket.connect"):
            return
        state["inside"] = True
        try:
            state["settled"] = state["settled"] or settled.exists()
            if said := forbidden(event, arguments):
                with listing.open("a") as lines:
                    lines.write(said + "\n")
        finally:
            state["inside"] = False

    sys.addaudithook(hook)


def _is_local(address: Any) -> bool:
    return not isinstance(address, tuple) or address[0] in ("127.0.0.1", "localhost", "::1", "0.0.0.0")


@dataclass
class WatchedApp:
    """The app in a process of its own.

    Attributes:
        folder: for its log and list; uploads and temporary files go below it, too.
        code: Python that calls `spherecorr.ui.blocks.launch`; it finds `port` and `folder`.
        environment: more variables of the process.
        port: of the address.
        process: that serves.
    """

    folder: Path
    code: str
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.folder / "app.log"

    @property
    def uploads(self) -> Path:
        """Where Gradio keeps files."""
        return self.folder / "served"

    def start(self, seconds: float = 120) -> WatchedApp:
        """Serve, on the same port as before; returns itself when the page answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "temporary").mkdir(exist_ok=True)
        self.port = self.port or _free_port()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]),
            "GRADIO_TEMP_DIR": str(self.uploads),
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "temporary"),
            "TMPDIR": str(self.folder / "temporary"),
            "GRADIO_ANALYTICS_ENABLED": "False",
            **self.environment,
        }
        self.process = self._launch(environment)
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urlopen(f"{self.address}/config", timeout=5):
                    return self
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"The app did not start:\n{self.log.read_text()[-2000:]}")

    def _launch(self, environment: dict[str, str]) -> Any:
        code = f"from pathlib import Path\nport, folder = {self.port}, Path({str(self.folder)!r})\n{self.code}"
        with self.log.open("a") as log:
            return subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log, env=environment)

    def stop(self) -> None:
        """Kill the process at once, as a machine that loses power would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]

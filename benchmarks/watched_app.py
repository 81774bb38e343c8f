"""A process that serves the app and writes down each file and address that it touches outside what it may."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
STARTER = """
import os, signal, sys
{imports}
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children leave nothing
for code in map(bytes.fromhex, sys.stdin):
    child = os.fork()
    if not child:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        exec(code, {{"__name__": "__main__"}})
        os._exit(0)
    print(child, flush=True)
"""
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
        imports: statements that take long; they are run once, in a process from which that of every start forks.
        port: of the address.
        number: of the process that serves.
    """

    folder: Path
    code: str
    environment: dict[str, str] = field(default_factory=dict)
    imports: str = ""
    port: int = 0
    number: int = 0
    _starter: subprocess.Popen | None = None

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
        self.number = self._launch(environment)
        end = time.monotonic() + seconds
        while time.monotonic() < end and _is_there(self.number):
            try:
                with urlopen(f"{self.address}/config", timeout=5):
                    return self
            except OSError:
                time.sleep(0.05)
        self.close()
        raise RuntimeError(f"The app did not start:\n{self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Kill the process that serves at once, as a machine that loses power would."""
        if self.number:
            with suppress(ProcessLookupError):
                os.kill(self.number, signal.SIGKILL)
            while _is_there(self.number):
                time.sleep(0.01)
            self.number = 0

    def close(self) -> None:
        """Kill all that was started."""
        self.stop()
        if self._starter is not None:
            self._starter.kill()
            self._starter.communicate()

    def _launch(self, environment: dict[str, str]) -> int:
        """Have a process fork that serves; returns its number."""
        if self._starter is None:
            command = [sys.executable, "-c", STARTER.format(imports=self.imports)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            with self.log.open("a") as log:
                self._starter = subprocess.Popen(command, stderr=log, env=environment, **pipes)
        code = f"from pathlib import Path\nport, folder = {self.port}, Path({str(self.folder)!r})\n"
        code += f"import os\nos.dup2(2, 1)\n{self.code}"
        assert self._starter.stdin is not None and self._starter.stdout is not None
        self._starter.stdin.write(code.encode().hex() + "\n")
        self._starter.stdin.flush()
        return int(self._starter.stdout.readline())


def _is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]

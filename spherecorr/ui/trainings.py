"""One training at a time, in a process of its own; others wait for their turn."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from threading import RLock, Thread
from typing import Any

import spherecorr
from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic
from spherecorr.ui.teaching_files import read_progress

MOST_WAITING = 8
ENDING = 20  # seconds in which the training of a server that is gone still writes its checkpoint
WAITS = "Another training is running. This one starts when its turn comes; the page may be closed meanwhile."
INTERRUPTED = "The training was interrupted. Train goes on from its last checkpoint."
UNEXPECTED = "The training ended unexpectedly; the server's log says why. Train goes on from its last checkpoint."


class Trainings:
    """The training that runs, and those that wait; safe for threads."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._running: tuple[Path, subprocess.Popen] | None = None
        self._waiting: list[Path] = []

    def start(self, folder: Path, task: dict[str, Any]) -> None:
        """Train in the folder of a visit as the task says, now or when it is its turn.

        Raises:
            SpherecorrError: too many wait already.
        """
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise SpherecorrError(f"{MOST_WAITING} trainings wait for their turn already; try again later.")
            shutil.rmtree(folder / "maps", ignore_errors=True)
            write_atomic(folder / "task.json", json.dumps(task).encode())
            _write(folder, **{**_kept(folder), "state": "waiting", "sentence": WAITS, "started": time.time()})
            self._waiting.append(folder)
            self._next()

    def stop(self, folder: Path) -> None:
        """End the training of a visit."""
        with self._lock:
            if folder in self._waiting:
                self._waiting.remove(folder)
                _write(folder, state="stopped", **_kept(folder))
            elif self._running and self._running[0] == folder:
                assert self._running[1].stdin
                self._running[1].stdin.close()

    def view(self, folder: Path) -> dict[str, Any] | None:
        """How far the training of a visit is, see `teaching_run`; None if there never was one."""
        with self._lock:
            progress = read_progress(folder)
            if progress is None or progress["state"] not in ("running", "waiting"):
                return progress
            if folder in self._waiting or (self._running and self._running[0] == folder):
                return progress
        if progress["state"] == "running" and time.time() - (folder / "progress.json").stat().st_mtime < ENDING:
            return progress
        return {**progress, "state": "stopped", "sentence": INTERRUPTED}

    def _next(self) -> None:
        """Start the first of those that wait, if none runs."""
        if self._running is None and self._waiting:
            folder = self._waiting.pop(0)
            _write(folder, state="running", what="Starting", **_kept(folder))
            self._running = folder, _process(folder)
            Thread(target=self._watch, args=self._running, daemon=True).start()

    def _watch(self, folder: Path, process: subprocess.Popen) -> None:
        """Wait for the end of a training, and start the next."""
        process.wait()
        with self._lock:
            progress = read_progress(folder) or {}
            if progress.get("state") == "running":
                _write(folder, **{**progress, "state": "failed", "sentence": UNEXPECTED})
            self._running = None
            self._next()


def _write(folder: Path, **values: Any) -> None:
    write_atomic(folder / "progress.json", json.dumps(values).encode())


def _kept(folder: Path) -> dict[str, Any]:
    """What a new training keeps of the one before: its sphere, and its losses, as it may go on from there."""
    earlier = read_progress(folder) or {}
    return {name: earlier[name] for name in ("losses", "sphere", "started") if name in earlier}


def _process(folder: Path) -> subprocess.Popen:
    """The training's process; with half of the processors, so that clicks are answered meanwhile.

    Its input is a pipe that ends with this process, whatever ends it.
    """
    threads = str(max(1, (os.cpu_count() or 2) // 2))
    here = str(
        Path(spherecorr.__file__).parent.parent
    )  # in place of the current folder, which may hold another version
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads)}
    code = f"import sys; sys.path[0] = {here!r}; from spherecorr.ui.teaching_run import main; main()"
    command = [sys.executable, "-c", code, str(folder)]
    # A session of its own: Ctrl-C at the server does not interrupt it, it ends by itself, with a checkpoint.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, start_new_session=True
    )

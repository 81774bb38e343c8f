"""Downloads that visitors of the page start: processes of the download command, one per thing, shared by all visitors.

A process can be killed at any moment and leaves only what the command goes on with the next time. It ends with the app:
`Downloads.close` kills it, and if the app itself was killed, nobody reads its next line, which ends it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import weakref
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock, Semaphore, Thread
from typing import Literal

import spherecorr
from spherecorr.ui.failures import INTERNAL_ERROR

COMMAND = (sys.executable, "-m", "spherecorr", "download")
AT_ONCE = 2
MISTAKE = "spherecorr: "
"""What the command's line about a failure begins with."""

State = Literal["waiting", "running", "done", "stopped", "failed"]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Attributes:
        state: "waiting" for others to end, "running", "done", "stopped" by somebody, "failed".
        done: bytes that are here.
        total: how many there will be; None if not known yet.
        sentence: why it failed.
    """

    state: State
    done: int = 0
    total: int | None = None
    sentence: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it goes on by itself."""
        return self.state in ("waiting", "running")


@dataclass
class _Job:
    """One start of a download; changed under the lock of `Downloads`."""

    arguments: tuple[str, ...]
    expected: int | None
    progress: Progress = Progress("waiting")
    process: subprocess.Popen | None = None
    files: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def note(self, file: str, done: int, total: int | None) -> None:
        """Take in what the command says of one of its files."""
        self.files[file] = done, total
        here = sum(done for done, _ in self.files.values())
        known = sum(total or done for done, total in self.files.values())
        # Files that are yet to come are known by the estimate only.
        whole = None if total is None and self.expected is None else max(known, self.expected or 0)
        self.progress = replace(self.progress, done=here, total=whole)


class Downloads:
    """The downloads of one app.

    Args:
        command: that fetches; it is given a download's arguments and `--progress json`.
        at_once: how many run at the same time; others wait.
    """

    def __init__(self, command: tuple[str, ...] = COMMAND, at_once: int = AT_ONCE):
        self._command = command
        self._lock = Lock()
        self._slots = Semaphore(at_once)
        self._jobs: dict[str, _Job] = {}
        self.close = weakref.finalize(self, _stop_all, self._lock, self._jobs)

    def start(self, key: str, arguments: tuple[str, ...], expected: int | None = None) -> None:
        """Begin or resume a download; nothing happens if it is on its way already.

        Args:
            key: what it is known by.
            arguments: of the command.
            expected: about how many bytes are missing; None if not known.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and job.progress.is_active:
                return
            job = self._jobs[key] = _Job(arguments, expected)
        Thread(target=self._run, args=(job,), daemon=True, name=f"download {key}").start()

    def cancel(self, key: str) -> None:
        """Stop a download; its process has ended when this returns, and what came is kept."""
        with self._lock:
            if key in self._jobs:
                _stop(self._jobs[key])

    def progress(self, key: str) -> Progress | None:
        """How far a download is; None if it was not started since the app was."""
        with self._lock:
            job = self._jobs.get(key)
            return None if job is None else job.progress

    def is_busy(self) -> bool:
        """Whether a download is waiting or running."""
        with self._lock:
            return any(job.progress.is_active for job in self._jobs.values())

    def _run(self, job: _Job) -> None:
        with self._slots:
            with self._lock:
                if not job.progress.is_active:  # stopped while it waited
                    return
                try:
                    job.process = self._open(job.arguments)
                except OSError as error:
                    reason = f"No download can be started ({error.strerror}). Retry later."
                    job.progress = replace(job.progress, state="failed", sentence=reason)
                    return
                job.progress = replace(job.progress, state="running")
            said = self._listen(job, job.process)
            code = job.process.wait()
            with self._lock:
                if job.progress.is_active and code == 0:
                    job.progress = replace(job.progress, state="done")
                elif job.progress.is_active:
                    job.progress = replace(job.progress, state="failed", sentence=_mistake(said))

    def _open(self, arguments: tuple[str, ...]) -> subprocess.Popen:
        # The very package that runs here, wherever the process is started.
        path = os.pathsep.join(filter(None, (str(Path(spherecorr.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            (*self._command, *arguments, "--progress", "json"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        )

    def _listen(self, job: _Job, process: subprocess.Popen) -> list[str]:
        """Note the progress until the process ends; returns the last of what else it says."""
        rest: deque[str] = deque(maxlen=50)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.startswith(b"{") and line.endswith(b"}\n"):  # a killed process may leave half a line
                    step = json.loads(line)
                    with self._lock:
                        job.note(step["file"], step["done"], step["total"])
                else:
                    rest.append(line.decode(errors="replace").rstrip())
        return list(rest)


def _stop(job: _Job) -> None:
    if job.progress.is_active:
        job.progress = replace(job.progress, state="stopped")
    if job.process is not None and job.process.poll() is None:
        job.process.kill()
        job.process.wait()


def _stop_all(lock: Lock, jobs: dict[str, _Job]) -> None:
    with lock:
        for job in jobs.values():
            _stop(job)


def _mistake(said: list[str]) -> str:
    """The command's sentence; anything else goes to the log."""
    for line in reversed(said):
        if line.startswith(MISTAKE):
            return line.removeprefix(MISTAKE)
    log.error("A download failed:\n%s", "\n".join(said))
    return INTERNAL_ERROR

"""Fetching one file: gone on with where it stopped, checked, and renamed when it is whole."""

from __future__ import annotations

import functools
import hashlib
import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

from spherecorr.errors import SpherecorrError

try:
    import fcntl
except ImportError:  # Windows, where two downloads of one file at once are not told apart
    fcntl = None  # type: ignore[assignment]

CHUNK = 1 << 20
TIMEOUT = 30.0
"""Seconds without a byte after which a server is given up."""
TOLERANCE = 0.1
"""Share by which a file's size may differ from the published one, which is rounded."""

Report = Callable[[str, int, int | None], None]
"""Told a file's name, how many bytes of it are there, and how many there will be, None where that is not known."""


class DownloadError(SpherecorrError):
    """A file that cannot be fetched or unpacked; the message says why and what to do."""


def fetch(
    url: str,
    path: Path,
    megabytes: float | None = None,
    report: Report = lambda name, done, total: None,
    *,
    name: str | None = None,
    sha256: str | None = None,
    headers: Mapping[str, str] | None = None,
    remedy: str = "Name another server of the file with --mirror.",
) -> Path:
    """Download a file; what an earlier try left in `<name>.partial` is gone on with if the server can.

    Whoever fetches a file that is being fetched already waits for it, and has it then.

    Args:
        url: its address.
        path: of the file; nothing is fetched if it is there.
        megabytes: about how many it should have; None for any.
        report: told how far it is.
        name: what the report is told; by default that of the path.
        sha256: of the file, in hexadecimal digits; None: not checked.
        headers: of the request, besides its own; `Authorization` goes to no other server that the address leads to.
        remedy: a sentence for an answer that is no file.

    Raises:
        DownloadError: the server cannot be reached, has no such file or one of another size, breaks off, or there is
            no room; what came is kept. Or the digest is another; nothing is kept.
    """
    if path.is_file():
        return path
    partial = path.with_name(f"{path.name}.partial")
    with _alone(partial):
        if path.is_file():  # while this waited
            return path
        steps = functools.partial(report, name or path.name)
        _fetch_rest(url, partial, megabytes, steps, headers or {}, remedy)
        if sha256 is not None and (found := _digest(partial)) != sha256:
            partial.unlink()
            raise DownloadError(
                f"{url} was damaged on its way: its SHA-256 is {found}, not {sha256}. It is deleted; retry."
            )
        partial.replace(path)
    return path


def answers(url: str, seconds: float = 1.5) -> bool:
    """Whether a server answers; asked in a thread, because the lookup of a host's name knows no timeout."""
    found: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=seconds):
                found.put(True)
        except HTTPError as error:
            found.put(error.code not in (500, 502, 503, 504))
        except (OSError, HTTPException):
            found.put(False)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return found.get(timeout=seconds)
    except queue.Empty:
        return False


@contextmanager
def byte_bars() -> Iterator[Report]:
    """Something that is told how far each file is and shows it."""
    from tqdm import tqdm

    bars: dict[str, tqdm] = {}

    def report(name: str, done: int, total: int | None) -> None:
        if name not in bars:
            bars[name] = tqdm(desc=name, total=total, initial=done, unit="B", unit_scale=True)
        bars[name].update(done - bars[name].n)
        if done == total:
            bars[name].close()

    try:
        yield report
    finally:
        for bar in bars.values():
            bar.close()


def _fetch_rest(
    url: str,
    partial: Path,
    megabytes: float | None,
    report: Callable[[int, int | None], None],
    headers: Mapping[str, str],
    remedy: str,
) -> None:
    """Append to the partial file until it is whole."""
    have = partial.stat().st_size
    with _open(url, partial, have, headers, remedy) as response:
        # The last byte was asked for again, so that there is one to be had even if all had come.
        done = have - 1 if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        if total is not None:
            _check_size(url, total, megabytes)
            _check_room(partial.parent, total - done)
        with _writing(partial), open(partial, "r+b" if done else "wb", buffering=0) as file:
            file.seek(done)
            for chunk in _chunks(response):
                _write_all(file, chunk)
                done += len(chunk)
                report(done, total)
    if total is not None and done < total:
        raise DownloadError(f"{url} broke off after {done:,} of {total:,} bytes. What came is kept; retry to resume.")
    _check_size(url, done, megabytes)


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Hold a partial file against other threads and processes; the system lets it go even if this one is killed."""
    with _writing(partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        held = open(partial, "ab")
    with held:
        if fcntl is not None:
            fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if partial.is_file() and not partial.stat().st_size:
                partial.unlink()


@contextmanager
def _writing(partial: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"'{partial}' cannot be written ({error.strerror or error}). What came is kept; retry when there is room."
        ) from error


def _write_all(file: IO[bytes], chunk: bytes) -> None:
    """Without a buffer, what a killed process has counted is on the disk; a single write may take a part only."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


class _Redirects(HTTPRedirectHandler):
    """Follows without telling another server who asks."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            request.remove_header("Authorization")
        return request


def _open(url: str, partial: Path, have: int, headers: Mapping[str, str], remedy: str) -> HTTPResponse:
    rest = {"Range": f"bytes={have - 1}-"} if have else {}
    try:
        request = Request(url, headers={"User-Agent": "spherecorr", **headers, **rest})
        return build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:
            raise DownloadError(f"{url} is shorter than '{partial}'. Delete that file and retry.") from error
        raise DownloadError(f"{url} answers {error.code} ({error.reason}). {remedy}") from error
    except (OSError, HTTPException) as error:
        raise DownloadError(f"{url} cannot be reached ({getattr(error, 'reason', error)}). Retry later.") from error


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """What comes until the end or until the connection breaks, which the number of bytes tells."""
    while True:
        try:
            chunk = response.read1(CHUNK)
        except (OSError, HTTPException):
            return
        if not chunk:
            return
        yield chunk


def _check_size(url: str, size: int, megabytes: float | None) -> None:
    if megabytes is not None and abs(size / 1e6 - megabytes) > TOLERANCE * megabytes:
        raise DownloadError(
            f"{url} has {size / 1e6:,.1f} MB instead of about {megabytes:,.0f}: it is another file, or a page about it."
        )


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(f"'{folder}' has room for {free / 1e6:,.0f} MB; the download needs {needed / 1e6:,.0f}.")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

"""Fetching a dataset: gone on with where it stopped, unpacked beside, and renamed when it is whole."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from spherecorr.data.registry import DatasetInfo, Download
from spherecorr.errors import SpherecorrError

ARCHIVES = (".zip", ".tar.gz", ".tgz")
CHUNK = 1 << 20
TIMEOUT = 30.0
"""Seconds without a byte after which a server is given up."""
TOLERANCE = 0.1
"""Share by which a file's size may differ from the published one, which is rounded."""

Report = Callable[[str, int, int | None], None]
"""Told a file's name, how many bytes of it are there, and how many there will be, None where that is not known."""


class DownloadError(SpherecorrError):
    """A file that cannot be fetched or unpacked; the message says why and what to do."""


def download_dataset(
    info: DatasetInfo,
    folder: Path,
    mirror: str | None = None,
    report: Report = lambda name, done, total: None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Path:
    """Fetch a dataset's files into `<folder>.download` and unpack them into the folder, which is there whole or not.

    Args:
        info: the registry's entry.
        folder: to be made.
        mirror: address of a folder with files of the same names, instead of the registry's addresses.
        report: told how far the download is.
        progress: wrapped around the archives' entries, to show how far the unpacking is.

    Returns:
        The folder with the downloaded files, which is not needed any more.

    Raises:
        DownloadError: the dataset cannot be fetched by a program, a download fails, an archive is damaged.
    """
    if not info.downloads:
        raise DownloadError(f"{info.title} cannot be fetched by this command. {info.how}")
    kept = folder.with_name(f"{folder.name}.download")
    files = [fetch(address(file, mirror), kept / name_of(file), file.megabytes, report) for file in info.downloads]
    unpacked = folder.with_name(f"{folder.name}.partial")
    if unpacked.exists():
        shutil.rmtree(unpacked)
    for file, path in zip(info.downloads, files, strict=True):
        if path.name.endswith(ARCHIVES):
            unpack(path, unpacked / file.to, file.inside, progress)
        else:
            with open(path, "rb") as content:
                _write(content, unpacked / file.to / path.name)
    unpacked.replace(folder)
    return kept


def name_of(file: Download) -> str:
    """The file's own name."""
    return file.url.rpartition("/")[2]


def address(file: Download, mirror: str | None) -> str:
    """Where a file is fetched from."""
    return file.url if mirror is None else f"{mirror.rstrip('/')}/{name_of(file)}"


def fetch(
    url: str, path: Path, megabytes: float | None = None, report: Report = lambda name, done, total: None
) -> Path:
    """Download a file; what an earlier try left in `<name>.partial` is gone on with if the server can.

    Args:
        url: its address.
        path: of the file; nothing is fetched if it is there.
        megabytes: about how many it should have; None for any.
        report: told how far it is.

    Raises:
        DownloadError: the server cannot be reached, has no such file or one of another size, breaks off, or there is
            no room. What came is kept.
    """
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    have = partial.stat().st_size if partial.exists() else 0
    with _open(url, partial, have) as response:
        # The last byte was asked for again, so that there is one to be had even if all had come.
        done = have - 1 if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        if total is not None:
            _check_size(url, total, megabytes)
            _check_room(path.parent, total - done)
        try:
            with open(partial, "r+b" if done else "wb") as file:
                file.seek(done)
                for chunk in _chunks(response):
                    file.write(chunk)
                    done += len(chunk)
                    report(path.name, done, total)
        except OSError as error:
            raise DownloadError(
                f"'{partial}' cannot be written ({error.strerror}). What came is kept; retry when there is room."
            ) from error
    if total is not None and done < total:
        raise DownloadError(f"{url} broke off after {done:,} of {total:,} bytes. Run the same command again to go on.")
    _check_size(url, done, megabytes)
    partial.replace(path)
    return path


def _open(url: str, partial: Path, have: int) -> HTTPResponse:
    headers = {"User-Agent": "spherecorr", **({"Range": f"bytes={have - 1}-"} if have else {})}
    try:
        return urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:
            raise DownloadError(f"{url} is shorter than '{partial}'. Delete that file and retry.") from error
        raise DownloadError(
            f"{url} answers {error.code} ({error.reason}). Name another server of the file with --mirror."
        ) from error
    except (OSError, HTTPException) as error:
        raise DownloadError(f"{url} cannot be reached ({getattr(error, 'reason', error)}). Retry later.") from error


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """What comes until the end or until the connection breaks, which the number of bytes tells."""
    while True:
        try:
            chunk = response.read(CHUNK)
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


def unpack(archive: Path, folder: Path, inside: str = "", progress: Callable[[Iterable], Iterable] = iter) -> None:
    """Write the files of a zip or tar archive; links and devices in it are left out.

    Args:
        archive: the file.
        folder: to write into.
        inside: folder of the archive whose content is taken; everything if empty.
        progress: wrapped around the entries.

    Raises:
        DownloadError: the archive is damaged, has no such folder, leads out of the folder, or cannot be written.
    """
    root, prefix = folder.resolve(), PurePosixPath(inside).parts
    found = False
    try:
        for name, content in progress(_entries(archive)):
            parts = PurePosixPath(name).parts
            if parts[: len(prefix)] != prefix:
                continue
            path = folder.joinpath(*parts[len(prefix) :])
            if not path.resolve().is_relative_to(root):
                raise DownloadError(f"'{archive}' has the entry '{name}', which leads out of the folder; don't use it.")
            _write(content, path)
            found = True
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise DownloadError(f"'{archive}' cannot be unpacked ({reason}). Delete it and retry.") from error
    if not found:
        raise DownloadError(f"'{archive}' has no files{f' in a folder {inside}' if inside else ''}: it is another one.")


def _entries(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of every plain file."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                if not entry.is_dir():
                    with zipped.open(entry) as content:
                        yield entry.filename, content
    else:
        with tarfile.open(archive) as tarred:
            for member in tarred:
                if member.isfile() and (extracted := tarred.extractfile(member)):
                    yield member.name, extracted


def _write(content: IO[bytes], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            shutil.copyfileobj(content, file)
    except OSError as error:
        if error.strerror is None:  # not the system's: what is read is no gzip data
            raise EOFError(str(error)) from error
        raise DownloadError(f"'{path}' cannot be written ({error.strerror}).") from error

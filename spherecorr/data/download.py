"""Fetching a dataset: unpacked beside, and renamed when it is whole."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from spherecorr.data.registry import DatasetInfo, Download
from spherecorr.transfer import DownloadError, Report, fetch

ARCHIVES = (".zip", ".tar.gz", ".tgz")


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

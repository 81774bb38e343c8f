"""The files of a folder, but for those that other programs put there unasked."""

from __future__ import annotations

from pathlib import Path

COMPANIONS = {"__macosx", "thumbs.db", "desktop.ini"}  # of archives made on a Mac, and of Windows


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Files in a folder by a glob pattern, sorted, without companions and hidden ones (such as `._NAME`)."""
    return sorted(path for path in folder.glob(pattern) if path.is_file() and not _hidden(path.relative_to(folder)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part.lower() in COMPANIONS for part in path.parts)

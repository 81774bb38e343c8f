"""Listing folders without what systems hide in them, and writing files so that nobody ever finds half of one."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from spherecorr.errors import SpherecorrError

COMPANIONS = {"__macosx", "thumbs.db", "desktop.ini", "@eadir"}
"""What macOS, Windows and network disks put beside pictures, in lower case; and every name that starts with a dot."""


class FileError(SpherecorrError):
    """A file that cannot be written; the message names it and says why."""


def list_files(folder: str | Path, pattern: str = "*", endings: Collection[str] | None = None) -> list[Path]:
    """The files below a folder that match a pattern, sorted; none where there is no folder.

    Left out is what the system keeps for itself (`._a.png`, `__MACOSX`, `.ipynb_checkpoints`, `Thumbs.db`), together
    with what lies inside.

    Args:
        folder: to be listed; its own path may hold such names.
        pattern: of `Path.glob`, such as "*/*" or "**/*".
        endings: of the names, in lower case, such as ".png"; names may have them in capitals. None takes all.
    """
    return [
        path
        for path in _visible(folder, pattern)
        if path.is_file() and (endings is None or path.suffix.lower() in endings)
    ]


def list_folders(folder: str | Path, pattern: str = "*") -> list[Path]:
    """The folders below a folder, as `list_files` lists files."""
    return [path for path in _visible(folder, pattern) if path.is_dir()]


def _visible(folder: str | Path, pattern: str) -> list[Path]:
    folder = Path(folder)
    return sorted(path for path in folder.glob(pattern) if not any(map(_is_hidden, path.relative_to(folder).parts)))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in COMPANIONS


def write_atomic(path: str | Path, content: bytes) -> None:
    """Write under a temporary name and rename; the folder is made if it is missing.

    Raises:
        FileError: it cannot be written; what was there is there still.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system into one that names the file: on a full disk the system names none."""
    try:
        yield
    except OSError as error:
        raise FileError(f"'{path}' cannot be written ({error.strerror or error}).") from error

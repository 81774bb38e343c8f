"""Writing files so that nobody ever finds half of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spherecorr.errors import SpherecorrError


class FileError(SpherecorrError):
    """A file that cannot be written; the message names it and says why."""


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

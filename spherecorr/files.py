"""Writing files so that nobody ever finds half of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: str | Path, content: bytes) -> None:
    """Write under a temporary name and rename; the folder is made if it is missing.

    Raises:
        OSError: it cannot be written, and the error names the file; what was there is there still.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.partial")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name this file: one on a full disk names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error

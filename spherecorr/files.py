"""Writing files so that nobody ever finds half of one."""

from pathlib import Path


def write_whole(path: str | Path, content: bytes) -> None:
    """Write under a temporary name and rename; the folder is made if it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.partial")
    temporary.write_bytes(content)
    temporary.replace(path)

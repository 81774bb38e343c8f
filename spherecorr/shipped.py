"""Where the files that come with spherecorr lie: `checkpoints/` and `examples/`."""

from pathlib import Path


def shipped_folder(name: str) -> Path:
    """The folder `checkpoints` or `examples`: inside an installed package, or at the top of a source checkout."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name

"""Pictures in the page's address: examples by their file's name, own ones by where Gradio keeps the upload."""

from __future__ import annotations

import os
from pathlib import Path

from gradio.utils import get_upload_folder

from spherecorr.errors import SpherecorrError
from spherecorr.ui.engine import Engine
from spherecorr.ui.image_files import is_inside
from spherecorr.ui.session import Picture

MIRRORED = "!mirrored"


class Places:
    """Folders whose pictures an address may name, and no other file.

    Args:
        examples: of the example pairs.
    """

    def __init__(self, examples: Path):
        self._examples = examples

    def name(self, picture: Picture) -> str | None:
        """How an address names a picture; None where it lies elsewhere."""
        for place, folder in self._folders().items():
            if is_inside(picture.path, folder):
                inside = Path(picture.path).resolve().relative_to(Path(folder).resolve())
                return f"{place}/{inside.as_posix()}{MIRRORED if picture.mirrored else ''}"
        return None

    def open(self, name: str, engine: Engine) -> Picture:
        """The picture that an address names.

        Raises:
            SpherecorrError: there is none, or it cannot be used.
        """
        place, _, inside = name.removesuffix(MIRRORED).partition("/")
        folder = self._folders().get(place)
        path = os.path.join(folder, inside) if folder is not None and inside else None
        if path is None or not is_inside(path, str(folder)) or not os.path.isfile(path):
            raise SpherecorrError("A picture of this address is no longer held here. Open it again.")
        picture = engine.open(path)
        return picture.mirror() if name.endswith(MIRRORED) else picture

    def _folders(self) -> dict[str, str]:
        return {"examples": str(self._examples), "uploads": get_upload_folder()}

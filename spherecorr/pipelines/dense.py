"""Photographs with weak viewpoints become a folder whose photographs know the direction of their surface."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from spherecorr.data.folder import Folder
from spherecorr.data.records import ImageRecord
from spherecorr.data.registry import open_dataset
from spherecorr.dense_labels import label_directions, make_templates
from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic
from spherecorr.pipelines.common import Progress, silent

COLUMNS = ("image", "category", "azimuth", "elevation", "mask", "surface", "instance", "quality")


def add_directions(
    photographs: str | Path,
    renders: Sequence[str | Path],
    out: str | Path,
    *,
    progress: Progress = silent,
) -> tuple[int, int]:
    """Copy a folder of photographs, with surface points from renders beside them; see `dense_labels`.

    Photographs without mask or azimuth, or of a category without renders, are copied as they are.

    Args:
        photographs: folder with viewpoints.csv, see `data.folder.Folder`.
        renders: folders of `spherecorr render`, of which the split trn is read.
        out: folder to write; it must be empty or missing.
        progress: shows how many photographs are done.

    Returns:
        The number of photographs, and of those that got surface points.

    Raises:
        SpherecorrError: a broken file, no renders with surface points, or something in `out`.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpherecorrError(f"'{out}' is there already; name another folder.")
    records = Folder(photographs).images("all")
    shown = [image for folder in renders for image in open_dataset("renders", folder).images("trn")]
    templates = make_templates(list(progress("renders", shown)))
    rows, labelled = [], 0
    for record in progress("photographs", records):
        surface = None
        if record.mask is not None and record.viewpoint is not None and record.category in templates:
            surface = label_directions(record.load_mask(), record.viewpoint, templates[record.category])
        labelled += surface is not None and bool(surface.any())
        rows.append(_copy(record, Path(photographs), out, surface))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(out / "viewpoints.csv", text.getvalue().encode())  # last: where it is, all is there
    return len(records), labelled


def _copy(record: ImageRecord, root: Path, out: Path, surface: np.ndarray | None) -> dict[str, str]:
    """Copy a photograph and its mask, write its surface points, and return its line of the table."""
    place = partial(_place, root, out)
    shutil.copyfile(record.path, place(record.path))
    row = {
        "image": record.path.relative_to(root).as_posix(),
        "category": record.category,
        "azimuth": "" if record.viewpoint is None else f"{record.viewpoint:g}",
        "elevation": "" if record.elevation is None else f"{record.elevation:g}",
        "instance": record.instance or "",
        "quality": f"{record.quality:g}",
    }
    if record.mask is not None:
        shutil.copyfile(record.mask, place(record.mask))
        row["mask"] = record.mask.relative_to(root).as_posix()
    if surface is not None and surface.any():
        row["surface"] = Path("surfaces", row["image"]).with_suffix(".png").as_posix()
        buffer = io.BytesIO()
        Image.fromarray(np.round((surface + 1) * 127.5).astype(np.uint8)).save(buffer, format="PNG")
        write_atomic(out / row["surface"], buffer.getvalue())
    return row


def _place(root: Path, out: Path, path: Path) -> Path:
    """Where a file of one folder lies in the other; the folders above it are made."""
    place = out / path.relative_to(root)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place

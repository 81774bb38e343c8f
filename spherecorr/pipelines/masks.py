"""A dataset's images become masks of their objects."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from spherecorr.data.records import ImageRecord
from spherecorr.data.registry import open_dataset
from spherecorr.masking import check_folder, load_detector, make_masks
from spherecorr.pipelines.common import Progress, silent, versions


def segment(
    name: str,
    root: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    rule: Literal["overlap", "first"] = "overlap",
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, int]:
    """Make a mask for every image of a dataset; the same call resumes a run that was stopped.

    Args:
        name: of the dataset.
        root: its folder.
        out: folder for the masks, outside of the dataset's.
        split: only this one; by default all that are there.
        rule: which detection is the object, see `masking.choose`.
        device: of the detector.
        progress: shows how many images are done.

    Returns:
        Where the masks came from, see `masking.make_masks`.

    Raises:
        SpherecorrError: a broken file, a folder inside the dataset, or no detector.
    """
    out = Path(out)
    check_folder(out, Path(root))
    dataset = open_dataset(name, root)
    records: dict[str, ImageRecord] = {}
    for part in [split] if split else dataset.splits:
        pairs = dataset.pairs(part) if hasattr(dataset, "pairs") else []
        shown = [image for pair in pairs for image in (pair.source, pair.target)]
        records |= {image.id: image for image in [*dataset.images(part), *shown]}
    detector = load_detector(device)
    made_by = {**versions(), "torchvision": version("torchvision")}
    return make_masks(list(records.values()), detector, out, rule, made_by, partial(progress, "masks"))

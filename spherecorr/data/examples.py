"""The example pairs as records, so that they can be scored like those of any dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spherecorr.data.reading import picture_size, read_json
from spherecorr.data.records import ImageRecord, PairRecord


def example_pairs(folder: str | Path) -> dict[str, PairRecord]:
    """The pairs that `examples.json` of a folder lists, by their ids; only the targets have boxes.

        pairs = example_pairs(shipped_folder("examples"))
        report = evaluate(list(pairs.values()), features)

    Raises:
        DatasetError: the list or a picture is missing or broken.
    """
    folder = Path(folder)
    return {entry["id"]: example_pair(folder, entry) for entry in read_json(folder / "examples.json")}


def example_pair(folder: Path, entry: dict[str, Any]) -> PairRecord:
    """The pair of one entry of a folder's `examples.json`; its category is its id where the entry names none.

    Raises:
        DatasetError: a picture is missing or broken.
    """
    source, target = (_image(folder, entry, side) for side in ("source", "target"))
    return PairRecord(entry["id"], source, target, {"title": entry["title"]})


def _image(folder: Path, entry: dict[str, Any], side: str) -> ImageRecord:
    path, category = folder / entry[side], entry.get("category", entry["id"])
    return ImageRecord(
        id=f"{category}/{path.stem}",
        path=path,
        size=picture_size(path),
        category=category,
        box=tuple(entry["target_box"]) if side == "target" and "target_box" in entry else None,
        keypoints={point["name"]: point[side] and tuple(point[side]) for point in entry["keypoints"]},
    )

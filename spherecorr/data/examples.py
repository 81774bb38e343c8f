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
    return {
        entry["id"]: PairRecord(
            entry["id"], _image(folder, entry, "source"), _image(folder, entry, "target"), {"title": entry["title"]}
        )
        for entry in read_json(folder / "examples.json")
    }


def _image(folder: Path, entry: dict[str, Any], side: str) -> ImageRecord:
    path = folder / entry[side]
    return ImageRecord(
        id=f"{entry['category']}/{path.stem}",
        path=path,
        size=picture_size(path),
        category=entry["category"],
        box=tuple(entry["target_box"]) if side == "target" and "target_box" in entry else None,
        keypoints={point["name"]: point[side] and tuple(point[side]) for point in entry["keypoints"]},
    )

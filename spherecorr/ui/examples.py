"""The example pairs: a folder with `examples.json` and the pictures it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from spherecorr.data.pair_list import PairList, Reader
from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.images import picture_size
from spherecorr.ui.session import Point

OWN_IMAGES = "own"
"""In the menu of examples: none of them."""


@dataclass(frozen=True)
class Example:
    """One annotated pair.

    Attributes:
        id: its name in `examples.json`.
        title: for the menu.
        category: of both objects; the id where it is not known.
        source: path of the picture with the points.
        target: path of the other picture.
        points: of the source, set when the example opens.
        source_keypoints: name -> (x, y) in original pixels.
        target_keypoints: name -> (x, y) in original pixels, None where the target hides it.
        target_box: (x0, y0, x1, y1) of the object in the target; None where it is not known.
    """

    id: str
    title: str
    category: str
    source: Path
    target: Path
    points: tuple[Point, ...]
    source_keypoints: dict[str, Point | None]
    target_keypoints: dict[str, Point | None]
    target_box: tuple[float, float, float, float] | None

    def record(self) -> PairRecord:
        """The pair as a dataset would give it."""
        sides = (
            ("source", self.source, None, self.source_keypoints),
            ("target", self.target, self.target_box, self.target_keypoints),
        )
        source, target = (
            ImageRecord(f"{self.category}/{role}", path, picture_size(path), self.category, box, {**keypoints})
            for role, path, box, keypoints in sides
        )
        return PairRecord(self.id, source, target)


def example_pairs(examples: dict[str, Example]) -> PairList:
    """The examples as a list, each under its title."""
    by_title: dict[str, list[Reader]] = {}
    for example in examples.values():
        by_title.setdefault(example.title, []).append(example.record)
    return PairList("Examples", lambda: by_title)


def read_examples(folder: Path) -> dict[str, Example]:
    """Read a folder's examples by id; a folder without `examples.json` has none."""
    listing = folder / "examples.json"
    if not listing.is_file():
        return {}
    examples = {}
    for entry in json.loads(listing.read_text()):
        source, target = (
            {keypoint["name"]: keypoint[side] and tuple(keypoint[side]) for keypoint in entry["keypoints"]}
            for side in ("source", "target")
        )
        examples[entry["id"]] = Example(
            entry["id"],
            entry["title"],
            entry.get("category", entry["id"]),
            folder / entry["source"],
            folder / entry["target"],
            tuple(source[name] for name in entry["show"]),
            source,
            target,
            tuple(entry["target_box"]) if "target_box" in entry else None,
        )
    return examples

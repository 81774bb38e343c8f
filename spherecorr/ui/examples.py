"""The example pairs: a folder with `examples.json` and the pictures it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from spherecorr.ui.session import Point


@dataclass(frozen=True)
class Example:
    """One pair: picture paths, and the source points that are set when it opens."""

    id: str
    title: str
    source: Path
    target: Path
    points: tuple[Point, ...]


def read_examples(folder: Path) -> dict[str, Example]:
    """Read a folder's examples by id; a folder without `examples.json` has none."""
    listing = folder / "examples.json"
    if not listing.is_file():
        return {}
    examples = {}
    for entry in json.loads(listing.read_text()):
        by_name = {keypoint["name"]: keypoint["source"] for keypoint in entry["keypoints"]}
        points = tuple(tuple(by_name[name]) for name in entry["show"])
        paths = folder / entry["source"], folder / entry["target"]
        examples[entry["id"]] = Example(entry["id"], entry["title"], *paths, points)
    return examples

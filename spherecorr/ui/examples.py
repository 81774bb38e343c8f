"""The example pairs: a folder with `examples.json` and the pictures it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spherecorr.data.examples import example_pair
from spherecorr.data.pair_list import PairList, Reader
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
        record: reads the pair as a dataset would give it.
    """

    id: str
    title: str
    category: str
    source: Path
    target: Path
    points: tuple[Point, ...]
    record: Reader


def listed_examples(examples: dict[str, Example]) -> PairList:
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
        shown = {keypoint["name"]: tuple(keypoint["source"]) for keypoint in entry["keypoints"] if keypoint["source"]}
        examples[entry["id"]] = Example(
            entry["id"],
            entry["title"],
            entry.get("category", entry["id"]),
            folder / entry["source"],
            folder / entry["target"],
            tuple(shown[name] for name in entry["show"]),
            partial(example_pair, folder, entry),
        )
    return examples

"""Which keypoints a matcher may take for one another: mirrored keypoints, and groups of like parts such as all paws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spherecorr.data.reading import read_json
from spherecorr.data.records import DatasetError, PairRecord, mirrored_name

SIDES = ("left", "right")
ENDS = ("front", "back", "rear")


@dataclass(frozen=True)
class Symmetry:
    """The symmetric keypoints of one category.

    Attributes:
        mirrored: keypoint -> its mirrored keypoint, in both directions.
        groups: keypoint -> the group it belongs to, itself included.
    """

    mirrored: dict[str, str]
    groups: dict[str, frozenset[str]]


def symmetry_by_name(keypoints: Iterable[str]) -> Symmetry:
    """Read the symmetry from names with `left` and `right`; names without them stand alone.

    Mirrored keypoints differ in the side only. Names that differ in side and end (front, back, rear) are one group,
    so that the four paws are, and the two ears.
    """
    keypoints = list(keypoints)
    mirrored = {name: other for name in keypoints if (other := mirrored_name(name)) in keypoints}
    parts: dict[str, set[str]] = {}
    for name in mirrored:
        parts.setdefault(_part(name), set()).add(name)
    return Symmetry(mirrored, {name: frozenset(parts[_part(name)]) for name in mirrored})


def symmetry_by_number(parts: Mapping[str, Iterable[tuple[int, ...]]]) -> Symmetry:
    """The symmetry of numbered keypoints, from each part's pairs of mirrored ones; see `spair_symmetry.PARTS`."""
    return _from_groups([[list(map(str, pair)) for pair in pairs] for pairs in parts.values()])


def known_symmetry(dataset: Any, given: Mapping[str, Symmetry] | None = None) -> dict[str, Symmetry]:
    """What a dataset's reader tells of its numbered keypoints; what is given of a category counts instead."""
    return {**getattr(dataset, "symmetry", {}), **(given or {})}


def unknown_symmetry(pairs: Iterable[PairRecord], symmetry: Mapping[str, Symmetry]) -> list[str]:
    """The categories whose keypoints have numbers, of which `symmetry` tells nothing; sorted."""
    names: dict[str, set[str]] = {}
    for pair in pairs:
        names.setdefault(pair.target.category, set()).update(pair.source.keypoints, pair.target.keypoints)
    numbered = (category for category, found in names.items() if found and all(map(str.isdecimal, found)))
    return sorted(category for category in numbered if category not in symmetry)


def read_symmetry(path: str | Path) -> dict[str, Symmetry]:
    """Read a JSON file with the symmetry of each category, for datasets that number their keypoints.

    A category has a list of groups, and a group a list of pairs of mirrored keypoints (or single ones, without a
    counterpart): `{"cat": [[["0", "1"]], [["9", "10"], ["11", "12"]]]}` says that 0 mirrors 1, 9 mirrors 10 and 11
    mirrors 12, and that the last four are of one kind. What is written there for a category replaces what the
    dataset's reader or the names say.

    Returns:
        Category -> symmetry.

    Raises:
        DatasetError: the file is missing or of another form.
    """
    path = Path(path)
    document = read_json(path)
    if not isinstance(document, dict):
        raise DatasetError(f"'{path}' is no symmetry file: it holds no categories.")
    return {category: _symmetry(path, category, groups) for category, groups in document.items()}


def _symmetry(path: Path, category: str, groups: list[list[list[str]]]) -> Symmetry:
    try:
        names = [name for group in groups for pair in group for name in pair]
        sound = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        sound = sound and all(isinstance(pair, list) and len(pair) in (1, 2) for group in groups for pair in group)
    except TypeError:
        sound = False
    if not sound:
        raise DatasetError(
            f"'{path}': category '{category}' needs a list of groups, each a list of pairs [\"a\", \"b\"], and every "
            "keypoint once."
        )
    return _from_groups(groups)


def _from_groups(groups: list[list[list[str]]]) -> Symmetry:
    members = [frozenset(name for pair in group for name in pair) for group in groups]
    pairs = [pair for group in groups for pair in group if len(pair) == 2]
    mirrored = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    return Symmetry(mirrored, {name: group for group in members for name in group})


def _part(name: str) -> str:
    """`front_left_paw` -> `paw`."""
    return "_".join(word for word in name.split("_") if word not in SIDES + ENDS)

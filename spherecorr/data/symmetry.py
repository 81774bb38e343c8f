"""Which keypoints a matcher may take for one another: mirrored keypoints, and groups of like parts such as all paws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spherecorr.data.reading import read_json
from spherecorr.data.records import DatasetError, mirrored_name

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


def read_symmetry(path: str | Path) -> dict[str, Symmetry]:
    """Read a JSON file with the symmetry of each category, for datasets that number their keypoints, as SPair-71k does.

    A category has a list of groups, and a group a list of pairs of mirrored keypoints (or single ones, without a
    counterpart): `{"cat": [[["0", "1"]], [["9", "10"], ["11", "12"]]]}` says that 0 mirrors 1, 9 mirrors 10 and 11
    mirrors 12, and that the last four are of one kind. What is written there for a category replaces what its names
    say.

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
        members = [frozenset(name for pair in group for name in pair) for group in groups]
        pairs = [pair for group in groups for pair in group]
        names = [name for pair in pairs for name in pair]
        sound = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        sound = sound and all(isinstance(pair, list) and len(pair) in (1, 2) for pair in pairs)
    except TypeError:
        sound = False
    if not sound:
        raise DatasetError(
            f"'{path}': category '{category}' needs a list of groups, each a list of pairs [\"a\", \"b\"], and every "
            "keypoint once."
        )
    mirrored = {a: b for pair in pairs if len(pair) == 2 for a, b in (pair, pair[::-1])}
    return Symmetry(mirrored, {name: group for group in members for name in group})


def _part(name: str) -> str:
    """`front_left_paw` -> `paw`."""
    return "_".join(word for word in name.split("_") if word not in SIDES + ENDS)

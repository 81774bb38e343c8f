"""The pairs of a dataset to choose from: listed by category, each read when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from spherecorr.data.reading import read_all
from spherecorr.data.records import DatasetError, PairRecord
from spherecorr.data.registry import DATASETS, open_dataset
from spherecorr.data.symmetry import Symmetry, known_symmetry

Reader = Callable[[], PairRecord]


@dataclass(frozen=True)
class AnnotatedPair:
    """A pair, and what its dataset tells of its keypoints.

    Attributes:
        record: the two images.
        symmetry: category -> its symmetric keypoints, where their names do not tell; see `data.symmetry`.
        labels: keypoint -> how to write it; those that are not there are written as they are named.
    """

    record: PairRecord
    symmetry: Mapping[str, Symmetry] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def swapped(self) -> AnnotatedPair:
        """The pair the other way round."""
        record = self.record
        return AnnotatedPair(
            PairRecord(record.id, record.target, record.source, record.attributes), self.symmetry, self.labels
        )


class PairList:
    """Pairs by category.

    Args:
        title: for a menu.
        read: lists every category's pairs, called once when something is first asked for.
        symmetry: see `AnnotatedPair`.
        label: category, keypoint -> how to write it.
    """

    def __init__(
        self,
        title: str,
        read: Callable[[], dict[str, list[Reader]]],
        symmetry: Mapping[str, Symmetry] | None = None,
        label: Callable[[str, str], str] | None = None,
    ):
        self.title = title
        self._read, self._symmetry, self._label = read, symmetry or {}, label
        self._pairs: dict[str, list[Reader]] | None = None
        self._lock = Lock()

    @property
    def counts(self) -> dict[str, int]:
        """Category -> how many pairs it has.

        Raises:
            DatasetError: the list cannot be read.
        """
        return {category: len(pairs) for category, pairs in self._listed().items()}

    def pair(self, category: str, number: int) -> AnnotatedPair:
        """The pair of a category with a number from 1.

        Raises:
            DatasetError: there is no such pair, or it cannot be read.
        """
        pairs = self._listed().get(category)
        if pairs is None:
            raise DatasetError(f"{self.title} has no category '{category}'.")
        if not 1 <= number <= len(pairs):
            raise DatasetError(f"'{category}' has the pairs 1 to {len(pairs)}; there is no pair {number}.")
        record = pairs[number - 1]()
        names = {**record.source.keypoints, **record.target.keypoints}
        labels = {name: self._label(record.source.category, name) for name in names} if self._label else {}
        return AnnotatedPair(record, self._symmetry, labels)

    def all(self) -> list[AnnotatedPair]:
        """Every pair that can be read; for short lists."""
        numbered = [(category, i + 1) for category, count in self.counts.items() for i in range(count)]
        return read_all(lambda one: self.pair(*one), numbered, broken=[])

    def _listed(self) -> dict[str, list[Reader]]:
        with self._lock:
            if self._pairs is None:
                self._pairs = self._read()
            return self._pairs


def open_pairs(name: str, root: str | Path, title: str | None = None) -> PairList:
    """The pairs of a dataset's test split, or of its last one where it has no test split.

    A reader that knows its pairs by name is asked for one at a time; of others the whole split is read when it is
    first asked for, and what cannot be read is left out.

    Args:
        name: a key of `data.registry.DATASETS`.
        root: the dataset's folder.
        title: of the list; by default what dataset, split and folder are called.

    Raises:
        DatasetError: as of `open_dataset`, or the dataset has no pairs with keypoints.
    """
    dataset = open_dataset(name, root)
    if not hasattr(dataset, "pairs"):
        raise DatasetError(
            f"{DATASETS[name].title} has viewpoints but no pairs with keypoints, so there is nothing to compare "
            "matches with."
        )
    if not dataset.splits:
        raise DatasetError(f"'{root}' lists no pairs of {DATASETS[name].title}.")
    split = "test" if "test" in dataset.splits else dataset.splits[-1]
    named = hasattr(dataset, "pair_names")
    pairs = PairList(
        title or f"{dataset.title}, {split}: {Path(root).resolve().name}",
        lambda: _by_name(dataset, split) if named else _read_whole(dataset, split),
        known_symmetry(dataset),
        getattr(dataset, "keypoint_label", None),
    )
    if named and not pairs.counts:
        raise DatasetError(f"'{root}' lists no pairs in its split {split}.")
    return pairs


def _by_name(dataset: Any, split: str) -> dict[str, list[Reader]]:
    found: dict[str, list[Reader]] = {}
    for name in dataset.pair_names(split):
        found.setdefault(name.rpartition(":")[2], []).append(partial(dataset.pair, split, name))
    return dict(sorted(found.items()))


def _read_whole(dataset: Any, split: str) -> dict[str, list[Reader]]:
    broken: list[str] = []
    found: dict[str, list[Reader]] = {}
    for pair in dataset.pairs(split, broken):
        found.setdefault(pair.source.category, []).append(partial(_given, pair))
    if not found:
        raise DatasetError(f"{dataset.title} has no pair that can be read{f': {broken[0]}' if broken else '.'}")
    return dict(sorted(found.items()))


def _given(pair: PairRecord) -> PairRecord:
    return pair

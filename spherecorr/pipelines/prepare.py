"""What is done to a dataset before anything is computed from it: counting it, and writing its pairs. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spherecorr.data.check import SplitCount, check_split
from spherecorr.data.records import DatasetError
from spherecorr.data.registry import DATASETS, open_dataset
from spherecorr.files import write_atomic


@dataclass(frozen=True)
class DatasetCount:
    """What a dataset holds.

    Attributes:
        images: over all splits that were read.
        categories: of the dataset.
    """

    images: int
    categories: int


def check_dataset(
    name: str,
    root: str | Path,
    *,
    split: str | None = None,
    masks: str | Path | None = None,
    broken: list[str] | None = None,
    counted: Callable[[str, SplitCount], None] = lambda split, count: None,
) -> DatasetCount:
    """Read a whole dataset and count it, and compare with what is published of it.

    Args:
        name: of the dataset.
        root: its folder.
        split: only this one; by default all that are there.
        masks: folder of masks that count instead of the dataset's own.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error.
        counted: is told each split's name and count as soon as it is read.

    Raises:
        DatasetError: the first broken file, or a number of pairs or images that is not the published one.
    """
    dataset, info = open_dataset(name, root, masks), DATASETS[name]
    names: set[str] = set()
    splits = [split] if split else list(dict.fromkeys([*dataset.splits, *info.pairs]))
    if not splits:
        raise DatasetError(f"'{root}' has no list of pairs in Layout/large.")
    for part in splits:
        count = check_split(dataset, part, broken)
        names |= count.names
        counted(part, count)
        if not broken and count.pairs != info.pairs.get(part, count.pairs):
            raise DatasetError(
                f"The split {part} has {count.pairs:,} pairs; {info.title} has {info.pairs[part]:,}. "
                "Is the download complete?"
            )
    if not broken and not split and info.images and len(names) != info.images:
        raise DatasetError(f"There are {len(names):,} images; {info.title} has {info.images:,}.")
    if broken:
        broken[:] = dict.fromkeys(broken)  # pairs that show the same broken image say the same
    return DatasetCount(len(names), len(dataset.categories))


def write_pairs(name: str, root: str | Path, split: str, out: str | Path) -> int:
    """Write the list of a split's pairs, one a line: source and target, as category/image.

    Returns:
        How many there are.

    Raises:
        DatasetError: the dataset has no pairs, or cannot be read.
    """
    dataset = open_dataset(name, root)
    if not hasattr(dataset, "pairs"):
        raise DatasetError(f"{dataset.title} has no pairs.")
    lines = [f"{pair.source.id} {pair.target.id}\n" for pair in dataset.pairs(split)]
    write_atomic(out, "".join(lines).encode())
    return len(lines)

"""Pairs of images by a published rule, for datasets that come without a list of pairs."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from spherecorr.data.records import ImageRecord, PairRecord, Point


class Annotated(Protocol):
    """An ImageRecord, or what is known before its picture is opened."""

    @property
    def keypoints(self) -> Mapping[str, Point | None]:
        """Name -> (x, y), None where hidden."""
        ...


Item = TypeVar("Item", bound=Annotated)

MIN_COMMON = 3
"""Keypoints that both images of a pair must show."""


def matchable(candidates: Iterable[tuple[Item, ...]]) -> list[tuple[Item, Item]]:
    """Those that show at least `MIN_COMMON` keypoints in common."""
    shown: dict[int, frozenset[str]] = {}

    def names(image: Item) -> frozenset[str]:
        if id(image) not in shown:
            shown[id(image)] = frozenset(name for name, point in image.keypoints.items() if point)
        return shown[id(image)]

    return [(a, b) for a, b in candidates if len(names(a) & names(b)) >= MIN_COMMON]


def draw(items: Sequence, count: int, seed: str) -> list:
    """Up to `count` different items in random order, the same for the same seed on every machine and Python."""
    items = list(items)
    generator = random.Random(seed)  # only random() is promised to stay the same in later Pythons
    count = min(count, len(items))
    for i in range(count):
        j = i + int(generator.random() * (len(items) - i))
        items[i], items[j] = items[j], items[i]
    return items[:count]


def make_pair(source: ImageRecord, target: ImageRecord, attributes: dict[str, Any] | None = None) -> PairRecord:
    """A pair whose id names both images."""
    return PairRecord(f"{source.id}-{target.id}", source, target, attributes or {})

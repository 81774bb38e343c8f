"""Datasets become one mapper for each category, as in ASIC, whose atlas is of one collection of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.errors import SpherecorrError
from spherecorr.pipelines.train import Dataset, held_out_pairs, open_parts, train
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import INDEX


def train_atlases(
    data: Sequence[Dataset | Sequence[ImageRecord]],
    out: str | Path,
    *,
    split: str | None = None,
    masks: str | Path | None = None,
    stores: Sequence[str | Path] = (),
    validation: Dataset | Sequence[PairRecord] | None = None,
    validation_split: str = "val",
    broken: list[str] | None = None,
    **options: Any,
) -> dict[str, SphereMapper]:
    """Train a mapper on the images of each category alone, one run after the other, with the preset "asic".

    Args:
        data: see `pipelines.train.train`, as all arguments.
        out: folder that gets a run for each category, `out / category`; the same call resumes.
        split: see there.
        masks: see there.
        stores: see there; each is there already and holds all categories.
        validation: see there; a category is scored on its own pairs.
        validation_split: see there.
        broken: see there.
        **options: further arguments of `train`.

    Returns:
        Category -> mapper.

    Raises:
        SpherecorrError: a store is not there; and see `train`.
    """
    for store in stores:
        if not (Path(store) / INDEX).is_file():
            raise SpherecorrError(
                f"There is no store '{store}'; `spherecorr extract --labels --crops 4` makes it, of all categories."
            )
    parts = open_parts(data, stores, Path(out), split, masks, broken)
    pairs = held_out_pairs(validation, validation_split, broken) if validation is not None else []
    mappers = {}
    for category in sorted({record.category for part in parts for record in part.records}):
        own = [[record for record in part.records if record.category == category] for part in parts]
        shown = [place for place, records in enumerate(own) if records]
        mappers[category] = train(
            [own[place] for place in shown],
            Path(out) / category,
            stores=[stores[place] for place in shown] if stores else (),
            validation=[pair for pair in pairs if pair.target.category == category] or None,
            broken=broken,
            **{"preset": "asic", **options},
        )
    return mappers

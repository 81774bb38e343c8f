"""Read everything a dataset says it has, and count it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from spherecorr.data.masks import MaskKind, read_mask
from spherecorr.data.reading import read_all
from spherecorr.data.records import DatasetError, ImageRecord


@dataclass(frozen=True)
class SplitCount:
    """What a split holds and could be read.

    Attributes:
        images: different images.
        pairs: of them.
        keypoints: that are visible; of a dataset that gives points pair by pair, over all pairs.
        masks: of the images.
        names: ids of the images.
        mask_kinds: how the masks were read (see `masks.read_mask`), and how many each way.
    """

    images: int
    pairs: int
    keypoints: int
    masks: int
    names: frozenset[str]
    mask_kinds: dict[MaskKind, int]


def check_split(dataset: Any, split: str, broken: list[str] | None = None) -> SplitCount:
    """Read a split's annotations, decode its pictures and masks, and compare their sizes.

    Args:
        dataset: a reader.
        split: of the dataset.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error.

    Raises:
        DatasetError: the first file that is missing or broken.
    """
    pairs = dataset.pairs(split, broken) if hasattr(dataset, "pairs") else []
    shown = [image for pair in pairs for image in (pair.source, pair.target)]
    # Readers with an annotation per image show the same record in many pairs; it counts once.
    records = {id(image): image for image in [*dataset.images(split, broken), *shown]}.values()
    kinds = dict(read_all(_checked, {image.id: image for image in records}.values(), broken))
    sound = frozenset(kinds)
    kept = [image for image in records if image.id in sound]
    return SplitCount(
        images=len(sound),
        pairs=sum(pair.source.id in sound and pair.target.id in sound for pair in pairs),
        keypoints=sum(point is not None for image in kept for point in image.keypoints.values()),
        masks=len({image.id for image in kept if image.mask}),
        names=sound,
        mask_kinds=dict(Counter(kind for kind in kinds.values() if kind)),
    )


def check_picture(image: ImageRecord) -> ImageRecord:
    """Return the record if its picture can be used and has the annotated size.

    Raises:
        DatasetError: otherwise.
    """
    image.load_picture()
    return image


def check_image(image: ImageRecord) -> ImageRecord:
    """Return the record if its picture is sound, and its mask, if it has one, has the same size and is not empty.

    Raises:
        DatasetError: otherwise.
    """
    _checked(image)
    return image


def _checked(image: ImageRecord) -> tuple[str, MaskKind | None]:
    """Id of a sound image, and how its mask was read; see `check_image`."""
    width, height = check_picture(image).size
    if not image.mask:
        return image.id, None
    mask, kind = read_mask(image.mask, image.category)
    if mask.shape != (height, width):
        size = f"{mask.shape[1]} x {mask.shape[0]}"
        raise DatasetError(f"'{image.mask}' has {size} pixels, its picture {width} x {height}.")
    if not mask.any():
        raise DatasetError(f"'{image.mask}' is empty: no pixel is the object.")
    return image.id, kind

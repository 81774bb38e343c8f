"""Read everything a dataset says it has, and count it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import ImageOps

from spherecorr.data.reading import read_all
from spherecorr.data.records import DatasetError, ImageRecord, open_picture


@dataclass(frozen=True)
class SplitCount:
    """What a split holds and could be read.

    Attributes:
        images: different images.
        pairs: of them.
        keypoints: that are visible; of a dataset that gives points pair by pair, over all pairs.
        masks: of the images.
        names: ids of the images.
    """

    images: int
    pairs: int
    keypoints: int
    masks: int
    names: frozenset[str]


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
    sound = {image.id for image in read_all(check_image, {image.id: image for image in records}.values(), broken)}
    kept = [image for image in records if image.id in sound]
    return SplitCount(
        images=len(sound),
        pairs=sum(pair.source.id in sound and pair.target.id in sound for pair in pairs),
        keypoints=sum(point is not None for image in kept for point in image.keypoints.values()),
        masks=len({image.id for image in kept if image.mask}),
        names=frozenset(sound),
    )


def check_picture(image: ImageRecord) -> ImageRecord:
    """Return the record if its picture can be decoded and has the annotated size.

    Raises:
        DatasetError: otherwise.
    """
    width, height = ImageOps.exif_transpose(open_picture(image.path)).size
    if (width, height) != tuple(image.size):
        annotated = f"{image.size[0]} x {image.size[1]}"
        raise DatasetError(f"'{image.path}' has {width} x {height} pixels, its annotation says {annotated}.")
    return image


def check_image(image: ImageRecord) -> ImageRecord:
    """Return the record if its picture is sound, and its mask, if it has one, has the same size and is not empty.

    Raises:
        DatasetError: otherwise.
    """
    width, height = check_picture(image).size
    if image.mask:
        mask = image.load_mask()
        if mask.shape != (height, width):
            size = f"{mask.shape[1]} x {mask.shape[0]}"
            raise DatasetError(f"'{image.mask}' has {size} pixels, its picture {width} x {height}.")
        if not mask.any():
            raise DatasetError(f"'{image.mask}' is empty: no pixel is above 0.")
    return image

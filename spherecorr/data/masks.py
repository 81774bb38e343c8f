"""Mask files: which pixels are the object, decided by what the file is.

Datasets write masks as 0 and 1, as 0 and 255, as soft grey, as cut-outs with transparency and as maps of class numbers,
in which "above 0" would make the rider part of the horse, and the unlabelled border part of both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from spherecorr.data.errors import DatasetError, of_a_dataset
from spherecorr.images import open_picture

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""PASCAL VOC's classes."""
CLASS_NUMBERS = range(1, len(VOC_CLASSES) + 1)
VOID = 255
"""PASCAL's number for pixels that belong to no class for certain."""
LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
"""Formats that change values a little, so that the values themselves mean nothing."""
NOISE = 32
"""Difference of the colour channels that such a format may add to grey."""

MaskKind: TypeAlias = Literal["binary", "class map", "soft", "cut-out"]
WHAT_TO_DO = "Save a mask that is 255 on the object and 0 elsewhere."


def read_mask(path: str | Path, category: str | None = None) -> tuple[np.ndarray, MaskKind]:
    """Read a mask file.

    - "binary": 0 and one other value or colour, which is the object.
    - "class map": numbers of PASCAL VOC's classes, 255 where none is sure; the category's class is the object.
    - "soft": grey; the object is above half of the range (1 for floats, 8 or 16 bits), also in JPEG files.
    - "cut-out": an image with transparency; the object is what is more than half opaque.

    Args:
        path: of the file.
        category: of the object, by PASCAL's name where the file may be a class map.

    Returns:
        Boolean `[h, w]`, True on the object, and how the file was read.

    Raises:
        DatasetError: the file is missing, broken or ambiguous, or a class map without the category's class.
    """
    with of_a_dataset():
        image = open_picture(path)
    if image.mode == "P" and _holds_labels(image):
        return _of_class(path, np.asarray(image), category, sure=True)
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < alpha.max():  # else it says nothing
            return alpha > 127, "cut-out"
    values = _grey_values(path, image)
    if image.format in LOSSY:
        return values > 127, "soft"
    present = _present(values)
    may_be_classes = any(value in CLASS_NUMBERS for value in present)
    if len(present) <= 1 and not (may_be_classes and category in VOC_CLASSES and present[0] != 1):
        return values > 0, "binary"
    if may_be_classes and all(value in CLASS_NUMBERS or value == VOID for value in present):
        return _of_class(path, values, category, sure=False)
    return _above_half(path, values), "soft"


def _holds_labels(image: Image.Image) -> bool:
    """Whether a palette only colours numbers: it is PASCAL's, or black at 0 and coloured at class numbers."""
    indices = _present(np.asarray(image))
    palette = np.array(image.getpalette()).reshape(-1, 3)
    if not len(indices) or indices.max() >= len(palette):
        return False
    colours = palette[indices]
    if (colours == voc_colours()[indices]).all():
        return True
    coloured = (np.ptp(colours, axis=1) > 0).any() and not palette[0].any()
    return coloured and "transparency" not in image.info and set(indices) <= {*CLASS_NUMBERS, VOID}


def voc_colours() -> np.ndarray:
    """PASCAL VOC's palette, uint8 `[256, 3]`: the bits of a number dealt to red, green and blue, the lowest first."""
    numbers = np.arange(256)[:, None]
    place = np.arange(8)
    return np.stack([((numbers >> place & 1) << 7 - place // 3)[:, place % 3 == i].sum(axis=1) for i in range(3)], 1)


def _grey_values(path: str | Path, image: Image.Image) -> np.ndarray:
    """`[h, w]`; of a coloured image the greatest channel, if it has one colour on black."""
    if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
        values = np.asarray(image)
        return np.nan_to_num(values) if image.mode == "F" else values.astype(np.uint8) if image.mode == "1" else values
    colours = np.asarray(image.convert("RGB"))
    noise = NOISE if image.format in LOSSY else 0
    if (np.ptp(colours, axis=2) > noise).any():
        first = colours[colours.any(axis=2)][0]
        if image.format in LOSSY or not ((colours == first).all(axis=2) | ~colours.any(axis=2)).all():
            raise DatasetError(f"'{path}' has several colours, and which is the object is not known. {WHAT_TO_DO}")
        return np.any(colours, axis=2).astype(np.uint8)
    return np.max(colours, axis=2)


def _present(values: np.ndarray) -> np.ndarray:
    """The values other than 0 that occur, ascending."""
    if values.dtype == np.uint8:
        return np.flatnonzero(np.bincount(values.ravel(), minlength=256)[1:]) + 1
    present = np.unique(values)
    return present[present != 0]


def _of_class(
    path: str | Path, values: np.ndarray, category: str | None, sure: bool
) -> tuple[np.ndarray, Literal["class map", "binary"]]:
    """The category's pixels on a map of class numbers.

    Args:
        path: for the message.
        values: the numbers.
        category: of the object.
        sure: whether they are numbers for certain, so that 255 means no class.
    """
    present = [int(value) for value in _present(values)]
    classes = [value for value in present if value != VOID]
    wanted = VOC_CLASSES.index(category) + 1 if category in VOC_CLASSES else None
    if wanted in classes:
        return values == wanted, "class map"
    if sure and len(classes) == 1 and (wanted is None or classes == [1]):
        return values == classes[0], "binary"
    numbers = ", ".join(f"{n} ({VOC_CLASSES[n - 1]})" if n in CLASS_NUMBERS else str(n) for n in present)
    lacking = f"the image's category '{category}' is none of them" if category else "which is the object is not known"
    raise DatasetError(f"'{path}' looks like a map of PASCAL's classes {numbers}; {lacking}. {WHAT_TO_DO}")


def _above_half(path: str | Path, values: np.ndarray) -> np.ndarray:
    highest = values.max()
    ranges = (1, 255, 65535) if values.dtype.kind == "f" else (255, 65535)
    half = next((full for full in ranges if highest <= full), highest) / 2
    if highest <= half:
        raise DatasetError(f"'{path}' has several values, none above {half:g}, half of its range. {WHAT_TO_DO}")
    return values > half

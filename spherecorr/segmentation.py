"""The object of a picture from a box, a few strokes or a rough guess, by OpenCV's GrabCut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from spherecorr.errors import SpherecorrError

WORKING_SIDE = 320  # px; larger pictures are segmented at this long side: a second, and finer than the cells
ROUNDS = 3  # of GrabCut; further ones hardly change a mask
# Shares of the longer side: a stroke's width, how near to one the object probably is, and the rim of the picture.
STROKE_WIDTH, NEAR, RIM = 0.02, 0.05, 0.02
UNLIKELY = 0.02  # of being the object's: in a guess by cells, more than a cell away from it

Box = tuple[float, float, float, float]


class SegmentationError(SpherecorrError):
    """Marks from which no object can be told; the message says what to mark instead."""


@dataclass(frozen=True)
class Stroke:
    """A line that a person draws over a part of a picture; one point alone is a click.

    Attributes:
        points: (x, y) in original pixels.
        inside: whether that part is the object's, or background.
    """

    points: tuple[tuple[float, float], ...]
    inside: bool = True


def segment(image: Image.Image, box: Box | None = None, strokes: Sequence[Stroke] = ()) -> np.ndarray:
    """Tell a marked object from its background by colours and edges (Rother et al., GrabCut, 2004).

    What lies outside the box is background, what a stroke covers is what the stroke says, and the rest is told from
    these. Without a box at least one stroke is inside, and the picture's rim is background. The same marks give the
    same mask.

    Args:
        image: the picture, w x h pixels.
        box: (x0, y0, x1, y1) around the whole object, in original pixels; its part outside the picture is cut off.
        strokes: over the object and over what is not the object's.

    Returns:
        Boolean `[h, w]`, at least one pixel True.

    Raises:
        SegmentationError: neither a box nor a stroke inside, a box or a stroke beside the picture, an empty box, or
            nothing that differs from the background.
    """
    if box is None and not any(stroke.inside for stroke in strokes):
        raise SegmentationError("Mark the object first: draw a box around it, or a stroke over it.")
    small, factor = _at_working_size(image)
    known = _known(small.shape[:2], image.size, factor, box, strokes)
    mask = _grab_cut(small, known)
    if not mask.any():
        raise SegmentationError("No object differs from the background there; draw a stroke over it.")
    return cv2.resize(mask.astype(np.uint8), image.size, interpolation=cv2.INTER_NEAREST).astype(bool)


def refine(image: Image.Image, likely: np.ndarray) -> np.ndarray:
    """Follow a picture's colours and edges from a rough guess of where its object is.

    Args:
        image: the picture, w x h pixels.
        likely: float `[h, w]`, 0..1, how likely each pixel is the object's; near 0 it is background for certain.

    Returns:
        Boolean `[h, w]`; nothing where no object differs from the background.
    """
    small, _ = _at_working_size(image)
    shrunk = cv2.resize(likely.astype(np.float32), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    known = np.where(shrunk > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    known[shrunk < UNLIKELY] = cv2.GC_BGD
    mask = _grab_cut(small, known)
    return cv2.resize(mask.astype(np.uint8), image.size, interpolation=cv2.INTER_NEAREST).astype(bool)


def _at_working_size(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The picture as uint8 `[h, w, 3]` of at most `WORKING_SIDE`, and the (x, y) factors of its pixels."""
    scale = min(1.0, WORKING_SIDE / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    size = width, height
    small = image.convert("RGB").resize(size, Image.Resampling.BOX) if scale < 1 else image.convert("RGB")
    return np.asarray(small), np.divide(size, image.size)


def _known(
    shape: tuple[int, ...], size: tuple[int, int], factor: np.ndarray, box: Box | None, strokes: Sequence[Stroke]
) -> np.ndarray:
    """What GrabCut starts from, uint8 of the working size: OpenCV's four labels.

    Within a box all is probably the object's. Once a stroke is inside, only what lies near such strokes is, and the
    rest probably background; without a box the picture's rim surely is.
    """
    lines = {inside: np.zeros(shape, np.uint8) for inside in (True, False)}
    width = max(1, round(STROKE_WIDTH * max(shape)))
    for stroke in strokes:
        _check_stroke(stroke, size)
        points = (*stroke.points, stroke.points[-1])  # OpenCV draws no line of one point
        path = np.floor(np.array(points) * factor).clip(max=(shape[1] - 1, shape[0] - 1)).astype(np.int32)
        cv2.polylines(lines[stroke.inside], [path], False, 1, width)
    if box is None:
        rim = round(RIM * max(shape))
        rows, columns = slice(rim, shape[0] - rim), slice(rim, shape[1] - rim)
    else:
        x0, y0, x1, y1 = _clip_box(box, size)
        (left, top), (right, bottom) = np.floor((x0, y0) * factor), np.ceil((x1, y1) * factor)
        rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
    known = np.full(shape, cv2.GC_BGD, np.uint8)
    known[rows, columns] = cv2.GC_PR_FGD
    if lines[True].any():
        away = cv2.distanceTransform(1 - lines[True], cv2.DIST_L2, 5) > NEAR * max(shape)
        known[away & (known == cv2.GC_PR_FGD)] = cv2.GC_PR_BGD
    known[lines[True] > 0] = cv2.GC_FGD
    known[lines[False] > 0] = cv2.GC_BGD
    return known


def _clip_box(box: Box, size: tuple[int, int]) -> Box:
    x0, y0, x1, y1 = box
    if not x0 < x1 or not y0 < y1:
        raise SegmentationError(f"The box {_numbers(box)} is empty; give x0, y0, x1, y1 with x0 < x1 and y0 < y1.")
    if x1 <= 0 or y1 <= 0 or x0 >= size[0] or y0 >= size[1]:
        raise SegmentationError(f"The box {_numbers(box)} lies outside the picture of {size[0]} x {size[1]} pixels.")
    return max(x0, 0), max(y0, 0), min(x1, size[0]), min(y1, size[1])


def _check_stroke(stroke: Stroke, size: tuple[int, int]) -> None:
    if not stroke.points:
        raise SegmentationError("A stroke has at least one point; this one has none.")
    for point in stroke.points:
        if not (0 <= point[0] <= size[0] and 0 <= point[1] <= size[1]):
            where = f"The stroke's point {_numbers(point)} lies outside the picture"
            raise SegmentationError(f"{where} of {size[0]} x {size[1]} pixels.")


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _grab_cut(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Boolean `[h, w]`; what is known already where it leaves nothing to tell."""
    inside = (known == cv2.GC_FGD) | (known == cv2.GC_PR_FGD)
    if inside.all() or not inside.any():
        return inside
    cv2.setRNGSeed(0)  # its clustering draws at random
    labels, background, foreground = known.copy(), np.zeros((1, 65)), np.zeros((1, 65))
    unused = (0, 0, 1, 1)  # the rectangle of its other mode
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)  # as the eye tells colours apart
    cv2.grabCut(lab, labels, unused, background, foreground, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)

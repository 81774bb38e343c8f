"""Masks of a dataset's objects by torchvision's Mask R-CNN, as the paper makes them, in a folder of their own.

<folder>/<category>/<stem>.png   255 on the object
<folder>/masks.jsonl             the settings, then a line per image: where its mask came from

The paper's code takes the highest-scoring detection of the category; here it is by default the one that overlaps the
annotated box most, because a picture may show several objects and one is annotated. The tests run the detector with
untrained weights: what the real ones find was not looked at.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from spherecorr.data.records import ImageRecord
from spherecorr.device import pick_device
from spherecorr.errors import SpherecorrError
from spherecorr.files import FileError, write_atomic, writing

COCO_NAMES = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
"""PASCAL's names of categories that COCO calls otherwise."""
MIN_SCORE = 0.9
MIN_OVERLAP = 0.5
"""Intersection over union with the annotated box, below which a detection is another object."""

Rule = Literal["overlap", "first"]
Box = tuple[float, float, float, float]


class MaskError(SpherecorrError):
    """Masks that cannot be made; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in an image, N objects.

    Attributes:
        names: category of each, by COCO's names.
        scores: float `[N]`, 0 to 1.
        boxes: float `[N, 4]`, (x0, y0, x1, y1) in pixels.
        masks: boolean `[N, h, w]`.
    """

    names: list[str]
    scores: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray


Detector = Callable[[Image.Image], Detections]


def load_detector(device: str = "auto") -> Detector:
    """Load torchvision's Mask R-CNN (ResNet-50 FPN, v2) with its COCO weights, downloaded where missing (177 MB).

    Raises:
        MaskError: torchvision is missing, or the weights cannot be downloaded.
    """
    try:
        from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, maskrcnn_resnet50_fpn_v2
    except ImportError as error:
        raise MaskError("Masks are made with torchvision, which is missing: pip install torchvision.") from error
    weights = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1
    target = pick_device(device)
    try:
        model = maskrcnn_resnet50_fpn_v2(weights=weights)
    except OSError as error:
        raise MaskError(f"The weights of Mask R-CNN cannot be downloaded from {weights.url} ({error}).") from error
    return detector_of(model.to(target), weights.meta["categories"])


def detector_of(model: torch.nn.Module, categories: list[str]) -> Detector:
    """A detector from a detection model of torchvision's form: image -> boxes, labels, scores, soft masks.

    Args:
        model: with its weights, on its device.
        categories: name of each label.
    """
    model.eval()
    device = next(model.parameters()).device

    @torch.inference_mode()
    def detect(image: Image.Image) -> Detections:
        pixels = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1).float() / 255
        (found,) = model([pixels])
        found = {key: values[found["scores"] > MIN_SCORE].cpu().numpy() for key, values in found.items()}
        names = [categories[label] for label in found["labels"]]
        return Detections(names, found["scores"], found["boxes"], found["masks"][:, 0] > 0.5)

    return detect


def choose(found: Detections, category: str, box: Box | None, rule: Rule = "overlap") -> int | None:
    """Which detection is the annotated object, None where it is none.

    Args:
        found: in the image.
        category: of the object, by PASCAL's or COCO's name.
        box: annotated; without one the first counts.
        rule: "overlap" takes the detection of the category that overlaps the box most, "first" the one with the
            highest score, whatever the box.
    """
    name = COCO_NAMES.get(category, category)
    ours = [i for i, kind in enumerate(found.names) if kind == name and found.scores[i] > MIN_SCORE]
    if not ours:
        return None
    if rule == "first" or box is None:
        return max(ours, key=lambda i: found.scores[i])
    best = max(ours, key=lambda i: overlap(found.boxes[i], box))
    return best if overlap(found.boxes[best], box) >= MIN_OVERLAP else None


def overlap(first: Iterable[float], second: Iterable[float]) -> float:
    """Intersection over union of two boxes."""
    ax0, ay0, ax1, ay1 = first
    bx0, by0, bx1, by1 = second
    shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    return shared / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared)


def check_folder(folder: Path, root: Path) -> None:
    """Refuse to write into the dataset itself."""
    if folder.resolve().is_relative_to(root.resolve()):
        raise MaskError(f"'{folder}' lies in the dataset's own folder; name one outside of '{root}' for the masks.")


def make_masks(
    records: list[ImageRecord],
    detector: Detector,
    folder: Path,
    rule: Rule = "overlap",
    versions: dict[str, str] | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, int]:
    """Write a mask for every image, and go on where an earlier run stopped.

    Args:
        records: the images.
        detector: see `load_detector`.
        folder: for the masks.
        rule: see `choose`.
        versions: written into `masks.jsonl`.
        progress: wrapped around the images, to show progress.

    Returns:
        How many masks are a "detection", the dataset's "own", and how many images have "none".

    Raises:
        MaskError: the folder's masks were made by another rule, or it cannot be written.
        DatasetError: a picture, or a mask of the dataset, cannot be read.
    """
    log = folder / "masks.jsonl"
    settings = {"rule": rule, "score": MIN_SCORE, "overlap": MIN_OVERLAP if rule == "overlap" else None}
    lines = _read_log(log)
    if lines and {key: lines[0].get(key) for key in settings} != settings:
        raise MaskError(f"The masks in '{folder}' were made with other settings (see {log}); name another folder.")
    lines = lines or [{**settings, "versions": versions or {}}]
    sources = {line["id"]: line["mask"] for line in lines[1:]}
    try:
        write_atomic(log, "".join(f"{json.dumps(line)}\n" for line in lines).encode())  # drops a line that was cut off
        with writing(folder), open(log, "a", encoding="utf-8") as file:
            for record in progress(records):
                if record.id in sources:
                    continue
                line = _make_mask(record, detector, folder, rule)
                sources[record.id] = line["mask"]
                file.write(f"{json.dumps(line)}\n")
                file.flush()
    except FileError as error:
        raise MaskError(f"{error} Make room there and rerun the command to resume.") from error
    counts = Counter(sources[record.id] for record in records)
    return {source: counts[source] for source in ("detection", "own", "none")}


def _make_mask(record: ImageRecord, detector: Detector, folder: Path, rule: Rule) -> dict[str, Any]:
    """Write one mask, and return its line of the log."""
    found = detector(record.load_picture())
    chosen = choose(found, record.category, record.box, rule)
    if chosen is not None and found.masks[chosen].any():
        line = {"id": record.id, "mask": "detection", "score": round(float(found.scores[chosen]), 4)}
        mask = found.masks[chosen]
    elif record.mask is not None:
        line, mask = {"id": record.id, "mask": "own"}, record.load_mask()
    else:
        return {"id": record.id, "mask": "none"}
    encoded = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(encoded, "PNG")
    write_atomic(folder / f"{record.id}.png", encoded.getvalue())
    return line


def _read_log(path: Path) -> list[dict[str, Any]]:
    """Its lines up to one that was cut off."""
    lines = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines

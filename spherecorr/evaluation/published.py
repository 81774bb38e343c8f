"""Published numbers on SPair-71k, to be set beside ours: data, no code.

Shares in percent. A number that is not published, or was lost on the way here, is None: nothing is filled in.
"""

from __future__ import annotations

from dataclasses import dataclass

CATEGORIES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "train", "tvmonitor",
)  # fmt: skip

TRAJECTORY = "Diffusion Trajectory Modeling (2026), Table 2"
GEOMETRY = "Geometry Matters (3D-SC, 2026), Table C2"
PER_IMAGE_SOURCE = "Geometry Matters (3D-SC, 2026), Tables 1 and C1"
ASIC = "README of ASIC, a re-run"

RAW, SPHERE = "SD+DINOv2", "SD+DINOv2 + sphere"
COUNTERPARTS = {"dinov2-b": "DINOv2-B"}  # our backbone -> the row of its raw features


@dataclass(frozen=True)
class CategoryRow:
    """PCK@0.1 by category, over keypoints.

    Attributes:
        method: its name.
        source: where the numbers were read.
        values: in the order of `CATEGORIES`.
        all: the column "All" as printed; close to the mean over all keypoints, equal to none of the usual means.
    """

    method: str
    source: str
    values: tuple[float | None, ...]
    all: float | None = None


@dataclass(frozen=True)
class ImageRow:
    """PCK per image at 0.01, 0.05 and 0.1, from PER_IMAGE_SOURCE; `supervised`: trained on keypoints."""

    method: str
    values: tuple[float, float, float]
    supervised: bool = False


BY_CATEGORY = (
    CategoryRow(
        "DIFT (SD 2.1)", TRAJECTORY,
        (63.5, 54.5, 80.8, 34.5, 46.2, 52.7, 48.3, 77.7, 39.0, 76.0, 54.9, 61.3, 53.3, 46.0, 57.8, 57.1, 71.1, 63.4),
        57.7,
    ),
    CategoryRow(
        "DINOv2-B", TRAJECTORY,
        (72.7, 62.0, 85.2, 41.3, 40.4, 52.3, 51.5, 71.1, 36.2, 67.1, 64.6, 67.6, 61.0, 68.2, 30.7, 62.0, 54.3, 24.2),
        55.6,
    ),
    CategoryRow(
        RAW, TRAJECTORY,
        (73.0, 64.1, 86.4, 40.7, 52.9, 55.0, 53.8, 78.6, 45.5, 77.3, 64.7, 69.7, 63.3, 69.2, 58.4, 67.6, 66.2, 53.5),
        64.0,
    ),
    CategoryRow(
        SPHERE, GEOMETRY,
        (75.3, 63.8, 87.7, 48.2, 50.9, 74.9, 71.1, 81.7, 47.3, 81.6, 66.9, 73.1, 65.4, 61.8, 55.5, 70.2, 75.0, None),
    ),
    CategoryRow(
        "Left-from-Right, zero-shot", GEOMETRY,
        (78.0, 66.4, 90.2, 44.5, 60.1, 66.6, 60.8, 82.7, 53.2, 82.3, 69.5, 75.1, 66.1, 71.7, 58.9, 71.6, 83.8, None),
    ),
    CategoryRow(
        "DIY-SC", GEOMETRY,
        (77.2, 69.1, 90.8, 54.2, 57.9, 83.7, 77.5, 86.5, 53.1, 86.7, 73.1, 78.5, 72.5, 74.0, 73.5, 76.0, 77.2, None),
    ),
    CategoryRow(
        "3D-SC", GEOMETRY,
        (77.6, 70.3, 90.4, 54.8, 66.1, 86.5, 82.2, 83.5, 56.8, 84.6, 72.6, 77.8, 75.0, 72.5, 68.6, 72.3, 82.9, None),
    ),
    CategoryRow(
        "ASIC", ASIC,
        (57.9, 21.6, 76.6, 20.5, 37.2, 28.1, 25.3, 53.1, 20.6, 44.2, 46.3, 36.9, 26.5, 44.9, 16.5, 24.6, 49.1, 27.2),
        36.5,
    ),
)  # fmt: skip

PER_IMAGE = (
    ImageRow("DINOv2-B", (6.3, 38.4, 53.9)),
    ImageRow("DIFT (SD 2.1)", (7.2, 39.7, 52.9)),
    ImageRow(RAW, (7.9, 44.7, 59.9)),
    ImageRow(SPHERE, (8.4, 48.2, 64.4)),
    ImageRow("DIY-SC", (10.1, 53.8, 71.6)),
    ImageRow("3D-SC", (10.2, 54.8, 73.0)),
    ImageRow("DHF", (8.7, 50.2, 64.9), supervised=True),
    ImageRow("SD+DINOv2 (S)", (9.6, 57.7, 74.6), supervised=True),
    ImageRow("GECO", (14.2, 59.6, 73.6), supervised=True),
    ImageRow("Jamais Vu", (20.5, 71.9, 82.5), supervised=True),
    ImageRow("Left-from-Right", (21.7, 72.8, 83.2), supervised=True),
    ImageRow("MARCO", (27.0, 77.6, 87.2), supervised=True),
    ImageRow("ImCorr", (33.2, 78.9, 86.2), supervised=True),
)

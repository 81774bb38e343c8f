"""Which models a pipeline uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Models:
    """Which backbone and which sphere, each chosen by the other where only one is named.

    Attributes:
        backbone: mini, dinov2-b, local-dir:FOLDER, any ViT of timm, or several joined by +. None: what the
            sphere was trained on, else mini.
        sphere: sphere mapper: mini, a published one that was downloaded, a folder, a Hub id, or none. None: mini for
            the backbone mini, else none.
        resolution: long side of the model's input in pixels. None: the pipeline's own.
        device: auto, cpu, cuda, cuda:1 or mps.
    """

    backbone: str | None = None
    sphere: str | None = None
    resolution: int | None = None
    device: str = "auto"


METHODS = {
    "raw": "nearest features",
    "debiased": "nearest features, less the mean of each grid position",
    "pose-aligned": "Telling Left from Right, zero-shot: sources mirrored where that is nearer, and a soft window",
    "sphere": "nearest on the sphere",
    "fused": "features and sphere",
    "asic": "nearest on a flat atlas of each category, as in ASIC",
    "deil": "nearest on a sphere learned from warps of single images, as in Dense Equivariant Image Labelling",
}
"""What `compare` compares."""

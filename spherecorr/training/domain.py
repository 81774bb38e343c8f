"""What a sphere was trained on, from the crops that it was trained on; see `sphere.domain`."""

from __future__ import annotations

import torch
from torch import Tensor

from spherecorr.sphere.domain import Domain
from spherecorr.training.batches import TrainingCrops

BATCH = 16
SMALLEST = 4  # patches of an object; of fewer the distance says little
FEWEST = 20  # crops that show an object; of fewer too few can be held out


def fit_domain(crops: TrainingCrops, count: int = 2000, seed: int = 0) -> Domain | None:
    """Summarise the objects' patches in crops of training; every tenth image is held out for the threshold.

    Args:
        crops: what a mapper was trained on; images whose crop shows no object are left out.
        count: how many images, spread over all; one crop of each.
        seed: of the crops, and of what is drawn at random.

    Returns:
        None where fewer than 20 of the crops show an object.
    """
    images = torch.linspace(0, len(crops) - 1, min(count, len(crops))).round().long()
    objects: list[Tensor] = []
    for part in images.split(BATCH):
        batch = crops.batch(part, seed + part)
        shown = (tokens[mask].cpu() for tokens, mask in zip(batch.features, batch.mask, strict=True))
        objects += [patches for patches in shown if len(patches) >= SMALLEST]
    if len(objects) < FEWEST:
        return None
    return Domain.fit([patches for i, patches in enumerate(objects) if i % 10], objects[::10], seed)

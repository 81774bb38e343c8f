"""Pictures of a ball from all around, to train on without a backbone."""

import json
import math
from pathlib import Path

import torch
from torch.nn.functional import normalize

from spherecorr.parallel import Processes
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.annotations import Annotations
from spherecorr.training.batches import TensorCrops
from spherecorr.training.settings import LossWeights, TrainSettings


def balls(count: int = 48, side: int = 7, dim: int = 16) -> TensorCrops:
    """Pictures of a ball from all around; a patch's feature tells, linearly, which side of the ball it shows."""
    generator = torch.Generator().manual_seed(0)
    azimuth = torch.rand(count, generator=generator) * 360
    line = torch.linspace(-1.1, 1.1, side)
    down, across = torch.meshgrid(line, line, indexing="ij")
    mask = (across**2 + down**2 < 0.95).reshape(-1)
    towards = (1 - across**2 - down**2).clamp(min=0).sqrt()
    angle = torch.deg2rad(azimuth)[:, None]
    towards, across, up = (value.reshape(1, -1) for value in (towards, across, -down))
    # From azimuth 0 the camera sees +x, with +y on the image's right.
    x = towards * angle.cos() - across * angle.sin()
    y = towards * angle.sin() + across * angle.cos()
    directions = normalize(torch.stack([x, y, up.expand_as(x)], dim=-1), dim=-1) * mask[:, None]
    features = directions @ torch.randn(3, dim, generator=generator)
    features = features + 0.1 * torch.randn(features.shape, generator=generator)
    labels = torch.cat([torch.stack([mask, ~mask], dim=-1).expand(count, -1, -1), directions], dim=-1)
    known = Annotations(
        azimuth, torch.full((count,), math.nan), torch.ones(count), torch.zeros(count).long(), ("ball",)
    )
    return TensorCrops(features.half()[:, None], labels.half()[:, None], known, (side, side))


def everything(data: TensorCrops):
    """The first crops of all images as one batch."""
    return data.batch(torch.arange(len(data)), torch.zeros(len(data), dtype=torch.long))


SETTINGS = TrainSettings(SphereSettings(16, width=32), steps=100, batch=16, tokens=0)
ALL_LOSSES = LossWeights(**dict.fromkeys(vars(LossWeights()).keys() - {"equivariance", "smoothness", "labelling"}, 1))
ALONE = Processes(0, 1, torch.device("cpu"))


def only(name: str) -> LossWeights:
    return LossWeights(**{**dict.fromkeys(vars(LossWeights()), 0.0), name: 1.0})


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

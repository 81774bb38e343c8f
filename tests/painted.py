"""A painted picture and a backbone that sees its colours, for tests of crops."""

import numpy as np
import torch
from PIL import Image

from spherecorr.data.records import ImageRecord
from spherecorr.identity import FeatureSource
from spherecorr.training.batches import LiveCrops

RESOLUTION, CELLS = 96, 6


class MeanColour:
    """The plainest backbone: a patch's feature is its mean colour, -1..1."""

    source = FeatureSource("mean-colour", dim=3, patch=16, layer=0)

    def extract(self, inputs: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(inputs).permute(0, 3, 1, 2).float() / 127.5 - 1
        return torch.nn.functional.avg_pool2d(pixels, self.source.patch)


def painted(folder, size=(96, 96), mask=None) -> ImageRecord:
    """A picture whose colours are its own surface points, varying smoothly over it."""
    columns, rows = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    pixels = np.stack([columns, rows, 255 - columns], axis=-1).round().astype(np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    mask = np.full(size[::-1], 255, np.uint8) if mask is None else mask
    Image.fromarray(mask).save(folder / "mask.png")
    return ImageRecord(
        "blob/picture", folder / "picture.png", size, "blob", (0, 0, *size), {}, 2,
        mask=folder / "mask.png", surface=folder / "picture.png",
    )  # fmt: skip


def live(record: ImageRecord, **options) -> LiveCrops:
    return LiveCrops([record], MeanColour(), RESOLUTION, **options)


def draw(crops, seed: int = 0):
    """The batch of the first image alone."""
    return crops.batch(torch.tensor([0]), torch.tensor([seed]))

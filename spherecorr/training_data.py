"""What a training step takes: views of images with their features and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """One view each of B images, N patches in the views.

    Attributes:
        features: float `[B, N, D]`.
        mask: bool `[B, N]`, patches that the object covers by more than half.
        background: bool `[B, N]`, patches that neither touch the object nor lie beside one that does.
        directions: float `[B, N, 3]`, unit where the surface is known, else 0.
        azimuth: float `[B]` degrees.
        elevation: float `[B]` degrees, NaN where unknown.
        category: int `[B]`, index into the views' `categories`.
    """

    features: Tensor
    mask: Tensor
    background: Tensor
    directions: Tensor
    azimuth: Tensor
    elevation: Tensor
    category: Tensor


class TrainingViews(Protocol):
    """Images to train on, from a store or with the backbone in the loop.

    Attributes:
        categories: names.
        grid: (columns, rows) of every view.
        feature_dim: D.
        has_surface: True if surface points are known for some images.
    """

    categories: tuple[str, ...]
    grid: tuple[int, int]
    feature_dim: int
    has_surface: bool

    def __len__(self) -> int:
        """Images, not views."""

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """Draw one view of each image.

        Args:
            images: indices `[B]`.
            seeds: int `[B]`, one per image: all chance that enters a view comes from its own seed, so that a batch
                split over several processes holds the views of the whole one.
        """

"""Two stored crops of each image, and where the first lies in the second: warps without a backbone in the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spherecorr.crops import crop_box
from spherecorr.data.records import ImageRecord
from spherecorr.store import FeatureStore
from spherecorr.store_settings import StoreError
from spherecorr.training.batches import Batch, StoredCrops
from spherecorr.training.warp import warp_between


class PairedCrops(StoredCrops):
    """Batches of a feature store with a second crop of each image, as `LiveCrops` with `two` gives.

    A crop's box follows from the store's seed and the image's place in it, so that the store holds no boxes.

    Args:
        store: made with labels and with two crops or more of each picture, none of them mirrored.
        records: images in the store, the ones to train on.
        categories: see `read_annotations`.
        device: see `StoredCrops`.

    Raises:
        StoreError: the store has one crop of each picture, or mirrored ones; and see `StoredCrops`.
        DatasetError: see `read_annotations`.
    """

    has_warp = True

    def __init__(
        self,
        store: FeatureStore,
        records: Sequence[ImageRecord],
        categories: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
    ):
        self.made = store.settings
        if self.made.crops < 2 or self.made.mirrored:
            raise StoreError(
                f"Pairs of crops need a store with --crops 2 or more, not mirrored; '{store.folder}' has "
                f"{self.made.crops}{', mirrored' if self.made.mirrored else ''}."
            )
        super().__init__(store, records, categories, device)
        self.sizes = [record.size for record in records]

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """See `TrainingCrops`."""
        crops = self.made.crops
        first = seeds % crops
        second = (first + 1 + seeds // crops % (crops - 1)) % crops  # any of the others
        batch, other = super().batch(images, first), super().batch(images, second)
        warps = [self._warp(*drawn) for drawn in zip(images.tolist(), first.tolist(), second.tolist(), strict=True)]
        return replace(batch, other=other, warp=torch.from_numpy(np.stack(warps)).to(batch.features.device))

    def _warp(self, image: int, first: int, second: int) -> np.ndarray:
        """See `warp_between`."""
        rng = np.random.default_rng((self.made.seed, int(self.places[image])))  # as `extraction.extract` draws them
        cut = self.made.crop, self.made.smallest_crop
        boxes = [crop_box(self.sizes[image], *cut, rng) for _ in range(max(first, second) + 1)]
        return warp_between(boxes[first], boxes[second], self.made)

"""What a training step takes: crops of some images as patch features, with what is known of every patch.

The crops come from tensors, from a feature store, or fresh from the pictures with the backbone in the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from spherecorr.backbones import Backbone
from spherecorr.data.records import ImageRecord
from spherecorr.errors import SpherecorrError
from spherecorr.extraction import cut_crops
from spherecorr.store import FeatureStore
from spherecorr.store_settings import Crop, StoreError, StoreSettings
from spherecorr.training.annotations import Annotations, read_annotations
from spherecorr.training.warp import crop_warp

FOREGROUND = 0.5  # share of a patch; the object covers more of those that count as its own
TRIES = 8  # crops of each image in which live crops look for the object


@dataclass(frozen=True, eq=False)
class Batch:
    """One crop of each of B images, N patches each; perhaps with a second crop of each.

    Attributes:
        features: float `[B, N, D]`.
        mask: bool `[B, N]`, patches that the object covers by more than half.
        background: bool `[B, N]`, patches that neither touch the object nor lie beside one that does.
        directions: float `[B, N, 3]`, unit where the surface is known, else 0.
        azimuth: float `[B]` degrees, NaN where unknown.
        elevation: float `[B]` degrees, NaN where unknown.
        quality: float `[B]`, weight of the viewpoint, 0..1; 0 where none is known.
        category: int `[B]`, index into the crops' `categories`.
        other: second crops of the same images, all patches of each; mirrored where the first ones are.
        warp: float `[B, N, 2]`, where the first crops' patches lie in the second: continuous grid coordinates
            (column, row), NaN outside.
    """

    features: Tensor
    mask: Tensor
    background: Tensor
    directions: Tensor
    azimuth: Tensor
    elevation: Tensor
    quality: Tensor
    category: Tensor
    other: Batch | None = None
    warp: Tensor | None = None

    def take(self, cells: Tensor) -> Batch:
        """Some patches `[B, K]` of each image; second crops stay whole."""
        image = torch.arange(len(cells), device=cells.device)[:, None]
        names = "features", "mask", "background", "directions", "warp"
        taken: dict[str, Any] = {n: value[image, cells] for n, value in self.tensors().items() if n in names}
        return replace(self, **taken)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in self.tensors().items()}
        return replace(self, **moved, other=None if self.other is None else self.other.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """Its own tensors by name, without those of the second crops."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


class TrainingCrops(Protocol):
    """M images of which crops can be drawn.

    Attributes:
        categories: names.
        grid: (columns, rows) of every crop.
        feature_dim: channels D.
        has_surface: whether the surface is known of any image.
        has_warp: whether batches hold two crops of each image.
    """

    categories: tuple[str, ...]
    grid: tuple[int, int]
    feature_dim: int
    has_surface: bool
    has_warp: bool

    def __len__(self) -> int:
        """Images, not crops."""
        ...

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """Draw one crop of each image.

        Args:
            images: indices `[B]`.
            seeds: int `[B]`, one per image: all that is random in a crop comes from its own seed, so that a batch
                split over several processes holds the crops of the whole one.
        """
        ...

    def has_foreground(self) -> bool:
        """Whether in any image the object covers any patch by more than half."""
        ...


class TensorCrops:
    """Crops whose features are at hand, one of each image in a batch; see `TrainingCrops`.

    Args:
        features: float `[S, V, N, D]`, V crops of each of S images; usually float16.
        labels: float `[S, V, N, 5]`, see `crops.cell_labels`.
        known: of the M images to train on.
        grid: (columns, rows), with N cells.
        places: int `[M]`, which of the S images they are; by default all, in order.
        mirrored: crops of odd numbers are mirror images, see `StoreSettings`.
    """

    has_warp = False

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        known: Annotations,
        grid: tuple[int, int],
        places: Tensor | None = None,
        mirrored: bool = False,
    ):
        self.features, self.labels, self.known, self.grid = features, labels, known, grid
        self.places = torch.arange(len(features)) if places is None else places
        self.mirrored = mirrored
        self.categories, self.feature_dim = known.categories, features.shape[-1]
        self.has_surface = bool(labels[..., 2:].any())

    def __len__(self) -> int:
        return len(self.places)

    def has_foreground(self) -> bool:
        """See `TrainingCrops`."""
        return any(bool((self.labels[place][..., 0] > FOREGROUND).any()) for place in self.places.tolist())

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """See `TrainingCrops`; the batch lies where the features lie."""
        device, crop = self.features.device, seeds % self.features.shape[1]
        chosen = self.places[images].to(device), crop.to(device)
        return _batch(self.features[chosen], self.labels[chosen], self.known, images, self.mirrored & (crop % 2 == 1))


class StoredCrops(TensorCrops):
    """Crops from a feature store; see `TrainingCrops`.

    Args:
        store: made with labels.
        records: images in the store, the ones to train on.
        categories: see `read_annotations`.
        device: where batches are wanted. The features move there if they fill no more than half of a GPU's free
            memory; else they stay on disk.

    Raises:
        StoreError: the store has no labels, or lacks an image.
        DatasetError: see `read_annotations`.
    """

    def __init__(
        self,
        store: FeatureStore,
        records: Sequence[ImageRecord],
        categories: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
    ):
        if store.labels is None:
            raise StoreError(f"The store '{store.folder}' has no labels for training; extract with --labels.")
        known = read_annotations(records, categories)
        order = {name: place for place, name in enumerate(store.ids)}
        for record in records:
            if record.id not in order:
                raise StoreError(f"The store '{store.folder}' lacks '{record.path}'; extract it with all images.")
        store.check(records)
        shape = (len(store), store.settings.crops, -1)
        features, labels = (torch.from_numpy(array).unflatten(0, shape) for array in (store.features, store.labels))
        if fits(features.nbytes + labels.nbytes, torch.device(device)):
            features, labels = features.to(device), labels.to(device)
        grid = store.settings.frame((store.settings.resolution,) * 2).grid
        places = torch.tensor([order[record.id] for record in records])
        super().__init__(features, labels, known, grid, places, store.settings.mirrored)


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes may move to a device for good: a GPU with twice as much memory to spare."""
    return device.type == "cuda" and 2 * size <= torch.cuda.mem_get_info(device)[0]


class LiveCrops:
    """Fresh crops at every step, with the backbone in the loop; see `TrainingCrops`.

    Args:
        records: images with masks.
        backbone: frozen; batches lie on its device.
        resolution: side of the square input in pixels.
        crop: see `crops.crop_box`.
        smallest_crop: see `crops.crop_box`.
        categories: see `read_annotations`.
        mirrored: half of the crops are mirror images, see `StoreSettings`.
        two: batches hold a second crop of each image, and where the first lies in it.

    Raises:
        StoreError: two whole pictures, which do not differ; and see `StoreSettings`.
        DatasetError: see `read_annotations`; from `batch` also for a broken file.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        backbone: Backbone,
        resolution: int,
        crop: Crop = "resized",
        smallest_crop: float = 1.0,
        categories: Sequence[str] | None = None,
        mirrored: bool = False,
        two: bool = False,
    ):
        if two and crop == "whole":
            raise StoreError("Two crops of a picture differ only with the crop 'square' or 'resized'.")
        self.known = read_annotations(records, categories)
        self.records, self.backbone = records, backbone
        self.settings = StoreSettings(
            backbone.source, resolution, labels=True, crop=crop, smallest_crop=smallest_crop, mirrored=mirrored
        )
        self.categories, self.feature_dim = self.known.categories, backbone.source.dim
        self.grid = self.settings.frame((resolution, resolution)).grid
        self.has_surface, self.has_warp = any(record.surface for record in records), two

    def __len__(self) -> int:
        return len(self.records)

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """See `TrainingCrops`."""
        first = seeds % 2 if self.settings.mirrored else torch.zeros_like(seeds)  # odd crops are mirror images
        rngs = [np.random.default_rng(seed) for seed in seeds.tolist()]
        batch = self._crops(images, first, rngs)
        if not self.has_warp:
            return batch
        other = self._crops(images, first, rngs)
        warps = [
            crop_warp(self.records[image].size, self.settings, np.random.default_rng(seed), bool(mirrored))
            for image, seed, mirrored in zip(images.tolist(), seeds.tolist(), first, strict=True)
        ]
        return replace(batch, other=other, warp=torch.from_numpy(np.stack(warps)).to(batch.features.device))

    def _crops(self, images: Tensor, first: Tensor, rngs: list[np.random.Generator]) -> Batch:
        """One crop of each image, the next of its random generator."""

        def cut(image: int, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
            return cut_crops(self.records[image], self.settings, rng, first=number)

        with ThreadPoolExecutor() as pool:
            inputs, labels = zip(*pool.map(cut, images.tolist(), first.tolist(), rngs), strict=True)
        features = self.backbone.extract(np.concatenate(inputs)).flatten(2).mT
        taught = torch.from_numpy(np.concatenate(labels)).to(features.device)
        return _batch(features, taught, self.known, images, first == 1)

    def has_foreground(self) -> bool:
        """See `TrainingCrops`; some crops of one image after the other, until there is one."""
        count = 1 if self.settings.crop == "whole" else TRIES
        settings = replace(self.settings, crops=count, mirrored=False)
        for record in self.records:
            _, labels = cut_crops(record, settings, np.random.default_rng(0))
            if labels is not None and (labels[..., 0] > FOREGROUND).any():
                return True
        return False


class JoinedCrops:
    """Images of several sources as one, such as renders and photographs in one batch; see `TrainingCrops`.

    Args:
        parts: with the same categories, grid and channels; their images follow one another.

    Raises:
        SpherecorrError: the parts do not fit together.
    """

    def __init__(self, parts: Sequence[TrainingCrops]):
        self.parts = tuple(parts)
        self.categories, self.grid, self.feature_dim = parts[0].categories, parts[0].grid, parts[0].feature_dim
        for name in ("categories", "grid", "feature_dim"):
            values = [getattr(part, name) for part in parts]
            if any(value != values[0] for value in values):
                raise SpherecorrError(f"Crops of different {name} cannot be joined: {', '.join(map(str, values))}.")
        self.has_surface = any(part.has_surface for part in parts)
        self.has_warp = all(part.has_warp for part in parts)
        self.ends = torch.tensor([len(part) for part in parts]).cumsum(0)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """See `TrainingCrops`."""
        part = torch.bucketize(images, self.ends, right=True)
        batches = []
        for i, crops in enumerate(self.parts):
            if (mine := part == i).any():
                batches.append(crops.batch(images[mine] - self.ends[i] + len(crops), seeds[mine]))
        back = part.argsort(stable=True).argsort()  # from part after part to the order asked for
        return _concatenate([batch.to(batches[0].features.device) for batch in batches], back)

    def has_foreground(self) -> bool:
        """See `TrainingCrops`."""
        return any(part.has_foreground() for part in self.parts)


def _concatenate(batches: list[Batch], order: Tensor) -> Batch:
    """Batches one after the other, then in another order; second crops likewise if all have them."""
    others = [batch.other for batch in batches if batch.other]
    names = batches[0].tensors().keys() - (set() if len(others) == len(batches) else {"warp"})
    columns = {name: torch.cat([batch.tensors()[name] for batch in batches])[order] for name in names}
    return Batch(**columns, other=_concatenate(others, order) if "warp" in names else None)


def _batch(features: Tensor, labels: Tensor, known: Annotations, images: Tensor, mirrored: Tensor) -> Batch:
    """Put together features `[B, N, D]`, labels `[B, N, 5]`, and what is known of the images `[B]`, some mirrored."""
    azimuth = torch.where(mirrored, -1, 1) * known.azimuth[images]
    device = features.device
    return Batch(
        features.float(),
        labels[..., 0] > FOREGROUND,
        labels[..., 1] > 0,
        labels[..., 2:].float(),
        azimuth.to(device),
        known.elevation[images].to(device),
        known.quality[images].to(device),
        known.category[images].to(device),
    )

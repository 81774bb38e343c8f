"""What a training step takes: crops of some images as patch features, with what is known of every patch.

The crops come from tensors, from a feature store, or fresh from the pictures with the backbone in the loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from spherecorr.backbones import Backbone
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.errors import SpherecorrError
from spherecorr.extraction import cut_crops
from spherecorr.store import FeatureStore
from spherecorr.store_settings import Crop, StoreError, StoreSettings

BIN = 45.0  # degrees
UPRIGHT = 90.0  # degrees of elevation at which there is no azimuth


@dataclass(frozen=True, eq=False)
class Batch:
    """One crop of each of B images, N patches each.

    Attributes:
        features: float `[B, N, D]`.
        mask: bool `[B, N]`, patches that the object covers by more than half.
        background: bool `[B, N]`, patches that neither touch the object nor lie beside one that does.
        directions: float `[B, N, 3]`, unit where the surface is known, else 0.
        azimuth: float `[B]` degrees.
        elevation: float `[B]` degrees, NaN where unknown.
        category: int `[B]`, index into the crops' `categories`.
    """

    features: Tensor
    mask: Tensor
    background: Tensor
    directions: Tensor
    azimuth: Tensor
    elevation: Tensor
    category: Tensor

    def take(self, cells: Tensor) -> Batch:
        """Some patches `[B, K]` of each image."""
        image = torch.arange(len(cells), device=cells.device)[:, None]
        names = "features", "mask", "background", "directions"
        return replace(self, **{name: getattr(self, name)[image, cells] for name in names})


class TrainingCrops(Protocol):
    """M images of which crops can be drawn.

    Attributes:
        categories: names.
        grid: (columns, rows) of every crop.
        feature_dim: channels D.
        has_surface: whether the surface is known of any image.
    """

    categories: tuple[str, ...]
    grid: tuple[int, int]
    feature_dim: int
    has_surface: bool

    def __len__(self) -> int:
        """Images, not crops."""
        ...

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """Draw one crop of each image.

        Args:
            images: indices `[B]`.
            seeds: int `[B]`, one per image: all chance that enters a crop comes from its own seed, so that a batch
                split over several processes holds the crops of the whole one.
        """
        ...


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is known of M images as a whole.

    Attributes:
        azimuth: float `[M]` degrees.
        elevation: float `[M]` degrees, NaN where unknown.
        category: int `[M]`, index into `categories`.
        categories: names.
    """

    azimuth: Tensor
    elevation: Tensor
    category: Tensor
    categories: tuple[str, ...]


def annotations(records: Sequence[ImageRecord], categories: Sequence[str] | None = None) -> Annotations:
    """Read viewpoints and categories.

    An azimuth that is known by its bin alone stands in the bin's middle. From straight above or below all azimuths are
    one viewpoint; where none is given, it is 0.

    Args:
        records: images as they were taken; a mirror image would exchange left and right.
        categories: names in the order of their numbers; by default those of the records, sorted.

    Raises:
        DatasetError: no records, or one without mask or azimuth, or of a category that is not among the names.
    """
    if not records:
        raise DatasetError("There are no images to train on.")
    names = tuple(sorted({record.category for record in records}) if categories is None else categories)
    for record in records:
        if record.mask is None:
            raise DatasetError(f"'{record.path}' has no mask; training needs one for every image.")
        azimuth = _azimuth(record)
        if azimuth is None:
            raise DatasetError(f"'{record.path}' has no azimuth; a sphere is trained on images with a viewpoint.")
        if not math.isfinite(azimuth) or not math.isfinite(record.elevation or 0):
            raise DatasetError(f"'{record.path}' has an azimuth or elevation that is no finite number of degrees.")
        if record.category not in names:
            raise DatasetError(
                f"'{record.path}' is of the category '{record.category}', which is not trained; "
                f"there are {', '.join(names)}."
            )
    return Annotations(
        torch.tensor([_azimuth(record) for record in records], dtype=torch.float32),
        torch.tensor([math.nan if r.elevation is None else r.elevation for r in records], dtype=torch.float32),
        torch.tensor([names.index(record.category) for record in records]),
        names,
    )


def _azimuth(record: ImageRecord) -> float | None:
    if record.azimuth is not None:
        return record.azimuth
    if record.azimuth_bin is not None:
        return (record.azimuth_bin + 0.5) * BIN
    return 0.0 if abs(record.elevation or 0) == UPRIGHT else None


class TensorCrops:
    """Crops whose features are at hand; see `TrainingCrops`.

    Args:
        features: float `[S, V, N, D]`, V crops of each of S images; usually float16.
        labels: float `[S, V, N, 5]`, see `crops.cell_labels`.
        known: of the M images to train on.
        grid: (columns, rows), with N cells.
        places: int `[M]`, which of the S images they are; by default all, in order.
        mirrored: crops of odd numbers are mirror images, see `StoreSettings`.
    """

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
        categories: see `annotations`.
        device: where batches are wanted. The features move there if they fill no more than half of a GPU's free
            memory; else they stay on disk.

    Raises:
        StoreError: the store has no labels, or lacks an image.
        DatasetError: see `annotations`.
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
        known = annotations(records, categories)
        order = {name: place for place, name in enumerate(store.ids)}
        for record in records:
            if record.id not in order:
                raise StoreError(f"The store '{store.folder}' lacks '{record.path}'; extract it with all images.")
        shape = (len(store), store.settings.crops, -1)
        values = [torch.from_numpy(values).unflatten(0, shape) for values in (store.features, store.labels)]
        if fits(sum(value.nbytes for value in values), torch.device(device)):
            values = [value.to(device) for value in values]
        grid = store.settings.frame((store.settings.resolution,) * 2).grid
        places = torch.tensor([order[record.id] for record in records])
        super().__init__(*values, known, grid, places, store.settings.mirrored)


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
        categories: see `annotations`.
        mirrored: half of the crops are mirror images, see `StoreSettings`.

    Raises:
        StoreError: see `StoreSettings`.
        DatasetError: see `annotations`; from `batch` also for a broken file.
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
    ):
        self.known = annotations(records, categories)
        self.records, self.backbone = records, backbone
        cut = {"crop": crop, "smallest_crop": smallest_crop, "mirrored": mirrored}
        self.settings = StoreSettings(backbone.source, resolution, labels=True, **cut)
        self.categories, self.feature_dim = self.known.categories, backbone.source.dim
        self.grid = self.settings.frame((resolution, resolution)).grid
        self.has_surface = any(record.surface for record in records)

    def __len__(self) -> int:
        return len(self.records)

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """See `TrainingCrops`."""

        def cut(image: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
            return cut_crops(self.records[image], self.settings, np.random.default_rng(seed), first=seed % 2)

        with ThreadPoolExecutor() as pool:
            inputs, labels = zip(*pool.map(cut, images.tolist(), seeds.tolist()), strict=True)
        features = self.backbone.extract(np.concatenate(inputs)).flatten(2).mT
        taught = torch.from_numpy(np.concatenate(labels)).to(features.device)
        return _batch(features, taught, self.known, images, self.settings.mirrored & (seeds % 2 == 1))


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
        device = batches[0].features.device
        columns = ([getattr(batch, part.name).to(device) for batch in batches] for part in fields(Batch))
        return Batch(*(torch.cat(column)[back] for column in columns))


def _batch(features: Tensor, labels: Tensor, known: Annotations, images: Tensor, mirrored: Tensor) -> Batch:
    """Put together features `[B, N, D]`, labels `[B, N, 5]`, and what is known of the images `[B]`, some mirrored."""
    azimuth = torch.where(mirrored, -1, 1) * known.azimuth[images]
    whole = (values.to(features.device) for values in (azimuth, known.elevation[images], known.category[images]))
    return Batch(features.float(), labels[..., 0] > 0.5, labels[..., 1] > 0, labels[..., 2:].float(), *whole)

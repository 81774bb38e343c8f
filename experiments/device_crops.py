"""Fresh crops cut on a GPU: pictures, masks and directions lie in its memory, and every step sees other cuts of them.

`spherecorr.training.batches.LiveCrops` cuts on the processor, some tens a second; this cuts thousands. It draws more
widely, too: windows of several shapes, from a part of the object to a picture smaller than the window, other
backgrounds behind renders, changed colours, mirror images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, max_pool2d, normalize

from spherecorr.crops import SEEN
from spherecorr.data.records import ImageRecord
from spherecorr.dense_labels import Templates, label_directions, main_parts
from spherecorr.sphere.mapper import grid_positions
from spherecorr.training.annotations import read_annotations
from spherecorr.training.batches import FOREGROUND, Batch
from spherecorr.training.fit import Trainer
from spherecorr.training.objectives import StepState

SIDE, PATCH = 448, 16
COARSE = 2  # directions are kept at a half of the pictures' resolution
GRIDS = (
    (28, 28),
    (28, 28),
    (28, 21),
    (21, 28),
    (28, 16),
    (28, 12),
)  # (columns, rows) of the windows, drawn alike often
REPLACED = 0.7  # share of the renders that get another background


def load(record: ImageRecord, templates: dict[str, Templates] | None = None) -> tuple[np.ndarray, ...]:
    """A picture at the top left of a square: uint8 `[S, S, 3]`, mask, directions int8 `[S/2, S/2, 3]`, size."""
    picture, mask = np.asarray(record.load_picture()), main_parts(record.load_mask())
    directions = np.zeros((*mask.shape, 3), np.float32)
    if record.surface is not None:
        directions = record.load_surface() * mask[..., None]
    elif templates and record.category in templates and record.azimuth is not None:
        directions = label_directions(mask, record.azimuth, templates[record.category])
    scale = SIDE / max(mask.shape)
    width, height = (max(PATCH, round(side * scale)) for side in mask.shape[::-1])
    square = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    square[0][:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    square[1][:height, :width] = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    coarse = np.zeros((SIDE // COARSE, SIDE // COARSE, 3), np.int8)
    half = width // COARSE, height // COARSE
    coarse[: half[1], : half[0]] = np.round(cv2.resize(directions, half, interpolation=cv2.INTER_NEAREST) * 127)
    return *square, coarse, np.array([width, height])


class Pictures:
    """Pictures on a device, with their masks and directions, at the top left of squares.

    Args:
        records: with masks.
        templates: for the directions of photographs, see `dense_labels`.
        processes: that load.
        device: where they lie.
    """

    def __init__(self, records: Sequence[ImageRecord], templates: dict[str, Templates], processes: int, device: str):
        with ProcessPoolExecutor(processes) as pool:
            loaded = list(pool.map(partial(load, templates=templates), records, chunksize=16))
        pictures, masks, directions, sizes = (torch.from_numpy(np.stack(c)) for c in zip(*loaded, strict=True))
        self.pictures, self.masks, self.directions = (v.to(device) for v in (pictures, masks, directions))
        self.sizes, self.boxes = sizes.to(device).float(), _boxes(masks).to(device)
        self.rendered = torch.tensor([r.surface is not None for r in records], device=device)
        self.known = read_annotations(records)


class DeviceCrops:
    """See `TrainingCrops`.

    Args:
        shown: the pictures.
        places: int `[M]`, which of them have their turn in an epoch; one may stand there several times.
        extract: pixels `[B, 3, height, width]` in 0..1 -> features `[B, D, rows, columns]`.
        feature_dim: D.
        backgrounds: uint8 `[K, S, S, 3]`, for renders.
        dense: photographs have directions.
    """

    has_surface, has_warp = True, False

    def __init__(
        self,
        shown: Pictures,
        places: Tensor,
        extract: Callable[[Tensor], Tensor],
        feature_dim: int,
        backgrounds: Tensor,
        dense: bool = True,
    ):
        self.shown, self.places, self.dense = shown, places, dense
        self.extract, self.feature_dim, self.backgrounds = extract, feature_dim, backgrounds
        self.device, self.known = shown.masks.device, shown.known
        self.categories, self.grid, self.drawn = self.known.categories, GRIDS[0], 0

    def __len__(self) -> int:
        return len(self.places)

    def has_foreground(self) -> bool:
        """See `TrainingCrops`."""
        return bool(self.shown.masks.any())

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """See `TrainingCrops`; all crops of a batch have one grid, which `grid` says."""
        chosen = self.places[images]
        generator = torch.Generator(self.device).manual_seed(int(seeds.sum()))
        self.grid, self.drawn = GRIDS[int(seeds[0]) % len(GRIDS)], len(chosen)
        place = chosen.to(self.device)
        window, mirrored = self._windows(place, generator)
        pixels, mask = self._pictures(place, generator)
        columns, rows = self.grid
        points = affine_grid(window, (len(place), 1, rows * PATCH, columns * PATCH), align_corners=False)
        pixels = grid_sample(pixels, points, padding_mode="zeros", align_corners=False)
        mask = grid_sample(mask, points, align_corners=False)
        content = (points + 1) * SIDE / 2 < self.shown.sizes[place][:, None, None]
        inside = ((points > -1) & content).all(dim=-1)[:, None]
        fill = torch.rand(len(place), 3, 1, 1, generator=generator, device=self.device)
        dark = torch.rand(len(place), 1, 1, 1, generator=generator, device=self.device) < 0.6
        pixels = torch.where(inside, recolour(pixels, generator), torch.where(dark, 0.0, fill))
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
            features = self.extract(pixels)
        coverage = avg_pool2d(mask * inside, PATCH)
        labels = self._directions(place, points, mask * inside, coverage, mirrored)
        return self._labelled(chosen, features, coverage, labels, mirrored)

    def positions(self) -> Tensor:
        """`grid_positions` of the patches of the last batch `[B, N, 2]`."""
        return grid_positions(self.grid).to(self.device).expand(self.drawn, -1, -1)

    def _windows(self, place: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Affine maps `[B, 2, 3]` from a window to the squares, and which of them mirror, bool `[B]`.

        Half of the windows show about the whole picture, half a part of it around the object.
        """

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            drawn = torch.rand(len(place), *shape, generator=generator, device=self.device)
            return low + (high - low) * drawn

        aspect = torch.tensor([self.grid[0] / self.grid[1], 1.0], device=self.device)
        left_top, right_bottom = self.shown.boxes[place].split(2, dim=1)
        size, centre = right_bottom - left_top, (left_top + right_bottom) / 2
        whole = (self.shown.sizes[place] / aspect).max(dim=1).values * uniform(0.85, 1.1)
        near = (size / aspect).max(dim=1).values / uniform(0.4, 1.15)
        tight = uniform(0, 1) < 0.5
        height = torch.where(tight, torch.minimum(near, 1.2 * whole), whole)[:, None].clamp(min=4 * PATCH)
        extent = height * aspect
        middle = torch.where(tight[:, None], centre + uniform(-0.25, 0.25, 2) * torch.maximum(size, 0.3 * extent),
                             self.shown.sizes[place] / 2 + uniform(-0.05, 0.05, 2) * extent)  # fmt: skip
        mirrored = uniform(0, 1) < 0.5
        scale, shift = extent / SIDE, middle / SIDE * 2 - 1
        window = torch.zeros(len(place), 2, 3, device=self.device)
        window[:, 0, 0] = torch.where(mirrored, -scale[:, 0], scale[:, 0])
        window[:, 1, 1], window[:, :, 2] = scale[:, 1], shift
        return window, mirrored

    def _pictures(self, place: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The squares `[B, 3, S, S]` in 0..1, renders in front of other backgrounds, and their masks `[B, 1, S, S]`."""
        pictures, mask = self.shown.pictures[place], self.shown.masks[place][..., None].bool()
        drawn = torch.rand(len(place), generator=generator, device=self.device)
        other = torch.randint(len(self.backgrounds), (len(place),), generator=generator, device=self.device)
        replace = (drawn < REPLACED) & self.shown.rendered[place]
        pictures = torch.where(replace[:, None, None, None] & ~mask, self.backgrounds[other], pictures)
        return pictures.movedim(-1, 1).float() / 255, mask.movedim(-1, 1).float()

    def _directions(self, place: Tensor, points: Tensor, mask: Tensor, coverage: Tensor, mirrored: Tensor) -> Tensor:
        """`[B, 3, rows, columns]`, 0 where the surface is not known."""
        stride = points[:, COARSE // 2 :: COARSE, COARSE // 2 :: COARSE]
        directions = self.shown.directions[place].movedim(-1, 1).float() / 127
        sampled = grid_sample(directions, stride, mode="nearest", align_corners=False)
        mean = avg_pool2d(sampled, PATCH // COARSE)
        mean[:, 1] = torch.where(mirrored[:, None, None], -mean[:, 1], mean[:, 1])
        known = (coverage >= SEEN) & (mean.norm(dim=1, keepdim=True) > 1e-3)
        if not self.dense:
            known = known & self.shown.rendered[place][:, None, None, None]
        return normalize(mean, dim=1) * known

    def _labelled(
        self, chosen: Tensor, features: Tensor, coverage: Tensor, directions: Tensor, mirrored: Tensor
    ) -> Batch:
        known, device = self.known, self.device
        azimuth = known.azimuth[chosen].to(device)
        return Batch(
            features.flatten(2).mT.float(),
            (coverage > FOREGROUND).flatten(1),
            (max_pool2d(coverage, 3, 1, 1) == 0).flatten(1),
            directions.flatten(2).mT,
            torch.where(mirrored, -azimuth, azimuth),
            known.elevation[chosen].to(device),
            known.quality[chosen].to(device),
            known.category[chosen].to(device),
        )


class PatchTrainer(Trainer):
    """Takes all patches of its batches, whose `positions` the crops tell: their grids differ."""

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Trainer`."""
        positions = self.data.positions()
        points, logits = self.map(batch.features, positions)
        state = StepState(
            batch, positions, points, logits, self.mapper.surface, generator, self.settings.triplets, self.world,
            self.rebuild, self.data.grid, self.map_whole,
        )  # fmt: skip
        return {name: term.value(state) for name, term in self.terms.items()}


def recolour(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation, tint and sharpness of pictures `[B, 3, h, w]` in 0..1 at random."""

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        drawn = torch.rand(len(pixels), channels, 1, 1, generator=generator, device=pixels.device)
        return low + (high - low) * drawn

    grey = pixels.mean(dim=1, keepdim=True)
    saturation = torch.where(uniform(0, 1) < 0.12, 0.0, uniform(0.4, 1.5))
    pixels = grey + saturation * (pixels - grey)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (mean + uniform(0.6, 1.4) * (pixels - mean)) * uniform(0.7, 1.3) * uniform(0.9, 1.1, 3)
    soft = avg_pool2d(pixels, 5, 1, 2, count_include_pad=False)
    share = torch.where(uniform(0, 1) < 0.25, uniform(0.3, 1.0), 0.0)
    pixels = pixels + share * (soft - pixels)
    noise = torch.randn(pixels.shape, generator=generator, device=pixels.device)
    return (pixels + uniform(0, 0.03) * noise).clamp(0, 1)


def _boxes(masks: Tensor) -> Tensor:
    """Left, top, right, bottom of every mask `[M, S, S]`: float `[M, 4]`."""
    boxes = []
    for mask in masks.numpy():
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return torch.tensor(boxes, dtype=torch.float32)

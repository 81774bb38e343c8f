"""Fit a sphere mapper on frozen features: the paper's four losses and, on renders, the surface's own directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from spherecorr.backbones import Backbone
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.geometry import average_over_cells, frame_image, pad
from spherecorr.images import load_image
from spherecorr.sphere.losses import (
    background_loss,
    orientation_loss,
    reconstruction_loss,
    relative_distance_loss,
    sample_triplets,
    surface_loss,
    view_cosines,
    viewpoint_loss,
)
from spherecorr.sphere.mapper import BELOW, SphereMapper, SphereSettings, frame_positions
from spherecorr.sphere.prototypes import Prototypes

MIN_STEPS = 20  # the one-cycle schedule needs a step or two to rise


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; the defaults are the paper's, which has no surface loss and no background loss."""

    reconstruction: float = 1.0
    viewpoint: float = 0.1
    distance: float = 0.3
    orientation: float = 0.3
    surface: float = 0.0
    background: float = 0.0

    def __post_init__(self):
        weights = asdict(self).values()
        if min(weights) < 0 or not any(weights):
            raise ValueError("A loss's weight is 0 or more, and at least one is above 0.")


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes:
        sphere: the mapper's own settings.
        weights: of the losses.
        steps: of the optimiser.
        batch: images in a step.
        tokens: patches drawn from each image in a step, background included; 0 takes all.
        triplets: per image and step, for each of the two losses that use them.
        learning_rate: highest of a one-cycle schedule.
        weight_decay: of AdamW.
        seed: of everything.
    """

    sphere: SphereSettings
    weights: LossWeights = field(default_factory=LossWeights)
    steps: int = 2000
    batch: int = 48
    tokens: int = 256
    triplets: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self):
        if self.steps < MIN_STEPS or self.batch < 1 or self.tokens < 0:
            raise ValueError(f"Training takes at least {MIN_STEPS} steps, a batch of 1 or more, tokens of 0 or more.")


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Features and labels of M square pictures with N patches each, in memory.

    Attributes:
        features: float16 `[M, N, D]`.
        mask: bool `[M, N]`, patches that the object covers by more than half.
        background: bool `[M, N]`, patches that neither touch the object nor lie beside one that does. Ears, wing tips
            and wheels cover their patches in part only, and must not be taught to be background.
        directions: float16 `[M, N, 3]`, unit where the surface is known and covers 5 % of the patch, else 0.
        azimuth: float `[M]` degrees.
        category: int `[M]`, index into `categories`.
        positions: `[N, 2]` from `frame_positions`.
        grid: (columns, rows).
        categories: names.
    """

    features: Tensor
    mask: Tensor
    background: Tensor
    directions: Tensor
    azimuth: Tensor
    category: Tensor
    positions: Tensor
    grid: tuple[int, int]
    categories: tuple[str, ...]


def training_set(
    records: Sequence[ImageRecord],
    backbone: Backbone,
    resolution: int,
    tick: Callable[[Sequence], Sequence] = iter,
    smallest_crop: float = 1.0,
    seed: int = 0,
) -> TrainingSet:
    """Compute the features of every record once.

    Args:
        records: images with masks; no mirror images, which would exchange left and right.
        backbone: frozen.
        resolution: side of the square input; a multiple of the patch.
        tick: wraps the records, to show progress.
        smallest_crop: each picture is cut to a random square of this share of its shorter side, up to all of it; 1
            takes whole pictures, padded to squares.
        seed: of the crops.

    Raises:
        DatasetError: no records, or one without a mask of the image's size.
        ValueError: `smallest_crop` outside 0..1, or a resolution that is no multiple of the patch.
    """
    if not 0 < smallest_crop <= 1:
        raise ValueError(f"The smallest crop is a share above 0 and at most 1; got {smallest_crop:g}.")
    if not records:
        raise DatasetError("There are no images to train on.")
    for record in records:
        if record.azimuth is None and record.azimuth_bin is None:
            raise DatasetError(f"Image '{record.id}' has no azimuth; a sphere is trained on images with a viewpoint.")
    categories = tuple(sorted({record.category for record in records}))
    rng = np.random.default_rng(seed)
    frame = pad((resolution, resolution), resolution, backbone.source.patch)
    count, cells = len(records), frame.grid[0] * frame.grid[1]
    features = torch.empty(count, cells, backbone.source.dim, dtype=torch.float16)
    mask = torch.empty(count, cells, dtype=torch.bool)
    background = torch.empty(count, cells, dtype=torch.bool)
    directions = torch.zeros(count, cells, 3, dtype=torch.float16)
    for index, record in enumerate(tick(records)):
        image, object_mask = load_image(record.path), record.load_mask()
        if object_mask.shape != (image.height, image.width):
            raise DatasetError(f"The mask '{record.mask}' has not the size of its image.")
        surface = record.load_surface() if record.surface else None
        box = _random_square(image.size, smallest_crop, rng)
        image, object_mask = image.crop(box), _cut(object_mask, box)
        frame = pad(image.size, resolution, backbone.source.patch)
        features[index] = backbone.extract(frame_image(image, frame)[None])[0].flatten(1).T.half()
        coverage = average_over_cells(object_mask, frame)
        mask[index] = torch.from_numpy(coverage.reshape(-1) > 0.5)
        background[index] = torch.from_numpy(cv2.dilate(coverage, np.ones((3, 3))).reshape(-1) == 0)
        if surface is not None:
            mean = average_over_cells(_cut(surface, box) * object_mask[..., None], frame).reshape(-1, 3)
            mean[coverage.reshape(-1) < 0.05] = 0
            directions[index] = normalize(torch.from_numpy(mean), dim=-1).half()
    return TrainingSet(
        features,
        mask,
        background,
        directions,
        torch.tensor([r.azimuth_bin * 45 + 22.5 if r.azimuth is None else r.azimuth for r in records]),
        torch.tensor([categories.index(r.category) for r in records]),
        frame_positions(pad((resolution, resolution), resolution, backbone.source.patch)),
        frame.grid,
        categories,
    )


def fit(
    data: TrainingSet,
    settings: TrainSettings,
    report: Callable[[str], None] = print,
    start: SphereMapper | None = None,
) -> SphereMapper:
    """Train a mapper; its prototypes are dropped.

    Args:
        data: from `training_set`.
        settings: see there.
        report: gets a line of text every 50 steps: each loss's mean since the last.
        start: a mapper of the same shape whose weights are the beginning; random ones by default.

    Returns:
        The mapper, with `categories` and `background` filled in.

    Raises:
        ValueError: the surface loss has a weight, but the images have no surface points; or `start` has another shape.
    """
    if settings.weights.surface and not data.directions.any():
        raise ValueError("The surface loss needs renders: these images have no surface points.")
    shape = ("feature_dim", "channels", "depth", "positions")
    if start is not None and any(getattr(start.settings, n) != getattr(settings.sphere, n) for n in shape):
        raise ValueError("The mapper to start from has another feature size, width, depth or positions.")
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    background = "below" if settings.weights.background else "free"
    mapper = SphereMapper(replace(settings.sphere, categories=data.categories, background=background))
    if start is not None:
        mapper.load_state_dict(start.state_dict())
    prototypes = Prototypes(settings.sphere.feature_dim, len(data.categories))
    modules = nn.ModuleList([mapper, prototypes])
    optimiser = torch.optim.AdamW(modules.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, settings.steps, pct_start=0.1, cycle_momentum=False
    )
    history: list[dict[str, float]] = []
    for step in range(settings.steps):
        losses = _losses(mapper, prototypes, data, settings, generator)
        total = sum(getattr(settings.weights, name) * value for name, value in losses.items())
        optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        history.append({name: value.item() for name, value in losses.items()})
        if step % 50 == 49:
            means = (f"{name} {np.mean([row[name] for row in history[-50:]]):.3f}" for name in losses)
            report(f"step {step + 1}/{settings.steps}  " + "  ".join(means))
    return mapper.eval()


def _losses(
    mapper: SphereMapper, prototypes: Prototypes, data: TrainingSet, settings: TrainSettings, generator: torch.Generator
) -> dict[str, Tensor]:
    """Every loss with a weight, on a random batch."""
    images = torch.randint(len(data.features), (settings.batch,), generator=generator)
    cells = torch.arange(len(data.positions))
    if settings.tokens:
        cells = torch.randperm(len(cells), generator=generator)[: settings.tokens]
    chosen = images[:, None], cells[None]
    features, mask = data.features[chosen].float(), data.mask[chosen]
    columns = data.grid[0]
    places = torch.stack([cells // columns, cells % columns], dim=-1).float()
    sphere = mapper(features, data.positions[cells].expand(len(images), -1, -1))
    weights = settings.weights
    losses: dict[str, Tensor] = {}
    if weights.reconstruction:
        losses["reconstruction"] = reconstruction_loss(features, prototypes(sphere, data.category[images, None]), mask)
    if weights.viewpoint:
        losses["viewpoint"] = viewpoint_loss(sphere, mask, view_cosines(data.azimuth[images]))
    if weights.distance:
        triplets = sample_triplets(mask, settings.triplets, generator)
        losses["distance"] = relative_distance_loss(sphere, places, *triplets)
    if weights.orientation:
        triplets = sample_triplets(mask, settings.triplets, generator)
        losses["orientation"] = orientation_loss(sphere, places, *triplets)
    if weights.surface:
        directions = data.directions[chosen].float()
        losses["surface"] = surface_loss(sphere, directions, directions.abs().sum(dim=-1) > 0)
    if weights.background:
        losses["background"] = background_loss(sphere, data.background[chosen], torch.tensor(BELOW))
    return losses


def _random_square(size: tuple[int, int], smallest: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels; the whole picture for `smallest` 1."""
    if smallest == 1:
        return (0, 0, *size)
    side = round(min(size) * rng.uniform(smallest, 1))
    left, top = (int(rng.integers(0, room - side + 1)) for room in size)
    return left, top, left + side, top + side


def _cut(values: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    return values[top:bottom, left:right]

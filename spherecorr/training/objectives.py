"""The terms of the training loss by name: each is computed from the state of one step, and weighted by `LossWeights`.

A new objective is a function of `StepState`, an entry in `TERMS` and a weight of the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from spherecorr.errors import SpherecorrError
from spherecorr.parallel import Processes
from spherecorr.sphere.losses import (
    background_loss,
    camera_directions,
    equivariance_loss,
    foreground_loss,
    orientation_loss,
    reconstruction_loss,
    relative_distance_loss,
    sample_cells,
    sample_triplets,
    surface_loss,
    view_cosines,
    viewpoint_loss,
    visibility_loss,
)
from spherecorr.sphere.mapper import BELOW
from spherecorr.sphere.related_losses import (
    correspondence_loss,
    labelling_loss,
    mutual_neighbours,
    smoothness_loss,
)
from spherecorr.sphere.surface import Surface
from spherecorr.training.batches import Batch, TrainingCrops
from spherecorr.training.settings import LossWeights, TrainSettings


@dataclass(frozen=True, eq=False)
class StepState:
    """What the terms of one step are computed from.

    Attributes:
        batch: this process's b images, with the patches that were drawn from them.
        positions: float `[b, N, 2]`, centres of these patches, see `frame_positions`.
        points: float `[b, N, dim]`, where the mapper sends them; 0 where no term wants them.
        logits: float `[b, N]` of a mapper that tells the object's patches, see `SphereMapper.answer`; else None.
        surface: on which the points lie.
        generator: random generator of this step.
        triplets: to draw per image.
        processes: that share the batch.
        rebuild: the prototypes, of points `[M, dim]` and categories `[M]`: `[M, D]`.
        grid: (columns, rows) of the crops.
        map_whole: points `[b, P, dim]` of all patches of whole crops, such as the batch's second ones.
    """

    batch: Batch
    positions: Tensor
    points: Tensor
    logits: Tensor | None
    surface: Surface
    generator: torch.Generator
    triplets: int
    processes: Processes
    rebuild: Callable[[Tensor, Tensor], Tensor]
    grid: tuple[int, int]
    map_whole: Callable[[Batch], Tensor]

    @cached_property
    def all_points(self) -> Tensor:
        """The points of all processes `[B, N, dim]`; gradients reach this process's."""
        return self.gather(self.points)

    @cached_property
    def all_masks(self) -> Tensor:
        """The masks of all processes `[B, N]`."""
        return self.gather(self.batch.mask)

    @cached_property
    def all_places(self) -> Tensor:
        """(row, column) of the patches of all processes `[B, N, 2]`."""
        return self.gather(self.positions).flip(-1)

    def gather(self, values: Tensor) -> Tensor:
        """The values `[b, ...]` of all processes `[B, ...]`."""
        return self.processes.all_gather(values)

    def draw_triplets(self) -> tuple[Tensor, Tensor]:
        """See `sample_triplets`; of the images of all processes, which draw the same ones."""
        # Drawn on the CPU, whose random generator gives the same numbers on every machine.
        triplets, present = sample_triplets(self.all_masks.cpu(), self.triplets, self.generator)
        return triplets.to(self.points.device), present.to(self.points.device)

    def mean_of_all(self, mean: Tensor, count: Tensor) -> Tensor:
        """The mean over all processes, from this one's mean of `count` values; gradients reach this process's part."""
        part = count / self.processes.all_reduce(count).clamp(min=1) * mean
        return part + (self.processes.all_reduce(part) - part.detach())


def _foreground(batch: Batch) -> Tensor:
    return batch.mask


def _surface_known(batch: Batch) -> Tensor:
    return batch.directions.any(dim=-1)


def _background(batch: Batch) -> Tensor:
    return batch.background


@dataclass(frozen=True)
class LossTerm:
    """One term of the loss.

    Attributes:
        value: a scalar from the state of a step, with gradient.
        patches: bool `[b, N]`, those of a batch whose points it needs.
        sphere_only: True if it has no meaning on other surfaces.
        plane_only: likewise.
        needs: attribute of `TrainingCrops` that must be True, and why, for a message; None if any crops will do.
    """

    value: Callable[[StepState], Tensor]
    patches: Callable[[Batch], Tensor] = _foreground
    sphere_only: bool = False
    plane_only: bool = False
    needs: tuple[str, str] | None = None


def _reconstruction(state: StepState) -> Tensor:
    batch, mask = state.batch, state.batch.mask
    rebuilt = state.rebuild(state.points[mask], batch.category[:, None].expand_as(mask)[mask])
    return state.mean_of_all(reconstruction_loss(batch.features[mask], rebuilt), mask.sum())


def _viewpoint(state: StepState) -> Tensor:
    cosines = view_cosines(state.gather(state.batch.azimuth), state.gather(state.batch.elevation))
    return viewpoint_loss(state.all_points, state.all_masks, cosines, state.gather(state.batch.quality))


def _distance(state: StepState) -> Tensor:
    return relative_distance_loss(state.all_points, state.all_places, *state.draw_triplets(), surface=state.surface)


def _orientation(state: StepState) -> Tensor:
    return orientation_loss(state.all_points, state.all_places, *state.draw_triplets(), surface=state.surface)


def _surface(state: StepState) -> Tensor:
    known = _surface_known(state.batch)
    return surface_loss(state.all_points, state.gather(state.batch.directions), state.gather(known))


def _below(state: StepState) -> Tensor:
    below = state.points.new_tensor(BELOW)
    return background_loss(state.all_points, state.gather(state.batch.background), below)


def _tell_foreground(state: StepState) -> Tensor:
    assert state.logits is not None  # `fit` makes a mapper with that head for this term
    return foreground_loss(
        state.gather(state.logits), state.gather(state.batch.mask), state.gather(state.batch.background)
    )


def _visibility(state: StepState) -> Tensor:
    seen = state.all_masks & (state.gather(state.batch.quality) > 0)[:, None]
    cameras = camera_directions(state.gather(state.batch.azimuth), state.gather(state.batch.elevation))
    return visibility_loss(state.all_points, seen, cameras)


def _equivariance(state: StepState) -> Tensor:
    batch, other = state.batch, state.batch.other
    assert other is not None and batch.warp is not None  # `check_terms` has seen to it
    expected, seen = sample_cells(state.map_whole(other), other.mask, batch.warp, state.grid)
    kept = batch.mask & seen
    loss = equivariance_loss(state.points, state.surface.nearest(expected), kept, state.surface)
    return state.mean_of_all(loss, kept.sum())


def _correspondence(state: StepState) -> Tensor:
    """Each image with the next one of its category in the batch of all processes."""
    image, partner = next_alike(state.gather(state.batch.category))
    features, masks, points = state.gather(state.batch.features), state.all_masks, state.all_points
    matches = mutual_neighbours(features[image], features[partner], masks[image], masks[partner])
    return correspondence_loss(points[image], points[partner], masks[partner], matches)


def next_alike(category: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the images `[B]` with another of their category, and of the next one of it, in a ring."""
    count = len(category)
    place = torch.arange(count, device=category.device)
    steps = (place[None, :] - place[:, None]) % count
    alike = (category[:, None] == category[None, :]) & (steps > 0)
    nearest = torch.where(alike, steps, count).argmin(dim=1)
    image = alike.any(dim=1).nonzero()[:, 0]
    return image, nearest[image]


def _smoothness(state: StepState) -> Tensor:
    step = 2 / max(state.grid)  # see `mapper.grid_positions`
    return smoothness_loss(state.all_points, state.gather(state.positions), state.all_masks, step)


def _labelling(state: StepState) -> Tensor:
    batch, other = state.batch, state.batch.other
    assert other is not None and batch.warp is not None  # `check_terms` has seen to it
    loss = labelling_loss(state.points, state.map_whole(other), batch.warp, state.grid, batch.mask)
    return state.mean_of_all(loss, (batch.mask & batch.warp.isfinite().all(dim=-1)).sum())


SURFACE_POINTS = ("has_surface", "needs renders: these images have no surface points")
TWO_CROPS = (
    "has_warp",
    "needs two crops of each image, 'square' or 'resized': drawn live (--live), or --crops 2",
)

# In this order they draw from the step's random generator.
TERMS = {
    "reconstruction": LossTerm(_reconstruction),
    "viewpoint": LossTerm(_viewpoint, sphere_only=True),
    "distance": LossTerm(_distance),
    "orientation": LossTerm(_orientation),
    "surface": LossTerm(_surface, _surface_known, sphere_only=True, needs=SURFACE_POINTS),
    "background": LossTerm(_below, _background, sphere_only=True),
    "visibility": LossTerm(_visibility, sphere_only=True),
    "equivariance": LossTerm(_equivariance, needs=TWO_CROPS),
    "foreground": LossTerm(_tell_foreground, lambda batch: batch.mask | batch.background, sphere_only=True),
    "correspondence": LossTerm(_correspondence),
    "smoothness": LossTerm(_smoothness, plane_only=True),
    "labelling": LossTerm(_labelling, sphere_only=True, needs=TWO_CROPS),
}


def weighted_terms(weights: LossWeights) -> dict[str, LossTerm]:
    """The terms with a weight."""
    return {name: term for name, term in TERMS.items() if getattr(weights, name)}


def check_terms(settings: TrainSettings, data: TrainingCrops) -> None:
    """Refuse a term that has no meaning on the mapper's surface, or for which the data lack something.

    Raises:
        SpherecorrError: names the first such term.
    """
    for name, term in weighted_terms(settings.weights).items():
        surface = settings.sphere.surface
        if (term.sphere_only and surface != "sphere") or (term.plane_only and surface != "plane"):
            raise SpherecorrError(f"The {name} loss has no meaning on a {surface}; set its weight to 0.")
        if term.needs and not getattr(data, term.needs[0]):
            raise SpherecorrError(f"The {name} loss {term.needs[1]}.")


def wanted_patches(terms: dict[str, LossTerm], batch: Batch) -> Tensor:
    """Bool `[b, N]`: patches on the object, and others whose points some term needs."""
    wanted = batch.mask
    for term in terms.values():
        wanted = wanted | term.patches(batch)
    return wanted

"""Fit a sphere mapper on frozen features, to a weighted sum of the terms in `training.objectives`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, autocast, nn

from spherecorr.errors import SpherecorrError
from spherecorr.parallel import Processes, join_processes
from spherecorr.sphere.mapper import SphereMapper, grid_positions
from spherecorr.sphere.prototypes import Prototypes
from spherecorr.training.batches import Batch, TrainingCrops
from spherecorr.training.objectives import StepState, check_terms, wanted_patches, weighted_terms
from spherecorr.training.optimisers import make_optimisers, set_learning_rate
from spherecorr.training.run import TrainingRun, read_state
from spherecorr.training.seeding import seeded
from spherecorr.training.settings import LossWeights, TrainSettings, learning_rate

ORDER, STEP = 0, 1  # what random numbers are drawn for: the order of the images in an epoch, all else in a step
AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Validate = Callable[[SphereMapper], dict[str, float]]


class OnStep(Protocol):
    """Is told of every step, and may end the training."""

    def __call__(self, step: int, steps: int, losses: Mapping[str, float], /) -> bool | None:
        """Of so many steps one more is done; False ends the training here.

        The losses, without their weights, are the means since the last logging step; between such steps there are none.
        """
        ...


def fit(
    data: TrainingCrops,
    settings: TrainSettings,
    run: str | Path | None = None,
    *,
    validate: Validate | None = None,
    start: SphereMapper | None = None,
    about: dict[str, Any] | None = None,
    device: str = "auto",
    trainer: type[Trainer] | None = None,
    on_step: OnStep | None = None,
) -> SphereMapper:
    """Train a mapper; its prototypes are dropped.

    All random numbers of a step come from the seed and the step's number, so a run that was stopped at any moment and
    is started again ends, on a CPU, at the very weights of one that was not; the global random generators are left
    alone. Processes that `accelerate launch` started share each batch and compute what one process would.

    Args:
        data: images to draw crops of.
        settings: see there.
        run: folder of the run, see `training.run`; None writes nothing.
        validate: scores of a mapper by name; the first, the higher the better, decides which is the best.
        start: a mapper of the same shape whose weights are the beginning; random ones by default.
        about: JSON-able entries for the run's `config.json`, such as where the data came from; a run is resumed only if
            they are the same.
        device: "auto", "cpu", "cuda", ...
        trainer: what a step does, for trials of another; `Trainer` by default.
        on_step: is told of every step by the main process. A run that it ends is written as it is then, and the same
            call resumes it.

    Returns:
        The mapper after the last step, with `categories` and `background` filled in.

    Raises:
        SpherecorrError: a loss with a weight lacks something, see `check_terms`; no image has a patch on its object;
            `start` has another shape; the batch cannot be shared; `run` holds another run; or the losses become
            infinite.
    """
    _check(data, settings, start)
    world = join_processes(device)
    if settings.batch % world.count:
        raise SpherecorrError(f"{world.count} processes cannot share a batch of {settings.batch} equally.")
    loop = (trainer or Trainer)(data, settings, world, start)
    training = {"images": len(data), **asdict(settings)}
    del training["sphere"]  # stored as the mapper's own
    config = {"training": training, "mapper": asdict(loop.mapper.settings)}
    folder = TrainingRun(run, {**(about or {}), **config}) if run is not None and world.main else None
    world.barrier()  # until the main process has checked the folder
    best = -math.inf
    if run is not None and (state := read_state(run)):
        best = state.pop("best")
        loop.load_state(state)
    if folder:
        folder.forget_after(loop.step)
    ended = loop.step == settings.steps
    while not ended:
        loop.train_step()
        done, last = loop.step, loop.step == settings.steps
        means = loop.take_means() if last or done % settings.log_every == 0 else {}
        if not all(map(math.isfinite, means.values())):
            raise SpherecorrError(
                f"The losses are no longer finite at step {done}; train anew at a lower learning rate."
            )
        ended = _is_stopped(on_step, done, settings.steps, means, world) or last
        if folder is None:
            continue
        if means:
            folder.log(done, means)
        if not ended and done % settings.save_every:
            continue
        metadata: dict[str, Any] = {"step": done}
        if validate and (last or done % settings.validate_every == 0):
            scores = validate(loop.mapper.eval())
            folder.log(done, {f"validation_{name}": value for name, value in scores.items()})
            metadata["metrics"] = scores
            if (score := next(iter(scores.values()))) > best:
                best = score
                folder.checkpoint("best", loop.mapper, metadata)
        folder.checkpoint("last", loop.mapper, metadata)
        folder.save_state({**loop.state(), "best": best})
    world.barrier()
    return loop.mapper.eval()


def _is_stopped(on_step: OnStep | None, done: int, steps: int, means: dict[str, float], world: Processes) -> bool:
    """Whether the main process's `on_step` ends the training, in all processes alike."""
    if on_step is None:
        return False
    said = world.main and on_step(done, steps, means) is False
    return bool(world.all_reduce(torch.tensor(float(said), device=world.device))) if world.count > 1 else said


def draw_images(count: int, settings: TrainSettings, step: int) -> Tensor:
    """Indices of a step's images `[batch]`: the images in random order, and anew when all have had their turn."""
    turns = torch.arange(step * settings.batch, (step + 1) * settings.batch)
    orders = {
        epoch: torch.randperm(count, generator=_generator(settings.seed, ORDER, epoch))
        for epoch in (turns // count).unique().tolist()
    }
    return torch.stack([orders[turn // count][turn % count] for turn in turns.tolist()])


class Trainer:
    """What changes during a training, and how one step changes it.

    Args:
        data: images to draw crops of.
        settings: see there.
        world: the processes that share each batch.
        start: a mapper whose weights are the beginning, or None.
    """

    def __init__(self, data: TrainingCrops, settings: TrainSettings, world: Processes, start: SphereMapper | None):
        self.data, self.settings, self.world, self.step = data, settings, world, 0
        self.terms = weighted_terms(settings.weights)
        background = background_kind(settings.weights)
        if start is not None and background == "free":
            background = start.settings.background
        with seeded(settings.seed):
            self.mapper = SphereMapper(replace(settings.sphere, categories=data.categories, background=background))
            dim = self.mapper.surface.dim
            self.prototypes = Prototypes(settings.sphere.feature_dim, len(data.categories), dim=dim)
        if start is not None:
            given = start.state_dict()  # one without a foreground head gets a new one, if these losses want it
            own = self.mapper.state_dict()
            self.mapper.load_state_dict({name: given.get(name, value) for name, value in own.items()})
        self.modules = nn.ModuleList([self.mapper, self.prototypes]).to(world.device)
        self.optimisers = make_optimisers(self.mapper, self.prototypes, settings)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.precision == "fp16")
        self.positions = grid_positions(data.grid).to(world.device)
        self.sums: dict[str, Tensor] = {}
        self.summed = 0

    def state(self) -> dict[str, Any]:
        """All that it takes to resume from here."""
        optimisers = [optimiser.state_dict() for optimiser in self.optimisers]
        state = {"step": self.step, "optimisers": optimisers}
        return {**state, "modules": self.modules.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""
        self.step = state["step"]
        self.modules.load_state_dict(state["modules"])
        for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        self.scaler.load_state_dict(state["scaler"])

    def train_step(self) -> None:
        """Draw a batch and change the weights once."""
        settings, world = self.settings, self.world
        generator = _generator(settings.seed, STEP, self.step)
        images = draw_images(len(self.data), settings, self.step)
        seeds = torch.randint(2**31, images.shape, generator=generator)
        batch = self.data.batch(world.shard(images), world.shard(seeds)).to(world.device)
        losses = self.losses(batch, generator)
        total = sum((getattr(settings.weights, name) * value for name, value in losses.items()), torch.zeros(()))
        self.modules.zero_grad()
        self.scaler.scale(total).backward()
        world.all_reduce_gradients(self.modules.parameters())
        for optimiser in self.optimisers:
            self.scaler.unscale_(optimiser)
        if settings.clip:
            nn.utils.clip_grad_norm_(self.modules.parameters(), settings.clip)
        set_learning_rate(self.optimisers, learning_rate(settings, self.step))
        for optimiser in self.optimisers:
            self.scaler.step(optimiser)
        self.scaler.update()
        self.step += 1
        self.summed += 1
        self.sums = {name: self.sums.get(name, 0) + value.detach() for name, value in losses.items()}

    def take_means(self) -> dict[str, float]:
        """Mean of every loss since the last call."""
        means = {name: value.item() / self.summed for name, value in self.sums.items()}
        self.sums, self.summed = {}, 0
        return means

    def draw_cells(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Patches `[B, tokens]` of each image, none twice, by their weights (Efraimidis and Spirakis 2006)."""
        drawn = torch.rand(self.settings.batch, len(self.positions), generator=generator)
        drawn = self.world.shard(drawn).to(self.world.device)
        touched = batch.mask | batch.directions.any(dim=-1)
        weights = torch.where(touched, self.settings.foreground_weight, 1.0)
        return (drawn.log() / weights).topk(self.settings.tokens, sorted=False).indices

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Every loss with a weight, over the batches of all processes; gradients go through this one's images."""
        positions = self.positions.expand(len(batch.mask), -1, -1)
        if 0 < self.settings.tokens < len(self.positions):
            cells = self.draw_cells(batch, generator)
            batch, positions = batch.take(cells), self.positions[cells]
        points, logits = self.map(batch.features, positions, wanted_patches(self.terms, batch))
        state = StepState(
            batch,
            positions,
            points,
            logits,
            self.mapper.surface,
            generator,
            self.settings.triplets,
            self.world,
            self.rebuild,
            self.data.grid,
            self.map_whole,
        )
        return {name: term.value(state) for name, term in self.terms.items()}

    def map(self, features: Tensor, positions: Tensor, wanted: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The mapper's points in the run's precision, on the surface in full precision; see `SphereMapper.answer`."""
        with self.half():
            points, logits = self.mapper.answer(features, positions, wanted)
        return self.mapper.surface.nearest(points.float()), None if logits is None else logits.float()

    def map_whole(self, batch: Batch) -> Tensor:
        """The points of all patches of a batch of whole crops `[B, P, dim]`."""
        return self.map(batch.features, self.positions.expand(len(batch.mask), -1, -1))[0]

    def rebuild(self, points: Tensor, category: Tensor) -> Tensor:
        """The prototypes' features in the run's precision; see `Prototypes.forward`."""
        with self.half():
            rebuilt = self.prototypes(points, category)
        return rebuilt.float()

    def half(self) -> autocast:
        """Matrix products in the run's precision."""
        precision = self.settings.precision
        return autocast(self.world.device.type, AUTOCAST[precision], enabled=precision != "fp32")


def _generator(seed: int, purpose: int, number: int) -> torch.Generator:
    """The random generator of one step or epoch, which depends on nothing that happened before."""
    mixed = np.random.SeedSequence([seed, purpose, number]).generate_state(1)[0]
    return torch.Generator().manual_seed(int(mixed))


def background_kind(weights: LossWeights) -> Literal["free", "below", "head"]:
    """What these losses teach of the background, see `SphereSettings.background`."""
    if weights.foreground:
        return "head"
    return "below" if weights.background else "free"


def _check(data: TrainingCrops, settings: TrainSettings, start: SphereMapper | None) -> None:
    check_terms(settings, data)
    if settings.sphere.feature_dim != data.feature_dim:
        raise SpherecorrError(
            f"The mapper is to take features of {settings.sphere.feature_dim} channels; the images have "
            f"{data.feature_dim}."
        )
    shape = ("feature_dim", "channels", "depth", "surface", "positions")
    if start is not None and any(getattr(start.settings, n) != getattr(settings.sphere, n) for n in shape):
        raise SpherecorrError("The mapper to start from has another feature size, width, depth, surface or positions.")
    if not data.has_foreground():
        raise SpherecorrError(
            f"None of the {len(data)} images has a patch that its object covers by more than half; crop closer to the "
            "objects (--smallest-crop) or raise --resolution."
        )

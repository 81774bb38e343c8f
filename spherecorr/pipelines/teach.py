"""A few dozen photographs of one kind, each with a rough viewpoint, become a sphere in minutes.

OUT/model.safetensors, config.json, README.md   the checkpoint and its card
OUT/masks/<category>/<stem>.png                 proposed foregrounds of photographs without a mask
OUT/runs/<digest>/                              the training, which resumes if photographs and masks are the same

A person may correct the proposed masks and teach again: masks that are there are used as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from spherecorr.backbones import Backbone
from spherecorr.ball_labels import ball_directions
from spherecorr.crops import cell_labels, read_picture
from spherecorr.data.folder import Folder
from spherecorr.data.identity import labelled_digest
from spherecorr.data.records import ImageRecord
from spherecorr.errors import SpherecorrError
from spherecorr.features import SphereMap, state_digest
from spherecorr.geometry import frame_image
from spherecorr.identity import digest
from spherecorr.pipelines.cards import teach_card, write_card
from spherecorr.pipelines.common import Progress, check_free, load_models, silent, versions
from spherecorr.pipelines.foregrounds import propose_masks
from spherecorr.pipelines.held_out import View, azimuth_errors, held_out_views, hold_out
from spherecorr.pipelines.recipes import TEACH, TEACH_FROM_NOTHING, TeachRecipe
from spherecorr.sphere.checkpoint import CONFIG, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store_settings import StoreSettings
from spherecorr.training.annotations import read_annotations
from spherecorr.training.batches import TensorCrops
from spherecorr.training.fit import fit
from spherecorr.training.run import DIGESTS
from spherecorr.training.settings import TrainSettings

NAME = "teach"  # of the recipe
MIRROR_ANGLE = 40.0  # of a sphere that is taught true directions here for the first time, see `SphereSettings`
BATCH = 8  # photographs in a forward pass


@dataclass(frozen=True, eq=False)
class TeachStep:
    """How far the teaching is.

    Attributes:
        step: that is done.
        steps: of how many.
        losses: means since the last logging step, without their weights; empty between such steps.
        maps: sphere maps of the held-out photographs, by id, every `TeachRecipe.show_every` steps, and those of the
            start sphere as step 0; else None.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    maps: Mapping[str, SphereMap] | None = None


class OnTeach(Protocol):
    """Is told of every step; False ends the teaching at the next one, with a checkpoint.

    With a `threading.Event` it is `lambda step: not event.is_set()`.
    """

    def __call__(self, step: TeachStep, /) -> bool | None:
        """See the class."""
        ...


@dataclass(frozen=True, eq=False)
class Taught:
    """What came of the teaching.

    Attributes:
        sphere: the mapper, which also lies in the folder.
        photographs: ids of those that taught.
        steps: that were done; fewer than the recipe's where the teaching was ended.
        before: id of a held-out photograph, with "(mirrored)" behind it for its mirror image -> degrees by which the
            start sphere's azimuth is off, 0 to 180. None without a start sphere whose axes are known.
        after: the same for the sphere that came of it.
    """

    sphere: SphereMapper
    photographs: tuple[str, ...]
    steps: int
    before: dict[str, float] | None
    after: dict[str, float]


def teach(
    data: str | Path | Sequence[ImageRecord],
    out: str | Path,
    *,
    backbone: str | None = None,
    start: str | None = None,
    recipe: TeachRecipe | None = None,
    device: str = "auto",
    on_step: OnTeach | None = None,
    progress: Progress = silent,
) -> Taught:
    """Make a sphere for one's own photographs; the same call resumes a teaching that was stopped.

        taught = teach("llamas", "data/llama-sphere")
        print(np.median(list(taught.after.values())))

    Args:
        data: a folder with viewpoints.csv, see `data.folder.Folder`, or records. Photographs without a mask get a
            proposed one; those without a viewpoint teach what is object and what is not.
        out: folder of the checkpoint, new or of an earlier teaching.
        backbone: see `load_backbone`; by default what the start sphere was trained on.
        start: sphere to start from, see `load_sphere`, or "none"; by default mini's on the backbone mini, else none.
        recipe: by default `recipes.TEACH`, without a start sphere `TEACH_FROM_NOTHING`.
        device: "auto", "cpu", "cuda", ...
        on_step: is told of every step, and may end the teaching.
        progress: shows how many photographs are done.

    Raises:
        DatasetError: a file that cannot be read.
        SpherecorrError: too few photographs with a viewpoint, something else in `out`, or see `training.fit.fit`.
    """
    out = Path(out)
    check_free(out, NAME)
    records = Folder(data).images("all") if isinstance(data, str | Path) else list(data)
    model, beginning = load_models(backbone, start or None, device)
    chosen = recipe or (TEACH if beginning else TEACH_FROM_NOTHING)
    sphere = _sphere_settings(model, beginning, chosen.resolution)
    taught, asked = hold_out(records, chosen)
    taught, asked = (propose_masks(part, out / "masks", model, beginning, progress) for part in (taught, asked))
    views = held_out_views(asked, model, sphere.resolution, chosen.mirrored, progress)
    before = None if beginning is None or beginning.settings.mirror_angle is None else azimuth_errors(views, beginning)

    from_what = start or ("mini" if beginning else "none")
    about: dict[str, Any] = {
        "recipe": NAME,
        "data": {"photographs": len(taught), "held out": len(asked)},
        "start": from_what,
        DIGESTS: {
            "photographs": labelled_digest(taught),
            "weights to start from": None if beginning is None else state_digest(beginning.state_dict()),
        },
        "versions": versions(),
    }
    crops = _crops(taught, model, sphere, chosen.mirrored, progress)
    watch = _Watch(views, on_step)
    if beginning is not None:
        watch.show_maps(beginning)
    run = out / "runs" / digest([json.dumps([about[DIGESTS], repr(chosen)]).encode()])[:12]
    settings = _train_settings(chosen, sphere)
    mapper = fit(
        crops, settings, run, start=beginning, about=about, device=device, validate=watch.show, on_step=watch.step
    )
    after = azimuth_errors(views, mapper)
    done = json.loads((run / "last" / CONFIG).read_text(encoding="utf-8"))["step"]
    result = Taught(mapper, tuple(record.id for record in taught), done, before, after)
    metrics = {"azimuth errors before": before, "azimuth errors after": after}
    training = {"training": {"steps": settings.steps, "learning_rate": settings.learning_rate, "seed": settings.seed}}
    save_sphere(mapper, out, metadata={**about, **training, "step": done, "metrics": metrics})
    kinds = sorted({record.category for record in records})
    card = teach_card(out.name, kinds, len(taught), from_what, mapper.settings, settings, done, before, after)
    write_card(out, card)
    return result


class _Watch:
    """Tells of the steps, and with the mapper at hand of the held-out photographs.

    Args:
        views: held out.
        tell: who is told, and may end the training.
    """

    def __init__(self, views: Sequence[View], tell: OnTeach | None):
        self.views, self.tell, self.goes_on = views, tell, True
        self.last = TeachStep(0, 0, {})

    def step(self, step: int, steps: int, losses: Mapping[str, float]) -> bool:
        """A `training.fit.OnStep`."""
        self.last = TeachStep(step, steps, losses)
        return self._say(self.last)

    def show(self, mapper: SphereMapper) -> dict[str, float]:
        """What `training.fit.fit` takes as `validate`: minus the median error, to be as high as can be."""
        self.show_maps(mapper)
        return {"azimuth": -float(np.median(list(azimuth_errors(self.views, mapper).values())))}

    def show_maps(self, mapper: SphereMapper) -> None:
        """Tell of a mapper's sphere maps, in between the steps."""
        maps = {view.name: mapper.sphere_map(view.features) for view in self.views}
        self._say(replace(self.last, maps=maps))

    def _say(self, step: TeachStep) -> bool:
        self.goes_on = self.goes_on and (self.tell is None or self.tell(step) is not False)
        return self.goes_on


def _sphere_settings(backbone: Backbone, start: SphereMapper | None, resolution: int | None) -> SphereSettings:
    """Of the mapper to be taught: the start sphere's own, or those of a new one."""
    if start is None:
        resolution = resolution or backbone.default_resolution
        return SphereSettings(
            backbone.source.dim, depth=2, positions="frame", source=backbone.source, resolution=resolution,
            background="head", mirror_angle=MIRROR_ANGLE,
        )  # fmt: skip
    if start.settings.surface != "sphere":
        raise SpherecorrError("Viewpoints are taught on a sphere, and the start's surface is a plane.")
    start.check(backbone.source)
    known = start.settings.mirror_angle
    return replace(
        start.settings,
        mirror_angle=MIRROR_ANGLE if known is None else known,
        resolution=resolution or start.settings.resolution,
    )


def _train_settings(recipe: TeachRecipe, sphere: SphereSettings) -> TrainSettings:
    """How to train a mapper that keeps the start's way to tell the background."""
    weights = recipe.weights
    if sphere.background == "below":
        weights = replace(weights, background=weights.foreground, foreground=0.0)
    return TrainSettings(
        sphere, weights, recipe.steps, recipe.batch, recipe.tokens, recipe.foreground_weight,
        learning_rate=recipe.learning_rate, seed=recipe.seed, log_every=recipe.show_every,
        save_every=recipe.show_every, validate_every=recipe.show_every,
    )  # fmt: skip


def _crops(
    records: Sequence[ImageRecord], backbone: Backbone, sphere: SphereSettings, mirrored: bool, progress: Progress
) -> TensorCrops:
    """Every photograph whole, and mirrored, with the directions of a ball where it has none of its own."""
    store = StoreSettings(backbone.source, sphere.resolution)
    inputs, labels = [], []
    for record in progress("photographs", records):
        picture = read_picture(record, labels=True)
        if picture.surface is None and picture.mask is not None and record.viewpoint is not None and record.quality:
            ball = ball_directions(picture.mask, record.viewpoint, record.elevation or 0.0)
            picture = replace(picture, surface=ball)
        for view in [picture, picture.mirrored()] if mirrored else [picture]:
            framing = store.frame(view.image.size)
            inputs.append(frame_image(view.image, framing))
            labels.append(cell_labels(view, framing))
    parts = progress("features", [np.stack(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)])
    with torch.inference_mode():
        features = torch.cat([backbone.extract(part).flatten(2).mT.half() for part in parts])
    shape = len(records), len(inputs) // len(records)
    known = read_annotations(records, sorted({*sphere.categories, *(record.category for record in records)}))
    taught = torch.from_numpy(np.stack(labels)).to(features.device)
    grid = store.frame((sphere.resolution,) * 2).grid
    return TensorCrops(features.unflatten(0, shape), taught.unflatten(0, shape), known, grid, mirrored=mirrored)

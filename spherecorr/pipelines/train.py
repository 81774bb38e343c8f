"""Datasets with viewpoints and masks become a trained sphere mapper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from spherecorr.backbones import Backbone, load_backbone
from spherecorr.data.identity import labelled_digest
from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.data.registry import open_dataset
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.inputs import read_pairs
from spherecorr.extraction import extract
from spherecorr.features import state_digest
from spherecorr.parallel import Processes, join_processes
from spherecorr.pipelines.common import Notify, Progress, ignore, silent, versions, write_left_out
from spherecorr.pipelines.extract import forget_unfinished, readable, store_features
from spherecorr.sphere.checkpoint import DOMAIN, load_sphere
from spherecorr.sphere.domain import attach_domain, save_domain
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store import INDEX, FeatureStore
from spherecorr.store_settings import StoreSettings
from spherecorr.training.batches import JoinedCrops, LiveCrops, StoredCrops, TrainingCrops
from spherecorr.training.domain import fit_domain
from spherecorr.training.fit import OnStep, fit
from spherecorr.training.paired import PairedCrops
from spherecorr.training.run import DIGESTS
from spherecorr.training.settings import PRESET_CROPS, PRESET_SPHERES, LossWeights, PresetName
from spherecorr.training.settings import preset as preset_settings
from spherecorr.training.validation import validator

Dataset = tuple[str, str | Path]
CROPS = ("resolution", "crop", "smallest_crop", "crops", "mirrored")  # what a store's settings say of its crops
STORED_CROPS, LIVE_CROPS = 2000, 200  # that tell what the sphere was trained on; live ones take the backbone's time


@dataclass(frozen=True)
class _Part:
    """Images of one dataset, and where their features are stored."""

    name: str
    split: str
    records: list[ImageRecord]
    store: Path


def train(
    data: Sequence[Dataset | Sequence[ImageRecord]],
    out: str | Path,
    *,
    backbone: str | None = None,
    split: str | None = None,
    masks: str | Path | None = None,
    preset: PresetName = "fast",
    weights: Mapping[str, float] | None = None,
    settings: Mapping[str, Any] | None = None,
    sphere: Mapping[str, Any] | None = None,
    crops: Mapping[str, Any] | None = None,
    stores: Sequence[str | Path] = (),
    live: bool = False,
    start: str | None = None,
    validation: Dataset | Sequence[PairRecord] | None = None,
    validation_split: str = "val",
    device: str = "auto",
    broken: list[str] | None = None,
    notify: Notify = ignore,
    progress: Progress = silent,
    on_step: OnStep | None = None,
) -> SphereMapper:
    """Train a sphere mapper for a frozen backbone; the same call resumes a run that was stopped.

        mapper = train([("spair", "data/SPair-71k")], "data/sphere", backbone="dinov2-b", settings={"steps": 4000})

    The features of all crops are stored first, beside the run, unless `live` is set. Processes that
    `accelerate launch` started share the work.

    Args:
        data: what to train on: names and folders of datasets (see `open_dataset`), or lists of records.
        out: folder of the run, with the checkpoints `last` and, with `validation`, `best`.
        backbone: see `load_backbone`; None takes the one of a store that is there.
        split: of the datasets; by default trn, and all of data that are not split.
        masks: folder of masks that count instead of the datasets' own.
        preset: see `training.settings.preset`.
        weights: changes of the preset's `LossWeights`.
        settings: changes of the preset's `TrainSettings`.
        sphere: changes of the mapper's `SphereSettings`.
        crops: changes of the `StoreSettings`.
        stores: folders of feature stores with labels, one for each of `data`; what is not there is made.
        live: store nothing, and compute the features of fresh crops in every step.
        start: mapper of the same shape whose weights are the beginning, see `load_sphere`.
        validation: a dataset with pairs, or pairs, that choose the best mapper.
        validation_split: of that dataset.
        device: "auto", "cpu", "cuda", ...
        broken: a list that gets a sentence for everything that cannot be used, instead of an error; `out` keeps it as
            left-out.txt.
        notify: is told how large a store will be before its features are computed.
        progress: shows how many images are done.
        on_step: is told of every step of the training, and may end it; see `training.fit.fit`.

    Returns:
        The mapper after the last step.

    Raises:
        DatasetError: a dataset or a file cannot be read.
        StoreError: a store was made with other settings.
        SpherecorrError: settings that do not fit together, or see `training.fit.fit`.
    """
    out, changed = Path(out), dict(weights or {})
    LossWeights().changed(changed)  # refuses what is no loss
    parts = open_parts(data, stores, out, split, masks, broken)
    pairs = held_out_pairs(validation, validation_split, broken) if validation is not None else []
    world = join_processes(device)
    there = _existing_store([part.store for part in parts] if stores else [])
    if backbone is None and there is None:
        raise SpherecorrError("Name the backbone with --backbone, or with --store a store that is there.")
    model = load_backbone(backbone or there.settings.source, device=str(world.device))  # type: ignore[union-attr]
    cuts = _crop_settings(dict(crops or {}), model, there, PRESET_CROPS.get(preset, {}), live)
    beginning = load_sphere(start, device="cpu") if start else None
    shape = {**PRESET_SPHERES.get(preset, {}), **(sphere or {}), "source": model.source, "resolution": cuts.resolution}
    mapper_settings = SphereSettings(model.source.dim, **shape)
    if broken is not None:
        parts = [replace(part, records=readable(part.records, True, broken, progress)) for part in parts]
    if broken and world.main:
        for part in parts:
            forget_unfinished(part.store, part.records, cuts)
    chosen = preset_settings(preset, mapper_settings, sum(len(part.records) for part in parts))
    chosen = replace(chosen, weights=chosen.weights.changed(changed), **(settings or {}))

    if live:
        images: TrainingCrops = _live_crops(parts, model, cuts, two=chosen.weights.two_crops)
    else:
        if chosen.weights.two_crops and (cuts.crops < 2 or cuts.mirrored):
            raise SpherecorrError(
                "The losses equivariance and labelling need --crops 2 or more, not mirrored, or --live."
            )
        kind = PairedCrops if chosen.weights.two_crops else StoredCrops
        images = _open_crops(kind, parts, model, cuts, world, notify, progress)
    validate = _validation(pairs, model, cuts.resolution, out, progress) if pairs and world.main else None
    described = {name: getattr(cuts, name) for name in CROPS}
    names, splits = [part.name for part in parts], [part.split for part in parts]
    about = {
        "data": {"names": names, "splits": splits, **described, "live": live},
        **({"start": start} if start else {}),
        DIGESTS: {
            "data": [labelled_digest(part.records) for part in parts],
            "weights to start from": None if beginning is None else state_digest(beginning.state_dict()),
        },
        "versions": versions(),
    }
    trained = fit(images, chosen, out, validate=validate, start=beginning, about=about, device=device, on_step=on_step)
    if broken and world.main:
        write_left_out(out, broken)
    if world.main and (domain := fit_domain(images, LIVE_CROPS if live else STORED_CROPS)) is not None:
        attach_domain(trained, domain)
        for folder in (out / "last", out / "best"):
            if folder.is_dir():
                save_domain(domain, folder / DOMAIN)
    return trained


def open_parts(
    data: Sequence[Dataset | Sequence[ImageRecord]],
    stores: Sequence[str | Path],
    out: Path,
    split: str | None,
    masks: str | Path | None,
    broken: list[str] | None,
) -> list[_Part]:
    """The images to train on, dataset by dataset, and where their features are or will be."""
    if stores and len(stores) != len(data):
        raise SpherecorrError(f"There are {len(data)} --data and {len(stores)} --store; each has its own.")
    names = ["features", *(f"features{number}" for number in range(2, len(data) + 1))]
    folders = [Path(store) for store in stores] or [out / name for name in names]
    parts = []
    for entry, folder in zip(data, folders, strict=True):
        if not _is_dataset(entry):
            parts.append(_Part("records", "all", list(entry), folder))  # type: ignore[arg-type]
            continue
        name, root = entry
        dataset = open_dataset(name, root, masks)  # type: ignore[arg-type]
        own = split or ("all" if dataset.splits == ("all",) else "trn")
        found: list[str] | None = None if broken is None else []
        parts.append(_Part(str(name), own, dataset.images(own, found), folder))
        if broken is not None:
            broken += dict.fromkeys(found or ())  # an annotation that several pairs name is left out once
    return parts


def _is_dataset(entry: Sequence[Any]) -> bool:
    return len(entry) == 2 and isinstance(entry[0], str)


def held_out_pairs(
    validation: Dataset | Sequence[PairRecord], split: str, broken: list[str] | None
) -> list[PairRecord]:
    """The pairs of a dataset's split, or those given."""
    if not _is_dataset(validation):
        return list(validation)  # type: ignore[arg-type]
    name, root = validation
    dataset = open_dataset(name, root)  # type: ignore[arg-type]
    if not hasattr(dataset, "pairs"):
        raise SpherecorrError(f"--val takes a dataset with pairs; {dataset.title} has none.")
    return read_pairs(dataset, split, broken)


def _existing_store(folders: Sequence[Path]) -> FeatureStore | None:
    """The first store that is there."""
    for folder in folders:
        if (folder / INDEX).is_file():
            return FeatureStore(folder)
    return None


def _crop_settings(
    changes: dict[str, Any], backbone: Backbone, there: FeatureStore | None, usual: Mapping[str, Any], live: bool
) -> StoreSettings:
    """Settings of the crops: a store's own, which the changes must not contradict, or new ones beside the preset's."""
    if "smallest_crop" in changes:
        changes.setdefault("crop", "square")
    if there:
        asked = {name: value for name, value in changes.items() if name in CROPS}
        wanted = replace(there.settings, source=backbone.source, labels=True, **asked)
        FeatureStore(there.folder, wanted)  # refuses others, in one sentence
        return wanted
    changes = {**usual, **changes}
    if live:
        changes["crops"] = 1  # a fresh one in every step
    return StoreSettings(backbone.source, **{"resolution": SphereSettings.resolution, **changes, "labels": True})


def _categories(parts: Sequence[_Part]) -> list[str]:
    return sorted({record.category for part in parts for record in part.records})


def _live_crops(parts: Sequence[_Part], backbone: Backbone, cuts: StoreSettings, two: bool) -> LiveCrops:
    """Fresh crops of the images of all datasets; with `two`, pairs of them for the equivariance loss."""
    records = [record for part in parts for record in part.records]
    how = cuts.crop, cuts.smallest_crop, _categories(parts), cuts.mirrored
    return LiveCrops(records, backbone, cuts.resolution, *how, two=two)


def _open_crops(
    kind: type[StoredCrops],
    parts: Sequence[_Part],
    backbone: Backbone,
    cuts: StoreSettings,
    world: Processes,
    notify: Notify,
    progress: Progress,
) -> TrainingCrops:
    """Stored crops of the images of all datasets."""
    categories = _categories(parts)
    stored = [_stored_crops(kind, part, categories, backbone, cuts, world, notify, progress) for part in parts]
    return stored[0] if len(stored) == 1 else JoinedCrops(stored)


def _stored_crops(
    kind: type[StoredCrops],
    part: _Part,
    categories: list[str],
    backbone: Backbone,
    cuts: StoreSettings,
    world: Processes,
    notify: Notify,
    progress: Progress,
) -> StoredCrops:
    """Crops of one dataset, from its store; the features are stored first, or their extraction resumes."""
    if world.main:
        if not (part.store / INDEX).is_file():
            store_features(part.records, backbone, cuts, part.store, notify=notify, progress=progress)
    world.barrier()
    own = FeatureStore(part.store).settings
    # Few photographs may have more crops than many renders, and mirrored ones.
    store = FeatureStore(part.store, replace(cuts, crops=own.crops, mirrored=own.mirrored, seed=own.seed))
    return kind(store, part.records, categories, device=world.device)


def _validation(
    pairs: Sequence[PairRecord], backbone: Backbone, resolution: int, out: Path, progress: Progress
) -> Callable[[SphereMapper], dict[str, float]]:
    """A function that scores a mapper on held-out pairs, whose features are stored first."""
    images = list({image.id: image for pair in pairs for image in (pair.source, pair.target)}.values())
    settings = StoreSettings(backbone.source, resolution, parts=backbone.parts)
    shown = partial(progress, "held-out features")
    return validator(pairs, extract(images, backbone, settings, out / "held-out", progress=shown))

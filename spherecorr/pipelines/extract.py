"""A dataset's images, or any folder of pictures, become a feature store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from spherecorr.backbones import Backbone, load_backbone
from spherecorr.data.check import check_image, check_picture
from spherecorr.data.reading import picture_size, read_all
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.data.registry import open_dataset
from spherecorr.errors import SpherecorrError
from spherecorr.extraction import extract, size_on_disk
from spherecorr.files import list_files
from spherecorr.pipelines.common import Notify, Progress, ignore, silent, write_left_out
from spherecorr.store import INDEX, FeatureStore, partial_folder, read_index, settings_of
from spherecorr.store_settings import StoreSettings

PICTURES = "pictures"
"""In the place of a dataset's name: any folder of pictures."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def extract_features(
    name: str,
    root: str | Path,
    out: str | Path,
    *,
    backbone: str = "mini",
    split: str | None = None,
    masks: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    batch: int = 8,
    device: str = "auto",
    broken: list[str] | None = None,
    notify: Notify = ignore,
    progress: Progress = silent,
) -> FeatureStore:
    """Compute the features of a dataset's split, or of a folder of pictures, once and store them.

    Args:
        name: of the dataset, or "pictures".
        root: its folder.
        out: store to write.
        backbone: see `load_backbone`.
        split: of the dataset; None takes its only one.
        masks: folder of masks that count instead of the dataset's own.
        settings: changes of `StoreSettings`; the resolution is the backbone's by default.
        batch: crops in a forward pass.
        device: of the backbone.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error; the store's folder
            keeps it as left-out.txt.
        notify: is told how large the store will be.
        progress: shows how many images are done.

    Raises:
        DatasetError: the dataset cannot be read, or has several splits and none is named.
        StoreError: see `extraction.extract`.
    """
    changes = dict(settings or {})
    labels = bool(changes.get("labels"))
    if name == PICTURES:
        records = list_pictures(Path(root), broken)
    else:
        records = list_images(name, root, split, masks, pairs=not labels, broken=broken)
    model = load_backbone(backbone, device=device)
    whole = not labels and changes.get("crop", "whole") == "whole"  # crops are for training, which takes one map
    own = {"source": model.source, "resolution": model.default_resolution, "parts": model.parts if whole else ()}
    made = StoreSettings(**{**own, **changes})
    if broken is not None:
        records = readable(records, labels, broken, progress)
    if broken:
        forget_unfinished(Path(out), records, made)
    store = store_features(records, model, made, out, batch=batch, notify=notify, progress=progress)
    if broken:
        write_left_out(out, broken)
    return store


def store_features(
    records: Sequence[ImageRecord],
    backbone: Backbone,
    settings: StoreSettings,
    folder: str | Path,
    *,
    batch: int = 8,
    notify: Notify = ignore,
    progress: Progress = silent,
) -> FeatureStore:
    """Say how large the store will be, and fill it; the arguments are those of `extraction.extract`."""
    if backbone.parts and not settings.parts:
        notify(f"Training takes the features of {settings.source.backbone} alone, so nothing else is stored.")
    size = size_on_disk(records, settings, backbone) / 1e9
    notify(f"{len(records):,} images, {size:.2f} GB in {folder}")
    return extract(records, backbone, settings, folder, batch=batch, progress=partial(progress, "features"))


def forget_unfinished(folder: Path, records: Sequence[ImageRecord], settings: StoreSettings) -> None:
    """Delete an unfinished store that differs in nothing but images that are now left out.

    It stopped at one of them, and a store has a place for each of its images from the start.
    """
    partial = partial_folder(folder)
    if not (partial / INDEX).is_file():
        return
    index = read_index(partial)
    begun = {image["id"] for image in index["images"]}
    if settings_of(index) == settings and begun > {record.id for record in records}:
        shutil.rmtree(partial)


def list_images(
    name: str,
    root: str | Path,
    split: str | None = None,
    masks: str | Path | None = None,
    *,
    pairs: bool,
    broken: list[str] | None = None,
) -> list[ImageRecord]:
    """The images of a dataset's split, each once.

    Args:
        name: of the dataset.
        root: its folder.
        split: of the dataset; None takes its only one.
        masks: folder of masks that count instead of the dataset's own.
        pairs: also every image that a pair shows, as evaluation needs it.
        broken: a list that gets a sentence for every annotation that cannot be used, instead of an error.

    Raises:
        DatasetError: the dataset cannot be read, or has several splits and none is named.
    """
    dataset = open_dataset(name, root, masks)
    if not split and len(dataset.splits) != 1:
        raise DatasetError(f"Name a split with --split; {dataset.title} has {', '.join(dataset.splits)}.")
    split = split or dataset.splits[0]
    found: list[str] | None = None if broken is None else []
    records = dataset.images(split, found)
    if pairs and hasattr(dataset, "pairs"):
        records = [
            *records,
            *(image for pair in dataset.pairs(split, found) for image in (pair.source, pair.target)),
        ]
    if broken is not None:
        broken += dict.fromkeys(found or ())  # an annotation that several pairs name is left out once
    return list({record.id: record for record in records}.values())


def list_pictures(root: Path, broken: list[str] | None = None) -> list[ImageRecord]:
    """The pictures in a folder and below, as records without annotations; the id is the path below the folder."""

    def record(path: Path) -> ImageRecord:
        name = path.relative_to(root)
        return ImageRecord(name.as_posix(), path, picture_size(path), name.parent.as_posix(), None, {})

    return read_all(record, find_pictures([root]), broken)


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """Every picture in some folders and below them, sorted.

    Raises:
        SpherecorrError: there is none.
    """
    found = sorted({path for folder in folders for path in list_files(folder, "**/*", SUFFIXES)})
    if not found:
        raise SpherecorrError(f"There are no pictures in {', '.join(map(str, folders))} or below.")
    return found


def readable(
    records: Sequence[ImageRecord], labels: bool, broken: list[str], progress: Progress = silent
) -> list[ImageRecord]:
    """The records whose pictures can be decoded; with labels also those masks, which training needs.

    Args:
        records: to be checked.
        labels: whether a mask is needed.
        broken: gets a sentence for every record that is left out.
        progress: shows how many records are checked.

    Raises:
        DatasetError: none is left.
    """

    def check(record: ImageRecord) -> ImageRecord:
        if labels and record.mask is None:
            raise DatasetError(f"'{record.path}' has no mask; training needs one for every image.")
        return check_image(record) if labels else check_picture(record)

    kept = read_all(check, progress("checking", records), broken)
    if not kept:
        raise DatasetError(f"No image can be used{f' ({broken[0]})' if broken else ''}.")
    return kept

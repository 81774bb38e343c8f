"""Making a feature store: cut, decode ahead, compute in batches, write, and resume after a stop."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from spherecorr.backbones import Backbone
from spherecorr.crops import LABELS, cell_labels, crop_box, read_picture
from spherecorr.data.identity import file_digests
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.files import write_atomic
from spherecorr.geometry import Framing, frame_image
from spherecorr.store import (
    INDEX,
    PROGRESS,
    FeatureStore,
    check_files,
    check_settings,
    different_sources,
    partial_folder,
    read_index,
    settings_of,
)
from spherecorr.store_settings import StoreError, StoreSettings
from spherecorr.store_writing import Unfinished, allocate


def extract(
    records: Sequence[ImageRecord],
    backbone: Backbone,
    settings: StoreSettings,
    folder: str | Path,
    *,
    batch: int = 8,
    progress: Callable[[Sequence], Iterable] = iter,
) -> FeatureStore:
    """Compute the features of every record and store them; an extraction that was stopped is resumed.

    Images of one input size share a forward pass, and the next ones are decoded meanwhile. The same records, settings
    and batch give the same bytes, interrupted or not. Where the settings ask for the backbone's parts, images are
    computed one by one, because each part frames them for itself.

    Args:
        records: images, each once; with masks if labels are asked for.
        backbone: frozen.
        settings: what to store.
        folder: of the store.
        batch: crops in a forward pass; all crops of an image share one.
        progress: wraps the images that are left to do, to show progress.

    Returns:
        The store; one that is there already is opened.

    Raises:
        StoreError: no records, an id twice, another backbone than in the settings, a folder with something else in it,
            or no room on the disk.
        DatasetError: an image without mask where labels are asked for, or a broken file; what is done is kept.
    """
    folder = Path(folder)
    if backbone.source.differs_from(settings.source):
        raise StoreError(f"The backbone gives {backbone.source}, and the store is to hold {settings.source}.")
    if settings.parts and different_sources(backbone.parts, settings.parts):
        raise StoreError(f"The backbone gives the parts {backbone.parts}, and the store is to hold {settings.parts}.")
    index = _describe(records, settings, backbone)
    if (folder / INDEX).is_file():
        _check_same(folder, index)
        FeatureStore(folder).check(records)
        return FeatureStore(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"'{folder}' is there already and is no feature store; name another folder.")
    partial = partial_folder(folder)
    if (partial / INDEX).is_file():
        _check_same(partial, index)
        _check_done(partial, records)
    else:
        for image, record in zip(index["images"], records, strict=True):
            image["files"] = file_digests(record, settings.labels)
        allocate(partial, index, size_on_disk(records, settings, backbone))
    if settings.parts:
        _fill_with_parts(Unfinished(partial), records, backbone, progress)
    else:
        _fill(Unfinished(partial), records, backbone, batch, progress)
    partial.replace(folder)
    (folder / PROGRESS).unlink()
    return FeatureStore(folder)


def size_on_disk(records: Sequence[ImageRecord], settings: StoreSettings, backbone: Backbone) -> int:
    """Bytes that the arrays of a store take."""
    channels = [settings.source.dim + LABELS * settings.labels, *(part.dim for part in settings.parts)]
    values = 0
    for record in records:
        framings = _framings(record, settings, backbone)
        values += sum(math.prod(framing.grid) * dim for framing, dim in zip(framings, channels, strict=True))
    return 2 * settings.crops * values


def cut_crops(
    record: ImageRecord, settings: StoreSettings, rng: np.random.Generator, first: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw the crops of one image.

    Args:
        record: the image.
        settings: how many crops, and what they show.
        rng: random generator.
        first: number of the first crop; with `settings.mirrored` those of odd numbers are mirrored.

    Returns:
        The model's inputs, uint8 `[V, height, width, 3]`, and with labels float16 `[V, N, 5]`, else None.
    """
    picture = read_picture(record, settings.labels)
    inputs, labels = [], []
    for crop in range(first, first + settings.crops):
        part = picture.cut(crop_box(picture.image.size, settings.crop, settings.smallest_crop, rng))
        if settings.mirrored and crop % 2:
            part = part.mirrored()
        framing = settings.frame(part.image.size)
        inputs.append(frame_image(part.image, framing))
        if settings.labels:
            labels.append(cell_labels(part, framing))
    return np.stack(inputs), np.stack(labels) if settings.labels else None


def _framings(record: ImageRecord, settings: StoreSettings, backbone: Backbone) -> tuple[Framing, ...]:
    """Of the image's features and of each part that is stored."""
    if settings.parts:
        return backbone.framings(record.size, settings.resolution, settings.framing)
    return (settings.frame(record.size),)


def _describe(records: Sequence[ImageRecord], settings: StoreSettings, backbone: Backbone) -> dict[str, Any]:
    """The index of the store to be made."""
    if not records:
        raise StoreError("There are no images to compute features of.")
    if settings.mirrored and settings.crops < 2:
        raise StoreError("Every other crop is to be mirrored, and there is one crop; ask for --crops 2 or more.")
    images, firsts = [], [0] * (1 + len(settings.parts))
    for record in records:
        if settings.labels and record.mask is None:
            raise DatasetError(f"'{record.path}' has no mask; training needs one for every image.")
        framings = _framings(record, settings, backbone)
        own, *parts = (
            {"first": first, "framing": asdict(framing)} for first, framing in zip(firsts, framings, strict=True)
        )
        images.append({"id": record.id, **own, **({"parts": parts} if parts else {})})
        for k, framing in enumerate(framings):
            firsts[k] += settings.crops * math.prod(framing.grid)
    [(most, times)] = Counter(record.id for record in records).most_common(1)
    if times > 1:
        raise StoreError(f"The image '{most}' is listed {times} times; each is stored once.")
    versions = {name: version(name) for name in ("spherecorr", "torch", "timm")}
    tokens, *more = firsts
    index = {"settings": settings.as_record(), "versions": versions, "tokens": tokens, "images": images}
    if more:
        index["part_tokens"] = more
    return json.loads(json.dumps(index))  # as it will be read


def _check_same(folder: Path, index: dict[str, Any]) -> None:
    """Refuse a folder that was begun with other settings or images."""
    begun = read_index(folder)
    check_settings(folder, settings_of(begun), settings_of(index))
    if [_without_files(image) for image in begun["images"]] != index["images"]:
        raise StoreError(f"The store '{folder}' was made of other images; these need another folder.")


def _check_done(partial: Path, records: Sequence[ImageRecord]) -> None:
    """Refuse other files of the images that are done; those to come may have been mended meanwhile."""
    index, left = read_index(partial), set(Unfinished(partial).left())
    labels = settings_of(index).labels
    for i, (image, record) in enumerate(zip(index["images"], records, strict=True)):
        if i in left:
            image["files"] = file_digests(record, labels)
        else:
            check_files(partial, image, record, labels)
    write_atomic(partial / INDEX, json.dumps(index).encode())


def _without_files(image: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in image.items() if name != "files"}


def _fill(
    store: Unfinished,
    records: Sequence[ImageRecord],
    backbone: Backbone,
    batch: int,
    progress: Callable[[Sequence], Iterable],
) -> None:
    """Compute what is missing, batch by batch."""
    settings, left = store.settings, store.left()
    ends = _batch_ends(left, store.grid, max(1, batch // settings.crops))

    def cut(i: int) -> tuple[np.ndarray, np.ndarray | None]:
        # Each image has its own random generator, so that its crops do not depend on what was done before.
        return cut_crops(records[i], settings, np.random.default_rng((settings.seed, i)))

    waiting: list[tuple[int, np.ndarray, np.ndarray | None]] = []
    try:
        with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
            for i, crops in zip(progress(left), _ahead(pool, cut, left, 2 * batch), strict=True):
                waiting.append((i, *crops))
                if i in ends:
                    images, inputs, labels = (list(column) for column in zip(*waiting, strict=True))
                    tokens = _tokens(backbone, np.concatenate(inputs))
                    store.write(images, tokens.reshape(len(images), -1, settings.source.dim), labels)
                    waiting.clear()
    finally:
        store.save()


@torch.inference_mode()
def _fill_with_parts(
    store: Unfinished, records: Sequence[ImageRecord], backbone: Backbone, progress: Callable[[Sequence], Iterable]
) -> None:
    """Compute what is missing, image by image, as whoever matches two pictures does."""
    settings, left = store.settings, store.left()

    def read(i: int) -> Image.Image:
        return read_picture(records[i], labels=False).image

    try:
        with ThreadPoolExecutor(1) as pool:
            for i, image in zip(progress(left), _ahead(pool, read, left, 2), strict=True):
                found = backbone(image, resolution=settings.resolution, framing=settings.framing)
                features, *parts = (part.tokens().half().cpu().numpy() for part in (found, *found.parts))
                store.write_with_parts(i, features, parts)
    finally:
        store.save()


@torch.inference_mode()
def _tokens(backbone: Backbone, inputs: np.ndarray) -> np.ndarray:
    """Float16 `[B, N, D]`."""
    return backbone.extract(inputs).flatten(2).mT.half().cpu().numpy()


def _batch_ends(left: Sequence[int], grid: Callable[[int], list[int]], size: int) -> set[int]:
    """The last image of each batch: after `size` images, and where the input's size changes."""
    ends = set()
    for _, group in groupby(left, key=grid):
        members = list(group)
        ends |= {*members[size - 1 :: size], members[-1]}
    return ends


def _ahead(pool: ThreadPoolExecutor, work: Callable, items: Iterable, depth: int) -> Iterator:
    """The results of `work` in the order of the items, so many of them begun ahead."""
    begun: deque = deque()
    for item in items:
        begun.append(pool.submit(work, item))
        if len(begun) > depth:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()

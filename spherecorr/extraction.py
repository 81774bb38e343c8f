"""Making a feature store: cut, decode ahead, compute in batches, write, and go on after a stop."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
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

from spherecorr.backbones import Backbone
from spherecorr.crops import LABELS, cell_labels, crop_box, read_picture
from spherecorr.data.identity import file_digests
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.files import FileError, write_atomic, writing
from spherecorr.geometry import frame_image
from spherecorr.store import (
    FEATURES,
    INDEX,
    PROGRESS,
    TAUGHT,
    FeatureStore,
    check_files,
    check_settings,
    open_array,
    partial_folder,
    read_index,
    read_progress,
    settings_of,
)
from spherecorr.store_settings import StoreError, StoreSettings

SAVE_EVERY = 1.0  # seconds; what a killed extraction has to do again


def extract(
    records: Sequence[ImageRecord],
    backbone: Backbone,
    settings: StoreSettings,
    folder: str | Path,
    *,
    batch: int = 8,
    progress: Callable[[Sequence], Iterable] = iter,
) -> FeatureStore:
    """Compute the features of every record and store them; an extraction that was stopped goes on where it was.

    Images of one input size share a forward pass, and the next ones are decoded meanwhile. The same records, settings
    and batch give the same bytes, interrupted or not.

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
    if backbone.parts:
        raise StoreError(f"A store holds one map of an image, and '{backbone.name}' gives {1 + len(backbone.parts)}.")
    index = _describe(records, settings)
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
        _allocate(partial, index, size_on_disk(records, settings))
    _fill(_Unfinished(partial), records, backbone, batch, progress)
    partial.replace(folder)
    (folder / PROGRESS).unlink()
    return FeatureStore(folder)


def size_on_disk(records: Sequence[ImageRecord], settings: StoreSettings) -> int:
    """Bytes that the arrays of a store take."""
    tokens = sum(settings.crops * math.prod(settings.frame(record.size).grid) for record in records)
    return tokens * 2 * (settings.source.dim + LABELS * settings.labels)


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


def _describe(records: Sequence[ImageRecord], settings: StoreSettings) -> dict[str, Any]:
    """The index of the store to be made."""
    if not records:
        raise StoreError("There are no images to compute features of.")
    if settings.mirrored and settings.crops < 2:
        raise StoreError("Every other crop is to be mirrored, and there is one crop; ask for --crops 2 or more.")
    images, first = [], 0
    for record in records:
        if settings.labels and record.mask is None:
            raise DatasetError(f"'{record.path}' has no mask; training needs one for every image.")
        framing = settings.frame(record.size)
        images.append({"id": record.id, "first": first, "framing": asdict(framing)})
        first += settings.crops * math.prod(framing.grid)
    [(most, times)] = Counter(record.id for record in records).most_common(1)
    if times > 1:
        raise StoreError(f"The image '{most}' is listed {times} times; each is stored once.")
    versions = {name: version(name) for name in ("spherecorr", "torch", "timm")}
    index = {"settings": asdict(settings), "versions": versions, "tokens": first, "images": images}
    return json.loads(json.dumps(index))  # as it will be read


def _check_same(folder: Path, index: dict[str, Any]) -> None:
    """Refuse a folder that was begun with other settings or images."""
    begun = read_index(folder)
    check_settings(folder, settings_of(begun), settings_of(index))
    if [_without_files(image) for image in begun["images"]] != index["images"]:
        raise StoreError(f"The store '{folder}' was made of other images; these need another folder.")


def _check_done(partial: Path, records: Sequence[ImageRecord]) -> None:
    """Refuse other files of the images that are done; those to come may have been mended meanwhile."""
    index, left = read_index(partial), set(_Unfinished(partial).left())
    labels = settings_of(index).labels
    for i, (image, record) in enumerate(zip(index["images"], records, strict=True)):
        if i in left:
            image["files"] = file_digests(record, labels)
        else:
            check_files(partial, image, record, labels)
    write_atomic(partial / INDEX, json.dumps(index).encode())


def _without_files(image: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in image.items() if name != "files"}


def _allocate(partial: Path, index: dict[str, Any], size: int) -> None:
    """Make the arrays in full, so that a disk without room for them is noticed now and not hours later."""
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    settings = settings_of(index)
    free = shutil.disk_usage(partial).free
    try:
        with writing(partial):
            if free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _make_array(partial / FEATURES, (index["tokens"], settings.source.dim))
            if settings.labels:
                _make_array(partial / TAUGHT, (index["tokens"], LABELS))
            write_atomic(partial / PROGRESS, json.dumps({"images": 0}).encode())
            write_atomic(partial / INDEX, json.dumps(index).encode())  # last: where it is, all is there
    except FileError as error:
        shutil.rmtree(partial)
        raise StoreError(f"{error} It takes {size / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free.") from error


def _make_array(path: Path, shape: tuple[int, int]) -> None:
    np.lib.format.open_memmap(path, "w+", np.float16, shape)
    if hasattr(os, "posix_fallocate"):  # else the file has holes, and a full disk shows when they are filled
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


class _Unfinished:
    """A store in the making. What its progress counts as done is on disk."""

    def __init__(self, partial: Path):
        self.partial = partial
        index = read_index(partial)
        self.settings, self.images = settings_of(index), index["images"]
        self.features = open_array(partial / FEATURES, "r+")
        self.labels = open_array(partial / TAUGHT, "r+") if self.settings.labels else None
        self.done, self.saved = read_progress(partial), time.monotonic()

    def left(self) -> list[int]:
        """Images that are not done yet, those of one input size one after the other."""
        return sorted(range(len(self.images)), key=self.grid)[self.done :]

    def grid(self, i: int) -> list[int]:
        """(columns, rows) of an image's crops."""
        return self.images[i]["framing"]["grid"]

    def write(self, batch: list[int], features: np.ndarray, labels: list[np.ndarray | None]) -> None:
        """Take the tokens of some images, `[images, V * N, D]`, and their labels."""
        for i, tokens, taught in zip(batch, features, labels, strict=True):
            rows = slice(self.images[i]["first"], self.images[i]["first"] + len(tokens))
            if not np.isfinite(tokens).all():
                raise StoreError(f"The features of '{self.images[i]['id']}' are no finite numbers of half precision.")
            self.features[rows] = tokens
            if self.labels is not None and taught is not None:
                self.labels[rows] = taught.reshape(-1, LABELS)
        self.done += len(batch)
        if time.monotonic() > self.saved + SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Bring everything to disk, and then the count of it."""
        self.features.flush()
        if self.labels is not None:
            self.labels.flush()
        write_atomic(self.partial / PROGRESS, json.dumps({"images": self.done}).encode())
        self.saved = time.monotonic()


def _fill(
    store: _Unfinished,
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

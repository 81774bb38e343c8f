"""A feature store in the making: its arrays are there in full from the start; a count tells how far they are filled."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spherecorr.crops import LABELS
from spherecorr.files import FileError, write_atomic, writing
from spherecorr.store import (
    FEATURES,
    INDEX,
    PROGRESS,
    TAUGHT,
    open_array,
    part_files,
    read_index,
    read_progress,
    settings_of,
)
from spherecorr.store_settings import StoreError

SAVE_EVERY = 1.0  # seconds; what a killed extraction has to do again


def allocate(partial: Path, index: dict[str, Any], size: int) -> None:
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
            for name, tokens, part in zip(
                part_files(settings), index.get("part_tokens", ()), settings.parts, strict=True
            ):
                _make_array(partial / name, (tokens, part.dim))
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


class Unfinished:
    """A store in the making. What its progress counts as done is on disk."""

    def __init__(self, partial: Path):
        self.partial = partial
        index = read_index(partial)
        self.settings, self.images = settings_of(index), index["images"]
        self.features = open_array(partial / FEATURES, "r+")
        self.labels = open_array(partial / TAUGHT, "r+") if self.settings.labels else None
        self.parts = [open_array(partial / name, "r+") for name in part_files(self.settings)]
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
            rows = self._write(self.features, self.images[i]["first"], tokens, i)
            if self.labels is not None and taught is not None:
                self.labels[rows] = taught.reshape(-1, LABELS)
        self._count(len(batch))

    def write_with_parts(self, i: int, features: np.ndarray, parts: Sequence[np.ndarray]) -> None:
        """Take the tokens of one image `[N, D]`, and those of its parts."""
        self._write(self.features, self.images[i]["first"], features, i)
        for array, entry, tokens in zip(self.parts, self.images[i]["parts"], parts, strict=True):
            self._write(array, entry["first"], tokens, i)
        self._count(1)

    def _write(self, array: np.ndarray, first: int, tokens: np.ndarray, i: int) -> slice:
        if not np.isfinite(tokens).all():
            raise StoreError(f"The features of '{self.images[i]['id']}' are no finite numbers of half precision.")
        rows = slice(first, first + len(tokens))
        array[rows] = tokens
        return rows

    def _count(self, images: int) -> None:
        self.done += images
        if time.monotonic() > self.saved + SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Bring everything to disk, and then the count of it."""
        for array in (self.features, self.labels, *self.parts):
            if array is not None:
                array.flush()
        write_atomic(self.partial / PROGRESS, json.dumps({"images": self.done}).encode())
        self.saved = time.monotonic()

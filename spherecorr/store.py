"""Features on disk: a memory map of patch tokens, and an index that says what they are.

A store is a folder with `features.npy` (float16 `[T, D]`, the tokens of all images and crops one after the other),
`labels.npy` if it is meant for training (float16 `[T, 5]`, see `crops.cell_labels`) and `index.json`. The parts of a
backbone that gives several maps of an image lie in `part-1.npy` and so on, like the features. A store is written by
`extraction.extract`, and lies in `FOLDER.partial` until it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from spherecorr.data.identity import PATHS, file_digests
from spherecorr.data.records import ImageRecord
from spherecorr.features import FeatureMap
from spherecorr.geometry import Framing
from spherecorr.identity import FeatureSource, digest
from spherecorr.store_settings import StoreError, StoreSettings

INDEX, PROGRESS, FEATURES, TAUGHT = "index.json", "progress.json", "features.npy", "labels.npy"


class FeatureStore(Mapping[str, FeatureMap]):
    """The features of many images, on disk; what is not touched is not read.

    Args:
        folder: written by `extract`.
        expected: settings that the store must have been made with; None takes any.

    Attributes:
        folder: where it lies.
        settings: what it was made with.
        ids: of the images, in order.
        features: float16 `[T, D]` on the memory map: the tokens by image, crop and cell, in this order.
        labels: float16 `[T, 5]` likewise, see `crops.cell_labels`; None if the store holds none.
        parts: float16 `[T', D']` of each part likewise.

    Raises:
        StoreError: there is no store, or it is incomplete, damaged or made with other settings.
    """

    def __init__(self, folder: str | Path, expected: StoreSettings | None = None):
        self.folder = Path(folder)
        index = read_index(self.folder)
        self.settings = settings_of(index)
        if expected is not None:
            check_settings(self.folder, self.settings, expected)
        self._images = {image["id"]: image for image in index["images"]}
        self.ids = tuple(self._images)
        # Copy on write: the arrays can become tensors, and nothing written to them reaches the files.
        self.features = open_array(self.folder / FEATURES, "c")
        self.labels = open_array(self.folder / TAUGHT, "c") if self.settings.labels else None
        self.parts = [open_array(self.folder / name, "c") for name in part_files(self.settings)]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._images

    def __getitem__(self, image_id: str) -> FeatureMap:
        """The features of an image and their parts; each `features` is a view on its memory map.

        Raises:
            KeyError: the store has no such image.
            StoreError: the store holds crops for training.
        """
        return self.crop(image_id, 0)

    @property
    def mirror(self) -> Mapping[str, FeatureMap]:
        """The features of the mirror images of all images.

        Raises:
            StoreError: the store holds none.
        """
        if not self.settings.mirrored or self.settings.crop != "whole":
            raise StoreError(
                f"The store '{self.folder}' has no mirror images; extract whole pictures with --crops 2 --mirrored."
            )
        return _MirrorImages(self)

    def crop(self, image_id: str, crop: int) -> FeatureMap:
        """The features of a picture, or with crop 1 of its mirror image; see `__getitem__`."""
        if self.settings.crop != "whole":
            raise StoreError(f"The store '{self.folder}' holds crops for training; matching takes whole images.")
        image = self._images[image_id]
        features = _feature_map(self.tokens(image_id, crop), image, self.settings.source)
        entries = zip(self.parts, image.get("parts", ()), self.settings.parts, strict=True)
        parts = tuple(_feature_map(array[entry["first"] :], entry, source) for array, entry, source in entries)
        return replace(features, parts=parts)

    @property
    def digest(self) -> str:
        """What the store was made from: its settings, and the content of every image's files."""
        settings = self.settings.as_record()
        source = settings.pop("source")
        for one in (source, *settings.get("parts", ())):
            one.pop("weights" if one["weights"] is None else "backbone")  # a folder may move
        made = json.dumps([settings, source], sort_keys=True)
        return digest([made.encode(), *(json.dumps(_contents(image)).encode() for image in self._images.values())])

    def check(self, records: Iterable[ImageRecord]) -> None:
        """Refuse records whose pictures, or masks where labels are stored, are not those that the store was made of.

        Files that are not there are not compared: features may have been computed elsewhere.

        Raises:
            StoreError: a file with another content; the sentence names it.
        """
        for record in records:
            if record.id in self._images and record.path.is_file():
                check_files(self.folder, self._images[record.id], record, self.settings.labels)

    def tokens(self, image_id: str, crop: int = 0) -> np.ndarray:
        """Float16 `[H * W, D]` of a crop, row by row, on the memory map."""
        image = self._images[image_id]
        columns, rows = image["framing"]["grid"]
        first = image["first"] + crop * rows * columns
        return self.features[first : first + rows * columns]


def part_files(settings: StoreSettings) -> list[str]:
    """Names of the files of a store's parts."""
    return [f"part-{number}.npy" for number in range(1, 1 + len(settings.parts))]


class _MirrorImages(Mapping[str, FeatureMap]):
    """What `FeatureStore.mirror` gives."""

    def __init__(self, store: FeatureStore):
        self._store = store

    def __getitem__(self, image_id: str) -> FeatureMap:
        return self._store.crop(image_id, 1)

    def __iter__(self) -> Iterator[str]:
        return iter(self._store)

    def __len__(self) -> int:
        return len(self._store)


def partial_folder(folder: Path) -> Path:
    """Where a store lies until it is whole."""
    return folder.with_name(f"{folder.name}.partial")


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a store.

    Raises:
        StoreError: there is none, it is incomplete, or it is damaged.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if not all("files" in image for image in index["images"]):
            raise StoreError(f"'{folder}' is of an earlier version of spherecorr; delete it and extract again.")
        return index
    except StoreError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"'{folder / INDEX}' is damaged; delete '{folder}' and extract again.") from error
    except OSError as error:
        partial = partial_folder(folder)
        if not (partial / INDEX).is_file():
            raise StoreError(f"There is no feature store in '{folder}'; `spherecorr extract` makes one.") from error
        done, total = read_progress(partial), len(read_index(partial)["images"])
        raise StoreError(
            f"The store '{folder}' is incomplete, with {done:,} of {total:,} images; "
            "rerun the command that began it to resume."
        ) from error


def read_progress(partial: Path) -> int:
    """How many images an unfinished store has."""
    return json.loads((partial / PROGRESS).read_text())["images"]


def settings_of(index: dict[str, Any]) -> StoreSettings:
    """The settings in an index."""
    settings = index["settings"]
    parts = tuple(FeatureSource(**part) for part in settings.get("parts", ()))
    return StoreSettings(**{**settings, "source": FeatureSource(**settings["source"]), "parts": parts})


def open_array(path: Path, mode: Literal["c", "r+"]) -> np.memmap:
    """Map an array of a store into memory.

    Raises:
        StoreError: the file is missing or cut off.
    """
    try:
        return np.load(path, mmap_mode=mode)
    except (OSError, ValueError) as error:
        raise StoreError(f"'{path}' is missing or damaged; delete '{path.parent}' and extract again.") from error


def check_settings(folder: Path, found: StoreSettings, expected: StoreSettings) -> None:
    """Refuse a store that was made with other settings than expected; the sentence names both."""
    made, asked = ({**asdict(settings), **asdict(settings.source)} for settings in (found, expected))
    source, differs = asdict(found.source), found.source.differs_from(expected.source)
    others = [name for name in made if name not in ("source", "parts")]
    others = [name for name in others if (name in differs if name in source else made[name] != asked[name])]
    if different_sources(found.parts, expected.parts):
        others.append("parts")
        made["parts"], asked["parts"] = (
            " and ".join(f"{part.backbone} (layer {part.layer}, weights {part.weights})" for part in settings.parts)
            or "none"
            for settings in (found, expected)
        )
    if others:
        said, wanted = (", ".join(f"{name} {settings[name]}" for name in others) for settings in (made, asked))
        raise StoreError(f"The store '{folder}' has {said}; {wanted} needs another folder.")


def different_sources(some: Sequence[FeatureSource], others: Sequence[FeatureSource]) -> bool:
    """Whether the parts of two feature maps cannot be compared, one by one."""
    return len(some) != len(others) or any(one.differs_from(other) for one, other in zip(some, others, strict=True))


def check_files(folder: Path, image: dict[str, Any], record: ImageRecord, labels: bool) -> None:
    """Refuse an image whose files are not those of its entry in the index of the store in `folder`."""
    stored, found = image["files"], file_digests(record, labels)
    for role in dict.fromkeys([*stored, *found]):
        if stored.get(role) != found.get(role):
            path = getattr(record, PATHS[role]) or record.path
            raise StoreError(
                f"The store '{folder}' was made with another {role} of '{record.id}' than '{path}'. "
                "Choose another folder, or delete the store to extract anew."
            )


def _feature_map(tokens: np.ndarray, entry: dict[str, Any], source: FeatureSource) -> FeatureMap:
    """The map of a whole image that begins with the first of some tokens `[N, D]`; its entry says how it is framed."""
    framing = Framing(**_with_tuples(entry["framing"]))
    columns, rows = framing.grid
    features = torch.from_numpy(tokens[: rows * columns]).T.unflatten(1, (rows, columns))
    return FeatureMap(features, framing, source)


def _contents(image: dict[str, Any]) -> list[Any]:
    return [image["id"], sorted(image["files"].items())]


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}

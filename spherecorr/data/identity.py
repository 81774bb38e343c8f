"""What was read, told by content: digests of annotations, and of the files of an image."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.identity import digest, file_digest

PATHS = {"picture": "path", "mask": "mask", "surface points": "surface"}  # files of an image, by attribute


def records_digest(records: Iterable[ImageRecord]) -> str:
    """Of what is annotated, in the order of the records: sizes, categories, boxes, keypoints, viewpoints, ...

    Where the files lie does not count.
    """
    return digest(json.dumps(_annotation(record), sort_keys=True).encode() for record in records)


def pairs_digest(pairs: Iterable[PairRecord]) -> str:
    """Of pairs, their attributes, and the annotations of their images, in order."""
    written: dict[int, str] = {}  # a record stands in many pairs

    def of(record: ImageRecord) -> str:
        if id(record) not in written:
            written[id(record)] = records_digest([record])
        return written[id(record)]

    parts = ([pair.id, of(pair.source), of(pair.target), pair.attributes] for pair in pairs)
    return digest(json.dumps(part, sort_keys=True).encode() for part in parts)


def files_digest(paths: Iterable[Path]) -> str:
    """Of the contents of some files, in order."""
    return digest(file_digest(path).encode() for path in paths)


def labelled_digest(records: Iterable[ImageRecord]) -> str:
    """Of everything that training reads of some images: annotations, pictures, masks and surface points."""
    records = list(records)
    files = (json.dumps(file_digests(record, labels=True), sort_keys=True).encode() for record in records)
    return digest([records_digest(records).encode(), *files])


def file_digests(record: ImageRecord, labels: bool) -> dict[str, str]:
    """Of an image's files: of its picture and, with labels, of its mask and surface points.

    Args:
        record: the image.
        labels: whether mask and surface count.

    Returns:
        "picture", "mask", "surface points" -> digest; without those that the record does not name.

    Raises:
        DatasetError: a file is missing.
    """
    digests = {}
    for role, attribute in PATHS.items():
        path = getattr(record, attribute)
        if path is None or (role != "picture" and not labels):
            continue
        try:
            digests[role] = file_digest(path)
        except OSError as error:
            raise DatasetError(f"'{path}' cannot be read ({error.strerror}).") from error
    return digests


def _annotation(record: ImageRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record) if field.name not in PATHS.values()}

"""What the readers share: a file becomes values, or one sentence that names it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from spherecorr import images
from spherecorr.data.errors import DatasetError, of_a_dataset
from spherecorr.data.records import ImageRecord
from spherecorr.images import ImageError

Item = TypeVar("Item")
Value = TypeVar("Value")


def check_split(split: str, splits: Sequence[str], dataset: str) -> None:
    """Refuse a split that the dataset does not have."""
    if split not in splits:
        raise DatasetError(f"There is no split '{split}'; {dataset} has {', '.join(splits)}.")


def read_all(read: Callable[[Item], Value], items: Iterable[Item], broken: list[str] | None = None) -> list[Value]:
    """Read every item; with a list `broken`, an unreadable item adds its sentence there and is left out."""
    values = []
    for item in items:
        try:
            values.append(read(item))
        except (DatasetError, ImageError) as error:
            if broken is None:
                raise
            broken.append(str(error))
    return values


def read_text(path: Path) -> str:
    """The whole file, as UTF-8.

    Raises:
        DatasetError: the file is missing or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")  # drops the mark that some spreadsheets put in front
    except OSError as error:
        raise DatasetError(f"'{path}' cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"'{path}' is no text file.") from error


def read_json(path: Path) -> Any:
    """The file's content.

    Raises:
        DatasetError: the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"'{path}' cannot be read ({error.strerror}).") from error
    except ValueError as error:  # not JSON, or not even text
        raise DatasetError(f"'{path}' is not valid JSON ({error}).") from error


def read_csv(path: Path, columns: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows under the header line: where each stands, for messages, and its column -> text.

    Rows without text, which spreadsheets leave behind, are no rows.

    Raises:
        DatasetError: the file is missing, lacks one of the columns, or has a row with too few or too many fields.
    """
    reader = csv.reader(read_text(path).splitlines())
    try:
        lines = [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
    except csv.Error as error:
        raise DatasetError(f"'{path}, line {reader.line_num}' is no line of a CSV file ({error}).") from error
    header = lines[0][1] if lines else []
    for column in columns:
        if column not in header:
            raise DatasetError(f"'{path}' lacks the column '{column}'.")
    rows = []
    for number, fields in lines[1:]:
        where = f"{path}, line {number}"
        if len(fields) != len(header):
            raise DatasetError(f"'{where}' has another number of fields than the header.")
        rows.append((where, dict(zip(header, fields, strict=True))))
    return rows


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture; see `images.picture_size`.

    Raises:
        DatasetError: the file is missing or no picture.
    """
    with of_a_dataset():
        return images.picture_size(path)


def find_mask(identity: str, own: Path, masks: Path | None) -> Path | None:
    """Path of an image's mask, None where it has none.

    Args:
        identity: of the image, `category/stem`.
        own: where the dataset itself would have the mask.
        masks: a folder of masks made elsewhere, `<identity>.png`, which then counts instead; None for the dataset's.
    """
    path = own if masks is None else masks / f"{identity}.png"
    return path if path.is_file() else None


def check_record(record: ImageRecord, where: str | Path) -> ImageRecord:
    """Return the record if its box has a size, its keypoints lie on the image, and its viewpoint is a direction.

    A keypoint may lie one pixel outside: some annotations count pixels from 0, some from 1.

    Args:
        record: to be checked.
        where: the annotation, for the message.

    Raises:
        DatasetError: otherwise.
    """
    try:
        width, height = record.size
        if record.box is not None:
            x0, y0, x1, y1 = record.box
            if not (x0 < x1 and y0 < y1):
                raise DatasetError(f"'{where}' has a box without size: ({x0:g}, {y0:g}, {x1:g}, {y1:g}).")
        for name, point in record.keypoints.items():
            if point is None:
                continue
            x, y = point
            if not (-1 <= x <= width + 1 and -1 <= y <= height + 1):
                place = f"({x:g}, {y:g}), outside the image of {width} x {height} pixels"
                raise DatasetError(f"'{where}' has the keypoint '{name}' at {place}.")
        if record.azimuth_bin is not None and record.azimuth_bin not in range(8):
            raise DatasetError(f"'{where}' has the azimuth bin {record.azimuth_bin}, which is none of 0 to 7.")
        if record.azimuth is not None and not math.isfinite(record.azimuth):
            raise DatasetError(f"'{where}' has the azimuth {record.azimuth}, which is no number of degrees.")
        if record.elevation is not None and not -90 <= record.elevation <= 90:
            raise DatasetError(f"'{where}' has the elevation {record.elevation}, which is not -90 to 90 degrees.")
    except DatasetError:
        raise
    except (TypeError, ValueError) as error:
        raise DatasetError(f"'{where}' has a size, a box, a keypoint or a viewpoint that is no number.") from error
    return record

"""A folder of one's own images with viewpoints, and ETH-80 as an example of bringing a dataset into this form."""

from __future__ import annotations

import math
import re
from pathlib import Path

from spherecorr.data.reading import check_record, check_split, find_mask, picture_size, read_all, read_csv
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.files import list_files

QUALITIES = {"good": 1.0, "fair": 0.5, "skip": 0.0}


class Folder:
    """Reads a folder with `viewpoints.csv`, pictures and, if there, masks.

    The columns are `image` (a path under the folder), `category`, and `azimuth` (degrees of the camera from the
    object's front towards its left) or `azimuth_bin` (0 to 7, in steps of 45 degrees). A picture with a mask may have
    neither: it still teaches what is object and what is not. The columns `elevation` (degrees of the camera above the
    object's horizon), `mask` (a path under the folder, see `masks.read_mask`), `surface` (likewise, see
    `dense_labels`), `instance` (a name that all pictures of one object share, so that they are not compared with each
    other) and `quality` (of the viewpoint: "good", "fair", "skip" or a weight from 0 to 1) are optional, and so is what
    stands in them.

    Args:
        root: the folder.
        masks: folder of masks to be used instead of the column's; see `masking`.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "a folder"
    splits = ("all",)

    def __init__(self, root: str | Path, masks: str | Path | None = None):
        self.root = Path(root)
        self.masks = None if masks is None else Path(masks)
        self._table = self.root / "viewpoints.csv"
        if not self._table.is_file():
            raise DatasetError(f"'{self._table}' is missing; it names the pictures and their azimuths.")

    @property
    def categories(self) -> list[str]:
        """Names of the categories, sorted."""
        return sorted({row["category"] for _, row in read_csv(self._table, ("category",))})

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every image, in the order of the table.

        Args:
            split: all.
            broken: a list that gets a sentence for every line that cannot be used, instead of an error.
        """
        check_split(split, self.splits, self.title)
        rows = read_csv(self._table, ("image", "category"))
        return read_all(lambda row: self._record(*row), rows, broken)

    def _record(self, where: str, row: dict[str, str]) -> ImageRecord:
        if not Path(row["image"].strip()).name:
            raise DatasetError(f"'{where}' names no image.")
        path, mask = self.root / row["image"], row.get("mask")
        identity = f"{row['category']}/{Path(row['image']).with_suffix('').as_posix().replace('/', '-')}"
        azimuth, azimuth_bin = _azimuth(where, row, may_lack=bool(mask) or self.masks is not None)
        for column in ("mask", "surface"):
            if (named := row.get(column)) and not (self.root / named).is_file():
                raise DatasetError(f"'{where}' names the {column} '{named}', which is missing.")
        surface = row.get("surface")
        record = ImageRecord(
            id=identity,
            path=path,
            size=picture_size(path),
            category=row["category"],
            box=None,
            keypoints={},
            azimuth_bin=azimuth_bin,
            azimuth=azimuth,
            elevation=_degrees(where, row, "elevation"),
            mask=find_mask(identity, self.root / (mask or ""), self.masks),
            surface=self.root / surface if surface else None,
            instance=row.get("instance") or None,
            quality=_quality(where, row),
        )
        return check_record(record, where)


def _azimuth(where: str, row: dict[str, str], may_lack: bool) -> tuple[float | None, int | None]:
    """Azimuth in 0..360, None where only the bin is given, and the bin; both None where neither is and need not be."""
    azimuth, given = _degrees(where, row, "azimuth"), row.get("azimuth_bin", "")
    if azimuth is not None:
        return azimuth % 360, int(azimuth % 360 // 45)
    if not given.strip() and may_lack:
        return None, None
    if not given.isdecimal():
        raise DatasetError(f"'{where}' has neither an azimuth nor an azimuth_bin of 0 to 7.")
    return None, int(given)


def _quality(where: str, row: dict[str, str]) -> float:
    """The weight of the viewpoint, 0..1; 1 where nothing is said."""
    given = (row.get("quality") or "good").strip().lower()
    try:
        weight = QUALITIES[given] if given in QUALITIES else float(given)
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= 1:
        raise DatasetError(f"'{where}' has the quality '{given}', which is none of good, fair, skip and 0 to 1.")
    return weight


def _degrees(where: str, row: dict[str, str], column: str) -> float | None:
    """The number in a column, None where there is nothing."""
    if not row.get(column):
        return None
    try:
        degrees = float(row[column])
    except ValueError:
        degrees = math.nan
    if not math.isfinite(degrees):
        raise DatasetError(f"'{where}' has the {column} '{row[column]}', which is no number of degrees.")
    return degrees


class Eth80:
    """Reads ETH-80's pictures `car1/car1-090-045.png` with masks `car1/maps/car1-090-045-map.png`, as in its archive.

    The folders may also be named by category alone, and masks lie in `masks` under their pictures' names. The name of
    a picture says its category, instance, polar angle and azimuth.

    Args:
        root: the folder.
        masks: folder of masks to be used instead of its own; see `masking`.

    Raises:
        DatasetError: from any method, when a file is missing or has another name; the message names the file.
    """

    title = "ETH-80"
    splits = ("all",)

    def __init__(self, root: str | Path, masks: str | Path | None = None):
        self.root = Path(root)
        self.masks = None if masks is None else Path(masks)
        self._paths = list_files(self.root, "*/*", (".jpg", ".png"))
        if not self._paths:
            raise DatasetError(f"'{self.root}' has no pictures such as car1/car1-090-045.png of ETH-80.")

    @property
    def categories(self) -> list[str]:
        """Names of the categories, sorted."""
        return sorted({_eth80_category(path) for path in self._paths})

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every picture, sorted by name.

        Args:
            split: all.
            broken: a list that gets a sentence for every picture that cannot be used, instead of an error.
        """
        check_split(split, self.splits, self.title)
        return read_all(self._record, self._paths, broken)

    def _record(self, path: Path) -> ImageRecord:
        azimuth, elevation = eth80_viewpoint(path)
        category = _eth80_category(path)
        identity = f"{category}/{path.stem}"
        own = path.parent / "maps" / f"{path.stem}-map.png"
        if not own.is_file():
            own = path.parent / "masks" / f"{path.stem}.png"
        return ImageRecord(
            id=identity,
            path=path,
            size=picture_size(path),
            category=category,
            box=None,
            keypoints={},
            azimuth_bin=None if azimuth is None else int(azimuth // 45),
            azimuth=azimuth,
            elevation=elevation,
            mask=find_mask(identity, own, self.masks),
            instance=path.stem.partition("-")[0],
        )


def _eth80_category(path: Path) -> str:
    return path.parent.name.rstrip("0123456789")


def eth80_viewpoint(path: Path) -> tuple[float | None, float]:
    """Azimuth (None from straight above) and elevation in degrees, from a picture's name.

    ETH-80 counts azimuths from the view in which the object faces right, over its front: that is 90 degrees before
    the front. Names are whole degrees of a turntable with steps of 22.5.
    """
    match = re.fullmatch(r"[a-z]+\d+-(\d{3})-(\d{3})", path.stem)
    if match is None:
        raise DatasetError(f"'{path}' is not named like ETH-80's pictures, car1-090-045.jpg.")
    polar, azimuth = (float(part) for part in match.groups())
    return None if polar == 0 else (azimuth - 90) % 360, 90 - polar

"""A folder of one's own images with viewpoints, and ETH-80 as an example of bringing a dataset into this form."""

from __future__ import annotations

import re
from pathlib import Path

from spherecorr.data.reading import check_split, picture_size, read_all, read_csv
from spherecorr.data.records import DatasetError, ImageRecord

BINS = range(8)


class Folder:
    """Reads a folder with `viewpoints.csv`, pictures and, if there, masks.

    The columns are `image` (a path under the folder), `category`, and `azimuth` (degrees of the camera from the
    object's front towards its left) or `azimuth_bin` (0 to 7, in steps of 45 degrees). A column `mask` (a path under
    the folder, above 0 on the object) is optional, and so is what stands in it.

    Args:
        root: the folder.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "a folder"
    splits = ("all",)

    def __init__(self, root: str | Path):
        self.root = Path(root)
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
        path, mask = self.root / row["image"], row.get("mask")
        azimuth, azimuth_bin = _viewpoint(where, row)
        if mask and not (self.root / mask).is_file():
            raise DatasetError(f"'{where}' names the mask '{mask}', which is missing.")
        return ImageRecord(
            id=f"{row['category']}/{Path(row['image']).with_suffix('').as_posix().replace('/', '-')}",
            path=path,
            size=picture_size(path),
            category=row["category"],
            box=None,
            keypoints={},
            azimuth_bin=azimuth_bin,
            azimuth=azimuth,
            mask=self.root / mask if mask else None,
        )


def _viewpoint(where: str, row: dict[str, str]) -> tuple[float | None, int]:
    """Azimuth in 0..360, None where only the bin is given, and the bin."""
    if row.get("azimuth"):
        try:
            azimuth = float(row["azimuth"]) % 360
            return azimuth, int(azimuth // 45)
        except ValueError as error:  # no number, or none that is finite
            raise DatasetError(
                f"'{where}' has the azimuth '{row['azimuth']}', which is no number of degrees."
            ) from error
    given = row.get("azimuth_bin", "")
    if not (given.isdecimal() and int(given) in BINS):
        raise DatasetError(f"'{where}' has neither an azimuth nor an azimuth_bin of 0 to 7.")
    return None, int(given)


class Eth80:
    """Reads ETH-80's pictures `<category>/<category><instance>-<polar>-<azimuth>.jpg`, masks in `<category>/masks`.

    Args:
        root: the folder.

    Raises:
        DatasetError: from any method, when a file is missing or has another name; the message names the file.
    """

    title = "ETH-80"
    splits = ("all",)

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not any(self.root.glob("*/*.jpg")):
            raise DatasetError(f"'{self.root}' has no <category>/*.jpg: it is not in the layout expected of ETH-80.")

    @property
    def categories(self) -> list[str]:
        """Names of the categories, sorted."""
        return sorted({path.parent.name for path in self.root.glob("*/*.jpg")})

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every picture, sorted by name.

        Args:
            split: all.
            broken: a list that gets a sentence for every picture that cannot be used, instead of an error.
        """
        check_split(split, self.splits, self.title)
        return read_all(self._record, sorted(self.root.glob("*/*.jpg")), broken)

    def _record(self, path: Path) -> ImageRecord:
        azimuth, elevation = eth80_viewpoint(path)
        category = path.parent.name
        mask = path.parent / "masks" / f"{path.stem}.png"
        return ImageRecord(
            id=f"{category}/{path.stem}",
            path=path,
            size=picture_size(path),
            category=category,
            box=None,
            keypoints={},
            azimuth_bin=None if azimuth is None else int(azimuth // 45),
            azimuth=azimuth,
            elevation=elevation,
            mask=mask if mask.exists() else None,
        )


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

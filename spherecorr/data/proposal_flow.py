"""PF-PASCAL and PF-WILLOW: lists of pairs in CSV files, with the points of each pair in the list itself.

A point is known by its number in its pair only, so `images` yields records without keypoints.
"""

from __future__ import annotations

from pathlib import Path

from spherecorr.data.masks import VOC_CLASSES
from spherecorr.data.pairing import make_pair
from spherecorr.data.reading import check_record, check_split, picture_size, read_all, read_csv
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord, Point

LISTS = {"trn": "train_pairs.csv", "val": "val_pairs.csv", "test": "test_pairs.csv"}
POINTS = 10
"""Points of every pair of PF-WILLOW."""


class PFPascal:
    """Reads `image_pairs/{train,val,test}_pairs.csv`, which name pictures by their path under the folder.

    The columns are `source_image`, `target_image`, `class` (1 to 20), and either `XA`, `YA`, `XB`, `YB`, each a list
    with semicolons, or `flip`. A list with `flip` has no points: its pairs have the attribute `flip`, True where
    both pictures are to be mirrored. There are no boxes: thresholds go by the image.

    Args:
        root: the folder.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "PF-PASCAL"

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not self.splits:
            raise DatasetError(f"'{self.root}' has none of image_pairs/{{train,val,test}}_pairs.csv of PF-PASCAL.")

    @property
    def categories(self) -> list[str]:
        """The 20 classes of PASCAL VOC."""
        return list(VOC_CLASSES)

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of trn, val and test whose list is there."""
        return tuple(split for split, name in LISTS.items() if (self.root / "image_pairs" / name).is_file())

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every picture of the split's pairs, once each, without keypoints."""
        return _pictures(self.pairs(split, broken))

    def pairs(self, split: str, broken: list[str] | None = None) -> list[PairRecord]:
        """The pairs of a split in the order of its list.

        Args:
            split: trn, val or test.
            broken: a list that gets a sentence for every pair that cannot be read, instead of an error.
        """
        check_split(split, tuple(LISTS), self.title)
        rows = read_csv(self.root / "image_pairs" / LISTS[split], ("source_image", "target_image", "class"))
        return read_all(lambda row: self._pair(*row), rows, broken)

    def _pair(self, where: str, row: dict[str, str]) -> PairRecord:
        number = row["class"]
        if not (number.isdecimal() and 1 <= int(number) <= len(VOC_CLASSES)):
            raise DatasetError(f"'{where}' has the class '{number}', which is not 1 to {len(VOC_CLASSES)}.")
        category = VOC_CLASSES[int(number) - 1]
        if {"XA", "YA", "XB", "YB"} <= row.keys():
            points = [_points(where, row[f"X{side}"].split(";"), row[f"Y{side}"].split(";")) for side in "AB"]
            attributes = {}
        elif "flip" in row:
            points, attributes = [{}, {}], {"flip": row["flip"] == "1"}
        else:
            raise DatasetError(f"'{where}' has neither points (XA, YA, XB, YB) nor flip.")
        if len(points[0]) != len(points[1]):
            raise DatasetError(f"'{where}' has {len(points[0])} points in one image and {len(points[1])} in the other.")
        images = [
            _record(self.root / row[name], category, keypoints, None, where)
            for name, keypoints in zip(("source_image", "target_image"), points, strict=True)
        ]
        source, target = images
        return make_pair(source, target, attributes)


class PFWillow:
    """Reads `test_pairs_pf.csv`, which names pictures by their path under the folder (`PF-dataset/car(G)/...`).

    The columns are `imageA`, `imageB`, `XA1` to `XA10`, `YA1` ..., `XB1` ..., `YB1` to `YB10`. The category is the
    picture's folder. The box is that of the points, the usual reference of thresholds here.

    Args:
        root: the folder.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "PF-WILLOW"
    splits = ("test",)
    columns = tuple(f"{axis}{side}{i}" for side in "AB" for axis in "XY" for i in range(1, POINTS + 1))

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self._list = self.root / "test_pairs_pf.csv"
        if not self._list.is_file():
            raise DatasetError(f"'{self._list}' is missing: '{self.root}' is not in PF-WILLOW's layout.")

    @property
    def categories(self) -> list[str]:
        """Folders of the pictures, such as car(G), sorted."""
        return sorted({Path(row["imageA"]).parent.name for _, row in read_csv(self._list, ("imageA",))})

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every picture of the pairs, once each, without keypoints."""
        return _pictures(self.pairs(split, broken))

    def pairs(self, split: str, broken: list[str] | None = None) -> list[PairRecord]:
        """The pairs in the order of the list.

        Args:
            split: test.
            broken: a list that gets a sentence for every pair that cannot be read, instead of an error.
        """
        check_split(split, self.splits, self.title)
        rows = read_csv(self._list, ("imageA", "imageB", *self.columns))
        return read_all(lambda row: self._pair(*row), rows, broken)

    def _pair(self, where: str, row: dict[str, str]) -> PairRecord:
        images = []
        for side in "AB":
            xs, ys = ([row[f"{axis}{side}{i}"] for i in range(1, POINTS + 1)] for axis in "XY")
            keypoints = _points(where, xs, ys)
            columns, lines = zip(*keypoints.values(), strict=True)
            box = (min(columns), min(lines), max(columns), max(lines))
            path = self.root / row[f"image{side}"]
            images.append(_record(path, path.parent.name, keypoints, box, where))
        source, target = images
        return make_pair(source, target)


def _points(where: str, xs: list[str], ys: list[str]) -> dict[str, Point]:
    """Number in the list -> (x, y)."""
    if len(xs) != len(ys):
        raise DatasetError(f"'{where}' has {len(xs)} x and {len(ys)} y coordinates.")
    try:
        return {str(i): (float(x), float(y)) for i, (x, y) in enumerate(zip(xs, ys, strict=True))}
    except ValueError as error:
        raise DatasetError(f"'{where}' has a coordinate that is no number.") from error


def _record(
    path: Path, category: str, keypoints: dict[str, Point], box: tuple[float, float, float, float] | None, where: str
) -> ImageRecord:
    record = ImageRecord(f"{category}/{path.stem}", path, picture_size(path), category, box, {**keypoints})
    return check_record(record, where)


def _pictures(pairs: list[PairRecord]) -> list[ImageRecord]:
    records = {
        image.id: ImageRecord(image.id, image.path, image.size, image.category, None, {})
        for pair in pairs
        for image in (pair.source, pair.target)
    }
    return list(records.values())

"""AwA-Pose: keypoints on the quadrupeds of Animals with Attributes 2, for categories that SPair-71k does not have."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn

from spherecorr.data.pairing import draw, make_pair, matchable
from spherecorr.data.reading import check_record, check_split, picture_size, read_all
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord, Point
from spherecorr.files import list_files, list_folders

KEYPOINTS = (
    *("nose", "upper_jaw", "lower_jaw", "mouth_end_right", "mouth_end_left"),
    *("right_eye", "right_earbase", "right_earend", "right_antler_base", "right_antler_end"),
    *("left_eye", "left_earbase", "left_earend", "left_antler_base", "left_antler_end"),
    *("neck_base", "neck_end", "throat_base", "throat_end", "back_base", "back_end", "back_middle"),
    *("tail_base", "tail_end", "belly_bottom", "body_middle_right", "body_middle_left"),
    *("front_left_thai", "front_left_knee", "front_left_paw"),  # "thai" is the data's spelling
    *("front_right_thai", "front_right_knee", "front_right_paw"),
    *("back_left_thai", "back_left_knee", "back_left_paw"),
    *("back_right_thai", "back_right_knee", "back_right_paw"),
)
BOX = "bbox"
REPEATED = "sample"  # a folder with copies of two files


@dataclass(frozen=True)
class Animal:
    """One animal of a file.

    Attributes:
        path: of the file.
        keypoints: name -> (x, y) in pixels, None where hidden.
        box: (x0, y0, x1, y1) in pixels, None where not annotated.
    """

    path: Path
    keypoints: dict[str, Point | None]
    box: tuple[float, float, float, float] | None


class AwaPose:
    """Reads a folder with `Annotations/<class>/<stem>.pickle` and AwA2's `JPEGImages/<class>/<stem>.jpg`.

    Used are the files with one animal, which has a box: thresholds go by it. The dataset has no list of pairs; `pairs`
    draws them by a rule that depends on the annotations and the seed alone, so that everybody gets the same list.

    Args:
        root: the folder.
        per_class: pairs of each class.
        seed: of the pairs.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "AwA-Pose"
    splits = ("test",)

    def __init__(self, root: str | Path, per_class: int = 100, seed: int = 0):
        self.root = Path(root)
        self.per_class, self.seed = per_class, seed
        self._records: dict[Path, ImageRecord] = {}
        if not (self.root / "Annotations").is_dir():
            raise DatasetError(f"'{self.root}' has no folder Annotations: it is not in AwA-Pose's layout.")

    @property
    def categories(self) -> list[str]:
        """Names of the classes, sorted."""
        return [folder.name for folder in list_folders(self.root / "Annotations") if folder.name != REPEATED]

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every image with one animal that has a box."""
        check_split(split, self.splits, self.title)
        animals = [animal for category in self.categories for animal in self._animals(category, broken)]
        return read_all(self._record, animals, broken)

    def pairs(self, split: str, broken: list[str] | None = None) -> list[PairRecord]:
        """The pairs that `drawn` names.

        Args:
            split: test.
            broken: a list that gets a sentence for every file that cannot be read, instead of an error.
        """
        check_split(split, self.splits, self.title)
        return read_all(
            lambda pair: make_pair(self._record(pair[0]), self._record(pair[1])), self.drawn(broken), broken
        )

    def drawn(self, broken: list[str] | None = None) -> list[tuple[Animal, Animal]]:
        """Per class, `per_class` different pairs with 3 keypoints in common; needs no pictures.

        The candidates are all two animals of a class in the order of their files' names, the first the source.
        """
        chosen = []
        for category in self.categories:
            candidates = matchable(combinations(self._animals(category, broken), 2))
            chosen += draw(candidates, self.per_class, f"{self.seed} {category}")
        return chosen

    def _animals(self, category: str, broken: list[str] | None) -> list[Animal]:
        paths = list_files(self.root / "Annotations" / category, "*.pickle")
        files = read_all(read_animals, paths, broken)
        return [animals[0] for animals in files if len(animals) == 1 and animals[0].box is not None]

    def _record(self, animal: Animal) -> ImageRecord:
        path = animal.path
        if path not in self._records:
            category = path.parent.name
            picture = self.root / "JPEGImages" / category / f"{path.stem}.jpg"
            size = picture_size(picture)
            record = ImageRecord(f"{category}/{path.stem}", picture, size, category, animal.box, animal.keypoints)
            self._records[path] = check_record(record, path)
        return self._records[path]


def read_animals(path: str | Path) -> list[Animal]:
    """Read one annotation file without executing anything in it.

    Raises:
        DatasetError: the file is missing, broken, or holds more than dicts, lists, texts and numbers.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = _PlainUnpickler(file).load()
    except OSError as error:
        raise DatasetError(f"'{path}' cannot be read ({error.strerror}).") from error
    except Exception as error:  # on a broken file pickle raises nearly anything
        raise DatasetError(f"'{path}' is no pickle of plain values ({error}).") from error
    try:
        return [_animal(path, content[name]) for name in sorted(content)]
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"'{path}' is no annotation of AwA-Pose.") from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _animal(path: Path, entry: dict[str, Any]) -> Animal:
    keypoints: dict[str, Point | None] = dict.fromkeys(KEYPOINTS)
    misspelt = {}
    for key, point in entry.items():
        if key in keypoints:
            keypoints[key] = _point(*point)
        elif key != BOX:
            misspelt[key] = point
    for key, point in misspelt.items():
        name = meant_by(key)
        if name is not None and keypoints[name] is None:
            keypoints[name] = _point(*point)
    if BOX not in entry:
        return Animal(path, keypoints, None)
    x0, y0, x1, y1 = (float(side) for side in entry[BOX])
    return Animal(path, keypoints, (x0, y0, x1, y1))


def _point(x: float, y: float) -> Point | None:
    """Absent keypoints are at (-1, -1)."""
    return None if x < 0 and y < 0 else (float(x), float(y))


def meant_by(key: str) -> str | None:
    """The keypoint that a misspelt key means; None where that is not clear.

    Underscores and capitals do not count, and `rignt` is `right`. The key's last one or two letters may be wrong, if
    only one keypoint starts as the rest does: `tail_emd` is `tail_end`, but `left_eara` could be either end of the ear.
    A keypoint that is annotated under its own name is never replaced (that leaves out `throat_be` and `tail_be`).
    """
    key = _fold(key).replace("rignt", "right")
    for wrong in range(3):
        names = [name for name in KEYPOINTS if _fold(name).startswith(key[: len(key) - wrong])]
        if names:
            return names[0] if len(names) == 1 else None
    return None


def _fold(name: str) -> str:
    return name.replace("_", "").lower()

"""Freiburg static cars: many views around each car, with boxes and azimuths."""

from __future__ import annotations

from pathlib import Path

from spherecorr.data.reading import check_record, check_split, picture_size, read_all, read_text
from spherecorr.data.records import DatasetError, ImageRecord

CATEGORY = "car"


class FreiburgCars:
    """Reads a folder with `images/<car_id>/*`, `annotations/<n>_annot.txt` and, if there, `instance_masks/<car_id>/*`.

    `<n>` is the number at the end of the car's id, without leading zeros. A line of an annotation is
    `name x0 y0 x1 y1 azimuth`, where name is `<car_id>/<file>` and the rest whole numbers. Azimuths are taken as they
    are written, in degrees; from which side they count is not documented. Masks are PNG files named as the pictures.

    Args:
        root: the folder.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "Freiburg static cars"
    splits = ("all",)
    categories = (CATEGORY,)

    def __init__(self, root: str | Path):
        self.root = Path(root)
        for name in ("images", "annotations"):
            if not (self.root / name).is_dir():
                raise DatasetError(f"'{self.root}' has no folder {name}: it is not in the layout of {self.title}.")

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every annotated image, car by car.

        Args:
            split: all.
            broken: a list that gets a sentence for every car or line that cannot be read, instead of an error.
        """
        check_split(split, self.splits, self.title)
        cars = sorted(path.name for path in (self.root / "images").iterdir() if path.is_dir())
        lines = read_all(self._lines, cars, broken)
        return read_all(lambda line: self._record(*line), [line for car in lines for line in car], broken)

    def _lines(self, car: str) -> list[tuple[str, str]]:
        """Where each line of a car's annotation stands, and its text."""
        number = car[len(car.rstrip("0123456789")) :][-2:]
        if not number:
            raise DatasetError(f"'{self.root / 'images' / car}' has no number at its end, which names its annotation.")
        path = self.root / "annotations" / f"{int(number)}_annot.txt"
        lines = read_text(path).splitlines()
        return [(f"{path}, line {i}", line) for i, line in enumerate(lines, start=1) if line.strip()]

    def _record(self, where: str, line: str) -> ImageRecord:
        try:
            name, *numbers = line.split()
            x0, y0, x1, y1, azimuth = (int(number) for number in numbers)
            car, file = name.split("/")
        except ValueError as error:
            raise DatasetError(f"'{where}' is not of the form car/file x0 y0 x1 y1 azimuth (integers).") from error
        path = self.root / "images" / car / file
        mask = self.root / "instance_masks" / car / f"{path.stem}.png"
        record = ImageRecord(
            id=f"{CATEGORY}/{car}-{path.stem}",
            path=path,
            size=picture_size(path),
            category=CATEGORY,
            box=(x0, y0, x1, y1),
            keypoints={},
            azimuth_bin=azimuth % 360 // 45,
            azimuth=azimuth % 360,
            mask=mask if mask.exists() else None,
        )
        return check_record(record, where)

"""Freiburg static cars: many views around each car, with boxes and azimuths."""

from __future__ import annotations

from pathlib import Path

from spherecorr.data.reading import check_record, check_split, find_mask, picture_size, read_all, read_text
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.files import list_folders

CATEGORY = "car"
ANNOTATIONS, MASKS = "annotations", "instance_masks"


class FreiburgCars:
    """Reads a folder with `images/<car_id>/*`, `annotations/<n>_annot.txt` and, if there, `instance_masks/<car_id>/*`.

    Without a folder `images`, the cars' folders lie beside `annotations`, as in the archive. `<n>` is the number at the
    end of the car's id, without leading zeros. A line of an annotation is `name x0 y0 x1 y1 azimuth`, where name is
    `<car_id>/<file>` and the rest whole numbers. Azimuths are taken as they are written, in degrees; from which side
    they count is not documented. Masks are PNG files named as the pictures.

    Args:
        root: the folder.
        masks: folder of masks to be used instead of `instance_masks`; see `masking`.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "Freiburg static cars"
    splits = ("all",)
    categories = (CATEGORY,)

    def __init__(self, root: str | Path, masks: str | Path | None = None):
        self.root = Path(root)
        self.masks = None if masks is None else Path(masks)
        self._pictures = self.root / "images" if (self.root / "images").is_dir() else self.root
        if not (self.root / ANNOTATIONS).is_dir():
            raise DatasetError(f"'{self.root}' has no folder {ANNOTATIONS}: it is not in the layout of {self.title}.")

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every annotated image, car by car.

        Args:
            split: all.
            broken: a list that gets a sentence for every car or line that cannot be read, instead of an error.
        """
        check_split(split, self.splits, self.title)
        cars = [car.name for car in list_folders(self._pictures) if car.name not in (ANNOTATIONS, MASKS)]
        lines = read_all(self._lines, cars, broken)
        return read_all(lambda line: self._record(*line), [line for car in lines for line in car], broken)

    def _lines(self, car: str) -> list[tuple[str, str]]:
        """Where each line of a car's annotation stands, and its text."""
        number = car[len(car.rstrip("0123456789")) :][-2:]
        if not number:
            raise DatasetError(f"'{self._pictures / car}' has no number at its end, which names its annotation.")
        path = self.root / ANNOTATIONS / f"{int(number)}_annot.txt"
        lines = read_text(path).splitlines()
        return [(f"{path}, line {i}", line) for i, line in enumerate(lines, start=1) if line.strip()]

    def _record(self, where: str, line: str) -> ImageRecord:
        try:
            name, *numbers = line.split()
            x0, y0, x1, y1, azimuth = (int(number) for number in numbers)
            car, file = name.split("/")
        except ValueError as error:
            raise DatasetError(f"'{where}' is not of the form car/file x0 y0 x1 y1 azimuth (integers).") from error
        path = self._pictures / car / file
        identity = f"{CATEGORY}/{car}-{path.stem}"
        record = ImageRecord(
            id=identity,
            path=path,
            size=picture_size(path),
            category=CATEGORY,
            box=(x0, y0, x1, y1),
            keypoints={},
            azimuth_bin=azimuth % 360 // 45,
            azimuth=azimuth % 360,
            mask=find_mask(identity, self.root / MASKS / car / f"{path.stem}.png", self.masks),
            instance=car,
        )
        return check_record(record, where)

"""SPair-71k's folders, and renders, which use the same layout."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from spherecorr.data.records import DatasetError, ImageRecord, PairRecord

SPLITS = ("trn", "val", "test")


class SPair71k:
    """Reads a folder with `ImageAnnotation`, `PairAnnotation`, `Layout`, `JPEGImages` and `Segmentation`.

    Args:
        root: the folder.

    Raises:
        DatasetError: from any method, when a file is missing or lacks a key; the message names the file.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not (self.root / "ImageAnnotation").is_dir():
            raise DatasetError(f"'{self.root}' has no folder ImageAnnotation: it is not in SPair-71k's layout.")
        self._images: dict[str, ImageRecord] = {}

    @property
    def categories(self) -> list[str]:
        """Names of the categories, sorted."""
        return sorted(folder.name for folder in (self.root / "ImageAnnotation").iterdir() if folder.is_dir())

    @cached_property
    def keypoint_names(self) -> dict[str, list[str]]:
        """Category -> names of keys "0", "1", ...; empty for SPair itself, whose keypoints have numbers only."""
        path = self.root / "keypoints.json"
        return _read_json(path) if path.exists() else {}

    def pairs(self, split: str) -> list[PairRecord]:
        """The pairs of a split, in the order of its layout file."""
        return [self._pair(split, name) for name in self._layout(split)]

    def images(self, split: str) -> list[ImageRecord]:
        """Every image that is the source of a pair of the split, once each (the paper's training set)."""
        ids: dict[str, ImageRecord] = {}
        for name in self._layout(split):
            _, source, _, category = re.split("[-:]", name)
            record = self._image(category, source)
            ids.setdefault(record.id, record)
        return list(ids.values())

    def _layout(self, split: str) -> list[str]:
        if split not in SPLITS:
            raise DatasetError(f"There is no split '{split}'; SPair-71k has {', '.join(SPLITS)}.")
        path = self.root / "Layout" / "large" / f"{split}.txt"
        if not path.is_file():
            raise DatasetError(f"'{path}' is missing.")
        names = path.read_text().split()
        for name in names:
            if not re.fullmatch(r"\d+-[^-:]+-[^-:]+:[^-:]+", name):
                raise DatasetError(f"'{path}' lists '{name}', which is not of the form number-source-target:category.")
        return names

    def _pair(self, split: str, name: str) -> PairRecord:
        path = self.root / "PairAnnotation" / split / f"{name}.json"
        annotation = _read_json(path)
        try:
            category = annotation["category"]
            source, target = (Path(annotation[key]).stem for key in ("src_imname", "trg_imname"))
            known = ("viewpoint_variation", "scale_variation", "truncation", "occlusion", "mirror")
            attributes = {key: annotation[key] for key in known if key in annotation}
        except KeyError as error:
            raise DatasetError(f"'{path}' lacks the key {error}.") from error
        except TypeError as error:
            raise DatasetError(f"'{path}' is no pair annotation of SPair-71k.") from error
        return PairRecord(name, self._image(category, source), self._image(category, target), attributes)

    def _image(self, category: str, stem: str) -> ImageRecord:
        identity = f"{category}/{stem}"
        if identity not in self._images:
            path = self.root / "ImageAnnotation" / category / f"{stem}.json"
            self._images[identity] = self._record(identity, path, _read_json(path))
        return self._images[identity]

    def _record(self, identity: str, path: Path, annotation: dict[str, Any]) -> ImageRecord:
        all_names = self.keypoint_names
        try:
            category = annotation["category"]
            image = self.root / "JPEGImages" / category / annotation["filename"]
            mask = self.root / "Segmentation" / category / f"{image.stem}.png"
            surface = self.root / "SurfacePoints" / category / f"{image.stem}.png"
            names = all_names.get(category)
            keypoints = {
                names[int(key)] if names else key: tuple(point) if point else None
                for key, point in annotation["kps"].items()
                if not names or int(key) < len(names)
            }
            return ImageRecord(
                id=identity,
                path=image,
                size=(annotation["image_width"], annotation["image_height"]),
                category=category,
                box=tuple(annotation["bndbox"]),
                keypoints=keypoints,
                azimuth_bin=annotation["azimuth_id"],
                azimuth=annotation.get("azimuth"),
                mask=mask if mask.exists() else None,
                surface=surface if surface.exists() else None,
            )
        except KeyError as error:
            raise DatasetError(f"'{path}' lacks the key {error}.") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"'{path}' is no image annotation of SPair-71k.") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DatasetError(f"'{path}' cannot be read ({error.strerror}).") from error
    except ValueError as error:  # not JSON, or not even text
        raise DatasetError(f"'{path}' is not valid JSON ({error}).") from error

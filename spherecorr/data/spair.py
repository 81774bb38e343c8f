"""SPair-71k's folders; renders, which use the same layout; and SPair-U, whose folders lie beside SPair-71k's."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from spherecorr.data.reading import check_record, check_split, find_mask, read_all, read_json, read_text
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.data.spair_symmetry import PARTS
from spherecorr.data.symmetry import Symmetry, symmetry_by_number
from spherecorr.files import list_files, list_folders

SPLITS = ("trn", "val", "test")


class SPair71k:
    """Reads a folder with `ImageAnnotation`, `PairAnnotation`, `Layout`, `JPEGImages` and `Segmentation`.

    Without a folder `Layout`, as in some copies, every pair annotation that is there counts, in the order of the names.

    Args:
        root: the folder.
        layout: "large" lists all pairs, "small" the subset that SPair-71k publishes for quick trials.
        masks: folder of masks to be used instead of `Segmentation`; see `masking`.

    Raises:
        DatasetError: from any method, when a file is missing or lacks a key; the message names the file.
    """

    title = "SPair-71k"
    image_folder, pair_folder = "ImageAnnotation", "PairAnnotation"
    numbers_known = True  # what the numbers of the keypoints mean, in `spair_symmetry`

    def __init__(self, root: str | Path, layout: Literal["large", "small"] = "large", masks: str | Path | None = None):
        self.root = Path(root)
        self.layout = layout
        self.masks = None if masks is None else Path(masks)
        if not (self.root / self.image_folder).is_dir():
            raise DatasetError(f"'{self.root}' has no folder {self.image_folder}: it is not in {self.title}'s layout.")
        self._images: dict[str, ImageRecord] = {}

    @property
    def categories(self) -> list[str]:
        """Names of the categories, sorted."""
        return [folder.name for folder in list_folders(self.root / self.image_folder)]

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of trn, val and test that are there; renders often have one only."""
        return tuple(split for split in SPLITS if self._layout_file(split).is_file() or self._listed(split))

    @cached_property
    def keypoint_names(self) -> dict[str, list[str]]:
        """Category -> names of keys "0", "1", ...; empty for SPair itself, whose keypoints have numbers only."""
        path = self.root / "keypoints.json"
        return read_json(path) if path.exists() else {}

    @cached_property
    def symmetry(self) -> dict[str, Symmetry]:
        """Category -> its symmetric keypoints, as far as they have numbers and are known; names tell theirs."""
        if self.keypoint_names or not self.numbers_known:
            return {}
        return {category: symmetry_by_number(parts) for category, parts in PARTS.items()}

    def pairs(self, split: str, broken: list[str] | None = None) -> list[PairRecord]:
        """The pairs of a split, in the order of its layout file.

        Args:
            split: trn, val or test.
            broken: a list that gets a sentence for every pair that cannot be read, instead of an error.
        """
        return read_all(lambda name: self.pair(split, name), self.pair_names(split), broken)

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """Every image that is the source of a pair of the split, once each (the paper's training set)."""
        sources: dict[tuple[str, str], None] = {}
        for name in self.pair_names(split):
            _, source, _, category = re.split("[-:]", name)
            sources[category, source] = None
        return read_all(lambda image: self._image(*image), sources, broken)

    def keypoint_label(self, category: str, keypoint: str) -> str:
        """A keypoint for people: a number whose meaning is known gets its part's name, such as "21 (wheel)"."""
        if self.keypoint_names or not self.numbers_known:
            return keypoint
        part = next((p for p, pairs in PARTS.get(category, {}).items() if keypoint in map(str, chain(*pairs))), None)
        return keypoint if part is None else f"{keypoint} ({part})"

    def _layout_file(self, split: str) -> Path:
        return self.root / "Layout" / self.layout / f"{split}.txt"

    def pair_names(self, split: str) -> list[str]:
        """Names `number-source-target:category` of a split's pairs, without reading any of them."""
        check_split(split, SPLITS, self.title)
        path = self._layout_file(split)
        if path.is_file():
            return self._checked_names(read_text(path).split(), path)
        names = self._listed(split)
        if not names:
            raise DatasetError(f"'{path}' is missing.")
        return self._checked_names(names, self.root / self.pair_folder / split)

    def _listed(self, split: str) -> list[str]:
        """Names of the pair annotations of a copy without `Layout`."""
        if self.layout != "large" or (self.root / "Layout").exists():
            return []
        return [path.stem for path in list_files(self.root / self.pair_folder / split, "*.json")]

    def _checked_names(self, names: list[str], path: Path) -> list[str]:
        for name in names:
            if not re.fullmatch(r"\d+-[^-:]+-[^-:]+:[^-:]+", name):
                raise DatasetError(f"'{path}' lists '{name}', which is not of the form number-source-target:category.")
        return names

    def pair(self, split: str, name: str) -> PairRecord:
        """One pair by its name."""
        path = self.root / self.pair_folder / split / f"{name}.json"
        annotation = read_json(path)
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
            path = self.root / self.image_folder / category / f"{stem}.json"
            self._images[identity] = self._record(identity, path, read_json(path))
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
            record = ImageRecord(
                id=identity,
                path=image,
                size=(annotation["image_width"], annotation["image_height"]),
                category=category,
                box=tuple(annotation["bndbox"]),
                keypoints=keypoints,
                azimuth_bin=annotation.get("azimuth_id"),
                azimuth=annotation.get("azimuth"),
                elevation=annotation.get("elevation"),
                mask=find_mask(identity, mask, self.masks),
                surface=surface if surface.exists() else None,
            )
        except KeyError as error:
            raise DatasetError(f"'{path}' lacks the key {error}.") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"'{path}' is no image annotation of SPair-71k.") from error
        return check_record(record, path)


class Renders(SPair71k):
    """What `spherecorr render` writes; the files differ by what they tell more.

    A pair's annotation repeats its name and its images' annotations. A copy may lack the folder `PairAnnotation`,
    because some filesystems take no colon in a file's name.
    """

    title = "renders"
    numbers_known = False

    def pair(self, split: str, name: str) -> PairRecord:
        """One pair by its name."""
        if (self.root / self.pair_folder).is_dir():
            return super().pair(split, name)
        _, source, target, category = re.split("[-:]", name)
        return PairRecord(name, self._image(category, source), self._image(category, target))


class SPairU(SPair71k):
    """SPair-71k's test images with points on other parts.

    The annotations lie beside SPair-71k's, in `ExtraImageAnnotation/<category>` and `ExtraPairAnnotation/test`, in the
    same form; every pair annotation that is there counts.
    """

    title = "SPair-U"
    image_folder, pair_folder = "ExtraImageAnnotation", "ExtraPairAnnotation"
    numbers_known = False  # nobody has published what they mean
    splits = ("test",)

    def pair_names(self, split: str) -> list[str]:
        """Names `number-source-target:category` of a split's pairs, without reading any of them."""
        check_split(split, self.splits, self.title)
        folder = self.root / self.pair_folder / split
        names = [path.stem for path in list_files(folder, "*.json")]
        if not names:
            raise DatasetError(f"'{folder}' has no pair annotations.")
        return self._checked_names(names, folder)

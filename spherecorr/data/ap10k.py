"""AP-10K: animals of 54 species in 23 families; pairs within a species, a family, and across families."""

from __future__ import annotations

from functools import cached_property
from itertools import combinations, product
from pathlib import Path
from typing import Any

from spherecorr.data.pairing import MIN_COMMON, draw, make_pair, matchable
from spherecorr.data.reading import check_record, check_split, read_all, read_json
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.files import list_files

KEYPOINTS = (
    *("left_eye", "right_eye", "nose", "neck", "root_of_tail"),
    *("left_shoulder", "left_elbow", "left_front_paw", "right_shoulder", "right_elbow", "right_front_paw"),
    *("left_hip", "left_knee", "left_back_paw", "right_hip", "right_knee", "right_back_paw"),
)
VISIBLE = 2
PER_FAMILY = {"val": 400, "test": 900}  # pairs of two species of one family
PER_TWO_FAMILIES = {"val": 20, "test": 30}  # pairs of two families
SEED = 42


class AP10K:
    """Reads a folder with `annotations/ap10k-*-split1.json` (COCO) and `data/*.jpg`.

    AP-10K's own splits are taken together and the images of a species divided anew, as is usual for correspondence:
    in the order of their file names the last 30 are `test`, the 20 before them `val`, the others `trn`. An image
    counts if its first annotation is no crowd and shows 3 keypoints. A pair shows 3 keypoints in common; which pairs
    across species are drawn is this package's choice (seed 42), not another's list.

    Args:
        root: the folder.

    Raises:
        DatasetError: from any method, when a file is missing or broken; the message names the file.
    """

    title = "AP-10K"
    splits = ("trn", "val", "test", "val-cross-species", "test-cross-species", "val-cross-family", "test-cross-family")

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self._files = list_files(self.root / "annotations", "ap10k-*-split1.json")
        if not self._files:
            raise DatasetError(f"'{self.root}' has no annotations/ap10k-*-split1.json: it is not in AP-10K's layout.")

    @property
    def categories(self) -> list[str]:
        """The species, sorted."""
        return sorted(self.families)

    @cached_property
    def families(self) -> dict[str, str]:
        """Species -> family."""
        return {species: family for _, _, species, family in self._annotations}

    def images(self, split: str, broken: list[str] | None = None) -> list[ImageRecord]:
        """The images of a split, by species."""
        return [image for images in self._species(split, broken).values() for image in images]

    def pairs(self, split: str, broken: list[str] | None = None) -> list[PairRecord]:
        """The pairs of a split: all within a species for trn, val and test, else drawn.

        Args:
            split: one of `splits`.
            broken: a list that gets a sentence for every image that cannot be used, instead of an error.
        """
        species = self._species(split, broken)
        part, _, across = split.partition("-")
        if not across:
            within = matchable(pair for images in species.values() for pair in combinations(images, 2))
            return [make_pair(*pair) for pair in within]
        families: dict[str, list[str]] = {}
        for name in species:
            families.setdefault(self.families[name], []).append(name)
        chosen = []
        if across == "cross-species":
            for family, members in sorted(families.items()):
                candidates = matchable(
                    pair for a, b in combinations(members, 2) for pair in product(species[a], species[b])
                )
                chosen += draw(candidates, PER_FAMILY[part], f"{SEED} {part} {family}")
        else:
            for first, second in combinations(sorted(families), 2):
                sides = ([image for name in families[family] for image in species[name]] for family in (first, second))
                candidates = matchable(product(*sides))
                chosen += draw(candidates, PER_TWO_FAMILIES[part], f"{SEED} {part} {first} {second}")
        return [make_pair(*pair) for pair in chosen]

    def _species(self, split: str, broken: list[str] | None) -> dict[str, list[ImageRecord]]:
        """Species -> its images in a split."""
        check_split(split, self.splits, self.title)
        slices = {"trn": slice(None, -50), "val": slice(-50, -30), "test": slice(-30, None)}
        chosen: dict[str, list] = {}
        for annotation in self._annotations:
            chosen.setdefault(annotation[2], []).append(annotation)
        return {
            species: read_all(lambda found: self._record(*found), found[slices[split.split("-")[0]]], broken)
            for species, found in sorted(chosen.items())
        }

    @cached_property
    def _annotations(self) -> list[tuple[dict[str, Any], str, str, str]]:
        """Every usable image's annotation (with its image's entry inside), where it stands, species and family."""
        found = []
        for path in self._files:
            document = read_json(path)
            try:
                kinds = {kind["id"]: (kind["name"], kind["supercategory"]) for kind in document["categories"]}
                first: dict[int, dict] = {}
                for annotation in document["annotations"]:
                    first.setdefault(annotation["image_id"], annotation)
                for image in document["images"]:
                    annotation = first.get(image["id"])
                    if annotation is None or annotation.get("iscrowd") or _shown(annotation) < MIN_COMMON:
                        continue
                    where = f"{path}, annotation {annotation['id']}"
                    found.append(({**annotation, "image": image}, where, *kinds[annotation["category_id"]]))
            except KeyError as error:
                raise DatasetError(f"'{path}' lacks the key {error}.") from error
            except (TypeError, AttributeError) as error:
                raise DatasetError(f"'{path}' holds no COCO annotations.") from error
        return sorted(found, key=lambda entry: entry[0]["image"]["file_name"])

    def _record(self, annotation: dict[str, Any], where: str, species: str, family: str) -> ImageRecord:
        try:
            image, numbers = annotation["image"], annotation["keypoints"]
            if len(numbers) != 3 * len(KEYPOINTS):
                raise DatasetError(f"'{where}' has {len(numbers)} numbers for {len(KEYPOINTS)} keypoints.")
            x, y, width, height = annotation["bbox"]
            path = self.root / "data" / image["file_name"]
            record = ImageRecord(
                id=f"{species}/{path.stem}",
                path=path,
                size=(image["width"], image["height"]),
                category=species,
                box=(x, y, x + width, y + height),
                keypoints={
                    name: (numbers[3 * i], numbers[3 * i + 1]) if numbers[3 * i + 2] == VISIBLE else None
                    for i, name in enumerate(KEYPOINTS)
                },
            )
        except KeyError as error:
            raise DatasetError(f"'{where}' lacks the key {error}.") from error
        except TypeError as error:
            raise DatasetError(f"'{where}' is no annotation of AP-10K.") from error
        return check_record(record, where)


def _shown(annotation: dict[str, Any]) -> int:
    return sum(visibility == VISIBLE for visibility in annotation["keypoints"][2::3])

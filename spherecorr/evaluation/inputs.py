"""What an evaluation reads: pairs whose pictures are there, sphere maps, objects' cells, and digests of all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spherecorr.data.check import check_picture
from spherecorr.data.identity import files_digest, pairs_digest
from spherecorr.data.reading import read_all
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.data.symmetry import Symmetry, symmetry_by_name
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.mirroring import Mirrors
from spherecorr.features import FeatureMap, SphereMap, estimate_foreground, state_digest, tensor_bytes
from spherecorr.identity import digest
from spherecorr.matching.candidates import find_foreground, mask_cells
from spherecorr.matching.settings import MatchSettings, PoseAlign
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import FeatureStore

Value = TypeVar("Value")
AnySphere = SphereMapper | Mapping[str, SphereMap] | None


class EvaluationError(SpherecorrError):
    """An evaluation that cannot be made; the message says why and what to do."""


def read_pairs(dataset: Any, split: str, broken: list[str] | None = None) -> list[PairRecord]:
    """The pairs of a split whose pictures are there.

    Args:
        dataset: a reader with pairs.
        split: of the dataset.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error; then the pictures
            are decoded, too.

    Raises:
        DatasetError: no such split, a broken annotation, or a pair that names a missing picture.
    """
    faults: dict[Path, str | None] = {}

    def checked(pair: PairRecord) -> PairRecord:
        for image in (pair.source, pair.target):
            if image.path not in faults:
                faults[image.path] = _fault(image, decode=broken is not None)
            if faults[image.path]:
                raise DatasetError(f"Pair '{pair.id}' cannot be used: {faults[image.path]}")
        return pair

    return read_all(checked, dataset.pairs(split, broken), broken)


def spread(pairs: Sequence[Value], limit: int | None) -> list[Value]:
    """At most so many of the pairs, evenly spread over the list, so that every category keeps its share.

    Raises:
        EvaluationError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise EvaluationError(f"A limit is a number of pairs, 1 or more; got {limit}.")
    if limit is None or limit >= len(pairs):
        return list(pairs)
    return [pairs[i] for i in np.linspace(0, len(pairs), limit, endpoint=False).astype(int)]


def _fault(image: ImageRecord, decode: bool) -> str | None:
    """Why a picture cannot be used; None if it can."""
    if not image.path.is_file():
        return f"there is no picture '{image.path}'."
    try:
        if decode:
            check_picture(image)
    except DatasetError as error:
        return str(error)
    return None


class _Lazy(Mapping[str, Value]):
    """Values by image id, each computed when it is first asked for, and kept: they are small."""

    def __init__(self, compute: Callable[[str], Value], ids: Iterable[str]):
        self._compute, self._ids = compute, dict.fromkeys(ids)
        self._values: dict[str, Value] = {}

    def __getitem__(self, image_id: str) -> Value:
        if image_id not in self._values:
            self._values[image_id] = self._compute(image_id)
        return self._values[image_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def sphere_maps(mapper: SphereMapper, features: Mapping[str, FeatureMap]) -> Mapping[str, SphereMap]:
    """The sphere maps of all images, each computed when it is first asked for, where its features lie."""

    def compute(image_id: str) -> SphereMap:
        found = mapper.sphere_map(features[image_id])
        return replace(found, points=found.points.to(features[image_id].features.device))

    return _Lazy(compute, features)


def object_cells(
    settings: MatchSettings,
    images: Sequence[ImageRecord],
    features: Mapping[str, FeatureMap],
    sphere: AnySphere,
    spheres: Mapping[str, SphereMap] | None,
) -> Mapping[str, np.ndarray] | None:
    """Where the object of each image is, for candidates that ask for it."""
    records = {image.id: image for image in images}
    if settings.candidates == "mask":
        for image in images:
            if image.mask is None:
                raise EvaluationError(f"Image '{image.id}' has no mask, and matches are to lie on masks.")
        return _Lazy(lambda name: mask_cells(records[name].load_mask(), features[name].framing), records)
    if settings.candidates != "foreground":
        return None
    mapper = sphere if isinstance(sphere, SphereMapper) else None

    def foreground(name: str) -> np.ndarray:
        return find_foreground(features[name], mapper, spheres[name] if spheres else None).cells

    return _Lazy(foreground, records)


def check_partners(images: Sequence[ImageRecord], symmetry: Mapping[str, Symmetry] | None) -> None:
    """Refuse pose alignment where no keypoint has a left/right partner.

    Raises:
        EvaluationError: as where keypoints are numbered, and no symmetry says what the numbers mean.
    """
    for image in images:
        known = (symmetry or {}).get(image.category) or symmetry_by_name(image.keypoints)
        if known.mirrored:
            return
    raise EvaluationError(
        "Pose alignment exchanges left and right keypoints, and none of these has a partner by its name; say with "
        "--symmetry which ones are partners."
    )


def find_mirrors(
    by: PoseAlign | None,
    mirrored: Mapping[str, FeatureMap] | None,
    images: Sequence[ImageRecord],
    features: Mapping[str, FeatureMap],
    sphere: AnySphere,
) -> Mirrors | None:
    """What pose alignment reads: mirror images of a store or as given, and objects by their masks where there are any.

    Raises:
        EvaluationError: there are no features of mirror images, or no mapper to map them.
        StoreError: a store without mirror images.
    """
    if by is None:
        return None
    if mirrored is None:
        if not isinstance(features, FeatureStore):
            raise EvaluationError("Pose alignment compares mirror images; give the features of those, too.")
        mirrored = features.mirror
    if sphere is not None and not isinstance(sphere, SphereMapper):
        raise EvaluationError("Pose alignment maps mirror images, too; give a mapper instead of sphere maps.")
    records = {image.id: image for image in images}

    def cells(image_id: str) -> np.ndarray:
        record, found = records[image_id], features[image_id]
        return mask_cells(record.load_mask(), found.framing) if record.mask else estimate_foreground(found)

    return Mirrors(mirrored, None if sphere is None else sphere_maps(sphere, mirrored), _Lazy(cells, records), by)


def input_digests(
    pairs: Sequence[PairRecord],
    images: Sequence[ImageRecord],
    features: Mapping[str, FeatureMap],
    sphere: AnySphere,
    symmetry: Mapping[str, Symmetry] | None,
    settings: MatchSettings,
    mirrors: Mirrors | None = None,
) -> dict[str, str | None]:
    """What tells the results of these inputs from those of others, whatever names and paths they have."""
    own = isinstance(features, FeatureStore)  # whose digest holds that of its mirror images
    return {
        "annotations": pairs_digest(pairs),
        "features": _features_digest(features, images),
        "sphere": _sphere_digest(sphere, images),
        "symmetry": digest([_written(symmetry)]) if symmetry else None,
        "masks": _masks_digest(images) if settings.candidates == "mask" or mirrors else None,
        **({"mirror images": _features_digest(mirrors.features, images)} if mirrors and not own else {}),
    }


def _features_digest(features: Mapping[str, FeatureMap], images: Sequence[ImageRecord]) -> str:
    if isinstance(features, FeatureStore):
        return features.digest
    return digest(tensor_bytes(part.features) for image in images for part in _with_parts(features[image.id]))


def _with_parts(feature_map: FeatureMap) -> tuple[FeatureMap, ...]:
    return feature_map, *feature_map.parts


def _sphere_digest(sphere: AnySphere, images: Sequence[ImageRecord]) -> str | None:
    if sphere is None:
        return None
    if isinstance(sphere, SphereMapper):
        return state_digest(sphere.state_dict())
    return digest(tensor_bytes(sphere[image.id].points) for image in images)


def _masks_digest(images: Sequence[ImageRecord]) -> str:
    return files_digest(image.mask for image in images if image.mask)


def _written(symmetry: Mapping[str, Symmetry]) -> bytes:
    """The same for the same symmetry: sets have no order of their own."""
    return json.dumps(
        {
            name: [dict(of.mirrored), {part: sorted(group) for part, group in of.groups.items()}]
            for name, of in symmetry.items()
        },
        sort_keys=True,
    ).encode()

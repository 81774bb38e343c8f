"""Pose alignment in an evaluation: which keypoints of a pair are read in the mirror image of its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spherecorr.data.records import PairRecord
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.matching.alignment import align, mirrored_places
from spherecorr.matching.settings import PoseAlign
from spherecorr.matching.similarity import ImageFeatures

Query = tuple[ImageFeatures, np.ndarray]
"""An image, and the cells (col, row) `[N, 2]` in it that are to be matched; a cell below 0 is not read there."""


@dataclass(frozen=True, eq=False)
class Mirrors:
    """What pose alignment knows of the images, see `matching.alignment`.

    Attributes:
        features: image id -> feature map of its mirror image.
        spheres: image id -> sphere map of its mirror image; None if no similarity asks for it.
        objects: image id -> bool `[H, W]`, where the object is in the image as it is.
        by: how objects are compared.
    """

    features: Mapping[str, FeatureMap]
    spheres: Mapping[str, SphereMap] | None
    objects: Mapping[str, np.ndarray]
    by: PoseAlign = "nearest"

    def query(
        self,
        pair: PairRecord,
        names: Sequence[str],
        partners: Mapping[str, str],
        source: ImageFeatures,
        target: ImageFeatures,
    ) -> Query | None:
        """Some keypoints of a pair's source as they are read in its mirror image.

        Args:
            pair: the two images.
            names: N keypoints that the source shows.
            partners: keypoint -> its left/right partner.
            source: the source as it is.
            target: the target.

        Returns:
            The mirror image and its cells, below 0 where a keypoint's partner is hidden; None where the source as it is
            comes nearer to the target.
        """
        name = pair.source.id
        mirror = replace(self.features[name])  # a copy of its own, so that its unit vectors are forgotten with it
        cells = {"source_cells": self.objects[name], "target_cells": self.objects[pair.target.id]}
        if not align(source.features, mirror, target.features, **cells, by=self.by).mirrored:
            return None
        places = mirrored_places(pair.source.keypoints, partners, pair.source.size[0])
        found = np.full((len(names), 2), -1)
        for i, keypoint in enumerate(names):
            if keypoint in places:
                found[i] = mirror.framing.to_cell(places[keypoint])
        return ImageFeatures(mirror, None if self.spheres is None else self.spheres[name]), found


def merge_queries(plain: Sequence[Query], mirrored: Sequence[Query | None]) -> tuple[list[Query], np.ndarray]:
    """Take what is read in mirror images from there, and all else from the images as they are.

    Args:
        plain: of each pair.
        mirrored: of each pair, or None; of the same keypoints.

    Returns:
        Queries of both kinds, and int `[N]`: for every keypoint, pair after pair, its place among them.
    """
    queries, places, first = [], [], 0
    for own, other in zip(plain, mirrored, strict=True):
        inside = np.zeros(len(own[1]), dtype=bool) if other is None else other[1][:, 0] >= 0
        for query, chosen in ((own, ~inside), (other, inside)):
            if query is not None:
                queries.append((query[0], query[1][chosen]))
                places.append(first + np.flatnonzero(chosen))
        first += len(inside)
    return queries, np.argsort(np.concatenate(places))

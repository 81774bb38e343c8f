"""How alike cells of two images are: by features, by surface points, and by both together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import Framing
from spherecorr.matching.settings import Fusion, check_alpha
from spherecorr.sphere.surface import SURFACES


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """One image as matching sees it.

    Attributes:
        features: its feature map.
        sphere: its sphere map, if there is a mapper for these features.
        object_cells: boolean `[H, W]`, where the object is: the foreground, or a given mask. None where not asked for.
    """

    features: FeatureMap
    sphere: SphereMap | None = None
    object_cells: np.ndarray | None = None

    @property
    def framing(self) -> Framing:
        """Of the cells."""
        return self.features.framing

    def surface_points(self, cells: np.ndarray) -> Tensor:
        """The surface points of some cells (col, row) `[N, 2]`: float32 `[N, dim]`."""
        if self.sphere is None:
            raise SpherecorrError("The sphere's share needs a sphere map, and this image has none; alpha 0 is raw.")
        columns, rows = torch.as_tensor(cells, device=self.sphere.points.device).T
        return self.sphere.points[:, rows, columns].T.float()


class PairSimilarity:
    """Similarities of the cells of some sources to all cells of one target.

    Args:
        sources: images with the points; the features of a target are read once for all of them.
        target: the image to search, H x W cells.
        fusion: see `MatchSettings`.

    Raises:
        SpherecorrError: features of different models or tokens.
    """

    def __init__(self, sources: Sequence[ImageFeatures], target: ImageFeatures, fusion: Fusion = "cosine"):
        for source in sources:
            check_comparable(source.features, target.features)
        self.sources, self.target, self.fusion = sources, target, fusion

    def rows(self, cells: Sequence[np.ndarray], alphas: Sequence[float]) -> Tensor:
        """Fused similarity at several shares of the sphere (paper section 3.4).

        `(1 - alpha) * by features + alpha * by surface`: 0 is raw features, 1 the surface alone. What no share needs is
        not computed.

        Args:
            cells: integer (col, row) `[N_s, 2]` in each source.
            alphas: A shares, 0 to 1.

        Returns:
            Float32 `[A, N, H, W]` for the N cells of all sources, one source after the other.
        """
        for alpha in alphas:
            check_alpha(alpha)
        cells, back = _distinct(cells)
        raw = self._by_features(cells) if min(alphas) < 1 else torch.zeros(())
        surface = self._by_surface(cells) if max(alphas) > 0 else torch.zeros(())
        ends: dict[float, Tensor] = {0: raw, 1: surface}
        rows = [ends[alpha] if alpha in ends else (1 - alpha) * raw + alpha * surface for alpha in alphas]
        columns, lines = self.target.framing.grid
        stacked = torch.stack(rows)
        return (stacked if back is None else stacked[:, back]).unflatten(-1, (lines, columns))

    def _by_features(self, cells: Sequence[np.ndarray]) -> Tensor:
        target = self.target.features.unit
        vectors = [source.features.unit_vectors(own) for source, own in zip(self.sources, cells, strict=True)]
        parts = len(self.target.features.sources)
        cosine = torch.cat(vectors, dim=1).T.to(target) @ target / parts
        if self.fusion == "l2":  # of the parts' unit vectors, one after the other
            return -(2 * parts * (1 - cosine)).clamp(min=0).sqrt()
        return cosine

    def _by_surface(self, cells: Sequence[np.ndarray]) -> Tensor:
        if self.target.sphere is None:
            raise SpherecorrError("The sphere's share needs a sphere map, and the target has none; alpha 0 is raw.")
        points = self.target.sphere.points.flatten(1).T.float()
        found = [source.surface_points(own) for source, own in zip(self.sources, cells, strict=True)]
        similarity = SURFACES[self.target.sphere.surface].similarity(torch.cat(found).to(points), points)
        if (foreground := self.target.sphere.foreground) is not None:
            # What is surely background counts as lying on the sphere's other side.
            similarity = foreground.flatten().to(similarity) * (1 + similarity) - 1
        if self.fusion == "l2" and self.target.sphere.surface == "sphere":
            return -(2 * (1 - similarity)).clamp(min=0).sqrt()
        return similarity


def _distinct(cells: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Each source's cells once, and where each of the given ones is among them; None where all differ.

    Points of one cell have one row then, to the last bit; else rounding would rank them at random.
    """
    own = [np.asarray(part).reshape(-1, 2) for part in cells]
    found = [np.unique(part, axis=0, return_inverse=True) for part in own]
    if all(len(distinct) == len(part) for (distinct, _), part in zip(found, own, strict=True)):
        return own, None
    starts = np.cumsum([0, *(len(distinct) for distinct, _ in found[:-1])])
    back = [places.reshape(-1) + start for (_, places), start in zip(found, starts, strict=True)]
    return [distinct for distinct, _ in found], np.concatenate(back)


def check_comparable(source: FeatureMap, target: FeatureMap) -> None:
    """Refuse features that cannot be compared.

    Raises:
        SpherecorrError: of different models or tokens; the sentence names the differences.
    """
    if len(source.sources) != len(target.sources):
        counts = f"{len(source.sources)} parts and {len(target.sources)} parts"
        raise SpherecorrError(f"The images have different features: {counts}.")
    for one, other in zip(source.sources, target.sources, strict=True):
        if names := one.differs_from(other):
            said = (", ".join(f"{name} {getattr(side, name)}" for name in names) for side in (one, other))
            raise SpherecorrError(f"The images have different features: {' and '.join(said)}.")

"""How each of the compared methods matches: `compare` scores them on a dataset, the app shows them on one pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from spherecorr.backbones.debiasing import PositionBias
from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap
from spherecorr.matching.match import match_images
from spherecorr.matching.settings import MatchSettings, PoseAlign
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.pipelines.settings import METHODS
from spherecorr.sphere.checkpoint import WEIGHTS, load_sphere
from spherecorr.sphere.mapper import SphereMapper

WINDOW = 5  # cells to each side, the zero-shot setting of "Telling Left from Right"

Mappers = Mapping[str, Mapping[str, SphereMapper]]
"""Method -> its mappers, of a category or under "" of all."""


@dataclass(frozen=True, eq=False)
class Method:
    """How a method matches.

    Attributes:
        matching: how to match; `alpha` counts instead of its own.
        mappers: for each category; under "" that of all. Empty if there is none.
        alpha: the surface's share.
        pose_align: see `evaluation.evaluate`.
        bias: that is removed from the features.
    """

    matching: MatchSettings
    mappers: Mapping[str, SphereMapper] = field(default_factory=dict)
    alpha: float = 0.0
    pose_align: PoseAlign | None = None
    bias: PositionBias | None = None

    def features(self, features: FeatureMap) -> FeatureMap:
        """What the method makes of a backbone's features."""
        return features if self.bias is None else self.bias.remove(features)

    def mapper_of(self, category: str) -> SphereMapper | None:
        """The mapper for images of a category; None where the method has none at all.

        Raises:
            SpherecorrError: it has mappers of other categories alone.
        """
        found = self.mappers.get(category) or self.mappers.get("")
        if self.mappers and found is None:
            raise SpherecorrError(f"There is no atlas for '{category}'; there are {', '.join(self.mappers)}.")
        return found

    def match(self, source: ImageFeatures, target: ImageFeatures, points: ArrayLike) -> np.ndarray:
        """Best matches `[N, 2]` of points without names, in original pixels; the errors of `matching.match`.

        Args:
            source: the image with the points: the method's features, and the surface map of its mapper if it has one.
            target: likewise, the other image.
            points: (x, y) in original pixels of the source.
        """
        settings = replace(self.matching, alpha=self.alpha if self.mappers else None)
        found = match_images(source, target, points, settings)
        return (found.fused or found.raw).xy[:, 0]


def prepare(
    name: str,
    mappers: Mappers,
    matching: MatchSettings,
    alpha: float | None,
    bias: Callable[[], PositionBias | None],
) -> Method:
    """Say how a method matches.

    Args:
        name: of `METHODS`; one that `choose` allows.
        mappers: of all methods.
        matching: how to match.
        alpha: share of the sphere in "fused"; by default what the mapper recommends.
        bias: estimates the position bias, where it is needed.
    """
    matching = replace(matching, alpha=None)
    if name == "raw":
        return Method(matching)
    if name == "debiased":
        return Method(matching, bias=bias())
    if name == "pose-aligned":
        window = WINDOW if matching.soft_window is None else matching.soft_window
        return Method(replace(matching, soft_window=window), pose_align="nearest")
    share = 1.0
    if name == "fused":
        share = mappers[name][""].settings.alpha if alpha is None else alpha
    return Method(matching, mappers[name], share)


def choose(methods: Sequence[str] | None, mappers: Mappers) -> list[str]:
    """The methods asked for, or all that can be had, in the order of `METHODS`.

    Raises:
        SpherecorrError: an unknown method, or one without its mapper.
    """
    lacking = {"sphere", "fused", "asic", "deil"} - mappers.keys()
    if methods is None:
        return [name for name in METHODS if name not in lacking]
    for name in methods:
        if name not in METHODS:
            raise SpherecorrError(f"There is no method '{name}'; there are {', '.join(METHODS)}.")
        if name in lacking:
            option = "--sphere" if name in ("sphere", "fused") else f"--{name}"
            raise SpherecorrError(f"The method {name} needs a mapper; name its folder with {option}.")
    return [name for name in METHODS if name in methods]


def mappers_of_sphere(sphere: SphereMapper | None) -> dict[str, dict[str, SphereMapper]]:
    """The mappers of the methods that a sphere makes possible."""
    return {} if sphere is None else {"sphere": {"": sphere}, "fused": {"": sphere}}


def load_related(asic: str | Path | None, deil: str | Path | None, device: str) -> dict[str, dict[str, SphereMapper]]:
    """The mappers of the related systems.

    Args:
        asic: folder with a checkpoint, or a run of `spherecorr train`, for each category.
        deil: one checkpoint, or a run.
        device: of all.

    Raises:
        SpherecorrError: a folder without checkpoints.
    """
    mappers: dict[str, dict[str, SphereMapper]] = {}
    if asic is not None:
        folders = sorted(folder for folder in Path(asic).glob("*") if _checkpoint(folder))
        if not folders:
            raise SpherecorrError(
                f"'{asic}' holds no folder of a category with a checkpoint; train with --preset asic."
            )
        mappers["asic"] = {folder.name: load_sphere(_checkpoint(folder) or folder, device=device) for folder in folders}
    if deil is not None:
        mappers["deil"] = {"": load_sphere(_checkpoint(Path(deil)) or deil, device=device)}
    return mappers


def _checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a folder is, or the best of the run that it is."""
    places = (folder, folder / "best", folder / "last")
    return next((place for place in places if (place / WEIGHTS).is_file()), None)

"""Features without what they owe to their position alone: a control for everything that a sphere gains.

A ViT's patch tokens say where in the picture a patch lies, so that some matches are right because objects are centred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, tensor_bytes
from spherecorr.identity import FeatureSource, digest


@dataclass(frozen=True, eq=False)
class PositionBias:
    """The mean response of a backbone at each cell of a grid.

    Attributes:
        mean: float32 `[D, H, W]`; where no image had content, the mean of all other cells.
        source: of the features it was estimated on.
    """

    mean: Tensor
    source: FeatureSource

    @property
    def debiased_source(self) -> FeatureSource:
        """Of features without the bias, so that nothing takes them for others."""
        made_of = digest([str(self.source).encode(), tensor_bytes(self.mean)])
        return replace(self.source, backbone=f"{self.source.backbone} debiased", weights=made_of)

    def remove(self, features: FeatureMap) -> FeatureMap:
        """Features less the mean at each cell, float32.

        Raises:
            SpherecorrError: another grid, or features of another model.
        """
        _check(features, self.source, tuple(self.mean.shape[1:]))
        values = features.features.float() - self.mean.to(features.features.device)
        return replace(features, features=values, source=self.debiased_source)


def estimate_position_bias(maps: Iterable[FeatureMap]) -> PositionBias:
    """The mean over some images of the features at each cell; padding does not count.

    Args:
        maps: of one backbone and one grid, such as images that were padded to squares; the more, the better.

    Raises:
        SpherecorrError: no images, or of several grids or models.
    """
    total, count, source = torch.zeros(()), torch.zeros(()), None
    for features in maps:
        if source is None:
            source = features.source
            total, count = torch.zeros(features.features.shape), torch.zeros(features.features.shape[1:])
        _check(features, source, tuple(count.shape))
        content = torch.tensor(features.framing.content_cells())
        total += features.features.float().cpu() * content
        count += content
    if source is None:
        raise SpherecorrError("A position bias is the mean over images, and there are none.")
    everywhere = total.sum(dim=(1, 2)) / count.sum()
    return PositionBias(torch.where(count > 0, total / count.clamp(min=1), everywhere[:, None, None]), source)


class DebiasedFeatures(Mapping[str, FeatureMap]):
    """Features of many images without their position bias, computed when they are asked for.

    Args:
        features: image id -> feature map.
        bias: see `estimate_position_bias`.
    """

    def __init__(self, features: Mapping[str, FeatureMap], bias: PositionBias):
        self._features, self._bias = features, bias

    def __getitem__(self, image_id: str) -> FeatureMap:
        return self._bias.remove(self._features[image_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


def check_whole(features: FeatureMap) -> None:
    """Refuse features of several parts, which have no one bias.

    Raises:
        SpherecorrError: the features have parts.
    """
    if features.parts:
        raise SpherecorrError(f"Features of several parts, as '{features.backbone}' gives, are not debiased.")


def _check(features: FeatureMap, source: FeatureSource, grid: tuple[int, ...]) -> None:
    check_whole(features)
    if others := source.differs_from(features.source):
        raise SpherecorrError(f"The position bias is of other features: {', '.join(others)} differ.")
    if tuple(features.features.shape[1:]) != grid:
        found = " x ".join(map(str, features.features.shape[1:]))
        raise SpherecorrError(
            f"A position bias is of one grid, {' x '.join(map(str, grid))} cells; an image has {found}. "
            "Frame the images as squares (pad)."
        )

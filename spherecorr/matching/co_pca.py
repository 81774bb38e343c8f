"""Levels of a diffusion model become one map: reduced on both images of a pair together, resized, joined.

As in "A Tale of Two Features" (Zhang et al. 2023), whose public code the paper's evaluation shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from spherecorr.features import FeatureMap, resample
from spherecorr.matching.similarity import ImageFeatures, check_comparable


def has_levels(features: FeatureMap) -> bool:
    """Whether a backbone gives several maps of the image, so that pairs have to be joined one by one."""
    return len({one.backbone for one in features.sources}) < len(features.sources)


def join_pair(source: ImageFeatures, target: ImageFeatures, components: int) -> tuple[ImageFeatures, ImageFeatures]:
    """`join_levels` for images as matching sees them; their sphere maps stay."""
    one, other = join_levels(source.features, target.features, components)
    return replace(source, features=one), replace(target, features=other)


def join_levels(source: FeatureMap, target: FeatureMap, components: int) -> tuple[FeatureMap, FeatureMap]:
    """Make one map of the several that a backbone gives of each image of a pair; backbones stay apart.

    Each level is projected on the principal components of its cells in both images, and brought to the grid of the
    backbone's first level, linear between the centres of cells; then the channels are joined. So each backbone counts
    alike in `FeatureMap.unit`, however many levels it has.

    Args:
        source: features of one image.
        target: those of the other, by the same backbones.
        components: how many are kept of each level, at most as many as it has channels; 0 keeps levels as they are.

    Returns:
        Both, in this order; as they are where no backbone gives several maps.

    Raises:
        SpherecorrError: features of different models or tokens.
    """
    check_comparable(source, target)
    if not has_levels(source):
        return source, target
    levels = list(zip(_flat(source), _flat(target), strict=True))
    joined = [_join(list(group), components) for _, group in groupby(levels, lambda pair: pair[0].backbone)]
    (first, second), *others = joined
    return (
        replace(first, parts=tuple(one for one, _ in others)),
        replace(second, parts=tuple(other for _, other in others)),
    )


def _flat(feature_map: FeatureMap) -> list[FeatureMap]:
    return [replace(feature_map, parts=()), *feature_map.parts]


def _join(levels: Sequence[tuple[FeatureMap, FeatureMap]], components: int) -> tuple[FeatureMap, FeatureMap]:
    """The levels of one backbone, each of both images."""
    if len(levels) == 1:
        return levels[0]
    if components:
        levels = [_reduce(*level, components) for level in levels]
    one, other = (_on_first_grid([level[side] for level in levels]) for side in (0, 1))
    return one, other


def _on_first_grid(levels: Sequence[FeatureMap]) -> FeatureMap:
    first, *others = levels
    grid = first.features.shape[1:]
    resized = [resample(level, first.framing).unflatten(1, grid) for level in others]
    features = torch.cat([first.features.float(), *resized])
    return replace(first, features=features, source=replace(first.source, dim=len(features)))


def _reduce(source: FeatureMap, target: FeatureMap, components: int) -> tuple[FeatureMap, FeatureMap]:
    """Both maps projected on the principal components of all their cells: float32 `[components, H, W]`."""
    tokens = [one.tokens().float().to(target.features.device) for one in (source, target)]
    mean, directions = principal_directions(torch.cat(tokens), components)
    projected = [((own - mean) @ directions).T for own in tokens]
    one, other = (
        replace(old, features=new.unflatten(1, old.features.shape[1:]), source=replace(old.source, dim=len(new)))
        for old, new in zip((source, target), projected, strict=True)
    )
    return one, other


def principal_directions(tokens: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """The mean `[D]` of tokens `[N, D]`, and the directions `[D, K]` in which they vary most, the first the most.

    K is `components`, or D where there are fewer. By the exact eigen decomposition of the covariance.
    """
    mean = tokens.mean(dim=0)
    centred = tokens - mean
    _, directions = torch.linalg.eigh(centred.T @ centred)  # in the order of growing variance
    return mean, directions.flip(1)[:, :components]

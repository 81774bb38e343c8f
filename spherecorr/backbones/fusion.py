"""Several backbones as one: the features of the first, with those of the others as parts of the same image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spherecorr.backbones.base import Backbone
from spherecorr.backbones.registry import Preset, find, resolutions
from spherecorr.features import FeatureMap
from spherecorr.geometry import Framing, FramingName
from spherecorr.identity import FeatureSource
from spherecorr.images import ImageLike, load_image


class FusionBackbone:
    """Backbones whose features of an image go together; a sphere mapper reads those of the first.

    Args:
        name: as `load_backbone` knows it.
        backbones: one or more; each frames the image for itself.

    Attributes:
        name: as given.
        backbones: as given.
        source: of the first backbone.
        parts: sources of the first one's own parts, then of the other backbones and theirs.
    """

    def __init__(self, name: str, backbones: Sequence[Backbone]):
        self.name, self.backbones = name, tuple(backbones)
        first, *others = self.backbones
        self.source: FeatureSource = first.source
        self.parts = (*first.parts, *(source for other in others for source in (other.source, *other.parts)))

    @property
    def default_resolution(self) -> int:
        """Of the first backbone."""
        return self.backbones[0].default_resolution

    @property
    def device(self) -> torch.device:
        """Of the first backbone."""
        return self.backbones[0].device

    def __call__(self, image: ImageLike, *, resolution: int | None = None, framing: FramingName = "fit") -> FeatureMap:
        """Compute the features of one image with every backbone, see `Backbone`.

        `resolution` is the first backbone's; the others take the preset of the same name where it is one, else what
        gives them about as many cells.
        """
        picture = load_image(image)
        resolution = resolution or self.default_resolution
        first, *others = (
            backbone(picture, resolution=resolution_for(backbone, self.backbones[0], resolution), framing=framing)
            for backbone in self.backbones
        )
        parts = (*first.parts, *(part for other in others for part in (replace(other, parts=()), *other.parts)))
        return replace(first, parts=parts)

    def framings(self, size: tuple[int, int], resolution: int, framing: FramingName) -> tuple[Framing, ...]:
        """Of the maps of all backbones, see `Backbone`."""
        first = self.backbones[0]
        return tuple(
            frame
            for backbone in self.backbones
            for frame in backbone.framings(size, resolution_for(backbone, first, resolution), framing)
        )

    def extract(self, inputs: np.ndarray) -> Tensor:
        """The features of the first backbone alone, see `Backbone`."""
        return self.backbones[0].extract(inputs)

    def __repr__(self) -> str:
        return f"{self.name}: [{'; '.join(map(repr, self.backbones))}]"


def resolution_for(backbone: Backbone, first: Backbone, resolution: int) -> int:
    """Long side of a backbone's input where the first backbone of a fusion has `resolution`."""
    if backbone is first:
        return resolution
    for preset, size in _presets(first).items():
        if size == resolution:
            return _presets(backbone)[preset]
    return round(resolution / first.source.patch) * backbone.source.patch


def _presets(backbone: Backbone) -> Mapping[Preset, int]:
    spec = find(backbone.name)
    return spec.resolutions if spec else resolutions(backbone.source.patch)

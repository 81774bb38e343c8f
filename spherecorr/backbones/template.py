"""A backbone to start from: the mean colour of each patch. Copy the file and put a model where the mean is.

Such an object goes wherever a loaded backbone goes. To load it by a name, add a spec to `registry.py` and a branch to
`load_backbone`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from spherecorr.backbones.base import FramingName, frame_input
from spherecorr.features import FeatureMap
from spherecorr.geometry import FRAMINGS, Framing
from spherecorr.identity import FeatureSource
from spherecorr.images import ImageLike


class MeanColour:
    """Three channels, -1 to 1: mean red, green and blue. See `Backbone` for what the members mean."""

    name = "mean-colour"
    source = FeatureSource("mean-colour", dim=3, patch=16, layer=0)  # a model with weights adds their `file_digest`
    parts = ()
    default_resolution = 448
    device = torch.device("cpu")

    def __call__(self, image: ImageLike, *, resolution: int | None = None, framing: FramingName = "fit") -> FeatureMap:
        """See `Backbone`."""
        inputs, frame = frame_input(image, resolution or self.default_resolution, framing, self.source.patch)
        return FeatureMap(self.extract(inputs)[0], frame, self.source)

    def framings(self, size: tuple[int, int], resolution: int, framing: FramingName) -> tuple[Framing, ...]:
        """See `Backbone`."""
        return (FRAMINGS[framing](size, resolution, self.source.patch),)

    @torch.no_grad()
    def extract(self, inputs: np.ndarray) -> Tensor:
        """See `Backbone`."""
        pixels = torch.from_numpy(inputs).permute(0, 3, 1, 2).float() / 127.5 - 1
        return avg_pool2d(pixels, self.source.patch)

    def __repr__(self) -> str:
        return "mean-colour: 0 parameters, patch 16, 3 channels, layer 0, float32 on cpu"

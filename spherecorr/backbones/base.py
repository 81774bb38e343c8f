"""What a backbone is; `template.py` shows how to add one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from spherecorr.backbones.weights import BackboneError
from spherecorr.features import FeatureMap
from spherecorr.geometry import FRAMINGS, Framing, FramingName, frame_image
from spherecorr.identity import FeatureSource
from spherecorr.images import ImageLike, load_image


class Backbone(Protocol):
    """Something frozen that turns an image into a FeatureMap. The same image always gives the same features.

    Its `repr` is one line with name, parameters, patch, channels, layer, dtype and device.

    Attributes:
        name: `load_backbone` loads it by this name.
        source: which features it gives; of several, those that a sphere mapper reads.
        parts: sources of the further features in `FeatureMap.parts`, in their order; () where there are none.
        default_resolution: long side of the input in pixels where none is asked for.
        device: where it computes.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - in the class's docstring, as all attributes

    @property
    def source(self) -> FeatureSource: ...  # noqa: D102

    @property
    def parts(self) -> tuple[FeatureSource, ...]: ...  # noqa: D102

    @property
    def default_resolution(self) -> int: ...  # noqa: D102

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def __call__(self, image: ImageLike, *, resolution: int | None = None, framing: FramingName = "fit") -> FeatureMap:
        """Compute the features of one image, of the dtype that the model computes with.

        Args:
            image: a path, PIL image or uint8 array, see `load_image`.
            resolution: long side of the model's input in pixels.
            framing: "fit" keeps the aspect ratio; "pad" makes a square; "authors" does so with the arithmetic of the
                paper's public evaluation.

        Raises:
            ImageError: the image cannot be used.
            SpherecorrError: the resolution is smaller than a patch, or with "pad" no multiple of it.
        """
        ...

    def framings(self, size: tuple[int, int], resolution: int, framing: FramingName) -> tuple[Framing, ...]:
        """How an image of (width, height) pixels becomes the grids of the features and of all parts.

        Raises:
            SpherecorrError: as for a call.
        """
        ...

    def extract(self, inputs: np.ndarray) -> Tensor:
        """Compute the features of inputs that are framed already; those of `source` alone.

        Args:
            inputs: uint8 RGB `[B, height, width, 3]`, both sides multiples of the patch.

        Returns:
            Float tensor `[B, D, height / patch, width / patch]` of the dtype that the model computes with.
        """
        ...


def frame_input(image: ImageLike, resolution: int, framing: FramingName, patch: int) -> tuple[np.ndarray, Framing]:
    """Make an image the input of a backbone.

    Args:
        image: see `load_image`.
        resolution: long side of the input in pixels.
        framing: see `Backbone.__call__`.
        patch: side of a patch in input pixels.

    Returns:
        uint8 RGB `[1, height, width, 3]`, both sides multiples of the patch, and how it was framed.

    Raises:
        ImageError: the image cannot be used.
        SpherecorrError: the resolution is smaller than a patch, or with "pad" no multiple of it.
    """
    picture = load_image(image)
    if resolution < patch:
        raise BackboneError(f"Resolution {resolution} is smaller than one patch, which has {patch} pixels.")
    frame = FRAMINGS[framing](picture.size, resolution, patch)
    return frame_image(picture, frame)[None], frame

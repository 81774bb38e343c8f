"""What a feature store holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from spherecorr.errors import SpherecorrError
from spherecorr.identity import FeatureSource

if TYPE_CHECKING:
    from spherecorr.geometry import Framing

Crop = Literal["whole", "square", "resized"]


class StoreError(SpherecorrError):
    """A store that cannot be made or used; the message says why and what to do."""


@dataclass(frozen=True)
class StoreSettings:
    """What a store holds.

    Attributes:
        source: model and tokens.
        resolution: long side of the model's input in pixels.
        framing: how whole images are framed: "pad" to a square; "fit", which keeps the aspect ratio; or "authors",
            which pads with the arithmetic of the paper's public evaluation. See `geometry.pad_as_authors`.
        crops: crops to store of each picture.
        crop: what a crop shows: the "whole" picture, a random "square", or the paper's "resized" crop, stretched to a
            square. See `crops.crop_box`.
        smallest_crop: side of the smallest "square", as a share of the picture's shorter side.
        mirrored: every other crop, from the second on, is the mirror image of its crop, labels and azimuth likewise;
            for categories whose objects are their own mirror images. Pose alignment reads 2 crops of whole pictures.
        labels: also store what training needs to know of each cell; needs masks.
        seed: random seed of the crops.
        parts: further maps of whole images, see `FeatureMap.parts`; () for those of `source` alone.
    """

    source: FeatureSource
    resolution: int
    framing: Literal["pad", "fit", "authors"] = "pad"
    crops: int = 1
    crop: Crop = "whole"
    smallest_crop: float = 1.0
    mirrored: bool = False
    labels: bool = False
    seed: int = 0
    parts: tuple[FeatureSource, ...] = ()

    def __post_init__(self):
        if self.resolution < self.source.patch:
            raise StoreError(
                f"Resolution {self.resolution} is smaller than one patch, which has {self.source.patch} pixels."
            )
        if self.crops < 1 or (self.crops > 1 + self.mirrored and self.crop == "whole"):
            raise StoreError("A picture has one crop or more; several differ only with the crop 'square' or 'resized'.")
        if not 0 < self.smallest_crop <= 1:
            raise StoreError(f"The smallest crop is a share above 0 and at most 1; got {self.smallest_crop:g}.")
        if self.framing != "pad" and (self.labels or self.crop != "whole"):
            raise StoreError(f"Training takes squares: labels and crops need the framing 'pad', not '{self.framing}'.")
        if self.parts and (self.labels or self.crop != "whole"):
            raise StoreError("Training takes one map of an image: labels and crops go without further parts.")
        self.frame((self.resolution, self.resolution))  # refuses a resolution that is no multiple of the patch

    def as_record(self) -> dict[str, Any]:
        """JSON-able, as the store's index has it; parts where there are some."""
        record = asdict(self)
        if not self.parts:
            del record["parts"]
        return record

    def frame(self, size: tuple[int, int]) -> Framing:
        """How a crop of (width, height) pixels becomes a grid of cells."""
        from spherecorr.geometry import FRAMINGS, stretch_to_square

        frame = stretch_to_square if self.crop == "resized" else FRAMINGS[self.framing]
        return frame(size, self.resolution, self.source.patch)

"""Models, images and features behind the page, shared by all visits and asked for by name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from spherecorr.backbones import Backbone, BackboneError, find, load_backbone, weights_available
from spherecorr.backbones.registry import BACKBONES, resolutions
from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap, estimate_foreground
from spherecorr.geometry import mask_to_cells
from spherecorr.identity import FeatureSource
from spherecorr.images import ImageError, alpha_mask, load_image
from spherecorr.matching.match import MatchResult, match_images
from spherecorr.matching.settings import MatchSettings
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.shipped import shipped_folder
from spherecorr.sphere.checkpoint import CheckpointError, load_sphere
from spherecorr.sphere.mapper import SphereMapper, SphereMismatchError
from spherecorr.ui.cache import Cache
from spherecorr.ui.session import NO_SPHERE, Controls, Picture, Point, Visit

MODELS_KEPT = 3
IMAGES_KEPT = 64
FEATURE_BYTES_KEPT = 600_000_000
HOW_TO_GET_A_SPHERE = (
    "Choose a sphere that fits, train one with `spherecorr train`, or convert a published one with `spherecorr import`."
)


@dataclass(frozen=True)
class AppSettings:
    """What the app offers.

    Attributes:
        backbones: names for the menu; the first is chosen at the start.
        spheres: sphere checkpoints for the menu: shipped names, folders or Hub ids; the first is chosen at the start.
        examples: folder of the example pairs.
        device: for the backbones, "auto" takes a GPU if there is one.
    """

    backbones: tuple[str, ...] = tuple(BACKBONES)
    spheres: tuple[str, ...] = ("mini",)
    examples: Path = field(default_factory=lambda: shipped_folder("examples"))
    device: str = "auto"


class Engine:
    """Everything is made when first asked for and kept in bounded caches; there is no current model."""

    def __init__(self, settings: AppSettings):
        self.settings = settings
        self._backbones = Cache(MODELS_KEPT)
        self._spheres = Cache(MODELS_KEPT)
        self._images = Cache(IMAGES_KEPT)
        self._features = Cache(FEATURE_BYTES_KEPT, lambda feature_map: feature_map.features.nbytes)
        self._views = Cache(IMAGES_KEPT)

    def open(self, path: str | Path, name: str | None = None) -> Picture:
        """Check an image file and hold its shown copy.

        Raises:
            ImageError: it cannot be used; the message says why.
        """
        image = load_image(path)
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:20]
        picture = Picture(str(path), digest, image.size, name or Path(path).name)
        self._images.get(picture.key, lambda: _shown_copy(image, picture))
        return picture

    def shown(self, picture: Picture) -> Image.Image:
        """The copy that the page shows, of `picture.shown_size`."""
        return self._images.get(picture.key, lambda: _shown_copy(_load(picture), picture))

    def backbone(self, controls: Controls) -> Backbone:
        """The chosen backbone, giving the very tokens that the chosen sphere was trained on if it was trained on it.

        Raises:
            SpherecorrError: the backbone or the sphere is not in the menu.
            BackboneError: its weights are not on this machine, or broken.
        """
        name = controls.backbone
        if name not in self.settings.backbones:
            raise SpherecorrError(f"Unknown backbone '{name}'. Choose one of: {', '.join(self.settings.backbones)}.")
        info = find(name)
        # A click in the page must not start a download.
        if info and info.repository and not weights_available(name):
            raise BackboneError(
                f"The weights of '{name}' are not here. Fetch them once with `hf download {info.repository}`."
            )
        wanted = self._wanted_tokens(controls)
        return self._backbones.get(wanted, lambda: load_backbone(wanted, device=self.settings.device))

    def sphere(self, controls: Controls) -> tuple[SphereMapper | None, str]:
        """The chosen sphere mapper, or None and a sentence that says why there is none and what to do about it.

        Raises:
            SpherecorrError: as `backbone` does.
        """
        source = self.backbone(controls).source
        mapper, problem = self._checkpoint(controls.sphere)
        if mapper is not None:
            try:
                mapper.check(source)
                return mapper, ""
            except SphereMismatchError as error:
                problem = str(error)
        return None, f"{problem} {HOW_TO_GET_A_SPHERE}"

    def is_ready(self, visit: Visit, controls: Controls) -> bool:
        """Whether a match needs no waiting: both images' features are there."""
        return all(self._features_key(picture, controls) in self._features for picture in (visit.source, visit.target))

    def features(self, picture: Picture, controls: Controls) -> FeatureMap:
        """Features of an image, computed once per image, backbone and resolution."""
        return self._features.get(self._features_key(picture, controls), lambda: self._extract(picture, controls))

    def sphere_map(self, picture: Picture, controls: Controls) -> SphereMap | None:
        """The image's sphere map, or None where the backbone has no fitting sphere."""
        mapper, _ = self.sphere(controls)
        if mapper is None:
            return None
        features = self.features(picture, controls)
        key = ("sphere", controls.sphere, *self._features_key(picture, controls))
        return self._views.get(key, lambda: mapper.sphere_map(features))

    def foreground(self, picture: Picture, controls: Controls) -> np.ndarray | None:
        """Boolean `[H, W]` of the object's cells; None if not asked for.

        They are the opaque ones of an image with transparency, else what the sphere says, else a guess.
        """
        if not controls.foreground:
            return None
        features = self.features(picture, controls)

        def find() -> np.ndarray:
            mask = alpha_mask(picture.path)
            if mask is not None:
                cells = mask_to_cells(mask[:, ::-1] if picture.mirrored else mask, features.framing)
                return cells if cells.any() else np.ones_like(cells)
            mapper, _ = self.sphere(controls)
            by_sphere = mapper and mapper.foreground(self.sphere_map(picture, controls))
            return estimate_foreground(features) if by_sphere is None else by_sphere

        key = ("foreground", controls.sphere, *self._features_key(picture, controls))
        return self._views.get(key, find)

    def image(self, picture: Picture, controls: Controls) -> ImageFeatures:
        """The image as matching sees it."""
        return ImageFeatures(
            self.features(picture, controls), self.sphere_map(picture, controls), self.foreground(picture, controls)
        )

    def match(
        self, source: Picture, target: Picture, points: list[Point] | tuple[Point, ...], controls: Controls
    ) -> MatchResult:
        """Match points of the source, in its original pixels; the errors of `matching.match`."""
        mapper, _ = self.sphere(controls)
        candidates = "foreground" if controls.foreground else "content"
        settings = MatchSettings(alpha=controls.alpha, k=controls.ranks, candidates=candidates)
        images = self.image(source, controls), self.image(target, controls)
        return match_images(*images, points, settings, mapper and mapper.settings)

    def _checkpoint(self, name: str) -> tuple[SphereMapper | None, str]:
        """A sphere of the menu, or None and what is wrong with it."""
        if name == NO_SPHERE:
            return None, "No sphere is chosen."
        if name not in self.settings.spheres:
            raise SpherecorrError(f"Unknown sphere '{name}'. Choose one of: {', '.join(self.settings.spheres)}.")

        def load() -> tuple[SphereMapper | None, str]:
            try:
                return load_sphere(name, device=self.settings.device), ""
            except CheckpointError as error:
                return None, str(error)

        return self._spheres.get(name, load)

    def _wanted_tokens(self, controls: Controls) -> FeatureSource | str:
        mapper, _ = self._checkpoint(controls.sphere)
        source = mapper.settings.source if mapper else None
        return source if source and source.backbone == controls.backbone else controls.backbone

    def _features_key(self, picture: Picture, controls: Controls) -> tuple:
        return (*picture.key, self._wanted_tokens(controls), controls.preset)

    def _extract(self, picture: Picture, controls: Controls) -> FeatureMap:
        backbone = self.backbone(controls)
        return backbone(_load(picture), resolution=resolutions(backbone.source.patch)[controls.preset])


def _load(picture: Picture) -> Image.Image:
    if not Path(picture.path).is_file():
        raise ImageError(f"'{picture.name}' is no longer held. Upload it again.")
    image = load_image(picture.path)
    return ImageOps.mirror(image) if picture.mirrored else image


def _shown_copy(image: Image.Image, picture: Picture) -> Image.Image:
    return image.resize(picture.shown_size, Image.Resampling.LANCZOS)

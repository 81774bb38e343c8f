"""Models, images and features behind the page, shared by all visits and asked for by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from spherecorr.backbones import Backbone, BackboneError, find, load_backbone, weights_available
from spherecorr.backbones.registry import parts_of, resolutions
from spherecorr.backbones.weights import download_notice, fetch
from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import FramingName, average_over_cells
from spherecorr.identity import FeatureSource, digest, file_digest
from spherecorr.images import ImageError, alpha_mask, load_image
from spherecorr.matching.candidates import Foreground, find_foreground, not_told
from spherecorr.matching.co_pca import has_levels, join_levels
from spherecorr.matching.match import MatchResult, match_images
from spherecorr.matching.settings import Candidates, MatchSettings
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.segmentation import Stroke, segment
from spherecorr.sphere.checkpoint import CheckpointError, checkpoint_files, load_sphere
from spherecorr.sphere.domain import domain_of, unlike_training
from spherecorr.sphere.mapper import SphereMapper, SphereMismatchError
from spherecorr.ui.cache import Cache
from spherecorr.ui.session import NO_SPHERE, Controls, Picture, Point, Visit
from spherecorr.ui.settings import AppSettings
from spherecorr.ui.space import device_without_gpu, on_gpu
from spherecorr.ui.teaching_files import taught_sphere

SPHERES_KEPT = 3
MODEL_BYTES_KEPT = 2_000_000_000
IMAGES_KEPT = 64
FEATURE_BYTES_KEPT = 600_000_000
JOINED_BYTES_KEPT = 200_000_000
HOW_TO_GET_A_SPHERE = (
    "Choose a sphere that fits, fetch a published one with `spherecorr download sphere`, or train one with "
    "`spherecorr train`."
)


class Engine:
    """Everything is made when first asked for and kept in bounded caches; there is no current model.

    What is kept is known by the content of the files it was made from, so that weights, spheres and pictures which are
    replaced under the same name while the app runs are never mixed with what the old ones gave.
    """

    def __init__(self, settings: AppSettings):
        self.settings = settings
        self._backbones = Cache(MODEL_BYTES_KEPT, lambda backbone: _model_bytes(backbone.name))
        self._spheres = Cache(SPHERES_KEPT)
        self._images = Cache(IMAGES_KEPT)
        self._features = Cache(FEATURE_BYTES_KEPT, _feature_bytes)
        self._joined = Cache(JOINED_BYTES_KEPT, lambda pair: sum(map(_feature_bytes, pair)))
        self._views = Cache(IMAGES_KEPT)
        self._extract = on_gpu(self._extract_features)

    def open(self, path: str | Path, name: str | None = None) -> Picture:
        """Check an image file and hold its shown copy.

        Raises:
            ImageError: it cannot be used; the message says why.
        """
        image = load_image(path)
        picture = Picture(str(path), file_digest(path), image.size, name or Path(path).name)
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
        name, wanted = controls.backbone, self._wanted_tokens(controls)
        # A click in the page must not start a download.
        if not name.startswith("local-dir:") and not weights_available(name):
            panel = "in the panel Weights, or " if self.settings.downloads else ""
            raise BackboneError(
                f"The weights of '{name}' are not here. Fetch them {panel}with `spherecorr download {name}`. "
                f"{download_notice(name)}"
            )
        key = (name, wanted, _weights_digest(name))

        def load() -> Backbone:
            self._backbones.make_room(_model_bytes(name))
            return load_backbone(name, sphere=wanted, device=self.settings.device)

        return self._backbones.get(key, load)

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
        pair = visit.pair
        return pair is not None and all(self._features_key(picture, controls) in self._features for picture in pair)

    def needs(self, visit: Visit, controls: Controls) -> str:
        """Digest of what everything that takes time is computed from, not what the page itself answers."""
        pictures = visit.source, visit.target
        keys = [picture and (*self._views_key(picture, controls), picture.marks) for picture in pictures]
        return digest([repr(keys).encode()])

    def features(self, picture: Picture, controls: Controls) -> FeatureMap:
        """Features of an image, computed once per image, backbone and resolution."""

        def extract() -> FeatureMap:
            self.backbone(controls)  # where extraction has a process of its own, it finds the backbone there
            return self._extract(picture, controls)

        return self._features.get(self._features_key(picture, controls), extract)

    def padded(self, picture: Picture, controls: Controls) -> FeatureMap:
        """Features of an image padded to a square, as evaluations frame all images; computed and kept likewise."""
        key = ("padded", *self._features_key(picture, controls))
        return self._features.get(key, lambda: self._extract(picture, controls, "pad"))

    def sphere_map(self, picture: Picture, controls: Controls) -> SphereMap | None:
        """The image's sphere map, or None where the backbone has no fitting sphere."""
        mapper, _ = self.sphere(controls)
        if mapper is None:
            return None
        features = self.features(picture, controls)
        key = ("sphere", *self._views_key(picture, controls))
        return self._views.get(key, lambda: mapper.sphere_map(features))

    def marked(self, picture: Picture) -> np.ndarray | None:
        """Boolean `[h, w]` of the shown copy: the object as it was marked; None where it was not.

        Raises:
            SegmentationError: the marks do not tell an object.
        """
        if picture.marks is None:
            return None
        box, strokes = picture.marks
        if box is not None:
            (x0, y0), (x1, y1) = picture.to_shown(np.reshape(box, (2, 2))).tolist()
            box = x0, y0, x1, y1
        shown = [Stroke(tuple(map(tuple, picture.to_shown(np.array(s.points)).tolist())), s.inside) for s in strokes]
        image = self.shown(picture)
        return self._views.get(("marked", *picture.key, picture.marks), lambda: segment(image, box, shown))

    def foreground(self, picture: Picture, controls: Controls) -> np.ndarray | None:
        """Boolean `[H, W]` of the cells that may be matched: the subject's, or None for all."""
        return self.subject(picture, controls).cells if controls.foreground else None

    def subject(self, picture: Picture, controls: Controls) -> Foreground:
        """The object's cells.

        They are the marked ones, else the opaque ones of an image with transparency, else what the sphere says, else a
        guess.
        """
        features = self.features(picture, controls)

        def find() -> Foreground:
            mask = self.marked(picture)
            if mask is None and (mask := alpha_mask(picture.path)) is not None and picture.mirrored:
                mask = mask[:, ::-1]
            if mask is not None:
                covered = average_over_cells(mask, features.framing)
                cells = covered > (0.5 if (covered > 0.5).any() else 0)  # a thin object may cover half of no cell
                return Foreground(cells if cells.any() else np.ones_like(cells), True)
            mapper, _ = self.sphere(controls)
            return find_foreground(features, mapper, self.sphere_map(picture, controls))

        return self._views.get(("subject", *self._views_key(picture, controls), picture.marks), find)

    def notices(self, visit: Visit, controls: Controls) -> list[dict]:
        """What must be said of the pictures: where the object is uncertain, and which the sphere does not know.

        Each is `{"text", "foreground"}`: whether it is so only while the foreground alone is matched.
        """
        if visit.pair is None:
            return []
        notices = []
        if not self.subject(visit.pair[1], controls).certain:
            notices.append({"text": f"{not_told('target')} Mark the object to change this.", "foreground": True})
        mapper, _ = self.sphere(controls)
        domain = None if mapper is None else domain_of(mapper)
        if mapper is not None and domain is not None:
            pictures = dict(zip(("source", "target"), visit.pair, strict=True))
            seen = {role: (self.features(p, controls), self.subject(p, controls)) for role, p in pictures.items()}
            unknown = [role for role, (features, found) in seen.items() if not domain.knows(features, found.cells)]
            if unknown:
                notices.append({"text": unlike_training(unknown, mapper.settings.categories), "foreground": False})
        return notices

    def image(self, picture: Picture, controls: Controls) -> ImageFeatures:
        """The image as matching sees it."""
        return ImageFeatures(
            self.features(picture, controls), self.sphere_map(picture, controls), self.foreground(picture, controls)
        )

    def joined(self, source: Picture, target: Picture, controls: Controls) -> tuple[ImageFeatures, ImageFeatures]:
        """Both images as matching sees them; the levels of a diffusion model are joined once for each pair."""
        images = self.image(source, controls), self.image(target, controls)
        if not has_levels(images[0].features):
            return images
        components = self.match_settings(controls).co_pca
        key = (self._features_key(source, controls), self._features_key(target, controls), components)
        pair = self._joined.get(key, lambda: join_levels(images[0].features, images[1].features, components))
        return replace(images[0], features=pair[0]), replace(images[1], features=pair[1])

    def match(
        self, source: Picture, target: Picture, points: list[Point] | tuple[Point, ...], controls: Controls
    ) -> MatchResult:
        """Match points of the source, in its original pixels; the errors of `matching.match`."""
        mapper, _ = self.sphere(controls)
        images = self.joined(source, target, controls)
        return match_images(*images, points, self.match_settings(controls), mapper.settings if mapper else None)

    def match_settings(self, controls: Controls) -> MatchSettings:
        """What the controls say of matching."""
        candidates: Candidates = "foreground" if controls.foreground else "content"
        return MatchSettings(alpha=controls.alpha, k=controls.ranks, candidates=candidates)

    def _checkpoint(self, name: str) -> tuple[SphereMapper | None, str]:
        """A sphere of the menu, or None and what is wrong with it."""
        if name == NO_SPHERE:
            return None, "No sphere is chosen."
        taught = taught_sphere(self.settings.teach_folder, name)
        if name not in self.settings.spheres and taught is None:
            raise SpherecorrError(f"Unknown sphere '{name}'. Choose one of: {', '.join(self.settings.spheres)}.")

        def load() -> tuple[SphereMapper | None, str]:
            try:
                return load_sphere(taught or name, device=device_without_gpu(self.settings.device)), ""
            except CheckpointError as error:
                return None, str(error)

        return self._spheres.get((name, self._sphere_digest(name)), load)

    def _wanted_tokens(self, controls: Controls) -> FeatureSource | None:
        """What the chosen sphere was trained on, where it reads features of the chosen backbone."""
        name = controls.backbone
        if name not in self.settings.backbones:
            raise SpherecorrError(f"Unknown backbone '{name}'. Choose one of: {', '.join(self.settings.backbones)}.")
        mapper, _ = self._checkpoint(controls.sphere)
        source = mapper.settings.source if mapper else None
        return source if source and source.backbone == parts_of(name)[0] else None

    def _features_key(self, picture: Picture, controls: Controls) -> tuple:
        name, wanted = controls.backbone, self._wanted_tokens(controls)
        return (*picture.key, name, wanted, _weights_digest(name), controls.preset)

    def _views_key(self, picture: Picture, controls: Controls) -> tuple:
        return (*self._features_key(picture, controls), controls.sphere, self._sphere_digest(controls.sphere))

    def _sphere_digest(self, name: str) -> str | None:
        """Digest of a sphere checkpoint's files as they are on disk now; None where there is none."""
        files = [] if name == NO_SPHERE else checkpoint_files(taught_sphere(self.settings.teach_folder, name) or name)
        return _files_digest(files) if files else None

    def _extract_features(self, picture: Picture, controls: Controls, framing: FramingName = "fit") -> FeatureMap:
        backbone = self.backbone(controls)
        spec = find(controls.backbone)
        presets = spec.resolutions if spec else resolutions(backbone.source.patch)
        return backbone(_load(picture), resolution=presets[controls.preset], framing=framing)


def _model_bytes(name: str) -> float:
    """About how much memory a backbone takes in single precision; of one that nobody knows, a ViT-B's."""
    spec = find(name)
    return 4e6 * (spec.parameters if spec else 90)


def _feature_bytes(feature_map: FeatureMap) -> int:
    """How much memory a feature map takes with all its parts."""
    return feature_map.features.nbytes + sum(part.features.nbytes for part in feature_map.parts)


def _weights_digest(name: str) -> str | None:
    """Digest of a backbone's weights as they are on disk now; None where they are not here."""
    try:
        return _files_digest(fetch(name)) if weights_available(name) else None
    except BackboneError:  # whoever loads them will say what is wrong
        return None


def _files_digest(files: list[Path]) -> str:
    return digest(file_digest(file).encode() for file in files)


def _load(picture: Picture) -> Image.Image:
    if not Path(picture.path).is_file():
        raise ImageError(f"'{picture.name}' is no longer held. Upload it again.")
    if file_digest(picture.path) != picture.digest:
        raise ImageError(f"'{picture.name}' has changed since it was opened. Open it again.")
    image = load_image(picture.path)
    return ImageOps.mirror(image) if picture.mirrored else image


def _shown_copy(image: Image.Image, picture: Picture) -> Image.Image:
    return image.resize(picture.shown_size, Image.Resampling.LANCZOS)

"""Two images and points of the first become matches in the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap
from spherecorr.images import load_image
from spherecorr.matching.alignment import Alignment, align
from spherecorr.matching.candidates import find_foreground, not_told
from spherecorr.matching.match import MatchResult, match
from spherecorr.matching.settings import MatchSettings, PoseAlign
from spherecorr.pipelines.common import load_models, sphere_named, versions
from spherecorr.pipelines.settings import Models
from spherecorr.sphere.domain import domain_of, unlike_training
from spherecorr.sphere.mapper import SphereMapper


@dataclass(frozen=True, eq=False)
class ImageMatch:
    """Matches, and what they were made from.

    Attributes:
        images: source and target, upright.
        result: the matches.
        about: JSON-able: the images' paths and sizes, everything that decides the result, notes, and versions.
        notes: sentences for a person: where the object is uncertain, and which picture the sphere does not know.
        pose: how near the source and its mirror image are to the target, where it was asked for.
    """

    images: tuple[Image.Image, Image.Image]
    result: MatchResult
    about: dict[str, Any]
    notes: tuple[str, ...] = ()
    pose: Alignment | None = None


def match_images(
    source: str | Path,
    target: str | Path,
    points: Sequence[tuple[float, float]],
    models: Models | None = None,
    settings: MatchSettings | None = None,
    pose_align: PoseAlign | None = None,
) -> ImageMatch:
    """Match points of one image file in another.

    Args:
        source: image with the points.
        target: image to search.
        points: (x, y) in pixels of the upright source.
        models: by default mini and its sphere.
        settings: how to match.
        pose_align: also compare the source's mirror image with the target, see `matching.alignment`. Points without
            names have no left/right partners, so that their matches stay as they are.

    Raises:
        ImageError: a file cannot be read.
        SpherecorrError: models that are not there or do not fit together, or points outside the image.
    """
    models, settings = models or Models(), settings or MatchSettings()
    images = load_image(source), load_image(target)
    backbone, sphere = load_models(models.backbone, models.sphere, models.device)
    if sphere is None and settings.alpha is not None:
        raise SpherecorrError("alpha is a sphere's share, and there is no sphere for this backbone; name one.")
    first, second = (backbone(image, resolution=models.resolution) for image in images)
    result = match(first, second, points, sphere=sphere, settings=settings)
    pose = None
    if pose_align:
        mirror = backbone(ImageOps.mirror(images[0]), resolution=models.resolution)
        pose = align(first, mirror, second, by=pose_align)
    decided = asdict(settings)
    if sphere and settings.alpha is None:
        decided["alpha"] = sphere.settings.alpha
    notes = _notes(result, {"source": first, "target": second}, sphere)
    about = {
        "source": {"path": str(source), "size": images[0].size},
        "target": {"path": str(target), "size": images[1].size},
        "settings": {
            "features": asdict(first.source),
            "input_size": first.framing.input_size,
            "sphere": sphere_named(models.sphere, sphere) if sphere else None,
            "topk": decided.pop("k"),
            **decided,
            "device": str(first.features.device),
        },
        "notes": notes,
        "versions": versions(),
        **({"pose": {"by": pose_align, **asdict(pose), "mirrored": pose.mirrored}} if pose else {}),
    }
    return ImageMatch(images, result, about, notes, pose)


def _notes(result: MatchResult, images: dict[str, FeatureMap], sphere: SphereMapper | None) -> tuple[str, ...]:
    """See `ImageMatch`."""
    notes = [not_told("target")] if result.object_told is False else []
    domain = None if sphere is None else domain_of(sphere)
    if sphere is not None and domain is not None:
        found = {role: find_foreground(f, sphere, sphere.sphere_map(f)).cells for role, f in images.items()}
        unknown = [role for role, cells in found.items() if not domain.knows(images[role], cells)]
        if unknown:
            notes.append(unlike_training(unknown, sphere.settings.categories))
    return tuple(notes)

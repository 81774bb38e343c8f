"""Two images and points of the first become matches in the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from spherecorr.errors import SpherecorrError
from spherecorr.images import load_image
from spherecorr.matching.alignment import Alignment, align
from spherecorr.matching.match import MatchResult, match
from spherecorr.matching.settings import MatchSettings, PoseAlign
from spherecorr.pipelines.common import load_models, sphere_named, versions
from spherecorr.pipelines.settings import Models


@dataclass(frozen=True, eq=False)
class ImageMatch:
    """Matches, and what they were made from.

    Attributes:
        images: source and target, upright.
        result: the matches.
        about: JSON-able: the images' paths and sizes, everything that decides the result, and versions.
        pose: how near the source and its mirror image are to the target, where it was asked for.
    """

    images: tuple[Image.Image, Image.Image]
    result: MatchResult
    about: dict[str, Any]
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
        "versions": versions(),
        **({"pose": {"by": pose_align, **asdict(pose), "mirrored": pose.mirrored}} if pose else {}),
    }
    return ImageMatch(images, result, about, pose)

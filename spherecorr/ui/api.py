"""The named endpoints for programs: what the page does, for gradio_client and plain HTTP."""

import io
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import gradio as gr
from PIL import Image

from spherecorr.backbones.registry import Preset
from spherecorr.errors import SpherecorrError
from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import sentence
from spherecorr.ui.image_files import uploaded
from spherecorr.ui.session import MAX_POINTS, NO_SPHERE, Controls, Picture, Point
from spherecorr.ui.table import match_records
from spherecorr.views.pca import pca_pictures


class Api:
    """Methods to register with `gr.api`; their types and docstrings become the API page."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def match(
        self,
        source: gr.FileData,
        target: gr.FileData,
        points: list[list[float]],
        backbone: str = "",
        sphere: str = "",
        alpha: float | None = None,
        k: int = 1,
        resolution: Preset = "fast",
        foreground_only: bool = True,
    ) -> list[dict]:
        """Match points of one image in another.

        Args:
            source: the image with the points: a file sent with gradio_client's `handle_file`.
            target: the other image.
            points: [x, y] in original, upright pixels of the source, at most 12.
            backbone: a name of the app's menu; by default the first.
            sphere: a sphere checkpoint of the app's menu, "none" for raw matches only; by default the first.
            alpha: the sphere's share in the fused similarity, 0..1; by default what the sphere recommends.
            k: ranked matches per point, 1..100.
            resolution: "fast", "balanced" or "fine".
            foreground_only: match the foreground of the target only.

        Returns:
            One record per point: "raw", "sphere" and "fused" list {"xy", "score"} in original pixels of the target,
            best first; angles are in degrees, cycle errors in pixels.
        """
        with _plain_errors():
            controls = replace(self._controls(backbone, sphere, resolution, foreground_only), ranks=_ranks(k))
            mapper, _ = self._engine.sphere(controls)
            recommended = mapper.settings.alpha if mapper else 0.0
            controls = replace(controls, alpha=recommended if alpha is None else float(alpha))
            pictures = self._open(source), self._open(target)
            return match_records(self._engine.match(*pictures, _pairs(points), controls))

    def features_pca(
        self,
        source: gr.FileData,
        target: gr.FileData,
        backbone: str = "",
        resolution: Preset = "fast",
        foreground_only: bool = True,
    ) -> list[str]:
        """Paint the joint PCA of two images' features.

        Args:
            source: a file sent with gradio_client's `handle_file`.
            target: the other image.
            backbone: a name of the app's menu; by default the first.
            resolution: "fast", "balanced" or "fine".
            foreground_only: fit the components on, and show, the foreground only.

        Returns:
            Two PNG pictures as data URIs, source and target.
        """
        with _plain_errors():
            controls = self._controls(backbone, NO_SPHERE, resolution, foreground_only)
            pictures = [self._open(source), self._open(target)]
            maps = [self._engine.features(picture, controls) for picture in pictures]
            masks = [self._engine.subject(picture, controls).cells for picture in pictures] if foreground_only else None
            images = pca_pictures(maps, masks, [picture.shown_size for picture in pictures])
            return [_data_uri(image) for image in images]

    def _controls(self, backbone: str, sphere: str, resolution: Preset, foreground: bool) -> Controls:
        settings = self._engine.settings
        if resolution not in ("fast", "balanced", "fine"):
            raise SpherecorrError(f'Resolution is "fast", "balanced" or "fine"; got {resolution!r}.')
        first_sphere = next(iter(settings.spheres), NO_SPHERE)
        return Controls(backbone or settings.backbones[0], sphere or first_sphere, resolution, bool(foreground))

    def _open(self, file: Any) -> Picture:
        return self._engine.open(uploaded(file.get("path") if isinstance(file, dict) else None))


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Every error reaches the caller as one sentence; a fault of the program is in the log."""
    try:
        yield
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from error


def _pairs(points: Any) -> list[Point]:
    try:
        pairs = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError) as error:
        raise SpherecorrError("Points must be a list of [x, y] pairs of numbers.") from error
    if not 1 <= len(pairs) <= MAX_POINTS:
        raise SpherecorrError(f"Send 1 to {MAX_POINTS} points a call; got {len(pairs)}.")
    return pairs


def _ranks(k: object) -> int:
    if not isinstance(k, int) or not 1 <= k <= 100:
        raise SpherecorrError(f"k, the number of matches per point, must be a whole number from 1 to 100; got {k!r}.")
    return k


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"

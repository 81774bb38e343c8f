"""The named endpoints for programs: what the page does, for gradio_client, plain HTTP and MCP."""

import io
from base64 import b64encode
from dataclasses import asdict, replace
from typing import Any

import gradio as gr
from PIL import Image

from spherecorr.backbones.registry import Preset
from spherecorr.errors import SpherecorrError
from spherecorr.ui.api_inputs import choice, point_pairs, preset_name, rank_count, share, switch
from spherecorr.ui.api_menu import backbone_records, fitting_sphere
from spherecorr.ui.engine import Engine
from spherecorr.ui.guard import upload_path
from spherecorr.ui.records import match_records
from spherecorr.ui.session import NO_SPHERE, Controls, Picture
from spherecorr.views.pca import pca_pictures
from spherecorr.views.spheremap import sphere_picture


def add_endpoints(engine: Engine) -> None:
    """Register all endpoints with the Blocks that are being built."""
    api = Api(engine)
    for endpoint in (api.match, api.pca, api.sphere_map, api.backbones):
        gr.api(endpoint, api_name=endpoint.__name__)


class Api:
    """The endpoints as methods; their types and docstrings become the API page and the MCP tools' descriptions."""

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
    ) -> dict:
        """Match points of one image in another.

        Args:
            source: the image with the points: a file sent with gradio_client's `handle_file`.
            target: the other image.
            points: [x, y] in original, upright pixels of the source, 1 to 12 of them.
            backbone: a name that `backbones` lists; by default the first.
            sphere: a sphere that `backbones` lists for the backbone, "none" for raw matches only; by default the first.
            alpha: the sphere's share in the fused similarity, 0 to 1; by default what the sphere recommends.
            k: ranked matches per point, 1 to 100.
            resolution: "fast", "balanced" or "fine".
            foreground_only: match the foreground of the target only.

        Returns:
            The settings used, and "matches" with one record per point: "raw", "sphere" and "fused" list {"xy", "score"}
            in original pixels of the target, best first; angles are in degrees, cycle errors in pixels.
        """
        pairs, ranks, wanted = point_pairs(points), rank_count(k), share(alpha)
        controls = self._controls(backbone, sphere, resolution, foreground_only)
        mapper, problem = self._engine.sphere(controls)
        if mapper is None and sphere not in ("", NO_SPHERE):
            raise SpherecorrError(problem)
        recommended = mapper.settings.alpha if mapper else 0.0
        controls = replace(controls, ranks=ranks, alpha=recommended if wanted is None else wanted)
        pictures = self._open(source), self._open(target)
        matches = match_records(self._engine.match(*pictures, pairs, controls))
        used = {"sphere": controls.sphere if mapper else NO_SPHERE, "alpha": controls.alpha}
        return {**_about(controls), **used, "matches": matches}

    def pca(
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
            backbone: a name that `backbones` lists; by default the first.
            resolution: "fast", "balanced" or "fine".
            foreground_only: fit the components on, and show, the foreground only.

        Returns:
            Two PNG pictures as data URIs, source and target.
        """
        controls = self._controls(backbone, NO_SPHERE, resolution, foreground_only)
        pictures = [self._open(source), self._open(target)]
        maps = [self._engine.features(picture, controls) for picture in pictures]
        masks = [self._engine.subject(picture, controls).cells for picture in pictures] if foreground_only else None
        images = pca_pictures(maps, masks, [picture.shown_size for picture in pictures])
        return [_data_uri(image) for image in images]

    def sphere_map(
        self,
        image: gr.FileData,
        backbone: str = "",
        sphere: str = "",
        resolution: Preset = "fast",
        foreground_only: bool = True,
    ) -> dict:
        """Send every patch of an image to its place on the sphere.

        Args:
            image: a file sent with gradio_client's `handle_file`.
            backbone: a name that `backbones` lists; by default the first.
            sphere: a sphere that `backbones` lists for the backbone; by default the first.
            resolution: "fast", "balanced" or "fine".
            foreground_only: paint the foreground only; "points" has all patches.

        Returns:
            "picture": the map as a PNG data URI, x, y and z as red, green and blue. "points": unit vectors [H][W][3].
            "foreground": [H][W], which patches show the object. "framing": how the image became the grid of patches;
            column c has its centre at x = ((c + 0.5) * patch - offset[0]) / scale[0] in original pixels, rows likewise.
        """
        controls = self._controls(backbone, sphere, resolution, foreground_only)
        mapper, problem = self._engine.sphere(controls)
        if mapper is None:
            raise SpherecorrError(problem)
        picture = self._open(image)
        sphere_map = self._engine.sphere_map(picture, controls)
        assert sphere_map is not None  # there is a mapper
        cells = self._engine.subject(picture, controls).cells
        painted = sphere_picture(sphere_map, cells if foreground_only else None, picture.shown_size)
        return {
            **_about(controls),
            "surface": sphere_map.surface,
            "picture": _data_uri(painted),
            "points": sphere_map.points.float().cpu().permute(1, 2, 0).numpy().round(4).tolist(),
            "foreground": cells.tolist(),
            "framing": asdict(sphere_map.framing),
        }

    def backbones(self) -> list[dict]:
        """List the backbones of the app's menu.

        Returns:
            Per backbone: "name", "title", "here" (its weights are on this machine), "megabytes" (of memory),
            "download_megabytes" (what is still to be fetched), "licence" of the weights, "note", "resolutions" in input
            pixels, and "spheres", the names of those that were trained on it.
        """
        return backbone_records(self._engine.settings)

    def _controls(self, backbone: Any, sphere: Any, resolution: Any, foreground: Any) -> Controls:
        """The page's settings from an endpoint's, each of them checked."""
        settings = self._engine.settings
        chosen = choice(backbone, settings.backbones, "backbone") or settings.backbones[0]
        named = choice(sphere, (*settings.spheres, NO_SPHERE), "sphere")
        return Controls(
            backbone=chosen,
            sphere=named or fitting_sphere(settings, chosen) or NO_SPHERE,
            preset=preset_name(resolution),
            foreground=switch(foreground, "foreground_only"),
        )

    def _open(self, file: Any) -> Picture:
        return self._engine.open(upload_path(file))


def _about(controls: Controls) -> dict[str, Any]:
    return {
        "backbone": controls.backbone,
        "sphere": controls.sphere,
        "resolution": controls.preset,
        "foreground_only": controls.foreground,
    }


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"

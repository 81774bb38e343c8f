"""What the page's events do: a visit and the controls in, a new visit and pictures out.

Handlers look up and draw. Where features are missing, an event draws what is there at once, and `settle`, which the
page calls after it, computes them and draws again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from spherecorr.backbones import BACKBONES
from spherecorr.errors import SpherecorrError
from spherecorr.matching.match import MatchResult
from spherecorr.ui.engine import Engine
from spherecorr.ui.examples import read_examples
from spherecorr.ui.session import Controls, Picture, Visit
from spherecorr.ui.table import KINDS, match_records, table_html
from spherecorr.views.matches import COLOURS, draw_pins, draw_ranks, draw_rings, overlay_heat, veil
from spherecorr.views.pca import pca_pictures
from spherecorr.views.sphere_plot import sphere_figure, sphere_patches
from spherecorr.views.spheremap import sphere_picture

OWN_IMAGES = "own"
READY = "Click a part of the source image. A click on a target image asks the other way round."
COMPUTING = "Computing features …"
INTERNAL_ERROR = "Internal error. The server's log has the details; please report it."

log = logging.getLogger(__name__)


class Page(NamedTuple):
    """What an event changes on the page, in the order of its outputs."""

    visit: Any = gr.skip()
    source: Any = gr.skip()
    raw: Any = gr.skip()
    sphere: Any = gr.skip()
    fused: Any = gr.skip()
    table: Any = gr.skip()
    status: Any = gr.skip()


def _one_sentence(handler: Callable[..., Page]) -> Callable[..., Page]:
    """Every error becomes a sentence in the status line, and the page stays as it was.

    A fault of the program is no user's business: its traceback goes to the log.
    """

    @wraps(handler)
    def safe(*args: Any) -> Page:
        try:
            return handler(*args)
        except SpherecorrError as error:
            gr.Warning(str(error))
            return Page(status=say(str(error), "warn"))
        except Exception:
            log.exception("%s failed", handler.__name__)
            return Page(status=say(INTERNAL_ERROR, "warn"))

    return safe


class Handlers:
    """The events of one app; every visit brings its own `Visit` and control values."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.examples = read_examples(engine.settings.examples)

    @_one_sentence
    def open_example(self, visit: Visit, example_id: str | None, *controls: Any) -> Page:
        """Open an example pair with its points."""
        if example_id not in self.examples:
            return Page(status=say("Upload a source and a target image with the buttons below the pictures."))
        example = self.examples[example_id]
        source, target = self.engine.open(example.source), self.engine.open(example.target)
        return self._page(Visit(source, target).with_points(list(example.points)), Controls(*controls))

    @_one_sentence
    def upload_source(self, visit: Visit, path: str, *controls: Any) -> Page:
        """Put an uploaded file in the source's place; the points belonged to the old image and go."""
        visit = replace(visit, source=self.engine.open(path)).without_points()
        return self._page(visit, Controls(*controls))

    @_one_sentence
    def upload_target(self, visit: Visit, path: str, *controls: Any) -> Page:
        """Put an uploaded file in the target's place; the source's points stay."""
        return self._page(replace(visit, target=self.engine.open(path)), Controls(*controls))

    @_one_sentence
    def click_source(self, event: gr.SelectData, visit: Visit, *controls: Any) -> Page:
        """Add the clicked point, or make the clicked pin active."""
        return self._page(visit.with_point(_clicked(visit.source, event)), Controls(*controls))

    def click_target(self, kind: str) -> Callable[..., Page]:
        """The handler of a click on the "raw", "sphere" or "fused" target: match backwards, add what is found."""

        @_one_sentence
        def click(event: gr.SelectData, visit: Visit, *values: Any) -> Page:
            controls = Controls(*values)
            if visit.source is None:
                return Page(status=say("Upload a source image first.", "warn"))
            clicked = _clicked(visit.target, event)
            if not self.engine.is_ready(visit, controls):
                return Page(status=say("Features are still being computed; click again in a moment.", "warn"))
            back = getattr(self.engine.match(visit.target, visit.source, [clicked], controls), kind)
            if back is None:
                return Page(status=say(self.engine.sphere(controls)[1], "warn"))
            visit = visit.with_point(tuple(back.xy[0, 0].tolist()))
            forth = getattr(self.engine.match(visit.source, visit.target, visit.points, controls), kind)
            error = np.linalg.norm(forth.xy[visit.active, 0] - clicked)
            page = self._page(visit, controls)
            text = (
                f"Point {visit.active + 1} was found backwards from the {kind} target; forwards again it lands "
                f"{error:.0f} px from the click."
            )
            return page._replace(status=say(text))

        return click

    @_one_sentence
    def undo(self, visit: Visit, *controls: Any) -> Page:
        """Take the newest point back."""
        return self._page(visit.without_last_point(), Controls(*controls))

    @_one_sentence
    def clear(self, visit: Visit, *controls: Any) -> Page:
        """Take all points back."""
        return self._page(visit.without_points(), Controls(*controls))

    @_one_sentence
    def swap(self, visit: Visit, *values: Any) -> Page:
        """Exchange the images; the best matches become the points."""
        controls = Controls(*values)
        swapped = Visit(visit.target, visit.source)
        if visit.points and visit.target is not None and self.engine.is_ready(visit, controls):
            result = self.engine.match(visit.source, visit.target, visit.points, controls)
            best = (result.fused or result.raw).xy[:, 0]
            swapped = swapped.with_points([tuple(xy) for xy in best.tolist()])
        return self._page(swapped, controls)

    @_one_sentence
    def mirror(self, visit: Visit, *controls: Any) -> Page:
        """Mirror the target."""
        if visit.target is None:
            raise SpherecorrError("Upload a target image first.")
        target = replace(visit.target, mirrored=not visit.target.mirrored)
        return self._page(replace(visit, target=target), Controls(*controls))

    @_one_sentence
    def redraw(self, visit: Visit, *controls: Any) -> Page:
        """Draw again after a change of the controls."""
        return self._page(visit, Controls(*controls))._replace(visit=gr.skip())

    @_one_sentence
    def settle(self, visit: Visit, *values: Any) -> Page:
        """Compute the features that are missing and draw; nothing happens where all are there."""
        controls = Controls(*values)
        if visit.source is None or visit.target is None or self.engine.is_ready(visit, controls):
            return Page()
        self.engine.features(visit.source, controls)
        self.engine.features(visit.target, controls)
        return self._page(visit, controls)._replace(visit=gr.skip())

    def plot(self, visit: Visit, *values: Any) -> dict[str, str]:
        """The sphere for the page's own component: `{"figure": Plotly JSON}` or `{"message": sentence}`."""
        controls = Controls(*values)
        if visit.source is None or visit.target is None:
            return {"message": "The sphere appears here when both images are there."}
        try:
            mapper, problem = self.engine.sphere(controls)
        except SpherecorrError as error:
            return {"message": str(error)}
        if mapper is None:
            return {"message": problem}
        patches = [
            sphere_patches(
                self.engine.sphere_map(picture, controls),
                self.engine.shown(picture),
                self._subject(picture, controls),
            )
            for picture in (visit.source, visit.target)
        ]
        result = self.engine.match(visit.source, visit.target, visit.points, controls)
        selected = self._on_sphere(visit.source, result.points, controls)
        matched = self._on_sphere(visit.target, result.fused.xy[:, 0], controls)
        return {"figure": sphere_figure(*patches, selected, matched, visit.active).to_json()}

    def pictures(self, visit: Visit, *values: Any) -> list[Image.Image | None]:
        """PCA of source and target, sphere map of source and target; None where there is none."""
        controls = Controls(*values)
        images = [visit.source, visit.target]
        if None in images:
            return [None] * 4
        try:
            maps = [self.engine.features(picture, controls) for picture in images]
            spheres = [self.engine.sphere_map(picture, controls) for picture in images]
        except SpherecorrError:  # said in the status line already
            return [None] * 4
        masks = [self._subject(picture, controls) for picture in images]
        sizes = [picture.shown_size for picture in images]
        return pca_pictures(maps, masks, sizes) + [
            None if sphere is None else sphere_picture(sphere, mask, size)
            for sphere, mask, size in zip(spheres, masks, sizes, strict=True)
        ]

    def recommended_alpha(self, *values: Any) -> Any:
        """The chosen sphere's alpha for the slider."""
        try:
            mapper, _ = self.engine.sphere(Controls(*values))
        except SpherecorrError:
            return gr.skip()
        return gr.skip() if mapper is None else mapper.settings.alpha

    def _subject(self, picture: Picture, controls: Controls) -> np.ndarray:
        """The foreground, for pictures that are of the object whether or not matches are restricted to it."""
        return self.engine.foreground(picture, replace(controls, foreground=True))

    def _on_sphere(self, picture: Picture, points: np.ndarray, controls: Controls) -> np.ndarray:
        """Where original pixels `[N, 2]` lie on the sphere `[N, 3]`; NaN for NaN."""
        sphere = self.engine.sphere_map(picture, controls)
        there = np.isfinite(points).all(axis=1)
        columns, rows = sphere.framing.to_cell(np.where(there[:, None], points, 0)).T
        vectors = sphere.points.float().cpu().numpy()[:, rows, columns].T.copy()
        vectors[~there] = np.nan
        return vectors

    def _page(self, visit: Visit, controls: Controls) -> Page:
        """Everything that shows the visit."""
        shown = [None if picture is None else self.engine.shown(picture) for picture in (visit.source, visit.target)]
        if visit.source is not None:
            shown[0] = draw_pins(shown[0], visit.source.to_shown(np.array(visit.points).reshape(-1, 2)), visit.active)
        source, target = shown
        if source is None or target is None:
            missing = " and a ".join(name for name, image in zip(("source", "target"), shown, strict=True) if not image)
            return Page(visit, source, target, target, target, "", say(f"Upload a {missing} image."))
        if not self.engine.is_ready(visit, controls):
            return Page(visit, source, target, target, target, "", say(COMPUTING, "busy"))

        result = self.engine.match(visit.source, visit.target, visit.points, controls)
        mapper, problem = self.engine.sphere(controls)
        changed = np.zeros(len(visit.points), dtype=bool)
        if mapper is not None and controls.alpha != mapper.settings.alpha:
            usual = replace(controls, alpha=mapper.settings.alpha)
            before = self.engine.match(visit.source, visit.target, visit.points, usual).fused.xy[:, 0]
            changed = (before != result.fused.xy[:, 0]).any(axis=1)
        targets = [
            veil(target, problem)
            if getattr(result, kind) is None
            else self._target(visit, target, result, kind, controls, changed if kind == "fused" else None)
            for kind in KINDS
        ]
        table = table_html(match_records(result), visit.active, changed.tolist(), _about(visit, controls))
        note = BACKBONES[controls.backbone].note if controls.backbone in BACKBONES else ""
        return Page(visit, source, *targets, table, say(problem or f"{READY} {note}"))

    def _target(
        self,
        visit: Visit,
        image: Image.Image,
        result: MatchResult,
        kind: str,
        controls: Controls,
        changed: np.ndarray | None,
    ) -> Image.Image:
        """One target image with heat, ranks, pins, and rings around the matches that alpha has moved."""
        ranked, to_shown = getattr(result, kind), visit.target.to_shown
        if visit.active is not None:
            framing = self.engine.features(visit.target, controls).framing
            row = ranked.rows[visit.active].cpu().numpy()
            image = overlay_heat(image, row, framing, controls.heat)
            image = draw_ranks(image, to_shown(ranked.xy[visit.active]), COLOURS[visit.active % len(COLOURS)])
        if changed is not None:
            image = draw_rings(image, to_shown(ranked.xy[changed, 0]))
        return draw_pins(image, to_shown(ranked.xy[:, 0]), visit.active)


def say(text: str, kind: str = "info") -> str:
    """The status line's HTML."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<div class="sc-status sc-{kind}" role="status">{escaped}</div>'


def _clicked(picture: Picture | None, event: gr.SelectData) -> tuple[float, float]:
    """The middle of the clicked pixel of the shown copy, in original pixels."""
    if picture is None:
        raise SpherecorrError("Upload an image first.")
    x, y = event.index
    return tuple(picture.from_shown(np.array([x + 0.5, y + 0.5])).tolist())


def _about(visit: Visit, controls: Controls) -> dict:
    """What an export says besides the matches."""
    pictures = {
        role: {"name": picture.name, "size": list(picture.size), "mirrored": picture.mirrored}
        for role, picture in (("source", visit.source), ("target", visit.target))
    }
    return {**pictures, "backbone": controls.backbone, "sphere": controls.sphere, "resolution": controls.preset} | {
        "alpha": controls.alpha, "foreground_only": controls.foreground
    }  # fmt: skip

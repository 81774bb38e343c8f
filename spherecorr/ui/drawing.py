"""What the page shows: the newest state of a visit, drawn.

The page asks for one drawing of a kind at a time, so that none can be overtaken by an older one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from spherecorr.backbones import BACKBONES
from spherecorr.features import SphereMap
from spherecorr.geometry import Framing
from spherecorr.matching.readout import Ranked
from spherecorr.ui.engine import Engine, best_matches
from spherecorr.ui.failures import sentence
from spherecorr.ui.session import Controls, Picture, Session, Visit
from spherecorr.ui.table import KINDS, match_records, table_html
from spherecorr.views.matches import COLOURS, draw_marked, draw_pins, draw_ranks, draw_rings, overlay_heat, veil
from spherecorr.views.pca import pca_pictures
from spherecorr.views.sphere_plot import sphere_figure, sphere_patches
from spherecorr.views.spheremap import sphere_picture

READY = "Click a part of the source image. A click on a target image asks the other way round."
COMPUTING = "Computing features …"

Failure = tuple[str, str] | None


class Page(NamedTuple):
    """What a drawing puts on the page, in the order of its outputs."""

    source: Any = gr.skip()
    raw: Any = gr.skip()
    sphere: Any = gr.skip()
    fused: Any = gr.skip()
    table: Any = gr.skip()
    status: Any = gr.skip()
    notices: Any = gr.skip()
    shown: Any = gr.skip()
    needs: Any = gr.skip()


class Drawing:
    """Draws the visits of one app; every visit brings its own `Session` and control values."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def draw(self, session: Session, *values: Any) -> Page:
        """Everything that shows the newest state of the visit."""
        with session.lock:
            visit, note, failure, settled = session.visit, session.note, session.failure, session.settled
        try:
            page = self._page(visit, Controls(*values), failure, settled)
        except Exception as error:
            return Page(status=say(sentence(error), "warn"))
        return page._replace(status=say(*note)) if note else page

    def plot(self, session: Session, *values: Any) -> dict[str, str]:
        """The sphere for the page's own component: `{"figure": Plotly JSON}` or `{"message": sentence}`."""
        try:
            return self._plot(session.visit, Controls(*values), session.failure)
        except Exception as error:
            return {"message": sentence(error)}

    def _plot(self, visit: Visit, controls: Controls, failure: Failure) -> dict[str, str]:
        if visit.pair is None:
            return {"message": "The sphere appears here when both images are there."}
        if not self.engine.is_ready(visit, controls):
            return {"message": self._waiting(visit, controls, failure)[0]}
        drawn = []
        for picture in visit.pair:
            sphere = self.engine.sphere_map(picture, controls)
            if sphere is None:
                return {"message": self.engine.sphere(controls)[1]}
            patches = sphere_patches(sphere, self.engine.shown(picture), self.engine.subject(picture, controls).cells)
            drawn.append((sphere, patches))
        (source, source_patches), (target, target_patches) = drawn
        result = self.engine.match(*visit.pair, visit.points, controls)
        selected, matched = _on_sphere(source, result.points), _on_sphere(target, best_matches(result))
        figure = sphere_figure(source_patches, target_patches, selected, matched, visit.active)
        return {"figure": figure.to_json()}

    def pictures(self, session: Session, *values: Any) -> list[Any]:
        """PCA of source and target, sphere map of source and target, None where there is none; and a new revision.

        The revision is new only if something failed that the status line must say.
        """
        controls, visit = Controls(*values), session.visit
        try:
            if visit.pair is None or not self.engine.is_ready(visit, controls):
                return [*[None] * 4, gr.skip()]
            maps = [self.engine.features(picture, controls) for picture in visit.pair]
            spheres = [self.engine.sphere_map(picture, controls) for picture in visit.pair]
            masks = [self.engine.subject(picture, controls).cells for picture in visit.pair]
            sizes = [picture.shown_size for picture in visit.pair]
            painted = [
                None if sphere is None else sphere_picture(sphere, mask, size)
                for sphere, mask, size in zip(spheres, masks, sizes, strict=True)
            ]
            return [*pca_pictures(maps, masks, sizes), *painted, gr.skip()]
        except Exception as error:
            session.note = sentence(error), "warn"
            return [*[None] * 4, session.advance()]

    def _waiting(self, visit: Visit, controls: Controls, failure: Failure) -> tuple[str, str]:
        """What the status line says while features are missing, and its kind."""
        if failure and failure[0] == self.engine.needs(visit, controls):
            return failure[1], "warn"
        return COMPUTING, "busy"

    def _page(self, visit: Visit, controls: Controls, failure: Failure, settled: int) -> Page:
        """Everything that shows the visit."""
        source, target = (None if picture is None else self._shown(picture) for picture in (visit.source, visit.target))
        if visit.source is not None and source is not None:
            source = draw_pins(source, visit.source.to_shown(np.array(visit.points).reshape(-1, 2)), visit.active)
        shown, needs = visit.shown, self.engine.needs(visit, controls)
        if visit.pair is None or target is None:
            missing = " and a ".join(role for role, picture in shown.items() if picture is None)
            return Page(source, target, target, target, "", say(f"Upload a {missing} image."), "", shown, needs)
        if not self.engine.is_ready(visit, controls):
            text, kind = self._waiting(visit, controls, failure)
            # The page asks for what is missing when this value changes: once, and again if it was dropped meanwhile.
            wanted = gr.skip() if kind == "warn" else f"{needs} missing after {settled}"
            return Page(source, target, target, target, "", say(text, kind), "", shown, wanted)

        result = self.engine.match(*visit.pair, visit.points, controls)
        mapper, problem = self.engine.sphere(controls)
        changed = np.zeros(len(visit.points), dtype=bool)
        if mapper is not None and controls.alpha != mapper.settings.alpha:
            usual = replace(controls, alpha=mapper.settings.alpha)
            before = self.engine.match(*visit.pair, visit.points, usual)
            changed = (best_matches(before) != best_matches(result)).any(axis=1)
        row_framing = self.engine.features(visit.pair[1], controls).framing
        targets = []
        for kind in KINDS:
            ranked: Ranked | None = getattr(result, kind)
            moved = changed if kind == "fused" else np.zeros_like(changed)
            targets.append(
                veil(target, problem)
                if ranked is None
                else _target_picture(target, visit, ranked, row_framing, controls.heat, moved)
            )
        raw, by_sphere, fused = targets
        table = table_html(match_records(result), visit.active, changed.tolist(), _about(visit.pair, controls))
        note = BACKBONES[controls.backbone].note if controls.backbone in BACKBONES else ""
        notices = "".join(say(text, "warn") for text in self.engine.notices(visit, controls))
        return Page(source, raw, by_sphere, fused, table, say(problem or f"{READY} {note}"), notices, shown, needs)

    def _shown(self, picture: Picture) -> Image.Image:
        """The shown copy, with the object where it was marked."""
        image, marked = self.engine.shown(picture), self.engine.marked(picture)
        return image if marked is None else draw_marked(image, marked)


def say(text: str, kind: str = "info") -> str:
    """The status line's HTML."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<div class="sc-status sc-{kind}" role="status">{escaped}</div>'


def _target_picture(
    image: Image.Image, visit: Visit, ranked: Ranked, framing: Framing, heat: float, moved: np.ndarray
) -> Image.Image:
    """One target image with heat, ranks, pins, and rings around the matches that alpha has moved."""
    shown = ranked.xy * np.divide(image.size, framing.image_size)
    if visit.active is not None:
        image = overlay_heat(image, ranked.rows[visit.active].cpu().numpy(), framing, heat)
        image = draw_ranks(image, shown[visit.active], COLOURS[visit.active % len(COLOURS)])
    return draw_pins(draw_rings(image, shown[moved, 0]), shown[:, 0], visit.active)


def _on_sphere(sphere: SphereMap, points: np.ndarray) -> np.ndarray:
    """Where original pixels `[N, 2]` lie on the sphere `[N, 3]`; NaN for NaN."""
    there = np.isfinite(points).all(axis=1)
    columns, rows = sphere.framing.to_cell(np.where(there[:, None], points, 0)).T
    vectors = sphere.points.float().cpu().numpy()[:, rows, columns].T.copy()
    vectors[~there] = np.nan
    return vectors


def _marks(picture: Picture) -> dict | None:
    """The marks of the object as an export says them; None without."""
    if picture.marks is None:
        return None
    strokes = [{"inside": stroke.inside, "points": stroke.points} for stroke in picture.strokes]
    return {"box": picture.box, "strokes": strokes}


def _about(pair: tuple[Picture, Picture], controls: Controls) -> dict:
    """What an export says besides the matches."""
    pictures = {
        role: {"name": picture.name, "size": list(picture.size), "mirrored": picture.mirrored, "marks": _marks(picture)}
        for role, picture in zip(("source", "target"), pair, strict=True)
    }
    return {**pictures, "backbone": controls.backbone, "sphere": controls.sphere, "resolution": controls.preset} | {
        "alpha": controls.alpha, "foreground_only": controls.foreground
    }  # fmt: skip

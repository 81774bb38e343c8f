"""The panels "PCA" and "Sphere maps": what features and sphere know of both pictures, as colours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import gradio as gr
from PIL import Image

from spherecorr.ui.engine import Engine
from spherecorr.ui.image_files import served_picture
from spherecorr.ui.page import Page
from spherecorr.ui.session import Controls, Session
from spherecorr.views.pca import pca_pictures
from spherecorr.views.spheremap import sphere_picture

PCA, SPHERE_MAPS = "PCA", "Sphere maps"
Painted = list[Image.Image | None]


def picture_panels(page: Page) -> None:
    """Build both panels."""
    still = partial(gr.Image, interactive=False, buttons=["fullscreen", "download"], min_width=140, format="png")
    for title, label, paint in (
        (PCA, "Joint PCA", paint_pca),
        (SPHERE_MAPS, "x y z as colour", paint_sphere_maps),
    ):
        with gr.Tab(title), gr.Row(elem_classes="sc-pictures"):
            panes = [
                still(label=f"{label} · {role}", alt_text=f"{title} of the {role}") for role in ("source", "target")
            ]
        page.draw(title, partial(_draw, page.engine, paint), panes)


def paint_pca(engine: Engine, session: Session, controls: Controls) -> Painted:
    """The joint PCA of both pictures' features, fitted on, and showing, their objects."""
    pair = session.visit.pair or ()
    maps = [engine.features(picture, controls) for picture in pair]
    masks = [engine.subject(picture, controls).cells for picture in pair]
    return list(pca_pictures(maps, masks, [picture.shown_size for picture in pair]))


def paint_sphere_maps(engine: Engine, session: Session, controls: Controls) -> Painted:
    """The sphere maps of both pictures' objects; None without a sphere."""
    painted: Painted = []
    for picture in session.visit.pair or ():
        sphere, subject = engine.sphere_map(picture, controls), engine.subject(picture, controls)
        painted.append(None if sphere is None else sphere_picture(sphere, subject.cells, picture.shown_size))
    return painted


def _draw(
    engine: Engine, paint: Callable[[Engine, Session, Controls], Painted], session: Session, controls: Controls
) -> list[str | None]:
    """Paths of both pictures; None while features are missing, and where there is nothing to show."""
    visit = session.visit
    if visit.pair is None or not engine.is_ready(visit, controls):
        return [None, None]
    painted = paint(engine, session, controls)
    return [None if picture is None else served_picture(picture, "png") for picture in painted]

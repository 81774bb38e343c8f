"""What the page shows of a visit: the value of the explorer, which its script draws (see `page/`).

The page asks for one drawing at a time, so that none can be overtaken by an older one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from spherecorr.backbones import BACKBONES
from spherecorr.ui.address import Places
from spherecorr.ui.cache import Cache
from spherecorr.ui.engine import Engine
from spherecorr.ui.examples import Example
from spherecorr.ui.failures import sentence
from spherecorr.ui.image_files import served, served_picture
from spherecorr.ui.payload import features_file, surface_file
from spherecorr.ui.session import Controls, Picture, Session, Visit
from spherecorr.views.matches import draw_marked
from spherecorr.views.sphere_plot import sphere_figure, sphere_patches

READY = "Point at a picture to see where a place goes; click to pin it. A target asks the other way round."
COMPUTING = "Computing features …"
NO_POINTS = np.empty((0, 3))
PAIRS_KEPT = 128

Failure = tuple[str, str] | None


class Drawn(NamedTuple):
    """What a drawing puts on the page, in the order of its outputs.

    Attributes:
        shown: the explorer's value.
        needs: what the pictures are computed from, with "missing" behind it where that is to be done.
    """

    shown: Any = gr.skip()
    needs: Any = gr.skip()


class Drawing:
    """Draws the visits of one app; every visit brings its own `Session` and control values."""

    def __init__(self, engine: Engine, examples: Mapping[str, Example], places: Places):
        self.engine, self.examples, self.places = engine, examples, places
        self._written = Cache(PAIRS_KEPT)

    def draw(self, session: Session, *values: Any) -> Drawn:
        """Everything that shows the newest state of the visit."""
        if not session.arrived and session.visit == Visit():
            return Drawn({"forgotten": True})
        with session.lock:
            visit, note, failure, settled = session.visit, session.note, session.failure, session.settled
            session.note, number = None, session.revision
        try:
            shown, needs = self._shown(visit, Controls.of_page(*values), failure, settled)
        except Exception as error:
            shown, needs = {"status": (sentence(error), "warn"), "opening": visit.opening}, gr.skip()
        session.waiting = shown["status"][0] == COMPUTING
        return Drawn({**shown, "note": note, "revision": number}, needs)

    def _shown(self, visit: Visit, controls: Controls, failure: Failure, settled: int) -> tuple[dict, Any]:
        pictures = {"source": visit.source, "target": visit.target}
        shown: dict[str, Any] = {
            "opening": visit.opening,
            "points": visit.points,
            "pictures": {role: picture and self._picture(picture) for role, picture in pictures.items()},
            "example": self._example(visit),
            "about": {"backbone": controls.backbone, "sphere": controls.sphere, "resolution": controls.preset},
        }
        needs = self.engine.needs(visit, controls)
        if visit.pair is None:
            missing = " and a ".join(role for role, picture in pictures.items() if picture is None)
            return {**shown, "status": (f"Drop or upload a {missing} image.", "info")}, needs
        if not self.engine.is_ready(visit, controls):
            if failure and failure[0] == needs:
                return {**shown, "status": (failure[1], "warn")}, gr.skip()
            # The page asks for what is missing when this value changes: once, and again if it was dropped meanwhile.
            return {**shown, "status": (COMPUTING, "busy")}, f"{needs} missing after {settled}"
        mapper, problem = self.engine.sphere(controls)
        for role, files in self._files(visit.pair, needs, controls).items():
            shown["pictures"][role] |= files
        known = BACKBONES.get(controls.backbone)
        shown["sphere"] = mapper and {
            "name": controls.sphere,
            "alpha": mapper.settings.alpha,
            "visible_angle": mapper.settings.visible_angle,
            "symmetric_angle": mapper.settings.symmetric_angle,
            "mirror_angle": mapper.settings.mirror_angle,
        }
        shown |= {"ready": needs, "problem": problem, "notices": self.engine.notices(visit, controls)}
        if mapper and mapper.settings.surface == "sphere":
            shown["globe"] = self._kept(("globe", needs), lambda: self._globe(visit, controls))
        return {**shown, "status": (READY + (f" {known.note}" if known and known.note else ""), "info")}, needs

    def _example(self, visit: Visit) -> str | None:
        """Id of the example whose pictures a visit shows as they are."""
        if visit.pair is None or any(picture.mirrored for picture in visit.pair):
            return None
        paths = [picture.path for picture in visit.pair]
        return next((key for key, e in self.examples.items() if [str(e.source), str(e.target)] == paths), None)

    def _picture(self, picture: Picture) -> dict[str, Any]:
        """A picture's shown copy, with the object where it was marked."""
        image, marked = self.engine.shown(picture), self.engine.marked(picture)
        path = served_picture(image if marked is None else draw_marked(image, marked))
        strokes = [{"inside": stroke.inside, "points": stroke.points} for stroke in picture.strokes]
        return {
            "key": repr(picture.key),
            "name": picture.name,
            "size": picture.size,
            "mirrored": picture.mirrored,
            "marks": None if picture.marks is None else {"box": picture.box, "strokes": strokes},
            "place": self.places.name(picture),
            "picture": path,
        }

    def _files(self, pair: tuple[Picture, Picture], needs: str, controls: Controls) -> dict[str, dict[str, str]]:
        """The binary files from which the script matches the pictures, by role."""

        def write() -> dict[str, dict[str, str]]:
            images = self.engine.joined(*pair, controls)
            subjects = [self.engine.subject(picture, controls).cells for picture in pair]
            return {
                role: {
                    "features": served(features_file(image), "features.bin"),
                    "surface": served(surface_file(image, subject), "surface.bin"),
                }
                for role, image, subject in zip(("source", "target"), images, subjects, strict=True)
            }

        return self._kept(("files", needs), write)

    def _kept(self, key: tuple, write: Callable[[], Any]) -> Any:
        """What was written for a pair, unless Gradio has deleted its files since."""
        found = self._written.get(key, write)
        if all(Path(path).is_file() for path in _paths(found)):
            return found
        self._written.drop(key)
        return self._written.get(key, write)

    def _globe(self, visit: Visit, controls: Controls) -> str:
        """The Plotly figure of the sphere with both images' patches; the script draws points and matches over it."""
        patches = []
        for picture in visit.pair or ():
            sphere, subject = self.engine.sphere_map(picture, controls), self.engine.subject(picture, controls)
            assert sphere is not None
            patches.append(sphere_patches(sphere, self.engine.shown(picture), subject.cells))
        source, target = patches
        return served(sphere_figure(source, target, NO_POINTS, NO_POINTS).to_json().encode(), "sphere.json")


def _paths(found: Any) -> Iterator[str]:
    """All strings in nested dicts, which are paths here."""
    for value in found.values() if isinstance(found, dict) else [found]:
        yield from [value] if isinstance(value, str) else _paths(value)

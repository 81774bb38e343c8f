"""What the page's events do: each changes the visit's session, which makes the page draw.

Where features are missing, a drawing shows what is there, `settle` computes them, and the page draws again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from spherecorr.errors import SpherecorrError
from spherecorr.ui.address import Places
from spherecorr.ui.engine import Engine
from spherecorr.ui.examples import OWN_IMAGES, read_examples
from spherecorr.ui.failures import sentence
from spherecorr.ui.image_files import uploaded
from spherecorr.ui.menus import backbone_choices, sphere_choices
from spherecorr.ui.page import Note, perform
from spherecorr.ui.session import MAX_STROKE_POINTS, Controls, Picture, Session, Visit, checked_points

ROLES = ("source", "target")


class Handlers:
    """The events of one app; every visit brings its own `Session`."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.examples = read_examples(engine.settings.examples)
        self.places = Places(engine.settings.examples)
        self._commands: dict[str, Callable[[Session, Any], Note]] = {
            "upload": self._upload,
            "mark": self._mark,
            "clear-marks": self._clear_marks,
            "swap": self._swap,
            "mirror": self._mirror,
        }

    def arrive(self, session: Session, request: gr.Request) -> tuple[Any, ...]:
        """Open what the address names, else the first example; answers the menus and the session's new revision."""
        asked = dict(request.query_params) if request else {}
        settings = self.engine.settings
        # What is on this machine may have changed since the page was built.
        offered = {"backbone": backbone_choices(settings), "sphere": sphere_choices(settings, asked.get("sphere", ""))}
        menus: list[Any] = []
        for name, choices in offered.items():
            value = {"value": asked[name]} if asked.get(name) in dict(choices).values() else {}
            menus.append(gr.Dropdown(choices=choices, **value))
        resolution = asked.get("resolution")
        menus.append(resolution if resolution in ("fast", "balanced", "fine") else gr.skip())
        example = asked.get("example")
        if example not in self.examples:
            named = "source" in asked or "target" in asked
            example = OWN_IMAGES if named else next(iter(self.examples), OWN_IMAGES)

        def open_named() -> Note:
            session.arrived = True
            if example in self.examples:
                return self.open_example(session, None, example)
            found = {role: self.places.open(asked[role], self.engine) if role in asked else None for role in ROLES}
            session.visit = Visit(found["source"], found["target"])
            return None

        return example, *menus, perform(session, open_named)

    def open_example(self, session: Session, controls: Controls | None, example_id: Any) -> Note:
        """Open an example pair with its points."""
        example = self.examples.get(example_id) if isinstance(example_id, str) else None
        if example is None:
            return "Drop a source and a target image on the pictures, or upload them with the buttons.", "info"
        source, target = self.engine.open(example.source), self.engine.open(example.target)
        session.visit = Visit(source, target, example.points)
        return None

    def command(self, session: Session, view: Any, event: gr.EventData) -> int:
        """Do what the page's script asks for: `event.kind` names it."""
        data = event._data if isinstance(event._data, dict) else {}

        def obey() -> Note:
            kind = data.get("kind")
            if not isinstance(kind, str) or kind not in self._commands:
                raise SpherecorrError("The page asked for something that it cannot do; reload it.")
            return self._commands[kind](session, data)

        return perform(session, obey)

    def chosen(self, example: Any, event: gr.EventData) -> Any:
        """What the menu of examples says after a command: an upload is nobody's example."""
        return OWN_IMAGES if isinstance(event._data, dict) and event._data.get("kind") == "upload" else gr.skip()

    def settle(self, session: Session, *values: Any) -> Any:
        """Compute the features that are missing; answers the session's new revision, or nothing if all are there."""
        visit, needs, failure = session.visit, "", None
        try:
            controls = Controls.of_page(*values)
            needs = self.engine.needs(visit, controls)
            ready = self.engine.is_ready(visit, controls)
            if visit.pair is None or (ready and not session.waiting):  # another visitor may have had them computed
                return gr.skip()
            for picture in visit.pair:
                self.engine.features(picture, controls)
        except Exception as error:
            failure = needs, sentence(error)
        with session.lock:
            session.failure, session.settled = failure, session.settled + 1
            return session.advance()

    def _upload(self, session: Session, event: dict) -> Note:
        """Put an uploaded file in a picture's place; the points belong to the source and go with it."""
        role = _role(event)
        picture = self.engine.open(uploaded(event.get("path")), str(event.get("name") or "image")[:200])
        visit = session.visit
        session.visit = Visit(picture, visit.target) if role == "source" else replace(visit, target=picture)
        return None

    def _mark(self, session: Session, event: dict) -> Note:
        """Mark the object with a box or a stroke, see `segmentation.segment`: `path` in original pixels."""
        role, picture = self._asked(session, event)
        path = checked_path(event.get("path"))
        if event.get("tool") == "box":
            picture = picture.with_box(path[0], path[-1])
        else:
            picture = picture.with_stroke(path, event.get("tool") == "object")
        self.engine.marked(picture)  # raises if the marks tell no object
        visit = session.visit
        session.visit = replace(visit, source=picture) if role == "source" else replace(visit, target=picture)
        return f"The object is marked in the {role}. A further stroke corrects it.", "info"

    def _clear_marks(self, session: Session, event: dict) -> Note:
        """Take the marks of both pictures back; the object is estimated again."""
        visit = session.visit
        source, target = (picture and picture.without_marks() for picture in (visit.source, visit.target))
        session.visit = replace(visit, source=source, target=target)
        return None

    def _swap(self, session: Session, event: dict) -> Note:
        """Exchange the images; `points` are the source's from then on."""
        visit = session.visit
        session.visit = Visit(visit.target, visit.source, checked_points(event.get("points", ())))
        return None

    def _mirror(self, session: Session, event: dict) -> Note:
        """Mirror the target."""
        target = session.visit.target
        if target is None:
            raise SpherecorrError("Upload a target image first.")
        session.visit = replace(session.visit, target=target.mirror())
        return None

    def _asked(self, session: Session, event: dict) -> tuple[str, Picture]:
        """The picture that an event means, if the page still shows it."""
        role = _role(event)
        picture: Picture | None = getattr(session.visit, role)
        if picture is None or event.get("key") != repr(picture.key):
            raise SpherecorrError("The picture has changed meanwhile; mark it again.")
        return role, picture


def checked_path(path: Any) -> tuple[tuple[float, float], ...]:
    """The places of a stroke, or of a box's corners."""
    if not isinstance(path, list) or not 1 <= len(path) <= MAX_STROKE_POINTS:
        raise SpherecorrError(f"A mark is a list of 1 to {MAX_STROKE_POINTS} pairs [x, y].")
    return checked_points(path, MAX_STROKE_POINTS)


def _role(event: dict) -> str:
    role = event.get("role")
    if role not in ROLES:
        raise SpherecorrError("A picture is the source or the target; reload the page.")
    return role

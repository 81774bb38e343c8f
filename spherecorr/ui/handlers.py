"""What the page's events do: each changes the visit's session and answers its new revision, which makes the page draw.

Where features are missing, a drawing shows what is there, `settle` computes them, and the page draws again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import gradio as gr
import numpy as np

from spherecorr.errors import SpherecorrError
from spherecorr.ui.engine import Engine, best_matches
from spherecorr.ui.examples import read_examples
from spherecorr.ui.failures import sentence
from spherecorr.ui.session import Controls, Picture, Session, Visit

OWN_IMAGES = "own"
# The page's target pictures by the kind of match that they show.
TARGETS = {"raw": "raw", "by-sphere": "sphere", "fused": "fused"}

Note = tuple[str, str] | None


def _event(handler: Callable[..., Note]) -> Callable[..., int]:
    """Make a change of the session an event: it waits for its turn and answers the new revision.

    Every error becomes a sentence in the status line, and the visit stays as it was.
    """

    @wraps(handler)
    def event(self: Handlers, session: Session, *args: Any) -> int:
        with session.lock:
            try:
                session.note = handler(self, session, *args)
            except Exception as error:
                session.note = sentence(error), "warn"
                gr.Warning(session.note[0])
            return session.advance()

    return event


class Handlers:
    """The events of one app; every visit brings its own `Session` and control values."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.examples = read_examples(engine.settings.examples)

    @_event
    def open_example(self, session: Session, example_id: str | None) -> Note:
        """Open an example pair with its points."""
        if example_id not in self.examples:
            return "Upload a source and a target image with the buttons below the pictures.", "info"
        example = self.examples[example_id]
        source, target = self.engine.open(example.source), self.engine.open(example.target)
        session.visit = Visit(source, target).with_points(list(example.points))
        return None

    @_event
    def upload_source(self, session: Session, path: str) -> Note:
        """Put an uploaded file in the source's place; the points belonged to the old image and go."""
        session.visit = replace(session.visit, source=self.engine.open(path)).without_points()
        return None

    @_event
    def upload_target(self, session: Session, path: str) -> Note:
        """Put an uploaded file in the target's place; the source's points stay."""
        session.visit = replace(session.visit, target=self.engine.open(path))
        return None

    @_event
    def click(self, session: Session, event: gr.EventData, *values: Any) -> Note:
        """A click on the source adds that point, or makes the clicked pin active; one on a target asks backwards.

        Args:
            session: of the visit.
            event: `pane`, the picture's element id; `key` of what it showed; `x`, `y` in pixels of that copy.
            values: of the controls.
        """
        visit = session.visit
        picture = visit.target if event.pane in TARGETS else visit.source
        if picture is None or event.key != repr(picture.key):
            raise SpherecorrError("The picture has changed meanwhile; click again.")
        x, y = picture.from_shown(np.array([event.x, event.y])).tolist()
        if event.pane not in TARGETS:
            session.visit = visit.with_point((x, y))
            return None
        return self._click_target(session, TARGETS[event.pane], (x, y), Controls(*values))

    @_event
    def mark(self, session: Session, event: gr.EventData) -> Note:
        """Mark the object in the source or target with a box or a stroke; see `segmentation.segment`.

        Args:
            session: of the visit.
            event: `pane` and `key` as in `click`; `kind`, "box", "object" or "background"; `path`, the places (x, y) of
                the pointer in pixels of the shown copy.
        """
        role = "target" if event.pane in TARGETS else "source"
        picture: Picture | None = getattr(session.visit, role)
        if picture is None or event.key != repr(picture.key):
            raise SpherecorrError("The picture has changed meanwhile; mark it again.")
        path = [(x, y) for x, y in picture.from_shown(np.array(event.path, float)).tolist()]
        if event.kind == "box":
            picture = picture.with_box(path[0], path[-1])
        else:
            picture = picture.with_stroke(tuple(path), event.kind == "object")
        self.engine.marked(picture)  # raises if the marks tell no object
        visit = session.visit
        session.visit = replace(visit, source=picture) if role == "source" else replace(visit, target=picture)
        return f"The object is marked in the {role}. A further stroke corrects it.", "info"

    @_event
    def clear_marks(self, session: Session) -> Note:
        """Take the marks of both pictures back; the object is estimated again."""
        visit = session.visit
        source, target = (picture and picture.without_marks() for picture in (visit.source, visit.target))
        session.visit = replace(visit, source=source, target=target)
        return None

    @_event
    def undo(self, session: Session) -> Note:
        """Take the newest point back."""
        session.visit = session.visit.without_last_point()
        return None

    @_event
    def clear(self, session: Session) -> Note:
        """Take all points back."""
        session.visit = session.visit.without_points()
        return None

    @_event
    def swap(self, session: Session, *values: Any) -> Note:
        """Exchange the images; the best matches become the points."""
        controls, visit = Controls(*values), session.visit
        swapped = Visit(visit.target, visit.source)
        if visit.points and visit.pair and self.engine.is_ready(visit, controls):
            result = self.engine.match(*visit.pair, visit.points, controls)
            swapped = swapped.with_points([(x, y) for x, y in best_matches(result).tolist()])
        session.visit = swapped
        return None

    @_event
    def mirror(self, session: Session) -> Note:
        """Mirror the target."""
        target = session.visit.target
        if target is None:
            raise SpherecorrError("Upload a target image first.")
        session.visit = replace(session.visit, target=target.mirror())
        return None

    @_event
    def redraw(self, session: Session) -> Note:
        """Nothing but a new drawing."""
        return None

    def recommended_alpha(self, *values: Any) -> Any:
        """The chosen sphere's alpha for the slider."""
        try:
            mapper, _ = self.engine.sphere(Controls(*values))
        except SpherecorrError:  # the drawing that follows says it
            return gr.skip()
        except Exception as error:
            gr.Warning(sentence(error))
            return gr.skip()
        return gr.skip() if mapper is None else mapper.settings.alpha

    def settle(self, session: Session, *values: Any) -> Any:
        """Compute the features that are missing; answers the session's new revision, or nothing if all are there."""
        visit, needs, failure = session.visit, "", None
        try:
            controls = Controls(*values)
            needs = self.engine.needs(visit, controls)
            if visit.pair is None or self.engine.is_ready(visit, controls):
                return gr.skip()
            for picture in visit.pair:
                self.engine.features(picture, controls)
        except Exception as error:
            failure = needs, sentence(error)
            gr.Warning(failure[1])
        with session.lock:
            session.failure, session.settled = failure, session.settled + 1
            return session.advance()

    def _click_target(self, session: Session, kind: str, clicked: tuple[float, float], controls: Controls) -> Note:
        """Match a point of the "raw", "sphere" or "fused" target backwards and add what is found."""
        visit = session.visit
        if visit.pair is None:
            raise SpherecorrError("Upload a source image first.")
        if not self.engine.is_ready(visit, controls):
            raise SpherecorrError("Features are still being computed; click again in a moment.")
        source, target = visit.pair
        back = getattr(self.engine.match(target, source, [clicked], controls), kind)
        if back is None:
            raise SpherecorrError(self.engine.sphere(controls)[1])
        x, y = back.xy[0, 0].tolist()
        visit = visit.with_point((x, y))
        active = visit.active or 0
        forth = getattr(self.engine.match(source, target, visit.points, controls), kind)
        error = np.linalg.norm(forth.xy[active, 0] - clicked)
        session.visit = visit
        text = f"Point {active + 1} was found backwards from the {kind} target; forwards again it lands"
        return f"{text} {error:.0f} px from the click.", "info"

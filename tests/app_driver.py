"""The app without a browser: its events, called as the page calls them."""

import gradio as gr

from spherecorr.ui.drawing import Drawing
from spherecorr.ui.engine import Engine
from spherecorr.ui.handlers import Handlers
from spherecorr.ui.session import Controls, Session


class App:
    """One app's events, called as the page calls them; the control values go along."""

    def __init__(self, settings):
        self.engine = Engine(settings)
        self.handlers, self.drawing = Handlers(self.engine), Drawing(self.engine)

    def open(self, controls, example="blocks"):
        """The session of a visit that has opened the example, with its features computed."""
        session = Session()
        self.handlers.open_example(session, example)
        self.handlers.settle(session, *values(controls))
        return session

    def click(self, session, controls, x, y, pane="source"):
        """A click on a pixel of the shown copy of what is shown at the moment."""
        shown = session.visit.shown["source" if pane == "source" else "target"]
        event = gr.EventData(None, {"pane": pane, "x": x, "y": y, "key": shown and shown["key"]})
        return self.handlers.click(session, event, *values(controls))

    def mark(self, session, kind, path, pane="source"):
        """A drag over pixels of the shown copy while the panel "Mark the object" is open."""
        shown = session.visit.shown["source" if pane == "source" else "target"]
        return self.handlers.mark(
            session, gr.EventData(None, {"pane": pane, "kind": kind, "path": path, "key": shown and shown["key"]})
        )

    def draw(self, session, controls):
        return self.drawing.draw(session, *values(controls))

    def match(self, session, controls):
        return self.engine.match(*session.visit.pair, session.visit.points, controls)


def values(controls):
    """Control values as the page hands them over."""
    return [getattr(controls, name) for name in Controls.__dataclass_fields__]


def skipped(part):
    """Whether a handler leaves a part of the page as it is."""
    return part == gr.skip()

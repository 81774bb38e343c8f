"""The app without a browser: its events, called as the page calls them."""

import gradio as gr

from spherecorr.ui.drawing import Drawing
from spherecorr.ui.engine import Engine
from spherecorr.ui.handlers import Handlers
from spherecorr.ui.page import perform
from spherecorr.ui.session import Session


class App:
    """One app's events, called as the page calls them; the control values go along."""

    def __init__(self, settings):
        self.engine = Engine(settings)
        self.handlers = Handlers(self.engine)
        self.drawing = Drawing(self.engine, self.handlers.examples, self.handlers.places)

    def open(self, controls, example="blocks"):
        """The session of a visit that has opened the example, with its features computed."""
        session = Session()
        self.choose(session, example)
        self.handlers.settle(session, *values(controls))
        return session

    def choose(self, session, example):
        """Another entry of the menu of examples; answers the new revision."""
        return perform(session, lambda: self.handlers.open_example(session, None, example))

    def do(self, session, kind, **data):
        """A command of the page's script; answers the new revision."""
        return self.handlers.command(session, {}, gr.EventData(None, {"kind": kind, **data}))

    def upload(self, session, role, path):
        """Upload a file, which Gradio has put into its folder."""
        from pathlib import Path

        from spherecorr.ui.image_files import served

        path = Path(path)
        return self.do(session, "upload", role=role, path=served(path.read_bytes(), path.name), name=path.name)

    def mark(self, session, tool, path, role="source"):
        """A drag over original pixels while the panel "Mark the object" is open."""
        picture = getattr(session.visit, role)
        return self.do(session, "mark", role=role, tool=tool, path=path, key=repr(picture.key))

    def draw(self, session, controls):
        """What the explorer shows: its value."""
        return self.drawing.draw(session, *values(controls)).shown

    def needs(self, session, controls):
        """What a drawing asks for."""
        return self.drawing.draw(session, *values(controls)).needs

    def match(self, session, controls):
        """The matches of the points with which the visit was opened."""
        return self.engine.match(*session.visit.pair, session.visit.points, controls)


def values(controls):
    """Control values as the page hands them over."""
    view = {name: getattr(controls, name) for name in ("foreground", "alpha", "ranks", "panel")}
    return controls.backbone, controls.sphere, controls.preset, {**view, "points": [list(p) for p in controls.points]}


def skipped(part):
    """Whether a handler leaves a part of the page as it is."""
    return part == gr.skip()

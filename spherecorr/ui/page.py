"""What a panel of the page is given: the session, the menus, and how to draw and to act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import sentence
from spherecorr.ui.session import Controls, Session

PRIVATE: Any = {"show_progress": "hidden", "api_visibility": "private"}
NEWEST: Any = {"trigger_mode": "always_last", **PRIVATE}
"""One at a time, and once more if there was a trigger meanwhile: no drawing is overtaken by an older one."""

Note = tuple[str, str] | None
"""A sentence for the status line and its kind, "info" or "warn"."""
Action = Callable[..., Note]
Drawer = Callable[[Session, Controls], Any]


@dataclass(frozen=True)
class Page:
    """One page under construction.

    Attributes:
        engine: models, images and features.
        session: of the visit.
        menus: backbone, sphere and resolution.
        view: what the page's script holds, see `Controls.of_page`.
        revision: its change makes the page draw.
        needs: its change says that pictures or features are others now.
        drawings: title, handler and outputs of what `draw` was asked for.
    """

    engine: Engine
    session: gr.State
    menus: tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown]
    view: gr.HTML
    revision: gr.Number
    needs: gr.Textbox
    drawings: list[tuple[str, Drawer, list[Component]]] = field(default_factory=list)

    @property
    def inputs(self) -> list[Component]:
        """Of all events: the session, then what `Controls.of_page` reads."""
        return [self.session, *self.menus, self.view]

    def draw(self, title: str, handler: Drawer, outputs: Component | Sequence[Component]) -> None:
        """Draw a panel while it is open, whenever pictures, features or the view have changed.

        Args:
            title: of the panel's tab.
            handler: answers the outputs' values, one after the other; of a single output, its value.
            outputs: of the panel.
        """
        self.drawings.append((title, handler, list(outputs) if isinstance(outputs, Sequence) else [outputs]))

    def wire(self) -> None:
        """Make one event of all that panels want drawn, when all panels are built."""

        def drawn(session: Session, *values: Any) -> list[Any]:
            answers: list[Any] = []
            for title, handler, outputs in self.drawings:
                found: Any = [gr.skip()] * len(outputs)
                try:
                    controls = Controls.of_page(*values)
                    if controls.panel == title:
                        found = handler(session, controls)
                        found = [found] if len(outputs) == 1 else list(found)
                except Exception as error:
                    gr.Warning(sentence(error))
                answers += found
            return answers

        outputs = [output for _, _, own in self.drawings for output in own]
        gr.on([self.needs.change, self.view.input], drawn, self.inputs, outputs, **NEWEST)

    def act(self, trigger: Callable, action: Action, *inputs: Component, **how: Any) -> gr.events.Dependency:
        """Let an event change the session; the page then draws.

        Args:
            trigger: such as `button.click`.
            action: is given the session, the controls and the inputs' values; its errors become the status line's
                sentence, and the visit stays as it was.
            inputs: of the panel.
            **how: for Gradio's event.
        """
        wired = {**PRIVATE, "trigger_mode": "multiple", "queue": False, **how}
        return trigger(acting(action), [*self.inputs, *inputs], self.revision, **wired)


def acting(action: Action) -> Callable[..., int]:
    """An action as an event: it waits for its turn, and answers the session's new revision."""

    # Not wrapped as the action: Gradio would read its arguments from that.
    def event(session: Session, backbone: Any, sphere: Any, preset: Any, view: Any, *more: Any) -> int:
        return perform(session, lambda: action(session, Controls.of_page(backbone, sphere, preset, view), *more))

    return event


def perform(session: Session, change: Callable[[], Note]) -> int:
    """Change a session when it is its turn; answers its new revision."""
    with session.lock:
        try:
            session.note = change()
        except Exception as error:
            session.note = sentence(error), "warn"
        return session.advance()

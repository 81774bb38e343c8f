"""What a panel knows of the page it stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import sentence
from spherecorr.ui.session import Controls, Session


@dataclass(frozen=True)
class Page:
    """The page as panels see it."""

    engine: Engine
    session: gr.State
    controls: Sequence[Component]
    revision: gr.Number
    changes: Sequence[Callable]

    def draw(self, title: str, handler: Callable, outputs: Any, **options: Any) -> None:
        """Draw whenever something that is shown has changed."""
        gr.on(
            self.changes,
            lambda session, *values: handler(session, Controls(*values)),
            [self.session, *self.controls],
            outputs,
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="always_last",
            **options,
        )

    def act(self, trigger: Callable, handler: Callable, *inputs: Component) -> None:
        """Change the session on an event; the page then draws."""
        count = len(self.controls)

        def event(session: Session, *values: Any) -> int:
            with session.lock:
                try:
                    session.note = handler(session, Controls(*values[:count]), *values[count:])
                except Exception as error:
                    session.note = sentence(error), "warn"
                return session.advance()

        given = [self.session, *self.controls, *inputs]
        trigger(event, given, self.revision, show_progress="hidden", api_visibility="private")

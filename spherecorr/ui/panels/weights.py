"""The panel "Weights": what of the menus is not on this machine, with buttons that fetch it for everybody."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from spherecorr.errors import SpherecorrError
from spherecorr.ui.downloads import Downloads
from spherecorr.ui.failures import sentence
from spherecorr.ui.menus import backbone_choices, sphere_choices
from spherecorr.ui.missing import Missing, missing_of, unwritable_cache
from spherecorr.ui.page import PRIVATE, Page
from spherecorr.ui.settings import AppSettings

HERE = Path(__file__).parent
SECONDS = 0.5
"""Between two looks at the progress, while something is on its way."""
REFUSED = "This server downloads nothing: it was started with --no-downloads."


def weights_panel(page: Page, downloads: Downloads | None = None) -> None:
    """Add the panel to the page's tabs; `downloads` are the app's own by default."""
    weights = Weights(page.engine.settings, downloads or Downloads())
    backbone, sphere, *_ = page.menus
    with gr.Tab("Weights", elem_id="weights-tab") as tab:
        shown = gr.HTML(
            weights.view(),
            html_template=(HERE / "weights.html").read_text(encoding="utf-8"),
            js_on_load=(HERE / "weights.js").read_text(encoding="utf-8"),
            elem_id="weights",
        )
        # Within the tab: beside it they would count as tabs, and the next panel would have two titles.
        clock = gr.Timer(SECONDS, active=False)
        known = gr.State("")
    outputs: Any = [shown, clock, known, backbone, sphere]
    gr.on([tab.select, clock.tick], weights.refresh, [known, sphere], outputs, queue=False, **PRIVATE)
    shown.submit(weights.press, [known, sphere], outputs, queue=False, **PRIVATE)


class Weights:
    """The panel's events; all visitors share the downloads.

    Args:
        settings: of the app.
        downloads: of the app.
    """

    def __init__(self, settings: AppSettings, downloads: Downloads):
        self._settings = settings
        self._downloads = downloads

    def view(self, message: str = "") -> dict:
        """What the panel shows; see weights.js."""
        refusal = self._refusal()
        return {"refusal": refusal, "message": message, "items": [self._item(missing) for missing in self._missing()]}

    def refresh(self, known: str, chosen: str, message: str = "") -> tuple[Any, ...]:
        """The panel, whether to look again soon, and the menus where others are on this machine than the page knows."""
        menus = backbone_choices(self._settings), sphere_choices(self._settings, chosen)  # which may be a visitor's own
        state = repr(menus)
        updates = [gr.skip(), gr.skip()] if state == known else [gr.Dropdown(choices=choices) for choices in menus]
        return self.view(message), gr.Timer(active=self._downloads.is_busy()), state, *updates

    def press(self, known: str, chosen: str, event: gr.EventData) -> tuple[Any, ...]:
        """A button: `event` has an `action`, "start" or "cancel", an item's `key`, and whether terms are `accepted`."""
        message = ""
        try:
            self._act(event._data if isinstance(event._data, dict) else {})
        except Exception as error:
            message = sentence(error)
        return self.refresh(known, chosen, message)

    def _act(self, data: dict) -> None:
        if refusal := self._refusal():
            raise SpherecorrError(refusal)
        item = next((missing for missing in self._missing() if missing.key == data.get("key")), None)
        if item is None:
            raise SpherecorrError("That is here already, or not in the menus; open the panel again.")
        if data.get("action") == "cancel":
            self._downloads.cancel(item.key)
        elif item.how:
            raise SpherecorrError(f"No program can fetch {item.name}. {item.how}.")
        elif item.terms and data.get("accepted") is not True:
            raise SpherecorrError(f"Accept the terms of {item.name} first.")
        else:
            self._downloads.start(item.key, item.arguments, item.bytes)

    def _missing(self) -> list[Missing]:
        return missing_of(self._settings.backbones, self._settings.spheres)

    def _refusal(self) -> str:
        return unwritable_cache() if self._settings.downloads else REFUSED

    def _item(self, missing: Missing) -> dict:
        progress = self._downloads.progress(missing.key)
        if progress is not None and progress.state == "done":  # it has been taken away since
            progress = None
        return {**asdict(missing), "key": missing.key, "progress": progress and asdict(progress)}

"""The explorer: pictures, points and sliders, which the page's script (`page/`) draws and answers by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
import plotly

from spherecorr.matching.readout import MIRROR_MARGIN
from spherecorr.sphere.mapper import FOREGROUND
from spherecorr.ui.session import MAX_POINTS, MAX_STROKE_POINTS
from spherecorr.views.matches import COLOURS, text_colour

HERE = Path(__file__).parent / "page"
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
LOAD = """import(new URL("gradio_api/file={script}", document.baseURI)).then(
  (main) => main.start({{ element, props, trigger, watch, upload, constants: {constants} }}));"""


def explorer() -> tuple[gr.HTML, gr.HTML]:
    """The component whose value is what `Drawing.draw` answers, and the hidden one whose value is the script's view."""
    gr.set_static_paths([HERE, PLOTLY_JS])
    script = LOAD.format(script=HERE / "main.js", constants=json.dumps(constants()))
    shown = gr.HTML(
        {},
        html_template=(HERE / "explorer.html").read_text(encoding="utf-8"),
        js_on_load=script,
        elem_id="explorer",
    )
    view = gr.HTML(
        {},
        html_template="",
        js_on_load="window.spherecorrView = (view, tell) => { props.value = view; if (tell) trigger('input'); };",
        elem_id="view",
    )
    return shown, view


def constants() -> dict:
    """What Python and the script must have alike."""
    turbo = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_TURBO)[0, :, ::-1]
    return {
        "colours": COLOURS,
        "textColours": [text_colour(colour) for colour in COLOURS],
        "heat": turbo.reshape(-1).tolist(),
        "maxPoints": MAX_POINTS,
        "maxStrokePoints": MAX_STROKE_POINTS,
        "foreground": FOREGROUND,
        "mirrorMargin": MIRROR_MARGIN,
        "plotly": str(PLOTLY_JS),
    }


class FreshScripts:
    """ASGI middleware: browsers ask whether a script of the page is still the same, and never mix two versions."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start" and scope.get("path", "").endswith(".js"):
                message["headers"] = [*message["headers"], (b"cache-control", b"no-cache")]
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)

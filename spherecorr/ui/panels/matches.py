"""The panel "Matches": the table, which the page's script fills, and the exports, which it makes."""

from __future__ import annotations

import gradio as gr

TITLE = "Matches"
TABLE = """<div class="sc-table"><table aria-label="Matches of the points"><thead></thead><tbody></tbody></table></div>
<p class="sc-hint sc-none">No points yet. Click a part of the source image.</p>
<div class="sc-export"><span>Export</span> <button type="button" data-export="json">JSON</button>
<button type="button" data-export="csv">CSV</button> <button type="button" data-export="png">PNG</button>
<button type="button" data-export="zip" title="Matches and all pictures">ZIP</button></div>"""


def matches_panel() -> None:
    """Build the panel; it needs nothing of the server."""
    with gr.Tab(TITLE):
        gr.HTML(TABLE, elem_id="table", elem_classes="sc-empty")

"""The panel Methods: what `spherecorr compare` offers, side by side for the pair that the page shows."""

from __future__ import annotations

import io
from base64 import b64encode
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np
from PIL import Image

from spherecorr.pipelines.settings import METHODS
from spherecorr.ui.failures import sentence
from spherecorr.ui.methods import Methods, Row
from spherecorr.ui.page import NEWEST, Page
from spherecorr.ui.session import Controls, Session, Visit
from spherecorr.views.matches import COLOURS, draw_pins, text_colour

TITLE = "Methods"
OF_EXAMPLE = ("the example's category", "")
PICTURE_SIDE, PIN_SIZE = 360, 1.6
PAPERS = {
    "pose-aligned": ("Telling Left from Right", "https://arxiv.org/abs/2311.17034"),
    "sphere": ("Viewpoint-guided spherical maps", "https://arxiv.org/abs/2312.13216"),
    "fused": ("Viewpoint-guided spherical maps", "https://arxiv.org/abs/2312.13216"),
    "asic": ("ASIC", "https://arxiv.org/abs/2303.16201"),
    "deil": ("Dense Equivariant Image Labelling", "https://arxiv.org/abs/1706.02932"),
}
"""As docs/related.md names them."""
HINT = (
    "The methods of <code>spherecorr compare</code>, on the page's features and with the page's settings. "
    "docs/related.md says what each takes from its paper, and what it leaves out."
)
NO_PAIR, NOT_READY = "Methods are compared when both images are there.", "The features are being computed."


def methods_panel(page: Page) -> None:
    """Lay out the panel and wire it."""
    panel = MethodsPanel(Methods(page.engine))
    with gr.Tab(TITLE):
        atlas = gr.Dropdown(
            [OF_EXAMPLE, *((name, name) for name in panel.methods.atlases)],
            value="",
            label="Atlas of asic",
            elem_id="atlas",
            visible=bool(panel.methods.atlases),
        )
        table = gr.HTML(elem_id="methods")
        missing = gr.Textbox(visible="hidden")
    outputs = [table, missing]
    page.draw(TITLE, panel.draw, outputs)

    def drawn(session: Session, *values: Any) -> list[Any]:
        try:
            controls = Controls.of_page(*values)
            if controls.panel == TITLE:
                return panel.draw(session, controls)
        except Exception as error:
            gr.Warning(sentence(error))
        return [gr.skip(), gr.skip()]

    def choose(session: Session, *values: Any) -> list[Any]:
        panel.choose(session, values[-1])
        return drawn(session, *values[:-1])

    def compute(session: Session, *values: Any) -> None:
        try:
            panel.compute(session, Controls.of_page(*values))
        except Exception as error:
            gr.Warning(sentence(error))

    atlas.input(choose, [*page.inputs, atlas], outputs, **NEWEST)
    # What takes long is made after the rest is shown, for one visitor at a time; what is then drawn is the page as it
    # is by then.
    computed = missing.change(compute, page.inputs, None, concurrency_limit=1, **NEWEST)
    computed.then(drawn, page.inputs, outputs, **NEWEST)


class MethodsPanel:
    """Draws the methods of one app for its visits.

    Args:
        methods: of the app.
    """

    def __init__(self, methods: Methods):
        self.methods = methods
        self._atlases: WeakKeyDictionary[Session, str] = WeakKeyDictionary()

    def choose(self, session: Session, atlas: Any) -> None:
        """Take this category's atlas; "" takes the example's."""
        self._atlases[session] = atlas if atlas in self.methods.atlases else ""

    def compute(self, session: Session, controls: Controls) -> None:
        """Make what takes long."""
        visit = session.visit
        if visit.pair is not None and self.methods.engine.is_ready(visit, controls):
            self.methods.compute(visit, controls)

    def draw(self, session: Session, controls: Controls) -> list[str]:
        """The panel's HTML; and what is missing, whose change computes it."""
        visit, engine = session.visit, self.methods.engine
        if visit.pair is None or not engine.is_ready(visit, controls):
            return [f'<p class="sc-hint">{NO_PAIR if visit.pair is None else NOT_READY}</p>', ""]
        rows = self.methods.rows(visit, controls.points, controls, self._atlases.get(session, ""))
        missing = self.methods.missing(visit, controls)
        token = f"{engine.needs(visit, controls)} {' '.join(missing)}" if missing else ""
        return [methods_html(rows, visit, engine.shown(visit.pair[1])), token]


def methods_html(rows: list[Row], visit: Visit, image: Image.Image) -> str:
    """A picture of the target for each method that has matches, and the table of all.

    Args:
        rows: of the methods.
        visit: with both pictures.
        image: the shown copy of the target.
    """
    assert visit.pair is not None
    found = {row.name: row.matches for row in rows if row.matches is not None}
    against = "fused" if "fused" in found else "raw"
    image = image.copy()
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    scale = np.divide(image.size, visit.pair[1].size)
    pictures = "".join(
        _figure(name, draw_pins(image, matches * scale, enlarged=PIN_SIZE)) for name, matches in found.items()
    )
    count = len(found[against]) if against in found else 0
    points = "".join(f'<th scope="col" aria-label="point {i + 1}">{_badge(i)}</th>' for i in range(count))
    head = (
        f'<th scope="col">method</th>{points}<th scope="col" title="To match the points; features and surface maps are '
        'there. As in compare.">time</th><th scope="col">what it decided</th>'
    )
    body = "".join(_row(row, against, found.get(against), count) for row in rows)
    caption = f"Matches in pixels of the target, and how far they lie from the {against} ones:"
    return (
        f'<div class="sc-methods"><p class="sc-hint">{HINT}</p><div class="sc-method-pictures">{pictures}</div>'
        f'<p class="sc-hint">{caption}</p><div class="sc-table" tabindex="0" role="region" aria-label="By method">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></div>"
    )


def _row(row: Row, against: str, others: np.ndarray | None, count: int) -> str:
    title, address = PAPERS.get(row.name, ("", ""))
    label = f'target="_blank" rel="noopener" aria-label="paper: {escape(title)}"'
    paper = f' <a href="{address}" {label}>paper</a>' if address else ""
    idea = METHODS[row.name]
    cells = f'<th scope="row"><b>{row.name}</b><span>{escape(idea[0].upper() + idea[1:])}.{paper}</span></th>'
    if row.matches is None or others is None:
        cells += "<td>–</td>" * (count + 1)
    else:
        apart = np.linalg.norm(row.matches - others, axis=1)
        pixels = np.floor(row.matches + 0.5).astype(int).tolist()  # a half goes up, as in the page's table
        for (x, y), far in zip(pixels, apart.tolist(), strict=True):
            cells += f"<td>{x}, {y}{'' if row.name == against else f'<i>{far:.0f} px</i>'}</td>"
        cells += f"<td>{1000 * row.seconds:.0f} ms</td>"
    return f'<tr>{cells}<td class="sc-said">{escape(row.said)}</td></tr>'


def _figure(name: str, image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=85)
    data = b64encode(buffer.getvalue()).decode()
    size = f'width="{image.width}" height="{image.height}"'
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="Target with the matches by {name}" {size}>'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _badge(i: int) -> str:
    colour = COLOURS[i % len(COLOURS)]
    return f'<b class="sc-badge" style="background:{colour};color:{text_colour(colour)}">{i + 1}</b>'

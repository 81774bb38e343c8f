"""The page: its layout, and which event calls which handler."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from spherecorr.ui.api import add_endpoints
from spherecorr.ui.drawing import Drawing
from spherecorr.ui.engine import Engine
from spherecorr.ui.examples import OWN_IMAGES
from spherecorr.ui.explorer import FreshScripts, explorer
from spherecorr.ui.guard import GuardedBlocks, Refusals
from spherecorr.ui.handlers import Handlers
from spherecorr.ui.image_files import forget_broken_uploads
from spherecorr.ui.menus import backbone_choices, sphere_choices
from spherecorr.ui.page import NEWEST, PRIVATE, Page
from spherecorr.ui.panels.ground_truth import ground_truth_panel
from spherecorr.ui.panels.matches import matches_panel
from spherecorr.ui.panels.methods import methods_panel
from spherecorr.ui.panels.pictures import picture_panels
from spherecorr.ui.panels.teach import teach_panel
from spherecorr.ui.panels.weights import weights_panel
from spherecorr.ui.session import Session
from spherecorr.ui.settings import AppSettings

HERE = Path(__file__).parent
HEADER = """<header class="sc-header"><h1>spherecorr</h1>
<p>Point at a part of the <b>source</b>. Raw features often take a left part for the right one; the <b>sphere</b>, which
knows the viewpoint, tells them apart.</p>
<button type="button" class="sc-icon" data-do="theme" aria-label="Light or dark" title="Light or dark">◐</button>
</header>"""
SPHERE = """<div class="sc-sphere sc-empty"><div class="sc-plot"></div>
<p class="sc-message">The sphere appears here when both images are there.</p>
<p class="sc-caption">● source &nbsp; ◆ target &nbsp; arcs: point → fused match</p></div>"""
PRESETS = [("Fast (448 px)", "fast"), ("Balanced (512-518 px)", "balanced"), ("Fine (768-840 px)", "fine")]
SESSIONS_KEPT = 500
"""Visits that Gradio remembers, also of pages that were closed; each takes about 1 MB of what its panels showed."""
# Nothing is fetched from the internet, fonts included.
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")


def build_demo(settings: AppSettings | None = None) -> gr.Blocks:
    """Build the app; no weights are loaded before a page opens."""
    settings = settings or AppSettings()
    engine = Engine(settings)
    handlers = Handlers(engine)
    drawing = Drawing(engine, handlers.examples, handlers.places)
    with GuardedBlocks(title="spherecorr", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        session = gr.State(Session())
        revision, needs = gr.Number(0, visible="hidden"), gr.Textbox(visible="hidden")
        gr.HTML(HEADER)
        with gr.Row(elem_classes="sc-bar"):
            example = gr.Dropdown(_example_choices(handlers), label="Example", elem_id="example")
            backbone = gr.Dropdown(backbone_choices(settings), label="Backbone", elem_id="backbone")
            sphere = gr.Dropdown(sphere_choices(settings), label="Sphere", elem_id="sphere")
            preset = gr.Dropdown(PRESETS, label="Resolution", elem_id="resolution")
        shown, view = explorer()
        page = Page(engine, session, (backbone, sphere, preset), view, revision, needs)
        with gr.Row(elem_classes="sc-below"):
            with gr.Column(scale=3, min_width=300):
                gr.HTML(SPHERE)
            with gr.Column(scale=7, min_width=320), gr.Tabs(elem_classes="sc-tabs"):
                matches_panel()
                picture_panels(page)
                ground_truth_panel(page, example)
                methods_panel(page)
                weights_panel(page)
                if settings.teach:
                    teach_panel(page)
        page.wire()

        menus = [example, backbone, sphere, preset]
        demo.load(handlers.arrive, session, [*menus, revision], **PRIVATE)
        page.act(example.input, handlers.open_example, example, trigger_mode="always_last")
        shown.apply(handlers.command, [session, view], revision, trigger_mode="multiple", queue=False, **PRIVATE)
        shown.apply(handlers.chosen, example, example, trigger_mode="multiple", queue=False, **PRIVATE)
        changes = [revision.change, *(menu.input for menu in page.menus)]
        gr.on(changes, drawing.draw, page.inputs, [shown, needs], queue=False, **NEWEST)
        needs.change(handlers.settle, page.inputs, revision, trigger_mode="multiple", **PRIVATE)

        add_endpoints(engine)
    return demo.queue(max_size=64, default_concurrency_limit=4)


def launch(
    *,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    settings: AppSettings | None = None,
    demo: gr.Blocks | None = None,
    mcp: bool = False,
    prevent_thread_lock: bool = False,
) -> tuple:
    """Serve the app.

    Args:
        host: address to listen on, "0.0.0.0" for all; by default this machine only, or GRADIO_SERVER_NAME, which a
            Hugging Face Space sets.
        port: by default the first free one from 7860.
        share: also open a public link through Gradio's service.
        settings: what the app offers.
        demo: an app that is built already.
        mcp: also serve the endpoints as tools of the Model Context Protocol.
        prevent_thread_lock: return at once, for tests.

    Returns:
        Gradio's (server, local address, public address).
    """
    forget_broken_uploads()
    demo = demo or build_demo(settings)
    theme = gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        spacing_size="sm",
        text_size="sm",
        font=SYSTEM_FONTS,
        font_mono=("ui-monospace", "monospace"),
    ).set(body_text_color_subdued="*neutral_500")  # the theme's own is too pale to read
    return demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        theme=theme,
        css_paths=[HERE / "page.css", *sorted((HERE / "panels").glob("*.css"))],
        app_kwargs={"middleware": [Middleware(Refusals), Middleware(FreshScripts)]},
        max_file_size="60mb",
        state_session_capacity=SESSIONS_KEPT,
        show_error=True,
        ssr_mode=False,
        mcp_server=mcp or None,
        prevent_thread_lock=prevent_thread_lock,
    )


def _example_choices(handlers: Handlers) -> list[tuple[str, str]]:
    return [(entry.title, key) for key, entry in handlers.examples.items()] + [("Your own images", OWN_IMAGES)]

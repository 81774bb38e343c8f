"""The page: its layout, and which event calls which handler."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import plotly
from gradio.components import Component

from spherecorr.backbones import BACKBONES, weights_available
from spherecorr.ui.api import Api
from spherecorr.ui.drawing import READY, Drawing, say
from spherecorr.ui.engine import AppSettings, Engine
from spherecorr.ui.ground_truth import GroundTruth
from spherecorr.ui.handlers import OWN_IMAGES, Handlers
from spherecorr.ui.image_files import as_files
from spherecorr.ui.panels.teach import teach_panel
from spherecorr.ui.session import NO_SPHERE, Session

HERE = Path(__file__).parent
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
HEADER = """<header class="sc-header"><h1>spherecorr</h1><p>Click a part of the <b>source</b>. Raw features often take a
left part for the right one; the <b>sphere</b>, which knows the viewpoint, tells them apart.</p></header>"""
SPHERE_TEMPLATE = """<div class="sc-sphere"><div class="sc-plot"></div><p class="sc-message"></p>
<p class="sc-caption">● source &nbsp; ◆ target &nbsp; arcs: point → fused match</p></div>"""
PRESETS = [("Fast (448 px)", "fast"), ("Balanced (512-518 px)", "balanced"), ("Fine (768-840 px)", "fine")]
MARKS = [("Draw over the object", "object"), ("Draw over background", "background"), ("Draw a box around it", "box")]
MARK_HINT = '<p class="sc-hint">on the source or a target. Close this panel to add points again.</p>'
QUIET: Any = {"show_progress": "hidden", "api_visibility": "private"}
# Nothing is fetched from the internet, fonts included.
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")


def build_demo(settings: AppSettings | None = None) -> gr.Blocks:
    """Build the app; no weights are loaded before a page opens."""
    settings = settings or AppSettings()
    engine = Engine(settings)
    handlers, drawing = Handlers(engine), Drawing(engine)
    gr.set_static_paths([PLOTLY_JS])
    with gr.Blocks(title="spherecorr", delete_cache=(3600, 86400)) as demo:
        session = gr.State(Session())
        revision, needs = gr.Number(0, visible="hidden"), gr.Textbox(visible="hidden")
        gr.HTML(HEADER)
        with gr.Row(elem_classes="sc-bar"):
            example = gr.Dropdown(_example_choices(handlers), label="Example", elem_id="example")
            backbone = gr.Dropdown(_backbone_choices(settings), label="Backbone", elem_id="backbone")
            sphere = gr.Dropdown(_sphere_choices(settings), label="Sphere", elem_id="sphere")
            preset = gr.Dropdown(PRESETS, label="Resolution", elem_id="resolution")
        with gr.Row(elem_classes="sc-images"):
            still = partial(gr.Image, interactive=False, buttons=["fullscreen", "download"], min_width=140)
            pane = partial(still, format="jpeg")
            source = pane(label="Source · click here", elem_id="source")
            raw = pane(label="Target · raw features", elem_id="raw")
            by_sphere = pane(label="Target · sphere", elem_id="by-sphere")
            fused = pane(label="Target · raw + sphere", elem_id="fused")
        with gr.Row(elem_classes="sc-tools"):
            button = partial(gr.Button, size="sm", min_width=70)
            upload = partial(gr.UploadButton, file_types=["image"], size="sm", min_width=120)
            source_file = upload("⬆ Upload source", elem_id="upload-source")
            target_file = upload("⬆ Upload target", elem_id="upload-target")
            mirror = button("Mirror target", elem_id="mirror")
            swap = button("⇄ Swap", elem_id="swap")
            undo = button("Undo", elem_id="undo")
            clear = button("Clear", elem_id="clear")
            foreground = gr.Checkbox(True, label="Foreground only", elem_id="foreground", container=False)
        with gr.Accordion("Mark the object", open=False, elem_id="mark"), gr.Row(elem_classes="sc-marks"):
            # No event: clicks.js reads the choice when something is drawn.
            gr.Radio(MARKS, value="object", show_label=False, elem_id="mark-kind", container=False, interactive=True)
            gr.HTML(MARK_HINT, elem_id="mark-hint")
            clear_marks = button("Clear marks", elem_id="clear-marks")
        status = gr.HTML(say(READY), elem_id="status")
        notices = gr.HTML(elem_id="notices")
        with gr.Row(elem_classes="sc-below"):
            with gr.Column(scale=3, min_width=300):
                globe = _sphere_component()
            with gr.Column(scale=7, min_width=320):
                with gr.Row(elem_classes="sc-sliders"):
                    alpha = gr.Slider(0, 1, 0.2, step=0.01, label="Alpha: sphere's share", elem_id="alpha")
                    heat = gr.Slider(0, 1, 0, step=0.05, label="Heat map", elem_id="heat")
                    ranks = gr.Slider(1, 10, 1, step=1, label="Ranks shown", elem_id="ranks")
                with gr.Tabs(elem_classes="sc-tabs"):
                    with gr.Tab("Matches"):
                        table = gr.HTML(elem_id="table")
                    small = partial(still, format="png")
                    with gr.Tab("PCA"), gr.Row(elem_classes="sc-pictures"):
                        pca = [small(label=f"Joint PCA · {role}") for role in ("source", "target")]
                    with gr.Tab("Sphere maps"), gr.Row(elem_classes="sc-pictures"):
                        maps = [
                            small(label=f"x y z as colour · {role}", min_width=140) for role in ("source", "target")
                        ]
                    with gr.Tab("KAP") as kap_tab:
                        explained = gr.HTML()
                        kap = gr.Plot(show_label=False, elem_id="kap")
                    if settings.teach:
                        redraw_after: list[Callable] = []
                        teach_panel(engine, backbone, sphere, redraw_after.append)

        controls = [backbone, sphere, preset, foreground, alpha, heat, ranks]
        # What the page shows, for clicks to say what they were meant for; see clicks.js.
        clicks = gr.HTML({}, html_template="", js_on_load=(HERE / "clicks.js").read_text(), elem_id="clicks")
        page = [source, raw, by_sphere, fused, table, status, notices, clicks, needs]

        def on(trigger: Callable, handler: Callable, *inputs: Component, **how: Any) -> gr.events.Dependency:
            """Wire an event that changes the session; the page then draws, because the revision has changed."""
            return trigger(handler, [session, *inputs], revision, **QUIET, **how)

        def advised(trigger: Callable) -> gr.events.Dependency:
            """The slider takes the chosen sphere's alpha, so that what is drawn is drawn with it."""
            return trigger(handlers.recommended_alpha, controls, alpha, **QUIET)

        newest: Any = {"trigger_mode": "always_last"}
        each: Any = {"trigger_mode": "multiple", "queue": False}
        on(advised(demo.load).then, handlers.open_example, example)
        on(example.input, handlers.open_example, example, **newest)
        on(source_file.upload, handlers.upload_source, source_file, **newest)
        on(target_file.upload, handlers.upload_target, target_file, **newest)
        for file in (source_file, target_file):
            file.upload(lambda: OWN_IMAGES, None, example, **QUIET)
        on(clicks.select, handlers.click, *controls, **each)
        on(clicks.apply, handlers.mark, **each)
        on(clear_marks.click, handlers.clear_marks, **each)
        on(undo.click, handlers.undo, **each)
        on(clear.click, handlers.clear, **each)
        on(swap.click, handlers.swap, *controls, **each)
        on(mirror.click, handlers.mirror, **each)
        for menu in (backbone, sphere):
            on(advised(menu.input).then, handlers.redraw)

        if settings.teach:
            on(advised(redraw_after[0]).then, handlers.redraw)

        def draw(triggers: list[Callable], handler: Callable, outputs: Any, **how: Any) -> gr.events.Dependency:
            """Wire what shows the newest state: one at a time, and once more if there was a trigger meanwhile."""
            return gr.on(triggers, handler, [session, *controls], outputs, **newest, **QUIET, **how)

        changes = [revision.change, *(control.input for control in (preset, foreground, alpha, heat, ranks))]
        drawn = draw(changes, as_files(drawing.draw, "jpeg"), page, queue=False)
        drawn.then(drawing.plot, [session, *controls], globe, **newest, **QUIET)
        needs.change(handlers.settle, [session, *controls], revision, trigger_mode="multiple", **QUIET)
        draw([needs.change], as_files(drawing.pictures, "png"), [*pca, *maps, revision])
        truth = GroundTruth(engine, handlers.examples)
        draw([kap_tab.select, needs.change, alpha.release, foreground.input], truth.explain, [kap, explained])

        api = Api(engine)
        gr.api(api.match, api_name="match")
        gr.api(api.features_pca, api_name="features_pca")
    return demo.queue(max_size=64, default_concurrency_limit=4)


def launch(
    *,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    settings: AppSettings | None = None,
    demo: gr.Blocks | None = None,
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
        prevent_thread_lock: return at once, for tests.

    Returns:
        Gradio's (server, local address, public address).
    """
    demo = demo or build_demo(settings)
    theme = gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        spacing_size="sm",
        text_size="sm",
        font=SYSTEM_FONTS,
        font_mono=("ui-monospace", "monospace"),
    )
    return demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        theme=theme,
        css_paths=[HERE / "page.css", HERE / "panels" / "teach.css"],
        max_file_size="60mb",
        show_error=True,
        ssr_mode=False,
        prevent_thread_lock=prevent_thread_lock,
    )


def _example_choices(handlers: Handlers) -> list[tuple[str, str]]:
    return [(entry.title, key) for key, entry in handlers.examples.items()] + [("Your own images", OWN_IMAGES)]


def _backbone_choices(settings: AppSettings) -> list[tuple[str, str]]:
    """Titles with a word on those whose weights are not here."""
    choices = []
    for name in settings.backbones:
        title = BACKBONES[name].title if name in BACKBONES else Path(name).name
        choices.append((title if weights_available(name) else f"{title} · not downloaded", name))
    return choices


def _sphere_choices(settings: AppSettings) -> list[tuple[str, str]]:
    return [(Path(name).name, name) for name in settings.spheres] + [("No sphere", NO_SPHERE)]


def _sphere_component() -> gr.HTML:
    return gr.HTML(
        value={},
        html_template=SPHERE_TEMPLATE,
        js_on_load=(HERE / "sphere.js").read_text(),
        head=f'<script src="gradio_api/file={PLOTLY_JS}"></script>',
        elem_id="globe",
    )

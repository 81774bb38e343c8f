"""The panel "Teach": a person makes a sphere for photographs of their own; what it does is in `ui.teaching`."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from spherecorr.errors import SpherecorrError
from spherecorr.ui.failures import sentence
from spherecorr.ui.image_files import served, uploaded
from spherecorr.ui.menus import sphere_choices
from spherecorr.ui.page import PRIVATE, Page
from spherecorr.ui.session import NO_SPHERE, Controls, Session
from spherecorr.ui.teaching import Teaching
from spherecorr.ui.teaching_files import taught_sphere

TITLE = "Teach"
SCRIPT = Path(__file__).parent / "teach.js"
LOAD = f"""import(new URL("gradio_api/file={SCRIPT}", document.baseURI)).then(
  (panel) => panel.start({{ element, props, trigger, watch, upload, server }}));"""
ACTIONS = {
    "open": ("visit",),
    "remove": ("visit", "key"),
    "forget": ("visit",),
    "turn": ("visit", "key", "azimuth"),
    "call_it": ("visit", "category"),
    "propose": ("visit", "backbone", "sphere"),
    "mark": ("visit", "key", "kind", "path"),
    "unmark": ("visit", "key"),
    "train": ("visit", "backbone", "sphere"),
    "progress": ("visit",),
    "stop": ("visit",),
    "picture": ("visit", "key", "kind"),
}
"""What the page may ask of `Teaching`, and what it sends along."""


def teach_panel(page: Page) -> None:
    """Build the panel; its script asks the server by itself, and its value says which models are chosen."""
    teaching = Teaching(page.engine)
    _, sphere, _ = page.menus

    def teach(call: Any) -> dict[str, Any]:
        try:
            return answer(teaching, call)
        except Exception as error:
            return {"error": sentence(error)}

    def offer(event: gr.EventData) -> Any:
        """Put a visit's sphere into the sphere menu, and choose it if the event says so."""
        data = event._data if isinstance(event._data, dict) else {}
        try:
            name = teaching.sphere(data.get("visit"))
        except SpherecorrError:
            return gr.skip()
        chosen: dict[str, Any] = {"value": name} if data.get("choose") else {}
        return gr.update(choices=sphere_choices(page.engine.settings, name), **chosen)

    gr.set_static_paths([SCRIPT, SCRIPT.with_name("teach_drawing.js")])
    with gr.Tab(TITLE):
        panel = gr.HTML(
            {},
            html_template='<div class="sc-teach"></div>',
            js_on_load=LOAD,
            server_functions=[teach],
            elem_id="teach",
        )
    page.draw(TITLE, partial(_chosen, teaching), panel)
    offered = panel.select(offer, None, sphere, **PRIVATE)
    page.act(offered.then, lambda session, controls: None)  # the page draws with what is chosen now


def _chosen(teaching: Teaching, session: Session, controls: Controls) -> dict[str, str]:
    """What the panel knows of the menus, and what a training would start from."""
    try:
        start = Path(teaching.start(controls.backbone, controls.sphere)).name
    except SpherecorrError:  # asked to train, it says why
        start = NO_SPHERE
    return {"backbone": controls.backbone, "sphere": controls.sphere, "start": start}


def answer(teaching: Teaching, call: Any) -> dict[str, Any]:
    """Do what the page asks for."""
    what = call.get("do") if isinstance(call, dict) else None
    if what == "add":
        return teaching.add(call.get("visit"), uploaded(call.get("path")), str(call.get("name")))
    if what == "download":
        return {"file": _zip(teaching, call.get("visit"))}
    if not isinstance(what, str) or what not in ACTIONS:
        raise SpherecorrError("The page asks for something that is not known here; load it again.")
    return getattr(teaching, what)(*(call.get(name) for name in ACTIONS[what]))


def _zip(teaching: Teaching, visit: Any) -> str:
    """Path of a ZIP file that the page can fetch, with a visit's sphere."""
    name = teaching.sphere(visit)
    folder = taught_sphere(teaching.root, name)
    if folder is None or not folder.is_dir():
        raise SpherecorrError("The sphere is no longer kept here; train again.")
    title = f"{teaching.open(visit)['category']}-sphere"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in ("model.safetensors", "config.json", "README.md"):
            entry = zipfile.ZipInfo(f"{title}/{file}")  # without the time, so that the same sphere is the same file
            archive.writestr(entry, (folder / file).read_bytes())
    return served(buffer.getvalue(), f"{title}.zip")

"""The panel "Teach": a person makes a sphere for photographs of their own; what it does is in `ui.teaching`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic
from spherecorr.identity import digest
from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import sentence
from spherecorr.ui.session import NO_SPHERE
from spherecorr.ui.teaching import Teaching
from spherecorr.ui.teaching_files import taught_sphere

HERE = Path(__file__).parent
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


def teach_panel(engine: Engine, backbone: gr.Dropdown, sphere: gr.Dropdown, redraw: Callable[..., Any]) -> None:
    """Lay the panel out, and wire it to the menus.

    Args:
        engine: of the app.
        backbone: the menu whose choice is taught on.
        sphere: the menu whose choice is the start, and which offers what came of it.
        redraw: is given the trigger after which the page must draw, as another sphere is chosen.
    """
    teaching = Teaching(engine)
    with gr.Tab("Teach"):
        panel = teach_component(teaching)
    chosen = partial(_chosen, teaching)
    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on([backbone.change, sphere.change], chosen, [backbone, sphere], panel, trigger_mode="always_last", **quiet)
    redraw(panel.select(menu_handler(teaching, list(sphere.choices)), None, sphere, **quiet).then)


def _chosen(teaching: Teaching, backbone: str, sphere: str) -> dict[str, str]:
    """What the panel knows of the menus, and what a training would start from."""
    try:
        start = Path(teaching.start(backbone, sphere)).name
    except SpherecorrError:  # asked to train, it says why
        start = NO_SPHERE
    return {"backbone": backbone, "sphere": sphere, "start": start}


def teach_component(teaching: Teaching) -> gr.HTML:
    """The panel's content, which asks the server by itself; its value says which models are chosen."""

    def teach(call: Any) -> dict[str, Any]:
        try:
            return _answer(teaching, call)
        except Exception as error:
            return {"error": sentence(error)}

    script = (HERE.parent / "pen.js").read_text() + (HERE / "teach.js").read_text()
    template = '<div class="sc-teach"></div>'
    return gr.HTML({}, html_template=template, js_on_load=script, server_functions=[teach], elem_id="teach")


def menu_handler(teaching: Teaching, choices: list) -> Callable[[gr.EventData], Any]:
    """What puts a visit's sphere into the sphere menu, and chooses it if the event says so."""

    def offer(event: gr.EventData) -> Any:
        try:
            name, title = teaching.sphere(event.visit)
        except SpherecorrError:
            return gr.skip()
        chosen: dict[str, Any] = {"value": name} if event.choose else {}
        return gr.update(choices=[*choices, (title, name)], **chosen)

    return offer


def _answer(teaching: Teaching, call: Any) -> dict[str, Any]:
    """Do what the page asks for."""
    what = call.get("do") if isinstance(call, dict) else None
    if what == "add":
        return teaching.add(call.get("visit"), _uploaded(call.get("path")), call.get("name"))
    if what == "download":
        return {"file": _zip(teaching, call.get("visit"))}
    if not isinstance(what, str) or what not in ACTIONS:
        raise SpherecorrError("The page asks for something that is not known here; load it again.")
    return getattr(teaching, what)(*(call.get(name) for name in ACTIONS[what]))


def _uploaded(path: Any) -> Path:
    """The path of a file that a page has sent.

    Raises:
        SpherecorrError: it is any other.
    """
    try:
        found = Path(str(path)).resolve()
    except (OSError, ValueError):
        found = Path()
    if not found.is_relative_to(Path(get_upload_folder()).resolve()):
        raise SpherecorrError("The photograph did not arrive; drop it again.")
    return found


def _zip(teaching: Teaching, visit: Any) -> str:
    """Path of a ZIP file, where Gradio serves files, with a visit's sphere."""
    name, _ = teaching.sphere(visit)
    title = f"{teaching.open(visit)['category']}-sphere"
    folder = taught_sphere(teaching.root, name)
    if folder is None or not folder.is_dir():
        raise SpherecorrError("The sphere is no longer kept here; train again.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in ("model.safetensors", "config.json", "README.md"):
            archive.writestr(f"{title}/{file}", (folder / file).read_bytes())
    path = Path(get_upload_folder()) / digest([buffer.getvalue()]) / f"{title}.zip"
    write_atomic(path, buffer.getvalue())
    return str(path)

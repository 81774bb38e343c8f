"""Where hostile inputs are tried, what they are made of, and how they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page_client import PageClient, Refused

SCRIPT = "<img src=x onerror=hacked=1>"
DEEP = 60
LESSONS = (
    "open", "add", "remove", "forget", "turn", "call_it", "propose", "mark", "unmark", "train", "progress", "stop",
    "picture", "download", "__init__",
)  # fmt: skip
VALUES = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e308", "1e-320", "1" + "0" * 400, "-1", "0", "2.5", "true", "false",
    "null", '""', '"x"', '"1"', '"\\u0000"', '"\\ud800"', '"=1+1"', json.dumps(SCRIPT), '"../../etc/passwd"', "[]",
    "[null]", "[[]]", "[[[1, 1]]]", "[[1, 1, 1]]", '[["a", "b"]]', "[[1e400, 1]]", "[NaN, NaN]", "{}",
    '{"x": {"y": []}}',
    '{"path": "/etc/passwd"}', '{"__type__": "update", "value": 1}', "[" * DEEP + "]" * DEEP,
    json.dumps("x" * 100_000), json.dumps([[1, 1]] * 13), json.dumps([1] * 20_000),
]  # fmt: skip
NAMES = [
    "local-dir:/etc", "local-dir:..", "hf-hub:someone/some", "hf_hub:someone/some", "timm/vit_tiny_patch16_224",
    "diffusion:a/b", "../..", "../../etc/passwd", "/etc/passwd", "/etc", ".", "~", "~root", "evil.pth", "/tmp/evil",
    "file:///etc/passwd", "http://127.0.0.1/x", "a/b", "someone/some", "mini+mini", "mini+", "+", "mini\0", "mini ",
    "MINI",
    "none", "own", SCRIPT, "'; DROP TABLE spheres; --", "${HOME}", "%2e%2e%2f", "\\\\host\\share", "con",
    "\u202eexe.png",
    "\ud800", "x" * 5000, "=HYPERLINK(1)", "taught-../../..", "taught-" + "0" * 20, "__class__", "examples.json",
]  # fmt: skip


@dataclass
class Stage:
    """Where inputs are tried.

    Attributes:
        address: of the app.
        spy: address of a server on this machine that no input may reach.
        secret: a picture outside all folders that are served.
        pictures: files of the honest pair.
        spheres: names of the menu that are no sound spheres.
        page: of a visitor; a new one every so often.
    """

    address: str
    spy: str
    secret: Path
    pictures: tuple[bytes, bytes]
    spheres: list[str]
    page: PageClient = field(init=False)
    uploads: list[str] = field(init=False)
    _lesson: str = ""

    def __post_init__(self) -> None:
        self.renew()

    def renew(self, query: str = "") -> PageClient:
        """Open the page anew."""
        config = self.page.config if hasattr(self, "page") else None
        self.page = PageClient(self.address, query, timeout=60, config=config).open()
        self.uploads = [self.page.upload(name, data) for name, data in zip("ab", self.pictures, strict=True)]
        return self.page

    @property
    def files(self) -> list[dict]:
        """The honest pair as endpoints take it."""
        return [self.page.file(path) for path in self.uploads]

    def lesson(self, component: int, function: str) -> str:
        """Name of an honest visit to the panel Teach."""
        if not self._lesson:
            body = server_body(component, function, '{"do": "open"}')
            self._lesson = json.loads(post(self, "/gradio_api/component_server", body))["visit"]
        return self._lesson

    def match(self) -> Any:
        """What an honest call answers."""
        return self.page.call("match", [*self.files, [[140.5, 110.5]], "", "", None, 1, "fast", True])


@dataclass(frozen=True)
class Input:
    """One hostile input.

    Attributes:
        kind: for the table.
        what: that is sent, for the list of faults.
        send: tries it; whatever the server answers is returned or raised as `Refused`.
    """

    kind: str
    what: str
    send: Callable[[Stage], Any]


def server_body(component: int, function: str, text: str) -> str:
    """A call of a component's function as JSON text."""
    return f'{{"data": {text}, "component_id": {component}, "fn_name": "{function}", "session_hash": "x"}}'


def call_with(endpoint: str, names: list[str], honest: dict, changed: dict[str, str]) -> Input:
    """A call of an endpoint with some fields changed, as JSON texts."""

    def send(stage: Stage) -> Any:
        files = dict(zip(("source", "target", "image"), [*stage.files, stage.files[0]], strict=True))
        values = {**honest, **{key: file for key, file in files.items() if key in names}}
        if "points" in names:
            values["points"] = [[140.5, 110.5]]
        texts = [changed.get(name) or json.dumps(values[name]) for name in names]
        return stage.page.call(endpoint.strip("/"), f"[{', '.join(texts)}]")

    return Input("endpoint field", f"{endpoint} {short(changed)}", send)


def private(stage: Stage) -> list[dict]:
    """The page's own events."""
    return [event for event in stage.page.events if event["api_visibility"] == "private"]


def event_body(stage: Stage, event: dict, values: str, data: str) -> str:
    """An event as JSON text."""
    return (
        f'{{"data": {values}, "event_data": {data}, "fn_index": {event["id"]}, "trigger_id": null, '
        f'"session_hash": "{stage.page.session}"}}'
    )


def post(stage: Stage, path: str, body: str) -> Any:
    """Send a JSON text; an error is a refusal."""
    answer = stage.page.http.post(path, content=body.encode("utf-8"), headers={"Content-Type": "application/json"})
    if answer.status_code >= 400:
        raise Refused(answer.text)
    return answer.text


def short(value: Any) -> str:
    """A value for the table."""
    text = ascii(value) if isinstance(value, str) else ascii(json.dumps(value))
    return text if len(text) <= 90 else f"{text[:70]}... ({len(text)} characters)"

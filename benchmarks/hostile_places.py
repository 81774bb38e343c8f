"""Hostile names of models and menus, file payloads, addresses, and requests that no client sends."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hostile_stage import NAMES, Input, Stage, call_with, event_body, post, private, short
from page_client import FILE_META, PageClient


def names(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Names in the menus and in the endpoints' fields."""
    for name in NAMES:
        for menu in ("backbone", "sphere", "example", "resolution"):
            yield Input("menu", f"{menu} {short(name)}", lambda stage, menu=menu, name=name: _choose(stage, menu, name))
        text = json.dumps(name)
        for field_name in ("backbone", "sphere", "resolution"):
            fields = ["source", "target", "points", "backbone", "sphere", "alpha", "k", "resolution", "foreground_only"]
            defaults = dict(zip(fields, [None, None, None, "", "", None, 1, "fast", True], strict=True))
            yield call_with("/match", fields, defaults, {field_name: text})


def _choose(stage: Stage, menu: str, name: str) -> None:
    before = dict(stage.page.values)
    try:
        stage.page.choose(menu, name)
    finally:
        stage.page.values = before


def payloads(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """File payloads that name anything but an upload."""
    paths: list[Any] = [
        str(stage.secret), f"file://{stage.secret}", f"{{uploads}}/../{stage.secret.name}", "{uploads}", "{uploads}/..",
        "{uploads}/%2e%2e/" + stage.secret.name, f"{stage.spy}/a.png", f"{stage.spy}/gradio_api/file={stage.secret}",
        f"{stage.address}/gradio_api/file={stage.secret}", stage.spy.replace("http", "HTTP"), "//127.0.0.1/a.png",
        stage.spy.replace("127.0.0.1", "localhost") + "/a.png", stage.spy.replace("127.0.0.1", "[::1]"),
        f"data:image/png;base64,{'A' * 100}", "/proc/self/environ", "/dev/stdin", "/dev/zero", "", " ", "\0", None, 5,
        ["a"], {"path": "/etc/passwd"},
    ]  # fmt: skip
    for path in paths:
        for extra in ({}, {"url": f"{stage.spy}/b.png"}, {"is_stream": True}, {"meta": None}):
            payload = {"path": path, "meta": FILE_META, **extra}
            for where in ("source", "target") if not extra else ("source",):
                yield _payload(where, payload)
            yield _payload("event", payload)
            yield _payload("upload", payload)


def _payload(where: str, payload: dict) -> Input:
    def send(stage: Stage) -> Any:
        text = json.dumps(payload).replace("{uploads}", str(Path(stage.uploads[0]).parents[1]))
        files = [json.dumps(file) for file in stage.files]
        if where in ("event", "upload"):
            name = "command" if where == "upload" else "draw"
            (event,) = (found for found in private(stage) if found["api_name"] == name)
            values = ", ".join([text] * len(event["inputs"]))
            path = json.dumps(json.loads(text)["path"])
            data = f'{{"kind": "upload", "role": "source", "path": {path}}}'
            stage.page.post_event(event_body(stage, event, f"[{values}]", data), event["queue"])
            pictures = stage.page.shown.get("pictures", {})
            assert str(stage.secret) not in json.dumps(pictures)
            return None
        files[where == "target"] = text
        return stage.page.call("match", f'[{", ".join(files)}, [[10, 10]], "", "", null, 1, "fast", true]')

    return Input("file payload", f"{where} {short(payload)}", send)


def addresses(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """The page's address, and those of files."""
    outside = f"../{stage.secret.name}"
    places = [
        f"uploads/{outside}",
        f"uploads/../../../..{stage.secret}",
        f"examples/{outside}",
        f"examples/{stage.secret}",
    ]
    places += [
        "uploads/../../etc/passwd",
        "examples/",
        "examples",
        "examples/../examples/a.png!mirrored!mirrored",
        "etc/passwd",
    ]
    places += [*(f"uploads/{name}" for name in NAMES), *NAMES]
    for place in places:
        for name in ("source", "target", "example", "backbone", "sphere", "resolution", "points", "alpha"):
            if name in ("source", "example") or rng.random() < 0.2:
                yield _address({name: place})
    for place in places:
        text = quote(place.encode("utf-8", "replace"))
        yield _get(f"/gradio_api/file={text}")
    for path in (str(stage.secret), f"//{stage.secret}", f"{stage.spy}/a.png", "/etc/passwd", "/proc/self/environ"):
        yield _get(f"/gradio_api/file={path}")
        yield _get(f"/gradio_api/file/{path}")
        yield _get(f"/gradio_api/proxy={path}")
        yield _get(f"/static/..%2f..%2f{quote(path, safe='')}")
        yield _get(f"/assets/..%2f..%2f{quote(path, safe='')}")


def _address(asked: dict[str, str]) -> Input:
    query = urlencode({name: value.encode("utf-8", "replace") for name, value in asked.items()})

    def send(stage: Stage) -> Any:
        page = PageClient(stage.address, query, timeout=60, config=stage.page.config)
        try:
            said = page.open().shown
            assert stage.secret.name not in json.dumps(said.get("pictures"))
            return page.http.get(f"/?{query}").status_code
        finally:
            page.close()

    return Input("address", short(query), send)


def _get(path: str) -> Input:
    def send(stage: Stage) -> Any:
        answer = stage.page.http.get(path)
        assert answer.content != stage.secret.read_bytes() and b"root:" not in answer.content, "a file was given away"
        return stage.page._sound(answer).status_code

    return Input("address", short(path), send)


def spheres(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Spheres of the menu whose files no trainer writes."""
    for name in stage.spheres:
        yield Input("sphere file", f"menu {Path(name).name}", lambda stage, name=name: _choose(stage, "sphere", name))
        yield Input(
            "sphere file",
            f"match {Path(name).name}",
            lambda stage, name=name: stage.page.call(
                "match", [*stage.files, [[140.5, 110.5]], "", name, None, 1, "fast", True]
            ),
        )


def requests(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Requests that no client of Gradio's sends."""
    bodies = ["", "{", "[]", "null", '{"data": 5}', '{"data": []}', '{"data": [], "fn_index": 9999}', "\xff",
              '{"data": [], "fn_index": -1, "session_hash": "x"}', '{"data": [], "fn_index": "a", "session_hash": []}',
              '{"data": [], "fn_index": 0, "session_hash": "' + "x" * 10_000 + '"}',
              '{"data": ' + "[" * 3000 + "]" * 3000 + "}"]  # fmt: skip
    for path in ("queue/join", "run/predict", "call/match", "call/nothing", "component_server", "cancel", "reset"):
        for body in bodies:
            yield Input(
                "request",
                f"{path} {short(body)}",
                lambda stage, path=path, body=body: post(stage, f"/gradio_api/{path}", body),
            )
    for name in ("../../x.png", "/etc/x.png", "a" * 400 + ".png", "", "\0.png", ".", "..", "nul"):
        yield Input("request", f"upload as {short(name)}", lambda stage, name=name: stage.page.upload(name, b"x"))

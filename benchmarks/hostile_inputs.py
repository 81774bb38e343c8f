"""At least a thousand hostile inputs from a seed: pictures, values, events, and those of `hostile_places`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import hostile_places as places
from hostile_files import bombs, honest_pictures, mutated, odd_pictures
from hostile_stage import (
    DEEP,
    LESSONS,
    NAMES,
    VALUES,
    Input,
    Stage,
    call_with,
    event_body,
    post,
    private,
    server_body,
    short,
)


def hostile_inputs(stage: Stage, seed: int = 0, a_kind: int | None = None) -> list[Input]:
    """All inputs, in an order of chance.

    Args:
        stage: whose app tells which endpoints, events and menus there are.
        seed: of what is drawn.
        a_kind: so many of each kind, for a quick look.
    """
    rng = random.Random(seed)
    kinds: list[list[Input]] = [
        list(make(stage, rng))
        for make in (
            _pictures, _endpoints, _events, _commands, _views, _servers,
            places.names, places.payloads, places.addresses, places.spheres, places.requests,
        )
    ]  # fmt: skip
    chosen = [
        entry for found in kinds for entry in (found if a_kind is None else rng.sample(found, min(a_kind, len(found))))
    ]
    rng.shuffle(chosen)
    return chosen


# Pictures


def _pictures(stage: Stage, rng: random.Random) -> Iterator[Input]:
    for ending, content in honest_pictures().items():
        for i in range(40):
            yield _picture("mutated picture", f"{i}.{ending}", mutated(content, rng), rng)
    for name, make in bombs().items():
        yield _picture("bomb or side", name, make, rng)
    for name, content in odd_pictures().items():
        yield _picture("odd picture", name, content, rng)
    for name in NAMES:
        if name.isprintable() and len(name) < 200:
            yield _picture("file name", f"{name}.png", stage.pictures[0], rng)


def _picture(kind: str, name: str, content: bytes | Callable[[], bytes], rng: random.Random) -> Input:
    role = rng.choice(["source", "target"])

    def sent() -> bytes:
        return content if isinstance(content, bytes) else content()

    def by_page(stage: Stage) -> Any:
        stage.page.put(role, name, sent())

    def by_program(stage: Stage) -> Any:
        file = stage.page.file(stage.page.upload(name, sent()))
        return stage.page.call("match", [stage.files[0], file, [[140.5, 110.5]], "", "", None, 1, "fast", True])

    return Input(kind, short(name), rng.choice([by_page, by_program]))


# Values


def _endpoints(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Every value in every field of every named endpoint."""
    described = stage.page.http.get("/gradio_api/info").json()["named_endpoints"]
    for endpoint, about in described.items():
        names = [parameter["parameter_name"] for parameter in about["parameters"]]
        honest = {p["parameter_name"]: p.get("parameter_default") for p in about["parameters"]}
        for name in names:
            for value in VALUES if endpoint == "/match" else rng.sample(VALUES, 12):
                yield call_with(endpoint, names, honest, {name: value})
        for count in (0, 1, len(names) + 5):
            yield _plain_call(endpoint, "[" + ", ".join(["1"] * count) + "]")
        for body in ("{}", "null", '"data"', "[" * DEEP + "]" * DEEP):
            yield _plain_call(endpoint, body)


def _plain_call(endpoint: str, data: str) -> Input:
    return Input("endpoint field", f"{endpoint} data: {short(data)}", lambda stage: stage.page.call(endpoint[1:], data))


def _events(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Values in every input, and as the data, of every private event of the page."""
    for event in private(stage):
        for place in (*range(len(event["inputs"])), None):
            for value in rng.sample(VALUES, 5):
                yield _event(event, place, value)
        for texts in ("[]", "[1]", "null", "{}", json.dumps([None] * 50)):
            yield _event(event, -1, texts)


def _event(event: dict, place: int | None, value: str) -> Input:
    def send(stage: Stage) -> Any:
        texts = [json.dumps(stage.page.values[number]) for number in event["inputs"]]
        data = "null"
        if place is None:
            data = value
        elif place >= 0:
            texts[place] = value
        values = value if place == -1 else f"[{', '.join(texts)}]"
        return stage.page.post_event(event_body(stage, event, values, data), event["queue"])

    return Input("page event", f"{event['api_name']} {event['id']} input {place}: {short(value)}", send)


def _commands(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Values in every field of every command of the page's script, see `Handlers.command`."""
    kinds = ("upload", "mark", "clear-marks", "swap", "mirror", "arrive", "__init__")
    for kind in kinds:
        for name in ("role", "path", "name", "tool", "key", "points"):
            for value in rng.sample(VALUES, 4):
                yield _command(kind, name, value)
    for path in NAMES:
        yield _command("upload", "path", json.dumps(path))
    for value in VALUES:
        yield _command("mark", "path", value)


def _command(kind: str, name: str, value: str) -> Input:
    def send(stage: Stage) -> Any:
        (event,) = (found for found in private(stage) if found["api_name"] == "command")
        key = (stage.page.shown.get("pictures", {}).get("source") or {}).get("key")
        honest = {
            "kind": kind, "role": "source", "path": [[10, 10], [90, 90]] if kind == "mark" else stage.uploads[0],
            "tool": "object", "key": key, "points": [],
        }  # fmt: skip
        texts = {**{field: json.dumps(entry) for field, entry in honest.items()}, name: value}
        data = "{" + ", ".join(f'"{field}": {text}' for field, text in texts.items()) + "}"
        stage.page.post_event(event_body(stage, event, "[null, null]", data), event["queue"])
        stage.page.look()

    return Input("command", f"{kind} {name}: {short(value)}", send)


def _views(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Values in every field of what the page's script says of itself, while each panel is open."""
    titles = [c["props"].get("label") for c in stage.page.config["components"] if c["type"] == "tabitem"]
    for title in titles:
        for name in ("alpha", "ranks", "points", "foreground", "panel", "unknown"):
            for value in rng.sample(VALUES, 3):
                yield _view(title, name, value)
    for value in VALUES:
        yield _view("PCA", "points", value)


def _view(title: str, name: str, value: str) -> Input:
    def send(stage: Stage) -> Any:
        texts = {"panel": json.dumps(title), "points": "[[140.5, 110.5]]", name: value}
        view = "{" + ", ".join(f'"{key}": {text}' for key, text in texts.items()) + "}"
        number = stage.page._named["view"]
        for event in stage.page._listening(number, "input"):
            inputs = [view if entry == number else json.dumps(stage.page.values[entry]) for entry in event["inputs"]]
            stage.page.post_event(event_body(stage, event, f"[{', '.join(inputs)}]", "null"), event["queue"])

    return Input("view", f"{title}: {name} = {short(value)}", send)


def _servers(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Values for the functions that scripts of components call on the server by themselves, as the panel Teach does."""
    for component in stage.page.config["components"]:
        for function in component["props"].get("server_fns") or []:
            for value in VALUES:
                yield _server(component["id"], function, value)
            for action in LESSONS:
                for name in ("visit", "key", "path", "name", "azimuth", "category", "kind", "backbone", "sphere"):
                    for value in rng.sample(VALUES, 2):
                        yield _server(component["id"], function, value, action, name)
            for name in NAMES:
                yield _server(component["id"], function, json.dumps(name), "add", "path")
                yield _server(
                    component["id"], function, json.dumps(name), "picture", rng.choice(["visit", "key", "kind"])
                )


def _server(component: int, function: str, value: str, action: str = "", name: str = "") -> Input:
    def send(stage: Stage) -> Any:
        text = value
        if action:
            honest = {
                "do": action,
                "path": stage.uploads[0] if action == "add" else [[10, 10], [90, 90]],
                "kind": "box",
            }
            if name != "visit":
                honest["visit"] = stage.lesson(component, function)
            texts = {**{key: json.dumps(entry) for key, entry in honest.items()}, name: value}
            text = "{" + ", ".join(f'"{key}": {entry}' for key, entry in texts.items()) + "}"
        return post(stage, "/gradio_api/component_server", server_body(component, function, text))

    return Input("server function", f"{function} {action} {name}: {short(value)}", send)

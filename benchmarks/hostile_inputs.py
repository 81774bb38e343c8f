"""At least a thousand hostile inputs from a seed, each a function of the `Stage` on which it is tried."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hostile_files import bombs, honest_pictures, mutated, odd_pictures
from page_client import FILE_META, PageClient, Refused

SCRIPT = "<img src=x onerror=hacked=1>"
DEEP = 60
VALUES = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e308", "1e-320", "1" + "0" * 400, "-1", "0", "2.5", "true", "false",
    "null", '""', '"x"', '"1"', '"\\u0000"', '"\\ud800"', '"=1+1"', json.dumps(SCRIPT), '"../../etc/passwd"', "[]",
    "[null]", "[[]]", "[[[1, 1]]]", "[[1, 1, 1]]", '[["a", "b"]]', "[[1e400, 1]]", "[NaN, NaN]", "{}", '{"x": {"y": []}}',
    '{"path": "/etc/passwd"}', '{"__type__": "update", "value": 1}', "[" * DEEP + "]" * DEEP,
    json.dumps("x" * 100_000), json.dumps([[1, 1]] * 13), json.dumps([1] * 20_000),
]  # fmt: skip
NAMES = [
    "local-dir:/etc", "local-dir:..", "hf-hub:someone/some", "hf_hub:someone/some", "timm/vit_tiny_patch16_224",
    "diffusion:a/b", "../..", "../../etc/passwd", "/etc/passwd", "/etc", ".", "~", "~root", "evil.pth", "/tmp/evil.pth",
    "file:///etc/passwd", "http://127.0.0.1/x", "a/b", "someone/some", "mini+mini", "mini+", "+", "mini\0", "mini ", "MINI",
    "none", "own", SCRIPT, "'; DROP TABLE spheres; --", "${HOME}", "%2e%2e%2f", "\\\\host\\share", "con", "\u202eexe.png",
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


def hostile_inputs(stage: Stage, seed: int = 0, a_kind: int | None = None) -> list[Input]:
    """All inputs, in an order of chance.

    Args:
        stage: whose app tells which endpoints, events and menus there are.
        seed: of what is drawn.
        a_kind: so many of each kind, for a quick look.
    """
    rng = random.Random(seed)
    kinds: list[list[Input]] = [
        list(make(stage, rng)) for make in (_pictures, _endpoints, _events, _commands, _views, _servers, _names,
                                            _payloads, _addresses, _spheres, _requests)
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

    return Input(kind, _short(name), rng.choice([by_page, by_program]))


# Values


def _endpoints(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Every value in every field of every named endpoint."""
    described = stage.page.http.get("/gradio_api/info").json()["named_endpoints"]
    for endpoint, about in described.items():
        names = [parameter["parameter_name"] for parameter in about["parameters"]]
        honest = {p["parameter_name"]: p.get("parameter_default") for p in about["parameters"]}
        for name in names:
            for value in VALUES if endpoint == "/match" else rng.sample(VALUES, 12):
                yield _call(endpoint, names, honest, {name: value})
        for count in (0, 1, len(names) + 5):
            yield _plain_call(endpoint, "[" + ", ".join(["1"] * count) + "]")
        for body in ("{}", "null", '"data"', "[" * DEEP + "]" * DEEP):
            yield _plain_call(endpoint, body)


def _call(endpoint: str, names: list[str], honest: dict, changed: dict[str, str]) -> Input:
    def send(stage: Stage) -> Any:
        files = dict(zip(("source", "target", "image"), [*stage.files, stage.files[0]], strict=True))
        values = {**honest, **{key: file for key, file in files.items() if key in names}}
        if "points" in names:
            values["points"] = [[140.5, 110.5]]
        texts = [changed.get(name) or json.dumps(values[name]) for name in names]
        return stage.page.call(endpoint.strip("/"), f"[{', '.join(texts)}]")

    return Input("endpoint field", f"{endpoint} {_short(changed)}", send)


def _plain_call(endpoint: str, data: str) -> Input:
    return Input(
        "endpoint field", f"{endpoint} data: {_short(data)}", lambda stage: stage.page.call(endpoint[1:], data)
    )


def _events(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Values in every input, and as the data, of every private event of the page."""
    for event in _private(stage):
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
        return stage.page.post_event(_body(stage, event, values, data), event["queue"])

    return Input("page event", f"{event['api_name']} {event['id']} input {place}: {_short(value)}", send)


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
        (event,) = (found for found in _private(stage) if found["api_name"] == "command")
        key = (stage.page.shown.get("pictures", {}).get("source") or {}).get("key")
        honest = {
            "kind": kind, "role": "source", "path": [[10, 10], [90, 90]] if kind == "mark" else stage.uploads[0],
            "tool": "object", "key": key, "points": [],
        }  # fmt: skip
        texts = {**{field: json.dumps(entry) for field, entry in honest.items()}, name: value}
        data = "{" + ", ".join(f'"{field}": {text}' for field, text in texts.items()) + "}"
        stage.page.post_event(_body(stage, event, "[null, null]", data), event["queue"])
        stage.page.look()

    return Input("command", f"{kind} {name}: {_short(value)}", send)


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
            stage.page.post_event(_body(stage, event, f"[{', '.join(inputs)}]", "null"), event["queue"])

    return Input("view", f"{title}: {name} = {_short(value)}", send)


def _servers(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Values for the functions that scripts of components call on the server by themselves."""
    for component in stage.page.config["components"]:
        for function in component["props"].get("server_fns") or []:
            actions = (
                "open",
                "add",
                "remove",
                "turn",
                "call_it",
                "propose",
                "mark",
                "train",
                "picture",
                "download",
                "stop",
            )
            texts = [*VALUES, *(_action(action, rng) for action in actions for _ in range(6))]
            for text in texts:
                yield _server(component["id"], function, text)


def _action(action: str, rng: random.Random) -> str:
    fields = {name: rng.choice(VALUES) for name in ("visit", "key", "path", "name", "azimuth", "category", "kind")}
    return f'{{"do": "{action}", ' + ", ".join(f'"{name}": {text}' for name, text in fields.items()) + "}"


def _server(component: int, function: str, text: str) -> Input:
    def send(stage: Stage) -> Any:
        body = f'{{"data": {text}, "component_id": {component}, "fn_name": "{function}", "session_hash": "x"}}'
        return _post(stage, "/gradio_api/component_server", body)

    return Input("server function", f"{function}: {_short(text)}", send)


# Names and places


def _names(stage: Stage, rng: random.Random) -> Iterator[Input]:
    for name in NAMES:
        for menu in ("backbone", "sphere", "example", "resolution"):
            yield Input(
                "menu", f"{menu} {_short(name)}", lambda stage, menu=menu, name=name: _choose(stage, menu, name)
            )
        text = json.dumps(name)
        for field_name in ("backbone", "sphere", "resolution"):
            names = ["source", "target", "points", "backbone", "sphere", "alpha", "k", "resolution", "foreground_only"]
            defaults = dict(zip(names, [None, None, None, "", "", None, 1, "fast", True], strict=True))
            yield _call("/match", names, defaults, {field_name: text})


def _choose(stage: Stage, menu: str, name: str) -> None:
    before = dict(stage.page.values)
    try:
        stage.page.choose(menu, name)
    finally:
        stage.page.values = before


def _payloads(stage: Stage, rng: random.Random) -> Iterator[Input]:
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
            (event,) = (found for found in _private(stage) if found["api_name"] == name)
            values = ", ".join([text] * len(event["inputs"]))
            path = json.dumps(json.loads(text)["path"])
            data = f'{{"kind": "upload", "role": "source", "path": {path}}}'
            stage.page.post_event(_body(stage, event, f"[{values}]", data), event["queue"])
            pictures = stage.page.shown.get("pictures", {})
            assert str(stage.secret) not in json.dumps(pictures)
            return None
        files[where == "target"] = text
        return stage.page.call("match", f'[{", ".join(files)}, [[10, 10]], "", "", null, 1, "fast", true]')

    return Input("file payload", f"{where} {_short(payload)}", send)


def _addresses(stage: Stage, rng: random.Random) -> Iterator[Input]:
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
    places += ["uploads/\0", "uploads/.", *NAMES]
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

    return Input("address", _short(query), send)


def _get(path: str) -> Input:
    def send(stage: Stage) -> Any:
        answer = stage.page.http.get(path)
        assert answer.content != stage.secret.read_bytes() and b"root:" not in answer.content, "a file was given away"
        return stage.page._sound(answer).status_code

    return Input("address", _short(path), send)


def _spheres(stage: Stage, rng: random.Random) -> Iterator[Input]:
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


def _requests(stage: Stage, rng: random.Random) -> Iterator[Input]:
    """Requests that no client of Gradio's sends."""
    bodies = ["", "{", "[]", "null", '{"data": 5}', '{"data": []}', '{"data": [], "fn_index": 9999}', "\xff",
              '{"data": [], "fn_index": -1, "session_hash": "x"}', '{"data": [], "fn_index": "a", "session_hash": []}',
              '{"data": [], "fn_index": 0, "session_hash": "' + "x" * 10_000 + '"}', '{"data": ' + "[" * 3000 + "]" * 3000 + "}"]  # fmt: skip
    for path in ("queue/join", "run/predict", "call/match", "call/nothing", "component_server", "cancel", "reset"):
        for body in bodies:
            yield Input(
                "request",
                f"{path} {_short(body)}",
                lambda stage, path=path, body=body: _post(stage, f"/gradio_api/{path}", body),
            )
    for name in ("../../x.png", "/etc/x.png", "a" * 400 + ".png", "", "\0.png", ".", "..", "nul"):
        yield Input("request", f"upload as {_short(name)}", lambda stage, name=name: stage.page.upload(name, b"x"))


def _private(stage: Stage) -> list[dict]:
    return [event for event in stage.page.events if event["api_visibility"] == "private"]


def _body(stage: Stage, event: dict, values: str, data: str) -> str:
    return (
        f'{{"data": {values}, "event_data": {data}, "fn_index": {event["id"]}, "trigger_id": null, '
        f'"session_hash": "{stage.page.session}"}}'
    )


def _post(stage: Stage, path: str, body: str) -> Any:
    answer = stage.page.http.post(path, content=body.encode("utf-8"), headers={"Content-Type": "application/json"})
    if answer.status_code >= 400:
        raise Refused(answer.text)
    return answer.text


def _short(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) else ascii(json.dumps(value))
    return text if len(text) <= 90 else f"{text[:70]}... ({len(text)} characters)"

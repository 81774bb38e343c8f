"""One visitor's page without a browser, for scripts and tests: Gradio's HTTP protocol as the page's script speaks it.

The client keeps the components' values, sends events with the values of their inputs, takes the answers in, and fires
what follows from them (a `change`, a `.then`) until nothing follows.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

FILE_META = {"_type": "gradio.FileData"}
MOST_FOLLOWING = 40
"""Events that may follow from one; more are a circle."""


class Refused(Exception):
    """The server's answer to an event that it did not do; the message is what a person reads."""


class PageClient:
    """A page that is open at an address.

    Args:
        address: of the app, such as http://127.0.0.1:7860.
        query: of the page's address, without the question mark.
        timeout: seconds for one answer.
        config: of the app, where it is known already.
    """

    def __init__(self, address: str, query: str = "", timeout: float = 120, config: dict | None = None):
        self.address, self.query = address.rstrip("/"), query
        self.session = secrets.token_hex(6)
        self.http = httpx.Client(base_url=self.address, timeout=timeout)
        self.config: dict = config or self._sound(self.http.get("/config")).json()
        self.events: list[dict] = self.config["dependencies"]
        self.values = {component["id"]: component["props"].get("value") for component in self.config["components"]}
        self._named = {c["props"]["elem_id"]: c["id"] for c in self.config["components"] if c["props"].get("elem_id")}

    def open(self) -> PageClient:
        """Load the page, as a browser does; returns itself."""
        for event in self.events:
            if any(name == "load" for _, name in event["targets"]):
                self.send(event)
        return self

    def close(self) -> None:
        """Leave."""
        self.http.close()

    # What a person does

    def choose(self, menu: str, value: Any) -> None:
        """Take another entry of a menu, by the menu's `elem_id`."""
        self.values[self._named[menu]] = value
        self.trigger(menu, "input")

    def look(self, **view: Any) -> None:
        """Change alpha, points, the open panel and what else the page's script holds, and tell the server."""
        self.values[self._named["view"]] = {**(self.values[self._named["view"]] or {}), **view}
        self.trigger("view", "input")

    def ask(self, kind: str, **more: Any) -> None:
        """Send a command of the page's script."""
        self.trigger("explorer", "apply", {"kind": kind, **more})

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file; returns its path on the server."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        return self._sound(answer).json()[0]

    def put(self, role: str, name: str, content: bytes) -> None:
        """Upload a picture into a pane."""
        self.ask("upload", role=role, path=self.upload(name, content), name=name)

    def mark(self, role: str, tool: str, path: list) -> None:
        """Draw a box or a stroke over a picture, in its original pixels."""
        self.ask("mark", role=role, tool=tool, path=path, key=self.shown["pictures"][role]["key"])

    def swap_pictures(self) -> None:
        """Exchange the pictures, with one point."""
        self.ask("swap", points=[[10, 10]])

    # What a person sees

    @property
    def shown(self) -> dict:
        """What the explorer was last told."""
        return self.values[self._named["explorer"]] or {}

    @property
    def said(self) -> str:
        """The status line."""
        return (self.shown.get("note") or self.shown.get("status") or [""])[0]

    def fetch(self, path: str) -> bytes:
        """A file that the server names."""
        return self._sound(self.http.get(f"/gradio_api/file={path}")).content

    def panels(self) -> dict[str, Any]:
        """Values of all components that drawings fill, by their number."""
        (drawn,) = (event for event in self.events if event["api_name"] == "drawn")
        return {str(number): self.values[number] for number in drawn["outputs"]}

    # Events

    def trigger(self, name: str, event: str, data: Any = None) -> None:
        """Fire an event of a component, with all that follows from it."""
        component = self._named[name]
        for found in self._listening(component, event):
            self.send(found, data, component)

    def send(self, event: dict, data: Any = None, component: int | None = None, depth: int = 0) -> None:
        """Send an event with its inputs' values, take in the answer, and fire what follows.

        Raises:
            Refused: the server did not do it.
        """
        if depth > MOST_FOLLOWING:
            raise RuntimeError("The page's events follow each other without end.")
        answer = self.raw(event, [self.values[number] for number in event["inputs"]], data, component)
        following = []
        for number, value in zip(event["outputs"], answer, strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                if "value" not in value:
                    continue
                value = value["value"]
            if value != self.values[number]:
                self.values[number] = value
                following += self._listening(number, "change")
        following += [found for found in self.events if found.get("trigger_after") == event["id"]]
        for found in {found["id"]: found for found in following}.values():
            self.send(found, None, None, depth + 1)

    def raw(self, event: dict, values: list, data: Any = None, component: int | None = None) -> list:
        """Send an event with any values; returns those of its outputs, and changes nothing here."""
        body = {
            "data": values,
            "event_data": data,
            "fn_index": event["id"],
            "trigger_id": component,
            "session_hash": self.session,
        }
        return self.post_event(json.dumps(body), event["queue"])

    def post_event(self, body: str, queue: bool) -> list:
        """Send an event as JSON text."""
        headers = {"Content-Type": "application/json"}
        where = "queue/join" if queue else "run/predict"
        answer = self.http.post(f"/gradio_api/{where}?{self.query}", content=body, headers=headers)
        if not queue:
            return self._sound(answer).json()["data"]
        number = self._sound(answer).json()["event_id"]
        for message in self._stream(f"/gradio_api/queue/data?session_hash={self.session}"):
            if message["msg"] == "process_completed" and message["event_id"] == number:
                if not message["success"]:
                    raise Refused(message["output"].get("error") or "")
                return message["output"]["data"]
        raise Refused("The server ended the connection.")

    def call(self, endpoint: str, arguments: list | str) -> Any:
        """Call a named endpoint as curl does; returns the first of its values.

        Args:
            endpoint: such as "match".
            arguments: a list, or its JSON text.
        """
        data = arguments if isinstance(arguments, str) else json.dumps(arguments)
        headers = {"Content-Type": "application/json"}
        url = f"/gradio_api/call/{endpoint}"
        number = self._sound(self.http.post(url, content=f'{{"data": {data}}}', headers=headers)).json()["event_id"]
        ended, answer = None, None
        with self.http.stream("GET", f"{url}/{number}") as lines:
            for line in lines.iter_lines():
                if line.startswith("event: "):
                    ended = line.removeprefix("event: ")
                elif line.startswith("data: ") and ended in ("complete", "error"):
                    answer = json.loads(line.removeprefix("data: "))
        if ended != "complete":
            raise Refused((answer or {}).get("error") or "")
        return answer[0]

    def file(self, path: str | Path) -> dict:
        """An uploaded file as endpoints take it."""
        return {"path": str(path), "meta": FILE_META}

    def _listening(self, component: int, event: str) -> list[dict]:
        return [found for found in self.events if [component, event] in [list(target) for target in found["targets"]]]

    def _stream(self, url: str) -> Iterator[dict]:
        with self.http.stream("GET", url) as lines:
            for line in lines.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def _sound(self, answer: httpx.Response) -> httpx.Response:
        """An answer that is no error."""
        if answer.status_code < 400:
            return answer
        try:
            said = answer.json()
        except ValueError:
            said = {"error": answer.text}
        raise Refused(str(said.get("error") or said.get("detail") or said) if isinstance(said, dict) else str(said))

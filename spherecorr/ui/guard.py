"""What stands between the network and every event, the page's own included, which anybody can send.

Gradio fetches a file payload's address from the internet, of any length, before a handler is called. Here an event gets
files that were uploaded to this app, and no others; and an error, whatever it is, becomes one sentence.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.components.api_component import Api as ApiInput
from gradio.route_utils import FnIndexInferError
from starlette.responses import JSONResponse

from spherecorr.errors import SpherecorrError
from spherecorr.ui.failures import sentence
from spherecorr.ui.image_files import forget_broken_uploads, uploaded

FILE_ROUTE = "/gradio_api/file="
NAMED_CALLS = "/gradio_api/call/"
FILE_META = {"_type": "gradio.FileData"}
MAX_DEPTH = 16
LONGEST_PATH, MOST_NUMBER = 1000, 1e15
MOST_SAID = 300
"""Characters of a refusal by Gradio, which repeats what it was sent."""
MISFIT = "The page sent values that it does not have; reload it."
NOT_UNDERSTOOD = "This app knows no such request."
NO_ENDPOINT = "There is no such endpoint, or it has other fields; see docs/api.md."
NOT_KEPT = "The server cannot keep the file ({reason}). Try again later."
MISTAKEN: tuple[type[Exception], ...] = (
    FnIndexInferError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    OSError,
)
"""What Gradio raises on requests that no client of its own sends, and on a full disk."""

log = logging.getLogger(__name__)


class GuardedBlocks(gr.Blocks):
    """Blocks whose events get no files but uploaded ones, and whose errors tell nothing of the program's inside."""

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """See `gr.Blocks`; the sentence of any error reaches the caller, a fault of the program is in the log."""
        try:
            if (event := kwargs.get("event_data")) is not None:
                checked(event._data)
            return await super().process_api(*args, **kwargs)
        except gr.Error as error:  # Gradio's own refusals, which it would print with their traces
            raise gr.Error(_short(str(error.message)), print_exception=False) from error
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from error

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """See `gr.Blocks`; files of elsewhere, and values that a component does not take, are refused.

        Endpoints of `gr.api` may be given fewer values than they have: the last ones take their defaults.
        """
        if all(isinstance(block, ApiInput) for block in block_fn.inputs):
            inputs = [*inputs, *(block.value for block in block_fn.inputs[len(inputs) :])]
        inputs = [checked(value) for value in inputs]
        if not all(map(_fits, block_fn.inputs, inputs)):
            raise SpherecorrError(MISFIT)
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except Exception as error:  # nothing of the program has run yet
            raise SpherecorrError(MISFIT) from error


class Refusals:
    """ASGI middleware: what Gradio fails on before it calls an event is answered in a sentence and logged in a line."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        began = False

        async def sending(message: Any) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except MISTAKEN as error:
            if scope["type"] != "http" or began:
                raise
            log.warning("Refused %s %s (%s)", scope["method"], ascii(scope["path"])[:200], type(error).__name__)
            if isinstance(error, OSError):
                forget_broken_uploads()
                answer = JSONResponse({"error": NOT_KEPT.format(reason=error.strerror or "no reason given")}, 507)
            else:
                said = NO_ENDPOINT if NAMED_CALLS in scope["path"] else NOT_UNDERSTOOD
                answer = JSONResponse({"error": said}, 400)
            await answer(scope, receive, send)


def checked(value: Any, depth: int = 0) -> Any:
    """A value of an event with its file payloads reduced to what was uploaded.

    Raises:
        SpherecorrError: a file of elsewhere, too deep a nesting, or what no system takes for a path.
    """
    if depth > MAX_DEPTH:
        raise SpherecorrError(f"A value is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, dict):
        if "path" in value and "meta" in value:
            return _reduced(value)
        if isinstance(path := value.get("path"), str) and not _may_be_path(path):  # Gradio asks the system for it
            raise SpherecorrError(MISFIT)
        return {key: checked(entry, depth + 1) for key, entry in value.items()}
    return [checked(entry, depth + 1) for entry in value] if isinstance(value, list) else value


def _fits(block: Any, value: Any) -> bool:
    """Whether a component's script sends such a value; Gradio lets others pass."""
    if isinstance(block, gr.Dropdown) and not block.multiselect:
        return value is None or isinstance(value, str)
    if isinstance(block, gr.Slider | gr.Number):
        return isinstance(value, int | float) and abs(value) < MOST_NUMBER  # which no NaN is
    return True


def _may_be_path(text: str) -> bool:
    return len(text) <= LONGEST_PATH and text.isprintable()


def upload_path(file: Any) -> Path:
    """Path of a file payload.

    An address under which this app serves an upload, as Gradio's helper for MCP gives them, stands for that upload,
    whatever host it names: nothing is fetched.

    Raises:
        SpherecorrError: it is no file that was uploaded to this app.
    """
    path = file.get("path") if isinstance(file, dict) else None
    return uploaded(_served_path(path) if isinstance(path, str) and path.startswith(("http://", "https://")) else path)


def _served_path(address: str) -> str | None:
    """The path in the address of a file that this app serves."""
    try:
        route = urlsplit(address).path
    except ValueError:
        return None
    return unquote(route.partition(FILE_ROUTE)[2]) or None  # what stands before is the app's place on its host


def _reduced(payload: dict[str, Any]) -> dict[str, Any]:
    """A file payload with nothing but what was uploaded, and its names."""
    path = upload_path(payload if payload["meta"] == FILE_META else None)
    names = {key: payload.get(key) for key in ("orig_name", "mime_type")}
    return {"path": str(path), "meta": FILE_META} | {key: name for key, name in names.items() if isinstance(name, str)}


def _short(text: str) -> str:
    """In one line that can be read."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_SAID else f"{line[:MOST_SAID]} ..."

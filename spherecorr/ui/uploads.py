"""What stands between the network and every event, the page's own included, which anybody can send.

Gradio fetches a file payload's address from the internet, of any length, before a handler is called. Here an event gets
files that were uploaded to this app, and no others; and an error, whatever it is, becomes one sentence.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.components.api_component import Api as ApiInput
from gradio.utils import get_upload_folder, is_in_or_equal

from spherecorr.errors import SpherecorrError
from spherecorr.ui.failures import sentence

FILE_ROUTE = "/gradio_api/file="
FILE_META = {"_type": "gradio.FileData"}
MAX_DEPTH = 16
HOW_TO_SEND = "Send images as uploaded files, in Python with gradio_client's handle_file(path)."


class UploadError(SpherecorrError):
    """What came with an event is refused; the message says what to send."""


class GuardedBlocks(gr.Blocks):
    """Blocks whose events get no files but uploaded ones, and whose errors tell nothing of the program's inside."""

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """See `gr.Blocks`; the sentence of any error reaches the caller, a fault of the program is in the log."""
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from error

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """See `gr.Blocks`; files of elsewhere, and values nested beyond all use, are refused.

        Endpoints of `gr.api` may be given fewer values than they have: the last ones take their defaults.
        """
        if all(isinstance(block, ApiInput) for block in block_fn.inputs):
            inputs = [*inputs, *(block.value for block in block_fn.inputs[len(inputs) :])]
        return await super().preprocess_data(block_fn, [checked(value) for value in inputs], state, explicit_call)


def checked(value: Any, depth: int = 0) -> Any:
    """A value of an event with its file payloads reduced to what was uploaded.

    Raises:
        UploadError: a file of elsewhere, or too deep a nesting.
    """
    if depth > MAX_DEPTH:
        raise UploadError(f"A value is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, dict):
        if "path" in value and "meta" in value:
            return _uploaded(value)
        return {key: checked(entry, depth + 1) for key, entry in value.items()}
    return [checked(entry, depth + 1) for entry in value] if isinstance(value, list) else value


def upload_path(file: Any) -> str | None:
    """Path of a file that was uploaded to this app; None for any other payload.

    An address under which this app serves an upload, as Gradio's helper for MCP gives them, stands for that upload,
    whatever host it names: nothing is fetched.
    """
    path = file.get("path") if isinstance(file, dict) else None
    if not isinstance(path, str) or "\0" in path:
        return None
    if path.startswith(("http://", "https://")):
        route = _route(path)
        if not route.startswith(FILE_ROUTE):
            return None
        path = unquote(route.removeprefix(FILE_ROUTE))
    # A path is what the caller claims.
    return path if "\0" not in path and is_in_or_equal(path, get_upload_folder()) else None


def _route(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _uploaded(payload: dict[str, Any]) -> dict[str, Any]:
    path = upload_path(payload)
    if path is None or payload["meta"] != FILE_META:
        raise UploadError(HOW_TO_SEND)
    names = {key: payload.get(key) for key in ("orig_name", "mime_type")}
    return {"path": path, "meta": FILE_META} | {key: name for key, name in names.items() if isinstance(name, str)}

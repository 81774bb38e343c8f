"""The page's pictures as files in Gradio's folder."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any

from gradio.utils import get_upload_folder
from PIL import Image

from spherecorr.files import write_atomic
from spherecorr.identity import digest

_writing = Lock()


def as_files(handler: Callable[..., Any], format: str) -> Callable[..., list[Any]]:
    """The handler with paths of image files in place of the pictures that it returns.

    Given a picture, Gradio writes its file anew each time, and a browser that is reading the same picture's file just
    then gets half of it. Here a file is named by its content and written once.

    Args:
        handler: returns a sequence of values, some of them PIL images.
        format: "jpeg" or "png".
    """

    @wraps(handler)
    def with_files(*args: Any) -> list[Any]:
        return [_file(value, format) if isinstance(value, Image.Image) else value for value in handler(*args)]

    return with_files


def _file(image: Image.Image, format: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format)
    path = Path(get_upload_folder()) / digest([buffer.getvalue()]) / f"image.{format}"
    with _writing:
        if path.is_file():
            path.touch()  # Gradio deletes files by age
        else:
            write_atomic(path, buffer.getvalue())
    return str(path)

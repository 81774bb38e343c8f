"""Files in Gradio's folder: what the page fetches, named by its content, and what a visitor has uploaded."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from gradio.utils import get_upload_folder, is_in_or_equal
from PIL import Image

from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic
from spherecorr.identity import digest

JPEG_QUALITY = 85
BROKEN_AFTER = 600
"""Seconds without a new byte after which an upload has ended."""
_writing = Lock()


def forget_broken_uploads() -> None:
    """Delete what uploads that ended in their middle have left: Gradio keeps it for ever."""
    for path in Path(get_upload_folder()).glob("tmp*"):  # whole ones lie in folders of their own
        with suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > BROKEN_AFTER:
                path.unlink()


def served(data: bytes, name: str) -> str:
    """Path of a file that the page can fetch; written once, so that nobody who is reading it gets half of it."""
    path = Path(get_upload_folder()) / digest([data]) / name
    with _writing:
        if path.is_file():
            path.touch()  # Gradio deletes files by age
        else:
            write_atomic(path, data)
    return str(path)


def served_picture(image: Image.Image, format: str = "jpeg") -> str:
    """Path of a picture's file that the page can fetch; `format` is "jpeg" or "png"."""
    buffer = io.BytesIO()
    image.save(buffer, format, quality=JPEG_QUALITY) if format == "jpeg" else image.save(buffer, format)
    return served(buffer.getvalue(), f"image.{format}")


def is_inside(path: str, folder: str) -> bool:
    """Whether a path that somebody claims lies in a folder; False for what no system takes for a path."""
    try:
        return is_in_or_equal(path, folder)
    except (ValueError, OSError):
        return False


def uploaded(path: Any) -> Path:
    """A file that a visitor has uploaded to this app.

    Raises:
        SpherecorrError: the path is what a program claims, and no uploaded file lies there.
    """
    if not isinstance(path, str) or not is_inside(path, get_upload_folder()):
        raise SpherecorrError("Send images as uploaded files, in Python with gradio_client's handle_file(path).")
    return Path(path)

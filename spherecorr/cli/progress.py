"""How far a download is, for people or for the app."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spherecorr.transfer import Report

INTERVAL = 0.2
"""Seconds between two lines."""


def add_progress(parser: argparse.ArgumentParser) -> None:
    """How a download's progress is told; JSON is for the app, which starts downloads as processes of their own."""
    parser.add_argument("--progress", choices=("bars", "json"), default="bars", help=argparse.SUPPRESS)


@contextmanager
def reporting(progress: str) -> Iterator[Report]:
    """Bars, or at most a few lines a second on stdout: `{"file": name, "done": bytes, "total": bytes or null}`."""
    from spherecorr.transfer import byte_bars

    if progress == "bars":
        with byte_bars() as report:
            yield report
        return
    said = 0.0

    def say(name: str, done: int, total: int | None) -> None:
        nonlocal said
        if done == total or time.monotonic() - said > INTERVAL:
            said = time.monotonic()
            print(json.dumps({"file": name, "done": done, "total": total}), flush=True)

    yield say

"""The training of a visit, in a process of its own; `trainings` starts it with a pipe as its standard input.

It reads task.json and writes progress.json and maps/. It ends at the next step, with a checkpoint, when its standard
input does: because a person pressed Stop, or because the server is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spherecorr.errors import SpherecorrError
from spherecorr.features import SphereMap
from spherecorr.files import write_atomic
from spherecorr.geometry import average_over_cells
from spherecorr.pipelines.cards import answers
from spherecorr.pipelines.common import Item
from spherecorr.pipelines.held_out import MIRRORED
from spherecorr.pipelines.recipes import TeachRecipe
from spherecorr.pipelines.teach import Taught, TeachStep, teach
from spherecorr.training.settings import LossWeights
from spherecorr.ui.teaching_files import encoded, mask_path, publish, read_lesson, read_progress
from spherecorr.views.spheremap import sphere_picture

PICTURE = 240  # px, long side of a sphere map's picture
EVERY = 0.3  # seconds between two reports


class _Ended(SpherecorrError):
    """The input has ended before the first step."""


class Report:
    """Tells how far the training in a folder is.

    Args:
        folder: of the visit.
        ended: set when the training is to end.
    """

    def __init__(self, folder: Path, ended: threading.Event):
        self.folder, self.ended = folder, ended
        begun: dict[str, Any] = {"losses": [], **(read_progress(folder) or {})}
        self.values = {**begun, "state": "running", "what": "Loading the models", "step": 0}
        self.began: tuple[float, int] | None = None
        self.last = 0.0

    def write(self, **changes: Any) -> None:
        """Say something new, at once."""
        self.values |= changes
        self.last = time.monotonic()
        write_atomic(self.folder / "progress.json", json.dumps(self.values).encode())

    def progress(self, title: str, items: Sequence[Item]) -> Iterable[Item]:
        """A `pipelines.common.Progress`."""
        for place, item in enumerate(items):
            if self.ended.is_set():
                raise _Ended
            self.write(what=f"{title.capitalize()}: {place + 1} of {len(items)}")
            yield item

    def step(self, step: TeachStep) -> bool:
        """A `pipelines.teach.OnTeach`."""
        if step.maps is not None:
            self._show("before" if step.step == 0 else "now", step.maps)
            self.write(shown=step.step, keys=[_key(name) for name in step.maps if not name.endswith(MIRRORED)])
        if step.step:
            losses = [line for line in self.values["losses"] if line[0] < step.step]
            self.values["losses"] = [*losses, *([[step.step, dict(step.losses)]] if step.losses else [])]
        if step.step:
            now = time.monotonic()
            self.began = self.began or (now, step.step)
            since, done = now - self.began[0], step.step - self.began[1]
            left = round(since / done * (step.steps - step.step)) if done else None
            self.values |= {"what": "Training", "step": step.step, "steps": step.steps, "left": left}
            if now - self.last > EVERY:
                self.write()
        return not self.ended.is_set()

    def finish(self, taught: Taught, sphere: str, steps: int) -> None:
        """Say what came of it."""
        errors: dict[str, Any] = {"before": taught.before, "after": taught.after}
        told = {name: None if found is None else asdict(answers(found)) for name, found in errors.items()}
        own = {
            name: found and {_key(k): v for k, v in found.items() if MIRRORED not in k}
            for name, found in errors.items()
        }
        state = "done" if taught.steps == steps else "stopped"
        self.write(
            state=state, what="", left=None, step=taught.steps, steps=steps, sphere=sphere, errors=told, each=own,
            taught=len(taught.photographs), asked=len(taught.after),
        )  # fmt: skip

    def _show(self, when: str, maps: dict[str, SphereMap] | Any) -> None:
        """Paint the maps of the photographs themselves, on their objects."""
        for name, found in maps.items():
            if name.endswith(MIRRORED):
                continue
            with Image.open(mask_path(self.folder, _key(name))) as file:
                mask = np.asarray(file) > 127
            object_cells = average_over_cells(mask, found.framing) > 0.5
            height, width = mask.shape
            scale = PICTURE / max(width, height)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            picture = sphere_picture(found, object_cells, size)
            write_atomic(self.folder / "maps" / f"{when}-{_key(name)}.png", encoded(picture, "PNG"))


def _key(name: str) -> str:
    """The photograph's key, which ends the record's id."""
    return name.rpartition("-")[2]


def run(folder: Path, ended: threading.Event) -> None:
    """Train as task.json says."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    recipe = TeachRecipe(**{**task["recipe"], "weights": LossWeights(**task["recipe"]["weights"])})
    report = Report(folder, ended)
    report.write()
    try:
        taught = teach(
            folder / "photographs", folder / "sphere", backbone=task["backbone"], start=task["start"], recipe=recipe,
            device=task["device"], on_step=report.step, progress=report.progress,
        )  # fmt: skip
        sphere = publish(folder.parent.parent, folder / "sphere", task["start"], read_lesson(folder).category)
        report.finish(taught, sphere, recipe.steps)
    except _Ended:
        report.write(state="stopped", what="")
    except SpherecorrError as error:
        report.write(state="failed", what="", sentence=str(error))


def main() -> None:
    """Train in the folder of the first argument until the input ends."""
    if hasattr(os, "nice"):
        os.nice(5)  # clicks come first
    ended = threading.Event()

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin, whose buffer may not be read while Python exits
            pass
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    run(Path(sys.argv[1]), ended)


if __name__ == "__main__":
    main()

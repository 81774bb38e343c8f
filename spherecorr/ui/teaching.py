"""Teaching a sphere from the page, without the page: what a person says of photographs is kept, outlines are proposed.

Every method takes the name of the visit, which the browser keeps; what it changes lies in that visit's folder when it
returns, so that a reload, or another server on the same folder, shows the same.
"""

from __future__ import annotations

import base64
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock, RLock
from typing import Any

from spherecorr.errors import SpherecorrError
from spherecorr.images import load_image
from spherecorr.pipelines.recipes import TeachRecipe
from spherecorr.proposals import propose_mask
from spherecorr.segmentation import Stroke, segment
from spherecorr.ui.engine import Engine
from spherecorr.ui.session import MAX_STROKE_POINTS, NO_SPHERE, Controls, checked_points
from spherecorr.ui.teaching_files import (
    CATEGORY,
    DAYS_KEPT,
    MOST_FILE_BYTES,
    MOST_PHOTOGRAPHS,
    MOST_STROKES,
    Lesson,
    add_photograph,
    box_around,
    check_room,
    image_path,
    new_visit,
    read_config,
    read_lesson,
    read_progress,
    remove_photograph,
    taught_sphere,
    touch,
    visit_folder,
    write_lesson,
    write_mask,
    write_viewpoints,
)
from spherecorr.ui.trainings import Trainings

AZIMUTHS = (None, 0, 45, 90, 135, 180, 225, 270, 315)
WAITS_FOR_END = "Stop the training first; the photographs are being read."

View = dict[str, Any]


class Teaching:
    """What the panel "Teach" asks of the server; safe for threads.

    Args:
        engine: whose backbones and spheres there are; its settings say where the folder is.
    """

    def __init__(self, engine: Engine):
        self.engine, self.root = engine, engine.settings.teach_folder
        self.trainings = Trainings()
        self._locks: defaultdict[Path, RLock] = defaultdict(RLock)
        self._computing = Lock()  # one photograph at a time is opened or outlined, whoever asks

    def open(self, visit: Any = None) -> View:
        """All that the page shows; a visit that is not there any more, or never was, begins anew."""
        try:
            folder = visit_folder(self.root, visit)
        except SpherecorrError:
            visit = None
        if visit is None or not folder.is_dir():
            visit = new_visit()
            folder = visit_folder(self.root, visit)
        touch(folder)
        lesson, training = read_lesson(folder), self.trainings.view(folder)
        if training and training.get("sphere") and (sphere := taught_sphere(self.root, training["sphere"])):
            touch(sphere)
        shown = "key", "name", "size", "azimuth", "outline", "marked"
        photographs = [{name: getattr(photograph, name) for name in shown} for photograph in lesson.photographs]
        return {
            "visit": visit, "category": lesson.category, "photographs": photographs, "training": training,
            "most": MOST_PHOTOGRAPHS, "bytes": MOST_FILE_BYTES, "days": DAYS_KEPT,
            "fewest": 4 * self.recipe(NO_SPHERE).fewest,
        }  # fmt: skip

    def add(self, visit: Any, path: Path, name: str) -> View:
        """Add a photograph from a file of this machine that the visitor sent.

        Raises:
            SpherecorrError: it cannot be used, see `teaching_files.add_photograph`.
        """
        folder = visit_folder(self.root, visit)
        with self._locks[folder], self._computing:
            if not folder.is_dir():
                check_room(self.root)
            write_lesson(folder, add_photograph(folder, read_lesson(folder), path, _short(name)))
        return self.open(visit)

    def remove(self, visit: Any, key: Any) -> View:
        """Forget a photograph."""
        return self._change(visit, lambda folder, lesson: remove_photograph(folder, lesson, key), at_rest=True)

    def forget(self, visit: Any) -> View:
        """Delete all that this visit has brought; a sphere that came of it stays in the menu until it is old."""
        folder = visit_folder(self.root, visit)
        with self._locks[folder]:
            self._check_rest(folder)
            shutil.rmtree(folder, ignore_errors=True)
        return self.open()

    def turn(self, visit: Any, key: Any, azimuth: Any) -> View:
        """Say from which side a photograph shows its object; None: not known."""
        if azimuth not in AZIMUTHS or isinstance(azimuth, bool):
            raise SpherecorrError("A direction is one of eight, in steps of 45 degrees.")
        azimuth = None if azimuth is None else int(azimuth)
        return self._change(visit, lambda _, lesson: lesson.changed(key, azimuth=azimuth))

    def call_it(self, visit: Any, category: Any) -> View:
        """Name the kind of object.

        Raises:
            SpherecorrError: the name is empty, too long, or has other signs than letters, digits, spaces and hyphens.
        """
        name = category.strip() if isinstance(category, str) else ""
        if not CATEGORY.fullmatch(name):
            raise SpherecorrError("Name the kind with letters, digits, spaces or hyphens, at most 40 of them.")
        return self._change(visit, lambda _, lesson: replace(lesson, category=name))

    def propose(self, visit: Any, backbone: Any, sphere: Any) -> View:
        """Outline the object of the first photograph that has no outline yet; nothing while another one is outlined."""
        folder = visit_folder(self.root, visit)
        if not self._computing.acquire(blocking=False):  # else those who wait would hold the threads that answer clicks
            return self.open(visit)
        try:
            waiting = [photograph for photograph in read_lesson(folder).photographs if photograph.outline is None]
            if not waiting:
                return self.open(visit)
            key = waiting[0].key
            picture = load_image(image_path(folder, key))
            controls = Controls(str(backbone), str(sphere))
            mapper, _ = self.engine.sphere(controls)
            resolution = mapper.settings.resolution if mapper else None
            mask = propose_mask(picture, self.engine.backbone(controls)(picture, resolution=resolution), mapper)
        finally:
            self._computing.release()

        def keep(folder: Path, lesson: Lesson) -> Lesson:
            if all(p.key != key or p.outline is not None for p in lesson.photographs):
                return lesson  # removed, or drawn by hand meanwhile
            return lesson.changed(key, outline=write_mask(folder, key, mask))

        return self._change(visit, keep)

    def mark(self, visit: Any, key: Any, kind: Any, path: Any) -> View:
        """Paint the object anew.

        Args:
            visit: its name.
            key: of the photograph.
            kind: "box", with two opposite corners; "object" or "background", with a stroke over it.
            path: points (x, y) in pixels of the kept copy.

        Raises:
            SpherecorrError: no such mark, or one that tells no object, see `segmentation.segment`; nothing is changed.
        """
        points = checked_points(path, MAX_STROKE_POINTS)
        if not points:
            raise SpherecorrError("A mark has at least one point.")

        def paint(folder: Path, lesson: Lesson) -> Lesson:
            photograph = lesson.find(key)
            if kind == "box":
                (x0, x1), (y0, y1) = (sorted(ends) for ends in zip(points[0], points[-1], strict=True))
                photograph = replace(photograph, box=(x0, y0, x1, y1))
            elif kind in ("object", "background"):
                if len(photograph.strokes) == MOST_STROKES:
                    raise SpherecorrError(f"There are {MOST_STROKES} strokes already. Propose the outline again first.")
                strokes = (*photograph.strokes, Stroke(points, kind == "object"))
                photograph = replace(photograph, strokes=strokes)
            else:
                raise SpherecorrError("A mark is a box, or a stroke over the object or the background.")
            box = photograph.box
            if box is None and not any(stroke.inside for stroke in photograph.strokes):
                box = box_around(photograph.outline, photograph.size)
            mask = segment(load_image(image_path(folder, photograph.key)), box, photograph.strokes)
            outline = write_mask(folder, photograph.key, mask)
            return lesson.changed(key, box=photograph.box, strokes=photograph.strokes, outline=outline)

        return self._change(visit, paint)

    def unmark(self, visit: Any, key: Any) -> View:
        """Take the marks of a photograph back, and its outline, which is to be proposed again."""
        return self._change(visit, lambda _, lesson: lesson.changed(key, box=None, strokes=(), outline=None))

    def train(self, visit: Any, backbone: Any, sphere: Any) -> View:
        """Start the training, or queue it behind another's; one that was stopped goes on if nothing has changed.

        Raises:
            SpherecorrError: something is missing; the message says what.
        """
        folder = visit_folder(self.root, visit)
        with self._locks[folder]:
            lesson = read_lesson(folder)
            self._check_complete(lesson)
            self._check_rest(folder)
            start = self.start(str(backbone), str(sphere))
            task = {"backbone": str(backbone), "start": start, "device": self.engine.settings.device}
            write_viewpoints(folder, lesson)
            self.trainings.start(folder, {**task, "recipe": asdict(self.recipe(start))})
        return self.open(visit)

    def start(self, backbone: str, sphere: str) -> str:
        """What a training starts from: the chosen sphere, or "none" where it does not read the backbone's features.

        In place of one that was taught here it is what that one started from. Photographs that it was taught with could
        else be asked as if they had been held out, and a training that was stopped would not go on.

        Raises:
            SpherecorrError: the backbone or the sphere is not in the menu, or not here.
        """
        if folder := taught_sphere(self.root, sphere):
            began = read_config(folder).get("start")
            sphere = next((name for name in self.engine.settings.spheres if Path(name).name == began), NO_SPHERE)
        controls = Controls(backbone, sphere)
        self.engine.backbone(controls)
        return NO_SPHERE if self.engine.sphere(controls)[0] is None else sphere

    def recipe(self, start: str) -> TeachRecipe:
        """How the photographs teach, from a sphere or from "none"."""
        settings = self.engine.settings
        return settings.teach_from_nothing if start == NO_SPHERE else settings.teach_recipe

    def progress(self, visit: Any) -> View:
        """How far the training is, alone: `{"training": ...}`."""
        return {"training": self.trainings.view(visit_folder(self.root, visit))}

    def stop(self, visit: Any) -> View:
        """End the training at its next step, with a checkpoint; one that waits is taken out of the queue."""
        self.trainings.stop(visit_folder(self.root, visit))
        return self.progress(visit)

    def picture(self, visit: Any, key: Any, kind: Any = "photograph") -> View:
        """A picture as the address of its data: "photograph", or a sphere map from "before" or "now"."""
        folder = visit_folder(self.root, visit)
        key = read_lesson(folder).find(key).key
        path = image_path(folder, key)
        if kind in ("before", "now"):
            path = folder / "maps" / f"{kind}-{key}.png"
        if not path.is_file():
            raise SpherecorrError("That picture is not there.")
        what = "png" if path.suffix == ".png" else "jpeg"
        return {"picture": f"data:image/{what};base64,{base64.b64encode(path.read_bytes()).decode()}"}

    def sphere(self, visit: Any) -> str:
        """Name of the visit's sphere, as the menu and `Controls.sphere` have it.

        Raises:
            SpherecorrError: there is none.
        """
        training = read_progress(visit_folder(self.root, visit))
        if not training or not training.get("sphere"):
            raise SpherecorrError("There is no sphere yet; press Train.")
        return training["sphere"]

    def _change(self, visit: Any, change: Callable[[Path, Lesson], Lesson], at_rest: bool = False) -> View:
        """Change the lesson of a visit under its lock, and keep it."""
        folder = visit_folder(self.root, visit)
        with self._locks[folder]:
            if at_rest:
                self._check_rest(folder)
            if not folder.is_dir():
                check_room(self.root)
            write_lesson(folder, change(folder, read_lesson(folder)))
        return self.open(visit)

    def _check_rest(self, folder: Path) -> None:
        training = self.trainings.view(folder)
        if training and training["state"] in ("running", "waiting"):
            raise SpherecorrError(WAITS_FOR_END)

    def _check_complete(self, lesson: Lesson) -> None:
        known = sum(photograph.azimuth is not None for photograph in lesson.photographs)
        fewest = 4 * self.recipe(NO_SPHERE).fewest
        if known < fewest:
            raise SpherecorrError(f"Say of at least {fewest} photographs which way they face; {known} have an arrow.")
        if not lesson.category:
            raise SpherecorrError("Name the kind of object first.")
        if missing := sum(photograph.outline is None for photograph in lesson.photographs):
            raise SpherecorrError(f"{missing} photographs have no outline yet; wait until it is proposed.")


def _short(name: Any) -> str:
    """A file's name to be shown: without folders, line breaks and what is too long."""
    text = " ".join(str(name).replace("\\", "/").rpartition("/")[2].split())
    return text[:80] or "photograph"

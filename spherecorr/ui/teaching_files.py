"""What a person teaches with, in a folder that only its unguessable name opens: photographs, directions, outlines.

    FOLDER/visits/<visit>/lesson.json            the category and, for each photograph, what the person said of it
                          photographs/           what `data.folder.Folder` reads: images, masks, viewpoints.csv
                          sphere/                what `pipelines.teach.teach` writes
                          task.json, progress.json, maps/    of the training, see `teaching_run`
    FOLDER/spheres/<name>/                       checkpoints, by what is in them

Names of files come from their content, never from what a visitor calls them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic, writing
from spherecorr.identity import file_digest
from spherecorr.images import load_image
from spherecorr.segmentation import Box, Stroke

DAYS_KEPT = 7  # after the last visit
MOST_VISITS, MOST_BYTES = 200, 10_000_000_000
MOST_PHOTOGRAPHS, MOST_FILE_BYTES, MOST_STROKES = 60, 30_000_000, 40
SIDE = 1024  # px; larger photographs are kept at this long side
VISIT, SPHERE, KEY = (re.compile(pattern) for pattern in (r"[0-9a-f]{32}", r"taught-[0-9a-f]{20}", r"[0-9a-f]{16}"))
CATEGORY = re.compile(r"\w[\w -]{0,39}")
GROWN = 0.05  # share of the longer side by which the box around an outline is larger than it

Outline = tuple[tuple[tuple[int, int], ...], ...]
"""Polygons of (x, y) around an object."""


@dataclass(frozen=True)
class Photograph:
    """One photograph, and what is said of it.

    Attributes:
        key: from its content; the name of its files.
        name: as the person calls it; only shown.
        size: (width, height) of the copy that is kept, whose pixels all places are in.
        azimuth: degrees, a multiple of 45, of the camera from the object's front towards its left; None: not known.
        outline: polygons around the object; None while nothing is proposed.
        box: around the object, where a person drew one.
        strokes: that a person drew.
    """

    key: str
    name: str
    size: tuple[int, int]
    azimuth: int | None = None
    outline: Outline | None = None
    box: Box | None = None
    strokes: tuple[Stroke, ...] = ()

    @property
    def marked(self) -> bool:
        """Whether a person drew on it."""
        return self.box is not None or bool(self.strokes)


@dataclass(frozen=True)
class Lesson:
    """What a person teaches with: the category's name, and the photographs in the order in which they came."""

    category: str = ""
    photographs: tuple[Photograph, ...] = ()

    def find(self, key: Any) -> Photograph:
        """The photograph with this key.

        Raises:
            SpherecorrError: there is none.
        """
        for photograph in self.photographs:
            if photograph.key == key:
                return photograph
        raise SpherecorrError("That photograph is no longer there; load the page again.")

    def changed(self, key: Any, **what: Any) -> Lesson:
        """The lesson with other fields of one photograph."""
        old = self.find(key)
        return replace(self, photographs=tuple(replace(p, **what) if p is old else p for p in self.photographs))


def new_visit() -> str:
    """A name that nobody guesses."""
    return secrets.token_hex(16)


def visit_folder(root: Path, visit: Any) -> Path:
    """The folder of a visit, which need not exist.

    Raises:
        SpherecorrError: the name is none that `new_visit` gives.
    """
    if not isinstance(visit, str) or not VISIT.fullmatch(visit):
        raise SpherecorrError("This page knows no photographs; load it again.")
    return root / "visits" / visit


def taught_sphere(root: Path, name: Any) -> Path | None:
    """The folder of a sphere that was taught here; None for any other name."""
    return root / "spheres" / name if isinstance(name, str) and SPHERE.fullmatch(name) else None


def publish(root: Path, checkpoint: Path, start: str, title: str) -> str:
    """Copy a checkpoint to where the sphere menu finds it, by a name made from its weights.

    Args:
        root: of all visits.
        checkpoint: folder of the checkpoint.
        start: the sphere it started from; the copy does not say where on this machine that one lies.
        title: of the copy.

    Returns:
        The name.
    """
    name = f"taught-{file_digest(checkpoint / 'model.safetensors')}"
    folder, began = root / "spheres" / name, root / "spheres" / f"{name}.partial"
    config = {**read_config(checkpoint), "title": title, "start": Path(start).name}
    card = (checkpoint / "README.md").read_text(encoding="utf-8").replace(f"# {checkpoint.name}\n", f"# {title}\n", 1)
    if Path(start).is_dir():
        card = card.replace(start, Path(start).name)
    with writing(folder):
        shutil.rmtree(began, ignore_errors=True)
        began.mkdir(parents=True)
        shutil.copyfile(checkpoint / "model.safetensors", began / "model.safetensors")
        (began / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (began / "README.md").write_text(card, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        began.rename(folder)
    return name


def read_config(sphere: Path) -> dict[str, Any]:
    """The config.json of a checkpoint; empty where it is gone."""
    path = sphere / "config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def taught_title(root: Path, name: str) -> str | None:
    """What the menu calls a sphere that was taught here; None for any other name, or where it is gone."""
    folder = taught_sphere(root, name)
    title = read_config(folder).get("title") if folder else None
    return title and f"{title} · taught here"


def read_lesson(folder: Path) -> Lesson:
    """What is kept in the folder of a visit; an empty lesson where there is none."""
    path = folder / "lesson.json"
    if not path.is_file():
        return Lesson()
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Lesson(kept["category"], tuple(_photograph(values) for values in kept["photographs"]))


def write_lesson(folder: Path, lesson: Lesson) -> None:
    """Keep what a person said."""
    write_atomic(folder / "lesson.json", json.dumps(asdict(lesson)).encode())


def read_progress(folder: Path) -> dict[str, Any] | None:
    """What was last said of the training in a visit's folder; None if nothing was."""
    path = folder / "progress.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_viewpoints(folder: Path, lesson: Lesson) -> None:
    """Write the viewpoints.csv of the photographs; one of unknown direction has its mask alone."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("image", "category", "azimuth", "mask"))
    for photograph in lesson.photographs:
        azimuth = "" if photograph.azimuth is None else photograph.azimuth
        key = photograph.key
        table.writerow((f"images/{key}.jpg", lesson.category, azimuth, f"masks/{key}.png"))
    write_atomic(folder / "photographs" / "viewpoints.csv", text.getvalue().encode())


def add_photograph(folder: Path, lesson: Lesson, path: Path, name: str) -> Lesson:
    """Keep a copy of a photograph, upright and without what its file tells of camera and place.

    Raises:
        SpherecorrError: the file cannot be used, is there already, or is one too many; the message names it as `name`.
    """
    if len(lesson.photographs) >= MOST_PHOTOGRAPHS:
        raise SpherecorrError(f"'{name}' is one too many: at most {MOST_PHOTOGRAPHS} photographs teach.")
    if not path.is_file():
        raise SpherecorrError(f"'{name}' did not arrive; drop it again.")
    if path.stat().st_size > MOST_FILE_BYTES:
        raise SpherecorrError(f"'{name}' has more than {MOST_FILE_BYTES // 10**6} MB; save it smaller.")
    key = file_digest(path)[:16]
    if any(photograph.key == key for photograph in lesson.photographs):
        raise SpherecorrError(f"'{name}' is there already.")
    try:
        image = load_image(path)
    except SpherecorrError as error:
        raise SpherecorrError(str(error).replace(f"'{path.name}'", f"'{name}'")) from error
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    write_atomic(image_path(folder, key), encoded(image, "JPEG"))
    return replace(lesson, photographs=(*lesson.photographs, Photograph(key, name, image.size)))


def remove_photograph(folder: Path, lesson: Lesson, key: str) -> Lesson:
    """Forget a photograph and its files."""
    gone = lesson.find(key)
    for path in (image_path(folder, gone.key), mask_path(folder, gone.key)):
        path.unlink(missing_ok=True)
    return replace(lesson, photographs=tuple(p for p in lesson.photographs if p is not gone))


def write_mask(folder: Path, key: str, mask: np.ndarray) -> Outline:
    """Keep a mask, boolean `[h, w]`; returns the polygons around it, in its pixels."""
    write_atomic(mask_path(folder, key), encoded(Image.fromarray(mask.astype(np.uint8) * 255), "PNG"))
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    fine = max(mask.shape) / 400  # px that a line may be off
    lines: Sequence[np.ndarray] = [cv2.approxPolyDP(contour, fine, True)[:, 0] for contour in found]
    return tuple(tuple((int(x), int(y)) for x, y in line) for line in lines if len(line) > 2)


def box_around(outline: Outline | None, size: tuple[int, int]) -> Box | None:
    """A box a little larger than the outline, in which a stroke over background is cut out of the object."""
    if not outline:
        return None
    points = np.concatenate([np.array(line) for line in outline])
    room = GROWN * max(size)
    (x0, y0), (x1, y1) = points.min(axis=0) - room, points.max(axis=0) + room
    return float(x0), float(y0), float(x1), float(y1)


def image_path(folder: Path, key: str) -> Path:
    """The kept copy of a photograph."""
    return folder / "photographs" / "images" / f"{key}.jpg"


def mask_path(folder: Path, key: str) -> Path:
    """The mask of a photograph."""
    return folder / "photographs" / "masks" / f"{key}.png"


def encoded(image: Image.Image, format: str) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, quality=90)
    return buffer.getvalue()


def forget_old(root: Path) -> None:
    """Delete the visits and spheres that nobody has opened for `DAYS_KEPT` days."""
    for folder in (*root.glob("visits/*"), *root.glob("spheres/*")):
        if time.time() - folder.stat().st_mtime > DAYS_KEPT * 86400:
            shutil.rmtree(folder, ignore_errors=True)


def check_room(root: Path) -> None:
    """Refuse a further visit where there are too many, or too many bytes."""
    forget_old(root)
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    if len(list(root.glob("visits/*"))) >= MOST_VISITS or size > MOST_BYTES:
        raise SpherecorrError("This server holds as many photographs as it can. Try again in a few days.")


def touch(folder: Path) -> None:
    """Say that a folder is in use."""
    if folder.is_dir():
        os.utime(folder)


def _photograph(values: dict[str, Any]) -> Photograph:
    """Lists of JSON as the tuples that they were."""
    outline, box = values["outline"], values["box"]
    return Photograph(
        values["key"],
        values["name"],
        tuple(values["size"]),
        values["azimuth"],
        None if outline is None else tuple(tuple((x, y) for x, y in line) for line in outline),
        None if box is None else tuple(box),
        tuple(Stroke(tuple((x, y) for x, y in s["points"]), s["inside"]) for s in values["strokes"]),
    )

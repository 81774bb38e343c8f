"""What one visit holds: which pictures, which points. Keys and numbers only, never images or tensors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

import numpy as np

from spherecorr.backbones.registry import Preset
from spherecorr.errors import SpherecorrError
from spherecorr.segmentation import Box, Stroke

MAX_POINTS = 12
MAX_STROKES, MAX_STROKE_POINTS = 40, 200
SHOWN_SIDE = 768
NO_SPHERE = "none"

Point = tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """One image of a visit.

    Attributes:
        path: its file.
        digest: hash of the file's bytes.
        size: (width, height) in original, upright pixels.
        name: for people.
        mirrored: shown and matched as its mirror image; points are pixels of that mirror image.
        box: around the object, as it was marked, in original pixels.
        strokes: over the object and the background, as they were marked, in original pixels.
    """

    path: str
    digest: str
    size: tuple[int, int]
    name: str
    mirrored: bool = False
    box: Box | None = None
    strokes: tuple[Stroke, ...] = ()

    @property
    def key(self) -> tuple[str, bool]:
        """What tells this picture from any other, however it is marked."""
        return self.digest, self.mirrored

    @property
    def marks(self) -> tuple[Box | None, tuple[Stroke, ...]] | None:
        """What a person said of the object's place; None if nothing."""
        return (self.box, self.strokes) if self.box or self.strokes else None

    def with_box(self, corner: Point, opposite: Point) -> Picture:
        """Put this box in the place of the present one.

        Raises:
            SpherecorrError: the corners lie on one line.
        """
        (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(corner, opposite, strict=True))
        if x1 - x0 < 1 or y1 - y0 < 1:
            raise SpherecorrError("Drag from one corner of a box around the object to the opposite one.")
        return replace(self, box=(x0, y0, x1, y1))

    def with_stroke(self, points: tuple[Point, ...], inside: bool) -> Picture:
        """Add a stroke over the object, or over background.

        Raises:
            SpherecorrError: there are `MAX_STROKES` already, or it has more than `MAX_STROKE_POINTS`.
        """
        if len(self.strokes) == MAX_STROKES:
            raise SpherecorrError(f"There are {MAX_STROKES} strokes already. Clear the marks first.")
        if len(points) > MAX_STROKE_POINTS:
            raise SpherecorrError(f"A stroke has at most {MAX_STROKE_POINTS} points; got {len(points)}.")
        return replace(self, strokes=(*self.strokes, Stroke(points, inside)))

    def without_marks(self) -> Picture:
        """Drop the box and all strokes."""
        return replace(self, box=None, strokes=())

    def mirror(self) -> Picture:
        """The mirror image, with its marks at their places."""
        width = self.size[0]
        box = self.box and (width - self.box[2], self.box[1], width - self.box[0], self.box[3])
        strokes = tuple(replace(s, points=tuple((width - x, y) for x, y in s.points)) for s in self.strokes)
        return replace(self, mirrored=not self.mirrored, box=box, strokes=strokes)

    @property
    def shown_size(self) -> tuple[int, int]:
        """(width, height) of the copy that the page shows: always the same long side, so that pins look the same."""
        factor = SHOWN_SIDE / max(self.size)
        return max(1, round(self.size[0] * factor)), max(1, round(self.size[1] * factor))

    def to_shown(self, points: np.ndarray) -> np.ndarray:
        """Original pixels `[..., 2]` -> pixels of the shown copy."""
        return np.asarray(points) * np.divide(self.shown_size, self.size)

    def from_shown(self, points: np.ndarray) -> np.ndarray:
        """Pixels of the shown copy `[..., 2]` -> original pixels."""
        return np.asarray(points) * np.divide(self.size, self.shown_size)


@dataclass(frozen=True)
class Controls:
    """The page's settings at the moment of an event, in the order in which the page hands them over.

    Attributes:
        backbone: name of the backbone.
        sphere: name of the sphere checkpoint, or `NO_SPHERE`.
        preset: resolution preset, "fast", "balanced" or "fine".
        foreground: match, and show, the foreground only.
        alpha: the sphere's share in the fused similarity, 0..1.
        heat: opacity of the active point's similarity, 0..1.
        ranks: how many ranked matches are shown for the active point.
    """

    backbone: str
    sphere: str = NO_SPHERE
    preset: Preset = "fast"
    foreground: bool = True
    alpha: float = 0.2
    heat: float = 0.0
    ranks: int = 1


@dataclass(frozen=True)
class Visit:
    """The pictures and points of one visit.

    Attributes:
        source: where the points are.
        target: where matches are looked for.
        points: in original pixels of the source.
        active: index of the point whose heat map and ranks are shown; None without points.
    """

    source: Picture | None = None
    target: Picture | None = None
    points: tuple[Point, ...] = field(default=())
    active: int | None = None

    @property
    def pair(self) -> tuple[Picture, Picture] | None:
        """Source and target, where both are there."""
        return None if self.source is None or self.target is None else (self.source, self.target)

    @property
    def shown(self) -> dict[str, dict | None]:
        """What the page needs to know of "source" and "target" to send clicks: key and size of the shown copies."""
        pictures = {"source": self.source, "target": self.target}
        return {
            role: None if picture is None else {"key": repr(picture.key), "size": picture.shown_size}
            for role, picture in pictures.items()
        }

    def with_point(self, point: Point) -> Visit:
        """Add a point and make it active; a click on a pin's tip makes that point active instead.

        Raises:
            SpherecorrError: there are `MAX_POINTS` already.
        """
        near = max(self.source.size) * 0.015 if self.source else 0.0
        for i, other in enumerate(self.points):
            if np.hypot(point[0] - other[0], point[1] - other[1]) <= near:
                return replace(self, active=i)
        if len(self.points) == MAX_POINTS:
            raise SpherecorrError(f"There are {MAX_POINTS} points already. Undo or clear some first.")
        return replace(self, points=(*self.points, point), active=len(self.points))

    def without_last_point(self) -> Visit:
        """Drop the newest point; the one before it becomes active."""
        points = self.points[:-1]
        return replace(self, points=points, active=len(points) - 1 if points else None)

    def without_points(self) -> Visit:
        """Drop all points."""
        return replace(self, points=(), active=None)

    def with_points(self, points: list[Point]) -> Visit:
        """Put these points, at most `MAX_POINTS`, in place of the present ones; the first becomes active."""
        return replace(self, points=tuple(points[:MAX_POINTS]), active=0 if points else None)


class Session:
    """The newest state of one visit, kept on the server.

    The events of a page run beside each other. If each returned a state made from the one it was given, whichever
    returned last would undo what the others did; so they change this one object, one after the other.

    Attributes:
        lock: held by whoever changes the session.
        visit: the pictures and points.
        note: the last event's sentence for the status line and its kind, if it has one.
        revision: grows with every change.
        failure: what could not be computed for which needs (see `Engine.needs`), and the sentence that says why.
        settled: how often missing features have been computed.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.visit = Visit()
        self.note: tuple[str, str] | None = None
        self.revision = 0
        self.failure: tuple[str, str] | None = None
        self.settled = 0

    def advance(self) -> int:
        """Count a change; returns the new revision."""
        with self.lock:
            self.revision += 1
            return self.revision

    def __deepcopy__(self, memo: Any) -> Session:
        """Gradio copies a state's initial value for every visitor: each gets a session of their own."""
        return Session()

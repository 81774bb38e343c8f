"""What one visit holds: which pictures. Keys and numbers only, never images or tensors; the page has the points."""

from __future__ import annotations

import itertools
import math
import time
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


@dataclass(frozen=True)
class Controls:
    """The page's settings at the moment of an event.

    Attributes:
        backbone: name of the backbone.
        sphere: name of the sphere checkpoint, or `NO_SPHERE`.
        preset: resolution preset, "fast", "balanced" or "fine".
        foreground: match, and show, the foreground only.
        alpha: the sphere's share in the fused similarity, 0..1.
        ranks: how many ranked matches are shown for the active point.
        points: in original pixels of the source.
        panel: title of the open panel.
    """

    backbone: str
    sphere: str = NO_SPHERE
    preset: Preset = "fast"
    foreground: bool = True
    alpha: float = 0.2
    ranks: int = 1
    points: tuple[Point, ...] = ()
    panel: str = ""

    @classmethod
    def of_page(cls, backbone: Any, sphere: Any, preset: Any, view: Any) -> Controls:
        """Read what the page hands over with every event.

        Args:
            backbone: of the menu.
            sphere: of the menu.
            preset: of the menu.
            view: `{"foreground", "alpha", "ranks", "points", "panel"}` as the page's script keeps them; what is missing
                has its default.

        Raises:
            SpherecorrError: a value that no page sends.
        """
        view = view if isinstance(view, dict) else {}
        values = {"alpha": view.get("alpha", 0.2), "ranks": view.get("ranks", 1)}
        known = isinstance(backbone, str) and isinstance(sphere, str) and preset in ("fast", "balanced", "fine")
        if not known or not all(isinstance(value, int | float) for value in values.values()):
            raise SpherecorrError("The page sent settings that it does not have; reload it.")
        if not (0 <= values["alpha"] <= 1 and 1 <= values["ranks"] <= 10):
            raise SpherecorrError("alpha lies between 0 and 1, and there are 1 to 10 ranks; reload the page.")
        points, foreground = checked_points(view.get("points", ())), view.get("foreground", True) is not False
        panel = str(view.get("panel", ""))[:40]
        return cls(backbone, sphere, preset, foreground, float(values["alpha"]), int(values["ranks"]), points, panel)


def checked_points(points: Any, most: int = MAX_POINTS) -> tuple[Point, ...]:
    """Points as pairs of finite numbers.

    Raises:
        SpherecorrError: they are something else, or too many.
    """
    try:
        pairs = tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError, OverflowError) as error:
        raise SpherecorrError("Points must be a list of [x, y] pairs of numbers.") from error
    if len(pairs) > most:
        raise SpherecorrError(f"There can be {most} points at most; got {len(pairs)}.")
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        raise SpherecorrError("A point has a coordinate that is not a finite number.")
    return pairs


_openings = itertools.count(1)
_revisions = itertools.count(int(time.time()))


@dataclass(frozen=True)
class Visit:
    """The pictures of one visit.

    Attributes:
        source: where the points are.
        target: where matches are looked for.
        points: with which the source was opened, in its original pixels; from then on the page keeps them.
        opening: number of the opening; another one tells the page to take these points in place of its own.
    """

    source: Picture | None = None
    target: Picture | None = None
    points: tuple[Point, ...] = ()
    opening: int = field(default_factory=lambda: next(_openings), compare=False)

    @property
    def pair(self) -> tuple[Picture, Picture] | None:
        """Source and target, where both are there."""
        return None if self.source is None or self.target is None else (self.source, self.target)


class Session:
    """The newest state of one visit, kept on the server.

    The events of a page run beside each other. If each returned a state made from the one it was given, whichever
    returned last would undo what the others did; so they change this one object, one after the other.

    Attributes:
        lock: held by whoever changes the session.
        visit: the pictures.
        note: the last event's sentence for the status line and its kind, if it has one.
        revision: another with every change, and none that any other session has had: a page whose session is a new one
            is to notice.
        failure: what could not be computed for which needs (see `Engine.needs`), and the sentence that says why.
        settled: how often missing features have been computed.
        waiting: whether the page was last told that features are missing.
        arrived: whether the page has said what it shows. Gradio forgets the oldest of many visits: a page that gets a
            new session all of a sudden is loaded again, and its address brings back what it showed.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.visit = Visit()
        self.note: tuple[str, str] | None = None
        self.revision = 0
        self.failure: tuple[str, str] | None = None
        self.settled = 0
        self.waiting = False
        self.arrived = False

    def advance(self) -> int:
        """Note a change; returns the new revision."""
        with self.lock:
            self.revision = next(_revisions)
            return self.revision

    def __deepcopy__(self, memo: Any) -> Session:
        """Gradio copies a state's initial value for every visitor: each gets a session of their own."""
        return Session()

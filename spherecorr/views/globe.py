"""The sphere as a still picture, from both sides, for where no JavaScript runs: what `sphere_plot` shows in 3D."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spherecorr.views.matches import COLOURS, text_colour
from spherecorr.views.sphere_plot import Patches, camera, great_circle

SIDE, MARGIN, TITLE = 380, 14, 26  # pixels of one view
TIMES = 3  # drawn larger, as PIL does not smooth edges
BALL, NET = "#eef0f3", "#c9ced6"


def globe_picture(
    source: Patches,
    target: Patches,
    selected: np.ndarray,
    matched: np.ndarray,
    towards: np.ndarray | None = None,
) -> Image.Image:
    """Draw the half of the sphere that faces the camera, and beside it the other half.

    Args:
        source: patches of the source image, drawn as dots.
        target: patches of the target image, drawn as diamonds.
        selected: `[N, 3]` where the selected points lie.
        matched: `[N, 3]` where their matches lie; NaN where there is none.
        towards: the camera looks from above this vector; by default from above the mean of the source patches.
    """
    towards = source.points.mean(axis=0) if towards is None else towards
    picture = Image.new("RGB", (2 * SIDE, SIDE + TITLE), "white")
    draw = ImageDraw.Draw(picture)
    for left, title, eye in ((0, "front", towards), (SIDE, "behind", -np.asarray(towards))):
        view = _View(eye)
        view.draw_ball()
        view.draw_patches(source, target)
        view.draw_matches(selected, matched)
        picture.paste(view.picture.resize((SIDE, SIDE), Image.Resampling.BOX), (left, TITLE))
        draw.text((left + SIDE / 2, TITLE / 2), title, "#444444", ImageFont.load_default(15), anchor="mm")
    return picture


class _View:
    """One half of the sphere in parallel projection, drawn `TIMES` as large as it is shown.

    Args:
        eye: vector towards the camera.
    """

    def __init__(self, eye: np.ndarray):
        chosen = camera(eye)
        ahead, up = (np.array(list(chosen[name].values()), dtype=float) for name in ("eye", "up"))
        ahead = ahead / np.linalg.norm(ahead)
        right = np.cross(up, ahead)
        right = right / np.linalg.norm(right)
        self.axes = np.stack([right, np.cross(ahead, right), ahead])
        self.picture = Image.new("RGB", (SIDE * TIMES,) * 2, "white")
        self.pen = ImageDraw.Draw(self.picture)
        self.radius = (SIDE / 2 - MARGIN) * TIMES

    def place(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels `[N, 2]` of points on the sphere, and how far `[N]` they lie in front of its middle."""
        x, y, depth = self.axes @ np.asarray(points, dtype=float).reshape(-1, 3).T
        return np.stack([x, -y], axis=1) * self.radius + SIDE * TIMES / 2, depth

    def draw_ball(self) -> None:
        """The ball and its net of meridians and parallels."""
        middle = np.full(2, SIDE * TIMES / 2)
        self.dot(middle, self.radius, BALL)
        round_ = np.linspace(0, 2 * np.pi, 73)
        for turn in np.deg2rad(range(0, 180, 30)):
            across = np.array([np.cos(turn), np.sin(turn), 0])
            self.line(np.cos(round_)[:, None] * across + np.sin(round_)[:, None] * (0, 0, 1), NET, 1)
        for height in np.deg2rad(range(-60, 61, 30)):
            ring = np.stack([np.cos(round_), np.sin(round_), np.full_like(round_, np.tan(height))], axis=1)
            self.line(ring * np.cos(height), NET, 1)

    def draw_patches(self, source: Patches, target: Patches) -> None:
        """Those on this half, the nearest last."""
        points = np.concatenate([source.points, target.points])
        places, depth = self.place(points)
        colours = [*source.colours, *target.colours]
        radius = float(np.clip(60 / np.sqrt(len(points) + 1), 4.2, 8)) * TIMES
        for i in np.argsort(depth):
            if depth[i] > 0:
                shape = self.dot if i < len(source.points) else self.diamond
                shape(places[i], radius, colours[i])

    def draw_matches(self, selected: np.ndarray, matched: np.ndarray) -> None:
        """Numbered points, the arcs to their matches, and these as diamonds."""
        for i, (point, match) in enumerate(zip(selected, matched, strict=True)):
            colour = COLOURS[i % len(COLOURS)]
            if np.isfinite(match).all():
                self.line(great_circle(point, match), colour, 3)
                (place,), (depth,) = self.place(match)
                if depth > 0:
                    self.diamond(place, 10 * TIMES, "white")
                    self.diamond(place, 8 * TIMES, colour)
        for i, point in enumerate(selected):
            colour = COLOURS[i % len(COLOURS)]
            (place,), (depth,) = self.place(point)
            if depth > 0:
                self.dot(place, 11 * TIMES, "white")
                self.dot(place, 9.5 * TIMES, colour)
                font = ImageFont.load_default(12 * TIMES)
                self.pen.text(tuple(place), str(i + 1), text_colour(colour), font, anchor="mm")

    def line(self, points: np.ndarray, colour: str, width: int) -> None:
        """The parts of a line that lie on this half."""
        places, depth = self.place(points)
        for start, end in zip(range(len(places)), range(1, len(places)), strict=False):
            if min(depth[start], depth[end]) > -1e-9:
                self.pen.line((*places[start], *places[end]), colour, width * TIMES)

    def dot(self, place: np.ndarray, radius: float, colour: str) -> None:
        """A filled circle."""
        self.pen.ellipse((*(place - radius), *(place + radius)), colour)

    def diamond(self, place: np.ndarray, radius: float, colour: str) -> None:
        """A filled square that stands on a corner."""
        x, y = place
        self.pen.polygon([(x - radius, y), (x, y - radius), (x + radius, y), (x, y + radius)], colour)

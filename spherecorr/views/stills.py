"""Plotly's plots of lines and marks as still pictures, for where no JavaScript runs, such as notebooks on GitHub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont
from plotly.graph_objects import Figure

WIDTH, HEIGHT = 520, 400
TITLE, BELOW, RIGHT, LETTER = 42, 52, 18, 7.2  # pixels: above and below the plot, and of a letter
LEGEND = 24  # of a row
TIMES = 2  # drawn larger, as PIL does not smooth edges
GRID, INK = "#dfe3e8", "#333333"


def still(figure: Figure, width: int = WIDTH) -> Image.Image:
    """Draw a figure of `Scatter` traces: their lines and marks, both axes, the title and the legend.

    Args:
        figure: x are numbers, y numbers or names; None and NaN are left out.
        width: of the picture in pixels.
    """
    return _Plot(figure, width).draw()


class _Plot:
    """One figure and where its values lie in the picture."""

    def __init__(self, figure: Figure, width: int):
        self.layout, self.traces = figure.layout, list(figure.data)
        self.legend = [trace for trace in self.traces if trace.name and trace.showlegend is not False]
        names = figure.layout.yaxis.categoryarray
        self.names = None if names is None else list(names)
        self.size = (width, int(figure.layout.height or HEIGHT) + LEGEND * len(self.legend))
        longest = max(map(len, self.names)) if self.names else 5
        self.box = (longest * LETTER + 44, TITLE, width - RIGHT, self.size[1] - BELOW - LEGEND * len(self.legend))
        self.x_range = _range(figure.layout.xaxis.range, [_numbers(trace.x) for trace in self.traces])
        if self.names:
            self.y_range = (-0.6, len(self.names) - 0.4)
        else:
            self.y_range = _range(figure.layout.yaxis.range, [_numbers(trace.y) for trace in self.traces])
        self.picture = Image.new("RGB", (self.size[0] * TIMES, self.size[1] * TIMES), "white")
        self.pen = ImageDraw.Draw(self.picture)

    def draw(self) -> Image.Image:
        """Everything."""
        ticks = self._grid()
        for trace in self.traces:
            self._trace(trace)
        self._cover()
        for place, text, anchor in ticks:
            self._text(place, text, anchor)
        self._titles()
        left, top = self.box[0], self.size[1] - LEGEND * len(self.legend)
        for row, trace in enumerate(self.legend):
            middle = top + LEGEND * (row + 0.3)
            self._sample(trace, np.array([[left, middle], [left + 26, middle]]))
            self._text((left + 36, middle), trace.name, "lm")
        return self.picture.resize(self.size, Image.Resampling.BOX)

    def _grid(self) -> list[tuple[tuple[float, float], str, str]]:
        """Draw the lines; place, text and anchor of the numbers or names at their ends."""
        left, top, right, bottom = self.box
        ticks: list[tuple[tuple[float, float], str, str]] = []
        for value in _ticks(*self.x_range):
            ((x, _),) = self._place([value], [0])
            self._line(np.array([[x, top], [x, bottom]]), GRID, 1)
            ticks.append(((x, bottom + 16), f"{value:g}", "mm"))
        as_share = self.layout.yaxis.tickformat == ".0%"
        for value in range(len(self.names)) if self.names else _ticks(*self.y_range):
            ((_, y),) = self._place([0], [value])
            self._line(np.array([[left, y], [right, y]]), GRID, 1)
            label = self.names[int(value)] if self.names else f"{value:.0%}" if as_share else f"{value:g}"
            ticks.append(((left - 10, y), label, "rm"))
        return ticks

    def _cover(self) -> None:
        """Take away what lies outside the axes' ranges."""
        left, top, right, bottom = (side * TIMES for side in self.box)
        width, height = self.picture.size
        edge = 6 * TIMES  # marks on the border stay whole
        for box in (
            (0, 0, width, top - edge),
            (0, bottom + edge, width, height),
            (0, 0, left - edge, height),
            (right + edge, 0, width, height),
        ):
            self.pen.rectangle(box, "white")

    def _titles(self) -> None:
        left, _, right, bottom = self.box
        self._text((left, 12), self.layout.title.text or "", "lm", 15)
        self._text((left, 31), self.layout.yaxis.title.text or "", "lm", 12)
        self._text(((left + right) / 2, bottom + 36), self.layout.xaxis.title.text or "", "mm", 13)

    def _trace(self, trace: Any) -> None:
        y = [self.names.index(name) for name in trace.y] if self.names else _numbers(trace.y)
        places = self._place(_numbers(trace.x), y)
        if "lines" in trace.mode:
            self._line(places, trace.line.color, trace.line.width or 2)
        if "markers" in trace.mode:
            for place in places[np.isfinite(places).all(axis=1)]:
                self._mark(place, trace.marker.symbol, trace.marker.color)

    def _sample(self, trace: Any, places: np.ndarray) -> None:
        """How a trace looks, for the legend."""
        if "lines" in trace.mode:
            self._line(places, trace.line.color, trace.line.width or 2)
        if "markers" in trace.mode:
            self._mark(places.mean(axis=0), trace.marker.symbol, trace.marker.color)

    def _place(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Pixels `[N, 2]` of values."""
        left, top, right, bottom = self.box
        across = (np.asarray(x, dtype=float) - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (np.asarray(y, dtype=float) - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return np.stack([left + across * (right - left), bottom - up * (bottom - top)], axis=1)

    def _line(self, places: np.ndarray, colour: str, width: float) -> None:
        corners = [tuple(place) for place in places[np.isfinite(places).all(axis=1)] * TIMES]
        self.pen.line(corners, colour, round(width * TIMES), joint="curve")

    def _mark(self, place: np.ndarray, symbol: str, colour: str) -> None:
        x, y = place * TIMES
        r = 5.0 * TIMES
        if symbol == "x":
            for side in (1, -1):
                self.pen.line((x - r, y - side * r, x + r, y + side * r), colour, 3 * TIMES)
        elif symbol == "diamond":
            r *= 1.3
            self.pen.polygon([(x - r, y), (x, y - r), (x + r, y), (x, y + r)], colour)
        else:
            self.pen.ellipse((x - r, y - r, x + r, y + r), colour)

    def _text(self, place: tuple[float, float], text: str, anchor: str, size: float = 12) -> None:
        font = ImageFont.load_default(size * TIMES)
        self.pen.text((place[0] * TIMES, place[1] * TIMES), text, INK, font, anchor=anchor)


def _numbers(values: Any) -> np.ndarray:
    """Float64, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _range(given: Sequence[float] | None, values: Sequence[np.ndarray]) -> tuple[float, float]:
    """The axis's own range, or what holds all values and a little more."""
    if given is not None:
        return float(given[0]), float(given[1])
    finite = np.concatenate([np.zeros(0), *(part[np.isfinite(part)] for part in values)])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    gap = 0.05 * (high - low) or 0.5
    return low - gap, high + gap


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers within a range; no -0."""
    power = 10.0 ** np.floor(np.log10((high - low) / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 9)
    return [float(round(value, 10)) + 0.0 for value in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]

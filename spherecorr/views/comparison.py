"""A comparison as a picture: a panel of bars for each metric, methods below one another."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw, ImageFont

from spherecorr.evaluation.comparison import METRICS, Comparison
from spherecorr.evaluation.report import Score
from spherecorr.evaluation.tables import percent
from spherecorr.views.curves import COLOURS

OTHERS = "#808790"  # of methods that are not the project's own
NAMES, PANEL, ROW, MARGIN, TITLE = 150, 230, 30, 16, 44  # pixels
VALUE = 52  # beside a bar
HARMFUL = ("symmetric mistakes", "decoys")


def comparison_figure(comparison: Comparison) -> bytes:
    """A PNG file: every metric in percent, with its 95 % interval where there is one."""
    names = list(comparison.methods)
    size = (NAMES + PANEL * len(METRICS) + MARGIN, TITLE + ROW * len(names) + MARGIN)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14)
    for row, name in enumerate(names):
        draw.text((NAMES - 10, TITLE + ROW * (row + 0.5)), name, "black", font, anchor="rm")
    for panel, metric in enumerate(METRICS):
        left = NAMES + PANEL * panel
        better = "less is better" if metric in HARMFUL else "more is better"
        draw.text((left, 12), metric, "black", ImageFont.load_default(16), anchor="lm")
        draw.text((left, 30), better, "#555555", ImageFont.load_default(12), anchor="lm")
        scores = [result.score(metric) for result in comparison.methods.values()]
        highest = max([_highest(score) for score in scores] + [0.01])
        for row, (name, score) in enumerate(zip(names, scores, strict=True)):
            _bar(draw, left, TITLE + ROW * row, score, highest, COLOURS.get(name, OTHERS))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    return encoded.getvalue()


def _highest(score: Score) -> float:
    return max([value for value in (score.value, score.high) if math.isfinite(value)] + [0.0])


def _bar(draw: ImageDraw.ImageDraw, left: float, top: float, score: Score, highest: float, colour: str) -> None:
    """One bar with its value, and its interval as a line."""
    scale, middle = (PANEL - VALUE - MARGIN) / highest, top + ROW / 2
    end = left
    if math.isfinite(score.value):
        end = left + scale * score.value
        draw.rectangle((left, top + 6, end, top + ROW - 6), colour)
    if math.isfinite(score.low) and math.isfinite(score.high):
        draw.line((left + scale * score.low, middle, left + scale * score.high, middle), "black", 2)
        end = max(end, left + scale * score.high)
    draw.text((end + 6, middle), percent(score.value), "black", ImageFont.load_default(13), anchor="lm")

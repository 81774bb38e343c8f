"""Plots of an evaluation: precision and recall, PCK by threshold and category, and one pair's KAP explained."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
from plotly.graph_objects import Bar, Figure, Scatter
from plotly.io import to_html

from spherecorr.evaluation.averages import weighted_average_precision
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.summary import kap_entries

COLOURS = {"raw": "#ff6e3a", "sphere": "#008df9", "fused": "#8400cd"}
MORE_COLOURS = ("#009f81", "#9f0162", "#ffc33b", "#a86a1f", "#00c2f9")  # of further alphas
RIGHT, WRONG = "#009f81", "#e20134"


@dataclass(frozen=True)
class KeypointScore:
    """What one keypoint of a pair adds to KAP.

    Attributes:
        name: of the keypoint.
        present: the target shows it.
        positive: highest similarity near the keypoint; None where the target lacks it.
        negative: highest similarity anywhere else; None where there is nothing else.
        kap_without: the pair's KAP if this keypoint were left out; NaN where nothing positive would be left.
    """

    name: str
    present: bool
    positive: float | None
    negative: float | None
    kap_without: float


def precision_recall_figure(report: Report, over: str = "all") -> Figure:
    """Precision against recall of each similarity, over all pairs or a category; the area below a line is its KAP."""
    figure = _lines(report, "precision-recall", over)
    share = {"range": [0, 1.02]}
    protocol, threshold = report.settings["protocols"][0], report.settings["thresholds"][0]
    title = f"KAP@{threshold:g} ({protocol}), {_named(over)}"
    return figure.update_layout(title=title, xaxis={"title": "recall", **share}, yaxis={"title": "precision", **share})


def pck_figure(report: Report, over: str = "all") -> Figure:
    """PCK of each similarity against the threshold, over all pairs or a category."""
    figure = _lines(report, "PCK", over)
    share = report.settings["threshold is a share of"]
    axes = {"xaxis": {"title": f"threshold, share of {share}"}, "yaxis": {"title": "correct", "tickformat": ".0%"}}
    return figure.update_layout(title=f"PCK against the threshold, {_named(over)}", **axes)


def category_figure(report: Report, metric: str = "PCK") -> Figure:
    """A bar for each category and similarity at the first threshold, with its 95 % interval where there is one."""
    figure = _empty()
    threshold = report.settings["thresholds"][0]
    protocol = report.settings["protocols"][0] if metric == "KAP" else ""
    for name, colour in _colours(report.similarities).items():
        found = report.find(
            metric=metric, similarity=name, group="category", threshold=threshold, protocol=protocol
        )  # fmt: skip
        value = [bar.value for bar in found]
        above, below = [bar.high - bar.value for bar in found], [bar.value - bar.low for bar in found]
        ends = {"array": above, "arrayminus": below, "thickness": 1, "width": 2}
        figure.add_trace(
            Bar(name=name, x=[bar.over for bar in found], y=value, marker_color=colour, error_y=ends)
        )  # fmt: skip
    axis = {"tickformat": ".0%", "title": metric}
    return figure.update_layout(title=f"{metric}@{threshold:g} by category", barmode="group", yaxis=axis)


def keypoint_scores(
    table: KeypointTable, alpha: int = 0, protocol: int = 0, threshold: int = 0
) -> tuple[float, list[KeypointScore]]:
    """Explain the KAP of one pair.

    Args:
        table: of one pair (see `KeypointTable.select`).
        alpha: index of the similarity.
        protocol: index.
        threshold: index.

    Returns:
        The pair's KAP, NaN where the target shows none of the keypoints; and what each keypoint adds.
    """
    positive, negative = (
        [None if np.isnan(value) else float(value) for value in scores[alpha, protocol, threshold]]
        for scores in (table.kap_positive, table.kap_negative)
    )
    scores, labels, _ = kap_entries(table, alpha, protocol, threshold)
    # Entries come in the order of the rows: first those with a positive, then those with a negative.
    owner = np.array([i for side in (positive, negative) for i, score in enumerate(side) if score is not None])
    rows = [
        KeypointScore(str(name), bool(present), positive[i], negative[i], _kap(scores[owner != i], labels[owner != i]))
        for i, (name, present) in enumerate(zip(table.keypoint, table.present, strict=True))
    ]
    return _kap(scores, labels), rows


def keypoint_figure(kap: float, rows: list[KeypointScore]) -> Figure:
    """One pair's keypoints, each with its highest positive and negative score, the most confident negatives on top.

    A good similarity has all positives to the right of all negatives; a keypoint that the target lacks has only a
    negative, and the farther right that lies, the more it costs.
    """
    figure = _empty()
    rows = sorted(rows, key=lambda row: -np.inf if row.negative is None else row.negative)
    names = [row.name if row.present else f"{row.name} (absent)" for row in rows]
    for row, name in zip(rows, names, strict=True):
        if row.positive is not None and row.negative is not None:
            line = {"color": RIGHT if row.positive > row.negative else WRONG, "width": 2}
            ends = {"x": [row.positive, row.negative], "y": [name, name]}
            figure.add_trace(Scatter(**ends, mode="lines", line=line, showlegend=False, hoverinfo="skip"))
    kinds = {
        "near the keypoint": ([row.positive for row in rows], "circle", RIGHT),
        "anywhere else": ([row.negative if row.present else None for row in rows], "x", WRONG),
        "anywhere, though the target lacks it": (
            [None if row.present else row.negative for row in rows], "diamond", WRONG,
        ),
    }  # fmt: skip
    without = [f"KAP without it {100 * row.kap_without:.1f}" for row in rows]
    for label, (scores, symbol, colour) in kinds.items():
        marker = {"symbol": symbol, "color": colour, "size": 10}
        figure.add_trace(
            Scatter(x=scores, y=names, mode="markers", marker=marker, name=label, hovertext=without, hoverinfo="x+text")
        )
    figure.update_layout(
        title="KAP of this pair: " + ("undefined" if np.isnan(kap) else f"{100 * kap:.1f}"),
        xaxis={"title": "highest similarity"},
        yaxis={"categoryorder": "array", "categoryarray": names, "automargin": True},
        height=180 + 26 * len(rows),
    )
    return figure


def report_page(report: Report) -> str:
    """One HTML page with the figures and the tables, which needs no network."""
    figures = [precision_recall_figure(report), pck_figure(report)]
    figures += [category_figure(report, metric) for metric in ("PCK", "symmetric mistakes", "KAP")]
    drawn = [to_html(figure, full_html=False, include_plotlyjs=i == 0) for i, figure in enumerate(figures)]
    style = "body { font: 14px sans-serif; max-width: 1100px; margin: 1em auto } pre { overflow-x: auto }"
    head = f"<meta charset='utf-8'><title>Evaluation</title><style>{style}</style>"
    return f"<!doctype html>{head}{''.join(drawn)}<pre>{html.escape(report.table())}</pre>\n"


def _lines(report: Report, kind: str, over: str) -> Figure:
    figure, colours = _empty(), _colours(report.similarities)
    for curve in report.curves:
        if (curve.kind, curve.over) == (kind, over):
            line = {"color": colours[curve.similarity], "width": 2}
            figure.add_trace(Scatter(x=curve.x, y=curve.y, mode="lines", name=curve.similarity, line=line))
    return figure


def _empty() -> Figure:
    return Figure().update_layout(template="plotly_white", height=420, margin={"t": 60}, showlegend=True)


def _colours(similarities: tuple[str, ...]) -> dict[str, str]:
    others = iter(MORE_COLOURS * len(similarities))
    return {name: COLOURS.get(name) or next(others) for name in similarities}


def _named(over: str) -> str:
    return "all pairs" if over == "all" else over


def _kap(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision of some entries that count once each; NaN without a positive."""
    return float(weighted_average_precision(scores, labels, np.zeros(len(scores), int), np.ones((1, 1)))[0])

"""Plots of an evaluation: precision and recall, PCK by threshold and category, and one pair's KAP explained."""

from __future__ import annotations

import html

import numpy as np
from plotly.graph_objects import Bar, Figure, Scatter
from plotly.io import to_html

from spherecorr.evaluation.one_pair import KeypointScore
from spherecorr.evaluation.report import Report

COLOURS = {"raw": "#ff6e3a", "sphere": "#008df9", "fused": "#a33ee0"}
MORE_COLOURS = ("#009f81", "#9f0162", "#ffc33b", "#a86a1f", "#00c2f9")  # of further alphas
RIGHT, WRONG = "#009f81", "#e20134"


def precision_recall_figure(report: Report, over: str = "all") -> Figure:
    """Precision against recall of each similarity, over all pairs or a category; the area below a line is its KAP."""
    figure = _lines(report, "precision-recall", over)
    share = {"range": [0, 1.02]}
    protocol, threshold = report.settings["protocols"][0], report.settings["thresholds"][0]
    title = f"KAP@{threshold:g} ({protocol}), {_named(over)}"
    return figure.update_layout(title=title, xaxis={"title": "recall", **share}, yaxis={"title": "precision", **share})


def pair_figure(report: Report) -> Figure:
    """Precision against recall of one pair as steps: the area below a line is the pair's KAP by that similarity."""
    figure, colours = _empty(), _colours(report.similarities)
    for curve in report.curves:
        if (curve.kind, curve.over) == ("precision-recall", "all"):
            name = f"{curve.similarity}, KAP {100 * report.value('KAP', curve.similarity):.1f}"
            line = {"color": colours[curve.similarity], "width": 2, "shape": "vh"}
            x, y = [0, *curve.x], [curve.y[0], *curve.y]
            figure.add_trace(Scatter(x=x, y=y, mode="lines+markers", name=name, line=line, marker={"size": 5}))
    share = {"range": [-0.02, 1.02], "tickvals": [0, 0.5, 1]}
    return figure.update_layout(
        title="Precision and recall of this pair",
        xaxis={"title": "recall: share of the true places found", **share},
        yaxis={"title": "precision", **share},
        height=380,
    )


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
        height=180 + 24 * len(rows),
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

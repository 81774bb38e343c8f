"""Matches as records, and the records as the page's table, JSON and CSV."""

from __future__ import annotations

import csv
import html
import io
import json
from base64 import b64encode

import numpy as np

from spherecorr.matching.match import MatchResult
from spherecorr.views.matches import COLOURS, text_colour

KINDS = ("raw", "sphere", "fused")


def match_records(result: MatchResult) -> list[dict]:
    """One JSON-able record per point: pixels, scores and angles rounded for reading; None where there is nothing.

    Each of "raw", "sphere" and "fused" is None or a list of `{"xy": [x, y], "score": s}`, best first.
    """
    records = []
    for i, point in enumerate(result.points):
        record = {"number": i + 1, "source": _numbers(point)}
        for kind in KINDS:
            ranked = getattr(result, kind)
            record[kind] = ranked and [
                {"xy": _numbers(xy), "score": round(float(score), 4)}
                for xy, score in zip(ranked.xy[i], ranked.score[i], strict=True)
                if np.isfinite(score)
            ]
        for name in ("raw_cycle", "fused_cycle", "raw_angle", "nearest_angle"):
            values = getattr(result, name)
            record[name] = None if values is None or np.isnan(values[i]) else round(float(values[i]), 2)
        for name in ("symmetric_mistake", "visible"):
            values = getattr(result, name)
            record[name] = None if values is None else bool(values[i])
        records.append(record)
    return records


def table_html(records: list[dict], active: int | None, changed: list[bool], about: dict) -> str:
    """The page's table with its export links.

    Args:
        records: from `match_records`.
        active: index of the row to stress.
        changed: per row, whether alpha has moved the fused match away from where the recommended alpha has it.
        about: what the export says besides the matches: images, backbone, settings.
    """
    if not records:
        return '<p class="sc-hint">No points yet. Click a part of the source image.</p>'
    head = "".join(
        f'<th title="{html.escape(title)}">{name}</th>'
        for name, title in (
            ("", "Number of the point"),
            ("source", "The point, in original pixels of the source"),
            ("raw", "Best match by the backbone's features: original pixels of the target, cosine similarity"),
            ("sphere", "Best match by the sphere"),
            ("fused", "Best match by both, mixed with alpha"),
            ("angle", "Degrees on the sphere between the point and its raw match"),
            ("cycle", "Pixels between the point and the way there and back: raw, fused"),
            ("", "What to look at"),
        )
    )
    body = "".join(
        _row(record, i == active, moved) for i, (record, moved) in enumerate(zip(records, changed, strict=True))
    )
    document = json.dumps({**about, "matches": records}, indent=1)
    links = _download("matches.json", "application/json", document) + _download(
        "matches.csv", "text/csv", csv_text(records)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="sc-table">{table}</div><div class="sc-export">Export {links}</div>'


def csv_text(records: list[dict]) -> str:
    """The best match of each kind per point, as CSV in original pixels."""
    columns = ["number", "source_x", "source_y"]
    columns += [f"{kind}_{field}" for kind in KINDS for field in ("x", "y", "score")]
    columns += ["raw_cycle", "fused_cycle", "raw_angle", "nearest_angle", "symmetric_mistake", "visible"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        best = [(record[kind] or [{"xy": ("", ""), "score": ""}])[0] for kind in KINDS]
        values = [value for match in best for value in (*match["xy"], match["score"])]
        writer.writerow([record["number"], *record["source"], *values, *(record[name] for name in columns[-6:])])
    return text.getvalue()


def _numbers(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values]


def _row(record: dict, active: bool, changed: bool) -> str:
    colour = COLOURS[(record["number"] - 1) % len(COLOURS)]
    badge = f'<b class="sc-badge" style="background:{colour};color:{text_colour(colour)}">{record["number"]}</b>'
    cells = [badge, _pixels(record["source"])]
    for kind in KINDS:
        best = record[kind][0] if record[kind] else None
        cells.append("–" if best is None else f"{_pixels(best['xy'])} <i>{best['score']:.2f}</i>")
    cells.append("–" if record["raw_angle"] is None else f"{record['raw_angle']:.0f}°")
    cycles = [record["raw_cycle"], record["fused_cycle"]]
    cells.append(" · ".join(f"{value:.0f}" for value in cycles if value is not None) + " px")
    flags = []
    if record["symmetric_mistake"]:
        flags.append('<span class="sc-flag sc-mistake">likely symmetric mistake</span>')
    if record["visible"] is False:
        flags.append('<span class="sc-flag sc-unseen">not visible</span>')
    if changed:
        flags.append('<span class="sc-flag sc-moved">moved by alpha</span>')
    cells.append(" ".join(flags))
    return f'<tr class="{"sc-active" if active else ""}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _pixels(xy: list[float]) -> str:
    return f"{xy[0]:.0f}, {xy[1]:.0f}"


def _download(name: str, mime: str, text: str) -> str:
    link = f"data:{mime};base64,{b64encode(text.encode()).decode()}"
    return f'<a download="{name}" href="{link}">{name.partition(".")[2].upper()}</a>'

"""Our scores on SPair-71k beside the published ones, and whether the sphere helps the categories that it should."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spherecorr.evaluation.published import (
    BY_CATEGORY,
    CATEGORIES,
    COUNTERPARTS,
    PER_IMAGE,
    PER_IMAGE_SOURCE,
    RAW,
    SPHERE,
    CategoryRow,
)  # fmt: skip
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.tables import Table, percent

THRESHOLDS = (0.1, 0.05, 0.01)
SHORT = {"aeroplane": "aero", "motorbike": "moto", "pottedplant": "plant", "tvmonitor": "tv"}
NOTES = (
    "Rows by category and 'All' are PCK@0.1 over keypoints; the other table is PCK per image. Ours are the averages "
    "'pooled' and 'per image' of the report.",
    "The published 'All' equals none of the usual means: read differences to it as good to about a point.",
    "Published rows with a sphere mix it with SD+DINOv2. No numbers are known for the sphere alone, for DINOv2 with "
    f"the sphere, for KAP, or for {SPHERE} on tvmonitor: '?'.",
)


@dataclass(frozen=True)
class Signature:
    """Where the sphere gains and loses against raw features, published and ours, in points of PCK@0.1.

    Attributes:
        categories: for which both are known.
        published: of each.
        ours: of each.
        agree: how many have the same sign.
        rank_correlation: Spearman's; NaN for fewer than three categories or where one side is constant.
    """

    categories: tuple[str, ...]
    published: tuple[float, ...]
    ours: tuple[float, ...]
    agree: int
    rank_correlation: float


def published_change() -> dict[str, float]:
    """Category -> published points that the sphere adds to SD+DINOv2, where both rows are known."""
    rows = {row.method: row.values for row in BY_CATEGORY}
    both = zip(CATEGORIES, rows[SPHERE], rows[RAW], strict=True)
    return {
        name: round(with_sphere - raw, 1)
        for name, with_sphere, raw in both
        if with_sphere is not None and raw is not None
    }


def signature(report: Report, similarity: str = "fused") -> Signature:
    """Compare the sphere's gain in each category with the published one."""
    change = published_change()
    ours = {name: 100 * report.value("PCK", f"{similarity} - raw", name, threshold=0.1) for name in report.categories}
    names = tuple(name for name in change if math.isfinite(ours.get(name, math.nan)))
    theirs, own = np.array([change[name] for name in names]), np.array([ours[name] for name in names])
    agree = int((np.sign(theirs) == np.sign(own)).sum())
    return Signature(names, tuple(theirs.tolist()), tuple(own.tolist()), agree, _rank_correlation(theirs, own))


def compare(report: Report, backbone: str) -> list[Table]:
    """The paper line's tables, with our rows and the differences below.

    Args:
        report: of SPair-71k's pairs, with thresholds 0.1, 0.05 and 0.01.
        backbone: name of ours; where raw features of it are published, ours are compared with them.
    """
    tables = [_by_category(report, backbone), _per_image(report, backbone)]
    return tables + [_signature_table(report, name) for name in report.similarities if name.startswith("fused")]


def _by_category(report: Report, backbone: str) -> Table:
    published = {row.method: row for row in BY_CATEGORY}
    ours = {name: _our_row(report, name) for name in report.similarities}
    rows = [
        [f"{row.method} [{_sources().index(row.source) + 1}]", *map(_points, _with_all(row))] for row in BY_CATEGORY
    ]
    rows += [[f"ours: {name}", *map(_points, values)] for name, values in ours.items()]
    for name, method in _opposites(report, backbone).items():
        pairs = zip(ours[name], _with_all(published[method]), strict=True)
        changes = [None if theirs is None else own - theirs for own, theirs in pairs]
        rows.append([f"{name} less {method}", *(_points(change, signed=True) for change in changes)])
    sources = ", ".join(f"[{i}] {source}" for i, source in enumerate(_sources(), start=1))
    columns = ["", *(SHORT.get(name, name) for name in CATEGORIES), "All"]
    return Table(f"SPair-71k, PCK@0.1 over keypoints, percent ({sources})", columns, rows)


def _per_image(report: Report, backbone: str) -> Table:
    published = {row.method: row for row in PER_IMAGE}
    rows = [
        [row.method + (" (supervised)" if row.supervised else ""), *map(_points, row.values)] for row in PER_IMAGE
    ]  # fmt: skip
    ours = {
        name: [100 * report.value("PCK", name, "per image", threshold=t) for t in reversed(THRESHOLDS)]
        for name in report.similarities
    }
    rows += [[f"ours: {name}", *map(_points, values)] for name, values in ours.items()]
    for name, method in _opposites(report, backbone).items():
        changes = [own - theirs for own, theirs in zip(ours[name], published[method].values, strict=True)]
        rows.append([f"{name} less {method}", *(_points(change, signed=True) for change in changes)])
    title = f"SPair-71k, PCK per image, percent ({PER_IMAGE_SOURCE})"
    return Table(title, ["", *(f"@{t:g}" for t in reversed(THRESHOLDS))], rows)


def _signature_table(report: Report, similarity: str) -> Table:
    found = signature(report, similarity)
    lines = zip(found.categories, found.published, found.ours, strict=True)
    rows = [
        [name, _points(theirs, True), _points(own, True), "yes" if np.sign(theirs) == np.sign(own) else "no"]
        for name, theirs, own in sorted(lines, key=lambda line: -line[1])
    ]
    correlation = f"{found.rank_correlation:.2f}" if math.isfinite(found.rank_correlation) else "undefined"
    title = f"What the sphere changes, PCK@0.1 in points: {similarity} - raw against {SPHERE} - {RAW}"
    verdict = f"{found.agree} of {len(rows)} signs agree, rank correlation {correlation}"
    return Table(f"{title}; {verdict}", ["", "published", "ours", "same sign"], rows)


def _our_row(report: Report, similarity: str) -> list[float]:
    """By category, NaN where the data lack it, and pooled over all."""
    values = [
        100 * report.value("PCK", similarity, name, threshold=0.1) if name in report.categories else math.nan
        for name in CATEGORIES
    ]
    return [*values, 100 * report.value("PCK", similarity, threshold=0.1)]


def _opposites(report: Report, backbone: str) -> dict[str, str]:
    """Our similarity -> the published row that it is set against."""
    raw = {"raw": COUNTERPARTS[backbone]} if backbone in COUNTERPARTS else {}
    return raw | {name: SPHERE for name in report.similarities if name.startswith("fused")}


def _with_all(row: CategoryRow) -> tuple[float | None, ...]:
    return (*row.values, row.all)


def _sources() -> list[str]:
    return list(dict.fromkeys(row.source for row in BY_CATEGORY))


def _points(value: float | None, signed: bool = False) -> str:
    return "?" if value is None else percent(value / 100, signed)


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's: the correlation of the ranks, equal values sharing theirs."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    ranks = [(values[:, None] > values).sum(axis=1) + 0.5 * (values[:, None] == values).sum(axis=1)
             for values in (first, second)]  # fmt: skip
    return float(np.corrcoef(*ranks)[0, 1])

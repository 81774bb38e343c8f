"""What an evaluation found: every figure with its interval and its name, as text and as files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.tables import Table, percent
from spherecorr.files import write_atomic

# The other averages stand in the files: symmetric mistakes and the like are read over all keypoints, and KAP is defined
# by category, so its pooled value belongs to the precision-recall curve of all pairs only.
PRINTED_AVERAGES = {
    "PCK": ("pooled", "per image", "macro", "pair-weighted"),
    "KAP": ("per image", "macro", "pair-weighted"),
}


CANDIDATES = {
    "content": "the image, never on padding",
    "all": "any cell, padding included",
    "foreground": "the foreground that sphere or features show",
    "mask": "the dataset's mask",
}


class ReportError(SpherecorrError):
    """There is nothing to report, or a figure that a report does not hold was asked for."""


@dataclass(frozen=True)
class Figure:
    """One number of a report.

    Attributes:
        metric: "PCK", "PCK-dagger", "geometry-aware PCK", "symmetric mistakes" or "KAP".
        protocol: of KAP (see `metrics.KAP_PROTOCOLS`), else empty.
        threshold: share of the target's side.
        similarity: "raw", "sphere", "fused" (with its alpha where there are several), or a difference of two.
        group: "average", "category", or the difficulty by which pairs are chosen.
        over: the average, the category, or the difficulty's value.
        value: 0..1; NaN where nothing counts.
        low: lower end of the 95 % interval; NaN where none was computed.
        high: its upper end.
        count: how many keypoints count; of KAP, its positives.
        negatives: of KAP, else 0.
    """

    metric: str
    protocol: str
    threshold: float
    similarity: str
    group: str
    over: str
    value: float
    low: float
    high: float
    count: int
    negatives: int = 0

    @property
    def chance(self) -> float:
        """KAP of similarities that say nothing; NaN for other metrics."""
        return self.count / (self.count + self.negatives) if self.negatives else math.nan


@dataclass(frozen=True)
class Curve:
    """A line of one category or of "all": "precision-recall" (recall, precision) or "PCK" (threshold, share)."""

    kind: str
    similarity: str
    over: str
    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        settings: JSON-able: every choice that decides the figures, and what was evaluated.
        similarities: names in the order of the alphas.
        categories: sorted.
        figures: all numbers.
        curves: precision-recall at the first threshold and protocol, and PCK against the threshold.
    """

    settings: dict[str, Any]
    similarities: tuple[str, ...]
    categories: tuple[str, ...]
    figures: tuple[Figure, ...]
    curves: tuple[Curve, ...] = field(repr=False)

    def find(self, **wanted: Any) -> list[Figure]:
        """All figures whose attributes have these values, such as `metric="KAP", similarity="raw"`."""
        return [figure for figure in self.figures if all(getattr(figure, k) == v for k, v in wanted.items())]

    def value(
        self,
        metric: str,
        similarity: str,
        over: str = "pooled",
        *,
        threshold: float | None = None,
        protocol: str | None = None,
    ) -> float:
        """One figure's value, 0..1.

        Args:
            metric: such as "PCK".
            similarity: such as "fused".
            over: an average or a category.
            threshold: the first by default.
            protocol: of KAP; the first by default.

        Raises:
            ReportError: the report has no such figure.
        """
        threshold = self.settings["thresholds"][0] if threshold is None else threshold
        protocol = (protocol or self.settings["protocols"][0]) if metric == "KAP" else ""
        wanted = {"metric": metric, "similarity": similarity, "over": over}
        for figure in self.find(**wanted, threshold=threshold, protocol=protocol):
            return figure.value
        raise ReportError(f"The report has no {metric} of '{similarity}' over '{over}' at {threshold:g}.")

    def table(self) -> str:
        """What was counted and how, and the figures at the first threshold, as text in percent."""
        return "\n\n".join([self._head(), *(table.text() for table in self.tables(self.settings["thresholds"][:1]))])

    def _head(self) -> str:
        said = self.settings
        counts = f"{said['pairs']:,} pairs, {said['keypoints']:,} keypoints"
        lines = [
            f"{counts}; {said['keypoints absent in the target']:,} more are absent in the target",
            f"thresholds are shares of {said['threshold is a share of']}; correct if {said['correct if']}",
            f"similarity {said['fusion']}, alpha {', '.join(f'{alpha:g}' for alpha in said['alphas'])}; "
            f"matches lie on {CANDIDATES[said['candidates']]}"
            + ("" if said["soft window"] is None else f", refined over {said['soft window']} cells each way"),
        ]
        lines += [f"limited to {said['limit']}"] if "limit" in said else []
        if "left out" in said:
            lines.append(f"left out: {said['left out']['count']:,}; the first: {said['left out']['first']}")
        return "\n".join(lines)

    def tables(self, thresholds: Sequence[float]) -> list[Table]:
        """Averages at some thresholds, and at the first of them every category and difficulty."""
        tables = [self._averages(thresholds), self._by_category(thresholds[0])]
        return [*tables, self._by_difficulty(thresholds[0])] if self.difficulties else tables

    @property
    def difficulties(self) -> dict[tuple[str, str], None]:
        """Names and values of the difficulties that the pairs have."""
        return dict.fromkeys((f.group, f.over) for f in self.figures if f.group not in ("average", "category"))

    def _averages(self, thresholds: Sequence[float]) -> Table:
        figures = self.find(group="average")
        names = list(dict.fromkeys(figure.similarity for figure in figures))
        by_key = {(f.metric, f.protocol, f.over, f.threshold, f.similarity): f for f in figures}
        rows = []
        for metric, protocol, over in dict.fromkeys(key[:3] for key in by_key):
            if over not in PRINTED_AVERAGES.get(metric, ("pooled",)):
                continue
            for threshold in thresholds:
                found = [by_key[metric, protocol, over, threshold, name] for name in names]
                label = f"{metric}@{threshold:g} {protocol}".rstrip()
                rows.append([f"{label}, {over}", *map(_with_interval, found), _counted(found[0])])
        return Table("Averages, percent", ["", *names, "counted"], rows)

    def _by_category(self, threshold: float) -> Table:
        shown = {"PCK": "PCK", "symmetric mistakes": "symmetric", "KAP": "KAP"}
        columns = [f"{short} {name}" for short in shown.values() for name in self.similarities]
        rows = []
        for category in self.categories:
            counted = self.find(metric="PCK", over=category, threshold=threshold)[0].count
            values = [
                self.value(metric, name, category, threshold=threshold)
                for metric in shown
                for name in self.similarities
            ]
            rows.append([category, f"{counted:,}", *map(percent, values)])
        title = f"Categories at {threshold:g}, percent; KAP {self.settings['protocols'][0]}"
        return Table(title, ["", "keypoints", *columns], rows)

    def _by_difficulty(self, threshold: float) -> Table:
        metrics = ("PCK", "symmetric mistakes")
        columns = [f"{metric.split()[0]} {name}" for metric in metrics for name in self.similarities]
        rows = []
        for group, over in self.difficulties:
            found = {
                (f.metric, f.similarity): f for f in self.find(group=group, over=over, threshold=threshold)
            }  # fmt: skip
            values = [found[metric, name].value for metric in metrics for name in self.similarities]
            count = found["PCK", self.similarities[0]].count
            rows.append([f"{group.replace('_', ' ')} {over}", f"{count:,}", *map(percent, values)])
        return Table(f"Difficulties at {threshold:g}, percent, pooled", ["", "keypoints", *columns], rows)

    def to_markdown(self, path: str | Path) -> None:
        """Write the settings, and the figures at every threshold as tables in percent."""
        settings = "\n".join(f"- {name}: {_words(value)}" for name, value in self.settings.items())
        tables = (table.markdown() for table in self.tables(self.settings["thresholds"]))
        write_atomic(path, ("\n\n".join(["# Evaluation", settings, *tables]) + "\n").encode())

    def to_json(self, path: str | Path) -> None:
        """Write settings, figures (one list each, named by `columns`) and curves; undefined numbers become null."""
        columns = [f.name for f in fields(Figure)]
        document = {
            "settings": self.settings,
            "similarities": self.similarities,
            "categories": self.categories,
            "columns": columns,
            "figures": [[_round(value) for value in astuple(figure)] for figure in self.figures],
            "curves": [{key: _round(value) for key, value in asdict(curve).items()} for curve in self.curves],
        }
        write_atomic(path, (json.dumps(document, allow_nan=False) + "\n").encode())

    def to_csv(self, path: str | Path) -> None:
        """Write one row per figure; undefined numbers stay empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(f.name for f in fields(Figure))
        writer.writerows([_round(value) for value in astuple(figure)] for figure in self.figures)
        write_atomic(path, text.getvalue().encode())

    def save(self, folder: str | Path) -> None:
        """Write report.json, report.md and report.csv."""
        folder = Path(folder)
        self.to_json(folder / "report.json")
        self.to_markdown(folder / "report.md")
        self.to_csv(folder / "report.csv")


def _round(value: Any) -> Any:
    """Six decimals, and None for NaN, as JSON and CSV want it."""
    if not isinstance(value, float):
        return value
    return round(value, 6) if math.isfinite(value) else None


def _with_interval(figure: Figure) -> str:
    """'56.4 [55.1, 57.6]'; differences have signs."""
    signed = " - " in figure.similarity
    text = percent(figure.value, signed)
    if math.isfinite(figure.low):
        text += f" [{percent(figure.low, signed)}, {percent(figure.high, signed)}]"
    return text


def _counted(figure: Figure) -> str:
    if figure.metric != "KAP":
        return f"{figure.count:,}"
    return f"{figure.count:,} of {figure.count + figure.negatives:,}, chance {percent(figure.chance)}"


def _words(value: Any) -> str:
    """A setting as it stands in the Markdown."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(entry)}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

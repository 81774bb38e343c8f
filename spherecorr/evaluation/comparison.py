"""Several methods on the same pairs: one row each, as text and as files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spherecorr.evaluation.cost import Cost
from spherecorr.evaluation.report import Report, Score
from spherecorr.evaluation.tables import Table, percent
from spherecorr.files import write_atomic

METRICS = {"KAP": "macro", "PCK": "pooled", "symmetric mistakes": "pooled", "decoys": "pooled"}
"""What a row shows, and over what it is averaged."""
COST_COLUMNS = ("ms an image", "ms a pair", "peak MB")


@dataclass(frozen=True)
class MethodResult:
    """What one method reached, and at what cost.

    Attributes:
        report: of the evaluation.
        similarity: the one of the report's that is the method's own.
        cost: measured when the method was first run.
    """

    report: Report
    similarity: str
    cost: Cost

    def score(self, metric: str) -> Score:
        """A metric of `METRICS` at the first threshold (and KAP's first protocol)."""
        settings = self.report.settings
        wanted = {"metric": metric, "similarity": self.similarity, "over": METRICS[metric]}
        protocol = settings["protocols"][0] if metric == "KAP" else ""
        (found,) = self.report.find(**wanted, threshold=settings["thresholds"][0], protocol=protocol)
        return found


@dataclass(frozen=True, repr=False)
class Comparison:
    """Methods by name, in the order in which they are shown; all of the same pairs, features and settings."""

    methods: Mapping[str, MethodResult]

    def __repr__(self) -> str:
        """The table, as text."""
        return self.table().text()

    def _repr_html_(self) -> str:
        """For notebooks: the table."""
        return self.table().html()

    def table(self) -> Table:
        """A row a method: percent, milliseconds and megabytes."""
        first = next(iter(self.methods.values())).report.settings
        at = f"@{first['thresholds'][0]:g}"
        columns = ["", f"KAP{at}, macro", f"PCK{at}", "symmetric mistakes", "decoys", *COST_COLUMNS]
        rows = [
            [name, *(percent(result.score(metric).value) for metric in METRICS), *_costs(result.cost)]
            for name, result in self.methods.items()
        ]
        title = f"{first['pairs']:,} pairs, {first['keypoints']:,} keypoints; {first['features']['backbone']}"
        return Table(title, columns, rows)

    def to_markdown(self, path: str | Path) -> None:
        """Write the table."""
        write_atomic(path, f"# Comparison\n\n{self.table().markdown()}\n".encode())

    def to_csv(self, path: str | Path) -> None:
        """Write one row for every score of every method, costs included; undefined numbers stay empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["method", "metric", "over", "threshold", "value", "low", "high", "count"])
        for name, result in self.methods.items():
            for score in result.report.find(similarity=result.similarity):
                metric = f"{score.metric} {score.protocol}".rstrip()
                values = [_written(value) for value in (score.value, score.low, score.high)]
                writer.writerow([name, metric, score.over, score.threshold, *values, score.count])
            cost = result.cost
            for metric in ("image_seconds", "pair_seconds", "peak_bytes"):
                writer.writerow([name, metric, "", "", _written(getattr(cost, metric)), "", "", ""])
        write_atomic(path, text.getvalue().encode())


def _costs(cost: Cost) -> list[str]:
    memory = "-" if math.isnan(cost.peak_bytes) else f"{cost.peak_bytes / 1e6:,.0f}"
    return [f"{1000 * cost.image_seconds:.1f}", f"{1000 * cost.pair_seconds:.1f}", memory]


def _written(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""

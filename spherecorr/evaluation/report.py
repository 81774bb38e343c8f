"""What an evaluation found: every score with its interval and its name, as text and as files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
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
    """There is nothing to report, or a score that a report does not hold was asked for."""


NOTES = (
    "symmetric mistakes: of the keypoints that the target shows together with their mirrored keypoint, those matched "
    "within the threshold of the mirrored one, and nearer to it",
    "decoys: of the keypoints that the target hides while it shows their mirrored keypoint, those matched within the "
    "threshold of the mirrored one",
    "KAP: constant similarities get the share of positives, random ones less: the highest of many far cells stands "
    "against the highest of a few near ones",
    "[-]: no 95 % interval, which needs two pairs of one category that count, and for KAP is computed for the first "
    "protocol and threshold",
)


@dataclass(frozen=True)
class Score:
    """One number of a report.

    Attributes:
        metric: "PCK", "PCK-dagger", "geometry-aware PCK", "symmetric mistakes", "decoys" or "KAP".
        protocol: of KAP (see `metrics.KAP_PROTOCOLS`), else empty.
        threshold: share of the target's side.
        similarity: "raw", "sphere", "fused" (with its alpha where there are several), or a difference of two.
        group: "average", "category", or the difficulty by which pairs are chosen.
        over: the average, the category, or the difficulty's value.
        value: 0..1; NaN where nothing counts.
        low: lower end of the 95 % interval; NaN where none was computed, or no category has two pairs to draw from.
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
    def positive_share(self) -> float:
        """Share of positives among KAP's entries; NaN for other metrics.

        Constant similarities get this KAP. Random ones get less: the negative of a keypoint is the highest of many
        cells, its positive the highest of a few.
        """
        return self.count / (self.count + self.negatives) if self.negatives else math.nan


@dataclass(frozen=True)
class Curve:
    """A line of one category or of "all": "precision-recall" (recall, precision) or "PCK" (threshold, share)."""

    kind: str
    similarity: str
    over: str
    x: list[float]
    y: list[float]


@dataclass(frozen=True, repr=False)
class Report:
    """What an evaluation found.

    Attributes:
        settings: JSON-able: every choice that decides the scores, and what was evaluated.
        similarities: names in the order of the alphas.
        categories: sorted.
        scores: all numbers.
        curves: precision-recall at the first threshold and protocol, and PCK against the threshold.
    """

    settings: dict[str, Any]
    similarities: tuple[str, ...]
    categories: tuple[str, ...]
    scores: tuple[Score, ...]
    curves: tuple[Curve, ...]

    def __repr__(self) -> str:
        """Two lines: how much was evaluated, and PCK and KAP of each similarity at the first threshold."""
        said, scores = self.settings, []
        for metric, over in (("PCK", "pooled"), ("KAP", "macro")):
            values = (percent(self.value(metric, name, over)) for name in self.similarities)
            scores.append(f"{metric}@{said['thresholds'][0]:g} {over} {', '.join(values)}")
        counts = f"{said['pairs']:,} pairs, {said['keypoints']:,} keypoints, {len(self.categories)} categories"
        return f"Report({counts}; similarities {', '.join(self.similarities)};\n  {'; '.join(scores)})"

    def _repr_html_(self) -> str:
        """For notebooks: what was counted, and the averages at the first threshold."""
        said = self.settings
        counts = f"{said['pairs']:,} pairs, {said['keypoints']:,} keypoints"
        absent = f"{said['keypoints absent in the target']:,} more are absent in the target"
        return f"<p>{counts}; {absent}</p>" + self._averages(said["thresholds"][:1]).html()

    def find(self, **wanted: Any) -> list[Score]:
        """All scores whose attributes have these values, such as `metric="KAP", similarity="raw"`."""
        return [score for score in self.scores if all(getattr(score, k) == v for k, v in wanted.items())]

    def value(
        self,
        metric: str,
        similarity: str,
        over: str = "pooled",
        *,
        threshold: float | None = None,
        protocol: str | None = None,
    ) -> float:
        """One score's value, 0..1.

        Args:
            metric: such as "PCK".
            similarity: such as "fused".
            over: an average or a category.
            threshold: the first by default.
            protocol: of KAP; the first by default.

        Raises:
            ReportError: the report has no such score.
        """
        threshold = self.settings["thresholds"][0] if threshold is None else threshold
        protocol = (protocol or self.settings["protocols"][0]) if metric == "KAP" else ""
        wanted = {"metric": metric, "similarity": similarity, "over": over}
        for score in self.find(**wanted, threshold=threshold, protocol=protocol):
            return score.value
        raise ReportError(f"The report has no {metric} of '{similarity}' over '{over}' at {threshold:g}.")

    def table(self) -> str:
        """What was counted and how, and the scores at the first threshold, as text in percent."""
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
        if "pose alignment" in said:
            lines.append(f"sources are mirrored where that is nearer to the target, by {said['pose alignment']} cells")
        lines += [f"limited to {said['limit']}"] if "limit" in said else []
        if "symmetry unknown" in said:
            lines.append(
                f"symmetric keypoints are not known, so nothing is counted that needs them: "
                f"{', '.join(said['symmetry unknown'])}"
            )
        if "left out" in said:
            lines.append(f"left out: {said['left out']['count']:,}; the first: {said['left out']['first']}")
        return "\n".join([*lines, *NOTES])

    def tables(self, thresholds: Sequence[float]) -> list[Table]:
        """Averages at some thresholds, and at the first of them every category and difficulty."""
        tables = [self._averages(thresholds), self._by_category(thresholds[0])]
        return [*tables, self._by_difficulty(thresholds[0])] if self.difficulties else tables

    @property
    def difficulties(self) -> dict[tuple[str, str], None]:
        """Names and values of the difficulties that the pairs have."""
        return dict.fromkeys((f.group, f.over) for f in self.scores if f.group not in ("average", "category"))

    def _averages(self, thresholds: Sequence[float]) -> Table:
        scores = self.find(group="average")
        names = list(dict.fromkeys(score.similarity for score in scores))
        by_key = {(s.metric, s.protocol, s.over, s.threshold, s.similarity): s for s in scores}
        rows = []
        for metric, protocol, over in dict.fromkeys(key[:3] for key in by_key):
            if over not in PRINTED_AVERAGES.get(metric, ("pooled",)):
                continue
            for threshold in thresholds:
                found = [by_key[metric, protocol, over, threshold, name] for name in names]
                label = f"{metric}@{threshold:g} {protocol}".rstrip()
                rows.append([f"{label}, {over}", *(self._with_interval(score) for score in found), _counted(found[0])])
        return Table("Averages, percent", ["", *names, "counted"], rows)

    def _with_interval(self, score: Score) -> str:
        """'56.4 [55.1, 57.6]', '56.4 [-]', or '56.4' where none were asked for; differences have signs."""
        signed = " - " in score.similarity
        text = percent(score.value, signed)
        if not self.settings["resamples"] or not math.isfinite(score.value):
            return text
        if not math.isfinite(score.low):
            return f"{text} [-]"
        return f"{text} [{percent(score.low, signed)}, {percent(score.high, signed)}]"

    def _by_category(self, threshold: float) -> Table:
        shown = {"PCK": "PCK", "symmetric mistakes": "symmetric", "decoys": "decoys", "KAP": "KAP"}
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
        metrics = ("PCK", "symmetric mistakes", "decoys")
        columns = [f"{metric.split()[0]} {name}" for metric in metrics for name in self.similarities]
        rows = []
        for group, over in self.difficulties:
            scores = self.find(group=group, over=over, threshold=threshold)
            found = {(score.metric, score.similarity): score for score in scores}
            values = [found[metric, name].value for metric in metrics for name in self.similarities]
            count = found["PCK", self.similarities[0]].count
            rows.append([f"{group.replace('_', ' ')} {over}", f"{count:,}", *map(percent, values)])
        return Table(f"Difficulties at {threshold:g}, percent, pooled", ["", "keypoints", *columns], rows)

    def to_markdown(self, path: str | Path) -> None:
        """Write the settings, and the scores at every threshold as tables in percent."""
        settings = "\n".join(f"- {name}: {_words(value)}" for name, value in self.settings.items())
        notes = "\n".join(f"- {note}" for note in NOTES)
        tables = (table.markdown() for table in self.tables(self.settings["thresholds"]))
        write_atomic(path, ("\n\n".join(["# Evaluation", settings, notes, *tables]) + "\n").encode())

    def to_json(self, path: str | Path) -> None:
        """Write settings, scores (one list each, named by `columns`) and curves; undefined numbers become null."""
        columns = [f.name for f in fields(Score)]
        document = {
            "settings": self.settings,
            "similarities": self.similarities,
            "categories": self.categories,
            "columns": columns,
            "scores": [[_round(value) for value in astuple(score)] for score in self.scores],
            "curves": [{key: _round(value) for key, value in asdict(curve).items()} for curve in self.curves],
        }
        write_atomic(path, (json.dumps(document, allow_nan=False) + "\n").encode())

    def to_csv(self, path: str | Path) -> None:
        """Write one row per score; undefined numbers stay empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(f.name for f in fields(Score))
        writer.writerows([_round(value) for value in astuple(score)] for score in self.scores)
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


def _counted(score: Score) -> str:
    if score.metric != "KAP":
        return f"{score.count:,}"
    return f"{score.count:,} positives of {score.count + score.negatives:,} (share {percent(score.positive_share)})"


def _words(value: Any) -> str:
    """A setting as it stands in the Markdown."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(entry)}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

"""SPair-71k's test split evaluated as the published figures were, and set beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spherecorr.data.registry import open_dataset
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.reproduction import NOTES, compare
from spherecorr.evaluation.tables import Table
from spherecorr.files import write_atomic
from spherecorr.pipelines.evaluate import evaluate_matches, save_report
from spherecorr.pipelines.settings import Models

PUBLISHED_CELLS = 60  # along each side: the grid of the public evaluations, 840 px with patches of 14
PUBLISHED = "published.md"


@dataclass(frozen=True, eq=False)
class Reproduction:
    """Our scores beside the published ones.

    Attributes:
        report: of the evaluation.
        tables: the paper line's tables with differences.
    """

    report: Report
    tables: list[Table]


def reproduce(
    name: str, root: str | Path, out: str | Path, models: Models | None = None, **choices: Any
) -> Reproduction | None:
    """Evaluate the test split on the public evaluations' grid and with their arithmetic, compare, and write all.

    Args:
        name: of the dataset: "spair".
        root: its folder.
        out: folder of the evaluation; gets `published.md` and the report.
        models: by default dinov2-b and no sphere.
        **choices: arguments of `evaluate_matches`.

    Returns:
        The comparison; None in a process that only helps.

    Raises:
        SpherecorrError: see `evaluate_matches`.
    """
    models = models or Models()
    if models.sphere in (None, "none") and choices.get("store") is None:
        models = replace(models, backbone=models.backbone or "dinov2-b")
    dataset = open_dataset(name, root)
    report = evaluate_matches(dataset, "test", out, models, cells=PUBLISHED_CELLS, framing="authors", **choices)
    if report is None:
        return None
    tables = compare(report, report.settings["features"]["backbone"])
    text = "\n\n".join([*(table.markdown() for table in tables), *NOTES])
    write_atomic(Path(out) / PUBLISHED, f"# SPair-71k, published and ours\n\n{text}\n".encode())
    save_report(report, out)
    return Reproduction(report, tables)

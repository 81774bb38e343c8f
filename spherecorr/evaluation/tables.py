"""Tables of words and numbers, as aligned text, as Markdown and as HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spherecorr.markup import html_table


@dataclass(frozen=True)
class Table:
    """A table whose first column holds names: `columns` their headings, `rows` the cells as they are to be read."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Columns of even width, names to the left, the others to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        aligned = []
        for line in lines:
            cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            aligned.append("  ".join([line[0].ljust(widths[0]), *cells]).rstrip())
        return "\n".join([self.title, *aligned])

    def markdown(self) -> str:
        """A heading of the second level, and the table."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        return "\n".join([f"## {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])

    def html(self) -> str:
        """The table, escaped."""
        return html_table(self.title, self.columns, self.rows)


def percent(share: float, signed: bool = False) -> str:
    """0.1234 -> '12.3', with a sign on request; '-' where it is undefined."""
    if not math.isfinite(share):
        return "-"
    return f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}"

"""Small HTML for notebooks: a table with everything escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a caption; the first cell of a row is its heading. Without columns it has no head.

    It has no styles: notebooks bring their own, and GitHub removes all others.
    """
    names = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    head = f"<thead><tr>{names}</tr></thead>" if columns else ""
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(f"<td>{html.escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>"

"""Draw which part of spherecorr imports which: `python docs/import_graph.py` writes docs/import_graph.svg.

A part is a module or a folder of the package. Parts stand on floors: each one above all that it imports, so every arrow
points down. Arrows that follow from others are left out, as are those to `errors`, which nearly every part imports.
"""

from __future__ import annotations

import argparse
import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "spherecorr"
LEFT_OUT = {"__init__", "__main__", "errors"}
WIDTH, HEIGHT, ACROSS, DOWN = 112, 34, 130, 84  # of a box, and from box to box


def imports_of(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Part -> the parts that it imports, anywhere in its files."""
    graph: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        if part in LEFT_OUT:
            continue
        found = graph.setdefault(part, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spherecorr."):
                found.add(node.module.split(".")[1])
    return {part: found - {part} - LEFT_OUT for part, found in graph.items()}


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """Part -> its floor, 0 for what imports nothing.

    Raises:
        ValueError: the parts import one another in a circle.
    """
    found: dict[str, int] = {}
    while len(found) < len(graph):
        ready = [part for part in graph if part not in found and graph[part] <= found.keys()]
        if not ready:
            raise ValueError(f"There is a circle among {', '.join(sorted(graph.keys() - found.keys()))}.")
        for part in ready:
            found[part] = 1 + max((found[other] for other in graph[part]), default=-1)
    return found


def needed(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that do not follow from others."""

    def below(part: str) -> set[str]:
        return graph[part].union(*(below(other) for other in graph[part]))

    return {
        part: {other for other in others if not any(other in below(step) for step in others - {other})}
        for part, others in graph.items()
    }


def draw(graph: dict[str, set[str]]) -> str:
    """The graph as SVG."""
    floor = floors(graph)
    rows = [sorted(part for part in graph if floor[part] == level) for level in range(max(floor.values()) + 1)]
    widest = max(map(len, rows)) * ACROSS
    place = {}
    for level, row in enumerate(rows):
        for i, part in enumerate(row):
            x = (widest - len(row) * ACROSS) / 2 + i * ACROSS + ACROSS / 2
            place[part] = x, (len(rows) - 1 - level) * DOWN + HEIGHT
    lines = []
    for part, others in needed(graph).items():
        for other in sorted(others):
            (x0, y0), (x1, y1) = place[part], place[other]
            bend = (y0 + y1) / 2
            path = f"M{x0:g},{y0 + HEIGHT / 2:g} C{x0:g},{bend:g} {x1:g},{bend:g} {x1:g},{y1 - HEIGHT / 2 - 5:g}"
            lines.append(f'<path d="{path}" marker-end="url(#tip)"/>')
    boxes = [
        f'<g><rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{x:g}" y="{y + 5:g}">{escape(part)}</text></g>'
        for part, (x, y) in place.items()
    ]
    style = (
        "path{fill:none;stroke:#8a94a3;stroke-width:1.2} rect{fill:#eef1fb;stroke:#4f5bb5}"
        "text{font:13px sans-serif;text-anchor:middle;fill:#1f2430} svg{background:#fff}"
    )
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" style="fill:#8a94a3;stroke:none"/></marker>'
    )
    size = f'width="{widest:g}" height="{len(rows) * DOWN:g}" viewBox="0 0 {widest:g} {len(rows) * DOWN:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style><defs>{tip}</defs>\n'
        + "\n".join(lines + boxes)
        + "\n</svg>\n"
    )


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".svg"))
    options = parser.parse_args()
    options.out.write_text(draw(imports_of()), encoding="utf-8")


if __name__ == "__main__":
    main()

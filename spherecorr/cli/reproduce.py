"""The command that sets our figures beside the published ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command
from spherecorr.cli.eval import add_options, make_report, write_report

PUBLISHED_CELLS = 60  # along each side: the grid of the public evaluations, 840 px with patches of 14


def register_reproduce(commands) -> None:
    """Options of `spherecorr reproduce`."""
    parser = add_command(
        commands,
        "reproduce",
        run_reproduce,
        "Set our figures on SPair-71k beside the published ones.\n"
        "Prints the paper line's tables with differences, and whether the sphere helps the categories that it should.",
        "spherecorr reproduce spair --root data/SPair-71k --backbone dinov2-b --sphere data/paper/best --alpha 0.2",
    )
    parser.add_argument("name", choices=("spair",), help="whose table")
    parser.add_argument("--root", type=Path, required=True, help="the dataset's folder")
    add_options(parser, padding="counted")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce-spair"), metavar="DIR",
                        help="folder to write (default: %(default)s)")  # fmt: skip
    parser.set_defaults(thresholds=None, sides="box")


def run_reproduce(options: argparse.Namespace) -> None:
    """Evaluate the test split on the public evaluations' grid, and compare."""
    from spherecorr.data.registry import open_dataset
    from spherecorr.evaluation.reproduction import NOTES, compare
    from spherecorr.files import write_atomic

    if options.sphere in (None, "none") and not options.store:
        options.backbone = options.backbone or "dinov2-b"
    dataset = open_dataset(options.name, options.root)
    report = make_report(options, dataset, "test", options.out, PUBLISHED_CELLS)
    if report is None:
        return
    tables = compare(report, report.settings["features"]["backbone"])
    text = "\n\n".join([*(table.markdown() for table in tables), *NOTES])
    write_atomic(options.out / "published.md", f"# SPair-71k, published and ours\n\n{text}\n".encode())
    print("\n\n".join([*(table.text() for table in tables), *NOTES, report.table()]))
    write_report(report, options.out)
    print(f"wrote {options.out / 'published.md'}")

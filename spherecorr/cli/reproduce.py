"""The command that sets our scores beside the published ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command
from spherecorr.cli.eval import add_options, choices, print_written


def register_reproduce(commands) -> None:
    """Options of `spherecorr reproduce`."""
    parser = add_command(
        commands,
        "reproduce",
        run_reproduce,
        "Set our scores on SPair-71k beside the published ones.\n"
        "Prints the tables of the papers with differences, and whether the sphere helps the categories that it should.",
        "spherecorr reproduce spair --root data/SPair-71k --backbone dinov2-b --sphere data/paper/best --alpha 0.2",
    )
    parser.add_argument("name", choices=("spair",), help="dataset with published scores")
    parser.add_argument("--root", type=Path, required=True, metavar="FOLDER", help="folder of the dataset")
    shown = {
        "backbone": "what the sphere was trained on, else dinov2-b",
        "resolution": "60 patches, as in the public evaluations",
    }
    add_options(parser, shown, candidates="all")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/reproduce-spair"),
        metavar="FOLDER",
        help="folder to write (default: %(default)s)",
    )


def run_reproduce(options: argparse.Namespace) -> None:
    """Evaluate the test split on the public evaluations' grid, compare, and print."""
    chosen = choices(options)

    from spherecorr.evaluation.reproduction import NOTES
    from spherecorr.pipelines.reproduce import PUBLISHED, reproduce

    found = reproduce(options.name, options.root, options.out, **chosen)
    if found is None:
        return
    print("\n\n".join([*(table.text() for table in found.tables), *NOTES, found.report.table()]))
    print_written(options.out)
    print(f"wrote {options.out / PUBLISHED}")

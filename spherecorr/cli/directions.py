"""The command that gives photographs the directions of their surface."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command, show_progress


def register_directions(actions) -> None:
    """Options of `spherecorr data directions`."""
    parser = add_command(
        actions,
        "directions",
        run_directions,
        "Give photographs that have a viewpoint and a mask the direction of the surface under each pixel.\n"
        "Renders of the same category, seen from about the same side and with a like silhouette, say which directions\n"
        "lie where; their mean counts where they agree. The photographs are copied, so that OUT is a dataset 'folder'\n"
        "from which training's surface loss learns.",
        "spherecorr data directions photographs --renders data/renders --out data/photographs-directions",
    )
    parser.add_argument("photographs", type=Path, help="folder with viewpoints.csv, pictures and masks")
    parser.add_argument(
        "--renders",
        type=Path,
        action="append",
        required=True,
        metavar="FOLDER",
        help="renders of `spherecorr render --split trn`, repeated for more of them",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to write, new or empty")


def run_directions(options: argparse.Namespace) -> None:
    """Write the folder, and say how many photographs got directions."""
    from spherecorr.pipelines.dense import add_directions

    count, labelled = add_directions(options.photographs, options.renders, options.out, progress=show_progress)
    print(f"wrote {options.out}: {count:,} photographs, {labelled:,} of them with directions")

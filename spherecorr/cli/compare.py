"""The command that sets several methods side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import (
    add_command,
    add_dataset,
    add_masks,
    add_skip_broken,
    print_left_out,
    show_progress,
)
from spherecorr.cli.flags import add_flags, given, list_of
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.matching.settings import MatchSettings
from spherecorr.pipelines.settings import METHODS, Models


def register_compare(commands) -> None:
    """Options of `spherecorr compare`."""
    methods = "\n".join(f"  {name:13} {text}" for name, text in METHODS.items())
    parser = add_command(
        commands,
        "compare",
        run_compare,
        "Set several methods side by side on one dataset and one backbone.\n"
        "Writes a table, a CSV file and a figure: KAP, PCK, symmetric mistakes, decoys, time and memory. Each method\n"
        "has its own folder; rerun the command to resume, or with more methods to add them.\n\n"
        f"methods:\n{methods}",
        "spherecorr train data/asic --preset asic --data renders renders --backbone mini\n"
        "  spherecorr train data/deil --preset deil --data renders renders --backbone mini\n"
        "  spherecorr compare renders renders --backbone mini --asic data/asic --deil data/deil --out runs/compare",
    )
    add_dataset(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to write")
    parser.add_argument("--split", default="test", help="split to compare on (default: %(default)s)")
    add_masks(parser)
    parser.add_argument(
        "--methods",
        type=list_of(str, "methods", "raw,fused"),
        metavar="A,...",
        help="(default: all that have their mapper)",
    )
    add_flags(parser, Models, shown={"resolution": "the sphere's, else 448 rounded down to whole patches"})
    parser.add_argument("--asic", type=Path, metavar="FOLDER", help="run of `train --preset asic`, a folder a category")
    parser.add_argument("--deil", type=Path, metavar="FOLDER", help="run of `train --preset deil`, or a checkpoint")
    add_flags(parser, MatchSettings, skip=("k",))
    parser.add_argument("--symmetry", type=Path, metavar="FILE.json", help="which keypoints are symmetric, as in eval")
    add_flags(parser, EvaluationSettings, skip=("protocols",))
    parser.add_argument("--limit", type=int, metavar="N", help="only N pairs, evenly spread over the list")
    add_skip_broken(parser)
    parser.add_argument("--overwrite", action="store_true", help="start over where a method's folder holds results")


def run_compare(options: argparse.Namespace) -> None:
    """Compare, print the table, and say what was written."""
    models, matching = Models(**given(options, Models)), MatchSettings(**given(options, MatchSettings))
    settings = EvaluationSettings(**given(options, EvaluationSettings))

    from spherecorr.data.registry import open_dataset
    from spherecorr.pipelines.compare import COMPARISON_FILES, compare

    broken: list[str] | None = [] if options.skip_broken else None
    found = compare(
        open_dataset(options.name, options.root, options.masks),
        options.split,
        options.out,
        models,
        methods=options.methods,
        asic=options.asic,
        deil=options.deil,
        alpha=matching.alpha,
        matching=matching,
        settings=settings,
        symmetry=options.symmetry,
        limit=options.limit,
        overwrite=options.overwrite,
        broken=broken,
        progress=show_progress,
    )
    print(found.table().text())
    print_left_out(broken)
    print(f"\nwrote {', '.join(COMPARISON_FILES)} to {options.out}")

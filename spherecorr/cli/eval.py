"""The command that evaluates any dataset, and the options that `reproduce` shares with it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spherecorr.cli.base import (
    add_command,
    add_dataset,
    add_masks,
    add_pose_align,
    add_skip_broken,
    print_left_out,
    show_progress,
)
from spherecorr.cli.flags import add_flags, given, list_of
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.matching.settings import MatchSettings
from spherecorr.pipelines.settings import Models


def register_eval(commands) -> None:
    """Options of `spherecorr eval`."""
    parser = add_command(
        commands,
        "eval",
        run_eval,
        "Score matches on a dataset: PCK and KAP of raw features, sphere and both.\n"
        "Writes tables, JSON, CSV and a page with figures. Rerun the command to resume a run that was stopped.\n"
        "Several processes share the work under\n"
        "`accelerate launch --multi_gpu --no_python --num_processes N spherecorr eval ...`.\n"
        "A dataset with viewpoints and no pairs is scored by the viewpoints that the sphere finds; options on how to\n"
        "match are then ignored.",
        "spherecorr eval spair data/SPair-71k --backbone dinov2-b --sphere data/paper/best --resolution 840 \\\n"
        "      --alpha 0.2,0.5 --out runs/spair",
    )
    add_dataset(parser)
    parser.add_argument("--split", help="split to evaluate (default: test, or all where there are no splits)")
    add_masks(parser)
    add_options(parser, {"resolution": "the sphere's, else 448 rounded down to whole patches"})
    add_flags(parser, EvaluationSettings, only=("thresholds", "sides"))
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder to write (default: runs/eval-NAME-SPLIT)")


def add_options(
    parser: argparse.ArgumentParser, shown: dict[str, str], candidates: str = MatchSettings.candidates
) -> None:
    """Options that `eval` and `reproduce` share; `shown` are the defaults of the models that the help shows."""
    add_flags(parser, Models, shown=shown)
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="features of `spherecorr extract` (default: computed)"
    )
    parser.add_argument(
        "--alpha",
        type=list_of(float, "numbers", "0.2,0.5"),
        metavar="X,...",
        help="shares of the sphere in the fused similarity, 0 to 1 (default: what the sphere recommends)",
    )
    add_flags(parser, MatchSettings, skip=("alpha", "k"), shown={"candidates": candidates})
    parser.set_defaults(candidates=candidates)
    add_pose_align(
        parser,
        "match a source as its mirror image where that is nearer to the target, by masks where there are any and by "
        "keypoints named left and right",
    )
    parser.add_argument(
        "--symmetry",
        type=Path,
        metavar="FILE.json",
        help="which keypoints are symmetric, instead of what is known of SPair-71k or what their names say",
    )
    add_flags(parser, EvaluationSettings, only=("inclusive", "resamples"))
    parser.add_argument("--limit", type=int, metavar="N", help="only N pairs, evenly spread over the list")
    add_skip_broken(parser, ", and list it in left-out.txt")
    parser.add_argument("--overwrite", action="store_true", help="start over where the output folder holds results")


def choices(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as arguments of `pipelines.evaluate.evaluate_matches`."""
    return {
        "models": Models(**given(options, Models)),
        "store": options.store,
        "alpha": options.alpha,
        "matching": MatchSettings(**given(options, MatchSettings, skip=("alpha",))),
        "pose_align": options.pose_align,
        "settings": EvaluationSettings(**given(options, EvaluationSettings)),
        "symmetry": options.symmetry,
        "limit": options.limit,
        "overwrite": options.overwrite,
        "broken": [] if options.skip_broken else None,
        "progress": show_progress,
    }


def run_eval(options: argparse.Namespace) -> None:
    """Evaluate, print the tables, write everything."""
    chosen = choices(options)

    from spherecorr.data.registry import open_dataset
    from spherecorr.pipelines.evaluate import evaluate_matches, save_report

    dataset = open_dataset(options.name, options.root, options.masks)
    split = options.split or ("test" if hasattr(dataset, "pairs") else dataset.splits[0])
    out = options.out or Path("runs") / f"eval-{options.name}-{split}"
    if not hasattr(dataset, "pairs"):
        print_viewpoints(dataset, split, out, chosen)
    elif report := evaluate_matches(dataset, split, out, **chosen):
        print(report.table())
        save_report(report, out)
        print_written(out)


def print_written(out: Path) -> None:
    """Say which files the report consists of."""
    from spherecorr.pipelines.evaluate import REPORT_FILES

    *first, last = REPORT_FILES
    print(f"\nwrote {', '.join(first)} and {last} to {out}")


def print_viewpoints(dataset: Any, split: str, out: Path, chosen: dict[str, Any]) -> None:
    """Score a dataset without pairs, and print its table."""
    from spherecorr.evaluation.tables import Table, percent
    from spherecorr.pipelines.evaluate import VIEWPOINTS, score_viewpoints

    names = ("models", "store", "limit", "overwrite", "broken", "progress")
    report = score_viewpoints(dataset, split, out, **{name: chosen[name] for name in names})
    if report is None:
        return
    rows = [
        [name, f"{score.images:,}", f"{score.median:.1f}", percent(score.near), percent(score.reversed)]
        for name, score in {**report.categories, "all": report.overall}.items()
    ]
    header = ["", "images", "median error, degrees", "% within 30", "% above 90"]
    print(Table("Azimuth by the nearest view of other objects", header, rows).text())
    print_left_out(chosen["broken"])
    print(f"\nwrote {out / VIEWPOINTS}")

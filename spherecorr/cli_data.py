"""The command that looks at datasets."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli_base import add_command

COLUMNS = ("split", "images", "pairs", "keypoints", "masks")


def register_data(commands) -> None:
    """Options of `spherecorr data check`."""
    data = commands.add_parser("data", help="Look at a dataset.", description="Look at a dataset.")
    parser = add_command(
        data.add_subparsers(metavar="ACTION", required=True),
        "check",
        run_check,
        "Read a whole dataset, count it, and name the first broken file.\n"
        "Where the number of pairs is published, it is compared.",
        "spherecorr data check spair data/SPair-71k --split test",
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        help="spair, spair-u, renders, ap10k, awa-pose, pf-pascal, pf-willow, freiburg-cars, eth80 or folder",
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="the dataset's folder")
    parser.add_argument("--split", help="only this one (default: all that are there)")
    parser.add_argument(
        "--skip-broken", action="store_true", help="go on after a broken file, and say how many were left out"
    )


def run_check(options: argparse.Namespace) -> None:
    """Check split by split, each with its line of the table."""
    from spherecorr.data.check import check_split
    from spherecorr.data.records import DatasetError
    from spherecorr.data.registry import DATASETS, open_dataset

    dataset = open_dataset(options.name, options.root)
    info = DATASETS[options.name]
    broken: list[str] | None = [] if options.skip_broken else None
    names: set[str] = set()
    splits = [options.split] if options.split else dict.fromkeys([*dataset.splits, *info.pairs])
    if not splits:
        raise DatasetError(f"'{options.root}' has no list of pairs in Layout/large.")
    print("".join(f"{column:>18}" if i == 0 else f"{column:>11}" for i, column in enumerate(COLUMNS)))
    for split in splits:
        count = check_split(dataset, split, broken)
        names |= count.names
        print(f"{split:>18}{count.images:>11,}{count.pairs:>11,}{count.keypoints:>11,}{count.masks:>11,}", flush=True)
        if not broken and count.pairs != info.pairs.get(split, count.pairs):
            raise DatasetError(
                f"The split {split} has {count.pairs:,} pairs; {info.title} has {info.pairs[split]:,}. "
                "Is the download complete?"
            )
    if not broken and not options.split and info.images and len(names) != info.images:
        raise DatasetError(f"There are {len(names):,} images; {info.title} has {info.images:,}.")
    if broken:
        sentences = dict.fromkeys(broken)  # pairs that show the same broken image say the same
        print(f"left out: {len(sentences):,}; the first: {next(iter(sentences))}")
    print(f"{len(names):,} images of {len(dataset.categories)} categories are sound")

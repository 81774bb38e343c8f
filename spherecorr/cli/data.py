"""The commands that look at datasets: counting one, writing its pairs, making masks for it."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from spherecorr.cli.base import (
    add_command,
    add_dataset,
    add_device,
    add_masks,
    add_skip_broken,
    print_left_out,
    show_progress,
)
from spherecorr.cli.directions import register_directions

COLUMNS = ("split", "images", "pairs", "keypoints", "masks")


def register_data(commands) -> None:
    """Options of `spherecorr data check`, `data pairs`, `data masks` and `data directions`."""
    summary = "Count a dataset, write its pairs, or make masks or directions for it."
    data = commands.add_parser("data", help=summary, description=summary)
    actions = data.add_subparsers(metavar="ACTION", required=True)
    register_check(actions)
    register_pairs(actions)
    register_masks(actions)
    register_directions(actions)


def register_check(actions) -> None:
    """Options of `spherecorr data check`."""
    parser = add_command(
        actions,
        "check",
        run_check,
        "Read a whole dataset, count it, and name the first broken file.\n"
        "The number of pairs is compared with the published one.",
        "spherecorr data check spair data/SPair-71k --split test",
    )
    add_dataset(parser)
    parser.add_argument("--split", help="only this split (default: all that are there)")
    add_masks(parser)
    add_skip_broken(parser)


def run_check(options: argparse.Namespace) -> None:
    """Check what the options name."""
    print_check(options.name, options.root, options.masks, options.split, [] if options.skip_broken else None)


def print_check(
    name: str,
    root: Path,
    masks: Path | None = None,
    split: str | None = None,
    broken: list[str] | None = None,
) -> None:
    """Check split by split, each with its line of the table."""
    from spherecorr.pipelines.prepare import check_dataset

    rows = 0
    kinds: Counter[str] = Counter()

    def counted(part, count) -> None:
        nonlocal rows
        if rows == 0:
            print("".join(f"{column:>18}" if i == 0 else f"{column:>11}" for i, column in enumerate(COLUMNS)))
        print(f"{part:>18}{count.images:>11,}{count.pairs:>11,}{count.keypoints:>11,}{count.masks:>11,}", flush=True)
        rows += 1
        kinds.update(count.mask_kinds)

    total = check_dataset(name, root, split=split, masks=masks, broken=broken, counted=counted)
    if kinds:
        print(f"masks are read as: {', '.join(f'{kind} ({number:,})' for kind, number in kinds.most_common())}")
    print_left_out(broken)
    print(f"{total.images:,} images of {total.categories} categories are sound")


def register_pairs(actions) -> None:
    """Options of `spherecorr data pairs`."""
    parser = add_command(
        actions,
        "pairs",
        run_pairs,
        "Write the list of a split's pairs, one a line: source and target, as category/image.\n"
        "AP-10K and AwA-Pose have no published lists; theirs are drawn here, the same on every machine.",
        "spherecorr data pairs awa-pose data/awa-pose --out awa_pose_test.txt",
    )
    add_dataset(parser)
    parser.add_argument("--split", default="test", help="split to list (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.txt", help="file to write")


def run_pairs(options: argparse.Namespace) -> None:
    """Read the pairs and write their images' ids."""
    from spherecorr.pipelines.prepare import write_pairs

    count = write_pairs(options.name, options.root, options.split, options.out)
    print(f"wrote {count:,} pairs to {options.out}")


def register_masks(actions) -> None:
    """Options of `spherecorr data masks`."""
    parser = add_command(
        actions,
        "masks",
        run_masks,
        "Segment a dataset's objects with torchvision's Mask R-CNN, as in the paper.\n"
        "Of the detections of the image's category, the one that overlaps the annotated box most is taken; where\n"
        "there is none, the dataset's own mask. Rerun the command to resume a run that was stopped. Give the folder\n"
        "to other commands as --masks.",
        "spherecorr data masks spair data/SPair-71k --out data/SPair-masks",
    )
    add_dataset(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder for the masks, outside of the dataset's"
    )
    parser.add_argument("--split", help="only this split (default: all that are there)")
    parser.add_argument(
        "--first", action="store_true", help="take the detection with the highest score, as the paper's code does"
    )
    add_device(parser)


def run_masks(options: argparse.Namespace) -> None:
    """Make the masks of every image, and say where they came from."""
    from spherecorr.pipelines.masks import segment

    counts = segment(
        options.name,
        options.root,
        options.out,
        split=options.split,
        rule="first" if options.first else "overlap",
        device=options.device,
        progress=show_progress,
    )
    print(
        f"wrote {options.out}: {counts['detection']:,} masks detected, {counts['own']:,} the dataset's own, "
        f"{counts['none']:,} images without a mask"
    )

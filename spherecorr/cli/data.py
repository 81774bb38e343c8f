"""The commands that look at datasets: counting one, writing its pairs, making masks for it."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from spherecorr.cli.base import add_command, describe_versions, progress

NAMES = "spair, spair-u, renders, ap10k, awa-pose, pf-pascal, pf-willow, freiburg-cars, eth80 or folder"
COLUMNS = ("split", "images", "pairs", "keypoints", "masks")


def register_data(commands) -> None:
    """Options of `spherecorr data check`, `data pairs` and `data masks`."""
    summary = "Count a dataset, write its pairs, or make masks for it."
    data = commands.add_parser("data", help=summary, description=summary)
    actions = data.add_subparsers(metavar="ACTION", required=True)
    register_check(actions)
    register_pairs(actions)
    register_masks(actions)


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a dataset."""
    parser.add_argument("name", metavar="NAME", help=NAMES)
    parser.add_argument("root", type=Path, metavar="ROOT", help="the dataset's folder")


# spherecorr data check


def register_check(actions) -> None:
    """Options of `spherecorr data check`."""
    parser = add_command(
        actions,
        "check",
        run_check,
        "Read a whole dataset, count it, and name the first broken file.\n"
        "Where the number of pairs is published, it is compared.",
        "spherecorr data check spair data/SPair-71k --split test",
    )
    add_dataset(parser)
    parser.add_argument("--split", help="only this one (default: all that are there)")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="masks that count instead of the dataset's own")
    parser.add_argument(
        "--skip-broken", action="store_true", help="go on after a broken file, and say how many were left out"
    )


def run_check(options: argparse.Namespace) -> None:
    """Check what the options name."""
    check(options.name, options.root, options.masks, options.split, options.skip_broken)


def check(
    name: str, root: Path, masks: Path | None = None, split: str | None = None, skip_broken: bool = False
) -> None:
    """Check split by split, each with its line of the table."""
    from spherecorr.data.check import check_split
    from spherecorr.data.records import DatasetError
    from spherecorr.data.registry import DATASETS, open_dataset

    dataset = open_dataset(name, root, masks)
    info = DATASETS[name]
    broken: list[str] | None = [] if skip_broken else None
    names: set[str] = set()
    kinds: Counter[str] = Counter()
    splits = [split] if split else dict.fromkeys([*dataset.splits, *info.pairs])
    if not splits:
        raise DatasetError(f"'{root}' has no list of pairs in Layout/large.")
    print("".join(f"{column:>18}" if i == 0 else f"{column:>11}" for i, column in enumerate(COLUMNS)))
    for part in splits:
        count = check_split(dataset, part, broken)
        names |= count.names
        kinds.update(count.mask_kinds)
        print(f"{part:>18}{count.images:>11,}{count.pairs:>11,}{count.keypoints:>11,}{count.masks:>11,}", flush=True)
        if not broken and count.pairs != info.pairs.get(part, count.pairs):
            raise DatasetError(
                f"The split {part} has {count.pairs:,} pairs; {info.title} has {info.pairs[part]:,}. "
                "Is the download complete?"
            )
    if not broken and not split and info.images and len(names) != info.images:
        raise DatasetError(f"There are {len(names):,} images; {info.title} has {info.images:,}.")
    if kinds:
        print(f"masks are read as: {', '.join(f'{kind} ({number:,})' for kind, number in kinds.most_common())}")
    if broken:
        sentences = dict.fromkeys(broken)  # pairs that show the same broken image say the same
        print(f"left out: {len(sentences):,}; the first: {next(iter(sentences))}")
    print(f"{len(names):,} images of {len(dataset.categories)} categories are sound")


# spherecorr data pairs


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
    parser.add_argument("--split", default="test", help="which (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.txt", help="the list")


def run_pairs(options: argparse.Namespace) -> None:
    """Read the pairs and write their images' ids."""
    from spherecorr.data.records import DatasetError
    from spherecorr.data.registry import open_dataset
    from spherecorr.files import write_atomic

    dataset = open_dataset(options.name, options.root)
    if not hasattr(dataset, "pairs"):
        raise DatasetError(f"{dataset.title} has no pairs.")
    lines = [f"{pair.source.id} {pair.target.id}\n" for pair in dataset.pairs(options.split)]
    write_atomic(options.out, "".join(lines).encode())
    print(f"wrote {len(lines):,} pairs to {options.out}")


# spherecorr data masks


def register_masks(actions) -> None:
    """Options of `spherecorr data masks`."""
    parser = add_command(
        actions,
        "masks",
        run_masks,
        "Segment a dataset's objects with torchvision's Mask R-CNN, as in the paper.\n"
        "Taken is the detection of the category that overlaps the annotated box most; where there is none, the\n"
        "dataset's own mask. A run that was stopped goes on. Give the folder to other commands as --masks.",
        "spherecorr data masks spair data/SPair-71k --out data/SPair-masks",
    )
    add_dataset(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for the masks, not in the dataset")
    parser.add_argument("--split", help="only this one (default: all that are there)")
    parser.add_argument(
        "--first", action="store_true", help="take the detection with the highest score, as the paper's code does"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")


def run_masks(options: argparse.Namespace) -> None:
    """Make the masks of every image, and say where they came from."""
    from importlib.metadata import version

    from spherecorr.data.registry import open_dataset
    from spherecorr.masking import check_folder, load_detector, make_masks

    check_folder(options.out, options.root)
    dataset = open_dataset(options.name, options.root)
    records = {}
    for split in [options.split] if options.split else dataset.splits:
        pairs = dataset.pairs(split) if hasattr(dataset, "pairs") else []
        shown = [image for pair in pairs for image in (pair.source, pair.target)]
        records |= {image.id: image for image in [*dataset.images(split), *shown]}
    detector = load_detector(options.device)
    rule = "first" if options.first else "overlap"
    versions = {**describe_versions(), "torchvision": version("torchvision")}
    counts = make_masks(list(records.values()), detector, options.out, rule, versions, progress("masks"))
    print(
        f"wrote {options.out}: {counts['detection']:,} masks detected, {counts['own']:,} the dataset's own, "
        f"{counts['none']:,} images without a mask"
    )

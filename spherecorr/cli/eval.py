"""The command that evaluates any dataset."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from spherecorr.cli.base import add_command, describe_versions, given, load_models, load_sphere_of, progress
from spherecorr.cli.data import add_dataset

VIEWPOINTS = "viewpoints.json"


def parse_numbers(text: str) -> tuple[float, ...]:
    """'0.2,0.5' -> (0.2, 0.5)."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"numbers are written as 0.2,0.5; got '{text}'") from error


def parse_thresholds(text: str) -> tuple[float, ...]:
    """Numbers above 0."""
    numbers = parse_numbers(text)
    if not all(number > 0 for number in numbers):
        raise argparse.ArgumentTypeError(f"thresholds are shares of a side, above 0; got '{text}'")
    return numbers


def parse_count(text: str) -> int:
    """'7' -> 7."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a count is a whole number, 0 or more; got '{text}'")
    return int(text)


def register_eval(commands) -> None:
    """Options of `spherecorr eval`."""
    parser = add_command(
        commands,
        "eval",
        run_eval,
        "Score matches on a dataset: PCK and KAP of raw features, sphere and both.\n"
        "Writes tables, JSON, CSV and a page with figures. A run that was stopped goes on by the same command.\n"
        "Several processes share it under\n"
        "`accelerate launch --multi_gpu --no_python --num_processes N spherecorr eval ...`.\n"
        "A dataset with viewpoints and no pairs is scored by the viewpoint that the sphere finds; options on how to\n"
        "match do not count then.",
        "spherecorr eval spair data/SPair-71k --backbone dinov2-b --sphere data/paper/best --resolution 840 \\\n"
        "      --alpha 0.2,0.5 --out runs/spair",
    )
    add_dataset(parser)
    parser.add_argument("--split", help="of the dataset (default: test, or all where there are no splits)")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="masks for the viewpoints (default: its own)")
    add_options(parser, padding="lowest")
    parser.add_argument(
        "--thresholds", type=parse_thresholds, metavar="X,...", help="of PCK and KAP (default: 0.1,0.05,0.01)"
    )
    parser.add_argument(
        "--sides",
        choices=("box", "image"),
        default="box",
        help="thresholds are shares of the target's box, or of the image (default: %(default)s; without boxes: image)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write (default: runs/eval-NAME-SPLIT)")


def add_options(parser: argparse.ArgumentParser, padding: str) -> None:
    """Options that `eval` and `reproduce` share, the latter with the public evaluations' padding."""
    parser.add_argument("--backbone", help="backbone (default: what the sphere was trained on, else mini)")
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="features of `spherecorr extract` (default: computed)"
    )
    parser.add_argument(
        "--sphere", help="sphere mapper: mini, a folder, a Hub id, or none (default: mini for the backbone mini)"
    )
    parser.add_argument(
        "--alpha", type=parse_numbers, metavar="X,...", help="the sphere's shares (default: what the mapper recommends)"
    )
    parser.add_argument("--resolution", type=int, metavar="PX", help="side of the padded input, where it is computed")
    parser.add_argument(
        "--fusion", choices=("cosine", "l2"), default="cosine", help="the similarity (default: %(default)s)"
    )
    parser.add_argument(
        "--padding",
        choices=("lowest", "counted"),
        default=padding,
        help="never match the padding around a picture, or count it like all else, as the public evaluations do "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--symmetry",
        type=Path,
        metavar="FILE.json",
        help="which keypoints are symmetric, for datasets that number them (default: as their names say)",
    )
    parser.add_argument("--inclusive", action="store_true", help="a match exactly at the threshold is correct")
    parser.add_argument(
        "--resamples", type=parse_count, default=500, help="behind the intervals (default: %(default)s)"
    )
    parser.add_argument("--limit", type=parse_count, metavar="N", help="only N pairs, evenly spread over the list")
    parser.add_argument(
        "--skip-broken", action="store_true", help="leave out what cannot be used, say how many, and list it in OUT"
    )
    parser.add_argument("--overwrite", action="store_true", help="begin anew where OUT holds other results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")


def run_eval(options: argparse.Namespace) -> None:
    """Evaluate, print the tables, write everything."""
    from spherecorr.data.registry import open_dataset

    dataset = open_dataset(options.name, options.root, options.masks)
    split = options.split or ("test" if hasattr(dataset, "pairs") else dataset.splits[0])
    out = options.out or Path("runs") / f"eval-{options.name}-{split}"
    if not hasattr(dataset, "pairs"):
        run_viewpoints(options, dataset, split, out)
    elif report := make_report(options, dataset, split, out):
        print(report.table())
        write_report(report, out)


def make_report(options: argparse.Namespace, dataset: Any, split: str, out: Path, cells: int | None = None):
    """Compute or open the features, and evaluate.

    Args:
        options: of the command.
        dataset: a reader with pairs.
        split: of it.
        out: folder of the evaluation.
        cells: along each side of the padded input, where no resolution is given.

    Returns:
        The Report; None in a process that only helps.
    """
    from spherecorr.data.symmetry import read_symmetry
    from spherecorr.evaluation.evaluate import EvaluationError, choose_alphas, evaluate, read_pairs, spread
    from spherecorr.parallel import join_processes

    # What can be refused is refused before features are computed.
    symmetry = read_symmetry(options.symmetry) if options.symmetry else None
    broken: list[str] | None = [] if options.skip_broken else None
    found = read_pairs(dataset, split, broken)
    if not found:
        raise EvaluationError(f"The split {split} has no pairs to evaluate{f': {broken[0]}' if broken else '.'}")
    pairs = spread(found, options.limit)
    origin, sphere = open_models(options)
    choose_alphas(sphere, options.alpha)
    images = {image.id: image for pair in pairs for image in (pair.source, pair.target)}
    features = find_features(options, origin, sphere, list(images.values()), out, cells)
    settings = {
        "dataset": dataset.title,
        "split": split,
        "sphere": sphere_named(options, sphere),
        "versions": describe_versions(),
    }
    if len(pairs) < len(found):
        settings["limit"] = f"{len(pairs):,} of {len(found):,} pairs, evenly spread"
    report = evaluate(
        pairs,
        features,
        sphere=sphere,
        alpha=options.alpha,
        **given(options, "thresholds"),
        sides=options.sides,
        fusion=options.fusion,
        padding=options.padding,
        symmetry=symmetry,
        inclusive=options.inclusive,
        resamples=options.resamples,
        out=out,
        overwrite=options.overwrite,
        broken=broken,
        settings=settings,
        progress=progress("scoring", "part"),
    )
    return report if join_processes(options.device).main else None


def sphere_named(options: argparse.Namespace, sphere) -> str:
    """What the results say of the sphere."""
    return options.sphere or ("mini" if sphere else "none")


def open_models(options: argparse.Namespace):
    """Open what gives features and the sphere for them.

    Returns:
        A Backbone or, where one is named, a FeatureStore; and the SphereMapper or None.
    """
    from spherecorr.evaluation.evaluate import EvaluationError
    from spherecorr.store import FeatureStore

    if options.store:
        origin = FeatureStore(options.store)
        source, resolution = origin.settings.source, origin.settings.resolution
        for name, there in (("backbone", source.backbone), ("resolution", resolution)):
            if getattr(options, name) not in (None, there):
                raise EvaluationError(f"The store '{options.store}' is of {name} {there}; --{name} says otherwise.")
        sphere = load_sphere_of(source.backbone, options.sphere, options.device)
    else:
        origin, sphere = load_models(options.backbone, options.sphere, options.device)
        source = origin.source
    if sphere:
        sphere.check(source)
    return origin, sphere


def find_features(options: argparse.Namespace, origin, sphere, images: list, out: Path, cells: int | None = None):
    """The features: the store itself, or what the backbone computes into the folder `features` of `out`."""
    from spherecorr.extraction import extract
    from spherecorr.parallel import join_processes
    from spherecorr.store import FeatureStore, partial_folder
    from spherecorr.store_settings import StoreSettings

    if isinstance(origin, FeatureStore):
        return origin
    backbone = origin
    resolution = options.resolution or (cells and cells * backbone.source.patch)
    resolution = resolution or (sphere.settings.resolution if sphere else backbone.default_resolution)
    settings, folder = StoreSettings(backbone.source, resolution), out / "features"
    processes = join_processes(options.device)
    if processes.main:
        # A folder that holds no results may be somebody's own.
        if options.overwrite and any((out / name).is_file() for name in ("settings.json", VIEWPOINTS)):
            for old in (folder, partial_folder(folder)):
                shutil.rmtree(old, ignore_errors=True)
        extract(images, backbone, settings, folder, progress=progress("features"))
    processes.barrier()
    return FeatureStore(folder)


def write_report(report, out: Path) -> None:
    """Write the report in all its forms, and say where."""
    from spherecorr.files import write_atomic
    from spherecorr.views.curves import report_page

    report.save(out)
    write_atomic(out / "report.html", report_page(report).encode())
    print(f"\nwrote report.md, report.json, report.csv and report.html to {out}")


def run_viewpoints(options: argparse.Namespace, dataset: Any, split: str, out: Path) -> None:
    """Score a dataset without pairs by the viewpoints that the sphere finds."""
    import json
    from dataclasses import asdict

    from spherecorr.data.check import check_image
    from spherecorr.data.reading import read_all
    from spherecorr.evaluation.evaluate import LEFT_OUT, EvaluationError, spread
    from spherecorr.evaluation.tables import Table, percent
    from spherecorr.evaluation.viewpoint import evaluate_viewpoints
    from spherecorr.files import write_atomic
    from spherecorr.parallel import join_processes

    broken: list[str] | None = [] if options.skip_broken else None
    found = [image for image in dataset.images(split, broken) if image.viewpoint is not None]
    if not found:
        raise EvaluationError(f"The split {split} of {dataset.title} has neither pairs nor viewpoints to score.")
    images = asked = spread(found, options.limit)
    if options.skip_broken:
        images = read_all(check_image, asked, broken)
    origin, sphere = open_models(options)
    if sphere is None:
        raise EvaluationError(
            "Viewpoints are read from a sphere, and there is none for this backbone; name a --sphere."
        )
    features = find_features(options, origin, sphere, images, out)
    if not join_processes(options.device).main:
        return
    report = evaluate_viewpoints(images, features, sphere, broken=broken, progress=progress("viewpoints"))
    rows = [
        [name, f"{score.images:,}", f"{score.median:.1f}", percent(score.near), percent(score.reversed)]
        for name, score in {**report.categories, "all": report.overall}.items()
    ]
    print(Table("Azimuth by the nearest view of other objects", ["", "images", "median error, degrees",
                "% within 30", "% above 90"], rows).text())  # fmt: skip
    settings = {
        "dataset": dataset.title,
        "split": split,
        "sphere": sphere_named(options, sphere),
        "features": asdict(features[images[0].id].source),
        "versions": describe_versions(),
    }
    if len(asked) < len(found):
        settings["limit"] = f"{len(asked):,} of {len(found):,} images, evenly spread"
    if broken:
        print(f"left out: {len(broken):,}; the first: {broken[0]}")
        settings["left out"] = {"count": len(broken), "first": broken[0]}
        write_atomic(out / LEFT_OUT, "".join(f"{sentence}\n" for sentence in broken).encode())
    document = {"settings": settings, **asdict(report)}
    write_atomic(out / VIEWPOINTS, (json.dumps(document, indent=2) + "\n").encode())
    print(f"\nwrote {out / VIEWPOINTS}")

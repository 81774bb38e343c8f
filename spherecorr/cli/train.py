"""The commands that make a sphere mapper: by training, or from a file of the paper's public code.

Options left out keep the defaults of the settings' dataclasses, which are imported only when a command runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spherecorr.cli.base import add_command, add_crop_options, describe_versions, given, progress
from spherecorr.cli.data import NAMES
from spherecorr.errors import SpherecorrError


def parse_weights(text: str) -> dict[str, float]:
    """'viewpoint=5,surface=1' -> {'viewpoint': 5.0, 'surface': 1.0}."""
    try:
        return {name: float(value) for name, value in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"weights are written as viewpoint=5,surface=1; got '{text}'") from error


# spherecorr train


def register_train(commands) -> None:
    """Options of `spherecorr train`."""
    parser = add_command(
        commands,
        "train",
        run_train,
        "Train a sphere mapper for a backbone.\n"
        "The backbone's features stay on disk: at 448 px 1.6 MB a crop with dinov2-b, 0.3 MB with mini. A run that\n"
        "was stopped goes on by the same command. Several GPUs, or processes with --device cpu, share each batch:\n"
        "  accelerate launch --multi_gpu --no_python --num_processes 2 spherecorr train ...",
        "spherecorr train data/sphere --data spair data/SPair-71k --backbone dinov2-b --resolution 448 --crops 4 \\\n"
        "      --crop square --smallest-crop 0.6 --weights viewpoint=5 --steps 4000 --val spair data/SPair-71k\n"
        "  spherecorr train data/paper --preset paper --live --data spair data/SPair-71k --backbone dinov2-b \\\n"
        "      --masks data/SPair-masks --val spair data/SPair-71k",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the run: checkpoints, metrics, state")
    parser.add_argument(
        "--data",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "ROOT"),
        help=f"dataset with viewpoints and masks, given again for more of them: {NAMES}",
    )
    parser.add_argument(
        "--split", help="of the data; its pairs' sources are taken (default: trn; of data that are not split, all)"
    )
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="masks that count instead of the dataset's own")
    parser.add_argument(
        "--backbone", metavar="NAME", help="mini, dinov2-b, local-dir:FOLDER, ... (default: the store's)"
    )
    add_training_crop_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--preset",
        choices=("fast", "paper"),
        default="fast",
        help="fast: minutes, the viewpoint leads; paper: the public run, 2,000 passes over the images in resized crops "
        "(default: %(default)s, whose values stand below)",
    )
    parser.add_argument(
        "--weights",
        type=parse_weights,
        default={},
        metavar="NAME=X,...",
        help="of the losses; those not named keep the preset's. The paper's: reconstruction=1.0, viewpoint=0.1, "
        "distance=0.3, orientation=0.3, surface=0.0, background=0.0, visibility=0.0, equivariance=0.0; "
        "fast has viewpoint=5 (surface wants renders; equivariance --live, and the crop square or resized)",
    )
    parser.add_argument("--steps", type=int, help="of the optimiser (default: 2000)")
    parser.add_argument("--batch", type=int, help="images in a step (default: 48)")
    parser.add_argument("--tokens", type=int, help="patches of an image in a step; 0 takes all (default: 256)")
    parser.add_argument(
        "--foreground-weight",
        type=float,
        metavar="X",
        help="of patches on the object; off it 1 (default: 1.0)",
    )
    parser.add_argument("--triplets", type=int, help="per image and step (default: 32)")
    parser.add_argument("--learning-rate", type=float, help="the highest (default: 0.001)")
    parser.add_argument("--optimiser", choices=("adamw", "muon"), help="muon wants fewer steps (default: adamw)")
    parser.add_argument("--weight-decay", type=float, help="of the optimiser (default: 0.01)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="of matrix products (default: fp32)")
    parser.add_argument("--seed", type=int, help="of everything (default: 0)")
    parser.add_argument("--log-every", type=int, metavar="STEPS", help="a line of metrics (default: 50)")
    parser.add_argument("--save-every", type=int, metavar="STEPS", help="what a stop cannot undo (default: 200)")
    parser.add_argument("--validate-every", type=int, metavar="STEPS", help="KAP and PCK of --val (default: 1000)")
    parser.add_argument("--val", nargs=2, metavar=("NAME", "ROOT"), help="dataset whose pairs choose the best mapper")
    parser.add_argument("--val-split", default="val", help="of that dataset (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")


def add_training_crop_options(parser: argparse.ArgumentParser) -> None:
    """What the mapper is trained on: crops of the images, stored or fresh."""
    parser.add_argument(
        "--store",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="features of `spherecorr extract --labels`, one for each --data; --crops and --mirrored may differ "
        "(default: OUT/features, ...)",
    )
    parser.add_argument("--live", action="store_true", help="store nothing: fresh crops through the backbone each step")
    parser.add_argument("--resolution", type=int, metavar="PX", help="side of the square input (default: 448)")
    add_crop_options(parser, crop="whole, square with --smallest-crop; paper: resized", crops="1; paper: 10")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The mapper's own settings."""
    parser.add_argument(
        "--positions",
        choices=("none", "frame"),
        help="none as in the paper, or frame: the mapper sees where a patch lies (default: none)",
    )
    parser.add_argument(
        "--start", metavar="SPHERE", help="mapper of the same shape to go on from: a folder, mini, ... (default: none)"
    )
    parser.add_argument("--width", type=int, help="channels of the mapper (default: half of the backbone's)")
    parser.add_argument("--depth", type=int, help="transformer blocks of the mapper (default: 1)")
    parser.add_argument("--alpha", type=float, help="share of the sphere to recommend, 0 to 1 (default: 0.2)")


def run_train(options: argparse.Namespace) -> None:
    """Store the features, train the mapper, and say where it is."""
    from dataclasses import replace

    from spherecorr.backbones import load_backbone
    from spherecorr.data.registry import open_dataset
    from spherecorr.parallel import join_processes
    from spherecorr.sphere.checkpoint import load_sphere
    from spherecorr.sphere.settings import SphereSettings
    from spherecorr.training.fit import fit
    from spherecorr.training.settings import LossWeights, preset

    LossWeights().changed(options.weights)  # refuses unknown names before anything is stored
    datasets = [open_dataset(name, root, options.masks) for name, root in options.data]
    splits = [options.split or ("all" if dataset.splits == ("all",) else "trn") for dataset in datasets]
    records = [dataset.images(split) for dataset, split in zip(datasets, splits, strict=True)]
    pairs = find_pairs(options)
    world = join_processes(options.device)
    there = find_store(options)
    backbone = load_backbone(options.backbone or there.settings.source, device=str(world.device))
    crops = crop_settings(options, backbone, there)
    start = load_sphere(options.start, device="cpu") if options.start else None
    names = ("positions", "width", "depth", "alpha")
    shape = given(options, *names)
    sphere = SphereSettings(backbone.source.dim, source=backbone.source, resolution=crops.resolution, **shape)
    settings = preset(options.preset, sphere, sum(map(len, records)))
    names = ("steps", "batch", "tokens", "foreground_weight", "triplets", "learning_rate", "optimiser", "weight_decay")
    names = (*names, "precision", "seed", "log_every", "save_every", "validate_every")
    settings = replace(settings, weights=settings.weights.changed(options.weights), **given(options, *names))

    data = open_crops(options, records, backbone, crops, world)
    validate = open_validation(options, pairs, backbone, crops.resolution) if pairs and world.main else None
    seen = {name: getattr(crops, name) for name in ("resolution", "crop", "smallest_crop", "crops", "mirrored")}
    about = {
        "data": {"names": [name for name, _ in options.data], "splits": splits, **seen, "live": options.live},
        **given(options, "start"),
        "versions": describe_versions(),
    }
    fit(data, settings, options.out, validate=validate, start=start, about=about, device=options.device)
    if world.main:
        report_run(options.out)


def find_pairs(options: argparse.Namespace) -> list:
    """The held-out pairs that the options name; none without --val."""
    from spherecorr.data.registry import open_dataset

    if not options.val:
        return []
    dataset = open_dataset(*options.val)
    if not hasattr(dataset, "pairs"):
        raise SpherecorrError(f"--val takes a dataset with pairs; {dataset.title} has none.")
    return dataset.pairs(options.val_split)


def find_store(options: argparse.Namespace):
    """The first store that is named and there already, or None."""
    from spherecorr.store import INDEX, FeatureStore

    if options.store and len(options.store) != len(options.data):
        raise SpherecorrError(
            f"There are {len(options.data)} --data and {len(options.store)} --store; each has its own."
        )
    for folder in options.store:
        if (folder / INDEX).is_file():
            return FeatureStore(folder)
    if not options.backbone:
        raise SpherecorrError("Name the backbone with --backbone, or with --store a store that is there.")
    return None


def crop_settings(options: argparse.Namespace, backbone, there):
    """Settings of the crops: a store's own, which the options must not contradict, or new ones."""
    from dataclasses import replace

    from spherecorr.store import FeatureStore
    from spherecorr.store_settings import StoreSettings

    cuts = given(options, "resolution", "crop", "smallest_crop", "crops", "mirrored")
    if options.smallest_crop:
        cuts.setdefault("crop", "square")
    if there:
        wanted = replace(there.settings, source=backbone.source, labels=True, **cuts)
        FeatureStore(there.folder, wanted)  # refuses others, in one sentence
        return wanted
    if options.preset == "paper":
        cuts = {"crop": "resized", "crops": 10, **cuts}
    if options.live:
        cuts["crops"] = 1  # a fresh one in every step
    return StoreSettings(backbone.source, labels=True, **{"resolution": 448, **given(options, "seed"), **cuts})


def open_crops(options: argparse.Namespace, records: list[list], backbone, crops, world):
    """The images of all datasets to train on."""
    from spherecorr.training.batches import JoinedCrops, LiveCrops

    categories = sorted({record.category for part in records for record in part})
    if options.live:
        images = [record for part in records for record in part]
        two = bool(options.weights.get("equivariance"))
        cuts = crops.crop, crops.smallest_crop, categories, crops.mirrored, two
        return LiveCrops(images, backbone, crops.resolution, *cuts)
    names = ["features", *(f"features{number}" for number in range(2, len(records) + 1))]
    folders = options.store or [options.out / name for name in names]
    parts = [
        stored_crops(part, folder, categories, backbone, crops, world)
        for part, folder in zip(records, folders, strict=True)
    ]
    return parts[0] if len(parts) == 1 else JoinedCrops(parts)


def stored_crops(records: list, folder: Path, categories: list[str], backbone, crops, world):
    """Crops of one dataset, from its store; the features are stored first, or their extraction goes on."""
    from dataclasses import replace

    from spherecorr.extraction import extract, size_on_disk
    from spherecorr.store import INDEX, FeatureStore
    from spherecorr.training.batches import StoredCrops

    if world.main and not (folder / INDEX).is_file():
        size = size_on_disk(records, crops) / 1e9
        print(f"{len(records):,} images, {size:.2f} GB in {folder}", flush=True)
        extract(records, backbone, crops, folder, progress=progress("features"))
    world.barrier()
    own = FeatureStore(folder).settings
    # Few photographs may have more crops than many renders, and mirrored ones.
    store = FeatureStore(folder, replace(crops, crops=own.crops, mirrored=own.mirrored, seed=own.seed))
    return StoredCrops(store, records, categories, device=world.device)


def open_validation(options: argparse.Namespace, pairs: list, backbone, resolution: int):
    """A function that scores a mapper on held-out pairs, whose features are stored first."""
    from spherecorr.extraction import extract
    from spherecorr.store_settings import StoreSettings
    from spherecorr.training.validation import validator

    images = list({image.id: image for pair in pairs for image in (pair.source, pair.target)}.values())
    folder, settings = options.out / "held-out", StoreSettings(backbone.source, resolution)
    return validator(pairs, extract(images, backbone, settings, folder, progress=progress("held-out features")))


def report_run(out: Path) -> None:
    """Print the validations' figures, and where the checkpoints are."""
    best = "best" if (out / "best").is_dir() else "last"
    for name in dict.fromkeys((best, "last")):
        about = json.loads((out / name / "config.json").read_text(encoding="utf-8"))
        figures = "".join(f"  {figure} {100 * value:.1f}" for figure, value in about.get("metrics", {}).items())
        print(f"{name}, step {about['step']}{figures}")
    print(f"wrote {out}, with the mapper to be used as --sphere {out / best}")


# spherecorr import


def register_import(commands) -> None:
    """Options of `spherecorr import`."""
    parser = add_command(
        commands,
        "import",
        run_import,
        "Convert a mapper that was trained with the paper's public code.\nIts terms stay those of whoever trained it.",
        "spherecorr import 200.pth data/spair-sphere && spherecorr match left.jpg right.jpg --point 212,153 \\\n"
        "      --sphere data/spair-sphere",
    )
    parser.add_argument("source", type=Path, metavar="FILE.pth", help="state dict with the keys sphere_mapper.*")
    parser.add_argument("out", type=Path, metavar="OUT", help="checkpoint folder to write")


def run_import(options: argparse.Namespace) -> None:
    """Read the state dict without running anything in it, and write it as a checkpoint folder."""
    from spherecorr.sphere.checkpoint import import_authors, save_sphere

    save_sphere(import_authors(options.source), options.out, metadata={"imported_from": options.source.name})
    print(f"wrote {options.out}, to be used as --sphere {options.out}")

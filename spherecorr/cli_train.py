"""The commands that make what matching needs: a small backbone, a sphere mapper.

Options left out keep the defaults of the settings' dataclasses, which are imported only when a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli_base import add_command, describe_versions, given, progress

PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def parse_layers(text: str) -> tuple[int, ...]:
    """'3,5' -> (3, 5)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"layers are written as 3,5,7,9; got '{text}'") from error


def parse_weights(text: str) -> dict[str, float]:
    """'viewpoint=5,surface=1' -> {'viewpoint': 5.0, 'surface': 1.0}."""
    try:
        return {name: float(value) for name, value in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"weights are written as viewpoint=5,surface=1; got '{text}'") from error


# spherecorr pretrain


def register_pretrain(commands) -> None:
    """Options of `spherecorr pretrain`."""
    parser = add_command(
        commands,
        "pretrain",
        run_pretrain,
        "Distil a small backbone from a larger one, without labels.\n"
        "All pictures and the teacher's answers are held in memory: 0.9 MB a picture at 448 px.",
        "spherecorr pretrain data/backbone --images data/renders/JPEGImages photos --teacher dino-s16 \\\n"
        "      --layers 3,5,7,9 --depth 6 --resolution 448 --steps 2400",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="checkpoint folder to write, in timm's local-dir layout")
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, metavar="FOLDER", help="searched for pictures, and below"
    )
    parser.add_argument("--teacher", required=True, metavar="NAME", help="a backbone with the student's patch size")
    parser.add_argument("--layers", type=parse_layers, metavar="A,B,...", help="the teacher's (default: 3,5,7,9)")
    parser.add_argument("--architecture", help="timm name of the student (default: vit_tiny_patch16_224)")
    parser.add_argument("--depth", type=int, help="transformer blocks of the student (default: 6)")
    parser.add_argument("--resolution", type=int, metavar="PX", help="side of the square input (default: 448)")
    parser.add_argument("--window", type=int, metavar="CELLS", help="part of a picture that a step sees (default: 14)")
    parser.add_argument("--batch", type=int, help="windows in a step (default: 32)")
    parser.add_argument("--steps", type=int, help="of training (default: 2400)")
    parser.add_argument("--learning-rate", type=float, help="the highest (default: 0.0015)")
    parser.add_argument("--weight-decay", type=float, help="of AdamW (default: 0.03)")
    parser.add_argument("--seed", type=int, help="of everything (default: 0)")
    parser.add_argument("--device", default="auto", help="of the teacher (default: %(default)s)")


def run_pretrain(options: argparse.Namespace) -> None:
    """Run the teacher over all pictures, train the student, write it."""
    import numpy as np

    from spherecorr.backbones import load_backbone
    from spherecorr.pretraining import PretrainSettings, distil, make_student, save_student, teacher_targets

    names = ("layers", "architecture", "depth", "resolution", "window", "batch", "steps")
    settings = PretrainSettings(**given(options, *names, "learning_rate", "weight_decay", "seed"))
    images = find_pictures(options.images)
    # In random order: the first ones alone decide the teacher's mean and principal components.
    images = [images[i] for i in np.random.default_rng(settings.seed).permutation(len(images))]
    teacher = load_backbone(options.teacher, device=options.device)
    width = make_student(settings).num_features
    targets = teacher_targets(images, teacher, settings, width, progress("teacher"))
    save_student(distil(targets, settings), settings, options.out)
    print(f"wrote {options.out}, to be used as --backbone local-dir:{options.out}")


def find_pictures(folders: list[Path]) -> list[Path]:
    """Every picture in some folders and below them, sorted."""
    found = sorted({path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in PICTURES})
    if not found:
        raise ValueError(f"There are no pictures in {', '.join(map(str, folders))} or below.")
    return found


# spherecorr train


def register_train(commands) -> None:
    """Options of `spherecorr train`."""
    parser = add_command(
        commands,
        "train",
        run_train,
        "Train a sphere mapper for a backbone.\n"
        "The features of all images are held in memory: at 448 px 1.6 MB an image with dinov2-b, 0.3 MB with mini.",
        "spherecorr train data/sphere --data data/renders --backbone dinov2-b --resolution 448 --positions none \\\n"
        "      --weights reconstruction=1,viewpoint=5,distance=0.3,orientation=0.3,surface=1 --steps 4000 \\\n"
        "      --smallest-crop 0.6 --alpha 0.3 --val data/renders",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="checkpoint folder to write")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="ROOT", help="SPair-71k, or renders; with masks for every image"
    )
    parser.add_argument(
        "--split", default="trn", help="of the data; its pairs' sources are taken (default: %(default)s)"
    )
    parser.add_argument("--backbone", required=True, metavar="NAME", help="mini, dinov2-b, local-dir:FOLDER, ...")
    parser.add_argument("--resolution", type=int, metavar="PX", help="side of the square input (default: 448)")
    parser.add_argument(
        "--smallest-crop",
        type=float,
        metavar="SHARE",
        help="cut each picture, once, to a random square of this share of its shorter side or more; 1: take whole "
        "pictures, padded (default: 1)",
    )
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
    parser.add_argument(
        "--weights",
        type=parse_weights,
        default={},
        metavar="NAME=X,...",
        help="of the losses; those not named keep the paper's: reconstruction=1.0, viewpoint=0.1, distance=0.3, "
        "orientation=0.3, surface=0.0, background=0.0 (surface wants renders)",
    )
    parser.add_argument("--steps", type=int, help="of the optimiser (default: 2000)")
    parser.add_argument("--batch", type=int, help="images in a step (default: 48)")
    parser.add_argument("--tokens", type=int, help="patches of an image in a step; 0 takes all (default: 256)")
    parser.add_argument("--triplets", type=int, help="per image and step (default: 32)")
    parser.add_argument("--learning-rate", type=float, help="the highest (default: 0.001)")
    parser.add_argument("--weight-decay", type=float, help="of AdamW (default: 0.01)")
    parser.add_argument("--seed", type=int, help="of everything (default: 0)")
    parser.add_argument("--val", type=Path, metavar="ROOT", help="dataset to score the mapper on at the end")
    parser.add_argument("--val-split", default="val", help="of that dataset (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="of the backbone (default: %(default)s)")


def run_train(options: argparse.Namespace) -> None:
    """Compute the features, train the mapper, write it, and score it where asked to."""
    from dataclasses import asdict

    from spherecorr.backbones import load_backbone
    from spherecorr.data.spair import SPair71k
    from spherecorr.sphere.checkpoint import load_sphere, save_sphere
    from spherecorr.sphere.mapper import SphereSettings
    from spherecorr.training import LossWeights, TrainSettings, fit, training_set

    known = asdict(LossWeights())
    if unknown := options.weights.keys() - known.keys():
        raise ValueError(f"There is no loss '{min(unknown)}'; there are {', '.join(known)}.")
    records = SPair71k(options.data).images(options.split)
    pairs = SPair71k(options.val).pairs(options.val_split) if options.val else []
    backbone = load_backbone(options.backbone, device=options.device)
    start = load_sphere(options.start, device="cpu") if options.start else None
    names = ("resolution", "positions", "width", "depth", "alpha")
    sphere = SphereSettings(backbone.source.dim, source=backbone.source, **given(options, *names))
    names = ("steps", "batch", "tokens", "triplets", "learning_rate", "weight_decay", "seed")
    settings = TrainSettings(sphere, LossWeights(**options.weights), **given(options, *names))

    cuts = given(options, "smallest_crop")
    data = training_set(records, backbone, sphere.resolution, progress("features"), seed=settings.seed, **cuts)
    mapper = fit(data, settings, start=start)
    training = {"images": len(records), **given(options, "start"), **cuts, **asdict(settings)}
    del training["sphere"]  # stored as the mapper's own
    metadata = {"training": training, "versions": describe_versions()}
    save_sphere(mapper, options.out, metadata=metadata)  # before the scoring, which may fail
    if pairs:
        metrics = score(mapper, backbone, pairs)
        print(format_scores(metrics))
        save_sphere(mapper, options.out, metadata={**metadata, "metrics": {options.val_split: metrics}})
    print(f"wrote {options.out}, to be used as --sphere {options.out}")


def score(mapper, backbone, pairs: list) -> dict[str, dict[str, dict[str, float]]]:
    """Score a mapper on pairs, padded to squares: category -> raw, sphere, fused -> fields of `Score`."""
    from dataclasses import asdict

    from spherecorr.evaluation import evaluate_pairs

    mapper.to(next(backbone.model.parameters()).device)
    images = {image.id: image.path for pair in pairs for image in (pair.source, pair.target)}
    features = {
        name: backbone(images[name], resolution=mapper.settings.resolution, framing="pad")
        for name in progress("scoring")(images)
    }
    spheres = {name: mapper.sphere_map(feature_map) for name, feature_map in features.items()}
    shares = {"raw": 0.0, "sphere": 1.0, "fused": mapper.settings.alpha}
    report = evaluate_pairs(pairs, features, spheres, sorted(set(shares.values())))
    return {
        category: {name: asdict(scores[share]) for name, share in shares.items()} for category, scores in report.items()
    }


def format_scores(metrics: dict[str, dict[str, dict[str, float]]]) -> str:
    """The scores as text, one line per category, in percent."""
    lines = [f"{'':>16} {'PCK@0.1':>21}    {'symmetric mistakes':>21}", f"{'':>16}" + 2 * "     raw sphere  fused   "]
    for category, scores in metrics.items():
        line = f"{category:>16}"
        for field in ("pck", "symmetric"):
            line += " " + "".join(f"{100 * scores[name][field]:7.1f}" for name in ("raw", "sphere", "fused")) + "   "
        lines.append(line)
    return "\n".join(line.rstrip() for line in lines)


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

"""The command that makes a small backbone.

Options left out keep the defaults of the settings' dataclass, which is imported only when the command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command, given, progress
from spherecorr.errors import SpherecorrError

PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def parse_layers(text: str) -> tuple[int, ...]:
    """'3,5' -> (3, 5)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"layers are written as 3,5,7,9; got '{text}'") from error


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
    parser.add_argument(
        "--start",
        choices=("random", "teacher"),
        help="random weights, or the first blocks of a teacher of the same architecture (default: random)",
    )
    parser.add_argument("--resolution", type=int, metavar="PX", help="side of the square input (default: 448)")
    parser.add_argument("--window", type=int, metavar="CELLS", help="part of a picture that a step sees (default: 14)")
    parser.add_argument("--batch", type=int, help="windows in a step (default: 32)")
    parser.add_argument("--steps", type=int, help="of training (default: 2400)")
    parser.add_argument("--learning-rate", type=float, help="the highest (default: 0.0015)")
    parser.add_argument("--weight-decay", type=float, help="of AdamW (default: 0.03)")
    parser.add_argument("--seed", type=int, help="of everything (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")


def run_pretrain(options: argparse.Namespace) -> None:
    """Run the teacher over all pictures, train the student, write it."""
    import numpy as np

    from spherecorr.backbones import load_backbone
    from spherecorr.training.pretrain_settings import PretrainSettings
    from spherecorr.training.pretraining import begin, distil, save_student, teacher_targets

    names = ("layers", "architecture", "depth", "start", "resolution", "window", "batch", "steps")
    settings = PretrainSettings(**given(options, *names, "learning_rate", "weight_decay", "seed"))
    images = find_pictures(options.images)
    # In random order: the first ones alone decide the teacher's mean and principal components.
    images = [images[i] for i in np.random.default_rng(settings.seed).permutation(len(images))]
    teacher = load_backbone(options.teacher, device=options.device)
    student = begin(teacher, settings)
    targets = teacher_targets(images, teacher, settings, student.num_features, progress("teacher"))
    save_student(distil(student, targets, settings, device=options.device), settings, options.out)
    print(f"wrote {options.out}, to be used as --backbone local-dir:{options.out}")


def find_pictures(folders: list[Path]) -> list[Path]:
    """Every picture in some folders and below them, sorted."""
    found = sorted({path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in PICTURES})
    if not found:
        raise SpherecorrError(f"There are no pictures in {', '.join(map(str, folders))} or below.")
    return found

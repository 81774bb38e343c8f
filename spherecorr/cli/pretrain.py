"""The command that makes a small backbone."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command, add_device, show_progress
from spherecorr.cli.flags import add_flags, given
from spherecorr.training.pretrain_settings import PretrainSettings


def register_pretrain(commands) -> None:
    """Options of `spherecorr pretrain`."""
    parser = add_command(
        commands,
        "pretrain",
        run_pretrain,
        "Distil a small backbone from a larger one, without labels.\n"
        "All pictures and the teacher's features are held in memory: 0.9 MB a picture at 448 px.",
        "spherecorr pretrain data/backbone --images data/renders/JPEGImages photos --teacher dino-s16 \\\n"
        "      --layers 3,5,7,9 --depth 6 --resolution 448 --steps 2400",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="checkpoint folder to write, in timm's local-dir layout")
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        required=True,
        metavar="FOLDER",
        help="folders of pictures, searched with all that is below them",
    )
    parser.add_argument("--teacher", required=True, metavar="NAME", help="a backbone with the student's patch size")
    add_flags(parser, PretrainSettings)
    add_device(parser)


def run_pretrain(options: argparse.Namespace) -> None:
    """Distil, and say where the student is."""
    settings = PretrainSettings(**given(options, PretrainSettings))

    from spherecorr.pipelines.pretrain import pretrain

    pretrain(options.images, options.teacher, options.out, settings, device=options.device, progress=show_progress)
    print(f"wrote {options.out}, to be used as --backbone local-dir:{options.out}")

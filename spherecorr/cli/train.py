"""The command that trains a sphere mapper."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from spherecorr.cli.base import (
    NAMES,
    add_command,
    add_device,
    add_masks,
    add_skip_broken,
    announce,
    print_left_out,
    print_run,
    show_progress,
    show_steps,
)
from spherecorr.cli.flags import add_flags, given, parse_weights
from spherecorr.cli.recipes import add_recipes, run_recipe
from spherecorr.pipelines.settings import Models
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store_settings import StoreSettings
from spherecorr.training.settings import LossWeights, PresetName, TrainSettings


def register_train(commands) -> None:
    """Options of `spherecorr train`."""
    parser = add_command(
        commands,
        "train",
        run_train,
        "Train a sphere mapper for a backbone.\n"
        "The backbone's features are stored on disk: at 448 px 1.6 MB a crop with dinov2-b, 0.3 MB with mini.\n"
        "Rerun the command to resume a run that was stopped. Several GPUs, or processes with --device cpu, share\n"
        "each batch:\n"
        "  accelerate launch --multi_gpu --no_python --num_processes 2 spherecorr train ...",
        "spherecorr train data/sphere --data spair data/SPair-71k --backbone dinov2-b --resolution 448 --crops 4 \\\n"
        "      --crop square --smallest-crop 0.6 --weights viewpoint=5 --steps 4000 --val spair data/SPair-71k\n"
        "  spherecorr train data/paper --preset paper --live --data spair data/SPair-71k --backbone dinov2-b \\\n"
        "      --masks data/SPair-masks --val spair data/SPair-71k\n"
        "  spherecorr train data/llamas --recipe teach --data folder llamas",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the run: checkpoints, metrics, state")
    parser.add_argument(
        "--data",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "ROOT"),
        help=f"dataset with viewpoints and masks, repeated for more of them: {NAMES}",
    )
    parser.add_argument(
        "--split",
        help="split to train on; the sources of its pairs are taken (default: trn; all of data that are not split)",
    )
    add_masks(parser)
    add_recipes(parser)
    add_flags(parser, Models, only=("backbone",), shown={"backbone": "the store's"})
    add_crop_options(parser)
    add_flags(parser, SphereSettings, only=("surface", "positions", "width", "depth", "alpha"))
    parser.add_argument(
        "--start", metavar="SPHERE", help="mapper of the same shape to start from: a folder, mini, ... (default: none)"
    )
    parser.add_argument(
        "--preset",
        choices=get_args(PresetName),
        default="fast",
        help="fast: minutes, the viewpoint leads; paper: the public run, 2,000 passes over the images in resized "
        "crops; asic: a flat atlas for each category, in OUT/CATEGORY; deil: a sphere from warps of single images "
        "(default: %(default)s, whose values are the defaults below)",
    )
    paper = ", ".join(f"{name}={weight}" for name, weight in vars(LossWeights()).items())
    parser.add_argument(
        "--weights",
        type=parse_weights,
        metavar="NAME=X,...",
        help=f"weights of the losses; those not named keep the preset's. The paper's: {paper}; fast has viewpoint=5 "
        "(surface needs renders)",
    )
    add_flags(parser, TrainSettings, skip=("sphere", "weights"))
    parser.add_argument("--val", nargs=2, metavar=("NAME", "ROOT"), help="dataset whose pairs choose the best mapper")
    parser.add_argument("--val-split", default="val", metavar="SPLIT", help="split of --val (default: %(default)s)")
    add_skip_broken(parser, ", and list it in OUT/left-out.txt")
    add_device(parser)


def add_crop_options(parser: argparse.ArgumentParser) -> None:
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
    add_flags(parser, SphereSettings, only=("resolution",))
    shown = {
        "crop": "whole, square with --smallest-crop; paper: resized; asic, deil: square",
        "crops": "1; paper: 10; asic, deil: 4",
    }
    add_flags(parser, StoreSettings, only=("crop", "smallest_crop", "crops", "mirrored"), shown=shown)


def run_train(options: argparse.Namespace) -> None:
    """Train the mapper, and say where it is."""
    if options.recipe or options.renders:
        return run_recipe(options)
    from spherecorr.parallel import join_processes
    from spherecorr.pipelines.atlases import train_atlases
    from spherecorr.pipelines.train import train

    broken: list[str] | None = [] if options.skip_broken else None
    trained = (train_atlases if options.preset == "asic" else train)(
        [tuple(entry) for entry in options.data],
        options.out,
        backbone=options.backbone,
        split=options.split,
        masks=options.masks,
        preset=options.preset,
        weights=options.weights,
        settings=given(options, TrainSettings, skip=("weights",)),
        sphere=given(options, SphereSettings),
        crops=given(options, StoreSettings),
        stores=options.store,
        live=options.live,
        start=options.start,
        validation=tuple(options.val) if options.val else None,
        validation_split=options.val_split,
        device=options.device,
        broken=broken,
        notify=announce,
        progress=show_progress,
        on_step=show_steps(),
    )
    if join_processes(options.device).main:
        print_left_out(broken)
        for run in map(options.out.joinpath, trained) if isinstance(trained, dict) else [options.out]:
            print_run(run)

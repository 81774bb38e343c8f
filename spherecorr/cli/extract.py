"""The command that stores features."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import (
    NAMES,
    add_command,
    add_dataset,
    add_device,
    add_masks,
    add_skip_broken,
    announce,
    print_left_out,
    show_progress,
)
from spherecorr.cli.flags import add_flags, given
from spherecorr.pipelines.settings import Models
from spherecorr.store_settings import StoreSettings


def register_extract(commands) -> None:
    """Options of `spherecorr extract`."""
    parser = add_command(
        commands,
        "extract",
        run_extract,
        "Compute the features of many images once and store them.\n"
        "Without --labels every image of the split is taken, for evaluation; with --labels the sources of its pairs,\n"
        "for training. The size on disk is printed first. Rerun the command to resume a run that was stopped.",
        "spherecorr extract spair data/SPair-71k --split test --backbone dinov2-b --resolution 840 \\\n"
        "      --out data/features/spair-test\n"
        "  spherecorr extract spair data/SPair-71k --split trn --backbone dinov2-b --resolution 448 \\\n"
        "      --labels --crop resized --crops 10 --out data/features/spair-trn",
    )
    add_dataset(parser, f"{NAMES}; or pictures, for any folder of pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="store to write")
    parser.add_argument("--split", help="split of the dataset (default: its only one)")
    add_masks(parser)
    add_flags(parser, Models, only=("backbone",), shown={"backbone": "mini"})
    parser.set_defaults(backbone="mini")
    add_flags(
        parser, StoreSettings, skip=("source", "parts"), shown={"resolution": "448, rounded down to whole patches"}
    )
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="crops in a forward pass (default: 8)")
    add_skip_broken(parser, ", and list it in the store's left-out.txt")
    add_device(parser)


def run_extract(options: argparse.Namespace) -> None:
    """Fill the store, and say what was left out."""
    from spherecorr.pipelines.extract import extract_features

    broken: list[str] | None = [] if options.skip_broken else None
    extract_features(
        options.name,
        options.root,
        options.out,
        backbone=options.backbone,
        split=options.split,
        masks=options.masks,
        settings=given(options, StoreSettings),
        batch=options.batch,
        device=options.device,
        broken=broken,
        notify=announce,
        progress=show_progress,
    )
    print_left_out(broken)
    print(f"wrote {options.out}, to be used as --store {options.out}")

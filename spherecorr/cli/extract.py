"""The command that stores features."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command, add_crop_options, given, progress
from spherecorr.cli.data import NAMES
from spherecorr.cli.pretrain import find_pictures

PICTURES = "pictures"  # in the place of a dataset's name


def register_extract(commands) -> None:
    """Options of `spherecorr extract`."""
    parser = add_command(
        commands,
        "extract",
        run_extract,
        "Compute the features of many images once and store them.\n"
        "Without --labels every image of the split is taken, as evaluation needs it; with --labels the sources of its\n"
        "pairs, which training takes. The size on disk is said before it begins; a run that was stopped goes on.",
        "spherecorr extract spair data/SPair-71k --split test --backbone dinov2-b --resolution 840 \\\n"
        "      --out data/features/spair-test\n"
        "  spherecorr extract spair data/SPair-71k --split trn --backbone dinov2-b --resolution 448 \\\n"
        "      --labels --crop resized --crops 10 --out data/features/spair-trn",
    )
    parser.add_argument("name", metavar="NAME", help=f"{NAMES}; or {PICTURES}, for any folder of pictures")
    parser.add_argument("root", type=Path, metavar="ROOT", help="the dataset's folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="store to write")
    parser.add_argument("--split", help="of the dataset (default: its only one)")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="masks that count instead of the dataset's own")
    parser.add_argument(
        "--backbone", default="mini", metavar="NAME", help="a name, local-dir:FOLDER, ... (default: mini)"
    )
    parser.add_argument("--resolution", type=int, metavar="PX", help="long side of the model's input (default: fast)")
    parser.add_argument(
        "--framing", choices=("pad", "fit"), help="pad to a square, or fit: keep the aspect ratio (default: pad)"
    )
    parser.add_argument("--labels", action="store_true", default=None, help="store what training needs; wants masks")
    add_crop_options(parser)
    parser.add_argument("--seed", type=int, help="of the crops (default: 0)")
    parser.add_argument("--batch", type=int, default=8, help="crops in a forward pass (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")


def run_extract(options: argparse.Namespace) -> None:
    """Say how large the store will be, and fill it."""
    records = find_records(options)

    from spherecorr.backbones import load_backbone
    from spherecorr.extraction import extract, size_on_disk
    from spherecorr.store_settings import StoreSettings

    backbone = load_backbone(options.backbone, device=options.device)
    names = ("framing", "labels", "crops", "crop", "smallest_crop", "mirrored", "seed")
    resolution = options.resolution or backbone.default_resolution
    settings = StoreSettings(backbone.source, resolution, **given(options, *names))
    size = size_on_disk(records, settings) / 1e9
    print(f"{len(records):,} images, {size:.2f} GB in {options.out}", flush=True)
    extract(records, backbone, settings, options.out, batch=options.batch, progress=progress("features"))
    print(f"wrote {options.out}, to be used as --store {options.out}")


def find_records(options: argparse.Namespace) -> list:
    """The images that the options name, each once."""
    from spherecorr.data.records import DatasetError
    from spherecorr.data.registry import open_dataset

    if options.name == PICTURES:
        return [picture_record(path, options.root) for path in find_pictures([options.root])]
    dataset = open_dataset(options.name, options.root, options.masks)
    if not options.split and len(dataset.splits) != 1:
        raise DatasetError(f"Name a split with --split; {dataset.title} has {', '.join(dataset.splits)}.")
    split = options.split or dataset.splits[0]
    records = dataset.images(split)
    if not options.labels and hasattr(dataset, "pairs"):
        records = [*records, *(image for pair in dataset.pairs(split) for image in (pair.source, pair.target))]
    return list({record.id: record for record in records}.values())


def picture_record(path: Path, root: Path):
    """A picture of no dataset: its id is its path below the folder."""
    from spherecorr.data.reading import picture_size
    from spherecorr.data.records import ImageRecord

    name = path.relative_to(root)
    return ImageRecord(name.as_posix(), path, picture_size(path), name.parent.as_posix(), None, {})

"""The command that fetches datasets, weights and published spheres."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command
from spherecorr.cli.progress import add_progress, reporting
from spherecorr.cli.spheres import fetch_sphere, list_spheres
from spherecorr.errors import SpherecorrError

SPHERE = "sphere"
"""In the place of a name: a published sphere follows."""


def register_download(commands) -> None:
    """Options of `spherecorr download`."""
    parser = add_command(
        commands,
        "download",
        run_download,
        "Fetch a dataset, the weights of a backbone, or a published sphere, and say where from, how large and under\n"
        "which licence. Rerun the command to resume a download that broke off. A dataset is counted at the end, as by\n"
        "spherecorr data check. A sphere's terms are to be accepted before it is fetched; `download sphere` lists all.",
        "spherecorr download spair --to data/SPair-71k\n  spherecorr download dinov2-b\n"
        "  spherecorr download sphere diysc-spair",
    )
    parser.add_argument("name", metavar="NAME", help="a dataset, see spherecorr data check; a backbone; or sphere")
    parser.add_argument("sphere", nargs="?", metavar="SPHERE", help="after `sphere`: which one (default: list them)")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="folder for the dataset (default: data/NAME)")
    parser.add_argument(
        "--mirror", metavar="URL", help="address of a folder with the dataset's or sphere's files on another server"
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="a sphere's file that was fetched by hand")
    parser.add_argument("--accept", action="store_true", help="accept a sphere's terms without being asked")
    add_progress(parser)


def run_download(options: argparse.Namespace) -> None:
    """Fetch what the name stands for."""
    from spherecorr.data.registry import DATASETS

    if options.name == SPHERE:
        if options.to:
            raise SpherecorrError("Spheres go beside the Hub's cache, without --to.")
        if options.sphere is None:
            list_spheres()
        else:
            fetch_sphere(options.sphere, options.file, options.mirror, options.accept, options.progress)
    elif options.sphere or options.file or options.accept:
        raise SpherecorrError(f"--accept, --file and a second name are for spheres: spherecorr download {SPHERE} NAME.")
    elif options.name in DATASETS:
        fetch_dataset(options.name, options.to or Path("data") / options.name, options.mirror, options.progress)
    elif options.to or options.mirror:
        raise SpherecorrError(
            f"'{options.name}' is no dataset; weights go into the Hub's cache, without --to and --mirror."
        )
    else:
        fetch_weights(options.name, options.progress)


def fetch_dataset(name: str, folder: Path, mirror: str | None, progress: str) -> None:
    """Download, unpack, count; a folder that is there is only counted."""
    from spherecorr.cli.data import print_check
    from spherecorr.data.download import address, download_dataset
    from spherecorr.data.registry import DATASETS

    info = DATASETS[name]
    print(f"{info.title}. Licence: {info.licence}. {info.how}".rstrip())
    if folder.is_dir() and any(folder.iterdir()):
        print(f"{folder} is there, so nothing is fetched")
    else:
        for file in info.downloads:
            size = f"about {file.megabytes:,.0f} MB" if file.megabytes else "size not known"
            print(f"from {address(file, mirror)} ({size})")
        with reporting(progress) as report:
            kept = download_dataset(info, folder, mirror, report, entry_bar)
        print(f"wrote {folder}; the files in {kept} are not needed any more")
    print_check(name, folder)


def entry_bar(entries):
    """Shows how many of an archive's files are written."""
    from tqdm import tqdm

    return tqdm(entries, desc="unpacking", unit="file")


def fetch_weights(name: str, progress: str) -> None:
    """Find a backbone's weights, downloading them into the Hub's cache where they are missing."""
    from spherecorr.backbones.registry import BACKBONES
    from spherecorr.backbones.weights import BackboneError, download_notice, fetch
    from spherecorr.data.registry import DATASETS

    try:
        if notice := download_notice(name):
            print(notice, flush=True)
        with reporting(progress) as report:
            paths = fetch(name, report)
    except BackboneError as error:
        if name in BACKBONES:
            raise
        raise SpherecorrError(f"{error} Datasets are {', '.join(DATASETS)}.") from error
    print(f"the weights are {', '.join(map(str, paths))}, to be used as --backbone {name}")

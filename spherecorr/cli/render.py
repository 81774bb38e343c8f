"""The command that renders training images.

Options left out keep the defaults of `RenderSettings`, which is imported only when the command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command, given, parse_names
from spherecorr.errors import SpherecorrError


def register_render(commands) -> None:
    """Options of `spherecorr render`."""
    parser = add_command(
        commands,
        "render",
        run_render,
        "Render objects with known viewpoint.\n"
        "The folder gets SPair-71k's layout. A run that was stopped goes on where it was.\n\n"
        "Objects are procedural; with --meshes they are deformed and painted copies of FOLDER/<category>/*.glb\n"
        "and *.obj, which must look along +x with +z up. No mesh is in two splits: of a category's files, in an order\n"
        "that their names decide, the first goes to trn, the second to test, the third to val, three more to trn,\n"
        "and so on.",
        "spherecorr render data/renders --split trn --count 4000 --pairs 500 --categories car,bus,aeroplane \\\n"
        "      --size 224 --seed 0 --backgrounds photos --processes 4\n"
        "  spherecorr render data/mesh-renders --split trn --count 4000 --pairs 500 --meshes meshes",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write; splits can share one")
    parser.add_argument("--split", help="trn, val or test; each draws other objects (default: trn)")
    parser.add_argument("--count", type=int, metavar="N", help="images over all categories (default: 1000)")
    parser.add_argument(
        "--pairs",
        type=int,
        metavar="N",
        help="pairs per category; training takes the images that are some pair's source, which all are once there are "
        "as many pairs as images (default: 100)",
    )
    parser.add_argument("--categories", type=parse_names, metavar="A,B,...", help="what to render (default: all)")
    parser.add_argument("--size", type=int, metavar="PX", help="side of the pictures (default: 224)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same files (default: 0)")
    parser.add_argument("--meshes", metavar="FOLDER", help="meshes to render (default: procedural objects)")
    parser.add_argument(
        "--backgrounds", metavar="FOLDER", help="photographs to put behind every second object (default: none)"
    )
    parser.add_argument("--supersample", type=int, metavar="N", help="rays per pixel along each side (default: 1)")
    parser.add_argument(
        "--studio", action="store_true", default=None, help="pale backdrops, for pictures that people look at"
    )
    parser.add_argument("--processes", type=int, default=2, help="at work together (default: %(default)s)")


def run_render(options: argparse.Namespace) -> None:
    """Render a split."""
    try:
        from spherecorr.render.dataset import render_dataset
        from spherecorr.render.settings import RenderSettings
    except ModuleNotFoundError as error:
        raise SpherecorrError(f'Rendering needs the package {error.name}: pip install -e ".[render]".') from error
    names = ("split", "count", "pairs", "categories", "size", "seed", "meshes", "backgrounds", "supersample", "studio")
    settings = RenderSettings(**given(options, *names))
    render_dataset(options.out, settings, options.processes)
    print(f"wrote split {settings.split} to {options.out}")

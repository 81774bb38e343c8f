"""The command that renders training images."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command
from spherecorr.cli.flags import add_flags, given
from spherecorr.errors import SpherecorrError
from spherecorr.render.settings import RenderSettings


def register_render(commands) -> None:
    """Options of `spherecorr render`."""
    parser = add_command(
        commands,
        "render",
        run_render,
        "Render objects with known viewpoint.\n"
        "The folder gets SPair-71k's layout. Rerun the command to resume a run that was stopped.\n\n"
        "Objects are procedural; with --meshes they are deformed and painted copies of FOLDER/<category>/*.glb\n"
        "and *.obj, which must look along +x with +z up. No mesh is in two splits: of a category's files, in an order\n"
        "that their names decide, the first goes to trn, the second to test, the third to val, three more to trn,\n"
        "and so on.\n\n"
        "Training takes the images that are the source of some pair: all of them, once there are as many pairs as\n"
        "images.",
        "spherecorr render data/renders --split trn --count 4000 --pairs 500 --categories car,bus,aeroplane \\\n"
        "      --size 224 --seed 0 --backgrounds photos --processes 4\n"
        "  spherecorr render data/mesh-renders --split trn --count 4000 --pairs 500 --meshes meshes",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write; splits can share one")
    add_flags(parser, RenderSettings)
    parser.add_argument(
        "--processes", type=int, default=2, metavar="N", help="processes that share the work (default: %(default)s)"
    )


def run_render(options: argparse.Namespace) -> None:
    """Render a split."""
    try:
        from spherecorr.render.dataset import render_dataset
    except ModuleNotFoundError as error:
        raise SpherecorrError(f'Rendering needs the package {error.name}: pip install -e ".[render]".') from error
    settings = RenderSettings(**given(options, RenderSettings))
    render_dataset(options.out, settings, options.processes)
    print(f"wrote split {settings.split} to {options.out}")

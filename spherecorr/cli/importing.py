"""The command that converts a mapper of the paper's public code."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command


def register_import(commands) -> None:
    """Options of `spherecorr import`."""
    parser = add_command(
        commands,
        "import",
        run_import,
        "Convert a mapper that was trained with the paper's public code.\n"
        "Its licence stays that of whoever trained it.",
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

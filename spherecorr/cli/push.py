"""The command that publishes a sphere."""

from __future__ import annotations

import argparse
from pathlib import Path

from spherecorr.cli.base import add_command


def register_push(commands) -> None:
    """Options of `spherecorr push`."""
    parser = add_command(
        commands,
        "push",
        run_push,
        "Upload a sphere to the Hugging Face Hub, with its card.\n"
        "A checkpoint without a README.md gets one. It needs `hf auth login`; no pictures are uploaded.",
        "spherecorr push data/llamas somebody/llama-sphere --private\n"
        "  spherecorr match left.jpg right.jpg --point 212,153 --sphere somebody/llama-sphere",
    )
    parser.add_argument("sphere", type=Path, metavar="SPHERE", help="checkpoint folder, such as data/sphere/best")
    parser.add_argument("repository", metavar="OWNER/NAME", help="repository of the Hub; made if it is missing")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument(
        "--licence", metavar="NAME", help="licence by the Hub's name, such as cc-by-4.0 (default: the backbone's)"
    )


def run_push(options: argparse.Namespace) -> None:
    """Upload, and say how the sphere is used from now on."""
    from spherecorr.pipelines.push import push_sphere

    page = push_sphere(options.sphere, options.repository, private=options.private, licence=options.licence)
    print(f"{page} has the sphere, to be used as --sphere {options.repository}")

"""The command that starts the web app."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spherecorr.cli.base import add_command, add_device
from spherecorr.errors import SpherecorrError

LISTING = "examples.json"


def register_app(commands) -> None:
    """Options of `spherecorr app`."""
    parser = add_command(
        commands,
        "app",
        run_app,
        "Start the web app.",
        "spherecorr app --host 0.0.0.0 --port 7860\n"
        "  spherecorr app --backbone dinov2-b --sphere data/sphere/best --data spair data/SPair-71k",
    )
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for all (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also open a public link through Gradio's servers")
    parser.add_argument(
        "--backbone",
        action="append",
        metavar="NAME",
        help="backbone to offer; repeat for more, the first is chosen at the start (default: all that are known)",
    )
    parser.add_argument(
        "--sphere",
        action="append",
        metavar="PATH",
        help="sphere mapper to offer: mini, a published one that was downloaded, a folder or a Hub id; repeat for "
        "more, the first is chosen at the start (default: mini, and the published ones)",
    )
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="FOLDER",
        help=f"folder with {LISTING} and the image pairs that it names (default: the pairs that ship)",
    )
    parser.add_argument(
        "--teach",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let visitors teach spheres with their own photographs (default: yes, but not on a Hugging Face Space)",
    )
    parser.add_argument("--asic", type=Path, metavar="FOLDER", help="atlases for the panel Methods, as in compare")
    parser.add_argument("--deil", type=Path, metavar="PATH", help="single-image sphere for that panel, as in compare")
    parser.add_argument(
        "--data",
        action="append",
        nargs=2,
        metavar=("NAME", "ROOT"),
        help="dataset whose test pairs the panel Ground truth offers, such as spair and its folder; repeat for more",
    )
    parser.add_argument(
        "--no-downloads",
        dest="downloads",
        action="store_false",
        help="let no visitor download backbones and spheres that are not on this machine",
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="also serve match, pca, sphere_map and backbones as tools of the Model Context "
        'Protocol; needs `pip install "spherecorr[mcp]"`',
    )
    add_device(parser)


def run_app(options: argparse.Namespace) -> None:
    """Start the web app and serve until interrupted."""
    if options.examples and not (options.examples / LISTING).is_file():
        raise SpherecorrError(f"There is no {LISTING} in '{options.examples}'; name a folder with one.")
    data = tuple((name, Path(root)) for name, root in options.data or ())
    if data:
        from spherecorr.data.pair_list import open_pairs

        for name, root in data:
            open_pairs(name, root)  # a wrong name or folder ends here, with a sentence
    if options.mcp and find_spec("mcp") is None:
        raise SpherecorrError('--mcp needs the package mcp; run `pip install "spherecorr[mcp]"` first.')
    from spherecorr.ui.space import prepare_space

    prepare_space()
    from spherecorr.ui.blocks import launch
    from spherecorr.ui.settings import AppSettings

    offered = {"backbones": options.backbone, "spheres": options.sphere}
    chosen: dict[str, Any] = {name: tuple(values) for name, values in offered.items() if values}
    if options.examples:
        chosen["examples"] = options.examples
    if options.teach is not None:
        chosen["teach"] = options.teach
    more = {name: getattr(options, name) for name in ("device", "asic", "deil", "downloads")}
    settings = AppSettings(**chosen, data=data, **more)
    launch(host=options.host, port=options.port, share=options.share, settings=settings, mcp=options.mcp)

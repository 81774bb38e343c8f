"""The command line. A command is a function that runs it and one that registers its options.

`app` and `match` are here; each other command has a module of its name.

Modules are imported inside the commands, so that `spherecorr --help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from spherecorr import __version__
from spherecorr.cli.base import Parser, add_command, describe_versions, load_models
from spherecorr.cli.data import register_data
from spherecorr.cli.download import register_download
from spherecorr.cli.eval import register_eval
from spherecorr.cli.extract import register_extract
from spherecorr.cli.pretrain import register_pretrain
from spherecorr.cli.render import register_render
from spherecorr.cli.reproduce import register_reproduce
from spherecorr.cli.train import register_import, register_train
from spherecorr.errors import SpherecorrError

FIGURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what a user got wrong becomes one line on stderr and exit code 2.

    Faults of the program keep their traceback; with `--debug` a user's mistakes show theirs, too.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except SpherecorrError as error:
        if options.debug:
            raise
        print(f"spherecorr: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    parser = Parser("spherecorr", description="Semantic correspondence with viewpoint-guided spherical maps.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    register_app(commands)
    register_match(commands)
    register_render(commands)
    register_extract(commands)
    register_pretrain(commands)
    register_train(commands)
    register_import(commands)
    register_data(commands)
    register_eval(commands)
    register_reproduce(commands)
    register_download(commands)
    return parser


# spherecorr app


def register_app(commands) -> None:
    """Options of `spherecorr app`."""
    parser = add_command(commands, "app", run_app, "Start the web app.", "spherecorr app --host 0.0.0.0 --port 7860")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for all (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also open a public link through Gradio's servers")


def run_app(options: argparse.Namespace) -> None:
    """Start the web app and serve until interrupted."""
    from spherecorr.ui.blocks import launch

    launch(host=options.host, port=options.port, share=options.share)


# spherecorr match


def register_match(commands) -> None:
    """Options of `spherecorr match`."""
    parser = add_command(
        commands,
        "match",
        run_match,
        "Find where points of one image lie in another.",
        "spherecorr match left.jpg right.jpg --point 212,153 --point 300,90.5 \\\n"
        "      --topk 3 --out matches.json --figure matches.png",
    )
    parser.add_argument("source", type=Path, help="image with the points")
    parser.add_argument("target", type=Path, help="image to search")
    parser.add_argument(
        "--point",
        type=parse_point,
        action="append",
        required=True,
        metavar="X,Y",
        help="a point of the source, in pixels of the upright image from its top-left corner; repeat for more",
    )
    parser.add_argument("--backbone", help="backbone (default: what the sphere was trained on, else mini)")
    parser.add_argument(
        "--sphere", help="sphere mapper: mini, a folder, a Hub id, or none (default: mini for the backbone mini)"
    )
    parser.add_argument("--alpha", type=float, help="the sphere's share, 0 to 1 (default: what the mapper recommends)")
    parser.add_argument("--topk", type=int, default=1, metavar="K", help="matches per point (default: %(default)s)")
    parser.add_argument("--resolution", type=int, metavar="PX", help="long side of the model's input (default: fast)")
    parser.add_argument(
        "--soft-window", type=int, metavar="CELLS", help="refine matches by a soft-argmax over so many cells each way"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write all matches as JSON")
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="write a picture of the matches")


def parse_point(text: str) -> tuple[float, float]:
    """'212,153' -> (212.0, 153.0)."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a point is written as X,Y, such as 212,153; got '{text}'") from error
    return x, y


def run_match(options: argparse.Namespace) -> None:
    """Match, print a table, and write what was asked for."""
    if options.figure and options.figure.suffix.lower() not in FIGURE_FORMATS:
        raise SpherecorrError(f"A figure's name must end in {', '.join(FIGURE_FORMATS)}; got '{options.figure}'.")
    from spherecorr.images import load_image

    images = load_image(options.source), load_image(options.target)

    from spherecorr.files import write_atomic
    from spherecorr.matching.match import match
    from spherecorr.ui.table import match_records

    backbone, sphere = load_models(options.backbone, options.sphere, options.device)
    if sphere is None and options.alpha is not None:
        raise SpherecorrError(
            "--alpha is a sphere's share, and there is no sphere for this backbone. Name one with --sphere."
        )
    source, target = (backbone(image, resolution=options.resolution) for image in images)
    result = match(
        source,
        target,
        options.point,
        sphere=sphere,
        alpha=options.alpha,
        k=options.topk,
        soft_window=options.soft_window,
    )
    records = match_records(result)
    print(format_table(records))
    if options.out:
        document = {
            "source": {"path": str(options.source), "size": images[0].size},
            "target": {"path": str(options.target), "size": images[1].size},
            "settings": describe_settings(options, source, sphere),
            "versions": describe_versions(),
            "matches": records,
        }
        write_atomic(options.out, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())
        print(f"wrote {options.out}")
    if options.figure:
        write_atomic(options.figure, draw_figure(*images, result, FIGURE_FORMATS[options.figure.suffix.lower()]))
        print(f"wrote {options.figure}")


def format_table(records: list[dict]) -> str:
    """The best matches as text, one line per point."""
    kinds = [kind for kind in ("raw", "sphere", "fused") if records[0][kind] is not None]
    header = f"{'':>3} {'source':>15}" + "".join(f"  {kind:>21}" for kind in kinds)
    lines = [header + ("  angle" if "sphere" in kinds else "")]
    for record in records:
        line = f"{record['number']:>3} {_pixels(record['source'])}"
        for kind in kinds:
            best = record[kind][0]
            line += f"  {_pixels(best['xy'])} {best['score']:5.2f}"
        if "sphere" in kinds:
            line += f"  {record['raw_angle']:4.0f}°"
            line += "  likely symmetric mistake" if record["symmetric_mistake"] else ""
            line += "" if record["visible"] else "  not visible"
        lines.append(line)
    return "\n".join(lines)


def _pixels(xy: list[float]) -> str:
    return f"{xy[0]:7.1f},{xy[1]:7.1f}"


def describe_settings(options: argparse.Namespace, source, sphere) -> dict:
    """Everything that decides the result, JSON-able; `source` is the source image's FeatureMap."""
    from dataclasses import asdict

    alpha = None if sphere is None else sphere.settings.alpha if options.alpha is None else options.alpha
    return {
        "features": asdict(source.source),
        "input_size": source.framing.input_size,
        "sphere": None if sphere is None else options.sphere or "mini",
        "alpha": alpha,
        "topk": options.topk,
        "soft_window": options.soft_window,
        "device": str(source.features.device),
    }


def draw_figure(source_image, target_image, result, image_format: str) -> bytes:
    """The matches as an encoded picture."""
    from io import BytesIO

    from spherecorr.views.matches import match_figure

    encoded = BytesIO()
    match_figure(source_image, target_image, result).save(encoded, image_format)
    return encoded.getvalue()

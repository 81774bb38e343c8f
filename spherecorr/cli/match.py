"""The command that matches two images."""

from __future__ import annotations

import argparse
import json
from io import BytesIO
from pathlib import Path

from spherecorr.cli.base import add_command, add_pose_align
from spherecorr.cli.flags import add_flags, given
from spherecorr.errors import SpherecorrError
from spherecorr.matching.settings import MatchSettings
from spherecorr.pipelines.settings import Models

FIGURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


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
    add_flags(parser, Models, shown={"resolution": "448, rounded down to whole patches"})
    add_flags(parser, MatchSettings, rename={"k": "topk"})
    add_pose_align(parser, "also say whether the mirror image of the source is nearer to the target")
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
    models, settings = Models(**given(options, Models)), MatchSettings(**given(options, MatchSettings))

    from spherecorr.files import write_atomic
    from spherecorr.pipelines.match import match_images
    from spherecorr.ui.records import match_records

    found = match_images(options.source, options.target, options.point, models, settings, options.pose_align)
    records = match_records(found.result)
    print("\n".join((format_table(records), *found.notes)))
    if found.pose and found.pose.mirrored:
        print("mirrored? The mirror image of the source is nearer to the target: the objects may face opposite ways")
    if options.out:
        document = {**found.about, "matches": records}
        write_atomic(options.out, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())
        print(f"wrote {options.out}")
    if options.figure:
        image_format = FIGURE_FORMATS[options.figure.suffix.lower()]
        write_atomic(options.figure, draw_figure(*found.images, found.result, image_format))
        print(f"wrote {options.figure}")


def format_table(records: list[dict]) -> str:
    """The best matches as text, one line per point."""
    kinds = [kind for kind in ("raw", "sphere", "fused") if records[0][kind] is not None]
    header = f"{'':>3} {'source':>15}" + "".join(f"  {kind:>21}" for kind in kinds)
    angled = records[0]["raw_angle"] is not None
    lines = [header + ("  angle" if angled else "")]
    for record in records:
        line = f"{record['number']:>3} {_pixels(record['source'])}"
        for kind in kinds:
            best = record[kind][0]
            line += f"  {_pixels(best['xy'])} {best['score']:5.2f}"
        if angled:
            line += f"  {record['raw_angle']:4.0f}°"
            line += "  likely symmetric mistake" if record["symmetric_mistake"] else ""
            line += "" if record["visible"] else "  not visible"
        lines.append(line)
    return "\n".join(lines)


def _pixels(xy: list[float]) -> str:
    return f"{xy[0]:7.1f},{xy[1]:7.1f}"


def draw_figure(source_image, target_image, result, image_format: str) -> bytes:
    """The matches as an encoded picture."""
    from spherecorr.views.matches import match_figure

    encoded = BytesIO()
    match_figure(source_image, target_image, result).save(encoded, image_format)
    return encoded.getvalue()

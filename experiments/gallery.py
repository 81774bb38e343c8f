r"""Pictures of held-out pairs to look at: PCA, sphere maps, and raw, sphere and fused matches beside the truth.

    python experiments/gallery.py renders --out data/gallery --count 12

Pairs are spread evenly over the split, and so over its categories. Each becomes `NUMBER.jpg`:

- above: the target with the true places of the keypoints, the joint PCA of both images' features, both sphere maps;
- below: the source with its keypoints, and the target with the raw, sphere and fused matches; a line leads from each
  match to the true place, and what is far off has a long one. The captions count the matches within 0.1 of the box
  and those that took the mirrored keypoint.

Matching is that of the app, within the target's foreground. At most `--points` keypoints that both images show are
drawn. Prints a Markdown table of the counts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from calibrate import judge
from held_out import HeldOut, features_folder, open_models, open_split, parser_for
from PIL import Image, ImageDraw, ImageFont

from spherecorr.data.records import PairRecord
from spherecorr.evaluation.tables import Table
from spherecorr.images import load_image
from spherecorr.matching.match import match, prepare
from spherecorr.matching.readout import Ranked
from spherecorr.matching.settings import MatchSettings
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.views.matches import COLOURS, draw_pins
from spherecorr.views.pca import pca_pictures
from spherecorr.views.spheremap import sphere_picture

HEIGHT, GAP, CAPTION = 384, 10, 30


def chosen_names(pair: PairRecord, count: int) -> list[str]:
    """Keypoints that both images show, evenly spread over their list."""
    names = [name for name, point in pair.source.keypoints.items() if point and pair.target.keypoints.get(name)]
    return [names[i] for i in sorted(set(np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)))]


def draw_matches(image: Image.Image, found: np.ndarray, truth: np.ndarray) -> Image.Image:
    """Pins at the matches, each with a line in its colour to the true place."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for i, (start, end) in enumerate(zip(found, truth, strict=True)):
        draw.line((*start, *end), "white", 5)
        draw.line((*start, *end), COLOURS[i % len(COLOURS)], 3)
    return draw_pins(image, found)


def row_of(panels: list[tuple[str, Image.Image]], height: int = HEIGHT) -> Image.Image:
    """Pictures of one height side by side, with captions."""
    scaled = [
        (caption, image.resize((max(1, round(image.width * height / image.height)), height), Image.Resampling.LANCZOS))
        for caption, image in panels
    ]
    width = sum(image.width for _, image in scaled) + GAP * (len(scaled) + 1)
    row, x = Image.new("RGB", (width, height + CAPTION + GAP), "white"), GAP
    for caption, image in scaled:
        ImageDraw.Draw(row).text((x, CAPTION / 2), caption, "black", ImageFont.load_default(17), anchor="lm")
        row.paste(image, (x, CAPTION))
        x += image.width + GAP
    return row


def stack(rows: list[Image.Image]) -> Image.Image:
    """Rows below each other, all as wide as the narrowest."""
    width = min(row.width for row in rows)
    rows = [row.resize((width, round(row.height * width / row.width)), Image.Resampling.LANCZOS) for row in rows]
    page, y = Image.new("RGB", (width, sum(row.height for row in rows)), "white"), 0
    for row in rows:
        page.paste(row, (0, y))
        y += row.height
    return page


def picture_of(pair: PairRecord, held: HeldOut, mapper: SphereMapper, count: int) -> tuple[Image.Image, list[str]]:
    """The page of a pair, and its counts: right and mirrored for raw, sphere and fused."""
    names = chosen_names(pair, count)
    points, truth = (np.array([image.keypoints[name] for name in names]) for image in (pair.source, pair.target))
    ends = pair.source, pair.target
    as_the_app = MatchSettings(candidates="foreground")
    prepared = [prepare(held.features[image.id], mapper, as_the_app) for image in ends]
    source, target = (load_image(image.path) for image in ends)
    result = match(*prepared, points, sphere=mapper, settings=as_the_app)
    sizes = [image.size for image in ends]
    pca = pca_pictures([part.features for part in prepared], [part.object_cells for part in prepared], sizes)
    spheres = [sphere_picture(part.sphere, part.object_cells, size) for part, size in zip(prepared, sizes, strict=True)]
    above = [
        ("true places", draw_pins(target, truth)),
        ("PCA, source", pca[0]),
        ("PCA, target", pca[1]),
        ("sphere, source", spheres[0]),
        ("sphere, target", spheres[1]),
    ]
    below, counts = [(f"source: {pair.source.category}", draw_pins(source, points))], []
    for name, ranked in (("raw", result.raw), ("sphere", result.sphere), ("fused", result.fused)):
        right, mirrored = count_matches(pair, names, ranked)
        counts += [f"{right}/{len(names)}", str(mirrored)]
        caption = f"{name}: {right} of {len(names)} right, {mirrored} mirrored"
        below.append((caption, draw_matches(target, ranked.xy[:, 0], truth)))
    return stack([row_of(above), row_of(below)]), counts


def count_matches(pair: PairRecord, names: list[str], ranked: Ranked) -> tuple[int, int]:
    """How many best matches are right, and how many took the mirrored keypoint."""
    _, mirrored, wrong = judge(pair, names, ranked)
    return int((~wrong).sum()), int(mirrored.sum())


def main() -> None:
    """Choose pairs, draw, and print the counts."""
    parser = parser_for(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    parser.add_argument("--count", type=int, default=12, help="pairs (default: %(default)s)")
    parser.add_argument("--points", type=int, default=8, help="keypoints of a pair, at most (default: %(default)s)")
    options = parser.parse_args()
    backbone, mapper = open_models(options)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    with features_folder(options) as folder:
        held = open_split(options.renders, options.split, backbone, mapper.settings.resolution, folder, options.limit)
        shown = [pair for pair in held.pairs if len(chosen_names(pair, options.points)) > 1]
        for number, place in enumerate(np.linspace(0, len(shown) - 1, options.count).round().astype(int), start=1):
            picture, counts = picture_of(shown[place], held, mapper, options.points)
            picture.save(options.out / f"{number:02d}.jpg", quality=90)
            rows.append([f"{number:02d}", shown[place].id, *counts])
    columns = ("picture", "pair", "raw right", "mirrored", "sphere right", "mirrored", "fused right", "mirrored")
    print(Table(f"Fused at alpha {mapper.settings.alpha:g}", columns, rows).markdown())


if __name__ == "__main__":
    main()

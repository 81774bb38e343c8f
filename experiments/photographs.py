r"""What a sphere knows of real photographs: where the camera stood, and what is object.

    python experiments/photographs.py photo_viewpoints --split test
    python experiments/photographs.py photo_viewpoints --split test --mirrored --sphere data/run/last

The azimuth is read off the sphere map, the direction of the mean over the cells that the sphere itself takes for the
object's; the sphere must know true axes (+x front, +y left). IoU is that of these cells with those that the mask covers
by more than half. `--mirrored` shows mirror images. Photographs are those of a split in `photo_split.csv`. Prints a
Markdown table and, last, a line of JSON.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from held_out import add_model_options, open_models, rounded
from PIL import ImageOps

from spherecorr.backbones import Backbone
from spherecorr.data.folder import Folder
from spherecorr.data.records import ImageRecord
from spherecorr.evaluation.tables import Table, percent
from spherecorr.evaluation.viewpoint import mean_direction
from spherecorr.geometry import mask_to_cells
from spherecorr.sphere.mapper import SphereMapper

SPLITS = Path(__file__).parent / "photo_split.csv"


@dataclass(frozen=True)
class Answer:
    """Of one photograph: its category and azimuth, the error in degrees, and the foreground's IoU."""

    category: str
    azimuth: float
    error: float
    iou: float


def ask(record: ImageRecord, backbone: Backbone, mapper: SphereMapper, resolution: int, mirrored: bool) -> Answer:
    """Compare what the sphere says of a photograph with what is known."""
    picture, mask, azimuth = record.load_picture(), record.load_mask(), float(record.azimuth or 0)
    if mirrored:
        picture, mask, azimuth = ImageOps.mirror(picture), mask[:, ::-1], -azimuth % 360
    sphere_map = mapper.sphere_map(backbone(picture, resolution=resolution))
    found, truth = mapper.foreground(sphere_map), mask_to_cells(mask, sphere_map.framing)
    if found is None:
        found = np.ones_like(truth)
    x, y, _ = mean_direction(sphere_map, found)
    error = abs((np.degrees(np.arctan2(y, x)) - azimuth + 180) % 360 - 180)
    return Answer(record.category, azimuth, float(error), float((found & truth).sum() / max((found | truth).sum(), 1)))


def figures(answers: list[Answer]) -> dict[str, float]:
    """Photographs, median error, shares within 30 and beyond 90 degrees, and mean IoU."""
    errors = np.array([answer.error for answer in answers])
    return {
        "photographs": len(answers),
        "median": float(np.median(errors)),
        "near": float((errors <= 30).mean()),
        "beyond_90": float((errors > 90).mean()),
        "iou": float(np.mean([answer.iou for answer in answers])),
    }


def read_split(root: Path, split: str) -> list[ImageRecord]:
    """The photographs of a folder that `photo_split.csv` deals to a split."""
    dealt = dict(line.split(",") for line in SPLITS.read_text().split()[1:])
    records = Folder(root).images("all")
    return [record for record in records if dealt[record.path.relative_to(root).as_posix()] == split]


def main() -> None:
    """Print the figures by category."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with viewpoints.csv and masks")
    add_model_options(parser)
    parser.add_argument("--split", default="val", choices=("trn", "val", "test"))
    parser.add_argument("--mirrored", action="store_true", help="show mirror images")
    options = parser.parse_args()
    backbone, mapper = open_models(options)
    records = read_split(options.root, options.split)
    resolution = mapper.settings.resolution
    answers = [ask(record, backbone, mapper, resolution, options.mirrored) for record in records]
    groups = {"all": answers}
    for category in sorted({answer.category for answer in answers}):
        groups[category] = [answer for answer in answers if answer.category == category]
    groups["from the side"] = [answer for answer in answers if answer.azimuth in (90, 270)]
    groups["from elsewhere"] = [answer for answer in answers if answer.azimuth not in (90, 270)]
    groups["cars from the side"] = [answer for answer in groups["from the side"] if answer.category == "car"]
    made = {name: figures(group) for name, group in groups.items() if group}
    head = ("", "photographs", "median error", "within 30", "beyond 90", "IoU")
    rows = [
        [name, str(f["photographs"]), f"{f['median']:.1f}", *(percent(f[k]) for k in ("near", "beyond_90", "iou"))]
        for name, f in made.items()
    ]
    print(Table(f"Photographs, {options.split}", head, rows).markdown())
    print(json.dumps(rounded({"split": options.split, "mirrored": options.mirrored, "figures": made})))


if __name__ == "__main__":
    main()

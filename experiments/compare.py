r"""The sphere beside related systems, all on the same features and trained on the same renders.

    spherecorr render shapes --split trn --count 2000 --pairs 500 --size 448 --categories aeroplane,car,chair,horse
    spherecorr render shapes --split test --count 160 --pairs 60 --size 448 --categories aeroplane,car,chair,horse
    python experiments/compare.py shapes --backbone mini --backbone local-dir:vit_tiny_patch16_224 \
        --photos photo_viewpoints --out data/compare --device cuda

For every backbone and seed: a sphere (the losses of `mini`'s card), an ASIC-like atlas of each category, and a
DEIL-like sphere, each of `--steps` steps; then `spherecorr compare` on the pairs of `test`. Everything resumes.

`--photos` is a folder with viewpoints and masks, without keypoints, so a question is asked that all methods can answer:
which other picture is nearest, by the mean over the object's cells of the best similarity to any of the other's object?
The mirror images of all pictures stand among them as views of the other side; a method that confuses sides finds one
that faces the other way half of the time. (For raw features this is also how often pose alignment decides wrongly.)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from held_out import rounded
from torch import Tensor
from torch.nn.functional import normalize

from spherecorr.backbones import load_backbone
from spherecorr.backbones.debiasing import DebiasedFeatures, estimate_position_bias
from spherecorr.cli.base import show_progress
from spherecorr.cli.flags import list_of
from spherecorr.data.folder import Folder
from spherecorr.data.records import ImageRecord
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation.comparison import METRICS
from spherecorr.evaluation.inputs import spread
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.evaluation.tables import Table, percent
from spherecorr.evaluation.viewpoint import NEAR, REVERSED, azimuth_error
from spherecorr.extraction import extract
from spherecorr.features import FeatureMap
from spherecorr.geometry import mask_to_cells
from spherecorr.pipelines.atlases import train_atlases
from spherecorr.pipelines.compare import compare
from spherecorr.pipelines.settings import METHODS, Models
from spherecorr.pipelines.train import train
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store_settings import StoreSettings

SPHERE_WEIGHTS = {
    "reconstruction": 0, "distance": 0, "orientation": 0.1, "viewpoint": 0.1, "surface": 1, "background": 0.3,
}  # fmt: skip
SPHERE_SETTINGS = {"batch": 48, "tokens": 64, "foreground_weight": 8.0, "optimiser": "muon"}
SPHERE_SHAPE = {"positions": "frame", "width": 128, "depth": 3}
Scores = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """The mappers of one backbone and seed, and the folders of their runs."""

    sphere: SphereMapper
    deil: SphereMapper
    atlases: Mapping[str, SphereMapper]
    folder: Path


def train_all(records: Sequence[ImageRecord], backbone: str, seed: int, options: argparse.Namespace) -> Trained:
    """Train the three systems on one store of crops, or resume, or load what is finished."""
    folder = options.out / _slug(backbone) / f"seed{seed}"
    store = options.out / _slug(backbone) / "crops"
    common: dict[str, Any] = {"backbone": backbone, "device": options.device, "progress": show_progress}
    settings = {"seed": seed, "steps": options.steps}
    crops = {"resolution": options.resolution}
    deil = train(
        [records], folder / "deil", preset="deil", settings=settings, crops=crops, stores=[store], **common
    )  # which makes the store
    atlases = train_atlases([records], folder / "asic", settings=settings, stores=[store], **common)
    sphere = train(
        [records],
        folder / "sphere",
        weights=SPHERE_WEIGHTS,
        settings={**settings, **SPHERE_SETTINGS},
        sphere={**SPHERE_SHAPE, "alpha": options.alpha},
        stores=[store],
        **common,
    )
    return Trained(sphere, deil, atlases, folder)


def score_renders(trained: Trained, backbone: str, options: argparse.Namespace) -> dict[str, Scores]:
    """Method -> metric -> value, of `spherecorr compare`."""
    found = compare(
        SPair71k(options.renders),
        "test",
        trained.folder / "renders",
        Models(backbone, str(trained.folder / "sphere" / "last"), options.resolution, options.device),
        asic=trained.folder / "asic",
        deil=trained.folder / "deil",
        settings=EvaluationSettings(resamples=0),
        limit=options.limit,
        progress=show_progress,
    )
    return {
        name: {metric: result.score(metric).value for metric in METRICS}
        | {"ms an image": 1000 * result.cost.image_seconds, "ms a pair": 1000 * result.cost.pair_seconds}
        for name, result in found.methods.items()
    }


# Photographs


@dataclass(frozen=True, eq=False)
class View:
    """A picture, or its mirror image: the features `[K, D]` and surface points of its object's cells."""

    record: ImageRecord
    azimuth: float
    features: Tensor
    points: Mapping[str, Tensor]


def score_photographs(
    trained: Trained, photos: Sequence[ImageRecord], backbone: str, options: argparse.Namespace
) -> dict[str, Scores]:
    """Method -> how far the azimuth of the nearest other picture is off."""
    model = load_backbone(backbone, device=options.device)
    made = StoreSettings(model.source, options.resolution, crops=2, mirrored=True)
    folder = options.out / _slug(backbone) / "photographs"
    store = extract(photos, model, made, folder, progress=partial(show_progress, "photographs"))
    bias = estimate_position_bias(store.values())
    own, mirror = dict(store), dict(store.mirror)
    views = _views(photos, own, mirror, trained)
    clean = _views(photos, dict(DebiasedFeatures(own, bias)), dict(DebiasedFeatures(mirror, bias)), None)
    alpha = trained.sphere.settings.alpha

    def by_features(one: View, other: View) -> Tensor:
        return one.features @ other.features.T

    def by_points(name: str, one: View, other: View) -> Tensor:
        mapper = trained.atlases[one.record.category] if name == "asic" else getattr(trained, name)
        return mapper.surface.similarity(one.points[name], other.points[name])

    def fused(one: View, other: View) -> Tensor:
        return (1 - alpha) * by_features(one, other) + alpha * by_points("sphere", one, other)

    similarities: dict[str, tuple[list[View], Callable[[View, View], Tensor]]] = {
        "raw": (views, by_features),
        "debiased": (clean, by_features),
        "fused": (views, fused),
        **{name: (views, partial(by_points, name)) for name in ("sphere", "asic", "deil")},
    }
    return {name: _sides(*similarities[name]) for name in METHODS if name in similarities}


def _views(
    photos: Sequence[ImageRecord],
    features: Mapping[str, FeatureMap],
    mirrored: Mapping[str, FeatureMap],
    trained: Trained | None,
) -> list[View]:
    """All pictures, each followed by its mirror image."""
    views = []
    for record in photos:
        cells = mask_to_cells(record.load_mask(), features[record.id].framing)
        for found, seen, azimuth in (
            (features[record.id], cells, record.viewpoint),
            (mirrored[record.id], cells[:, ::-1], -record.viewpoint),
        ):
            inside = torch.from_numpy(seen.reshape(-1).copy())
            points = {}
            if trained:
                mappers = {"sphere": trained.sphere, "deil": trained.deil, "asic": trained.atlases[record.category]}
                points = {
                    name: mapper.sphere_map(found).points.cpu().float().flatten(1).T[inside]
                    for name, mapper in mappers.items()
                }
            views.append(View(record, azimuth, normalize(found.tokens().float()[inside], dim=-1), points))
    return views


def _sides(views: list[View], similarity: Callable[[View, View], Tensor]) -> Scores:
    """For every picture, the azimuth of the nearest one that shows another object of its kind."""
    errors = []
    for asked in views[::2]:
        others = [
            view for view in views if view.record.category == asked.record.category and view.record != asked.record
        ]
        near = [float(similarity(asked, view).max(dim=1).values.mean()) for view in others]
        errors.append(float(azimuth_error(np.array(others[int(np.argmax(near))].azimuth), np.array(asked.azimuth))))
    wrong = np.array(errors)
    return {"within 30": float((wrong <= NEAR).mean()), "above 90": float((wrong > REVERSED).mean())}


def open_photographs(options: argparse.Namespace, categories: Sequence[str]) -> list[ImageRecord]:
    """At most so many of each category, evenly spread, whose objects cover a cell or more and have a viewpoint."""
    kept = []
    for category in categories:
        found = [image for image in Folder(options.photos).images("all") if image.category == category]
        kept += spread([image for image in found if image.mask and image.viewpoint is not None], options.photo_limit)
    made = StoreSettings(load_backbone(options.backbone[0], device="cpu").source, options.resolution)
    return [image for image in kept if mask_to_cells(image.load_mask(), made.frame(image.size)).any()]


# The tables


def print_table(title: str, seeds: Sequence[dict[str, dict[str, float]]]) -> None:
    """Mean over the seeds, with the range where they differ."""
    columns = list(next(iter(seeds[0].values())))
    rows = [
        [name, *(_cell(column, [scores[name][column] for scores in seeds]) for column in columns)]
        for name in METHODS
        if name in seeds[0]
    ]
    print("\n" + Table(title, ["", *columns], rows).markdown() + "\n", flush=True)


def _cell(column: str, values: list[float]) -> str:
    shown = (lambda value: f"{value:.1f}") if column.startswith("ms ") else percent
    low, high = shown(min(values)), shown(max(values))
    spread_of_seeds = f" ({low} to {high})" if low != high and not column.startswith("ms ") else ""
    return shown(float(np.mean(values))) + spread_of_seeds


def _slug(backbone: str) -> str:
    return Path(backbone.partition(":")[2] or backbone).name


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path, help="folder of `spherecorr render` with the splits trn and test")
    parser.add_argument("--backbone", action="append", required=True, metavar="NAME", help="repeat for more")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--photos", type=Path, help="folder with viewpoints.csv and masks (default: none)")
    parser.add_argument("--photo-limit", type=int, default=40, metavar="N", help="of a category (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=600, help="of each training (default: %(default)s)")
    parser.add_argument("--seeds", type=list_of(int, "seeds", "0,1"), default=(0, 1), metavar="A,B", help="(0,1)")
    parser.add_argument("--resolution", type=int, default=448, help="(default: %(default)s)")
    parser.add_argument("--alpha", type=float, default=0.5, help="of the fusion (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="PAIRS", help="compare on so many pairs, evenly spread")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    """Train, compare and print, one backbone after the other."""
    options = parse()
    records = SPair71k(options.renders).images("trn")
    # Photographs of the kinds that were trained, each with an atlas.
    categories = sorted({record.category for record in records})
    photos = open_photographs(options, categories) if options.photos else []
    results: dict[str, Any] = {}
    for backbone in options.backbone:
        of_renders, of_photographs = [], []
        for seed in options.seeds:
            trained = train_all(records, backbone, seed, options)
            of_renders.append(score_renders(trained, backbone, options))
            if photos:
                of_photographs.append(score_photographs(trained, photos, backbone, options))
        named, seeds = _slug(backbone), ", ".join(map(str, options.seeds))
        print_table(f"{named}, held-out renders; percent, seeds {seeds}", of_renders)
        if photos:
            print_table(f"{named}, nearest of {len(photos)} photographs; percent, seeds {seeds}", of_photographs)
        results[named] = {"renders": of_renders, "photographs": of_photographs}
    print(json.dumps(rounded({name: {k: dict(enumerate(v)) for k, v in of.items()} for name, of in results.items()})))


if __name__ == "__main__":
    main()

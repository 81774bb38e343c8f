r"""Does a sphere know the viewpoint in photographs? ETH-80's cars, cows, dogs and horses, instances held out.

    python experiments/eth80.py data/eth80 --features data/features/eth80
    python experiments/eth80.py data/eth80 --features data/features/eth80 --finetune 800 --out data/eth80-runs \
        --renders renders --store data/features/renders-trn

An image's azimuth is taken to be that of the training crop of its category whose mean direction over the object is
nearest (`viewpoint.mean_direction`); this needs no frame common to all. Crops from straight above have no azimuth and
are left out, as in `viewpoint`; the other 40 of an instance all count. Instances are counted by name within their
category, and fold k of 3 holds out every third from the k-th on (of 7: 3, 2 and 2); each image is asked once over the
folds, and the errors of all are pooled. Rows:

- raw mean: the mean of the backbone's unit features over the object, by cosine: the baseline;
- sphere: the sphere as it is, which never saw these photographs unless it was trained on them;
- fine-tuned: with `--finetune STEPS`, each fold's sphere is trained on from the given one by ETH-80's training
  instances (viewpoint with elevation, and whatever else has a weight) together with the renders of a training store
  (`spherecorr extract renders ... --labels`), which alone have a surface. Its runs lie in `--out`, one for each fold,
  and a finished one is not trained again. `--folds 0` is quicker, and leaves most of the images unasked.

Prints Markdown and, last, a line of JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from held_out import add_model_options, features_folder, open_models, rounded, store_features
from torch.nn.functional import normalize

from spherecorr.backbones import Backbone
from spherecorr.cli.base import show_steps
from spherecorr.cli.flags import parse_weights
from spherecorr.data.folder import Eth80
from spherecorr.data.records import ImageRecord
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation.tables import Table, percent
from spherecorr.evaluation.viewpoint import REVERSED, azimuth_error, mean_direction
from spherecorr.extraction import extract
from spherecorr.features import FeatureMap
from spherecorr.geometry import mask_to_cells
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import FeatureStore
from spherecorr.store_settings import StoreSettings
from spherecorr.training.batches import JoinedCrops, StoredCrops
from spherecorr.training.fit import fit
from spherecorr.training.settings import LossWeights, TrainSettings

FOLDS = 3
WEIGHTS = "reconstruction=0,viewpoint=1,distance=0,orientation=0.1,surface=1,background=0.3"


@dataclass(frozen=True)
class Fold:
    """Images of the training instances, and of those held out."""

    train: list[ImageRecord]
    test: list[ImageRecord]


def split(images: Sequence[ImageRecord], fold: int) -> Fold:
    """Hold out every third instance of each category from the given one on."""
    held = set()
    for category in {image.category for image in images}:
        instances = sorted({image.instance for image in images if image.category == category})
        held |= {(category, name) for name in instances[fold::FOLDS]}
    outside = [(image.category, image.instance) in held for image in images]
    return Fold(
        train=[image for image, out in zip(images, outside, strict=True) if not out],
        test=[image for image, out in zip(images, outside, strict=True) if out],
    )


def errors(fold: Fold, vectors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Image id -> degrees between the azimuth of each held-out image and that of its nearest training crop."""
    found = {}
    for image in fold.test:
        theirs = [other for other in fold.train if other.category == image.category]
        nearest = theirs[int(np.argmax(np.array([vectors[other.id] for other in theirs]) @ vectors[image.id]))]
        found[image.id] = float(azimuth_error(nearest.azimuth, image.azimuth))
    return found


def sphere_means(
    images: Sequence[ImageRecord], features: Mapping[str, FeatureMap], mapper: SphereMapper
) -> dict[str, np.ndarray]:
    """Image id -> mean direction over the object."""
    means = {}
    for image in images:
        sphere = mapper.sphere_map(features[image.id])
        means[image.id] = mean_direction(sphere, mask_to_cells(image.load_mask(), sphere.framing))
    return means


def raw_means(images: Sequence[ImageRecord], features: Mapping[str, FeatureMap]) -> dict[str, np.ndarray]:
    """Image id -> unit mean of the unit features over the object."""
    means = {}
    for image in images:
        inside = mask_to_cells(image.load_mask(), features[image.id].framing).reshape(-1)
        tokens = normalize(features[image.id].tokens().float(), dim=-1).cpu().numpy()[inside]
        means[image.id] = tokens.mean(axis=0) / np.linalg.norm(tokens.mean(axis=0))
    return means


def store_mirrored(images: list[ImageRecord], backbone: Backbone, resolution: int, folder: Path) -> FeatureStore:
    """Every photograph and its mirror image, with labels."""
    settings = StoreSettings(backbone.source, resolution, crops=2, mirrored=True, labels=True)
    return extract(images, backbone, settings, folder)


def finetune(
    mapper: SphereMapper, photos: Sequence[ImageRecord], store: FeatureStore, options: argparse.Namespace, run: Path
) -> SphereMapper:
    """Train on from a sphere by renders and photographs in the same batches."""
    renders = SPair71k(options.renders).images("trn")
    names = sorted({image.category for image in (*renders, *photos)})
    times = max(1, round(options.photos / (1 - options.photos) * len(renders) / len(photos)))
    data = JoinedCrops(
        [
            StoredCrops(FeatureStore(options.store), renders, names),
            StoredCrops(store, list(photos) * times, names),
        ]
    )
    settings = TrainSettings(
        mapper.settings,
        LossWeights(**options.weights),
        steps=options.finetune,
        tokens=64,
        foreground_weight=8.0,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    about = {
        "start": options.sphere,
        "mirrored": options.mirrored,
        "photographs": sorted({image.instance for image in photos}),
    }
    return fit(data, settings, run, start=mapper, about=about, device=options.device, on_step=show_steps())


def score(found: Mapping[str, float], category: str | None = None) -> dict[str, float]:
    """Images, median error, and the share of errors above 90 degrees."""
    values = np.array([error for name, error in found.items() if category in (None, name.partition("/")[0])])
    return {
        "images": len(values),
        "median": float(np.median(values)),
        "above 90": float((values > REVERSED).mean()),
    }


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of ETH-80")
    add_model_options(parser)
    parser.add_argument("--folds", type=int, nargs="+", choices=range(FOLDS), default=list(range(FOLDS)))
    parser.add_argument("--finetune", type=int, metavar="STEPS", help="also train on, so many steps in each fold")
    parser.add_argument("--out", type=Path, help="folder of these runs")
    parser.add_argument("--renders", type=Path, help="renders to train on as well; their split `trn`")
    parser.add_argument("--store", type=Path, help="their features, with labels")
    parser.add_argument("--photos", type=float, default=0.35, help="share of photographs (default: %(default)s)")
    parser.add_argument("--mirrored", action="store_true", help="train on their mirror images as well")
    parser.add_argument("--weights", type=parse_weights, default=parse_weights(WEIGHTS), help=f"(default: {WEIGHTS})")
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.finetune and not (options.out and options.renders and options.store):
        parser.error("--finetune needs --out, --renders and --store")
    return options


def main() -> None:
    """Compute features, train if asked to, score, print."""
    options = parse()
    backbone, mapper = open_models(options)
    images = [image for image in Eth80(options.data).images("all") if image.azimuth is not None]
    rows: dict[str, dict[str, float]] = {"raw mean": {}, "sphere": {}}
    with features_folder(options) as folder:
        store = store_features(images, backbone, mapper.settings.resolution, folder / "eth80", labels=True)
        raw, sphere = raw_means(images, store), sphere_means(images, store, mapper)
        trained_on = store
        if options.mirrored:
            trained_on = store_mirrored(images, backbone, mapper.settings.resolution, folder / "eth80-mirrored")
        for number in options.folds:
            fold = split(images, number)
            rows["raw mean"] |= errors(fold, raw)
            rows["sphere"] |= errors(fold, sphere)
            if options.finetune:
                tuned = finetune(mapper, fold.train, trained_on, options, options.out / f"fold{number}")
                rows.setdefault("fine-tuned", {}).update(errors(fold, sphere_means(images, store, tuned)))
    categories = {"all": None} | {name: name for name in sorted({image.category for image in images})}
    figures = {row: {name: score(found, of) for name, of in categories.items()} for row, found in rows.items()}
    columns = [f"{name}: {figure}" for name in categories for figure in ("median, degrees", "> 90, %")]
    cells = {
        row: [text for of in by.values() for text in (f"{of['median']:.1f}", percent(of["above 90"]))]
        for row, by in figures.items()
    }
    table = Table("ETH-80: azimuth of the nearest training crop", ("", *columns), [[k, *v] for k, v in cells.items()])
    print(table.markdown() + "\n")
    about = {"sphere": options.sphere, "backbone": backbone.source.backbone, "folds": options.folds}
    print(json.dumps(rounded(about | {"steps": options.finetune, "figures": figures})))


if __name__ == "__main__":
    main()

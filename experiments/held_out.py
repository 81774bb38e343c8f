"""What the experiments on a sphere share: held-out renders with their features, and the true directions of their cells.

Renders are those of `spherecorr render`, of procedural objects or of meshes: both come with the surface point under
every pixel, from which the sphere map follows that a perfect mapper would draw.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from spherecorr.backbones import Backbone
from spherecorr.cli.base import show_progress
from spherecorr.crops import cell_labels, read_picture
from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.inputs import spread
from spherecorr.evaluation.report import Report
from spherecorr.extraction import extract
from spherecorr.features import SphereMap
from spherecorr.geometry import Framing
from spherecorr.pipelines.common import load_models
from spherecorr.sphere.mapper import BELOW, SphereMapper
from spherecorr.store import INDEX, FeatureStore
from spherecorr.store_settings import StoreSettings

CLEAR_SIDE, CLEAR_END = 0.3, 0.5  # |y| and |x| of a direction from which it lies clearly on a side, or at an end


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Pairs, the images in them by id, and their features."""

    pairs: list[PairRecord]
    images: dict[str, ImageRecord]
    features: FeatureStore

    def spheres(self, mapper: SphereMapper) -> dict[str, SphereMap]:
        """The mapper's sphere map of every image."""
        return {key: mapper.sphere_map(self.features[key]) for key in self.images}

    def true_spheres(self) -> dict[str, SphereMap]:
        """The true sphere map of every image."""
        return {key: true_sphere_map(image, self.features[key].framing) for key, image in self.images.items()}

    def evaluate(self, spheres: Mapping[str, SphereMap], alpha: float | Iterable[float]) -> Report:
        """PCK@0.1, KAP@0.1 ("corrected") and symmetric mistakes of raw, sphere and fused matches."""
        choices = {"thresholds": (0.1,), "protocols": ("corrected",), "resamples": 0}
        return evaluate(self.pairs, self.features, sphere=spheres, alpha=alpha, **choices)


@dataclass(frozen=True, eq=False)
class Directions:
    """Found and true unit directions `[N, 3]` of cells that the object covers by more than half."""

    found: np.ndarray
    truth: np.ndarray

    def turned(self) -> Directions:
        """The found directions after the rotation that brings them nearest to the true ones (Kabsch)."""
        u, _, v = np.linalg.svd(self.found.T @ self.truth)
        proper = np.diag([1.0, 1.0, np.linalg.det(u @ v)])  # no mirror image: it would exchange left and right
        return Directions(self.found @ (u @ proper @ v), self.truth)

    def figures(self) -> dict[str, float]:
        """Median angle in degrees, and the shares of cells sent to the wrong side and to the wrong end."""
        cosine = np.clip((self.found * self.truth).sum(axis=-1), -1, 1)
        wrong, clear = self.found * self.truth < 0, np.abs(self.truth)
        return {
            "median_angle": float(np.median(np.degrees(np.arccos(cosine)))),
            "wrong_side": float(wrong[clear[:, 1] > CLEAR_SIDE, 1].mean()),
            "wrong_end": float(wrong[clear[:, 0] > CLEAR_END, 0].mean()),
        }


def compare_directions(images: Iterable[ImageRecord], spheres: Mapping[str, SphereMap]) -> Directions:
    """Of all cells of some images together; renders only."""
    found, truth = [], []
    for image in images:
        sphere = spheres[image.id]
        labels = true_labels(image, sphere.framing)
        inside = labels[:, 0] > 0.5
        found.append(sphere.points.flatten(1).T.cpu().numpy()[inside])
        truth.append(labels[inside, 2:])
    return Directions(np.concatenate(found), np.concatenate(truth))


def true_labels(image: ImageRecord, framing: Framing) -> np.ndarray:
    """What training would teach each cell, float32 `[N, 5]`: see `crops.cell_labels`."""
    return cell_labels(read_picture(image, labels=True), framing).astype(np.float32)


def true_sphere_map(image: ImageRecord, framing: Framing) -> SphereMap:
    """What a perfect mapper would draw: the unit mean of the surface points of each cell.

    Cells of which the object covers less than 5 % are told to be background.
    """
    directions = true_labels(image, framing)[:, 2:]
    known = directions.any(axis=-1)
    directions[~known] = BELOW
    columns, rows = framing.grid
    foreground = torch.from_numpy(known.astype(np.float32)).reshape(rows, columns)
    return SphereMap(torch.from_numpy(directions).T.reshape(3, rows, columns), framing, foreground=foreground)


def by_category(images: Mapping[str, ImageRecord]) -> dict[str, list[ImageRecord]]:
    """The images of each category, sorted by its name."""
    names = sorted({image.category for image in images.values()})
    return {name: [image for image in images.values() if image.category == name] for name in names}


def store_features(
    images: Collection[ImageRecord], backbone: Backbone, resolution: int, folder: Path, *, labels: bool = False
) -> FeatureStore:
    """Features of whole pictures in a folder; a store that is there and holds them all is opened."""
    settings = StoreSettings(backbone.source, resolution, labels=labels)
    if (folder / INDEX).is_file():
        store = FeatureStore(folder, settings)
        if all(image.id in store for image in images):
            return store
    return extract(list(images), backbone, settings, folder, progress=partial(show_progress, "features"))


def open_split(
    renders: Path, split: str, backbone: Backbone, resolution: int, folder: Path, limit: int | None
) -> HeldOut:
    """The pairs of a split, or so many of them evenly spread, with features in a folder beside it by their name."""
    pairs = spread(SPair71k(renders).pairs(split), limit)
    images = {image.id: image for pair in pairs for image in (pair.source, pair.target)}
    name = split if limit is None else f"{split}-{limit}"
    return HeldOut(pairs, images, store_features(images.values(), backbone, resolution, folder / name))


def parser_for(description: str) -> argparse.ArgumentParser:
    """A parser with the options that choose the renders and the models."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path, help="folder of `spherecorr render`")
    add_model_options(parser)
    parser.add_argument("--limit", type=int, metavar="PAIRS", help="so many pairs of each split, evenly spread")
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Sphere, backbone, and where features are kept."""
    parser.add_argument("--sphere", default="mini", help="checkpoint folder or name (default: %(default)s)")
    parser.add_argument("--backbone", metavar="NAME", help="default: the one that the sphere was trained on")
    parser.add_argument("--features", type=Path, metavar="FOLDER", help="keep features here (default: nowhere)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")


def open_models(options: argparse.Namespace) -> tuple[Backbone, SphereMapper]:
    """The models that the options name."""
    return load_models(options.backbone, options.sphere, options.device)


@contextlib.contextmanager
def features_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Where features lie: as the options say, or in a folder that goes with the program's end."""
    if options.features:
        yield options.features
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def rounded(value):
    """The same with four decimals; None where a number is undefined."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value

"""Several methods on the same pairs and the same features, each kept on its own, become one table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import ImageOps

from spherecorr.backbones import Backbone
from spherecorr.backbones.debiasing import DebiasedFeatures, estimate_position_bias
from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.data.symmetry import Symmetry, known_symmetry, read_symmetry
from spherecorr.evaluation.comparison import Comparison, MethodResult
from spherecorr.evaluation.cost import Cost, measure_cost
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.inputs import (
    AnySphere,
    EvaluationError,
    check_partners,
    find_mirrors,
    read_pairs,
    sphere_maps,
    spread,
)
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.evaluation.summary import similarity_names
from spherecorr.extraction import extract
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.files import write_atomic
from spherecorr.matching.settings import MatchSettings
from spherecorr.pipelines.common import Progress, load_models, silent, versions
from spherecorr.pipelines.methods import Method, choose, load_related, mappers_of_sphere, prepare
from spherecorr.pipelines.settings import METHODS, Models
from spherecorr.store import FeatureStore, partial_folder
from spherecorr.store_settings import StoreSettings
from spherecorr.views.comparison import comparison_figure

COST = "cost.json"
COST_PAIRS = 12  # pairs, and their images, whose time is taken
COMPARISON_FILES = ("comparison.md", "comparison.csv", "comparison.png")


def compare(
    dataset: Any,
    split: str,
    out: str | Path,
    models: Models | None = None,
    *,
    methods: Sequence[str] | None = None,
    asic: str | Path | None = None,
    deil: str | Path | None = None,
    alpha: float | None = None,
    matching: MatchSettings | None = None,
    settings: EvaluationSettings | None = None,
    symmetry: str | Path | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    broken: list[str] | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Score several methods on the pairs of a dataset, and write a table, a CSV file and a figure.

        compare(open_dataset("renders", "renders"), "test", "runs/compare", methods=["raw", "pose-aligned", "fused"])

    The features of all images and of their mirror images are computed once, into `out`. Each method has a folder there
    with its report and its cost; the same call resumes, and takes what was made from the same inputs.

    Args:
        dataset: a reader with pairs.
        split: of it.
        out: folder of the comparison.
        models: backbone of all methods, and the sphere; by default mini and its sphere.
        methods: names of `METHODS`; by default all for which there are mappers.
        asic: folder with a checkpoint, or a run of `spherecorr train`, for each category.
        deil: one checkpoint, or a run.
        alpha: share of the sphere in "fused"; by default what the mapper recommends.
        matching: how to match; `alpha` counts instead of its own.
        settings: how to score; KAP by its first protocol.
        symmetry: file that says which keypoints are symmetric, see `data.symmetry.read_symmetry`.
        limit: only so many pairs, evenly spread over the list.
        overwrite: begin anew where `out` holds results of other inputs.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error.
        progress: shows how far features and scores are.

    Returns:
        The comparison.

    Raises:
        SpherecorrError: an unknown method, one without its mapper, or a method's folder with results of other inputs;
            and see `evaluation.evaluate`.
    """
    out, models, settings = Path(out), models or Models(), settings or EvaluationSettings()
    settings = replace(settings, protocols=settings.protocols[:1])
    mirrored = known_symmetry(dataset, read_symmetry(symmetry) if symmetry else None)
    if not hasattr(dataset, "pairs"):
        raise EvaluationError(f"Methods are compared on pairs with keypoints; {dataset.title} has none.")
    pairs = spread(read_pairs(dataset, split, broken), limit)
    if not pairs:
        raise EvaluationError(f"The split {split} has no pairs to compare methods on.")
    backbone, sphere = load_models(models.backbone, models.sphere, models.device)
    mappers = {**mappers_of_sphere(sphere), **load_related(asic, deil, models.device)}
    chosen = choose(methods, mappers)
    images = list({image.id: image for pair in pairs for image in (pair.source, pair.target)}.values())
    if "pose-aligned" in chosen:
        check_partners(images, mirrored)
    resolution = models.resolution or (sphere.settings.resolution if sphere else backbone.default_resolution)
    made = StoreSettings(backbone.source, resolution, crops=2, mirrored=True)
    if overwrite and any((out / name / "settings.json").is_file() for name in METHODS):  # else it may be somebody's own
        for old in (out / "features", partial_folder(out / "features")):
            shutil.rmtree(old, ignore_errors=True)
    store = extract(images, backbone, made, out / "features", progress=partial(progress, "features"))
    about = {"dataset": dataset.title, "split": split, "versions": versions()}
    bias = partial(estimate_position_bias, store.values())
    results = {}
    for name in chosen:
        method = prepare(name, mappers, matching or MatchSettings(), alpha, bias)
        features = _features(method, store)
        report = evaluate(
            pairs,
            features,
            sphere=_sphere(method, features, images),
            alpha=method.alpha if method.mappers else None,
            settings=method.matching,
            pose_align=method.pose_align,
            symmetry=mirrored,
            **asdict(settings),
            out=out / name,
            overwrite=overwrite,
            broken=broken,
            about={**about, "method": name},
            progress=partial(progress, name),
        )
        report.save(out / name)
        (similarity,) = similarity_names((method.alpha,))
        cost = _read_cost(out / name, overwrite) or _measure(method, features, backbone, resolution, pairs, mirrored)
        write_atomic(out / name / COST, (json.dumps(asdict(cost), indent=2) + "\n").encode())
        results[name] = MethodResult(report, similarity, cost)
    comparison = Comparison(results)
    table, scores, figure = (out / name for name in COMPARISON_FILES)
    comparison.to_markdown(table)
    comparison.to_csv(scores)
    write_atomic(figure, comparison_figure(comparison))
    return comparison


def _features(method: Method, store: FeatureStore) -> Mapping[str, FeatureMap]:
    """What the method matches by."""
    return store if method.bias is None else DebiasedFeatures(store, method.bias)


def _sphere(method: Method, features: Mapping[str, FeatureMap], images: Sequence[ImageRecord]) -> AnySphere:
    """What `evaluate` takes: one mapper, or the maps of several."""
    if not method.mappers or "" in method.mappers:
        return method.mappers.get("")
    return _sphere_maps(method, features, images)


def _sphere_maps(
    method: Method, features: Mapping[str, FeatureMap], images: Sequence[ImageRecord]
) -> dict[str, SphereMap] | None:
    """The surface maps of some images, each by its category's mapper; None where the method has no mapper."""
    mappers = {image.id: mapper for image in images if (mapper := method.mapper_of(image.category)) is not None}
    return {name: sphere_maps(mapper, features)[name] for name, mapper in mappers.items()} or None


def _read_cost(folder: Path, overwrite: bool) -> Cost | None:
    """What a method cost when it was first run; None if that is not known."""
    file = folder / COST
    return None if overwrite or not file.is_file() else Cost(**json.loads(file.read_text(encoding="utf-8")))


def _measure(
    method: Method,
    features: Mapping[str, FeatureMap],
    backbone: Backbone,
    resolution: int,
    pairs: Sequence[PairRecord],
    symmetry: Mapping[str, Symmetry] | None,
) -> Cost:
    """Take the time of some pairs, evenly spread, and of their sources."""
    sample = spread(pairs, COST_PAIRS)
    images = list({image.id: image for pair in sample for image in (pair.source, pair.target)}.values())
    spheres = _sphere_maps(method, features, images)
    mirrors = find_mirrors(method.pose_align, None, images, features, None)

    def per_image(image: ImageRecord) -> None:
        picture = image.load_picture()
        found = method.features(backbone(picture, resolution=resolution, framing="pad"))
        if mapper := method.mapper_of(image.category):
            mapper.sphere_map(found)
        if method.pose_align:
            backbone(ImageOps.mirror(picture), resolution=resolution, framing="pad")

    def per_pair(pair: PairRecord) -> None:
        more: dict[str, Any] = {"settings": method.matching, "mirrors": mirrors, "symmetry": symmetry}
        score_pairs([pair], features, spheres, [method.alpha], thresholds=(0.1,), protocols=("corrected",), **more)

    return measure_cost(images[:COST_PAIRS], sample, per_image, per_pair, backbone.device)

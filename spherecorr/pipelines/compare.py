"""Several methods on the same pairs and the same features, each kept on its own, become one table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import ImageOps

from spherecorr.backbones import Backbone
from spherecorr.backbones.debiasing import DebiasedFeatures, PositionBias, estimate_position_bias
from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.data.symmetry import Symmetry, known_symmetry, read_symmetry
from spherecorr.errors import SpherecorrError
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
from spherecorr.matching.settings import MatchSettings, PoseAlign
from spherecorr.pipelines.common import Progress, load_models, silent, versions
from spherecorr.pipelines.settings import METHODS, Models
from spherecorr.sphere.checkpoint import WEIGHTS, load_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import FeatureStore, partial_folder
from spherecorr.store_settings import StoreSettings
from spherecorr.views.comparison import comparison_figure

COST = "cost.json"
COST_PAIRS = 12  # pairs, and their images, whose time is taken
WINDOW = 5  # cells to each side, the zero-shot setting of "Telling Left from Right"
COMPARISON_FILES = ("comparison.md", "comparison.csv", "comparison.png")


@dataclass(frozen=True, eq=False)
class _Method:
    """How a method matches.

    Attributes:
        features: of all images.
        matching: how to match.
        mappers: for each category; under "" that of all. Empty if there is none.
        alpha: the surface's share.
        pose_align: see `evaluate`.
        bias: that was removed from the features.
    """

    features: Mapping[str, FeatureMap]
    matching: MatchSettings
    mappers: Mapping[str, SphereMapper] = field(default_factory=dict)
    alpha: float = 0.0
    pose_align: PoseAlign | None = None
    bias: PositionBias | None = None

    def mapper_of(self, image: ImageRecord) -> SphereMapper | None:
        return self.mappers.get(image.category) or self.mappers.get("")

    def sphere(self, images: Sequence[ImageRecord]) -> AnySphere:
        """What `evaluate` takes: one mapper, or the maps of several."""
        if not self.mappers or "" in self.mappers:
            return self.mappers.get("")
        return {image.id: self.sphere_map(image) for image in images}

    def sphere_map(self, image: ImageRecord) -> SphereMap:
        mapper = self.mapper_of(image)
        if mapper is None:
            raise EvaluationError(f"There is no atlas for '{image.category}'; there are {', '.join(self.mappers)}.")
        return sphere_maps(mapper, self.features)[image.id]


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
    mappers = _load_mappers(sphere, asic, deil, models.device)
    chosen = _choose(methods, mappers)
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
    results = {}
    for name in chosen:
        method = _prepare(name, store, mappers, alpha, matching or MatchSettings())
        report = evaluate(
            pairs,
            method.features,
            sphere=method.sphere(images),
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
        cost = _read_cost(out / name, overwrite) or _measure(method, backbone, resolution, pairs, mirrored)
        write_atomic(out / name / COST, (json.dumps(asdict(cost), indent=2) + "\n").encode())
        results[name] = MethodResult(report, similarity, cost)
    comparison = Comparison(results)
    table, scores, figure = (out / name for name in COMPARISON_FILES)
    comparison.to_markdown(table)
    comparison.to_csv(scores)
    write_atomic(figure, comparison_figure(comparison))
    return comparison


def _load_mappers(
    sphere: SphereMapper | None, asic: str | Path | None, deil: str | Path | None, device: str
) -> dict[str, dict[str, SphereMapper]]:
    """Method -> its mappers, of a category or under "" of all."""
    mappers: dict[str, dict[str, SphereMapper]] = {}
    if sphere is not None:
        mappers["sphere"] = mappers["fused"] = {"": sphere}
    if asic is not None:
        folders = sorted(folder for folder in Path(asic).glob("*") if _checkpoint(folder))
        if not folders:
            raise SpherecorrError(
                f"'{asic}' holds no folder of a category with a checkpoint; train with --preset asic."
            )
        mappers["asic"] = {folder.name: load_sphere(_checkpoint(folder) or folder, device=device) for folder in folders}
    if deil is not None:
        mappers["deil"] = {"": load_sphere(_checkpoint(Path(deil)) or deil, device=device)}
    return mappers


def _checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a folder is, or the best of the run that it is."""
    places = (folder, folder / "best", folder / "last")
    return next((place for place in places if (place / WEIGHTS).is_file()), None)


def _choose(methods: Sequence[str] | None, mappers: Mapping[str, Any]) -> list[str]:
    """The methods asked for, or all that can be had, in the order of `METHODS`."""
    lacking = {"sphere", "fused", "asic", "deil"} - mappers.keys()
    if methods is None:
        return [name for name in METHODS if name not in lacking]
    for name in methods:
        if name not in METHODS:
            raise SpherecorrError(f"There is no method '{name}'; there are {', '.join(METHODS)}.")
        if name in lacking:
            option = "--sphere" if name in ("sphere", "fused") else f"--{name}"
            raise SpherecorrError(f"The method {name} needs a mapper; name its folder with {option}.")
    return [name for name in METHODS if name in methods]


def _prepare(
    name: str,
    store: FeatureStore,
    mappers: Mapping[str, Mapping[str, SphereMapper]],
    alpha: float | None,
    matching: MatchSettings,
) -> _Method:
    """What a method matches with."""
    matching = replace(matching, alpha=None)
    if name == "debiased":
        bias = estimate_position_bias(store.values())
        return _Method(DebiasedFeatures(store, bias), matching, bias=bias)
    if name == "pose-aligned":
        window = WINDOW if matching.soft_window is None else matching.soft_window
        return _Method(store, replace(matching, soft_window=window), pose_align="nearest")
    if name == "raw":
        return _Method(store, matching)
    share = 1.0
    if name == "fused":
        share = mappers[name][""].settings.alpha if alpha is None else alpha
    return _Method(store, matching, mappers[name], share)


def _read_cost(folder: Path, overwrite: bool) -> Cost | None:
    """What a method cost when it was first run; None if that is not known."""
    file = folder / COST
    return None if overwrite or not file.is_file() else Cost(**json.loads(file.read_text(encoding="utf-8")))


def _measure(
    method: _Method,
    backbone: Backbone,
    resolution: int,
    pairs: Sequence[PairRecord],
    symmetry: Mapping[str, Symmetry] | None,
) -> Cost:
    """Take the time of some pairs, evenly spread, and of their sources."""
    sample = spread(pairs, COST_PAIRS)
    images = list({image.id: image for pair in sample for image in (pair.source, pair.target)}.values())
    spheres = {image.id: method.sphere_map(image) for image in images} if method.mappers else None
    mirrors = find_mirrors(method.pose_align, None, images, method.features, None)

    def per_image(image: ImageRecord) -> None:
        picture = image.load_picture()
        found = backbone(picture, resolution=resolution, framing="pad")
        if method.bias:
            method.bias.remove(found)
        if mapper := method.mapper_of(image):
            mapper.sphere_map(found)
        if method.pose_align:
            backbone(ImageOps.mirror(picture), resolution=resolution, framing="pad")

    def per_pair(pair: PairRecord) -> None:
        more: dict[str, Any] = {"settings": method.matching, "mirrors": mirrors, "symmetry": symmetry}
        score_pairs(
            [pair], method.features, spheres, [method.alpha], thresholds=(0.1,), protocols=("corrected",), **more
        )

    return measure_cost(images[:COST_PAIRS], sample, per_image, per_pair, backbone.device)

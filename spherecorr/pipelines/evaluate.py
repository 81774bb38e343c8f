"""A dataset and models become a report: of matches where there are pairs, else of viewpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from spherecorr.backbones import Backbone
from spherecorr.backbones.registry import parts_of
from spherecorr.data.check import check_image
from spherecorr.data.reading import read_all
from spherecorr.data.records import ImageRecord
from spherecorr.data.symmetry import known_symmetry, read_symmetry
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.evaluate import choose_alphas, evaluate
from spherecorr.evaluation.inputs import EvaluationError, read_pairs, spread
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.evaluation.viewpoint import ViewpointReport, evaluate_viewpoints
from spherecorr.extraction import extract
from spherecorr.files import write_atomic
from spherecorr.geometry import FramingName
from spherecorr.matching.settings import MatchSettings, PoseAlign
from spherecorr.parallel import join_processes
from spherecorr.pipelines.common import (
    Progress,
    load_models,
    load_sphere_of,
    silent,
    sphere_named,
    versions,
    write_left_out,
)
from spherecorr.pipelines.settings import Models
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import FeatureStore, partial_folder
from spherecorr.store_settings import StoreSettings
from spherecorr.views.curves import report_page

VIEWPOINTS = "viewpoints.json"
REPORT_FILES = ("report.md", "report.json", "report.csv", "report.html")


def evaluate_matches(
    dataset: Any,
    split: str,
    out: str | Path,
    models: Models | None = None,
    *,
    store: str | Path | None = None,
    alpha: float | Sequence[float] | None = None,
    matching: MatchSettings | None = None,
    pose_align: PoseAlign | None = None,
    settings: EvaluationSettings | None = None,
    symmetry: str | Path | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    broken: list[str] | None = None,
    cells: int | None = None,
    framing: FramingName = "pad",
    progress: Progress = silent,
) -> Report | None:
    """Compute or open the features of a dataset's pairs, match their keypoints, and report PCK and KAP.

    The same call resumes an evaluation that was stopped; processes that `accelerate launch` started share it.

    Args:
        dataset: a reader with pairs.
        split: of it.
        out: folder of the evaluation.
        models: by default mini and its sphere.
        store: features of `extract_features`; by default they are computed, and stored in `out`.
        alpha: shares of the sphere, see `evaluation.evaluate`.
        matching: how to match; `alpha` counts instead of its own.
        pose_align: match a source as its mirror image where that is nearer to the target, see `evaluation.evaluate`;
            the features of mirror images are computed, too.
        settings: how to score.
        symmetry: file that says which keypoints are symmetric, see `data.symmetry.read_symmetry`; it counts instead of
            what the reader or the names say.
        limit: only so many pairs, evenly spread over the list.
        overwrite: begin anew where `out` holds other results.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error.
        cells: along each side of the padded input, where no resolution is given.
        framing: how images are made square, where features are computed.
        progress: shows how far features and scores are.

    Returns:
        The report; None in a process that only helps.

    Raises:
        SpherecorrError: see `evaluation.evaluate`; what can be refused is refused before features are computed.
    """
    out, models = Path(out), models or Models()
    mirrored = known_symmetry(dataset, read_symmetry(symmetry) if symmetry else None)
    found = read_pairs(dataset, split, broken)
    if not found:
        raise EvaluationError(f"The split {split} has no pairs to evaluate{f': {broken[0]}' if broken else '.'}")
    pairs = spread(found, limit)
    origin, sphere = _open_models(models, store)
    choose_alphas(sphere, alpha)
    images = list({image.id: image for pair in pairs for image in (pair.source, pair.target)}.values())
    features = _find_features(origin, sphere, images, out, models, cells, framing, pose_align, overwrite, progress)
    about = _describe(dataset, split, models, sphere)
    if len(pairs) < len(found):
        about["limit"] = f"{len(pairs):,} of {len(found):,} pairs, evenly spread"
    report = evaluate(
        pairs,
        features,
        sphere=sphere,
        alpha=alpha,
        settings=matching,
        pose_align=pose_align,
        symmetry=mirrored,
        **asdict(settings or EvaluationSettings()),
        out=out,
        overwrite=overwrite,
        broken=broken,
        about=about,
        progress=partial(progress, "scoring"),
    )
    return report if join_processes(models.device).main else None


def save_report(report: Report, out: str | Path) -> None:
    """Write the report in all its forms: Markdown, JSON, CSV, and a page with figures."""
    report.save(out)
    write_atomic(Path(out) / "report.html", report_page(report).encode())


def score_viewpoints(
    dataset: Any,
    split: str,
    out: str | Path,
    models: Models | None = None,
    *,
    store: str | Path | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    broken: list[str] | None = None,
    progress: Progress = silent,
) -> ViewpointReport | None:
    """Score a dataset without pairs by the viewpoints that the sphere finds, and write `viewpoints.json` into `out`.

    The arguments are those of `evaluate_matches`.

    Returns:
        The report; None in a process that only helps.

    Raises:
        EvaluationError: nothing has a viewpoint, or there is no sphere.
        SpherecorrError: a broken file, or models that do not fit together.
    """
    out, models = Path(out), models or Models()
    found = [image for image in dataset.images(split, broken) if image.viewpoint is not None]
    if not found:
        raise EvaluationError(f"The split {split} of {dataset.title} has neither pairs nor viewpoints to score.")
    images = asked = spread(found, limit)
    if broken is not None:
        images = read_all(check_image, asked, broken)
    origin, sphere = _open_models(models, store)
    if sphere is None:
        raise EvaluationError(
            "Viewpoints are read from a sphere, and there is none for this backbone; name a --sphere."
        )
    features = _find_features(origin, sphere, images, out, models, None, "pad", None, overwrite, progress)
    if not join_processes(models.device).main:
        return None
    report = evaluate_viewpoints(images, features, sphere, broken=broken, progress=partial(progress, "viewpoints"))
    about = _describe(dataset, split, models, sphere)
    about["features"] = asdict(features[images[0].id].source)
    if len(asked) < len(found):
        about["limit"] = f"{len(asked):,} of {len(found):,} images, evenly spread"
    if broken:
        about["left out"] = {"count": len(broken), "first": broken[0]}
        write_left_out(out, broken)
    document = {"settings": about, **asdict(report)}
    write_atomic(out / VIEWPOINTS, (json.dumps(document, indent=2) + "\n").encode())
    return report


def _open_models(models: Models, store: str | Path | None) -> tuple[Backbone | FeatureStore, SphereMapper | None]:
    """What gives features, a backbone or a store, and the sphere for them."""
    origin: Backbone | FeatureStore
    if store is None:
        origin, sphere = load_models(models.backbone, models.sphere, models.device)
        source = origin.source
    else:
        origin = FeatureStore(store)
        settings, source = origin.settings, origin.settings.source
        joined = "+".join(dict.fromkeys(one.backbone for one in (source, *settings.parts)))
        asked = models.backbone and "+".join(parts_of(models.backbone))
        for name, there, said in (
            ("backbone", joined, asked),
            ("resolution", settings.resolution, models.resolution),
        ):
            if said not in (None, there):
                raise EvaluationError(f"The store '{store}' is of {name} {there}; --{name} says otherwise.")
        sphere = load_sphere_of(source.backbone, models.sphere, models.device)
    if sphere:
        sphere.check(source)
    return origin, sphere


def _find_features(
    origin: Backbone | FeatureStore,
    sphere: SphereMapper | None,
    images: Sequence[ImageRecord],
    out: Path,
    models: Models,
    cells: int | None,
    framing: FramingName,
    pose_align: PoseAlign | None,
    overwrite: bool,
    progress: Progress,
) -> FeatureStore:
    """The store itself, or what the backbone computes into the folder `features` of `out`."""
    if isinstance(origin, FeatureStore):
        return origin
    resolution = models.resolution or (cells and cells * origin.source.patch)
    resolution = resolution or (sphere.settings.resolution if sphere else origin.default_resolution)
    settings, folder = StoreSettings(origin.source, resolution, framing, parts=origin.parts), out / "features"
    if pose_align and origin.parts:
        raise SpherecorrError(
            "Pose alignment needs the features of mirror images, and stores hold none of joined backbones."
        )
    if pose_align:
        settings = replace(settings, crops=2, mirrored=True)
    processes = join_processes(models.device)
    if processes.main:
        # A folder that holds no results may be somebody's own.
        if overwrite and any((out / name).is_file() for name in ("settings.json", VIEWPOINTS)):
            for old in (folder, partial_folder(folder)):
                shutil.rmtree(old, ignore_errors=True)
        extract(images, origin, settings, folder, progress=partial(progress, "features"))
    processes.barrier()
    return FeatureStore(folder)


def _describe(dataset: Any, split: str, models: Models, sphere: SphereMapper | None) -> dict[str, Any]:
    """What a report states first."""
    named = sphere_named(models.sphere, sphere)
    return {"dataset": dataset.title, "split": split, "sphere": named, "versions": versions()}

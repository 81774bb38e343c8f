"""A dataset, its features and a sphere become a report; what was scored is kept, so that a stopped run resumes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spherecorr.data.reading import read_all, read_json
from spherecorr.data.records import DatasetError, PairRecord
from spherecorr.data.symmetry import Symmetry, known_symmetry, unknown_symmetry
from spherecorr.evaluation.inputs import (
    AnySphere,
    EvaluationError,
    check_partners,
    find_mirrors,
    input_digests,
    object_cells,
    sphere_maps,
)
from spherecorr.evaluation.keypoint_table import KeypointTable, Side, concatenate
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.evaluation.summary import summarise
from spherecorr.features import FeatureMap
from spherecorr.files import write_atomic
from spherecorr.identity import without_names
from spherecorr.matching.co_pca import has_levels
from spherecorr.matching.settings import MatchSettings, PoseAlign
from spherecorr.parallel import Processes, join_processes
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import FeatureStore

PART = 256  # pairs whose table is one file
LEFT_OUT = "left-out.txt"
Value = TypeVar("Value")
Progress = Callable[[Sequence], Iterable]


def evaluate(
    dataset: Any,
    features: Mapping[str, FeatureMap],
    *,
    split: str = "test",
    sphere: AnySphere = None,
    alpha: float | Sequence[float] | None = None,
    thresholds: Sequence[float] = EvaluationSettings.thresholds,
    protocols: Sequence[str] = EvaluationSettings.protocols,
    sides: Side = EvaluationSettings.sides,
    settings: MatchSettings | None = None,
    pose_align: PoseAlign | None = None,
    mirrored: Mapping[str, FeatureMap] | None = None,
    symmetry: Mapping[str, Symmetry] | None = None,
    inclusive: bool = EvaluationSettings.inclusive,
    resamples: int = EvaluationSettings.resamples,
    out: str | Path | None = None,
    overwrite: bool = False,
    broken: list[str] | None = None,
    about: dict[str, Any] | None = None,
    progress: Progress = iter,
) -> Report:
    """Match the keypoints of a dataset's pairs and report PCK and KAP.

    Several processes that `accelerate launch` started share the work where `out` is given.

    Args:
        dataset: a reader (see `data.registry.open_dataset`), or pairs.
        features: image id -> feature map, such as a dict or a FeatureStore.
        split: of the reader.
        sphere: a mapper, or image id -> sphere map; None reports raw features alone.
        alpha: shares of the sphere in the fused similarity, beside raw features (0) and the sphere alone (1); by
            default what the mapper recommends, 0.2 for maps.
        thresholds: shares of the longer side of the target.
        sides: of the target's "box" (the image's where it has none), or of its "image".
        protocols: names of `metrics.KAP_PROTOCOLS`.
        settings: how to match; `alpha` counts instead of its own.
        pose_align: match a source as its mirror image where that is nearer to the target, see `matching.alignment`;
            None does not.
        mirrored: image id -> features of its mirror image, for pose alignment; by default those that the store has.
        symmetry: category -> its symmetric keypoints, see `data.symmetry.read_symmetry`; for other categories as the
            reader knows them, or as their names say. The report lists those of which nothing is known.
        inclusive: a match exactly at the threshold is correct.
        resamples: of the bootstrap behind the intervals; 0 for none.
        out: folder that keeps what was scored; the same call resumes there. It holds digests of the annotations, the
            features and the sphere, and refuses others. None keeps nothing.
        overwrite: begin anew, whatever `out` holds.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error; `out` keeps it as
            left-out.txt.
        about: JSON-able entries that `out` and the report state first.
        progress: wraps the parts that are left to do, to show progress.

    Raises:
        DatasetError: no such split, a broken file, or no features for an image that a pair names.
        EvaluationError: no pairs, an alpha without sphere or outside 0..1, or a folder with results of other settings.
        ScoringError: an unknown protocol, a threshold of 0, features of different backbones or pictures.
        SphereMismatchError: a mapper of another backbone.
    """
    pairs = dataset.pairs(split, broken) if hasattr(dataset, "pairs") else list(dataset)
    pairs = read_all(lambda pair: _with_features(pair, features), pairs, broken)
    if not pairs:
        raise EvaluationError(f"There are no pairs to evaluate{f' ({broken[0]})' if broken else ''}.")
    sample = features[pairs[0].source.id]
    if isinstance(sphere, SphereMapper):
        sphere.check(sample.source)
    alphas = choose_alphas(sphere, alpha)
    settings = settings or MatchSettings()
    symmetry = known_symmetry(dataset, symmetry)
    unknown = unknown_symmetry(pairs, symmetry)
    choices: dict[str, Any] = {"thresholds": tuple(thresholds), "protocols": tuple(protocols), "sides": sides}
    images = list({image.id: image for pair in pairs for image in (pair.source, pair.target)}.values())
    if isinstance(features, FeatureStore):
        features.check(images)
    unused = ("alpha", "k") if has_levels(sample) else ("alpha", "k", "co_pca")
    if pose_align:
        check_partners(images, symmetry)
    mirrors = find_mirrors(pose_align, mirrored, images, features, sphere)
    record = {
        **({"split": split} if hasattr(dataset, "pairs") else {}),
        **(about or {}),
        "pairs": len(pairs),
        "features": {**asdict(sample.source), "input_size": sample.framing.input_size},
        **({"parts": [asdict(part.source) for part in sample.parts]} if sample.parts else {}),
        "alphas": alphas,
        **choices,
        "matching": {name: value for name, value in asdict(settings).items() if name not in unused},
        **({"pose alignment": pose_align} if pose_align else {}),
    }
    if out:
        record["digests"] = input_digests(pairs, images, features, sphere, symmetry, settings, mirrors)
    spheres = sphere_maps(sphere, features) if isinstance(sphere, SphereMapper) else sphere
    objects = object_cells(settings, images, features, sphere, spheres)

    def score(part: Sequence[PairRecord]) -> KeypointTable:
        more: dict[str, Any] = {"settings": settings, "objects": objects, "mirrors": mirrors, "symmetry": symmetry}
        return score_pairs(part, features, spheres, alphas, **choices, **more)

    table = _score_in_parts(pairs, score, Path(out) if out else None, record, overwrite, progress)
    notes: dict[str, Any] = {"left out": {"count": len(broken), "first": broken[0]}} if broken else {}
    notes |= {"symmetry unknown": unknown} if unknown else {}
    if out and broken and join_processes("cpu").main:
        write_atomic(Path(out) / LEFT_OUT, "".join(f"{sentence}\n" for sentence in broken).encode())
    return summarise(table, inclusive=inclusive, resamples=resamples, settings={**record, **notes})


def choose_alphas(sphere: AnySphere, alpha: float | Sequence[float] | None) -> tuple[float, ...]:
    """Raw, sphere, and the shares between that were asked for or that the mapper recommends.

    Raises:
        EvaluationError: an alpha without sphere, or outside 0..1.
    """
    if sphere is None:
        if alpha is not None:
            raise EvaluationError("alpha is a sphere's share, and there is no sphere.")
        return (0.0,)
    if alpha is None:
        alpha = sphere.settings.alpha if isinstance(sphere, SphereMapper) else 0.2
    asked = [alpha] if isinstance(alpha, int | float) else list(alpha)
    for value in asked:
        if not 0 <= value <= 1:
            raise EvaluationError(f"alpha is the sphere's share and must lie between 0 and 1; got {value:g}.")
    return tuple(dict.fromkeys((0.0, 1.0, *map(float, asked))))


def _score_in_parts(
    pairs: Sequence[PairRecord],
    score: Callable[[Sequence[PairRecord]], KeypointTable],
    out: Path | None,
    record: dict[str, Any],
    overwrite: bool,
    progress: Progress,
) -> KeypointTable:
    """Score the pairs part by part, and join the parts in the pairs' order."""
    # Pairs of one target lie together: its features are read and normalised once for all of them.
    order = sorted(range(len(pairs)), key=lambda i: (pairs[i].target.category, pairs[i].target.id))
    parts = [[pairs[i] for i in order[start : start + PART]] for start in range(0, len(order), PART)]
    if out is None:
        tables = [score(part) for part in progress(parts)]
    else:
        processes = join_processes("cpu")
        _claim(out, record, overwrite, processes)
        files = [out / "parts" / f"{i:05d}.npz" for i in range(len(parts))]
        own = range(processes.index, len(parts), processes.count)
        for i in progress([i for i in own if not files[i].exists()]):
            score(parts[i]).save(files[i])
        processes.barrier()
        tables = [KeypointTable.load(file) for file in files]
    return concatenate(tables).select(np.argsort(order))


def _claim(out: Path, record: dict[str, Any], overwrite: bool, processes: Processes) -> None:
    """Write the settings into a new folder, or one that is to be overwritten; refuse one with other settings."""
    file, parts = out / "settings.json", out / "parts"
    content = json.loads(json.dumps(record))
    if processes.main:
        if overwrite:
            shutil.rmtree(parts, ignore_errors=True)
            (out / LEFT_OUT).unlink(missing_ok=True)
        elif parts.is_dir() and without_names(found := read_json(file)) != without_names(content):
            raise EvaluationError(
                f"'{out}' holds results of other {_differences(found, content)}. "
                "Choose another folder, or overwrite it."
            )
        write_atomic(file, (json.dumps(content, indent=2) + "\n").encode())
    processes.barrier()


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """'settings (fusion cosine; now l2) and annotations': digests by name, everything else by value."""
    digests = [side.get("digests") or {} for side in (found, wanted)]
    inputs = [name for name in digests[1] if digests[0].get(name) != digests[1][name]]
    there, here = ({**side, **side.get("matching", {})} for side in (found, wanted))
    skipped = ("digests", "matching")
    names = [name for name in {**there, **here} if name not in skipped and there.get(name) != here.get(name)]
    said = (", ".join(f"{name} {side.get(name)}" for name in names) for side in (there, here))
    parts = [f"settings ({'; now '.join(said)})"] if names else []
    return " and ".join([*parts, *inputs])


def _with_features(pair: PairRecord, features: Mapping[str, FeatureMap]) -> PairRecord:
    for image in (pair.source, pair.target):
        if image.id not in features:
            raise DatasetError(f"There are no features for image '{image.id}', which pair '{pair.id}' names.")
    return pair

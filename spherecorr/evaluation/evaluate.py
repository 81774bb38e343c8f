"""A dataset, its features and a sphere become a report; what was scored is kept, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from spherecorr.data.check import check_picture
from spherecorr.data.reading import read_all, read_json
from spherecorr.data.records import DatasetError, ImageRecord, PairRecord
from spherecorr.data.symmetry import Symmetry
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.keypoint_table import Fusion, KeypointTable, Padding, Side, concatenate
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.summary import summarise
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.files import write_atomic
from spherecorr.parallel import Processes, join_processes
from spherecorr.sphere.mapper import SphereMapper

THRESHOLDS = (0.1, 0.05, 0.01)
PROTOCOLS = ("corrected", "authors", "jamais-vu")
PART = 256  # pairs whose table is one file
LEFT_OUT = "left-out.txt"
Progress = Callable[[Sequence], Iterable]


class EvaluationError(SpherecorrError):
    """An evaluation that cannot be made; the message says why and what to do."""


def evaluate(
    dataset: Any,
    features: Mapping[str, FeatureMap],
    *,
    split: str = "test",
    sphere: SphereMapper | Mapping[str, SphereMap] | None = None,
    alpha: float | Sequence[float] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    protocols: Sequence[str] = PROTOCOLS,
    sides: Side = "box",
    fusion: Fusion = "cosine",
    padding: Padding = "lowest",
    symmetry: Mapping[str, Symmetry] | None = None,
    inclusive: bool = False,
    resamples: int = 500,
    out: str | Path | None = None,
    overwrite: bool = False,
    broken: list[str] | None = None,
    settings: dict[str, Any] | None = None,
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
        fusion: the similarity, see `scoring.score_pairs`.
        padding: whether matches may lie on padding, see there.
        symmetry: category -> its symmetric keypoints, see `data.symmetry.read_symmetry`; by default as their names say.
        inclusive: a match exactly at the threshold is correct.
        resamples: of the bootstrap behind the intervals; 0 for none.
        out: folder that keeps what was scored; the same call again goes on from there. None keeps nothing.
        overwrite: begin anew, whatever `out` holds.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error; `out` keeps it as
            left-out.txt.
        settings: JSON-able entries that `out` and the report state first.
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
    choices = {"thresholds": tuple(thresholds), "protocols": tuple(protocols), "sides": sides}
    choices |= {"fusion": fusion, "padding": padding}
    record = {
        **({"split": split} if hasattr(dataset, "pairs") else {}),
        **(settings or {}),
        "pairs": len(pairs),
        "checksum of pairs": _checksum(pair.id.encode() for pair in pairs),
        "features": {**asdict(sample.source), "input_size": sample.framing.input_size},
        "checksum of sphere": sphere_checksum(sphere) if isinstance(sphere, SphereMapper) else None,
        "alphas": alphas,
        **choices,
        "checksum of symmetry": _checksum([_written(symmetry)]) if symmetry else None,
    }
    spheres = _SphereMaps(sphere, features) if isinstance(sphere, SphereMapper) else sphere

    def score(part: Sequence[PairRecord]) -> KeypointTable:
        return score_pairs(part, features, spheres, alphas, **choices, symmetry=symmetry)

    table = _score_in_parts(pairs, score, out and Path(out), record, overwrite, progress)
    left_out = {"left out": {"count": len(broken), "first": broken[0]}} if broken else {}
    if out and broken and join_processes("cpu").main:
        write_atomic(Path(out) / LEFT_OUT, "".join(f"{sentence}\n" for sentence in broken).encode())
    return summarise(table, inclusive=inclusive, resamples=resamples, settings={**record, **left_out})


def read_pairs(dataset: Any, split: str, broken: list[str] | None = None) -> list[PairRecord]:
    """The pairs of a split whose pictures are there.

    Args:
        dataset: a reader with pairs.
        split: of the dataset.
        broken: a list that gets a sentence for everything that cannot be used, instead of an error; then the pictures
            are decoded, too.

    Raises:
        DatasetError: no such split, a broken annotation, or a pair that names a missing picture.
    """
    faults: dict[Path, str | None] = {}

    def checked(pair: PairRecord) -> PairRecord:
        for image in (pair.source, pair.target):
            if image.path not in faults:
                faults[image.path] = _fault(image, decode=broken is not None)
            if faults[image.path]:
                raise DatasetError(f"Pair '{pair.id}' cannot be used: {faults[image.path]}")
        return pair

    return read_all(checked, dataset.pairs(split, broken), broken)


def spread(pairs: Sequence[PairRecord], limit: int | None) -> list[PairRecord]:
    """At most so many of the pairs, evenly spread over the list, so that every category keeps its share.

    Raises:
        EvaluationError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise EvaluationError(f"A limit is a number of pairs, 1 or more; got {limit}.")
    if limit is None or limit >= len(pairs):
        return list(pairs)
    return [pairs[i] for i in np.linspace(0, len(pairs), limit, endpoint=False).astype(int)]


def choose_alphas(
    sphere: SphereMapper | Mapping[str, SphereMap] | None, alpha: float | Sequence[float] | None
) -> tuple[float, ...]:
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


def sphere_checksum(mapper: SphereMapper) -> str:
    """What tells two mappers apart: a digest of their weights."""
    state = sorted(mapper.state_dict().items())
    return _checksum(key.encode() + tensor.cpu().numpy().tobytes() for key, tensor in state)


class _SphereMaps(Mapping[str, SphereMap]):
    """The sphere maps of all images, each computed when it is first asked for; they are small."""

    def __init__(self, mapper: SphereMapper, features: Mapping[str, FeatureMap]):
        self._mapper, self._features = mapper, features
        self._maps: dict[str, SphereMap] = {}

    def __getitem__(self, image_id: str) -> SphereMap:
        if image_id not in self._maps:
            features = self._features[image_id]
            found = self._mapper.sphere_map(features)
            self._maps[image_id] = SphereMap(found.points.to(features.features.device), found.framing)
        return self._maps[image_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


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
        elif parts.is_dir() and (found := read_json(file)) != content:
            names = [name for name in {**found, **content} if found.get(name) != content.get(name)]
            there, now = (", ".join(f"{name} {said.get(name)}" for name in names) for said in (found, content))
            raise EvaluationError(
                f"'{out}' holds results of other settings ({there}; now {now}). Choose another folder, or overwrite it."
            )
        write_atomic(file, (json.dumps(content, indent=2) + "\n").encode())
    processes.barrier()


def _with_features(pair: PairRecord, features: Mapping[str, FeatureMap]) -> PairRecord:
    for image in (pair.source, pair.target):
        if image.id not in features:
            raise DatasetError(f"There are no features for image '{image.id}', which pair '{pair.id}' names.")
    return pair


def _fault(image: ImageRecord, decode: bool) -> str | None:
    """Why a picture cannot be used; None if it can."""
    if not image.path.is_file():
        return f"there is no picture '{image.path}'."
    try:
        if decode:
            check_picture(image)
    except DatasetError as error:
        return str(error)
    return None


def _written(symmetry: Mapping[str, Symmetry]) -> bytes:
    """The same for the same symmetry: sets have no order of their own."""
    return json.dumps(
        {
            name: [dict(of.mirrored), {part: sorted(group) for part, group in of.groups.items()}]
            for name, of in symmetry.items()
        },
        sort_keys=True,
    ).encode()


def _checksum(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk + b"\n")
    return digest.hexdigest()[:16]

"""Match the keypoints of many pairs and measure every match: pairs and features become a keypoint table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.data.symmetry import Symmetry, symmetry_by_name
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.keypoint_table import KeypointTable, Side
from spherecorr.evaluation.mirroring import Mirrors, merge_queries
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.matching.candidates import candidate_cells
from spherecorr.matching.co_pca import has_levels, join_pair
from spherecorr.matching.readout import best_points
from spherecorr.matching.settings import MatchSettings
from spherecorr.matching.similarity import ImageFeatures, PairSimilarity, check_comparable
from spherecorr.metrics import KAP_PROTOCOLS, kap_maxima

PAIRS_AT_ONCE = 32  # of one target; bounds the memory of their similarities
HIDDEN = (np.nan, np.nan)


class ScoringError(SpherecorrError):
    """Pairs that cannot be scored; the message says what is missing or wrong."""


def score_pairs(
    pairs: Sequence[PairRecord],
    features: Mapping[str, FeatureMap],
    spheres: Mapping[str, SphereMap] | None,
    alphas: Sequence[float],
    *,
    settings: MatchSettings | None = None,
    objects: Mapping[str, np.ndarray] | None = None,
    mirrors: Mirrors | None = None,
    thresholds: Sequence[float] = (0.1, 0.05, 0.01),
    protocols: Sequence[str] = ("corrected", "authors", "jamais-vu"),
    sides: Side = "box",
    symmetry: Mapping[str, Symmetry] | None = None,
    progress: Callable[[Sequence], Iterable] = iter,
) -> KeypointTable:
    """Match every keypoint that a source shows at several shares of the sphere, in one pass over the pairs.

    Pairs with one target are worked through together, so that its features are read once.

    Args:
        pairs: what to match.
        features: image id -> feature map.
        spheres: image id -> sphere map; None if `alphas` is `[0]`.
        alphas: shares of the sphere, 0..1; 0 is raw features, 1 the sphere alone. They count instead of the settings'.
        settings: how to match.
        objects: image id -> boolean `[H, W]`, where the object of a target is; for the candidates "foreground" and
            "mask". To KAP, other cells have the lowest similarity of their pair.
        mirrors: where it is given, a source is matched as its mirror image if that is nearer to the target, keypoint by
            keypoint where its left/right partner lies; a keypoint whose partner is hidden is matched as it is.
        thresholds: of KAP, shares of a side of the target. (PCK's can be chosen later, from the table's errors.)
        protocols: of KAP, names of `metrics.KAP_PROTOCOLS`, each with its own choice on padding.
        sides: KAP's thresholds are shares of the longer side of the target's "box" (of the image where it has none) or
            of its "image".
        symmetry: category -> its symmetric keypoints; a category that is not there goes by its keypoints' names.
        progress: wraps the batches of pairs.

    Raises:
        ScoringError: features or sphere maps of an image are missing, are of another backbone or another picture; an
            alpha, threshold or protocol that does not exist.
    """
    settings = settings or MatchSettings()
    alphas, thresholds, protocols = tuple(map(float, alphas)), tuple(map(float, thresholds)), tuple(protocols)
    _check_settings(alphas, thresholds, protocols, spheres)
    _check_images(pairs, features, spheres)
    keypoints = [_keypoints(pair, (symmetry or {}).get(pair.target.category)) for pair in pairs]
    count = np.array([len(points.names) for points in keypoints], dtype=np.int64)
    first = np.cumsum([0, *count])
    error, mirrored_error = np.full((2, len(alphas), first[-1]), np.nan)
    nearest_own = np.zeros((len(alphas), first[-1]), dtype=bool)
    kap = np.full((2, len(alphas), len(protocols), len(thresholds), first[-1]), np.nan, dtype=np.float32)

    def image(name: str, cells: np.ndarray | None = None) -> ImageFeatures:
        """A copy of its own, so that its unit vectors are forgotten with it."""
        return ImageFeatures(replace(features[name]), None if spheres is None else spheres[name], cells)

    for batch in progress(_batches(pairs, count)):
        name = pairs[batch[0]].target.id
        target = image(name, None if objects is None else objects[name])
        sources = [image(pairs[i].source.id) for i in batch]
        queries = [(one, one.framing.to_cell(keypoints[i].source)) for one, i in zip(sources, batch, strict=True)]
        order = None
        if mirrors:
            in_mirrors = [
                mirrors.query(pairs[i], keypoints[i].names, keypoints[i].partners, one, target)
                for one, i in zip(sources, batch, strict=True)
            ]
            queries, order = merge_queries(queries, in_mirrors)
        sources, cells = map(list, zip(*queries, strict=True))
        similarity = _similarity(sources, target, cells, alphas, settings)
        similarity = similarity if order is None else similarity[:, order]
        allowed = candidate_cells(target, settings.candidates)
        found = _best(similarity, allowed, target, settings)
        parts = np.cumsum([0, *(count[i] for i in batch)])
        for i, start, stop in zip(batch, parts, parts[1:], strict=False):
            own, part = slice(first[i], first[i + 1]), slice(start, stop)
            error[:, own], mirrored_error[:, own], nearest_own[:, own] = _distances(found[:, part], keypoints[i])
            rows = similarity[:, part].numpy()
            if settings.candidates in ("foreground", "mask"):
                rows = np.where(allowed, rows, rows.min(axis=(1, 2, 3), keepdims=True))
            pixels = np.array(thresholds) * _side(pairs[i].target, sides)
            for k, name in enumerate(protocols):
                kap[:, :, k, :, own] = kap_maxima(rows, target.framing, keypoints[i].truth, pixels, KAP_PROTOCOLS[name])
    targets = [pair.target for pair in pairs]
    box_side = np.array([target.longer_side if target.box else np.nan for target in targets], dtype=np.float64)
    return KeypointTable(
        alphas=alphas,
        protocols=protocols,
        thresholds=thresholds,
        sides=sides,
        fusion=settings.fusion,
        candidates=settings.candidates,
        soft_window=settings.soft_window,
        pair_ids=tuple(pair.id for pair in pairs),
        pair_categories=tuple(pair.source.category for pair in pairs),
        pair_attributes=tuple(pair.attributes for pair in pairs),
        pair=np.repeat(np.arange(len(pairs)), count),
        keypoint=np.array([name for points in keypoints for name in points.names], dtype=str),
        present=np.concatenate([np.zeros(0, bool), *(points.present for points in keypoints)]),
        geometry_aware=np.concatenate([np.zeros(0, bool), *(points.geometry_aware for points in keypoints)]),
        box_side=np.repeat(box_side, count),
        image_side=np.repeat(np.array([max(target.size) for target in targets], dtype=np.float64), count),
        error=error,
        mirrored_error=mirrored_error,
        nearest_own=nearest_own,
        kap_positive=kap[0],
        kap_negative=kap[1],
    )


def _similarity(
    sources: Sequence[ImageFeatures],
    target: ImageFeatures,
    cells: Sequence[np.ndarray],
    alphas: Sequence[float],
    settings: MatchSettings,
) -> torch.Tensor:
    """Rows `[A, N, H, W]` of the cells of all sources, on the CPU."""
    if not has_levels(target.features):
        return PairSimilarity(sources, target, settings.fusion).rows(cells, alphas).cpu()
    pairs = (join_pair(source, target, settings.co_pca) for source in sources)
    rows = (PairSimilarity([one], other, settings.fusion) for one, other in pairs)
    return torch.cat([own.rows([part], alphas).cpu() for own, part in zip(rows, cells, strict=True)], dim=1)


def _best(rows: torch.Tensor, allowed: np.ndarray, target: ImageFeatures, settings: MatchSettings) -> np.ndarray:
    """Pixels `[A, N, 2]` of the best matches in rows `[A, N, H, W]` among the cells allowed."""
    if not allowed.all():
        rows = rows.masked_fill(torch.from_numpy(~allowed), -torch.inf)
    return best_points(rows.flatten(0, 1), target.framing, settings).reshape(*rows.shape[:2], 2)


def _check_settings(
    alphas: tuple[float, ...],
    thresholds: tuple[float, ...],
    protocols: tuple[str, ...],
    spheres: Mapping[str, SphereMap] | None,
) -> None:
    if not alphas or not all(0 <= alpha <= 1 for alpha in alphas):
        raise ScoringError(
            f"Alphas are the sphere's shares, at least one, and lie between 0 and 1; got {list(alphas)}."
        )
    if spheres is None and max(alphas) > 0:
        raise ScoringError(
            f"Alpha {max(alphas):g} needs sphere maps, and there are none; alpha 0 is raw features alone."
        )
    if not thresholds or not all(threshold > 0 for threshold in thresholds):
        raise ScoringError(f"Thresholds are shares of a side, at least one, and above 0; got {list(thresholds)}.")
    for name in protocols:
        if name not in KAP_PROTOCOLS:
            raise ScoringError(f"There is no KAP protocol '{name}'; there are {', '.join(KAP_PROTOCOLS)}.")


def _check_images(
    pairs: Sequence[PairRecord], features: Mapping[str, FeatureMap], spheres: Mapping[str, SphereMap] | None
) -> None:
    images = {image.id: image for pair in pairs for image in (pair.source, pair.target)}
    expected = None
    for name, image in images.items():
        if name not in features:
            raise ScoringError(f"There are no features of image '{name}'.")
        if spheres is not None and name not in spheres:
            raise ScoringError(f"There is no sphere map of image '{name}'.")
        found = features[name]
        expected = expected or found
        try:
            check_comparable(expected, found)
        except SpherecorrError as error:
            raise ScoringError(f"Image '{name}' cannot be compared with the others: {error}") from error
        if found.framing.image_size != tuple(image.size):
            raise ScoringError(
                f"The features of image '{name}' are of a picture of {found.framing.image_size} pixels, and its record "
                f"says {tuple(image.size)}."
            )


def _batches(pairs: Sequence[PairRecord], count: np.ndarray) -> list[list[int]]:
    """Indices of the pairs that have a keypoint to match; a batch shares its target."""
    by_target: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        if count[i]:
            by_target.setdefault(pair.target.id, []).append(i)
    return [
        members[start : start + PAIRS_AT_ONCE]
        for members in by_target.values()
        for start in range(0, len(members), PAIRS_AT_ONCE)
    ]


@dataclass(frozen=True, eq=False)
class _Keypoints:
    """The N keypoints that a pair's source shows, as pixels `[N, 2]` of the two images; NaN where hidden."""

    names: list[str]
    partners: Mapping[str, str]
    source: np.ndarray
    truth: np.ndarray
    mirrored: np.ndarray
    geometry_aware: np.ndarray

    @property
    def present(self) -> np.ndarray:
        return ~np.isnan(self.truth[:, 0])


def _keypoints(pair: PairRecord, symmetry: Symmetry | None) -> _Keypoints:
    names = [name for name, point in pair.source.keypoints.items() if point]
    if symmetry is None:
        symmetry = symmetry_by_name({**pair.source.keypoints, **pair.target.keypoints})
    shown = {name: point for name, point in pair.target.keypoints.items() if point}
    mirrored = [symmetry.mirrored.get(name, "") for name in names]
    alike = [len(symmetry.groups.get(name, frozenset()) & shown.keys()) for name in names]
    return _Keypoints(
        names,
        symmetry.mirrored,
        source=np.array([pair.source.keypoints[name] for name in names], dtype=np.float64).reshape(-1, 2),
        truth=np.array([shown.get(name, HIDDEN) for name in names], dtype=np.float64).reshape(-1, 2),
        mirrored=np.array([shown.get(name, HIDDEN) for name in mirrored], dtype=np.float64).reshape(-1, 2),
        geometry_aware=np.array([name in shown and n >= 2 for name, n in zip(names, alike, strict=True)], dtype=bool),
    )


def _distances(found: np.ndarray, keypoints: _Keypoints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of matches `[A, N, 2]`: px to the keypoint, px to the mirrored one, and whether the keypoint is nearest."""
    error = np.linalg.norm(found - keypoints.truth, axis=-1)
    present = np.flatnonzero(keypoints.present)
    others = np.linalg.norm(found[:, :, None] - keypoints.truth[present], axis=-1)
    others[:, present, np.arange(len(present))] = np.inf
    nearest_own = error < others.min(axis=-1, initial=np.inf)
    return error, np.linalg.norm(found - keypoints.mirrored, axis=-1), nearest_own


def _side(image: ImageRecord, sides: Side) -> float:
    return image.longer_side if sides == "box" else float(max(image.size))

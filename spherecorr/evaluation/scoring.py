"""Match the keypoints of many pairs and measure every match: pairs and features become a keypoint table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.data.symmetry import Symmetry, symmetry_by_name
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.keypoint_table import Fusion, KeypointTable, Padding, Side
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import Framing
from spherecorr.matching import fuse
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
    thresholds: Sequence[float] = (0.1, 0.05, 0.01),
    protocols: Sequence[str] = ("corrected", "authors", "jamais-vu"),
    sides: Side = "box",
    fusion: Fusion = "cosine",
    padding: Padding = "lowest",
    symmetry: Mapping[str, Symmetry] | None = None,
    progress: Callable[[Sequence], Iterable] = iter,
) -> KeypointTable:
    """Match every keypoint that a source shows at several shares of the sphere, in one pass over the pairs.

    A match is the target cell of the highest similarity. Pairs with one target are worked through together, so that its
    features are read once.

    Args:
        pairs: what to match.
        features: image id -> feature map.
        spheres: image id -> sphere map; None if `alphas` is `[0]`.
        alphas: shares of the sphere, 0..1; 0 is raw features, 1 the sphere alone.
        thresholds: of KAP, shares of a side of the target. (PCK's can be chosen later, from the table's errors.)
        protocols: of KAP, names of `metrics.KAP_PROTOCOLS`.
        sides: KAP's thresholds are shares of the longer side of the target's "box" (of the image where it has none) or
            of its "image".
        fusion: "cosine" mixes cosine similarities. "l2" mixes negated Euclidean distances, of features as they are and
            of sphere points, as the paper's code does where the features are of a diffusion model and a ViT, each made
            unit length and then joined.
        padding: "lowest" never matches a cell on padding; "counted" treats them like all others, as the public
            evaluations do. (KAP has its own choice in each protocol.)
        symmetry: category -> its symmetric keypoints; a category that is not there goes by its keypoints' names.
        progress: wraps the batches of pairs, to show progress.

    Raises:
        ScoringError: features or sphere maps of an image are missing, are of another backbone or another picture; an
            alpha, threshold or protocol that does not exist.
    """
    alphas, thresholds, protocols = tuple(map(float, alphas)), tuple(map(float, thresholds)), tuple(protocols)
    _check_settings(alphas, thresholds, protocols, spheres)
    _check_images(pairs, features, spheres)
    keypoints = [_keypoints(pair, (symmetry or {}).get(pair.target.category)) for pair in pairs]
    count = np.array([len(points.names) for points in keypoints], dtype=np.int64)
    first = np.cumsum([0, *count])
    error, mirrored_error = np.full((2, len(alphas), first[-1]), np.nan)
    nearest_own = np.zeros((len(alphas), first[-1]), dtype=bool)
    kap = np.full((2, len(alphas), len(protocols), len(thresholds), first[-1]), np.nan, dtype=np.float32)
    for batch in progress(_batches(pairs, count)):
        target = pairs[batch[0]].target.id
        sources = [pairs[i].source.id for i in batch]
        cells = [features[name].framing.to_cell(keypoints[i].source) for name, i in zip(sources, batch, strict=True)]
        raw = ball = None
        if min(alphas) < 1:
            raw = _rows([features[name].features for name in sources], cells, features[target].features, fusion)
        if max(alphas) > 0:
            ball = _rows([spheres[name].points for name in sources], cells, spheres[target].points, fusion)
        framing = features[target].framing
        parts = np.cumsum([0, *(count[i] for i in batch)])
        for i, start, stop in zip(batch, parts, parts[1:], strict=False):
            rows, own = _mix(raw, ball, slice(start, stop), alphas), slice(first[i], first[i + 1])
            found = _best_points(rows, framing, padding)
            error[:, own], mirrored_error[:, own], nearest_own[:, own] = _distances(found, keypoints[i])
            pixels = np.array(thresholds) * _side(pairs[i].target, sides)
            for k, name in enumerate(protocols):
                kap[:, :, k, :, own] = kap_maxima(rows, framing, keypoints[i].truth, pixels, KAP_PROTOCOLS[name])
    targets = [pair.target for pair in pairs]
    box_side = np.array([target.longer_side if target.box else np.nan for target in targets], dtype=np.float64)
    return KeypointTable(
        alphas=alphas,
        protocols=protocols,
        thresholds=thresholds,
        sides=sides,
        fusion=fusion,
        padding=padding,
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
        expected = expected or found.source
        if found.source != expected:
            raise ScoringError(f"The images have different features: {expected}, and for '{name}' {found.source}.")
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
    mirrored = [symmetry.mirrored.get(name) for name in names]
    alike = [len(symmetry.groups.get(name, frozenset()) & shown.keys()) for name in names]
    return _Keypoints(
        names,
        source=np.array([pair.source.keypoints[name] for name in names], dtype=np.float64).reshape(-1, 2),
        truth=np.array([shown.get(name, HIDDEN) for name in names], dtype=np.float64).reshape(-1, 2),
        mirrored=np.array([shown.get(name, HIDDEN) for name in mirrored], dtype=np.float64).reshape(-1, 2),
        geometry_aware=np.array([name in shown and n >= 2 for name, n in zip(names, alike, strict=True)], dtype=bool),
    )


def _rows(sources: list[Tensor], cells: list[np.ndarray], target: Tensor, fusion: Fusion) -> np.ndarray:
    """Similarity `[M, H, W]` of the cells of several sources `[D, H', W']`, one after the other, to one target."""
    queries = torch.cat([source[:, cell[:, 1], cell[:, 0]].T for source, cell in zip(sources, cells, strict=True)])
    queries, tokens = queries.float().cpu(), target.flatten(1).float().cpu()
    # In one pass over the tokens, where torch would first write all their squares.
    squares = torch.from_numpy(np.einsum("dc,dc->c", tokens.numpy(), tokens.numpy()))
    if fusion == "cosine":
        rows = normalize(queries) @ tokens / squares.sqrt().clamp(min=1e-12)
    else:
        squared = queries.square().sum(dim=1, keepdim=True) + squares - 2 * queries @ tokens
        rows = -squared.clamp(min=0).sqrt()
    return rows.unflatten(1, target.shape[1:]).numpy()


def _mix(raw: np.ndarray | None, ball: np.ndarray | None, part: slice, alphas: tuple[float, ...]) -> np.ndarray:
    """`[A, N, H, W]` at every alpha."""
    ends = {0.0: raw, 1.0: ball}
    return np.stack([ends[a][part] if a in ends else fuse(raw[part], ball[part], a) for a in alphas])


def _best_points(rows: np.ndarray, framing: Framing, padding: Padding) -> np.ndarray:
    """Pixels `[A, N, 2]` of the best cells."""
    content = framing.content_cells().reshape(-1)
    rows = rows.reshape(*rows.shape[:2], -1)
    if padding == "counted" or content.all():
        cell = rows.argmax(axis=-1)
    else:
        content = np.flatnonzero(content)
        cell = content[rows[..., content].argmax(axis=-1)]
    return framing.to_pixel(np.stack([cell % framing.grid[0], cell // framing.grid[0]], axis=-1))


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

"""Points of one image matched in another, by features, by the sphere, and by both together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap
from spherecorr.markup import html_table
from spherecorr.matching.candidates import candidate_cells, find_foreground, mask_cells
from spherecorr.matching.co_pca import join_pair
from spherecorr.matching.readout import Ranked, best_cells, mirror_angles, nearer_mirror, rank
from spherecorr.matching.settings import MatchSettings
from spherecorr.matching.similarity import ImageFeatures, PairSimilarity
from spherecorr.sphere.mapper import FOREGROUND, SphereMapper
from spherecorr.sphere.settings import SphereSettings

LISTED = 24  # points that a notebook's table shows


@dataclass(frozen=True, eq=False)
class MatchResult:
    """What `match` found.

    Without a sphere, everything but `points`, `raw`, `raw_cycle` and `object_told` is None; on a plane there are no
    angles.

    Attributes:
        points: `[N, 2]` the source points in original pixels.
        raw: matches by the backbone's features alone.
        sphere: matches by the sphere alone.
        fused: matches by both, mixed with alpha.
        raw_cycle: `[N]` px in the source between a point and the raw match of its raw match.
        fused_cycle: `[N]` the same for the fused similarity.
        raw_angle: `[N]` degrees on the sphere between a point and its raw match.
        nearest_angle: `[N]` degrees on the sphere between a point and the nearest target cell.
        symmetric_mistake: `[N]` bool, the raw match looks like the mirrored part, see `SphereSettings.mirror_angle`.
        visible: `[N]` bool, some target cell lies near the point on the sphere.
        object_told: with the candidates "foreground", whether the target's object could be told from the background;
            False: all of the picture was matched. None with other candidates.
    """

    points: np.ndarray
    raw: Ranked
    raw_cycle: np.ndarray
    sphere: Ranked | None = None
    fused: Ranked | None = None
    fused_cycle: np.ndarray | None = None
    raw_angle: np.ndarray | None = None
    nearest_angle: np.ndarray | None = None
    symmetric_mistake: np.ndarray | None = None
    visible: np.ndarray | None = None
    object_told: bool | None = None

    def __repr__(self) -> str:
        """The number of points and of ranks, and which similarities there are."""
        count, k = self.raw.score.shape
        return f"MatchResult({count} points, k {k}, {'raw' if self.fused is None else 'raw, sphere, fused'})"

    def _repr_html_(self) -> str:
        """For notebooks: a row a point, with its best matches, their scores, the angle of the raw one, and flags."""
        kinds = {name: ranked for name in ("raw", "sphere", "fused") if (ranked := getattr(self, name)) is not None}
        columns = ["", "point", *kinds, *(["angle", "flags"] if self.raw_angle is not None else [])]
        rows = []
        for i, point in enumerate(self.points[:LISTED]):
            best = [f"{_pixels(ranked.xy[i, 0])} ({ranked.score[i, 0]:.2f})" for ranked in kinds.values()]
            told = [f"{self.raw_angle[i]:.0f}°", self._flags(i)] if self.raw_angle is not None else []
            rows.append([str(i + 1), _pixels(point), *best, *told])
        title = "points in pixels of the source; best matches in pixels of the target (similarity)"
        if len(self.points) > len(rows):
            title = f"the first {len(rows)} of {len(self.points)} {title}"
        return html_table(title, columns, rows)

    def _flags(self, i: int) -> str:
        """What to look at, of one point."""
        flags = []
        if self.symmetric_mistake is not None and self.symmetric_mistake[i]:
            flags.append("likely symmetric mistake")
        if self.visible is not None and not self.visible[i]:
            flags.append("not visible")
        return ", ".join(flags)


def match(
    source: FeatureMap | ImageFeatures,
    target: FeatureMap | ImageFeatures,
    points: ArrayLike,
    *,
    sphere: SphereMapper | None = None,
    mask: np.ndarray | None = None,
    settings: MatchSettings | None = None,
    **options: Any,
) -> MatchResult:
    """Find where points of the source image lie in the target image.

    Args:
        source: features of the image with the points; or what `prepare` made of them, to match many times.
        target: the same of the other image, by the same backbone.
        points: (x, y) in original pixels of the source.
        sphere: the mapper; None gives raw matches only.
        mask: boolean `[h, w]` in original pixels of the target: only what it covers can be matched. It goes with the
            candidates "mask", which it implies.
        settings: how to match.
        **options: attributes of `MatchSettings` that differ from `settings`, such as `alpha=0.5, k=3`.

    Raises:
        SpherecorrError: a point outside the image or not finite, features of two backbones, a setting out of its range,
            alpha without a sphere, candidates without their mask, or a mapper trained on other features.
    """
    if mask is not None:
        options = {"candidates": "mask", **options}
    settings = replace(settings or MatchSettings(), **options)
    if sphere is None and settings.alpha is not None:
        raise SpherecorrError("alpha is a sphere's share, and there is no sphere.")
    if isinstance(source, FeatureMap):
        source = prepare(source, sphere, settings if settings.candidates == "foreground" else MatchSettings())
    if isinstance(target, FeatureMap):
        target = prepare(target, sphere, settings, mask)
    return match_images(source, target, points, settings, None if sphere is None else sphere.settings)


def match_images(
    source: ImageFeatures,
    target: ImageFeatures,
    points: ArrayLike,
    settings: MatchSettings | None = None,
    known: SphereSettings | None = None,
) -> MatchResult:
    """`match` for prepared images; the same errors.

    Args:
        source: the image with the points.
        target: the other image.
        points: (x, y) in original pixels of the source.
        settings: how to match.
        known: of the mapper that made the sphere maps: its alpha and the angles of its flags.
    """
    settings = settings or MatchSettings()
    source, target = join_pair(source, target, settings.co_pca)
    points = source.framing.check_points(points)
    cells = source.framing.to_cell(points)
    forth = _Direction(source, target, settings)
    if source.sphere is None or target.sphere is None:
        (raw_rows,) = forth.rows(cells, (0,))
        raw, cycle = rank(raw_rows, target.framing, settings), _cycle(forth, points, raw_rows, 0)
        return MatchResult(points, raw, cycle, object_told=forth.object_told)
    known = known or SphereSettings(source.features.source.dim)
    alpha = known.alpha if settings.alpha is None else settings.alpha
    rows = forth.rows(cells, (0, 1, alpha))
    raw, sphere, fused = (rank(part, target.framing, settings) for part in rows)
    return MatchResult(
        points,
        raw,
        _cycle(forth, points, raw.rows, 0),
        sphere,
        fused,
        _cycle(forth, points, fused.rows, alpha),
        object_told=forth.object_told,
        **(_angles(forth, cells, raw.rows, known) if target.sphere.surface == "sphere" else {}),
    )


def prepare(
    features: FeatureMap,
    sphere: SphereMapper | None = None,
    settings: MatchSettings | None = None,
    mask: np.ndarray | None = None,
) -> ImageFeatures:
    """Compute what matching needs to know of an image, to match it many times.

    Args:
        features: of the image.
        sphere: the mapper, or None.
        settings: how it will be matched; decides which cells are the object's.
        mask: boolean `[h, w]` in original pixels, for the candidates "mask".

    Raises:
        SphereMismatchError: the features are not those the mapper was trained on.
        SpherecorrError: the candidates "mask" without a mask.
    """
    sphere_map = None if sphere is None else sphere.sphere_map(features)
    candidates = (settings or MatchSettings()).candidates
    cells = None
    if candidates == "foreground":
        cells = find_foreground(features, sphere, sphere_map).cells
    elif candidates == "mask":
        if mask is None:
            raise SpherecorrError("Matches are to lie on a mask, and there is none; give one, or other candidates.")
        cells = mask_cells(mask, features.framing)
    return ImageFeatures(features, sphere_map, cells)


def _pixels(point: np.ndarray) -> str:
    return f"{point[0]:.0f}, {point[1]:.0f}"


class _Direction:
    """Matching from one image to another."""

    def __init__(self, source: ImageFeatures, target: ImageFeatures, settings: MatchSettings):
        self.source, self.target, self.settings = source, target, settings
        self.similarity = PairSimilarity([source], target, settings.fusion)
        # A source's own mask is not asked for: on the way back all of its content can be matched.
        known = settings.candidates in ("content", "all") or target.object_cells is not None
        self.candidates = candidate_cells(target, settings.candidates if known else "content")

    def rows(self, cells: np.ndarray, alphas: Sequence[float]) -> Tensor:
        """`[A, N, H, W]`, -inf where nothing can be matched."""
        rows = self.similarity.rows([cells], alphas)
        return rows.masked_fill(torch.as_tensor(~self.candidates, device=rows.device), -torch.inf)

    @property
    def object_told(self) -> bool | None:
        """See `MatchResult`."""
        if self.settings.candidates != "foreground":
            return None
        return not self.candidates[self.target.framing.content_cells()].all()

    def back(self) -> _Direction:
        """From the target to the source."""
        return _Direction(self.target, self.source, self.settings)


def _cycle(forth: _Direction, points: np.ndarray, rows: Tensor, alpha: float) -> np.ndarray:
    """Pixels `[N]` between each point and the best match, back in the source, of its best match in the target.

    A perfect match of a point at its cell's centre gives 0; elsewhere the cell's size sets the floor.
    """
    (back,) = forth.back().rows(best_cells(rows), (alpha,))
    return np.linalg.norm(forth.source.framing.to_pixel(best_cells(back)) - points, axis=1)


def _angles(forth: _Direction, cells: np.ndarray, raw_rows: Tensor, known: SphereSettings) -> dict[str, np.ndarray]:
    """The fields of `MatchResult` that are read from angles on the sphere."""
    source, target = (image.sphere.points.float() for image in (forth.source, forth.target) if image.sphere)
    cosine = forth.source.surface_points(cells).to(target) @ target.flatten(1)
    angles = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).unflatten(1, target.shape[1:])
    best = best_cells(raw_rows)
    raw_angle = angles[torch.arange(len(cells)), best[:, 1], best[:, 0]].cpu().numpy()
    nearest = angles[:, torch.tensor(_told(forth))].min(dim=1).values.cpu().numpy()
    visible = nearest <= known.visible_angle
    if known.mirror_angle is None:
        mistake = visible & (raw_angle > known.symmetric_angle)
    else:
        to_mirror = mirror_angles(source, target, cells, best)
        mistake = nearer_mirror(to_mirror, raw_angle, known.mirror_angle)
    return {"raw_angle": raw_angle, "nearest_angle": nearest, "symmetric_mistake": mistake, "visible": visible}


def _told(forth: _Direction) -> np.ndarray:
    """Boolean `[H, W]`: the candidates that are rather the object's; all where the mapper cannot tell, or none is."""
    sphere = forth.target.sphere
    if sphere is None or sphere.foreground is None:
        return forth.candidates
    told = forth.candidates & (sphere.foreground > FOREGROUND).cpu().numpy()
    return told if told.any() else forth.candidates

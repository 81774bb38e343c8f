"""What `spherecorr compare` offers, for the one pair that a page shows: where each method finds the points, and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from spherecorr.backbones.debiasing import PositionBias, check_whole, estimate_position_bias
from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import Framing
from spherecorr.matching.alignment import Alignment, align
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.pipelines.methods import WINDOW, Mappers, Method, load_related, mappers_of_sphere, prepare
from spherecorr.pipelines.settings import METHODS
from spherecorr.ui.cache import Cache
from spherecorr.ui.engine import Engine
from spherecorr.ui.examples import read_examples
from spherecorr.ui.failures import sentence
from spherecorr.ui.session import Controls, Picture, Point, Visit

WITHOUT_MAPPER, BY_SPHERE = ("raw", "debiased", "pose-aligned"), ("sphere", "fused")
# Of fewer pictures a bias is mostly their own content, see experiments/position_bias.py.
FEWEST_PICTURES = 8
BIASES_KEPT, PAIRS_KEPT, MAPS_KEPT = 4, 64, 64
DEBIASED_BYTES_KEPT = 100_000_000
COMPUTING = "Being computed …"
SAID_OF_BIAS = (
    "Cell by cell, the mean over the app's {count} example pictures is taken away: a rough estimate; compare takes the "
    "mean over a whole dataset. All are padded to squares, as there."
)


@dataclass(frozen=True, eq=False)
class Row:
    """What a method found.

    Attributes:
        name: of `METHODS`.
        said: what it decided, or why there are no matches.
        matches: `[N, 2]` in original pixels of the target; None where it has none.
        seconds: that it took to match the points, features and surface maps being there, as in `compare`.
    """

    name: str
    said: str
    matches: np.ndarray | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _Asked:
    visit: Visit
    points: tuple[Point, ...]
    controls: Controls
    category: str

    @property
    def pair(self) -> tuple[Picture, Picture]:
        assert self.visit.pair is not None
        return self.visit.pair


@dataclass(frozen=True, eq=False)
class _Debiased:
    bias: PositionBias
    pair: tuple[FeatureMap, FeatureMap]


@dataclass(frozen=True, eq=False)
class _Pose:
    alignment: Alignment
    seconds: float


class Methods:
    """The methods of one app.

    What takes long, the features of further pictures, is made by `compute` and kept; `rows` shows what there is.

    Args:
        engine: of the app; its settings say where the mappers of the related systems are.

    Raises:
        SpherecorrError: mappers that cannot be loaded.
    """

    def __init__(self, engine: Engine):
        settings = engine.settings
        self.engine = engine
        self._related = load_related(settings.asic, settings.deil, settings.device)
        examples = read_examples(settings.examples).values()
        self._categories = {str(path): e.category for e in examples for path in (e.source, e.target)}
        self._biases, self._maps, self._problems = Cache(BIASES_KEPT), Cache(MAPS_KEPT), Cache(PAIRS_KEPT)
        debiased = Cache(DEBIASED_BYTES_KEPT, lambda kept: sum(one.features.nbytes for one in kept.pair))
        self._slow: dict[str, tuple[Cache, Callable[[Visit, Controls], Any]]] = {
            "debiased": (debiased, self._debias),
            "pose-aligned": (Cache(PAIRS_KEPT), self._align),
        }

    @property
    def atlases(self) -> tuple[str, ...]:
        """The categories that have a flat atlas."""
        return tuple(self._related.get("asic", {}))

    def category(self, visit: Visit) -> str:
        """Of the example that a visit shows; "" of a person's own pictures."""
        known = {self._categories.get(picture.path, "") for picture in visit.pair or ()}
        return known.pop() if len(known) == 1 else ""

    def missing(self, visit: Visit, controls: Controls) -> list[str]:
        """The methods for which `compute` has something to do."""
        key = self.engine.needs(visit, controls)
        slow = self._slow.items()
        return [name for name, (cache, _) in slow if key not in cache and (key, name) not in self._problems]

    def compute(self, visit: Visit, controls: Controls) -> None:
        """Make what is missing; of what cannot be made, the reason is kept for its row."""
        key = self.engine.needs(visit, controls)
        for name in self.missing(visit, controls):
            try:
                self._made(name, visit, controls)
            except Exception as error:
                self._problems.get((key, name), partial(sentence, error))

    def rows(self, visit: Visit, points: tuple[Point, ...], controls: Controls, category: str = "") -> list[Row]:
        """What each method finds, in the order of `METHODS`; related systems without mappers are left out.

        Args:
            visit: with both pictures, whose features are there.
            points: in original pixels of the source.
            controls: the page's.
            category: whose atlas is taken; by default the example's.
        """
        asked = _Asked(visit, points, controls, category or self.category(visit))
        sphere, problem = self.engine.sphere(controls)
        mappers = {**mappers_of_sphere(sphere), **self._related}
        rows = []
        for name in METHODS:
            if name in mappers or name in WITHOUT_MAPPER:
                try:
                    rows.append(self._row(name, mappers, asked))
                except Exception as error:
                    rows.append(Row(name, sentence(error)))
            elif name in BY_SPHERE:
                rows.append(Row(name, problem))
        return rows

    def _row(self, name: str, mappers: Mappers, asked: _Asked) -> Row:
        visit, controls = asked.visit, asked.controls
        key = self.engine.needs(visit, controls)
        if (key, name) in self._problems:
            return Row(name, self._problems.get((key, name), str))
        if name in self.missing(visit, controls):
            return Row(name, COMPUTING)
        if name == "asic" and not asked.category:
            return Row(name, "The category of these pictures is not known; choose its atlas above.")
        debiased = self._made(name, visit, controls) if name == "debiased" else None
        pose = self._made(name, visit, controls) if name == "pose-aligned" else None
        bias = None if debiased is None else debiased.bias
        method = prepare(name, mappers, self.engine.match_settings(controls), controls.alpha, lambda: bias)
        images = self._images(name, method, asked) if debiased is None else self._padded(debiased, asked)
        began = time.perf_counter()
        matches = method.match(*images, asked.points)
        seconds = time.perf_counter() - began + (pose.seconds if pose else 0.0)
        said = {"asic": f"By the atlas of {asked.category}.", "fused": f"Alpha {method.alpha:.2f}."}.get(name, "")
        if debiased:
            said = SAID_OF_BIAS.format(count=len(self._categories))
        if pose:
            said = _said_of_pose(pose.alignment)
        return Row(name, said, matches, seconds)

    def _images(self, name: str, method: Method, asked: _Asked) -> tuple[ImageFeatures, ImageFeatures]:
        """The page's features of both images, with the surface maps that the method matches by."""
        source, target = self.engine.joined(*asked.pair, asked.controls)
        if name in BY_SPHERE:
            return source, target
        maps: list[SphereMap] | list[None] = [None, None]
        if mapper := method.mapper_of(asked.category):
            features = [self.engine.features(picture, asked.controls) for picture in asked.pair]
            key = (name, asked.category, self.engine.needs(asked.visit, asked.controls))
            maps = self._maps.get(key, lambda: [mapper.sphere_map(one) for one in features])
        return replace(source, sphere=maps[0]), replace(target, sphere=maps[1])

    def _padded(self, debiased: _Debiased, asked: _Asked) -> tuple[ImageFeatures, ImageFeatures]:
        """Debiased features; of the target the same object may be matched as by the other methods."""
        source, target = debiased.pair
        cells = self.engine.foreground(asked.pair[1], asked.controls)
        if cells is not None:
            cells = carried(cells, self.engine.features(asked.pair[1], asked.controls).framing, target.framing)
        return ImageFeatures(source), ImageFeatures(target, None, cells)

    def _made(self, name: str, visit: Visit, controls: Controls) -> Any:
        """What a method needs besides the page's features, made where it is not there."""
        cache, make = self._slow[name]
        return cache.get(self.engine.needs(visit, controls), lambda: make(visit, controls))

    def _debias(self, visit: Visit, controls: Controls) -> _Debiased:
        """Both pictures' features without the position bias."""
        assert visit.pair is not None
        check_whole(self.engine.features(visit.pair[0], controls))  # before many pictures are computed in vain
        bias = self._bias(controls)
        source, target = (bias.remove(self.engine.padded(picture, controls)) for picture in visit.pair)
        return _Debiased(bias, (source, target))

    def _bias(self, controls: Controls) -> PositionBias:
        """The mean response of the backbone to the app's example pictures."""
        if len(self._categories) < FEWEST_PICTURES:
            raise SpherecorrError(
                f"A position bias is the mean over pictures, at least {FEWEST_PICTURES}; the app has "
                f"{len(self._categories)} examples."
            )
        source = self.engine.backbone(controls).source
        pictures = [self.engine.open(path) for path in self._categories]
        key = (source, controls.preset, tuple(picture.digest for picture in pictures))
        return self._biases.get(
            key, lambda: estimate_position_bias(self.engine.padded(picture, controls) for picture in pictures)
        )

    def _align(self, visit: Visit, controls: Controls) -> _Pose:
        """Whether the source or its mirror image is nearer to the target."""
        assert visit.pair is not None
        source, target = visit.pair
        maps = [self.engine.features(picture, controls) for picture in (source, source.mirror(), target)]
        objects = [self.engine.subject(picture, controls).cells for picture in visit.pair]
        began = time.perf_counter()
        alignment = align(*maps, source_cells=objects[0], target_cells=objects[1])
        return _Pose(alignment, time.perf_counter() - began)


def carried(cells: np.ndarray, own: Framing, other: Framing) -> np.ndarray:
    """Boolean cells `[H, W]` of one framing of an image, as those cells of another whose centres they hold."""
    columns, rows = other.grid
    centres = other.to_pixel(np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1))
    found = own.to_cell(centres)
    return cells[found[..., 1], found[..., 0]] & other.content_cells()


def _said_of_pose(found: Alignment) -> str:
    return (
        f"The mirrored source matched better: {'yes' if found.mirrored else 'no'} (distance {found.mirror:.3f}; as it "
        f"is {found.plain:.3f}). Points without names are not exchanged left for right; each match is a mean over "
        f"{WINDOW} cells to each side."
    )

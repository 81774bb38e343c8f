"""Pairs with annotated keypoints: which there are, which one a visit shows, and how its matches score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spherecorr.data.pair_list import AnnotatedPair, PairList, open_pairs
from spherecorr.data.records import ImageRecord
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.one_pair import KeypointScore, keypoint_scores
from spherecorr.evaluation.report import Report
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.summary import summarise
from spherecorr.shipped import shipped_folder
from spherecorr.ui.cache import Cache
from spherecorr.ui.engine import Engine
from spherecorr.ui.examples import OWN_IMAGES, listed_examples, read_examples
from spherecorr.ui.session import MAX_POINTS, Controls, Picture, Point, Session, Visit

THRESHOLD, PROTOCOL = 0.1, "corrected"
OPENED_KEPT = 4096  # annotations of pairs that visitors opened, a few kB each


@dataclass(frozen=True)
class Explained:
    """A pair by one similarity.

    Attributes:
        pck: share of right matches among the keypoints that both images show; NaN if there are none.
        kap: of the pair; NaN if there are none.
        rows: the keypoints that the source shows, in the same order for every similarity.
    """

    pck: float
    kap: float
    rows: Sequence[KeypointScore]


@dataclass(frozen=True, eq=False)
class Scores:
    """One annotated pair, scored.

    Attributes:
        table: of all similarities.
        report: the same summarised, as `spherecorr eval` does.
        found: similarity -> what to tell of it; "raw" alone, or "raw", "sphere" and "fused".
    """

    table: KeypointTable
    report: Report
    found: dict[str, Explained]

    @property
    def rows(self) -> Sequence[KeypointScore]:
        """The keypoints by the last similarity: fused, or raw where there is no sphere."""
        return list(self.found.values())[-1].rows

    @property
    def order(self) -> list[int]:
        """The rows as they are shown and numbered: first the keypoints that the target shows."""
        return sorted(range(len(self.rows)), key=lambda i: not self.rows[i].present)


class GroundTruth:
    """The annotated pairs of an app: its examples, the renders that ship, and the datasets given at the start.

    Args:
        engine: of the app.
    """

    def __init__(self, engine: Engine):
        self.engine = engine
        self._examples = read_examples(engine.settings.examples)
        renders = shipped_folder("examples") / "renders"
        self._shipped = [listed_examples(self._examples)] if self._examples else []
        self._shipped += [open_pairs("renders", renders, "Rendered pairs")] if renders.is_dir() else []
        lists = [*self._shipped, *(open_pairs(name, root) for name, root in engine.settings.data)]
        self.lists = {str(i): pairs for i, pairs in enumerate(lists)}
        self._opened = Cache(OPENED_KEPT)

    def pairs(self, chosen: str) -> PairList:
        """One of the lists by its key.

        Raises:
            SpherecorrError: there is none.
        """
        if chosen not in self.lists:
            raise SpherecorrError("Choose one of the lists of pairs in the menu.")
        return self.lists[chosen]

    def open(self, session: Session, controls: Controls, chosen: str, category: str, number: float) -> tuple[str, str]:
        """Open a pair with the keypoints that its source shows, first those that the target shows too."""
        pair = self.pairs(chosen).pair(category, int(number))
        source, target = pair.record.source, pair.record.target
        pictures = self.engine.open(source.path), self.engine.open(target.path)
        self._opened.drop(_paths(pictures))  # two pairs of a dataset may have the same pictures and other keypoints
        self._opened.get(_paths(pictures), lambda: pair)
        shown = [name for name, point in source.keypoints.items() if point]
        shown.sort(key=lambda name: target.keypoints.get(name) is None)
        session.visit = Visit(*pictures, tuple(inside(source, name) for name in shown[:MAX_POINTS]))
        both = sum(target.keypoints.get(name) is not None for name in shown)
        more = f"; the first {MAX_POINTS} are placed as points" if len(shown) > MAX_POINTS else ""
        text = f"{category}, pair {int(number)}: {len(shown)} keypoints, {both} of them in the target too{more}."
        return text, "info"

    def example(self, session: Session) -> str:
        """What the page's menu of examples says of the pictures that are open."""
        paths = session.visit.pair and _paths(session.visit.pair)
        same = (one.id for one in self._examples.values() if (str(one.source), str(one.target)) == paths)
        return next(same, OWN_IMAGES)

    def shown(self, visit: Visit) -> AnnotatedPair | None:
        """What is known of the pictures that a visit shows; None where nothing is, or one of them is mirrored."""
        if visit.pair is None or any(picture.mirrored for picture in visit.pair):
            return None
        source, target = _paths(visit.pair)
        if (pair := self._known((source, target))) is not None:
            return pair
        pair = self._known((target, source))
        return pair and pair.swapped()

    def score(self, pair: AnnotatedPair, pictures: tuple[Picture, Picture], controls: Controls) -> Scores:
        """Score a pair as `spherecorr eval` does, with the page's features, alpha and foreground.

        Raises:
            SpherecorrError: such as that the source shows no keypoint, or a picture has another size than annotated.
        """
        engine, record = self.engine, pair.record
        by_id = dict(zip((record.source.id, record.target.id), pictures, strict=True))
        maps = {name: engine.sphere_map(picture, controls) for name, picture in by_id.items()}
        spheres = {name: sphere for name, sphere in maps.items() if sphere is not None}
        alphas = {"raw": 0.0, "sphere": 1.0, "fused": controls.alpha} if len(spheres) == len(maps) else {"raw": 0.0}
        table = score_pairs(
            [record],
            {name: engine.features(picture, controls) for name, picture in by_id.items()},
            spheres or None,
            tuple(dict.fromkeys(alphas.values())),
            settings=engine.match_settings(controls),
            objects={name: engine.subject(picture, controls).cells for name, picture in by_id.items()},
            thresholds=(THRESHOLD,),
            protocols=(PROTOCOL,),
            symmetry=pair.symmetry,
        )
        report = summarise(table, resamples=0)
        found = {}
        for similarity, alpha in alphas.items():
            i = table.alphas.index(alpha)  # alpha 0 is raw and 1 the sphere: then two names share a column
            pck, kap = (report.value(metric, report.similarities[i]) for metric in ("PCK", "KAP"))
            found[similarity] = Explained(pck, kap, keypoint_scores(table, i)[1])
        return Scores(table, report, found)

    @cached_property
    def _always_known(self) -> dict[tuple[str, str], AnnotatedPair]:
        """What ships, which the page's menu of examples or its address may have opened."""
        found = {}
        for pairs in self._shipped:
            for pair in pairs.all():
                found[str(pair.record.source.path), str(pair.record.target.path)] = pair
        return found

    def _known(self, paths: tuple[str, str]) -> AnnotatedPair | None:
        shipped = self._always_known
        try:
            return self._opened.get(paths, lambda: shipped[paths])
        except KeyError:
            return None


def inside(image: ImageRecord, name: str) -> Point:
    """A keypoint that the image shows, on the image: annotations may lie a pixel beyond its edge."""
    x, y = np.clip(image.keypoints[name] or (0.0, 0.0), 0, image.size).tolist()
    return x, y


def _paths(pictures: tuple[Picture, Picture]) -> tuple[str, str]:
    return pictures[0].path, pictures[1].path

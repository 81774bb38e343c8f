"""One table of keypoints per evaluation: what every metric and every average is read from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic
from spherecorr.matching.settings import Candidates, Fusion

Side = Literal["box", "image"]


class TableError(SpherecorrError):
    """A file is no keypoint table, or tables of other settings cannot be joined; the message says which."""


@dataclass(frozen=True, eq=False)
class KeypointTable:
    """One row for every keypoint that a pair's source shows: R rows of P pairs.

    A alphas (0 is raw features, 1 the sphere alone), K protocols of KAP, T thresholds.

    Attributes:
        alphas: the sphere's shares.
        protocols: KAP's, names of `metrics.KAP_PROTOCOLS`.
        thresholds: KAP's, shares of a side of the target.
        sides: which side: "box" (the image where the target has no box) or "image".
        fusion: the similarity, see `MatchSettings`.
        candidates: where matches may lie, see `MatchSettings`.
        soft_window: cells on each side by which matches were refined, see `MatchSettings`; or None.
        pair_ids: length P, in the order in which the pairs were given; a pair may have no row.
        pair_categories: length P, of the source.
        pair_attributes: length P, as annotated.
        pair: int `[R]` which pair.
        keypoint: names `[R]`.
        present: bool `[R]`, the target shows it.
        geometry_aware: bool `[R]`, the target shows it and another of its symmetric group.
        box_side: `[R]` px, longer side of the target's box; NaN without one.
        image_side: `[R]` px, longer side of the target image.
        error: `[A, R]` px in the target image from the match to the keypoint; NaN where it is absent.
        mirrored_error: `[A, R]` px from the match to the mirrored keypoint; NaN where there is none in sight.
        nearest_own: bool `[A, R]`, no other keypoint that both images show is nearer to the match, or as near.
        kap_positive: float32 `[A, K, T, R]` highest similarity among the keypoint's own cells; NaN where it is absent.
        kap_negative: float32 `[A, K, T, R]` highest among all other cells; NaN where there are none.
    """

    alphas: tuple[float, ...]
    protocols: tuple[str, ...]
    thresholds: tuple[float, ...]
    sides: Side
    fusion: Fusion
    candidates: Candidates
    soft_window: int | None
    pair_ids: tuple[str, ...]
    pair_categories: tuple[str, ...]
    pair_attributes: tuple[dict[str, Any], ...]
    pair: np.ndarray
    keypoint: np.ndarray
    present: np.ndarray
    geometry_aware: np.ndarray
    box_side: np.ndarray
    image_side: np.ndarray
    error: np.ndarray
    mirrored_error: np.ndarray
    nearest_own: np.ndarray
    kap_positive: np.ndarray
    kap_negative: np.ndarray

    def save(self, path: str | Path) -> None:
        """Write everything into one `.npz` file."""
        head = {name: getattr(self, name) for name in SETTINGS + OF_PAIRS}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, head=np.array(json.dumps(head)), **{name: getattr(self, name) for name in OF_ROWS})
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> KeypointTable:
        """Read what `save` wrote.

        Raises:
            TableError: the file is missing or no keypoint table.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                head: dict[str, Any] = {
                    name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(str(file["head"])).items()
                }
                return cls(**head, **{name: file[name] for name in OF_ROWS})
        except FileNotFoundError as error:
            raise TableError(f"'{path}' is missing.") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise TableError(f"'{path}' is no keypoint table of this version.") from error

    def select(self, pairs: np.ndarray) -> KeypointTable:
        """The table of some pairs only.

        Args:
            pairs: bool `[P]`, or indices in the order wanted; a pair that is named twice is there twice.
        """
        pairs = np.asarray(pairs)
        pairs = np.flatnonzero(pairs) if pairs.dtype == bool else pairs.astype(np.int64)
        # The rows of each chosen pair in turn; they need not lie together.
        order = np.argsort(self.pair, kind="stable")
        start = np.searchsorted(self.pair[order], pairs)
        count = np.searchsorted(self.pair[order], pairs, side="right") - start
        first = np.cumsum(count) - count
        rows = order[np.repeat(start - first, count) + np.arange(count.sum())]
        chosen: dict[str, Any] = {name: getattr(self, name) for name in SETTINGS}
        chosen |= {name: tuple(getattr(self, name)[i] for i in pairs) for name in OF_PAIRS}
        chosen |= {name: getattr(self, name)[..., rows] for name in OF_ROWS if name != "pair"}
        return KeypointTable(**chosen, pair=np.repeat(np.arange(len(pairs)), count))


SETTINGS = ("alphas", "protocols", "thresholds", "sides", "fusion", "candidates", "soft_window")
OF_PAIRS = ("pair_ids", "pair_categories", "pair_attributes")
OF_ROWS = tuple(field.name for field in fields(KeypointTable) if field.name not in SETTINGS + OF_PAIRS)


def concatenate(tables: Sequence[KeypointTable]) -> KeypointTable:
    """One table of all pairs, in the order of the tables.

    Raises:
        TableError: no table, or their settings differ.
    """
    if not tables:
        raise TableError("There is no keypoint table to join.")
    for name in SETTINGS:
        values = {getattr(table, name) for table in tables}
        if len(values) > 1:
            raise TableError(f"Keypoint tables of different {name} cannot be joined: {sorted(values)}.")
    first_pair = np.cumsum([0, *(len(table.pair_ids) for table in tables)])
    joined: dict[str, Any] = {name: getattr(tables[0], name) for name in SETTINGS}
    joined |= {name: tuple(value for table in tables for value in getattr(table, name)) for name in OF_PAIRS}
    joined |= {name: np.concatenate([getattr(table, name) for table in tables], axis=-1) for name in OF_ROWS}
    joined["pair"] = np.concatenate([table.pair + first for table, first in zip(tables, first_pair, strict=False)])
    return KeypointTable(**joined)

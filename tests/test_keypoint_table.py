"""Tables of keypoints on disk, joined, and taken apart."""

from dataclasses import fields, replace

import numpy as np
import pytest

from spherecorr.evaluation.keypoint_table import KeypointTable, TableError, concatenate


def table(counts: list[int], seed: int = 0) -> KeypointTable:
    """A table of pairs p0, p1, ... with so many random rows each."""
    rng = np.random.default_rng(seed)
    rows, pairs = sum(counts), len(counts)
    return KeypointTable(
        alphas=(0.0, 1.0),
        protocols=("corrected",),
        thresholds=(0.1, 0.05, 0.01),
        sides="box",
        fusion="cosine",
        candidates="content",
        soft_window=None,
        pair_ids=tuple(f"{seed}:p{i}" for i in range(pairs)),
        pair_categories=tuple("cat" if i % 2 else "dog" for i in range(pairs)),
        pair_attributes=tuple({"occlusion": i} for i in range(pairs)),
        pair=np.repeat(np.arange(pairs), counts),
        keypoint=np.array([f"k{i}" for i in range(rows)], dtype=str),
        present=rng.random(rows) < 0.5,
        geometry_aware=rng.random(rows) < 0.5,
        box_side=rng.random(rows),
        image_side=rng.random(rows),
        error=np.where(rng.random((2, rows)) < 0.3, np.nan, rng.random((2, rows))),
        mirrored_error=rng.random((2, rows)),
        nearest_own=rng.random((2, rows)) < 0.5,
        kap_positive=rng.random((2, 1, 3, rows)).astype(np.float32),
        kap_negative=rng.random((2, 1, 3, rows)).astype(np.float32),
    )


def assert_same(one: KeypointTable, other: KeypointTable) -> None:
    for field in fields(KeypointTable):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype.kind == right.dtype.kind
            assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f"), field.name
        else:
            assert left == right, field.name


@pytest.mark.parametrize("counts", [[3, 0, 2], [], [0]])
def test_saving_and_loading_gives_the_same_table(tmp_path, counts):
    table(counts).save(tmp_path / "new" / "table.npz")
    assert_same(KeypointTable.load(tmp_path / "new" / "table.npz"), table(counts))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["table.npz"]  # nothing temporary is left


def test_joined_tables_come_apart_again():
    one, other = table([3, 0, 2], 1), table([1, 4], 2)
    joined = concatenate([one, other])
    assert joined.pair.tolist() == [0, 0, 0, 2, 2, 3, 4, 4, 4, 4]
    assert_same(joined.select(np.array([0, 1, 2])), one)
    assert_same(joined.select(np.arange(5) >= 3), other)


def test_pairs_are_selected_in_the_order_asked_for_and_may_repeat():
    chosen = table([2, 0, 1]).select(np.array([2, 1, 0, 2]))
    assert chosen.pair_ids == ("0:p2", "0:p1", "0:p0", "0:p2")
    assert chosen.pair.tolist() == [0, 2, 2, 3]
    assert chosen.keypoint.tolist() == ["k2", "k0", "k1", "k2"]


def test_rows_of_a_pair_need_not_lie_together():
    mixed = replace(table([2, 2]), pair=np.array([1, 0, 1, 0]))
    assert mixed.select(np.array([1])).keypoint.tolist() == ["k0", "k2"]


def test_tables_of_other_settings_are_not_joined():
    with pytest.raises(TableError, match="different fusion"):
        concatenate([table([1]), replace(table([1]), fusion="l2")])
    with pytest.raises(TableError, match="no keypoint table to join"):
        concatenate([])


def test_a_file_that_is_no_table_is_named(tmp_path):
    with pytest.raises(TableError, match=r"gone\.npz' is missing"):
        KeypointTable.load(tmp_path / "gone.npz")
    (tmp_path / "text.npz").write_text("no table")
    np.savez(tmp_path / "other.npz", head=np.array("{}"))
    table([2]).save(tmp_path / "half.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "half.npz").read_bytes()[:300])
    for name in ("text", "other", "half"):
        with pytest.raises(TableError, match=rf"{name}\.npz' is no keypoint table"):
            KeypointTable.load(tmp_path / f"{name}.npz")

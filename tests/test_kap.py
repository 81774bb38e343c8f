"""KAP on pairs whose answer is obvious, and against a slow reading of its definition."""

import numpy as np
import pytest

from spherecorr.geometry import Framing, pad
from spherecorr.metrics import KAP_PROTOCOLS, KapProtocol, average_precision, kap_entries

LINE = Framing((5, 1), (5, 1), 1, (1.0, 1.0))  # five cells of one pixel in a row, centres at 0.5, 1.5, ...
HIDDEN = (np.nan, np.nan)


def entries(row, truth, threshold=1.0, **choices):
    rows = np.array(row, dtype=float).reshape(-1, 1, 5)
    return kap_entries(rows, LINE, np.array(truth, dtype=float).reshape(-1, 2), threshold, KapProtocol(**choices))


def test_a_keypoint_in_sight_gives_its_best_positive_and_its_best_negative():
    scores, labels = entries([0.1, 0.9, 0.2, 0.7, 0.3], (1.5, 0.5))
    assert (scores.tolist(), labels.tolist()) == ([0.9, 0.7], [1, 0])


def test_a_keypoint_out_of_sight_gives_its_best_cell_as_a_negative():
    scores, labels = entries([[0.1, 0.9, 0.2, 0.7, 0.3], [0.8, 0, 0, 0, 0]], [(1.5, 0.5), HIDDEN])
    assert (scores.tolist(), labels.tolist()) == ([0.9, 0.7, 0.8], [1, 0, 0])


def test_cells_are_measured_at_their_centre_or_at_their_corner():
    """The keypoint lies on the border of cells 1 and 2, 0.5 from both centres; the corner of cell 2 is on it."""
    row = [0, 0.6, 0.5, 0, 0]
    assert entries(row, (2, 0.5), threshold=0.6)[0][0] == 0.6
    assert entries(row, (2, 0), threshold=0.6, cell_anchor="corner")[0][0] == 0.5


def test_a_cell_at_the_threshold_is_positive_only_if_inclusive():
    row = [0.9, 0.1, 0, 0, 0]  # the first cell's centre is exactly 1 from the keypoint
    assert entries(row, (1.5, 0.5))[0].tolist() == [0.1, 0.9]
    assert entries(row, (1.5, 0.5), inclusive=True)[0].tolist() == [0.9, 0.0]


def test_without_a_cell_in_reach_the_nearest_one_is_positive_or_the_score_is_zero():
    row = [0.3, 0.4, 0.5, 0.6, 0.7]
    assert entries(row, (1.8, 0.5), threshold=0.01)[0].tolist() == [0.4, 0.7]
    scores, labels = entries(row, (1.8, 0.5), threshold=0.01, force_nearest=False)
    assert (scores.tolist(), labels.tolist()) == ([0.0, 0.7], [1, 0])


def test_a_threshold_over_the_whole_picture_leaves_no_negative():
    assert entries([0.1, 0.9, 0.2, 0.7, 0.3], (1.5, 0.5), threshold=100)[1].tolist() == [1]


def test_normalisation_stretches_a_pair_as_a_whole():
    scores, _ = entries([[1, 2, 3, 4, 5], [1, 1, 1, 1, 9]], [(4.5, 0.5), HIDDEN], normalise="pair")
    assert scores.tolist() == [0.5, 0.375, 1.0]


def test_nothing_in_the_source_and_constant_similarities_are_defined():
    assert [len(part) for part in entries(np.zeros((0, 5)), np.zeros((0, 2)))] == [0, 0]
    scores, _ = entries([2, 2, 2, 2, 2], (1.5, 0.5), normalise="pair")
    assert scores.tolist() == [0, 0]


def test_average_precision_of_separable_constant_and_spoilt_scores():
    scores, labels = np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 1, 0, 0])
    assert average_precision(scores, labels) == 1
    assert average_precision(np.ones(4), labels) == 0.5  # chance: the share of positives
    confident_absent = average_precision(np.append(scores, 0.95), np.append(labels, 0))
    assert confident_absent == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert np.isnan(average_precision(np.ones(2), np.zeros(2, dtype=int)))


def literal(rows, framing, truth, threshold, protocol):
    """METHOD's steps, one keypoint and one cell at a time."""
    low, high = rows.min(), rows.max()
    scores, labels = [], []
    for keypoint in range(len(rows)):
        cells = []
        for line in range(framing.grid[1]):
            for column in range(framing.grid[0]):
                shift = 0.5 if protocol.cell_anchor == "centre" else 0.0
                x, y = framing.from_grid(np.array([column + shift, line + shift]))
                value = rows[keypoint, line, column]
                if protocol.normalise == "pair":
                    value = (value - low) / (high - low)
                cells.append((np.hypot(x - truth[keypoint][0], y - truth[keypoint][1]), value))
        if np.isnan(truth[keypoint][0]):
            scores.append(max(value for _, value in cells))
            labels.append(0)
            continue
        inside = [d <= threshold if protocol.inclusive else d < threshold for d, _ in cells]
        if protocol.force_nearest:
            inside[min(range(len(cells)), key=lambda i: cells[i][0])] = True
        positives = [value for (_, value), near in zip(cells, inside, strict=True) if near]
        scores += [
            max(positives, default=0.0),
            max(value for (_, value), near in zip(cells, inside, strict=True) if not near),
        ]
        labels += [1, 0]
    return scores, labels


@pytest.mark.parametrize("name", KAP_PROTOCOLS)
def test_every_protocol_equals_a_literal_reading_of_the_definition(name):
    rng = np.random.default_rng(0)
    for _ in range(20):
        width, height = rng.integers(20, 90, 2).tolist()
        framing = pad((width, height), 96, 16)
        rows = rng.normal(size=(4, 6, 6))
        truth = rng.uniform(0, [width, height], (4, 2))
        truth[rng.random(4) < 0.3] = np.nan
        threshold = rng.uniform(0.02, 0.4) * max(width, height)
        found = kap_entries(rows, framing, truth, threshold, KAP_PROTOCOLS[name])
        expected = literal(rows, framing, truth, threshold, KAP_PROTOCOLS[name])
        # The order of the entries does not matter to KAP.
        for part, other in zip(found, expected, strict=True):
            assert np.allclose(np.sort(part), np.sort(other), atol=1e-12)
        assert average_precision(*found) == pytest.approx(average_precision(*map(np.array, expected)), nan_ok=True)

"""KAP on pairs whose answer is obvious, and against a slow reading of its definition."""

from dataclasses import replace

import numpy as np
import pytest
from literal_metrics import kap
from sklearn.metrics import average_precision_score

from spherecorr.evaluation.averages import weighted_average_precision
from spherecorr.geometry import Framing, pad_to_square
from spherecorr.metrics import KAP_PROTOCOLS, KapProtocol, kap_maxima

LINE = Framing((5, 1), (5, 1), 1, (1.0, 1.0))  # five cells of one pixel in a row, centres at 0.5, 1.5, ...
HIDDEN = (np.nan, np.nan)


def maxima(row, truth, threshold=1.0, **choices):
    """Best positive and best negative of each keypoint."""
    rows = np.array(row, dtype=float).reshape(1, -1, 1, 5)
    truth = np.array(truth, dtype=float).reshape(-1, 2)
    return [part[0, 0] for part in kap_maxima(rows, LINE, truth, threshold, KapProtocol(**choices))]


def best(row, truth, threshold=1.0, **choices):
    """The same as two lists, None where there is none."""
    return tuple(
        [None if np.isnan(value) else value for value in part] for part in maxima(row, truth, threshold, **choices)
    )


def test_a_keypoint_in_sight_gives_its_best_positive_and_its_best_negative():
    assert best([0.1, 0.9, 0.2, 0.7, 0.3], (1.5, 0.5)) == ([0.9], [0.7])


def test_a_keypoint_out_of_sight_gives_its_best_cell_as_a_negative():
    rows = [[0.1, 0.9, 0.2, 0.7, 0.3], [0.8, 0, 0, 0, 0]]
    assert best(rows, [(1.5, 0.5), HIDDEN]) == ([0.9, None], [0.7, 0.8])
    assert best(rows, [HIDDEN, HIDDEN]) == ([None, None], [0.9, 0.8])  # nothing in sight at all


def test_cells_are_measured_at_their_centre_or_at_their_corner():
    """The keypoint lies on the border of cells 1 and 2, 0.5 from both centres; the corner of cell 2 is on it."""
    row = [0, 0.6, 0.5, 0, 0]
    assert best(row, (2, 0.5), 0.6) == ([0.6], [0])
    assert best(row, (2, 0), 0.6, cell_anchor="corner") == ([0.5], [0.6])


def test_a_cell_at_the_threshold_is_positive_only_if_inclusive():
    row = [0.9, 0.1, 0, 0, 0]  # the first cell's centre is exactly 1 from the keypoint
    assert best(row, (1.5, 0.5)) == ([0.1], [0.9])
    assert best(row, (1.5, 0.5), inclusive=True) == ([0.9], [0])


def test_without_a_cell_in_reach_the_nearest_one_is_positive_or_the_score_is_zero():
    row = [0.3, 0.4, 0.5, 0.6, 0.7]
    assert best(row, (1.8, 0.5), 0.01) == ([0.4], [0.7])
    assert best(row, (1.8, 0.5), 0.01, force_nearest=False) == ([0], [0.7])
    assert best(row, (1.8, 0.5), 0.01, force_nearest=False, normalise="pair") == ([0], [1])


def test_a_threshold_over_the_whole_picture_leaves_no_negative():
    assert best([0.1, 0.9, 0.2, 0.7, 0.3], (1.5, 0.5), 100) == ([0.9], [None])


def test_normalisation_stretches_a_pair_as_a_whole():
    rows = [[1, 2, 3, 4, 5], [1, 1, 1, 1, 9]]
    assert best(rows, [(4.5, 0.5), HIDDEN], normalise="pair") == ([0.5, None], [0.375, 1])


def test_nothing_in_the_source_and_constant_similarities_are_defined():
    assert best(np.zeros((0, 5)), np.zeros((0, 2))) == ([], [])
    assert best([2, 2, 2, 2, 2], (1.5, 0.5), normalise="pair") == ([0], [0])
    assert best([2, 2, 2, 2, 2], (1.5, 0.5)) == ([2], [2])


def test_several_thresholds_and_similarities_at_once_give_what_each_gives_alone():
    rows = np.array([[0.1, 0.9, 0.2, 0.7, 0.3], [0.5, 0.2, 0.6, 0.1, 0.0]]).reshape(2, 1, 1, 5)
    truth, thresholds = np.array([(1.5, 0.5)]), [1.1, 0.1, 100]
    positive, negative = kap_maxima(rows, LINE, truth, thresholds, KapProtocol())
    assert positive[:, :, 0].tolist() == [[0.9, 0.9, 0.9], [0.6, 0.2, 0.6]]
    assert negative[:, :2, 0].tolist() == [[0.7, 0.7], [0.1, 0.6]]


def average_precision(scores, labels):
    """KAP of one list in which every entry counts once."""
    scores, labels = np.array(scores), np.array(labels)
    return weighted_average_precision(scores, labels, np.zeros(len(scores), dtype=int), np.ones((1, 1))).item()


def test_average_precision_of_separable_constant_and_spoilt_scores():
    scores, labels = np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 1, 0, 0])
    assert average_precision(scores, labels) == 1
    assert average_precision(np.ones(4), labels) == 0.5  # the share of positives
    confident_absent = average_precision(np.append(scores, 0.95), np.append(labels, 0))
    assert confident_absent == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert np.isnan(average_precision(np.ones(2), np.zeros(2, dtype=int)))


def test_constant_similarities_get_the_share_of_positives_and_random_ones_less():
    """200 pairs of 6 keypoints, a third of them hidden; some 12 of 144 cells are near each of the others."""
    rng = np.random.default_rng(4)
    framing = pad_to_square((240, 240), 240, 20)
    kaps = []
    for constant in (True, False):
        parts = []
        for _ in range(200):
            rows = np.zeros((1, 6, 12, 12)) if constant else rng.normal(size=(1, 6, 12, 12))
            truth = rng.uniform(60, 180, (6, 2))
            truth[:2] = np.nan
            parts.append(kap_list(*(part[0, 0] for part in kap_maxima(rows, framing, truth, 40.0, KapProtocol()))))
        kaps.append(average_precision(*map(np.concatenate, zip(*parts, strict=True))))
    assert kaps[0] == 4 / 10  # four positives and six negatives in every pair
    assert kaps[1] < kaps[0]


def test_average_precision_is_scikit_learns_on_lists_with_ties():
    rng = np.random.default_rng(3)
    for _ in range(50):
        labels = np.append(rng.integers(0, 2, 12), 1)
        scores = rng.integers(0, 6, 13) / 5
        assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores))


@pytest.mark.parametrize("name", KAP_PROTOCOLS)
def test_every_protocol_equals_a_literal_reading_of_the_definition(name):
    """Random similarities, pictures of all shapes, and thresholds from below one cell to beyond the picture."""
    rng = np.random.default_rng(0)
    protocol = KAP_PROTOCOLS[name]
    for _ in range(8):
        width, height = (8 * rng.integers(2, 13, 2)).tolist()
        framing = pad_to_square((width, height), 2 * max(width, height), max(width, height) // 4)  # 8 x 8 cells
        assert framing.scale == (2, 2)
        rows = rng.normal(size=(3, 4, 8, 8))
        truth = rng.uniform(0, [width, height], (4, 2))
        truth[rng.random(4) < 0.3] = np.nan
        thresholds = rng.permutation([0.02, 0.1, 0.4, 2.0]) * max(width, height)
        positive, negative = kap_maxima(rows, framing, truth, thresholds, protocol)
        for a, t in np.ndindex(3, 4):
            expected = kap(rows[a], framing, truth, thresholds[t], protocol)
            found = kap_list(positive[a, t], negative[a, t])
            assert np.allclose(found[0], sorted_as_found(*expected), atol=1e-6)
            assert average_precision(*found) == pytest.approx(average_precision(*expected), nan_ok=True)


def kap_list(positive, negative):
    parts = positive[~np.isnan(positive)], negative[~np.isnan(negative)]
    return np.concatenate(parts), np.repeat([1, 0], [len(part) for part in parts])


def sorted_as_found(scores, labels):
    """Positives first, as `kap_list` gives them."""
    return np.array(scores)[np.argsort(-np.array(labels), kind="stable")]


def test_padding_is_never_surer_than_the_picture_unless_counted():
    """A picture of 4 x 2 in a square of 4 cells: the highest similarity lies on the padding above it."""
    framing = pad_to_square((4, 2), 4, 1)
    rows = np.arange(16.0)[::-1].reshape(1, 1, 4, 4)
    at = np.array([[0.5, 1.5]])  # the third row of the square, first cell: similarity 7
    protocol = KapProtocol()
    positive, negative = kap_maxima(rows, framing, at, 0.9, protocol)
    assert (positive.item(), negative.item()) == (7, 11)
    positive, negative = kap_maxima(rows, framing, at, 0.9, replace(protocol, padding="counted"))
    assert (positive.item(), negative.item()) == (7, 15)


def test_an_absent_keypoint_at_the_origin_counts_like_one_in_sight():
    positive, negative = maxima([0.2, 0.9, 0.4, 0.1, 0.3], HIDDEN, 0.6, absent="origin", cell_anchor="corner")
    assert (positive.item(), negative.item()) == (0.2, 0.9)


def test_scaling_picture_and_threshold_together_changes_nothing():
    rng = np.random.default_rng(1)
    rows, truth = rng.random((2, 5, 6, 6)), rng.uniform(0, 60, (5, 2))
    for protocol in KAP_PROTOCOLS.values():
        small = kap_maxima(rows, pad_to_square((60, 60), 96, 16), truth, [4.0, 9.0], protocol)
        large = kap_maxima(rows, pad_to_square((240, 240), 96, 16), 4 * truth, [16.0, 36.0], protocol)
        assert np.array_equal(small, large)


def test_the_order_of_keypoints_and_of_thresholds_does_not_matter():
    rng = np.random.default_rng(2)
    rows, truth, order = rng.random((2, 5, 6, 6)), rng.uniform(0, 60, (5, 2)), rng.permutation(5)
    truth[3] = np.nan
    for protocol in KAP_PROTOCOLS.values():
        one = np.array(kap_maxima(rows, pad_to_square((60, 60), 96, 16), truth, [4.0, 9.0], protocol))
        other = np.array(
            kap_maxima(rows[:, order], pad_to_square((60, 60), 96, 16), truth[order], [9.0, 4.0], protocol)
        )
        assert np.array_equal(one[:, :, ::-1][..., order], other, equal_nan=True)

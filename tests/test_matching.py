"""Matching on feature maps and spheres made by hand, where the right answer is plain to see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import pad_to_square, resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.matching.match import match, match_images, prepare
from spherecorr.matching.readout import best_cells, rank, top_k, window_soft_argmax
from spherecorr.matching.settings import MatchSettings
from spherecorr.matching.similarity import ImageFeatures, PairSimilarity
from spherecorr.sphere.mapper import SphereMapper, SphereMismatchError
from spherecorr.sphere.settings import SphereSettings

PATCH = 10
FOREGROUND = MatchSettings(k=3, candidates="foreground")


def feature_map(features: torch.Tensor) -> FeatureMap:
    """Features `[D, H, W]` of an image whose cells are 10 x 10 pixels: cell (c, r) has its centre at 10 c + 5."""
    dim, rows, columns = features.shape
    framing = resize_to_fit((columns * PATCH, rows * PATCH), max(rows, columns) * PATCH, PATCH)
    return FeatureMap(features, framing, FeatureSource("hand-made", dim, PATCH, 0))


def one_hot_map(order: list[list[int]], dim: int = 6) -> FeatureMap:
    """A map whose cells show the numbered parts of an object."""
    return feature_map(torch.eye(dim)[torch.tensor(order)].permute(2, 0, 1))


def centre(column: int, row: int) -> tuple[float, float]:
    return (column * PATCH + PATCH / 2, row * PATCH + PATCH / 2)


def random_map(rows: int, columns: int, dim: int = 32, seed: int = 0) -> FeatureMap:
    generator = torch.Generator().manual_seed(seed)
    return feature_map(torch.randn(dim, rows, columns, generator=generator))


# Similarity


def rows_of(source: ImageFeatures, target: ImageFeatures, cells, alpha: float = 0, fusion: str = "cosine"):
    """Similarity `[N, H, W]` of cells (col, row) of the source."""
    return PairSimilarity([source], target, fusion).rows([np.array(cells)], [alpha])[0]


def test_similarity_is_the_cosine():
    source = feature_map(torch.tensor([[[3.0]], [[4.0]]]))  # one cell with the feature (3, 4)
    target = feature_map(torch.tensor([[[6.0, 4.0, -3.0, 0.0]], [[8.0, -3.0, -4.0, 0.0]]]))
    # Same direction, orthogonal, opposite, and no feature at all.
    rows = rows_of(ImageFeatures(source), ImageFeatures(target), [[0, 0]])
    assert rows[0, 0].tolist() == pytest.approx([1, 0, -1, 0], abs=1e-6)


def test_l2_is_the_negated_distance_of_unit_vectors():
    """Features as long as 5 do not drown the sphere, whose points have unit length."""
    source = feature_map(torch.tensor([[[3.0]], [[4.0]]]))
    target = feature_map(torch.tensor([[[6.0, 4.0, -3.0]], [[8.0, -3.0, -4.0]]]))
    rows = rows_of(ImageFeatures(source), ImageFeatures(target), [[0, 0]], fusion="l2")
    assert rows[0, 0].tolist() == pytest.approx([0, -(2**0.5), -2], abs=1e-3)  # a distance of 0 is a root of rounding


def test_rows_come_in_the_order_of_the_points():
    features = ImageFeatures(feature_map(torch.eye(6).reshape(6, 2, 3)))  # a part in every cell, which finds itself
    rows = rows_of(features, features, [[2, 0], [0, 1]])
    assert rows.tolist() == [[[0, 0, 1], [0, 0, 0]], [[0, 0, 0], [1, 0, 0]]]


def test_several_sources_are_compared_with_one_target_at_once():
    target = ImageFeatures(random_map(4, 5))
    sources = [ImageFeatures(random_map(3, 3, seed=1)), ImageFeatures(random_map(2, 6, seed=2))]
    cells = [np.array([[0, 1], [2, 2]]), np.array([[5, 0]])]
    together = PairSimilarity(sources, target).rows(cells, [0])[0]
    alone = [rows_of(source, target, own) for source, own in zip(sources, cells, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_parts_count_alike_and_are_read_at_the_centres_of_the_cells():
    """A part on a grid half as fine: the first column of cells lies at its first cell, the last at its last."""
    fine, coarse = torch.eye(4)[:, None, :], torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    framing = resize_to_fit((40, 10), 40, 10)
    halves = replace(framing, grid=(2, 1), patch=20)
    part = FeatureMap(coarse, halves, FeatureSource("coarse", 2, 20, 0))
    image = ImageFeatures(FeatureMap(fine, framing, FeatureSource("fine", 4, 10, 0), (part,)))
    rows = rows_of(image, image, [[0, 0], [3, 0]])
    assert rows[0, 0, 0] == rows[1, 0, 3] == 1
    # Column 1 lies a quarter of the way between the two coarse cells: (3, 1) of unit length, and another fine part.
    assert rows[0, 0].tolist() == pytest.approx([1, 0.5 * 3 / 10**0.5, 0.5 / 10**0.5, 0], abs=1e-6)


def test_alpha_mixes_features_and_sphere():
    image = ImageFeatures(random_map(3, 4), random_sphere(3, 4))
    raw, half, sphere = (rows_of(image, image, [[1, 1]], alpha) for alpha in (0, 0.5, 1))
    torch.testing.assert_close(half, (raw + sphere) / 2)


# Reading a row


def test_top_k_leaves_out_the_neighbours_of_what_it_took():
    row = torch.tensor([[[0.9, 0.8, 0.1, 0.7, 0.6], [0.0, 0.0, 0.0, 0.0, 0.0]]])
    cells, scores = top_k(row, 3)
    # 0.8 is next to 0.9, 0.6 next to 0.7; column 2 is next to 3. Nothing but exhausted cells is left.
    assert cells[0, :2].tolist() == [[0, 0], [3, 0]]
    assert scores[0].tolist() == pytest.approx([0.9, 0.7, -np.inf])
    assert top_k(row, 3, radius=0)[0][0].tolist() == [[0, 0], [1, 0], [3, 0]]


def test_top_k_takes_every_row_for_itself():
    rows = torch.zeros(2, 3, 4)
    rows[0, 2, 1] = rows[1, 0, 3] = 1
    assert top_k(rows)[0][:, 0].tolist() == [[1, 2], [3, 0]]
    assert rows.sum() == 2  # the rows given are left alone


def test_rank_gives_pixels_and_nan_where_nothing_is_left():
    framing = feature_map(torch.zeros(1, 2, 5)).framing
    row = torch.tensor([[[0.9, 0.8, 0.1, 0.7, 0.6], [0.0, 0.0, 0.0, 0.0, 0.0]]])
    ranked = rank(row, framing, MatchSettings(k=3))
    assert ranked.xy[0, :2].tolist() == [[5, 5], [35, 5]]
    assert np.isnan(ranked.xy[0, 2]).all() and ranked.score[0, 2] == -np.inf


def test_soft_argmax_of_a_symmetric_peak_is_its_centre():
    xs, ys = torch.meshgrid(torch.arange(15), torch.arange(15), indexing="xy")
    peak = torch.exp(-((xs - 7) ** 2 + (ys - 6) ** 2) / 8.0)[None]
    np.testing.assert_allclose(window_soft_argmax(peak, best_cells(peak)), [[7.5, 6.5]], atol=1e-5)


def test_soft_argmax_between_two_equal_neighbours_is_their_middle():
    row = torch.zeros(1, 11, 11)
    row[0, 5, 4] = row[0, 5, 5] = 1  # centres at 4.5 and 5.5; the others weigh exp(-50) each
    np.testing.assert_allclose(window_soft_argmax(row, best_cells(row)), [[5.0, 5.5]], atol=1e-6)


def test_soft_argmax_sees_its_window_only():
    row = torch.full((1, 1, 20), -1.0)
    row[0, 0, 3], row[0, 0, 15] = 1.0, 0.999
    assert window_soft_argmax(row, best_cells(row), window=5)[0, 0] == pytest.approx(3.5)
    assert window_soft_argmax(row, best_cells(row), window=12)[0, 0] > 8  # now the far peak counts, too


def test_soft_argmax_moves_to_the_best_cell_as_the_temperature_falls():
    rows = torch.rand(4, 8, 9, generator=torch.Generator().manual_seed(0))
    best = top_k(rows)[0][:, 0] + 0.5
    np.testing.assert_allclose(window_soft_argmax(rows, best_cells(rows), temperature=1e-5), best, atol=1e-4)


# Matching


def test_match_finds_the_same_part_in_a_mirrored_image():
    source = one_hot_map([[0, 1, 2], [3, 4, 5]])
    target = one_hot_map([[2, 1, 0], [5, 4, 3]])
    result = match(source, target, [centre(0, 0), (29.9, 10.1)])
    assert result.raw.xy[:, 0].tolist() == [list(centre(2, 0)), list(centre(0, 1))]
    assert result.raw.score[:, 0].tolist() == [1, 1]
    assert result.raw.rows.shape == (2, 2, 3)
    assert result.sphere is None and result.fused is None and result.visible is None


def test_match_gives_pixels_of_images_of_any_size():
    features = torch.eye(8)[torch.tensor([[0, 1], [2, 3]])].permute(2, 0, 1)
    source_framing, target_framing = resize_to_fit((640, 480), 20, 10), resize_to_fit((100, 100), 20, 10)
    assert source_framing.grid == target_framing.grid == (2, 2)
    source = replace(feature_map(features), framing=source_framing)
    target = replace(feature_map(features), framing=target_framing)
    assert match(source, target, [(600, 100)]).raw.xy[0, 0].tolist() == [75, 25]


def test_no_points_give_empty_results():
    result = match(random_map(3, 4), random_map(3, 4), [], k=2)
    assert result.raw.xy.shape == (0, 2, 2) and result.raw_cycle.shape == (0,)


def test_a_map_matched_with_itself_returns_every_cell_centre():
    features = random_map(7, 9)
    points = [centre(column, row) for row in range(7) for column in range(9)]
    result = match(features, features, points)
    np.testing.assert_allclose(result.raw.xy[:, 0], points, atol=1e-9)
    np.testing.assert_allclose(result.raw_cycle, 0, atol=1e-9)


def test_the_cycle_error_counts_source_pixels():
    # Part 0 is shown twice in the source; the target's copy is a little more like the second one.
    source = one_hot_map([[0, 1, 1, 0]])
    target = one_hot_map([[2, 0]])
    source.features[:, 0, 0] += 0.2 * torch.eye(6)[3]
    assert match(source, target, [centre(0, 0), centre(3, 0)]).raw_cycle.tolist() == [30, 0]


def test_soft_window_refines_the_best_match_only():
    source = one_hot_map([[0, 1, 1, 1, 1, 0]])
    target = one_hot_map([[0, 0, 1, 1, 1, 0]])
    exact, soft = (match(source, target, [centre(0, 0)], k=2, soft_window=w).raw.xy[0] for w in (None, 1))
    assert exact.tolist() == [list(centre(0, 0)), list(centre(5, 0))]
    # Between two equal cells of centres 5 and 15. The other rank is untouched.
    np.testing.assert_allclose(soft, [(10, 5), centre(5, 0)], atol=1e-6)


def test_only_the_foreground_can_be_matched():
    source, target = one_hot_map([[0, 1, 2]]), one_hot_map([[0, 0, 1]])
    foreground = np.array([[False, True, True]])
    result = match_images(ImageFeatures(source), ImageFeatures(target, None, foreground), [centre(0, 0)], FOREGROUND)
    assert result.raw.xy[0, 0].tolist() == list(centre(1, 0))
    assert np.isneginf(result.raw.rows[0, 0, 0].item())
    # An object that covers no cell is an object that was not found: everything on the image can be matched.
    nowhere = ImageFeatures(target, None, np.zeros((1, 3), dtype=bool))
    assert match_images(ImageFeatures(source), nowhere, [centre(0, 0)], FOREGROUND).raw.xy[0, 0].tolist() == [5, 5]


def test_a_mask_restricts_the_target():
    source, target = one_hot_map([[0, 1, 2]]), one_hot_map([[0, 0, 1]])
    mask = np.zeros((10, 30), dtype=bool)
    mask[:, 10:] = True
    assert match(source, target, [centre(0, 0)]).raw.xy[0, 0].tolist() == list(centre(0, 0))
    assert match(source, target, [centre(0, 0)], mask=mask).raw.xy[0, 0].tolist() == list(centre(1, 0))


def test_what_is_prepared_once_is_matched_alike():
    source, target = random_map(5, 6), random_map(4, 7, seed=1)
    mapper = SphereMapper(SphereSettings(32, source=source.source)).eval()
    settings = MatchSettings(candidates="foreground", k=2, soft_window=1)
    once = [prepare(features, mapper, settings) for features in (source, target)]
    ours, theirs = (
        match(*images, [centre(1, 2)], sphere=mapper, settings=settings) for images in (once, (source, target))
    )
    np.testing.assert_array_equal(ours.fused.xy, theirs.fused.xy)
    assert once[1].features.unit is once[1].features.unit  # the unit vectors are computed once


def test_padding_is_never_matched():
    framing = pad_to_square((40, 20), 40, 10)  # rows 0 and 3 of four are padding
    features = torch.zeros(2, 4, 4)
    features[0] = 1
    features[1, 1:3] = 0.5  # the padding is more like the source than the image is
    target = replace(feature_map(features), framing=framing)
    result = match(feature_map(torch.tensor([[[1.0]], [[0.0]]])), target, [(5, 5)], k=8)
    found = result.raw.xy[np.isfinite(result.raw.score)]
    assert len(found) and ((found >= 0) & (found <= (40, 20))).all()


def unit(*vector: float) -> list[float]:
    return (np.array(vector) / np.linalg.norm(vector)).tolist()


FRONT, BACK, ROOF = [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]
WHEEL, BODY = 0, 1


def car(parts: list[int], points: list[list[float]]) -> ImageFeatures:
    """A car seen from its side: one row of cells, each showing a part at a place of the sphere."""
    features = one_hot_map([parts])
    sphere = SphereMap(torch.tensor(points).T[:, None, :], features.framing)
    return ImageFeatures(features, sphere)


def two_cars() -> tuple[ImageFeatures, ImageFeatures]:
    """Two cars heading opposite ways; the front wheel of the first looks a bit more like the back wheel of the other.

    Source: front wheel at column 0, roof, back wheel at column 2. Target: back wheel at column 0, front at column 2.
    """
    source = car([WHEEL, BODY, WHEEL], [FRONT, ROOF, BACK])
    target = car([WHEEL, BODY, WHEEL], [BACK, ROOF, unit(0.95, 0, 0.31)])
    target.features.features[:, 0, 2] += 0.1 * torch.eye(6)[5]
    return source, target


def test_the_sphere_mends_a_symmetric_mistake():
    source, target = two_cars()
    result = match_images(source, target, [centre(0, 0), centre(1, 0), centre(2, 0)])
    # Raw features send both wheels to column 0; the sphere knows front from back, and so does the mix.
    assert result.raw.xy[:, 0, 0].tolist() == [5, 15, 5]
    assert result.sphere.xy[:, 0, 0].tolist() == result.fused.xy[:, 0, 0].tolist() == [25, 15, 5]
    assert result.symmetric_mistake.tolist() == [True, False, False]
    assert result.visible.tolist() == [True, True, True]
    # Front and back are opposite; the target's front wheel lies atan(0.31 / 0.95) = 18.07 degrees off.
    assert result.raw_angle[0] == pytest.approx(180, abs=0.1)
    assert result.nearest_angle[0] == pytest.approx(18.07, abs=0.01)


def test_a_part_that_the_target_does_not_show_is_not_visible():
    source, _ = two_cars()
    target = car([WHEEL, BODY], [BACK, unit(-1, 0, 1)])  # its front is out of the picture
    result = match_images(source, target, [centre(0, 0), centre(2, 0)])
    assert result.visible.tolist() == [False, True]
    # No cell to go to instead: a wrong match, but not one between two parts in sight.
    assert result.symmetric_mistake.tolist() == [False, False]
    assert result.nearest_angle[0] == pytest.approx(135, abs=0.01)


def test_flags_follow_their_angles():
    source, target = two_cars()
    points = [centre(0, 0)]
    assert not match_images(source, target, points, known=SphereSettings(6, visible_angle=18)).visible[0]
    assert match_images(source, target, points, known=SphereSettings(6, visible_angle=18.2)).visible[0]
    assert not match_images(source, target, points, known=SphereSettings(6, symmetric_angle=180)).symmetric_mistake[0]


@pytest.mark.parametrize(
    ("found", "flagged"),
    [
        ((0, -1, 0), True),  # the right side, taken for the left one
        ((0, -0.8, 0.6), True),  # 37 degrees beside it
        ((0, -0.6, 0.8), False),  # 53 degrees
        ((0, 1, 0), False),  # the left side itself
        ((0, 0, -1), False),  # just some other part
    ],
)
def test_a_sphere_that_knows_left_flags_matches_near_the_mirror_image(found, flagged):
    source, target = car([WHEEL], [(0, 1, 0)]), car([WHEEL], [found])
    result = match_images(source, target, [centre(0, 0)], known=SphereSettings(6, mirror_angle=40))
    assert result.symmetric_mistake.tolist() == [flagged]


def test_a_part_on_the_symmetry_plane_has_no_twin_to_be_taken_for():
    middle = unit(1, 0.05, 0)  # 5.7 degrees from its mirror image
    source, target = car([WHEEL], [middle]), car([WHEEL], [unit(1, -0.05, 0)])
    assert not match_images(source, target, [centre(0, 0)], known=SphereSettings(6, mirror_angle=40)).symmetric_mistake[
        0
    ]


def test_what_the_foreground_hides_is_not_visible():
    source, target = two_cars()
    hidden = replace(target, object_cells=np.array([[True, True, False]]))
    assert not match_images(source, hidden, [centre(0, 0)], FOREGROUND).visible[0]


def test_fused_equals_each_branch_at_the_ends():
    source = ImageFeatures(random_map(5, 6), random_sphere(5, 6))
    target = ImageFeatures(random_map(4, 7, seed=1), random_sphere(4, 7, seed=1))
    points = [centre(1, 1), centre(4, 3)]
    raw = match_images(source, target, points, MatchSettings(0, k=3))
    sphere = match_images(source, target, points, MatchSettings(1, k=3))
    np.testing.assert_array_equal(raw.fused.xy, raw.raw.xy)
    np.testing.assert_array_equal(raw.fused_cycle, raw.raw_cycle)
    np.testing.assert_array_equal(sphere.fused.xy, sphere.sphere.xy)
    half = match_images(source, target, points, MatchSettings(0.5))
    torch.testing.assert_close(half.fused.rows, (half.raw.rows + half.sphere.rows) / 2)


def random_sphere(rows: int, columns: int, seed: int = 0) -> SphereMap:
    generator = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(3, rows, columns, generator=generator), dim=0)
    return SphereMap(points, random_map(rows, columns).framing)


def test_masked_rows_stay_masked_at_every_alpha():
    source = ImageFeatures(random_map(3, 3), random_sphere(3, 3))
    target = replace(source, object_cells=np.eye(3, dtype=bool))
    for alpha in (0, 0.2, 1):
        result = match_images(source, target, [(5, 5)], replace(FOREGROUND, alpha=alpha))
        rows = result.fused.rows[0].numpy()
        assert np.array_equal(np.isneginf(rows), ~np.eye(3, dtype=bool)) and not np.isnan(rows).any()


def test_match_takes_alpha_and_angles_from_the_mapper():
    torch.manual_seed(0)
    source, target = random_map(4, 5), random_map(4, 5, seed=1)
    mapper = SphereMapper(SphereSettings(32, alpha=1.0, visible_angle=180.0, source=source.source)).eval()
    result = match(source, target, [centre(1, 1)], sphere=mapper)
    np.testing.assert_array_equal(result.fused.xy, result.sphere.xy)  # alpha 1
    assert result.visible[0]  # within 180 degrees everything is
    raw = match(source, target, [centre(1, 1)], sphere=mapper, alpha=0)
    np.testing.assert_array_equal(raw.fused.xy, raw.raw.xy)


# What a user can get wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": [(float("nan"), 1)]}, "not a finite number"),
        ({"points": [(41, 1)]}, r"Point \(41, 1\) lies outside the image, which is 40 x 30 pixels"),
        ({"points": [(1, 1, 1)]}, r"list of \(x, y\) pairs"),
        ({"k": 0}, "at least 1; got 0"),
        ({"alpha": 1.5}, "between 0 and 1; got 1.5"),
        ({"alpha": float("nan")}, "between 0 and 1; got nan"),
        ({"soft_window": -1}, "at least 0; got -1"),
        ({"temperature": 0}, "must be above 0; got 0"),
        ({"fusion": "sum"}, "fused as 'cosine' or 'l2'; not 'sum'"),
        ({"candidates": "mask"}, "Matches are to lie on a mask, and there is none"),
        ({"candidates": "sky"}, "there are no candidates 'sky'"),
    ],
)
def test_bad_arguments(arguments, message):
    features = random_map(3, 4)
    mapper = SphereMapper(SphereSettings(32)).eval()
    with pytest.raises(SpherecorrError, match=message):
        match(features, features, **({"points": [(1, 1)], "sphere": mapper} | arguments))


def test_alpha_without_a_sphere_is_refused():
    features = random_map(3, 4)
    with pytest.raises(SpherecorrError, match="alpha is a sphere's share, and there is no sphere"):
        match(features, features, [(1, 1)], alpha=0.5)


def test_features_of_two_backbones():
    features = random_map(3, 4)
    other = replace(features, source=replace(features.source, backbone="other"))
    with pytest.raises(SpherecorrError, match="The images have different features"):
        match(features, other, [(1, 1)])


def test_a_mapper_of_other_features():
    features = random_map(3, 4)
    with pytest.raises(SphereMismatchError, match="takes features of 64 channels; backbone 'hand-made' gives 32"):
        match(features, features, [(1, 1)], sphere=SphereMapper(SphereSettings(64)))


@pytest.mark.parametrize("fusion", ["cosine", "l2"])
def test_surely_background_is_never_near_on_the_sphere(fusion):
    features = one_hot_map([[0, 1, 2]])
    points = torch.eye(3)[:, None]
    plain = ImageFeatures(features, SphereMap(points, features.framing))
    told = ImageFeatures(features, SphereMap(points, features.framing, foreground=torch.tensor([[0.0, 1.0, 1.0]])))
    cells = [np.array([[0, 0]])]
    without = PairSimilarity([plain], plain, fusion).rows(cells, (1.0,)).flatten().tolist()[0]
    away, second, third = PairSimilarity([plain], told, fusion).rows(cells, (1.0,)).flatten().tolist()
    assert without == {"cosine": 1, "l2": 0}[fusion]  # the cell itself
    assert away == pytest.approx({"cosine": -1, "l2": -2}[fusion])  # as far as the sphere's other side
    assert second == third == pytest.approx({"cosine": 0, "l2": -(2**0.5)}[fusion])


def test_a_point_is_not_seen_in_the_background():
    """The only cell near the point on the sphere is surely background, so nothing of the object shows the point."""
    features = one_hot_map([[0, 1, 2]])
    points = torch.eye(3)[:, None]
    source = ImageFeatures(features, SphereMap(points, features.framing))
    for foreground, nearest in (([1.0, 1.0, 1.0], 0), ([0.0, 1.0, 1.0], 90), ([0.0, 0.0, 0.0], 0)):
        told = SphereMap(points, features.framing, foreground=torch.tensor([foreground]))
        found = match_images(source, ImageFeatures(features, told), [centre(0, 0)], known=SphereSettings(6))
        assert found.nearest_angle == pytest.approx([nearest], abs=0.1) and found.visible == [nearest == 0]

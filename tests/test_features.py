"""Joint PCA and the foreground guess, on features whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from spherecorr.features import FeatureMap, estimate_foreground, joint_pca
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource


def feature_map(features: np.ndarray) -> FeatureMap:
    """Features `[H, W, D]` of an image whose cells are 8 x 8 pixels."""
    rows, columns, dim = features.shape
    framing = resize_to_fit((columns * 8, rows * 8), max(rows, columns) * 8, 8)
    tensor = torch.from_numpy(np.ascontiguousarray(features.transpose(2, 0, 1))).float()
    return FeatureMap(tensor, framing, FeatureSource("hand-made", dim, 8, 0))


def random_maps(dim: int = 16) -> list[FeatureMap]:
    rng = np.random.default_rng(0)
    spread = np.linspace(3, 1, dim)  # every direction has a variance of its own
    return [feature_map(rng.normal(size=(6, columns, dim)) * spread) for columns in (8, 5)]


def test_tokens_go_row_by_row():
    features = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    tokens = feature_map(features).tokens()
    assert tokens.shape == (6, 4)
    assert tokens[1].tolist() == features[0, 1].tolist() and tokens[3].tolist() == features[1, 0].tolist()


def test_joint_pca_finds_the_plane_the_features_lie_in():
    rng = np.random.default_rng(0)
    long, short = rng.normal(size=(2, 60))
    short -= short.mean() + long * np.cov(long, short)[0, 1] / long.var(ddof=1)  # uncorrelated
    # Axes in a space of 4; the largest loading of the second is negative, so its sign turns.
    first, second = np.array([0.8, 0.6, 0, 0]), np.array([0.6, -0.8, 0, 0])
    points = 10 + 5 * long[:, None] * first + 2 * short[:, None] * second
    left, right = points[:36].reshape(6, 6, 4), points[36:].reshape(4, 6, 4)

    projected = np.concatenate([p.reshape(-1, 2) for p in joint_pca([feature_map(left), feature_map(right)], None, 2)])
    expected = np.stack([long - long.mean(), -(short - short.mean())], axis=1)
    # Features are float32 of size 10 to 30: five digits.
    np.testing.assert_allclose(projected, expected / expected.std(axis=0, ddof=1), atol=1e-4)


def test_joint_pca_has_unit_variance_and_zero_mean():
    projected = np.concatenate([p.reshape(-1, 3) for p in joint_pca(random_maps())])
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(projected.std(axis=0, ddof=1), 1, atol=1e-5)


def test_joint_pca_does_not_depend_on_the_order_of_the_maps():
    first, second = random_maps()
    forward, backward = joint_pca([first, second]), joint_pca([second, first])
    np.testing.assert_allclose(forward[0], backward[1], atol=1e-4)
    np.testing.assert_allclose(forward[1], backward[0], atol=1e-4)


def test_joint_pca_fits_the_foreground_only():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(8, 8, 5)) * 0.1
    foreground = np.zeros((8, 8), dtype=bool)
    foreground[2:6, 2:6] = True
    features[foreground, 0] += np.linspace(-1, 1, 16)  # the object varies along channel 0
    features[~foreground, 1] += np.linspace(-9, 9, 48)  # the background much more along channel 1
    (everything,) = joint_pca([feature_map(features)], None, 1)
    (object_only,) = joint_pca([feature_map(features)], [foreground], 1)
    # The object's first component is its own variation, in which it is spread out evenly.
    assert np.corrcoef(object_only[foreground][:, 0], np.linspace(-1, 1, 16))[0, 1] > 0.95
    assert object_only[foreground].std(ddof=1) == pytest.approx(1, abs=1e-5)
    assert everything[foreground].std() < 0.1


def test_joint_pca_with_too_few_foreground_cells_uses_all():
    maps = random_maps()
    few = [np.zeros(m.features.shape[1:], dtype=bool) for m in maps]
    few[0][0, :3] = True
    for projected, expected in zip(joint_pca(maps, few), joint_pca(maps), strict=True):
        np.testing.assert_array_equal(projected, expected)


def test_joint_pca_is_what_scikit_learn_finds_in_double_precision():
    maps = random_maps()
    tokens = np.concatenate([m.tokens().numpy() for m in maps]).astype(np.float64)
    pca = PCA(3, whiten=True, svd_solver="full").fit(tokens)
    signs = [np.sign(component[np.abs(component).argmax()]) for component in pca.components_]
    # Single precision has seven digits; values go up to 4 and variances lie a tenth apart, which costs two of them.
    projected = np.concatenate([p.reshape(-1, 3) for p in joint_pca(maps)])
    np.testing.assert_allclose(projected, pca.transform(tokens) * signs, atol=1e-4)


def test_joint_pca_takes_the_primary_features_alone():
    first, second = random_maps()
    with_parts = [replace(first, parts=(second,)), replace(second, parts=(first,))]
    for projected, expected in zip(joint_pca(with_parts), joint_pca([first, second]), strict=True):
        np.testing.assert_array_equal(projected, expected)


def test_joint_pca_does_not_stretch_rounding_noise():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(8, 8, 2)) @ rng.normal(size=(2, 6))
    (projected,) = joint_pca([feature_map(plane)])
    assert np.abs(projected[..., 2]).max() < 0.01
    (flat,) = joint_pca([feature_map(np.ones((4, 4, 6)))])
    assert np.abs(flat).max() < 0.01


def object_on_background(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    foreground = np.zeros((rows, columns), dtype=bool)
    foreground[3:9, 4:11] = True
    features = np.where(foreground[..., None], np.eye(8)[0], np.eye(8)[1])
    return features + rng.normal(size=features.shape) * 0.05, foreground


def test_the_foreground_is_what_the_border_does_not_look_like():
    features, foreground = object_on_background(12, 16)
    guess = estimate_foreground(feature_map(features))
    # Smoothing may move the object's outline by a cell, no more.
    assert guess[4:8, 5:10].all()
    outside = np.ones_like(foreground)
    outside[2:10, 3:12] = False
    assert not guess[outside].any()


def test_the_foreground_survives_a_background_of_two_parts():
    features, _ = object_on_background(12, 16)
    features[:6] = np.where(features[:6, :, :1] > 0.5, features[:6], np.eye(8)[2])  # sky above, ground below
    guess = estimate_foreground(feature_map(features))
    assert guess[4:8, 5:10].all()
    assert not guess[0].any() and not guess[-1].any()


def test_without_an_object_every_cell_is_foreground():
    assert estimate_foreground(feature_map(np.ones((5, 6, 4)))).all()

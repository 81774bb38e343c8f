"""Levels of a diffusion model, joined for each pair of images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.matching.co_pca import has_levels, join_levels, principal_directions
from spherecorr.matching.match import match
from spherecorr.matching.settings import MatchSettings

SIDE = 64


def level(seed: int, dim: int, patch: int, backbone: str = "sd") -> FeatureMap:
    """A random map of a square picture; the seed tells the pictures apart."""
    cells = SIDE // patch
    generator = torch.Generator().manual_seed(100 * seed + patch)
    features = torch.randn(dim, cells, cells, generator=generator) + torch.arange(dim)[:, None, None] / dim
    return FeatureMap(features, pad_to_square((SIDE, SIDE), SIDE, patch), FeatureSource(backbone, dim, patch, 0))


def picture(seed: int) -> FeatureMap:
    """Two levels of a diffusion model, then a ViT."""
    return replace(level(seed, 12, 8), parts=(level(seed, 20, 16), level(seed, 6, 8, "vit")))


def cosines(source: FeatureMap, target: FeatureMap) -> torch.Tensor:
    return source.unit.T @ target.unit / len(source.sources)


@pytest.mark.parametrize("components", [3, 8])
def test_it_is_the_pca_of_scikit_learn_on_both_images_together(components):
    source, target = level(1, 12, 8), level(2, 12, 8)
    together = np.concatenate([source.tokens(), target.tokens()])
    expected = PCA(components, svd_solver="full").fit_transform(together)
    mean, directions = principal_directions(torch.from_numpy(together), components)
    found = ((torch.from_numpy(together) - mean) @ directions).numpy()
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-4)


def test_a_pair_is_reduced_resized_and_joined_as_written_out():
    """One level on the grid of 8 x 8, one on 4 x 4: each projected by scikit-learn, the coarse one twice as large."""
    source, target = picture(1), picture(2)
    joined = join_levels(source, target, components=5)
    for own, cells in ((0, slice(0, 64)), (1, slice(64, 128))):
        fine = PCA(5, svd_solver="full").fit_transform(np.concatenate([source.tokens(), target.tokens()]))[cells]
        coarse = PCA(5, svd_solver="full").fit_transform(
            np.concatenate([source.parts[0].tokens(), target.parts[0].tokens()])
        )[own * 16 : (own + 1) * 16]
        small = torch.from_numpy(coarse).T.unflatten(1, (4, 4))[None].float()
        large = torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)[0]
        expected = np.concatenate([fine.T, large.flatten(1)])
        found = joined[own].features.flatten(1).numpy()
        signs = np.sign((found * expected).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(found * signs, expected, atol=1e-4)
    assert joined[0].framing == source.framing
    assert [part.source for part in joined[0].parts] == [source.parts[1].source]


def test_each_backbone_counts_alike_in_both_public_fusions():
    """The mean cosine, and minus the Euclidean distance of the joined unit vectors."""
    source, target = join_levels(picture(1), picture(2), components=5)
    unit = torch.nn.functional.normalize
    diffusion, vit = (
        unit(one.features.flatten(1), dim=0).T @ unit(other.features.flatten(1), dim=0)
        for one, other in ((source, target), (source.parts[0], target.parts[0]))
    )
    cells = np.array([(1, 2), (7, 0)])
    chosen = cells[:, 1] * 8 + cells[:, 0]
    for fusion, expected in (
        ("cosine", (diffusion + vit) / 2),
        ("l2", -(2 * (1 - diffusion) + 2 * (1 - vit)).clamp(min=0).sqrt()),
    ):
        points = source.framing.to_pixel(cells)
        settings = MatchSettings(fusion=fusion, co_pca=5, candidates="all")
        rows = match(picture(1), picture(2), points, settings=settings).raw.rows
        torch.testing.assert_close(rows.flatten(1), expected[chosen], atol=1e-5, rtol=0)


def test_all_components_only_centre():
    """Without a reduction a projection turns the features, which no cosine sees."""
    source, target = level(1, 12, 8), level(2, 12, 8)
    twice = (replace(source, parts=(level(1, 20, 16),)), replace(target, parts=(level(2, 20, 16),)))
    whole = cosines(*join_levels(*twice, components=1000))
    centred = []
    for own in zip(*((one, *one.parts) for one in twice), strict=True):
        mean = torch.cat([one.tokens() for one in own]).mean(dim=0)[:, None, None]
        centred.append([replace(one, features=one.features - mean) for one in own])
    expected = join_levels(*(replace(centred[0][i], parts=(centred[1][i],)) for i in (0, 1)), components=0)
    torch.testing.assert_close(whole, cosines(*expected), atol=1e-5, rtol=0)


def test_no_components_join_the_levels_as_they_are():
    source, target = join_levels(picture(1), picture(2), components=0)
    assert source.source.dim == 32 and torch.equal(source.features[:12], picture(1).features)
    assert source.backbone == "sd" and target.parts[0].backbone == "vit"


def test_maps_of_several_backbones_with_one_level_each_stay_as_they_are():
    source, target = (replace(level(seed, 12, 8), parts=(level(seed, 6, 8, "vit"),)) for seed in (1, 2))
    assert not has_levels(source) and has_levels(picture(1))
    assert join_levels(source, target, components=3) == (source, target)


def test_a_picture_matches_itself():
    points = picture(1).framing.to_pixel(np.array([(0, 0), (3, 6)]))
    result = match(picture(1), picture(1), points, co_pca=4)
    np.testing.assert_allclose(result.raw.xy[:, 0], points)
    np.testing.assert_allclose(result.raw.score, 1, atol=1e-5)
    np.testing.assert_allclose(result.raw_cycle, 0)


def test_pairs_of_one_target_are_joined_one_by_one_when_they_are_scored():
    """Each source has components of its own with the target: the errors are those of `match` for each pair alone."""
    points = {f"k{i}": (8.0 * i + 4, 8.0 * j + 4) for i, j in ((0, 1), (3, 6), (7, 2), (5, 5))}
    records = [ImageRecord(f"a/{i}", Path("none"), (SIDE, SIDE), "a", None, points) for i in range(3)]
    pairs = [PairRecord(f"{i}", records[i], records[2]) for i in (0, 1)]
    maps = {record.id: picture(i) for i, record in enumerate(records)}
    for components in (2, 0):
        settings = MatchSettings(co_pca=components, candidates="all")
        truth = np.array(list(points.values()))
        expected = [
            np.linalg.norm(match(picture(i), picture(2), truth, settings=settings).raw.xy[:, 0] - truth, axis=1)
            for i in (0, 1)
        ]
        table = score_pairs(pairs, maps, None, [0], settings=settings)
        np.testing.assert_allclose(table.error[0], np.concatenate(expected), atol=1e-9)


def test_mistakes_are_said():
    with pytest.raises(SpherecorrError, match="co_pca counts components and must be at least 0; got -1"):
        MatchSettings(co_pca=-1)
    with pytest.raises(SpherecorrError, match="3 parts and 1 parts"):
        match(picture(1), level(2, 12, 8), [(4, 4)])

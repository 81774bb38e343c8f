"""Position-debiased features: what depends on the position alone goes, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import spherecorr as sc
from spherecorr.backbones.debiasing import DebiasedFeatures, estimate_position_bias
from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.sphere.mapper import SphereMapper, SphereMismatchError
from spherecorr.sphere.settings import SphereSettings

SOURCE = FeatureSource("by-hand", 8, 10, 0, weights="0" * 20)
SQUARE = pad_to_square((40, 40), 40, 10)


def maps(count: int = 5, frame=SQUARE, pattern: float = 0.0) -> list[FeatureMap]:
    generator = torch.Generator().manual_seed(0)
    bias = pattern * torch.randn(8, 4, 4, generator=torch.Generator().manual_seed(1))
    return [FeatureMap(torch.randn(8, 4, 4, generator=generator) + bias, frame, SOURCE) for _ in range(count)]


def test_an_added_pattern_is_removed_exactly():
    plain, biased = maps(), maps(pattern=3.0)
    kept, cleaned = (estimate_position_bias(images) for images in (plain, biased))
    for one, other in zip(plain, biased, strict=True):
        torch.testing.assert_close(cleaned.remove(other).features, kept.remove(one).features)
    assert torch.stack([cleaned.remove(image).features for image in biased]).mean(dim=0).abs().max() < 1e-6


def test_a_pattern_that_hides_the_matches_no_longer_does():
    """Cells that look alike only by where they lie: the part has moved by a column."""
    one, other = torch.eye(8)[:, :4, None].expand(8, 4, 4), torch.eye(8)[:, :4, None].expand(8, 4, 4).roll(1, dims=1)
    pattern = 20 * torch.randn(8, 4, 4, generator=torch.Generator().manual_seed(1))
    pictures = [FeatureMap(features + pattern, SQUARE, SOURCE) for features in (one, other)]
    # Looks of all cells in all places, so that the mean is the pattern (and what all looks share).
    others = [FeatureMap(one.roll(shift, dims=1) + pattern, SQUARE, SOURCE) for shift in range(4)]
    bias = estimate_position_bias(others)
    point, moved = [(15.0, 5.0)], (15.0, 15.0)  # row 0 looks as row 1 does in the other picture
    assert not np.array_equal(sc.match(*pictures, point).raw.xy[0, 0, 1], moved[1])
    assert sc.match(*map(bias.remove, pictures), point).raw.xy[0, 0, 1] == moved[1]


def test_padding_does_not_count():
    """Of a wide and a tall picture, each cell's mean is over those that show something there."""
    wide = replace(maps(1)[0], framing=pad_to_square((40, 20), 40, 10))  # rows 1 and 2
    tall = replace(maps(2)[1], framing=pad_to_square((20, 40), 40, 10))  # columns 1 and 2
    mean = estimate_position_bias([wide, tall]).mean
    torch.testing.assert_close(mean[:, 1, 0], wide.features[:, 1, 0])
    torch.testing.assert_close(mean[:, 0, 1], tall.features[:, 0, 1])
    torch.testing.assert_close(mean[:, 1, 1], (wide.features[:, 1, 1] + tall.features[:, 1, 1]) / 2)
    everything = torch.cat([wide.features[:, 1:3].flatten(1), tall.features[:, :, 1:3].flatten(1)], dim=1).mean(dim=1)
    torch.testing.assert_close(mean[:, 0, 0], everything)  # the corners, which neither shows


def test_debiased_features_are_taken_for_no_others():
    images = maps()
    cleaned = DebiasedFeatures(dict(enumerate(images)), estimate_position_bias(images))
    assert list(cleaned) == list(range(5)) and len(cleaned) == 5
    with pytest.raises(SpherecorrError, match="The images have different features"):
        sc.match(images[0], cleaned[1], [(5, 5)])
    with pytest.raises(SphereMismatchError, match="was trained on backbone 'by-hand', not on 'by-hand debiased'"):
        SphereMapper(SphereSettings(8, source=SOURCE)).sphere_map(cleaned[0])


def test_what_has_no_common_grid_is_refused():
    other = FeatureMap(torch.zeros(8, 2, 2), pad_to_square((20, 20), 20, 10), SOURCE)
    with pytest.raises(SpherecorrError, match="of one grid, 4 x 4 cells; an image has 2 x 2"):
        estimate_position_bias([*maps(), other])
    with pytest.raises(SpherecorrError, match="The position bias is of other features: layer differ"):
        estimate_position_bias(maps()).remove(replace(maps()[0], source=replace(SOURCE, layer=3)))
    with pytest.raises(SpherecorrError, match="Features of several parts"):
        estimate_position_bias([replace(maps()[0], parts=(maps()[1],))])
    with pytest.raises(SpherecorrError, match="the mean over images, and there are none"):
        estimate_position_bias([])

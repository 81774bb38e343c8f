"""Two crops of one image: where what the one shows lies in the other."""

import numpy as np
import pytest
import torch
from painted import CELLS, RESOLUTION, MeanColour, draw, live, painted

from spherecorr.sphere.losses import sample_cells
from spherecorr.store_settings import StoreError, StoreSettings
from spherecorr.training.batches import JoinedCrops, LiveCrops
from spherecorr.training.warp import warp_between

SEEDS = torch.arange(1000, 1003)


def two(folder, **options) -> LiveCrops:
    return live(painted(folder, size=(128, 96)), two=True, smallest_crop=0.6, **options)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("crop", ["square", "resized"])
def test_the_warp_finds_the_first_crops_cells_in_the_second(tmp_path, crop, mirrored):
    """Colours grow steadily over the picture, so between the second crop's cells they are those of the first."""
    crops = two(tmp_path, crop=crop, mirrored=mirrored)
    assert crops.has_warp
    errors, wrong, shares = [], [], []
    for seed in range(8):
        batch = draw(crops, seed)
        expected, seen = sample_cells(batch.other.features, batch.other.mask, batch.warp, crops.grid)
        errors.append((expected - batch.features)[seen].abs().max())
        turned, seen_turned = sample_cells(batch.other.features, batch.other.mask, batch.warp.flip(1), crops.grid)
        wrong.append((turned - batch.features)[seen_turned].abs().max())
        shares.append(seen.float().mean())
        assert batch.warp[0][seen[0]].isfinite().all()
    assert max(errors) < 0.02 < min(wrong)  # colours are whole numbers of 255, and resized with another scale
    assert 0.2 < min(shares) < max(shares) < 1


def test_the_first_of_two_crops_is_the_one_that_would_be_alone(tmp_path):
    alone = live(painted(tmp_path, size=(128, 96)), crop="square", smallest_crop=0.6)
    pair = two(tmp_path, crop="square")
    for name, value in draw(alone, 3).tensors().items():
        torch.testing.assert_close(value, getattr(draw(pair, 3), name), atol=0, rtol=0, equal_nan=True)
    assert not torch.equal(draw(pair, 3).features, draw(pair, 3).other.features)


def test_equal_crops_have_every_cell_in_its_place_and_distant_ones_none():
    settings = StoreSettings(MeanColour.source, RESOLUTION, crop="square")
    own = np.stack(np.meshgrid(np.arange(CELLS) + 0.5, np.arange(CELLS) + 0.5), axis=-1).reshape(-1, 2)
    box = (10, 20, 60, 70)
    for mirrored in (False, True):
        np.testing.assert_allclose(warp_between(box, box, settings, mirrored), own, atol=1e-5)
    assert np.isnan(warp_between(box, (60, 20, 110, 70), settings)).all()
    # Shifted to the right by half of its side: what was in the middle is at the left edge.
    shifted = warp_between(box, (35, 20, 85, 70), settings).reshape(CELLS, CELLS, 2)
    assert np.isnan(shifted[:, :3]).all() and not np.isnan(shifted[:, 3:]).any()
    np.testing.assert_allclose(shifted[:, 3:, 0], np.tile([0.5, 1.5, 2.5], (CELLS, 1)), atol=1e-5)


def test_padding_lies_nowhere():
    """A whole picture twice as wide as high: a row and a half of padding above and below."""
    settings = StoreSettings(MeanColour.source, RESOLUTION)
    box = (0, 0, 80, 40)
    known = ~np.isnan(warp_between(box, box, settings)).any(axis=-1).reshape(CELLS, CELLS)
    assert known.all(axis=1).tolist() == known.any(axis=1).tolist() == [False, True, True, True, True, False]


def test_second_crops_stay_with_their_images(tmp_path):
    crops = two(tmp_path, crop="square")
    few = draw(crops).take(torch.tensor([[5, 0, 7]]))
    torch.testing.assert_close(few.warp[0], draw(crops).warp[0, [5, 0, 7]], equal_nan=True)
    assert few.other.mask.shape == (1, CELLS**2)
    joined = JoinedCrops([crops, crops])
    images = torch.tensor([1, 0, 1])
    batch = joined.batch(images, SEEDS)
    assert joined.has_warp and batch.other.other is None
    for i in range(3):
        alone = draw(crops, int(SEEDS[i]))
        torch.testing.assert_close(batch.other.features[i], alone.other.features[0])
        torch.testing.assert_close(batch.warp[i], alone.warp[0], equal_nan=True)


def test_images_with_and_without_second_crops_are_joined_without(tmp_path):
    record = painted(tmp_path, size=(128, 96))
    cut = {"crop": "square", "smallest_crop": 0.6}
    joined = JoinedCrops([live(record, two=True, **cut), live(record, **cut)])
    batch = joined.batch(torch.tensor([1, 0]), SEEDS[:2])
    assert not joined.has_warp and batch.warp is None and batch.other is None and batch.mask.shape == (2, CELLS**2)


def test_whole_pictures_are_no_two_crops(tmp_path):
    with pytest.raises(StoreError, match="Two crops of a picture differ only with the crop 'square' or 'resized'"):
        two(tmp_path, crop="whole")

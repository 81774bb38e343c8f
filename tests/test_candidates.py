"""Where the object is, and when nobody can tell."""

import numpy as np
import pytest
import torch

from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.matching.candidates import find_foreground
from spherecorr.matching.match import match_images, prepare
from spherecorr.matching.settings import MatchSettings
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings

FOREGROUND = MatchSettings(candidates="foreground")
MAPPER = SphereMapper(SphereSettings(4, background="head")).eval()
OBJECT = np.zeros((8, 10), dtype=bool)
OBJECT[2:6, 3:7] = True


def features(seed: int = 0) -> FeatureMap:
    tokens = torch.randn(4, 8, 10, generator=torch.Generator().manual_seed(seed))
    return FeatureMap(tokens, resize_to_fit((100, 80), 100, 10), FeatureSource("hand-made", 4, 10, 0))


def sphere_map(probability: np.ndarray) -> SphereMap:
    """A map that gives each cell's probability to be the object's."""
    framing = features().framing
    return SphereMap(torch.zeros(3, 8, 10), framing, foreground=torch.from_numpy(probability).float())


def test_clear_probabilities_are_the_object():
    found = find_foreground(features(), MAPPER, sphere_map(np.where(OBJECT, 0.95, 0.05)))
    assert found.certain
    np.testing.assert_array_equal(found.cells, OBJECT)


@pytest.mark.parametrize(
    "probability",
    [
        np.where(OBJECT, 0.6, 0.4),  # near the boundary everywhere
        np.full((8, 10), 0.02),  # no object
        np.full((8, 10), 0.98),  # nothing but object
    ],
    ids=["undecided", "nothing", "everything"],
)
def test_of_an_uncertain_object_all_cells_are_taken(probability):
    found = find_foreground(features(), MAPPER, sphere_map(probability))
    assert not found.certain and found.cells.all()


def test_a_few_undecided_cells_at_the_rim_are_no_doubt():
    probability = np.where(OBJECT, 0.97, 0.03)
    probability[1, 3:7] = 0.45
    assert find_foreground(features(), MAPPER, sphere_map(probability)).certain


def test_without_probabilities_the_share_of_cells_decides():
    flat = features()
    flat = FeatureMap(torch.ones_like(flat.features), flat.framing, flat.source)  # no object to be seen
    assert not find_foreground(flat, None, None).certain
    tokens = torch.zeros(4, 8, 10)
    tokens[0] = 1
    tokens[:2, 2:6, 3:7] = torch.tensor([0.0, 1.0])[:, None, None]
    found = find_foreground(FeatureMap(tokens, flat.framing, flat.source), None, None)
    assert found.certain and found.cells[2:6, 3:7].all() and not found.cells[0].any()


def test_matches_say_that_all_of_the_picture_was_matched():
    flat = FeatureMap(torch.ones(4, 8, 10), features().framing, features().source)
    source, target = (prepare(image, None, FOREGROUND) for image in (features(), flat))
    assert target.object_cells is not None and target.object_cells.all()
    assert match_images(source, target, [(5, 5)], FOREGROUND).object_told is False
    assert match_images(target, source, [(5, 5)], FOREGROUND).object_told is True
    assert match_images(source, target, [(5, 5)], MatchSettings()).object_told is None

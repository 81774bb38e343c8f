"""Proposed masks: the object of a painted photograph, by a sphere that is sure of it or by the features."""

import numpy as np
import pytest
import torch
from painted import MeanColour
from photographs import SIDE, paint
from PIL import Image

from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import average_over_cells, frame_image, resize_to_fit
from spherecorr.proposals import propose_mask
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings


@pytest.fixture
def photograph(tmp_path):
    """The picture, where its object is, and its features: mean colours."""
    truth = paint(tmp_path / "pony.png", 90, np.random.default_rng(0))
    picture = Image.open(tmp_path / "pony.png").convert("RGB")
    framing = resize_to_fit(picture.size, SIDE, MeanColour.source.patch)
    features = MeanColour().extract(frame_image(picture, framing)[None])[0]
    return picture, truth, FeatureMap(features, framing, MeanColour.source)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


class Telling(SphereMapper):
    """A sphere that says of any picture that its object is likely in these cells."""

    def __init__(self, foreground: np.ndarray):
        super().__init__(SphereSettings(MeanColour.source.dim, width=8, background="head"))
        self.said = torch.from_numpy(foreground).float()

    def sphere_map(self, features: FeatureMap) -> SphereMap:
        return SphereMap(torch.zeros(3, *self.said.shape), features.framing, foreground=self.said)


def test_the_object_is_found_to_the_pixel_by_features_of_coarse_cells(photograph):
    picture, truth, features = photograph
    cells = average_over_cells(truth, features.framing) > 0.5
    assert overlap(np.kron(cells, np.ones((16, 16), bool)), truth) < 0.9  # what cells alone would give at best
    assert overlap(propose_mask(picture, features), truth) > 0.95


def test_a_sphere_that_is_sure_is_asked_first(photograph):
    """It knows that the object is the bright square on the left, whatever stands out more."""
    picture, truth, features = photograph
    pixels = np.array(picture)
    square = np.zeros_like(truth)
    square[80:, :32] = True
    pixels[square] = 255
    likely = average_over_cells(square, features.framing)
    sure = np.where(likely > 0.5, 0.97, 0.03)
    found = propose_mask(Image.fromarray(pixels), features, Telling(sure))
    assert overlap(found, square) > 0.8
    in_doubt = np.where(likely > 0.5, 0.6, 0.4)
    found = propose_mask(Image.fromarray(pixels), features, Telling(in_doubt))
    assert overlap(found, truth) > 0.9


def test_the_same_picture_gives_the_same_mask(photograph):
    picture, _, features = photograph
    assert (propose_mask(picture, features) == propose_mask(picture, features)).all()


def test_a_picture_without_an_object_has_a_mask_all_the_same():
    picture = Image.new("RGB", (SIDE, SIDE), "grey")
    framing = resize_to_fit(picture.size, SIDE, 16)
    features = MeanColour().extract(frame_image(picture, framing)[None])[0]
    assert propose_mask(picture, FeatureMap(features, framing, MeanColour.source)).any()

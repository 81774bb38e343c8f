"""Sphere and plane: where points lie, how near they are, and which way they turn."""

import math

import pytest
import torch

from spherecorr.features import FeatureMap
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.sphere.surface import SURFACES, Plane, Sphere


@pytest.fixture(params=SURFACES)
def surface(request):
    return SURFACES[request.param]


def some(surface, count: int = 50, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return surface.project(torch.randn(count, surface.dim, generator=generator, dtype=torch.float64))


def test_points_of_a_surface_stay_where_they_are(surface):
    torch.testing.assert_close(surface.nearest(some(surface)), some(surface))


def test_what_left_a_surface_comes_back_on_it():
    torch.testing.assert_close(Sphere().nearest(torch.tensor([[0.0, 3.0, 4.0]])), torch.tensor([[0.0, 0.6, 0.8]]))
    assert Plane().nearest(torch.tensor([[1.5, -0.5], [-2.0, 0.0]])).tolist() == [[1, -0.5], [-1, 0]]
    for surface in SURFACES.values():
        assert not surface.nearest(torch.zeros(4, surface.dim)).any()


def test_projections_lie_on_the_surface():
    torch.testing.assert_close(some(Sphere()).norm(dim=-1), torch.ones(50, dtype=torch.float64))
    assert some(Plane()).abs().max() < 1


def test_the_nearest_points_are_the_most_similar(surface):
    points, others = some(surface), some(surface, 7, seed=1)
    distances = surface.distance(points[:, None], others[None])
    similarities = surface.similarity(points, others)
    assert similarities.shape == (50, 7)
    assert torch.equal(distances.argsort(dim=1), similarities.argsort(dim=1, descending=True))
    torch.testing.assert_close(similarities.argmax(dim=1), distances.argmin(dim=1))
    assert torch.equal(surface.similarity(points, points).argmax(dim=1), torch.arange(50))


def test_distance_is_half_the_squared_distance_in_space(surface):
    points, others = some(surface), some(surface, seed=1)
    torch.testing.assert_close(surface.distance(points, others), (points - others).square().sum(dim=-1) / 2)


def test_orientation_by_hand():
    """Right and up from the anchor; on the sphere seen from +z, where x is right and y up."""
    small = 0.01
    flat = torch.tensor([[0.1, 0.2], [0.1 + small, 0.2], [0.1, 0.2 + small]])
    ball = Sphere().project(torch.tensor([[0, 0, 1.0], [small, 0, 1.0], [0, small, 1.0]]))
    for surface, (anchor, right, up) in ((Plane(), flat), (Sphere(), ball)):
        assert surface.orientation(anchor, right, up) == pytest.approx(1, abs=1e-4)
        assert surface.orientation(anchor, up, right) == pytest.approx(-1, abs=1e-4)
        assert surface.orientation(anchor, right, right) == pytest.approx(0, abs=1e-4)
        assert surface.orientation(anchor, anchor, up) == 0


def test_orientation_is_the_sine_of_the_angle():
    angle = torch.deg2rad(torch.tensor([10.0, 80.0, 150.0, 200.0, 340.0]))
    right, turned = torch.tensor([0.3, 0.0]), 0.2 * torch.stack([angle.cos(), angle.sin()], dim=-1)
    torch.testing.assert_close(Plane().orientation(torch.zeros(5, 2), right.expand(5, 2), turned), angle.sin())


def test_a_sphere_keeps_its_orientation_when_it_is_turned_and_loses_it_in_a_mirror():
    anchor, first, second = (some(Sphere(), seed=seed) for seed in (1, 2, 3))
    generator = torch.Generator().manual_seed(4)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    turn = turn * torch.linalg.det(turn)
    before = Sphere().orientation(anchor, first, second)
    torch.testing.assert_close(Sphere().orientation(anchor @ turn, first @ turn, second @ turn), before)
    torch.testing.assert_close(Sphere().orientation(-anchor, -first, -second), -before)


def test_colours_are_colours_and_tell_points_apart(surface):
    corners = torch.tensor([[math.copysign(1, i >> axis & 1 or -1) for axis in range(surface.dim)] for i in range(4)])
    points = torch.cat([some(surface).float(), surface.nearest(corners)])
    colours = surface.colours(points)
    assert colours.shape == (54, 3) and 0 <= colours.min() and colours.max() <= 1
    assert len({tuple(colour) for colour in colours.tolist()}) == 54


def test_a_map_names_the_surface_that_its_mapper_sends_it_to():
    """Matching and colours go by this name."""
    torch.manual_seed(0)
    framing, source = resize_to_fit((40, 30), 40, 10), FeatureSource("random", 8, 10, 0)
    features = FeatureMap(torch.randn(8, 3, 4), framing, source)
    for name, surface in SURFACES.items():
        found = SphereMapper(SphereSettings(8, width=8, surface=name)).sphere_map(features)
        assert found.surface == name and found.points.shape == (surface.dim, 3, 4)

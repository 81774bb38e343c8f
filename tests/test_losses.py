"""The losses on cases whose values can be worked out by hand."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from spherecorr.sphere.losses import (
    background_loss,
    orientation_loss,
    reconstruction_loss,
    relative_distance_loss,
    sample_triplets,
    surface_loss,
    view_vectors,
    viewpoint_loss,
)
from spherecorr.sphere.mapper import SphereMapper, SphereSettings
from spherecorr.sphere.prototypes import Prototypes

ALL = torch.ones(1, 3, dtype=torch.bool)
TRIPLET, PRESENT = torch.tensor([[[0, 1, 2]]]), torch.tensor([True])


def disc(side: int = 21) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A flat disc seen from +z, each patch on the sphere where it faces: x right, y up, z towards the viewer."""
    line = torch.linspace(-1, 1, side, dtype=torch.float64)
    row, column = torch.meshgrid(line, line, indexing="ij")
    x, y = column * 0.7, -row * 0.7
    mask = (column**2 + row**2) < 0.9
    z = (1 - x**2 - y**2).clamp(min=0).sqrt()
    sphere = normalize(torch.stack([x, y, z], dim=-1), dim=-1).reshape(1, -1, 3)
    places = torch.stack([row, column], dim=-1).reshape(-1, 2)
    return sphere, places, mask.reshape(1, -1)


def test_reconstruction_counts_the_foreground_of_the_whole_batch_alike():
    features = torch.eye(2).repeat(2, 1, 1)  # two images, two patches: (1, 0) and (0, 1)
    rebuilt = features.clone()
    rebuilt[1, 1] = -rebuilt[1, 1]  # one answer points the other way: 1 - cos = 2
    assert reconstruction_loss(features, rebuilt, torch.tensor([[True, False], [True, True]])) == pytest.approx(2 / 3)


def test_viewpoint_is_zero_when_the_means_turn_as_the_cameras_do():
    views = view_vectors(torch.arange(8) * 45.0)
    sphere = torch.cat([views, torch.zeros(8, 1)], dim=1)[:, None].repeat(1, 5, 1)
    mask = torch.ones(8, 5, dtype=torch.bool)
    assert viewpoint_loss(sphere, mask, views) < 1e-12
    turned = sphere.roll(1, dims=-1)  # the whole sphere turned: only differences count
    assert viewpoint_loss(turned, mask, views) < 1e-12


def test_viewpoint_of_equal_directions_is_one_and_a_half():
    """The mean of (1 - cos d)^2 over evenly spread d is 1 + 1/2."""
    sphere = torch.tensor([0.0, 0.0, 1.0]).expand(8, 5, 3)
    loss = viewpoint_loss(sphere, torch.ones(8, 5, dtype=torch.bool), view_vectors(torch.arange(8) * 45.0))
    assert loss == pytest.approx(1.5, abs=1e-6)


def test_viewpoint_with_elevation_is_a_direction_in_space():
    above, front = view_vectors(torch.tensor([123.0, 0.0]), torch.tensor([90.0, 0.0]))
    assert torch.allclose(above, torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
    assert torch.equal(front, torch.tensor([1.0, 0.0, 0.0]))


def test_viewpoint_leaves_images_without_foreground_out():
    sphere = torch.eye(3)[:2, None]  # two images of one patch: along x and y, cameras 90 degrees apart
    views = view_vectors(torch.tensor([0.0, 90.0]))
    extra = torch.cat([sphere, -sphere[:1]]), torch.cat([views, views[:1]])
    mask = torch.tensor([[True], [True], [False]])
    assert viewpoint_loss(sphere, mask[:2], views) < 1e-12
    assert viewpoint_loss(extra[0], mask, extra[1]) < 1e-12


@pytest.mark.parametrize(
    ("second", "third", "expected"),
    [
        ((0.0, 1.0), (0.0, 5.0), 0.5 - 1.0 + 0.0),  # near patch coincides on the sphere, far one is at 90 degrees
        ((0.0, 5.0), (0.0, 1.0), 0.5 + 1.0 - 0.0),  # the other way round: the near patch is the far one on the sphere
        ((0.0, 2.0), (2.0, 0.0), 0.5 + 1.0 - 0.0),  # a tie takes the third as the near one
    ],
)
def test_relative_distance_by_hand(second, third, expected):
    sphere = torch.tensor([[[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]]])
    places = torch.tensor([(0.0, 0.0), second, third])
    assert relative_distance_loss(sphere, places, TRIPLET, PRESENT) == pytest.approx(max(0, expected))


def test_orientation_accepts_a_disc_seen_from_outside_and_refuses_its_mirror_image():
    sphere, places, mask = disc()
    triplets, present = sample_triplets(mask, 4000, torch.Generator().manual_seed(0))
    mirrored = sphere * torch.tensor([-1.0, 1.0, 1.0], dtype=sphere.dtype)
    assert orientation_loss(sphere, places, triplets, present) < 0.05  # not 0: tau is a sine, and angles are not all 90
    assert orientation_loss(mirrored, places, triplets, present) > 3.0


def test_orientation_of_a_right_angle_by_hand():
    """Right and up from the anchor, on the screen and on the sphere: tau = 1, no loss; mirrored, tau = -1, loss 4."""
    small = 0.01
    sphere = normalize(torch.tensor([[[0, 0, 1.0], [small, 0, 1.0], [0, small, 1.0]]], dtype=torch.float64), dim=-1)
    places = torch.tensor([(0.0, 0.0), (0.0, 1.0), (-1.0, 0.0)], dtype=torch.float64)  # (row, column): right, then up
    assert orientation_loss(sphere, places, TRIPLET, PRESENT) == pytest.approx(0, abs=1e-6)
    mirrored = sphere * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert orientation_loss(mirrored, places, TRIPLET, PRESENT) == pytest.approx(4, abs=1e-6)
    assert orientation_loss(sphere, places, TRIPLET.flip(-1)[..., [2, 0, 1]], PRESENT) == pytest.approx(0, abs=1e-6)


def test_orientation_leaves_flat_and_repeated_triplets_out():
    sphere = normalize(torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    in_a_row = torch.tensor([(0.0, 0.0), (0.0, 1.0), (0.0, 2.0)])
    assert orientation_loss(sphere, in_a_row, TRIPLET, PRESENT) == 0
    corner = torch.tensor([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
    assert orientation_loss(sphere, corner, torch.tensor([[[0, 1, 1]]]), PRESENT) == 0


def test_surface_is_one_minus_the_cosine():
    sphere, directions = torch.eye(3)[None], torch.eye(3)[None, [0, 2, 1]]
    assert surface_loss(sphere, directions, ALL) == pytest.approx(2 / 3)
    assert surface_loss(sphere, directions, torch.tensor([[True, False, False]])) == 0


def test_background_counts_only_what_is_not_the_object():
    sphere = torch.tensor([[[0, 0, 1.0], [1.0, 0, 0], [0, 0, -1.0]]])  # above, beside, and in the place kept for it
    below = torch.tensor([0, 0, -1.0])
    assert background_loss(sphere, torch.tensor([[False, True, True]]), below) == pytest.approx(0.5)
    assert background_loss(sphere, torch.tensor([[True, False, False]]), below) == pytest.approx(2)
    assert background_loss(sphere, ~ALL, below) == 0


def test_triplets_come_from_the_foreground_and_from_the_seed():
    mask = torch.zeros(2, 100, dtype=torch.bool)
    mask[0, [3, 50]] = True
    mask[1, 60:] = True
    triplets, present = sample_triplets(mask, 500, torch.Generator().manual_seed(1))
    assert triplets.shape == (2, 500, 3)
    assert set(triplets[0].flatten().tolist()) == {3, 50}
    assert triplets[1].min() >= 60 and present.all()
    again, _ = sample_triplets(mask, 500, torch.Generator().manual_seed(1))
    assert torch.equal(triplets, again)


@pytest.mark.parametrize("kind", ["empty mask", "one patch", "one image"])
def test_every_loss_is_finite_with_finite_gradients_where_little_is_left(kind):
    batch, patches = (1, 4) if kind == "one image" else (2, 4)
    mask = torch.zeros(batch, patches, dtype=torch.bool)
    if kind != "empty mask":
        mask[:, 0] = True
    raw = torch.randn(batch, patches, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    sphere = normalize(raw, dim=-1)
    places = torch.tensor([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
    triplets, present = sample_triplets(mask, 8, torch.Generator().manual_seed(0))
    losses = [
        reconstruction_loss(sphere, sphere.roll(1, 1), mask),
        viewpoint_loss(sphere, mask, view_vectors(torch.zeros(batch))),
        relative_distance_loss(sphere, places, triplets, present),
        orientation_loss(sphere, places, triplets, present),
        surface_loss(sphere, sphere.detach().roll(1, 1), mask),
        background_loss(sphere, mask, torch.tensor([0, 0, -1.0])),
    ]
    total = sum(losses)
    total.backward()
    assert math.isfinite(total.item()) and raw.grad.isfinite().all()
    if kind == "empty mask":
        assert [float(loss) for loss in losses] == [0.0] * 6


def test_prototypes_tell_categories_apart_and_treat_patches_alike():
    torch.manual_seed(0)
    prototypes = Prototypes(16, categories=2)
    sphere = normalize(torch.randn(1, 5, 3), dim=-1)
    one, other = prototypes(sphere, torch.tensor([0])), prototypes(sphere, torch.tensor([1]))
    assert one.shape == (1, 5, 16)
    assert not torch.allclose(one, other)
    order = torch.tensor([4, 2, 0, 1, 3])
    assert torch.allclose(prototypes(sphere[:, order], torch.tensor([0])), one[:, order], atol=1e-6)


def test_reconstruction_reaches_the_mapper_and_the_prototypes():
    torch.manual_seed(0)
    mapper, prototypes = SphereMapper(SphereSettings(16)), Prototypes(16, categories=2)
    tokens = torch.randn(2, 6, 16)
    mask = torch.ones(2, 6, dtype=torch.bool)
    reconstruction_loss(tokens, prototypes(mapper(tokens), torch.tensor([0, 1])), mask).backward()
    assert all(p.grad.abs().sum() > 0 for p in [*mapper.parameters(), *prototypes.parameters()])

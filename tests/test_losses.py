"""The losses on cases whose values can be worked out by hand."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from spherecorr.sphere.losses import (
    background_loss,
    camera_directions,
    equivariance_loss,
    foreground_loss,
    orientation_loss,
    reconstruction_loss,
    relative_distance_loss,
    sample_cells,
    sample_triplets,
    surface_loss,
    view_cosines,
    viewpoint_loss,
    visibility_loss,
)
from spherecorr.sphere.surface import SURFACES, Plane

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


def test_reconstruction_of_packed_patches_is_that_of_the_mask():
    features, rebuilt = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, False, True, True, False], [True, True, False, True, True], [False] * 5])
    packed = reconstruction_loss(features[mask], rebuilt[mask])
    assert torch.allclose(packed, reconstruction_loss(features, rebuilt, mask))


AROUND = torch.arange(8) * 45.0


def test_a_viewpoint_counts_by_its_quality():
    azimuth, mask = torch.tensor([0.0, 90.0, 180.0]), torch.ones(3, 5, dtype=torch.bool)
    points = ring(torch.tensor([0.0, 90.0, 0.0]))  # the third is wrong by half a turn
    cosines = view_cosines(azimuth)
    assert viewpoint_loss(points, mask, cosines) == pytest.approx(2 * 4 / 9, abs=1e-6)
    half = viewpoint_loss(points, mask, cosines, torch.tensor([1.0, 1.0, 0.5]))
    assert half == pytest.approx(2 * 0.5 * 4 / 2.5**2, abs=1e-6)
    unknown = view_cosines(torch.tensor([0.0, 90.0, math.nan]))
    assert viewpoint_loss(points, mask, unknown, torch.tensor([1.0, 1.0, 0.0])) == pytest.approx(0, abs=1e-6)


def test_foreground_is_told_where_it_is_known():
    logits = torch.tensor([[0.0, -100.0, 100.0, -100.0]])
    mask, background = torch.tensor([[True, False, True, False]]), torch.tensor([[False, False, False, True]])
    assert foreground_loss(logits, mask, background) == pytest.approx(math.log(2) / 3)  # of the first, undecided
    assert foreground_loss(logits, background, mask) == pytest.approx((math.log(2) + 200) / 3)


def ring(azimuth: torch.Tensor) -> torch.Tensor:
    """Five patches per image, all in the direction of the camera: `[B, 5, 3]`."""
    angle = torch.deg2rad(azimuth)
    return torch.stack([angle.cos(), angle.sin(), 0 * angle], dim=-1)[:, None].repeat(1, 5, 1)


def test_viewpoint_is_zero_when_the_means_turn_as_the_cameras_do():
    sphere, mask = ring(AROUND), torch.ones(8, 5, dtype=torch.bool)
    assert viewpoint_loss(sphere, mask, view_cosines(AROUND)) < 1e-12
    turned = sphere.roll(1, dims=-1)  # the whole sphere turned: only differences count
    assert viewpoint_loss(turned, mask, view_cosines(AROUND)) < 1e-12


def test_viewpoint_of_equal_directions_is_one_and_a_half():
    """The mean of (1 - cos d)^2 over evenly spread d is 1 + 1/2."""
    sphere = torch.tensor([0.0, 0.0, 1.0]).expand(8, 5, 3)
    loss = viewpoint_loss(sphere, torch.ones(8, 5, dtype=torch.bool), view_cosines(AROUND))
    assert loss == pytest.approx(1.5, abs=1e-6)


def test_cameras_are_compared_by_what_is_known_of_them():
    """Two at azimuth 0 and 90, 60 degrees up; one at azimuth 0 of unknown elevation; one straight above."""
    azimuth = torch.tensor([0.0, 90.0, 0.0, 123.0])
    elevation = torch.tensor([60.0, 60.0, math.nan, 90.0])
    cosines = view_cosines(azimuth, elevation)
    assert cosines[0, 1] == pytest.approx(0.75, abs=1e-6)  # sin 60 sin 60 + cos 60 cos 60 cos 90
    assert cosines[0, 2] == 1 and cosines[1, 2] == pytest.approx(0, abs=1e-6)  # by azimuth alone
    assert cosines[0, 3] == pytest.approx(math.sin(math.pi / 3), abs=1e-6)
    assert cosines[2, 3] == pytest.approx(math.cos(math.radians(123)), abs=1e-6)
    assert torch.equal(cosines, cosines.T)
    assert torch.allclose(cosines.diagonal(), torch.ones(4))
    assert torch.equal(view_cosines(azimuth, torch.full((4,), math.nan)), view_cosines(azimuth))


def test_viewpoint_leaves_images_without_foreground_out():
    sphere = torch.eye(3)[:2, None]  # two images of one patch: along x and y, cameras 90 degrees apart
    azimuth = torch.tensor([0.0, 90.0, 0.0])
    mask = torch.tensor([[True], [True], [False]])
    assert viewpoint_loss(sphere, mask[:2], view_cosines(azimuth[:2])) < 1e-12
    assert viewpoint_loss(torch.cat([sphere, -sphere[:1]]), mask, view_cosines(azimuth)) < 1e-12


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


def test_a_plane_that_is_the_picture_has_no_loss_and_its_mirror_image_has():
    """Points where the patches are, x right and y up: nearer patches are nearer, and left turns stay left turns."""
    _, places, mask = disc()
    triplets, present = sample_triplets(mask, 4000, torch.Generator().manual_seed(0))
    plane = torch.stack([places[:, 1], -places[:, 0]], dim=-1)[None]
    flipped = plane * torch.tensor([-1, 1])
    given = places, triplets, present
    distances = [relative_distance_loss(p, *given, 0.0, Plane()) for p in (plane, flipped, 0 * plane)]
    assert distances == pytest.approx([0, 0, 0], abs=1e-9)  # no margin; with one, of points that are one, all of it
    assert relative_distance_loss(0 * plane, *given, surface=Plane()) == pytest.approx(0.5)
    sines = [orientation_loss(p, *given, surface=Plane()) for p in (plane, flipped)]
    assert sines[0] < 0.05 and sines[1] > 3.0


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


def test_cells_are_sampled_between_their_centres():
    """A grid of 3 columns and 2 rows whose values are their own grid coordinates."""
    row, column = torch.meshgrid(torch.arange(2) + 0.5, torch.arange(3) + 0.5, indexing="ij")
    values = torch.stack([column, row], dim=-1).reshape(1, 6, 2)
    mask = torch.tensor([[True, True, False, True, True, True]])
    warp = torch.tensor([[[0.5, 0.5], [1.2, 1.3], [1.5, 0.9], [1.6, 0.9], [2.5, 1.5], [math.nan, math.nan], [0.4, 1]]])
    sampled, counts = sample_cells(values, mask, warp, (3, 2))
    assert counts.tolist() == [[True, True, True, False, True, False, False]]  # the last lies beyond the outer centres
    torch.testing.assert_close(sampled[counts], warp[counts])


@pytest.mark.parametrize("name", SURFACES)
def test_equivariance_by_hand(name):
    surface = SURFACES[name]
    points = torch.eye(3, surface.dim)[None]
    assert equivariance_loss(points, points, ALL, surface) == 0
    # Two of three patches have changed places: half the squared distance between their points is 1 each.
    swapped = points[:, [1, 0, 2]]
    assert equivariance_loss(points, swapped, ALL, surface) == pytest.approx(2 / 3)
    assert equivariance_loss(points, swapped, torch.tensor([[False, False, True]]), surface) == 0
    assert equivariance_loss(points, swapped, ~ALL, surface) == 0


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
        viewpoint_loss(sphere, mask, view_cosines(torch.zeros(batch))),
        relative_distance_loss(sphere, places, triplets, present),
        orientation_loss(sphere, places, triplets, present),
        surface_loss(sphere, sphere.detach().roll(1, 1), mask),
        background_loss(sphere, mask, torch.tensor([0, 0, -1.0])),
        visibility_loss(sphere, mask, torch.tensor([0, 0, 1.0]).expand(len(sphere), 3)),
        equivariance_loss(sphere, sphere.roll(1, 1), mask),
    ]
    total = sum(losses)
    total.backward()
    assert math.isfinite(total.item()) and raw.grad.isfinite().all()
    if kind == "empty mask":
        assert [loss.item() for loss in losses] == [0.0] * 8


def test_cameras_stand_where_azimuth_and_elevation_say():
    """In front, on the object's left, behind it 60 degrees up, above, and on its right at an unknown height."""
    azimuth, elevation = torch.tensor([0.0, 90, 180, 33, -90]), torch.tensor([0.0, 0, 60, 90, math.nan])
    half, root = 0.5, math.sqrt(0.75)
    expected = [[1, 0, 0], [0, 1, 0], [-half, 0, root], [0, 0, 1], [0, -1, 0]]
    torch.testing.assert_close(camera_directions(azimuth, elevation), torch.tensor(expected), atol=1e-6, rtol=0)


def test_visibility_by_hand():
    """Seen from the front: the front and the edge cost nothing, the back 1, and what lies off the object nothing."""
    sphere = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0], [-1.0, 0, 0]]])
    mask = torch.tensor([[True, True, True, False]])
    front = camera_directions(torch.zeros(1), torch.zeros(1))
    assert visibility_loss(sphere, mask, front) == pytest.approx(1 / 3)


# The formulas read literally, image by image and triplet by triplet (paper section 3.3)


def random_batch(dtype=torch.float32) -> dict[str, torch.Tensor]:
    """Three images of a 6 x 6 grid with random points, features, masks, cameras and triplets."""
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    line = torch.linspace(0, 1, 6, dtype=dtype)
    mask = torch.rand(3, 36, generator=generator) < 0.4
    triplets, present = sample_triplets(mask, 32, generator)
    return {
        "sphere": normalize(normal(3, 36, 3), dim=-1),
        "features": normal(3, 36, 8),
        "rebuilt": normal(3, 36, 8),
        "mask": mask,
        "bin": torch.tensor([1, 6, 3]),
        "places": torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1).reshape(-1, 2),
        "triplets": triplets,
        "present": present,
    }


def literal_reconstruction(batch) -> float:
    errors = []
    for features, rebuilt, mask in zip(batch["features"], batch["rebuilt"], batch["mask"], strict=True):
        for patch in mask.nonzero().ravel():
            x, g = features[patch], rebuilt[patch]
            errors.append(1 - (x @ g) / (x.norm() * g.norm()))
    return float(torch.stack(errors).mean())


def literal_viewpoint(batch) -> float:
    means = []
    for sphere, mask in zip(batch["sphere"], batch["mask"], strict=True):
        mean = (sphere * mask[:, None]).mean(dim=0)
        means.append(mean / mean.norm())
    total = 0.0
    for m_i, v_i in zip(means, batch["bin"], strict=True):
        for m_j, v_j in zip(means, batch["bin"], strict=True):
            total += (float(m_i @ m_j) - math.cos(2 * math.pi * int(v_i - v_j) / 8)) ** 2
    return total / len(means) ** 2


def literal_distance(batch) -> float:
    hinges = []
    for s, triplets in zip(batch["sphere"], batch["triplets"], strict=True):
        for a, b, c in triplets.tolist():
            q_a, q_b, q_c = (batch["places"][i] for i in (a, b, c))
            positive, negative = (b, c) if (q_b - q_a).norm() < (q_c - q_a).norm() else (c, b)
            hinges.append(max(0.0, float((1 - s[a] @ s[positive]) - (1 - s[a] @ s[negative])) + 0.5))
    return sum(hinges) / len(hinges)


def literal_orientation(batch) -> float:
    terms = []
    for s, triplets in zip(batch["sphere"], batch["triplets"], strict=True):
        for a, b, c in triplets.tolist():
            q_a, q_b, q_c = (batch["places"][i] for i in (a, b, c))
            if a in (b, c):
                continue  # a repeated point has no direction
            e_b, e_c = (q_b - q_a) / (q_b - q_a).norm(), (q_c - q_a) / (q_c - q_a).norm()
            det = float(e_b[0] * e_c[1] - e_b[1] * e_c[0])
            if abs(det) <= 0.7:
                continue
            tangents = []
            for k in (b, c) if det > 0 else (c, b):
                step = (s[k] - s[a]) - s[a] * (s[a] @ (s[k] - s[a]))
                tangents.append(step / step.norm())
            tau = float(torch.linalg.cross(*tangents) @ s[a])
            terms.append(max(0.0, 1 - tau) ** 2)
    return sum(terms) / len(terms)


def test_the_losses_are_the_formulas():
    batch = random_batch()
    sphere, mask, places = batch["sphere"], batch["mask"], batch["places"]
    triplets = batch["triplets"], batch["present"]
    assert 0.2 < mask.float().mean() < 0.8 and batch["present"].all()
    reconstruction = reconstruction_loss(batch["features"], batch["rebuilt"], mask)
    assert reconstruction.item() == pytest.approx(literal_reconstruction(batch), abs=1e-5)
    viewpoint = viewpoint_loss(sphere, mask, view_cosines(batch["bin"] * 45 + 22.5))
    assert viewpoint.item() == pytest.approx(literal_viewpoint(batch), abs=1e-5)
    distance = relative_distance_loss(sphere, places, *triplets)
    assert distance.item() == pytest.approx(literal_distance(batch), abs=1e-5)
    orientation = orientation_loss(sphere, places, *triplets)
    assert orientation.item() == pytest.approx(literal_orientation(batch), abs=1e-5)


def test_gradients_are_the_losses_derivatives():
    """Against finite differences, in double precision; points are made unit inside, as the mapper does."""
    batch = random_batch(torch.float64)
    mask, places = batch["mask"], batch["places"]
    triplets = batch["triplets"], batch["present"]
    cosines = view_cosines(batch["bin"].double() * 45)
    below = torch.tensor([0, 0, -1.0], dtype=torch.float64)
    losses = [
        lambda points: viewpoint_loss(points, mask, cosines),
        lambda points: relative_distance_loss(points, places, *triplets),
        lambda points: orientation_loss(points, places, *triplets),
        lambda points: surface_loss(points, batch["sphere"].roll(1, 1), mask),
        lambda points: background_loss(points, ~mask, below),
        lambda points: reconstruction_loss(batch["features"][..., :3], points, mask),
    ]
    raw = (batch["sphere"] * 1.7).requires_grad_()
    for loss in losses:
        assert torch.autograd.gradcheck(lambda points, loss=loss: loss(normalize(points, dim=-1)), raw)

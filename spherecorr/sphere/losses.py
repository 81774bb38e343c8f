"""The losses of the sphere mapper (paper section 3.3): pure functions on batches, without loops.

Common arguments: B images of N patches each; `sphere` `[B, N, 3]` are unit vectors, `points` `[B, N, dim]` points of
any surface, `mask` `[B, N]` is True on the object, `places` `[N, 2]` or `[B, N, 2]` are the patches' (row, column) in
the picture, in any one unit. Every loss is a scalar, and 0 (still connected to the graph) where nothing is left to
measure: never NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, grid_sample, normalize, softplus

from spherecorr.sphere.surface import Sphere, Surface, turn

SPHERE = Sphere()


def reconstruction_loss(features: Tensor, rebuilt: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of `1 - cos` between frozen features and the prototypes' answer, over the batch's foreground patches.

    Args:
        features: `[..., D]`.
        rebuilt: `[..., D]`.
        mask: `[...]`; None if the foreground patches alone are given, in a row.
    """
    error = 1 - cosine_similarity(features, rebuilt, dim=-1)
    return _masked_mean(error, torch.ones_like(error) if mask is None else mask)


def viewpoint_loss(sphere: Tensor, mask: Tensor, cosines: Tensor, quality: Tensor | None = None) -> Tensor:
    """Mean directions must differ between images as the cameras do.

    `mean over i, j of (m_i . m_j - c_ij)^2`, weighted by `q_i q_j`, where `m_i` is the normalised mean of image i's
    foreground points and `c_ij` the cosine between two cameras. Only differences count, so the sphere may turn as a
    whole. 0.5 is the level of unrelated directions, 1.5 of equal ones (for views spread evenly around the object).

    Args:
        sphere: `[B, N, 3]`.
        mask: `[B, N]`; images without foreground are left out.
        cosines: `[B, B]` from `view_cosines`.
        quality: `[B]`, the weight q of each viewpoint, 0..1; 0 leaves an image out. None: 1 for all.
    """
    weight = mask.any(dim=1).to(sphere)
    if quality is not None:
        weight = weight * quality
    mean = normalize((sphere * mask[..., None]).sum(dim=1), dim=-1)
    pairs = torch.outer(weight, weight)
    return (pairs * (mean @ mean.T - cosines) ** 2).sum() / pairs.sum().clamp(min=1e-6)


def view_cosines(azimuth: Tensor, elevation: Tensor | None = None) -> Tensor:
    """Cosines `[B, B]` of the angles between cameras.

    Of two cameras with known elevation the angle is that between their directions in space; of all others the
    difference of their azimuths, as in the paper, which knows no elevation.

    Args:
        azimuth: `[B]` degrees; NaN, where it is unknown, counts as 0.
        elevation: `[B]` degrees, NaN where unknown; None if it is unknown for all.
    """
    azimuth = azimuth.nan_to_num()
    turn = torch.deg2rad(azimuth[:, None] - azimuth[None, :]).cos()
    if elevation is None:
        return turn
    known = ~elevation.isnan()
    up = torch.deg2rad(elevation.nan_to_num())
    both = torch.outer(up.cos(), up.cos()) * turn + torch.outer(up.sin(), up.sin())
    return torch.where(known[:, None] & known[None, :], both, turn)


def sample_triplets(mask: Tensor, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draw `count` triplets of foreground patches per image, uniformly and with replacement.

    Returns:
        Patch indices `[B, count, 3]`, and bool `[B]`: False for images without foreground, whose indices mean nothing.
    """
    present = mask.any(dim=1)
    weights = torch.where(present[:, None], mask, True).float()
    drawn = torch.multinomial(weights, 3 * count, replacement=True, generator=generator)
    return drawn.reshape(len(mask), count, 3), present


def relative_distance_loss(
    points: Tensor, places: Tensor, triplets: Tensor, present: Tensor, margin: float = 0.5, surface: Surface = SPHERE
) -> Tensor:
    """Of two patches, the one nearer in the picture must be nearer on the surface, by a margin of its distance.

    Args:
        points: `[B, N, dim]`.
        places: (row, column) of the patches.
        triplets: `[B, K, 3]` from `sample_triplets`: an anchor and two others.
        present: `[B]` from `sample_triplets`.
        margin: of the hinge; on the sphere of `1 - cos`.
        surface: of the points.
    """
    anchor, second, third = _gather(points, triplets)
    place, place_second, place_third = _gather(_batched(places, points), triplets)
    nearer = (place_second - place).norm(dim=-1) < (place_third - place).norm(dim=-1)  # a tie takes the third
    to_second, to_third = surface.distance(anchor, second), surface.distance(anchor, third)
    to_near, to_far = torch.where(nearer, to_second, to_third), torch.where(nearer, to_third, to_second)
    return _masked_mean((to_near - to_far + margin).clamp(min=0), present[:, None].expand_as(to_near))


def orientation_loss(
    points: Tensor, places: Tensor, triplets: Tensor, present: Tensor, min_sine: float = 0.7, surface: Surface = SPHERE
) -> Tensor:
    """Turning left in the picture must be turning left on the surface, a sphere seen from outside: no mirrored maps.

    Of the triplets whose angle at the anchor has a sine above `min_sine`, the two others are put in counter-clockwise
    order (as seen on the screen); the loss is `mean max(0, 1 - tau)^2`, tau the sine of their angle on the surface.

    Args:
        points: `[B, N, dim]`.
        places: (row, column) of the patches.
        triplets: `[B, K, 3]`.
        present: `[B]`.
        min_sine: triplets flatter than this are left out.
        surface: of the points.
    """
    place, place_second, place_third = _gather(_batched(places, points), triplets)
    # Of (row, column), with rows growing downwards: positive if counter-clockwise on the screen.
    sine = turn(normalize(place_second - place, dim=-1), normalize(place_third - place, dim=-1))
    # Exchanging the two points changes the sign of the orientation, so their order is a factor.
    tau = surface.orientation(*_gather(points, triplets)) * sine.sign()
    kept = (sine.abs() > min_sine) & present[:, None]
    return _masked_mean((1 - tau).clamp(min=0) ** 2, kept)


def surface_loss(sphere: Tensor, directions: Tensor, mask: Tensor) -> Tensor:
    """Mean of `1 - cos` to the known direction of the surface point under each patch (renders only).

    Args:
        sphere: `[B, N, 3]`.
        directions: unit vectors `[B, N, 3]`.
        mask: `[B, N]`.
    """
    return _masked_mean(1 - (sphere * directions).sum(-1), mask)


def background_loss(sphere: Tensor, background: Tensor, place: Tensor) -> Tensor:
    """Mean of `1 - cos` between background patches and the one place of the sphere that is kept for them.

    Not in the paper: there, background patches fall anywhere, and match whatever lies there.

    Args:
        sphere: `[B, N, 3]`.
        background: `[B, N]`, True off the object.
        place: unit vector `[3]`.
    """
    return _masked_mean(1 - sphere @ place, background)


def foreground_loss(logits: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """Mean binary cross-entropy of what is object and what is not. Not in the paper.

    Args:
        logits: `[B, N]`, of the probability that a patch is the object's.
        mask: `[B, N]`, patches on the object.
        background: `[B, N]`, patches off the object; those that are neither are left out.
    """
    return _masked_mean(softplus(torch.where(mask, -logits, logits)), mask | background)


def visibility_loss(sphere: Tensor, mask: Tensor, cameras: Tensor) -> Tensor:
    """What a picture shows lies on the half of the sphere that faces its camera: mean of `max(0, -cos)`.

    Not in the paper. It ties the sphere to the viewpoints' own axes, which the viewpoint loss leaves free.

    Args:
        sphere: `[B, N, 3]`.
        mask: `[B, N]`.
        cameras: unit vectors `[B, 3]` from `camera_directions`.
    """
    away = -torch.einsum("bnc,bc->bn", sphere, cameras)
    return _masked_mean(away.clamp(min=0), mask)


def equivariance_loss(points: Tensor, expected: Tensor, mask: Tensor, surface: Surface = SPHERE) -> Tensor:
    """What two crops both show has one place on the surface: mean distance between its points in either.

    Not in the paper.

    Args:
        points: `[B, N, dim]` of the first crops' patches.
        expected: `[B, N, dim]` of the second crops at the same places of the pictures, from `sample_cells`.
        mask: `[B, N]`, patches that both crops show.
        surface: of the points.
    """
    return _masked_mean(surface.distance(points, expected), mask)


def sample_cells(values: Tensor, mask: Tensor, warp: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sample what a grid of cells holds between their centres, bilinearly.

    Args:
        values: `[B, P, C]`, row by row.
        mask: bool `[B, P]`, cells whose values count.
        warp: `[B, N, 2]` continuous grid coordinates (column, row), NaN where there is nothing to sample.
        grid: (columns, rows), P cells.

    Returns:
        `[B, N, C]`, and bool `[B, N]`: True where all cells that were sampled between count.
    """
    columns, rows = grid
    layers = torch.cat([values, mask[..., None].to(values)], dim=-1).mT.unflatten(-1, (rows, columns))
    # `grid_sample` measures from -1 to 1; far outside there are zeros.
    where = (2 * warp / warp.new_tensor(grid) - 1).nan_to_num(nan=-2.0).to(values)
    sampled = grid_sample(layers, where[:, :, None], align_corners=False)[..., 0].mT
    return sampled[..., :-1], sampled[..., -1] > 1 - 1e-4


def camera_directions(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Unit vectors `[B, 3]` from the object to cameras, +x being its front, +y its left and +z up.

    Args:
        azimuth: `[B]` degrees; NaN, where it is unknown, counts as 0.
        elevation: `[B]` degrees; NaN, where it is unknown, counts as level.
    """
    turn, up = torch.deg2rad(azimuth.nan_to_num()), torch.deg2rad(elevation.nan_to_num())
    return torch.stack([up.cos() * turn.cos(), up.cos() * turn.sin(), up.sin()], dim=-1)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)


def _batched(places: Tensor, points: Tensor) -> Tensor:
    return places.expand(len(points), -1, -1) if places.ndim == 2 else places


def _gather(values: Tensor, triplets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values `[B, N, C]` at triplets `[B, K, 3]`: three tensors `[B, K, C]`."""
    batch = torch.arange(len(values), device=values.device)[:, None, None]
    anchor, second, third = values[batch, triplets].unbind(dim=2)
    return anchor, second, third

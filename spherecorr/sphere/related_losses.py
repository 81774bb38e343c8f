"""The losses of related systems, written anew for this mapper: pure functions on batches, as `sphere.losses`.

`docs/related.md` says what each system does and where these differ.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

TEMPERATURE = 0.1  # of distances on the plane, about those of neighbouring patches
SCALE = 20.0  # of unit vectors, on both sides of an inner product
EXPONENT = 0.5  # of distances in the picture: far misses cost little more than near ones


def mutual_neighbours(
    features: Tensor, others: Tensor, mask: Tensor, other_mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Patches of two pictures that are each other's nearest by cosine, both on the object ("best buddies").

    Args:
        features: `[B, N, D]` of the first pictures.
        others: `[B, M, D]` of the second ones.
        mask: bool `[B, N]`.
        other_mask: bool `[B, M]`.

    Returns:
        Int `[K]` each: picture, patch of the first, patch of the second.
    """
    cosine = normalize(features, dim=-1) @ normalize(others, dim=-1).mT
    usable = mask[:, :, None] & other_mask[:, None, :]
    cosine = cosine.masked_fill(~usable, -torch.inf)
    forth, back = cosine.argmax(dim=2), cosine.argmax(dim=1)
    own = torch.arange(features.shape[1], device=features.device)
    mutual = (back.gather(1, forth) == own) & usable.any(dim=2)
    picture, patch = mutual.nonzero(as_tuple=True)
    return picture, patch, forth[picture, patch]


def correspondence_loss(
    points: Tensor, others: Tensor, other_mask: Tensor, matches: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Matched patches lie nearer on the surface than a patch and all others of the second object (after ASIC).

    Mean cross-entropy of a softmax over minus the distances to the second picture's foreground patches.

    Args:
        points: `[B, N, dim]` of the first pictures.
        others: `[B, M, dim]` of the second ones.
        other_mask: bool `[B, M]`.
        matches: from `mutual_neighbours`.
    """
    picture, patch, other = matches
    if not len(picture):
        return points.sum() * 0
    distances = (points[picture, patch][:, None] - others[picture]).square().sum(-1).clamp(min=1e-12).sqrt()
    logits = (-distances / TEMPERATURE).masked_fill(~other_mask[picture], -torch.inf)
    return cross_entropy(logits, other)


def smoothness_loss(points: Tensor, positions: Tensor, mask: Tensor, step: float) -> Tensor:
    """The flow from the picture to the plane changes little between neighbouring patches (after ASIC).

    Total variation of `point - position`, both with x to the right and y up: 0 for a shift of the picture.

    Args:
        points: `[B, N, 2]` on the plane.
        positions: `[B, N, 2]` patch centres, see `mapper.frame_positions` (y down).
        mask: bool `[B, N]`.
        step: between the centres of neighbouring patches.
    """
    flow = points - positions * positions.new_tensor([1.0, -1.0])
    near = (positions[:, :, None] - positions[:, None]).norm(dim=-1) < 1.25 * step  # beside, above and below
    picture, patch, other = (near & mask[:, :, None] & mask[:, None]).triu(diagonal=1).nonzero(as_tuple=True)
    changes = (flow[picture, patch] - flow[picture, other]).abs().sum(-1)
    return changes.sum() / max(len(picture), 1)


def labelling_loss(points: Tensor, others: Tensor, warp: Tensor, grid: tuple[int, int], mask: Tensor) -> Tensor:
    """A patch's label is found where the warp moves the patch to (Dense Equivariant Image Labelling).

    `sum over v of p(v | u) * |v - g(u)|^0.5`, p the softmax over the second crop's patches v of the labels' inner
    products, both scaled by 20; mean over the patches u. It falls only if labels are told apart, so that no label can
    be the same everywhere.

    Args:
        points: unit vectors `[B, N, 3]`, labels of the first crops' patches u.
        others: `[B, P, 3]`, labels of all patches v of the second crops, row by row.
        warp: `[B, N, 2]` g(u), continuous grid coordinates (column, row) in the second crops; NaN outside.
        grid: (columns, rows) of the second crops.
        mask: bool `[B, N]`, the patches u that count.
    """
    columns, rows = grid
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = torch.stack([column, row], dim=-1).reshape(-1, 2).to(points) + 0.5
    kept = mask & warp.isfinite().all(dim=-1)
    picture, patch = kept.nonzero(as_tuple=True)
    found = (SCALE**2 * points @ others.mT)[picture, patch].softmax(dim=-1)
    away = torch.cdist(warp[picture, patch].to(points), centres).pow(EXPONENT)
    return (found * away).sum() / max(len(picture), 1)

"""The surfaces that a mapper may send patches to: the paper's unit sphere, or a flat plane as in ASIC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

SurfaceName = Literal["sphere", "plane"]


class Surface(Protocol):
    """A surface with points of `dim` coordinates.

    Attributes:
        dim: coordinates of a point.
    """

    dim: ClassVar[int]

    def project(self, values: Tensor) -> Tensor:
        """Put any vectors `[..., dim]` on the surface."""
        ...

    def nearest(self, values: Tensor) -> Tensor:
        """The point of the surface that is nearest to each of `[..., dim]`, such as means of points; 0 stays 0."""
        ...

    def similarity(self, queries: Tensor, points: Tensor) -> Tensor:
        """How near points of the surface lie to each other, the nearer the higher.

        Args:
            queries: `[N, dim]`.
            points: `[M, dim]`.

        Returns:
            `[N, M]`, highest where they coincide.
        """
        ...

    def distance(self, points: Tensor, others: Tensor) -> Tensor:
        """Half the squared distance in space between points `[..., dim]` one by one: `[...]`, 0 where they coincide."""
        ...

    def orientation(self, anchor: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Sine of the angle at the anchor by which the first of two points is turned to reach the second.

        Args:
            anchor: `[..., dim]`.
            first: `[..., dim]`.
            second: `[..., dim]`.

        Returns:
            `[...]`, positive if counter-clockwise for who looks at the surface; 0 if a point lies on the anchor.
        """
        ...

    def colours(self, points: Tensor) -> Tensor:
        """Points `[..., dim]` as RGB `[..., 3]` in 0..1; near points have near colours."""
        ...


@dataclass(frozen=True)
class Sphere:
    """The unit sphere in three dimensions; similarity is the cosine of the angle."""

    dim: ClassVar[int] = 3

    def project(self, values: Tensor) -> Tensor:
        """Unit length."""
        return normalize(values, dim=-1)

    def nearest(self, values: Tensor) -> Tensor:
        """Unit length."""
        return normalize(values, dim=-1)

    def similarity(self, queries: Tensor, points: Tensor) -> Tensor:
        """Cosine, -1..1."""
        return queries @ points.T

    def distance(self, points: Tensor, others: Tensor) -> Tensor:
        """One minus the cosine, 0..2."""
        return 1 - (points * others).sum(-1)

    def orientation(self, anchor: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Seen from outside, between directions within the tangent plane."""
        return (torch.linalg.cross(_tangent(anchor, first), _tangent(anchor, second)) * anchor).sum(-1)

    def colours(self, points: Tensor) -> Tensor:
        """Each coordinate from -1..1 to 0..1."""
        return (points + 1) / 2


@dataclass(frozen=True)
class Plane:
    """The square -1..1 in two dimensions; similarity is minus the distance (ASIC, ICCV 2023)."""

    dim: ClassVar[int] = 2

    def project(self, values: Tensor) -> Tensor:
        """Squash each coordinate to -1..1."""
        return torch.tanh(values)

    def nearest(self, values: Tensor) -> Tensor:
        """Cut each coordinate off at -1 and 1."""
        return values.clamp(-1, 1)

    def similarity(self, queries: Tensor, points: Tensor) -> Tensor:
        """Minus the Euclidean distance, at most 0."""
        return -torch.cdist(queries, points)

    def distance(self, points: Tensor, others: Tensor) -> Tensor:
        """Half the squared Euclidean distance, 0..4."""
        return (points - others).square().sum(-1) / 2

    def orientation(self, anchor: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """With x to the right and y up."""
        return turn(normalize(first - anchor, dim=-1), normalize(second - anchor, dim=-1))

    def colours(self, points: Tensor) -> Tensor:
        """Red and green from the coordinates, and a blue that tells apart what they leave alike."""
        red, green = ((points + 1) / 2).unbind(dim=-1)
        return torch.stack([red, green, 1 - (red + green) / 2], dim=-1)


SURFACES: dict[SurfaceName, Surface] = {"sphere": Sphere(), "plane": Plane()}


def turn(first: Tensor, second: Tensor) -> Tensor:
    """Determinant of two vectors `[..., 2]`: of unit vectors, the sine of the angle from the first to the second."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _tangent(anchor: Tensor, other: Tensor) -> Tensor:
    """Unit direction at `anchor` towards `other`, within the sphere's tangent plane; 0 if they coincide."""
    step = other - anchor
    return normalize(step - anchor * (anchor * step).sum(-1, keepdim=True), dim=-1)

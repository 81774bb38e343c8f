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

    def similarity(self, queries: Tensor, points: Tensor) -> Tensor:
        """How near points of the surface lie to each other, the nearer the higher.

        Args:
            queries: `[N, dim]`.
            points: `[M, dim]`.

        Returns:
            `[N, M]`, highest where they coincide.
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

    def similarity(self, queries: Tensor, points: Tensor) -> Tensor:
        """Cosine, -1..1."""
        return queries @ points.T

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

    def similarity(self, queries: Tensor, points: Tensor) -> Tensor:
        """Minus the Euclidean distance, at most 0."""
        return -torch.cdist(queries, points)

    def colours(self, points: Tensor) -> Tensor:
        """Red and green from the coordinates, and a blue that tells apart what they leave alike."""
        red, green = ((points + 1) / 2).unbind(dim=-1)
        return torch.stack([red, green, 1 - (red + green) / 2], dim=-1)


SURFACES: dict[SurfaceName, Surface] = {"sphere": Sphere(), "plane": Plane()}

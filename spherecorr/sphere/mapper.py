"""The sphere mapper: patch features of a frozen backbone -> points of the unit sphere (paper section 3), or a plane."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import Framing
from spherecorr.identity import FeatureSource
from spherecorr.sphere.block import Block
from spherecorr.sphere.settings import SphereSettings
from spherecorr.sphere.surface import SURFACES

POSITION_FREQUENCIES = 3
BELOW = (0.0, 0.0, -1.0)  # straight under the object: the part of the sphere that pictures show least
BACKGROUND_ANGLE = 30.0  # degrees around BELOW that count as background
FOREGROUND = 0.85  # probability from which a cell counts as the object's; of cells at its rim the loss says nothing


class SphereMismatchError(SpherecorrError):
    """A mapper was given features that it was not trained on."""


class SphereMapper(nn.Module):
    """Linear, GELU, pre-norm transformer blocks, Linear to the surface's coordinates, projection on the surface.

    Without positions it is equivariant to a permutation of the patches: the map comes from the features alone.

    Attributes:
        settings: see there.
        surface: where the points lie.
    """

    def __init__(self, settings: SphereSettings):
        super().__init__()
        self.settings = settings
        self.surface = SURFACES[settings.surface]
        width = settings.channels
        self.embed = nn.Linear(settings.feature_dim, width)
        self.blocks = nn.Sequential(*(Block(width, settings.heads) for _ in range(settings.depth)))
        self.head = nn.Linear(width, self.surface.dim)
        if settings.background == "head":
            self.foreground_head = nn.Linear(width, 1)
        if settings.positions == "frame":
            self.embed_position = nn.Linear(2 + 4 * POSITION_FREQUENCIES, width, bias=False)

    def forward(self, tokens: Tensor, positions: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
        """Map tokens to the surface: the points of `answer`."""
        return self.answer(tokens, positions, wanted)[0]

    def answer(
        self, tokens: Tensor, positions: Tensor | None = None, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Map tokens to the surface, and tell the object's.

        Args:
            tokens: patch features `[B, N, D]`.
            positions: patch centres `[B, N, 2]` from `frame_positions`; needed by mappers with positions "frame".
            wanted: bool `[B, N]`, patches whose points are asked for; the last block is spared the others' queries.
                None asks for all.

        Returns:
            Points `[B, N, dim]`, on the sphere unit vectors, and for mappers with the background "head" the logits
            `[B, N]` of the probability that a patch is the object's, else None; both 0 where they are not wanted.

        Raises:
            ValueError: positions are missing.
        """
        hidden = self.embed(tokens)
        if self.settings.positions == "frame":
            if positions is None:
                raise ValueError("This mapper has positions 'frame'; give it the patches' positions.")
            hidden = hidden + self.embed_position(encode_positions(positions))
        hidden = gelu(hidden)
        if wanted is None:
            hidden = self.blocks(hidden)
        else:
            hidden = self.blocks[-1](self.blocks[:-1](hidden), wanted)
        points = self.surface.project(self.head(hidden))
        logits = self.foreground_head(hidden)[..., 0] if self.settings.background == "head" else None
        return _spread(points, wanted), None if logits is None else _spread(logits, wanted)

    @torch.no_grad()
    def sphere_map(self, features: FeatureMap) -> SphereMap:
        """Map one image's features.

        Raises:
            SphereMismatchError: the features are not those the mapper was trained on.
        """
        self.check(features.source)
        parameter = self.head.weight
        tokens = features.tokens().to(parameter)[None]
        positions = frame_positions(features.framing).to(parameter)[None]
        points, logits = self.answer(tokens, positions)
        grid = features.features.shape[1:]
        foreground = None if logits is None else logits[0].sigmoid().reshape(grid)
        return SphereMap(points[0].T.reshape(-1, *grid), features.framing, self.settings.surface, foreground)

    def foreground(self, sphere_map: SphereMap) -> np.ndarray | None:
        """Boolean `[H, W]`: cells that are rather the object's than not; None for a mapper that cannot tell.

        Where it leaves fewer than 4 cells, all are taken.
        """
        if sphere_map.foreground is not None:
            foreground = sphere_map.foreground.cpu().numpy() > FOREGROUND
            return foreground if foreground.sum() >= 4 else np.ones_like(foreground)
        if self.settings.background != "below":
            return None
        below = torch.tensor(BELOW).to(sphere_map.points)
        cosine = torch.einsum("chw,c->hw", sphere_map.points, below).cpu().numpy()
        foreground = cosine < math.cos(math.radians(BACKGROUND_ANGLE))
        return foreground if foreground.sum() >= 4 else np.ones_like(foreground)

    def check(self, source: FeatureSource) -> None:
        """Refuse features of another size, backbone, layer, norm or position embedding, in one sentence.

        Where both weights are known, a backbone is what its weights are, wherever they lie; else what it is called.

        Raises:
            SphereMismatchError: the features are others than those the mapper was trained on.
        """
        if source.dim != self.settings.feature_dim:
            raise SphereMismatchError(
                f"This sphere mapper takes features of {self.settings.feature_dim} channels; "
                f"backbone '{source.backbone}' gives {source.dim}."
            )
        wanted = self.settings.source
        if wanted is None or not (others := wanted.differs_from(source)):
            return
        if "weights" in others and wanted.backbone == source.backbone:
            raise SphereMismatchError(
                f"This sphere mapper was trained on other weights of backbone '{wanted.backbone}': their digest was "
                f"{wanted.weights}, that of the features' is {source.weights}. Use the weights it was trained on, or "
                "train a mapper for these."
            )
        if "weights" in others or "backbone" in others:
            raise SphereMismatchError(
                f"This sphere mapper was trained on backbone '{wanted.backbone}', not on '{source.backbone}'."
            )
        raise SphereMismatchError(
            f"This sphere mapper was trained on other tokens of '{wanted.backbone}': it wants layer {wanted.layer}, "
            f"norm {wanted.norm}, position embedding '{wanted.position_embedding}'; the features have layer "
            f"{source.layer}, norm {source.norm}, '{source.position_embedding}'. "
            "Load the backbone with load_backbone(sphere.settings.source)."
        )


def _spread(answers: Tensor, wanted: Tensor | None) -> Tensor:
    """Answers of the wanted tokens alone `[M, ...]` at their places `[B, N, ...]`, 0 elsewhere."""
    if wanted is None:
        return answers
    spread = answers.new_zeros(*wanted.shape, *answers.shape[1:])
    spread[wanted] = answers
    return spread


def frame_positions(framing: Framing) -> Tensor:
    """Cell centres relative to the image's centre, in halves of its longer side: `[H * W, 2]` (x right, y down)."""
    columns, rows = np.meshgrid(np.arange(framing.grid[0]), np.arange(framing.grid[1]))
    centres = framing.to_pixel(np.stack([columns, rows], axis=-1).reshape(-1, 2))
    size = np.array(framing.image_size)
    return torch.from_numpy((centres - size / 2) / (size.max() / 2)).float()


def grid_positions(grid: tuple[int, int]) -> Tensor:
    """`frame_positions` of a view that fills its grid of (columns, rows): `[H * W, 2]`."""
    columns, rows = grid
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.stack([2 * column + 1 - columns, 2 * row + 1 - rows], dim=-1) / max(grid)).reshape(-1, 2)


def encode_positions(positions: Tensor) -> Tensor:
    """Positions `[..., 2]` -> themselves with sines and cosines of 1, 2, 4 half turns: `[..., 14]`."""
    angles = torch.cat([positions * (math.pi * 2**k) for k in range(POSITION_FREQUENCIES)], dim=-1)
    return torch.cat([positions, angles.sin(), angles.cos()], dim=-1)

"""The sphere mapper: patch features of a frozen backbone -> points of the unit sphere (paper section 3)."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, normalize, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import Framing
from spherecorr.identity import FeatureSource
from spherecorr.sphere.settings import SphereSettings

POSITION_FREQUENCIES = 3
BELOW = (0.0, 0.0, -1.0)  # straight under the object: the part of the sphere that pictures show least
BACKGROUND_ANGLE = 30.0  # degrees around BELOW that count as background


class SphereMismatchError(SpherecorrError):
    """A mapper was given features that it was not trained on."""


class SphereMapper(nn.Module):
    """Linear, GELU, pre-norm transformer blocks, Linear to 3, unit length.

    Without positions it is equivariant to a permutation of the patches: the map comes from the features alone.
    """

    def __init__(self, settings: SphereSettings):
        super().__init__()
        self.settings = settings
        width = settings.channels
        block = partial(Block, width, settings.heads, norm_layer=partial(nn.LayerNorm, eps=1e-5))
        self.embed = nn.Linear(settings.feature_dim, width)
        self.blocks = nn.Sequential(*(block() for _ in range(settings.depth)))
        self.head = nn.Linear(width, 3)
        if settings.positions == "frame":
            self.embed_position = nn.Linear(2 + 4 * POSITION_FREQUENCIES, width, bias=False)

    def forward(self, tokens: Tensor, positions: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
        """Map tokens to the sphere.

        Args:
            tokens: patch features `[B, N, D]`.
            positions: patch centres `[B, N, 2]` from `frame_positions`; needed by mappers with positions "frame".
            wanted: bool `[B, N]`, patches whose points are asked for; the last block is spared the others' queries.
                None asks for all.

        Returns:
            Unit vectors `[B, N, 3]`, 0 where they are not wanted.
        """
        hidden = self.embed(tokens)
        if self.settings.positions == "frame":
            hidden = hidden + self.embed_position(encode_positions(positions))
        hidden = gelu(hidden)
        if wanted is None:
            return normalize(self.head(self.blocks(hidden)), dim=-1)
        points = normalize(self.head(_answer_wanted(self.blocks[-1], self.blocks[:-1](hidden), wanted)), dim=-1)
        sphere = points.new_zeros(*wanted.shape, 3)
        sphere[wanted] = points
        return sphere

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
        points = self(tokens, positions)[0]
        return SphereMap(points.T.reshape(3, *features.features.shape[1:]), features.framing)

    def foreground(self, sphere_map: SphereMap) -> np.ndarray | None:
        """Boolean `[H, W]`: cells not sent to the background's place; None for a mapper that keeps no such place.

        Where it leaves fewer than 4 cells, all are taken.
        """
        if self.settings.background == "free":
            return None
        below = torch.tensor(BELOW).to(sphere_map.points)
        cosine = torch.einsum("chw,c->hw", sphere_map.points, below).cpu().numpy()
        foreground = cosine < math.cos(math.radians(BACKGROUND_ANGLE))
        return foreground if foreground.sum() >= 4 else np.ones_like(foreground)

    def check(self, source: FeatureSource) -> None:
        """Refuse features of another size, backbone, layer, norm or position embedding, in one sentence."""
        if source.dim != self.settings.feature_dim:
            raise SphereMismatchError(
                f"This sphere mapper takes features of {self.settings.feature_dim} channels; "
                f"backbone '{source.backbone}' gives {source.dim}."
            )
        wanted = self.settings.source
        if wanted is None or wanted == source:
            return
        if wanted.backbone != source.backbone:
            raise SphereMismatchError(
                f"This sphere mapper was trained on backbone '{wanted.backbone}', not on '{source.backbone}'."
            )
        raise SphereMismatchError(
            f"This sphere mapper was trained on other tokens of '{wanted.backbone}': it wants layer {wanted.layer}, "
            f"norm {wanted.norm}, position embedding '{wanted.position_embedding}'; the features have layer "
            f"{source.layer}, norm {source.norm}, '{source.position_embedding}'. "
            "Load the backbone with load_backbone(sphere.settings.source)."
        )


def _answer_wanted(block: Block, hidden: Tensor, wanted: Tensor) -> Tensor:
    """The block's answers for some patches `[M, C]`, from all of `[B, N, C]`: their queries, the keys of all."""
    normed = block.norm1(hidden)
    query, others = block.attn.qkv.weight.tensor_split([hidden.shape[-1]])
    keys, values = linear(normed, others).chunk(2, dim=-1)
    counts = wanted.sum(dim=1)
    queries = pad_sequence(linear(normed[wanted], query).split(counts.tolist()), batch_first=True)
    heads = [part.unflatten(-1, (block.attn.num_heads, -1)).transpose(1, 2) for part in (queries, keys, values)]
    answers = scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    there = torch.arange(queries.shape[1], device=counts.device) < counts[:, None]
    hidden = hidden[wanted] + block.attn.proj(answers[there])
    return hidden + block.mlp(block.norm2(hidden))


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

"""Category-conditioned prototypes: sphere point -> feature. They serve the reconstruction loss and are then dropped."""

from __future__ import annotations

from torch import Tensor, nn


class Prototypes(nn.Module):
    """Rebuild a patch's feature from its sphere point and its category (paper section 3.2).

    The authors let the point attend to its category by cross-attention. With a single key the softmax is 1, so that
    attention is one learned vector per category, the same for every patch; here it is written as an embedding. Like
    theirs, "depth 2" applies one block twice.

    Args:
        feature_dim: D.
        categories: how many.
        depth: how often the block is applied.
    """

    def __init__(self, feature_dim: int, categories: int, depth: int = 2):
        super().__init__()
        self.depth = depth
        self.embed = nn.Linear(3, feature_dim)
        self.category = nn.Embedding(categories, feature_dim)
        self.mlp = nn.Sequential(
            nn.LayerNorm(feature_dim),
            nn.Linear(feature_dim, 4 * feature_dim),
            nn.GELU(),
            nn.Linear(4 * feature_dim, feature_dim),
        )

    def forward(self, sphere: Tensor, category: Tensor) -> Tensor:
        """Sphere points `[B, N, 3]` of categories `[B]` -> features `[B, N, D]`."""
        hidden = self.embed(sphere)
        for _ in range(self.depth):
            hidden = hidden + self.category(category)[:, None]
            hidden = hidden + self.mlp(hidden)
        return hidden

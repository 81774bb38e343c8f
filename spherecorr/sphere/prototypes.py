"""Category-conditioned prototypes: point -> feature. They serve the reconstruction loss and are then dropped."""

from __future__ import annotations

from torch import Tensor, nn


class Prototypes(nn.Module):
    """Rebuild a patch's feature from its point on the surface and its category (paper section 3.2).

    The authors let the point attend to its category by cross-attention. With a single key the softmax is 1, so that
    attention is one learned vector per category, the same for every patch; here it is written as an embedding. Like
    theirs, "depth 2" applies one block twice.

    Args:
        feature_dim: D.
        categories: how many.
        depth: how often the block is applied.
        dim: coordinates of a point, 3 on the sphere.
    """

    def __init__(self, feature_dim: int, categories: int, depth: int = 2, dim: int = 3):
        super().__init__()
        self.depth = depth
        self.embed = nn.Linear(dim, feature_dim)
        self.category = nn.Embedding(categories, feature_dim)
        self.mlp = nn.Sequential(
            nn.LayerNorm(feature_dim),
            nn.Linear(feature_dim, 4 * feature_dim),
            nn.GELU(),
            nn.Linear(4 * feature_dim, feature_dim),
        )

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        """Points `[..., dim]` of categories `[...]`, of the same shape or one that spreads to it -> `[..., D]`."""
        hidden, vector = self.embed(points), self.category(category)
        for _ in range(self.depth):
            hidden = hidden + vector
            hidden = hidden + self.mlp(hidden)
        return hidden

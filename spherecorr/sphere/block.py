"""The mapper's transformer block: pre-norm attention and MLP, with answers for some tokens alone where wanted.

Names and shapes of its weights are those of timm's block and of the paper's public code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence

NORM_EPS = 1e-5
MLP_RATIO = 4


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values have no bias.

    Args:
        width: channels C.
        heads: a divisor of C.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, N, C]` -> `[B, N, C]`."""
        queries, keys, values = (self._heads(part) for part in self.qkv(tokens).chunk(3, dim=-1))
        return self.proj(scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2))

    def some(self, tokens: Tensor, wanted: Tensor) -> Tensor:
        """The answers of the wanted tokens `[B, N]` alone, `[M, C]`: their queries, the keys of all."""
        query, others = self.qkv.weight.tensor_split([tokens.shape[-1]])
        keys, values = linear(tokens, others).chunk(2, dim=-1)
        counts = wanted.sum(dim=1)
        queries = pad_sequence(linear(tokens[wanted], query).split(counts.tolist()), batch_first=True)
        answers = scaled_dot_product_attention(self._heads(queries), self._heads(keys), self._heads(values))
        real = torch.arange(queries.shape[1], device=counts.device) < counts[:, None]  # not padding
        return self.proj(answers.transpose(1, 2).flatten(2)[real])

    def _heads(self, values: Tensor) -> Tensor:
        """`[B, N, C]` -> `[B, heads, N, C / heads]`."""
        return values.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[..., C]` -> `[..., C]`."""
        return self.fc2(gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention and MLP, each behind a LayerNorm and beside a skip connection.

    Args:
        width: channels C.
        heads: of the attention, a divisor of C.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = MLP(width)

    def forward(self, tokens: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Answer all tokens, or some of them.

        Args:
            tokens: `[B, N, C]`.
            wanted: bool `[B, N]`, M of them True; None for all.

        Returns:
            `[B, N, C]`, or with `wanted` `[M, C]`, image by image.
        """
        normed = self.norm1(tokens)
        if wanted is None:
            tokens = tokens + self.attn(normed)
        else:
            tokens = tokens[wanted] + self.attn.some(normed, wanted)
        return tokens + self.mlp(self.norm2(tokens))

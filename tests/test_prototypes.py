"""Prototypes: what they are asked for, and the module of the paper's public code written out beside them."""

import torch
from torch import nn
from torch.nn.functional import normalize

from spherecorr.sphere.losses import reconstruction_loss
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.prototypes import Prototypes
from spherecorr.sphere.settings import SphereSettings

PARTS = ("weight", "bias")


def authors_prototypes(state: dict[str, torch.Tensor]) -> Prototypes:
    """Prototypes with the weights of the paper's public code, whose answers they give.

    The category's value vector leaves the authors' attention through its output projection alone: column c of
    `W_o W_v`, plus the projection's bias, is the embedding of category c. Queries, keys and the norm before them do not
    change the answer.

    Args:
        state: a state dict with the keys `prototypes.*`; its two blocks are one.
    """
    block = {
        key.removeprefix("prototypes.blocks.0."): value.float()
        for key, value in state.items()
        if key.startswith("prototypes.blocks.0.")
    }
    embedding = block["attn.proj.weight"] @ block["attn.v.weight"] + block["attn.proj.bias"][:, None]
    dim, categories = embedding.shape
    own = {"0": "norm2", "1": "mlp.fc1", "3": "mlp.fc2"}
    prototypes = Prototypes(dim, categories)
    prototypes.load_state_dict(
        {
            "category.weight": embedding.T,
            **{f"embed.{part}": state[f"prototypes.proj.{part}"] for part in PARTS},
            **{f"mlp.{index}.{part}": block[f"{name}.{part}"] for index, name in own.items() for part in PARTS},
        }
    )
    return prototypes


class Attention(nn.Module):
    """Patches attend to one condition token per image: queries from the patches, keys and values from the condition."""

    def __init__(self, dim: int, condition: int):
        super().__init__()
        self.heads = max(1, dim // 64)
        self.q = nn.Linear(dim, dim, bias=False)
        self.k = nn.Linear(condition, dim, bias=False)
        self.v = nn.Linear(condition, dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        def heads(values: torch.Tensor) -> torch.Tensor:
            return values.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        queries, keys, values = heads(self.q(tokens)), heads(self.k(condition)), heads(self.v(condition))
        shares = (queries @ keys.transpose(2, 3) / queries.shape[-1] ** 0.5).softmax(dim=-1)
        return self.proj((shares @ values).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, dim: int, condition: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Attention(dim, condition)
        self.mlp = nn.Sequential()
        self.mlp.fc1, self.mlp.act, self.mlp.fc2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)

    def forward(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), condition)
        return tokens + self.mlp(self.norm2(tokens))


class AuthorsPrototypes(nn.Module):
    """A projection, then one block twice; the condition is the one-hot category."""

    def __init__(self, dim: int, categories: int):
        super().__init__()
        self.categories = categories
        self.proj = nn.Linear(3, dim)
        self.blocks = nn.ModuleList([Block(dim, categories)] * 2)

    def forward(self, sphere: torch.Tensor, category: torch.Tensor) -> torch.Tensor:
        condition = nn.functional.one_hot(category, self.categories).float()[:, None]
        tokens = self.proj(sphere)
        for block in self.blocks:
            tokens = block(tokens, condition)
        return tokens


def authors(dim: int, categories: int) -> AuthorsPrototypes:
    """With weights that all matter: norms and biases are not what they begin with."""
    torch.manual_seed(0)
    module = AuthorsPrototypes(dim, categories)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def test_the_authors_prototypes_have_the_papers_size():
    assert sum(parameter.numel() for parameter in AuthorsPrototypes(768, 18).parameters()) == 5_936_640
    assert sum(parameter.numel() for parameter in AuthorsPrototypes(768, 1).parameters()) == 5_910_528


def test_weights_of_the_authors_give_the_authors_answers():
    public = authors(128, categories=3)
    state = {f"prototypes.{key}": value for key, value in public.state_dict().items()}
    assert "prototypes.blocks.1.attn.q.weight" in state and "prototypes.blocks.0.mlp.fc1.bias" in state
    own = authors_prototypes(state)
    sphere = normalize(torch.randn(3, 7, 3), dim=-1)
    expected = public(sphere, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(own(sphere, torch.tensor([[2], [0], [1]])), expected, atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.1  # an answer that the tolerance can tell from others


def test_the_authors_attention_is_constant():
    """A softmax over one key is 1: queries and keys get no gradient, so leaving them out changes no training."""
    public = authors(64, categories=2)
    public(normalize(torch.randn(2, 5, 3), dim=-1), torch.tensor([0, 1])).square().sum().backward()
    attention = public.blocks[0].attn
    assert attention.q.weight.grad.abs().max() == attention.k.weight.grad.abs().max() == 0
    assert attention.v.weight.grad.abs().max() > 0


def test_prototypes_tell_categories_apart_and_treat_patches_alike():
    torch.manual_seed(0)
    prototypes = Prototypes(16, categories=2)
    sphere = normalize(torch.randn(1, 5, 3), dim=-1)
    one, other = prototypes(sphere, torch.tensor([0])), prototypes(sphere, torch.tensor([1]))
    assert one.shape == (1, 5, 16)
    assert not torch.allclose(one, other)
    order = torch.tensor([4, 2, 0, 1, 3])
    assert torch.allclose(prototypes(sphere[:, order], torch.tensor([0])), one[:, order], atol=1e-6)


def test_reconstruction_reaches_the_mapper_and_the_prototypes():
    torch.manual_seed(0)
    mapper, prototypes = SphereMapper(SphereSettings(16)), Prototypes(16, categories=2)
    tokens = torch.randn(2, 6, 16)
    mask = torch.ones(2, 6, dtype=torch.bool)
    reconstruction_loss(tokens, prototypes(mapper(tokens), torch.tensor([[0], [1]])), mask).backward()
    assert all(p.grad.abs().sum() > 0 for p in [*mapper.parameters(), *prototypes.parameters()])

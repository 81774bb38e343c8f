from dataclasses import replace
from functools import partial

import pytest
import torch
from timm.models import vision_transformer
from torch import nn

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.sphere.block import Block
from spherecorr.sphere.mapper import SphereMapper, SphereMismatchError, encode_positions, frame_positions
from spherecorr.sphere.settings import SphereSettings

SOURCE = FeatureSource("tiny", dim=16, patch=8, layer=1)


def mapper(**settings) -> SphereMapper:
    torch.manual_seed(0)
    return SphereMapper(SphereSettings(feature_dim=16, **settings)).eval()


def features(size=(40, 24), source=SOURCE) -> FeatureMap:
    framing = resize_to_fit(size, 80, source.patch)
    columns, rows = framing.grid
    generator = torch.Generator().manual_seed(1)
    return FeatureMap(torch.randn(source.dim, rows, columns, generator=generator), framing, source)


def test_the_papers_mapper_has_2_069_763_parameters():
    paper = SphereMapper(SphereSettings(feature_dim=768))
    assert sum(parameter.numel() for parameter in paper.parameters()) == 2_069_763


@pytest.mark.parametrize(("dim", "width", "heads"), [(768, 384, 6), (384, 192, 3), (192, 96, 1), (1024, 512, 8)])
def test_width_is_half_the_features_and_heads_have_64_channels(dim, width, heads):
    sized = SphereMapper(SphereSettings(feature_dim=dim))
    assert sized.embed.out_features == width
    assert sized.blocks[0].attn.heads == heads


@pytest.mark.parametrize("settings", [{}, {"positions": "frame"}, {"width": 24, "depth": 2}])
def test_points_lie_on_the_unit_sphere_one_for_each_cell(settings):
    given = features()
    points = mapper(**settings).sphere_map(given).points
    assert points.shape == (3, *given.features.shape[1:])
    torch.testing.assert_close(points.norm(dim=0), torch.ones(points.shape[1:]))


@pytest.mark.parametrize("heads", [1, 3])
def test_a_block_is_timms_block_with_the_same_weights(heads):
    torch.manual_seed(0)
    theirs = vision_transformer.Block(24, heads, norm_layer=partial(nn.LayerNorm, eps=1e-5))
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    block = Block(24, heads)
    block.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, 11, 24)
    torch.testing.assert_close(block(tokens), theirs(tokens), atol=1e-6, rtol=1e-6)
    torch.manual_seed(1)
    drawn = Block(24, heads).state_dict()
    torch.manual_seed(1)
    for name, value in vision_transformer.Block(24, heads).state_dict().items():  # the same seed, the same beginning
        assert torch.equal(drawn[name], value), name


def test_a_plane_has_two_coordinates():
    given = features()
    points = mapper(surface="plane").sphere_map(given).points
    assert points.shape == (2, *given.features.shape[1:])
    assert points.abs().max() <= 1 and points.std() > 0
    with pytest.raises(SpherecorrError, match="A mapper's surface is 'sphere' or 'plane'; got 'cube'"):
        SphereSettings(16, surface="cube")
    with pytest.raises(SpherecorrError, match="Only a sphere has a place below the object"):
        SphereSettings(16, surface="plane", background="below")


def test_a_mapper_that_sees_positions_asks_for_them():
    with pytest.raises(ValueError, match="give it the patches' positions"):
        mapper(positions="frame")(torch.zeros(1, 4, 16))


def test_cells_keep_their_place():
    given = features()
    points = mapper().sphere_map(given).points
    tokens = mapper()(given.tokens()[None])[0]
    columns = given.framing.grid[0]
    torch.testing.assert_close(points[:, 2, 4], tokens[2 * columns + 4])


@pytest.mark.parametrize("settings", [{}, {"positions": "frame", "depth": 2}])
def test_points_of_some_patches_alone_are_those_of_all_and_so_are_their_gradients(settings):
    whole, spared = mapper(**settings), mapper(**settings)
    generator = torch.Generator().manual_seed(3)
    tokens, positions, upstream = (torch.randn(4, 15, size, generator=generator) for size in (16, 2, 3))
    wanted = torch.rand(4, 15, generator=generator) < torch.tensor([0.9, 0.3, 0.0, 0.5])[:, None]
    assert wanted.any(dim=1).tolist() == [True, True, False, True]
    expected, points = whole(tokens, positions), spared(tokens, positions, wanted)
    torch.testing.assert_close(points, expected * wanted[..., None])
    (expected * upstream)[wanted].sum().backward()
    (points * upstream).sum().backward()
    for one, other in zip(whole.parameters(), spared.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    assert not spared(tokens, positions, torch.zeros_like(wanted)).any()


def test_without_positions_permuted_patches_give_permuted_points():
    tokens = features().tokens()[None]
    order = torch.randperm(tokens.shape[1], generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(mapper()(tokens[:, order]), mapper()(tokens)[:, order])


def test_with_positions_the_same_patch_elsewhere_gives_another_point():
    given = features()
    alike = FeatureMap(torch.ones_like(given.features), given.framing, given.source)
    assert torch.allclose(*mapper().sphere_map(alike).points[:, 0, [0, 5]].T, atol=1e-6)
    assert not torch.allclose(*mapper(positions="frame").sphere_map(alike).points[:, 0, [0, 5]].T, atol=1e-3)


def test_frame_positions_are_zero_in_the_middle_and_one_at_the_end_of_the_longer_side():
    positions = frame_positions(resize_to_fit((300, 100), 24, 8)).reshape(1, 3, 2)
    # Three cells side by side: their centres are at 1/6, 3/6 and 5/6 of the width.
    torch.testing.assert_close(positions[0], torch.tensor([[-2 / 3, 0.0], [0.0, 0.0], [2 / 3, 0.0]]))


def test_encoded_positions_hold_half_turns():
    encoded = encode_positions(torch.tensor([[0.5, 0.0]]))
    assert encoded.shape == (1, 14)
    # x, y; sines of (x, y) times 1, 2, 4 half turns; cosines of the same.
    expected = [0.5, 0, 1, 0, 0, 0, 0, 0, 0, 1, -1, 1, 1, 1]
    torch.testing.assert_close(encoded[0], torch.tensor(expected, dtype=torch.float32), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (FeatureSource("big", 32, 8, 1), "takes features of 16 channels; backbone 'big' gives 32"),
        (FeatureSource("other", 16, 8, 1), "was trained on backbone 'tiny', not on 'other'"),
        (FeatureSource("tiny", 16, 8, 0), "wants layer 1"),
        (FeatureSource("tiny", 16, 8, 1, norm=True), "wants layer 1, norm False"),
        (FeatureSource("tiny", 16, 8, 1, position_embedding="dinov2"), "position embedding 'timm'"),
    ],
)
def test_other_features_are_refused_in_one_sentence(other, words):
    with pytest.raises(SphereMismatchError, match=words):
        mapper(source=SOURCE).sphere_map(features(source=other))


def test_a_backbone_is_what_its_weights_are():
    """Where both digests are known; else its name decides."""
    trained = replace(SOURCE, weights="0123")
    taught = mapper(source=trained)
    taught.check(trained)
    taught.check(replace(trained, backbone="local-dir:/elsewhere/tiny"))
    taught.check(SOURCE)
    mapper(source=SOURCE).check(trained)
    with pytest.raises(SphereMismatchError, match="on other weights of backbone 'tiny': their digest was 0123, that"):
        taught.check(replace(trained, weights="4567"))
    with pytest.raises(SphereMismatchError, match="was trained on backbone 'tiny', not on 'other'"):
        taught.check(replace(trained, backbone="other", weights="4567"))
    with pytest.raises(SphereMismatchError, match="was trained on backbone 'tiny', not on 'other'"):
        taught.check(replace(SOURCE, backbone="other"))
    with pytest.raises(SphereMismatchError, match="it wants layer 1, norm False"):
        taught.check(replace(trained, layer=0))


def test_a_mapper_of_unknown_source_takes_any_features_of_its_size():
    mapper().check(FeatureSource("other", 16, 14, 3, norm=True))


def test_foreground_is_what_does_not_fall_straight_below():
    degrees = torch.deg2rad(torch.tensor([0.0, 20.0, 40.0, 180.0]))  # from straight below
    column = torch.stack([degrees.sin(), 0 * degrees, -degrees.cos()])[:, :, None]
    ball = SphereMap(column.repeat(1, 1, 2), resize_to_fit((2, 4), 4, 1))
    assert mapper().foreground(ball) is None
    with_place = mapper(background="below")
    assert with_place.foreground(ball).tolist() == [[False, False], [False, False], [True, True], [True, True]]
    nothing = SphereMap(column[:, :1].repeat(1, 4, 2), ball.framing)
    assert with_place.foreground(nothing).all()


def test_a_mapper_with_a_head_of_its_own_tells_the_object():
    made = mapper(background="head")
    ball = made.sphere_map(features())
    assert ball.foreground.shape == ball.points.shape[1:]
    assert 0 < ball.foreground.min() <= ball.foreground.max() < 1
    told = SphereMap(ball.points, ball.framing, foreground=torch.tensor([[0.2, 0.86, 0.9, 0.4, 0.95, 0.99]]))
    assert made.foreground(told).tolist() == [[False, True, True, False, True, True]]


def test_logits_of_some_patches_alone_are_those_of_all():
    made = mapper(background="head")
    tokens = torch.randn(2, 15, 16, generator=torch.Generator().manual_seed(0))
    wanted = torch.arange(30).reshape(2, 15) % 3 == 0
    _, expected = made.answer(tokens)
    _, logits = made.answer(tokens, None, wanted)
    torch.testing.assert_close(logits, expected * wanted)
